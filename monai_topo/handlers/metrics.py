"""The topology metrics as metrics of MONAI's engines, one handler a metric.

What `BettiErrorHandler` says about key and additional metrics holds for all of them. Each takes the settings of its
metric (`get_not_nans` excepted), `output_transform` and `save_details`.
"""

from __future__ import annotations

from monai_topo.handlers._base import TopologyMetricHandler
from monai_topo.metrics.adapted_rand import AdaptedRandMetric
from monai_topo.metrics.betti_matching import BettiMatchingMetric
from monai_topo.metrics.cldice import ClDiceMetric
from monai_topo.metrics.component_detection import ComponentDetectionMetric
from monai_topo.metrics.diagram_distance import DiagramDistanceMetric
from monai_topo.metrics.diu import DIUMetric
from monai_topo.metrics.euler_error import EulerErrorMetric
from monai_topo.metrics.skeleton_recall import SkeletonRecallMetric
from monai_topo.metrics.variation_of_information import VariationOfInformationMetric


class AdaptedRandHandler(TopologyMetricHandler):
    """Report the adapted Rand error, precision or recall of an evaluator; the error is better when lower.

    Holds a :py:class:`monai_topo.metrics.AdaptedRandMetric`, whose settings it takes.

    Example:
        >>> AdaptedRandHandler(instances="background", part="precision").metric_fn.part
        'precision'
    """

    metric_class = AdaptedRandMetric


class BettiMatchingHandler(TopologyMetricHandler):
    """Report Betti matching of an evaluator: the error, or precision, recall and F1 of topological features.

    Holds a :py:class:`monai_topo.metrics.BettiMatchingMetric`, whose settings it takes.

    Example:
        >>> BettiMatchingHandler(part="f1", dim=1).metric_fn.part
        'f1'
    """

    metric_class = BettiMatchingMetric


class ClDiceHandler(TopologyMetricHandler):
    """Report the centerline Dice of an evaluator, or one of its halves; higher is better.

    Holds a :py:class:`monai_topo.metrics.ClDiceMetric`, whose settings it takes.

    Example:
        >>> ClDiceHandler(part="sensitivity").metric_fn.part
        'sensitivity'
    """

    metric_class = ClDiceMetric


class ComponentDetectionHandler(TopologyMetricHandler):
    """Report the detection of components in an evaluator, a count or a rate.

    Holds a :py:class:`monai_topo.metrics.ComponentDetectionMetric`, whose settings it takes.

    Example:
        >>> ComponentDetectionHandler(part="recall", min_iou=0.1).metric_fn.min_iou
        0.1
    """

    metric_class = ComponentDetectionMetric


class DiagramDistanceHandler(TopologyMetricHandler):
    """Report the distance between persistence diagrams of an evaluator; lower is better.

    `output_transform` has to hand over likelihoods, not binarized predictions.

    Holds a :py:class:`monai_topo.metrics.DiagramDistanceMetric`, whose settings it takes.

    Example:
        >>> DiagramDistanceHandler(order=float("inf"), dim=1).metric_fn.order
        inf
    """

    metric_class = DiagramDistanceMetric


class DIUHandler(TopologyMetricHandler):
    """Report the discrepancy between intersection and union of an evaluator; lower is better.

    Holds a :py:class:`monai_topo.metrics.DIUMetric`, whose settings it takes.

    Example:
        >>> DIUHandler(border="foreground").metric_fn.border
        'foreground'
    """

    metric_class = DIUMetric


class EulerErrorHandler(TopologyMetricHandler):
    """Report the Euler characteristic error of an evaluator; lower is better.

    Holds a :py:class:`monai_topo.metrics.EulerErrorMetric`, whose settings it takes.

    Example:
        >>> EulerErrorHandler(border="foreground").metric_fn.border
        'foreground'
    """

    metric_class = EulerErrorMetric


class SkeletonRecallHandler(TopologyMetricHandler):
    """Report the recall of the label's tubed skeleton in an evaluator; higher is better.

    Holds a :py:class:`monai_topo.metrics.SkeletonRecallMetric`, whose settings it takes.

    Example:
        >>> SkeletonRecallHandler(tube_vox=0).metric_fn.tube_vox
        0
    """

    metric_class = SkeletonRecallMetric


class VariationOfInformationHandler(TopologyMetricHandler):
    """Report the variation of information of an evaluator, or one of its halves; lower is better.

    Holds a :py:class:`monai_topo.metrics.VariationOfInformationMetric`, whose settings it takes.

    Example:
        >>> VariationOfInformationHandler(unit="nats", part="merge").metric_fn.unit
        'nats'
    """

    metric_class = VariationOfInformationMetric
