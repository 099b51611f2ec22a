"""The topology metrics as metrics of MONAI's engines, one handler per metric.

A handler takes the settings of its metric, `output_transform` and `save_details`.
"""

from __future__ import annotations

from monai_topo.handlers._base import TopologyMetricHandler
from monai_topo.metrics import (
    AdaptedRandMetric,
    BettiErrorMetric,
    BettiMatchingMetric,
    BranchDetectionMetric,
    ClDiceMetric,
    ComponentDetectionMetric,
    DiagramDistanceMetric,
    DIUMetric,
    EulerErrorMetric,
    ExpectedRunLengthMetric,
    InvalidNeighborsMetric,
    SkeletonRecallMetric,
    VariationOfInformationMetric,
)

__all__ = [
    "AdaptedRandHandler",
    "BettiErrorHandler",
    "BettiMatchingHandler",
    "BranchDetectionHandler",
    "ClDiceHandler",
    "ComponentDetectionHandler",
    "DIUHandler",
    "DiagramDistanceHandler",
    "EulerErrorHandler",
    "ExpectedRunLengthHandler",
    "InvalidNeighborsHandler",
    "SkeletonRecallHandler",
    "VariationOfInformationHandler",
]


class BettiErrorHandler(TopologyMetricHandler, metric_class=BettiErrorMetric):
    """Report the Betti number error of an evaluator, as key metric or additional metric.

    Holds a :py:class:`monai_topo.metrics.BettiErrorMetric`, which documents definition and empty cases. The error is
    better when lower: as *key* metric it needs `metric_cmp_fn=lambda new, best: new < best` in the evaluator and
    `key_metric_negative_sign=True` in `monai.handlers.CheckpointSaver`; otherwise the worst model is kept. MONAI
    silently drops additional metrics if there is no key metric. Both hold for all metric handlers. Constructing a
    handler needs pytorch-ignite (`pip install monai_topo[bundle]`); importing it does not.

    Example:
        >>> from monai.handlers import from_engine
        >>> handler = BettiErrorHandler(dim=1, patch_size=65, output_transform=from_engine(["pred", "label"]))
        >>> handler.metric_fn.patch_size
        65
    """


class EulerErrorHandler(TopologyMetricHandler, metric_class=EulerErrorMetric):
    """Report the Euler characteristic error of an evaluator; lower is better."""


class BettiMatchingHandler(TopologyMetricHandler, metric_class=BettiMatchingMetric):
    """Report Betti matching of an evaluator: the error, or precision, recall and F1 of topological features.

    Example:
        >>> BettiMatchingHandler(part="f1", dim=1).metric_fn.part
        'f1'
    """


class DIUHandler(TopologyMetricHandler, metric_class=DIUMetric):
    """Report the discrepancy between intersection and union of an evaluator; lower is better."""


class ClDiceHandler(TopologyMetricHandler, metric_class=ClDiceMetric):
    """Report the centerline Dice of an evaluator, or one of its halves; higher is better."""


class SkeletonRecallHandler(TopologyMetricHandler, metric_class=SkeletonRecallMetric):
    """Report the recall of the label's tubed skeleton in an evaluator; higher is better."""


class BranchDetectionHandler(TopologyMetricHandler, metric_class=BranchDetectionMetric):
    """Report the detected tree length or branches of an evaluator, a share or a count; higher is better."""


class VariationOfInformationHandler(TopologyMetricHandler, metric_class=VariationOfInformationMetric):
    """Report the variation of information of an evaluator, or one of its halves; lower is better."""


class AdaptedRandHandler(TopologyMetricHandler, metric_class=AdaptedRandMetric):
    """Report the adapted Rand error, precision or recall of an evaluator; the error is better when lower."""


class ComponentDetectionHandler(TopologyMetricHandler, metric_class=ComponentDetectionMetric):
    """Report the detection of components in an evaluator, a count or a rate."""


class ExpectedRunLengthHandler(TopologyMetricHandler, metric_class=ExpectedRunLengthMetric):
    """Report the expected run length of an evaluator, in mm or relative to a perfect prediction; higher is better."""


class InvalidNeighborsHandler(TopologyMetricHandler, metric_class=InvalidNeighborsMetric):
    """Report the number of invalid neighbors of each class in an evaluator; lower is better."""


class DiagramDistanceHandler(TopologyMetricHandler, metric_class=DiagramDistanceMetric):
    """Report the distance between persistence diagrams of an evaluator; lower is better.

    `output_transform` has to return likelihoods, not binarized predictions.
    """
