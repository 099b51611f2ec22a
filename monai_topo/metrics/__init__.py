"""Metrics that count topology: a `compute_*` function and a `*Metric` class for each."""

from monai_topo.metrics.betti_error import BettiErrorMetric, compute_betti_error
from monai_topo.metrics.euler_error import EulerErrorMetric, compute_euler_error

__all__ = ["BettiErrorMetric", "EulerErrorMetric", "compute_betti_error", "compute_euler_error"]
