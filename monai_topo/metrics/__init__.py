"""Metrics that count topology: a `compute_*` function and a `*Metric` class for each."""

from monai_topo.metrics.betti_error import BettiErrorMetric, compute_betti_error

__all__ = ["BettiErrorMetric", "compute_betti_error"]
