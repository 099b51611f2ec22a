"""Component-level detection: which connected components of the label are found, which of the prediction are false."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import per_mask, ratio
from monai_topo.metrics._instances import Ids, Instances, instance_pair, overlaps


class ComponentDetection(NamedTuple):
    """Counts of matched, false and missed components, and the rates made of them; each `(B, C)` float32."""

    true_positives: torch.Tensor
    false_positives: torch.Tensor
    false_negatives: torch.Tensor
    precision: torch.Tensor
    recall: torch.Tensor
    f1: torch.Tensor


def compute_component_detection(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
    min_iou: float = 0.5,
) -> ComponentDetection:
    r"""Match the components of prediction and label one to one by overlap and count hits, false and missed ones.

    A predicted and a true component may be matched if their intersection over union is greater than `min_iou`; 0 lets
    any overlap do. True positives are the pairs of a largest matching, in which each component is used once: a
    prediction that merges two true components is one hit and one miss. From 0.5 on no component has two candidates and
    the matching is that of panoptic quality; below, the number of pairs is the same for every largest matching.

    :math:`\text{precision} = TP / (TP + FP)`, :math:`\text{recall} = TP / (TP + FN)`, :math:`F_1 = 2 TP / (2 TP + FP +
    FN)`.

    Empty masks: counts always have a value. 0 / 0 is NaN: precision for a prediction without components, recall for a
    label without, :math:`F_1` only if both have none (0 if just one has none). A full mask is one component. Voxel by
    voxel, `monai.metrics.ConfusionMatrixMetric` has the same rates.

    Source: Kirillov, He, Girshick et al., "Panoptic segmentation", CVPR 2019, section 4.1, for the strict threshold and
    one-to-one matching; the greedy matching of Kofler et al., "Panoptica" (arXiv 2312.02608), gives the same from 0.5
    on. The largest matching below 0.5 is ours, since it alone does not depend on an order.

    Cost: linear for the components; matching in the number of overlapping pairs. Deterministic; no gradient. Needs
    scipy (`pip install 'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids a channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        instances: What is detected: components of the `"foreground"`, of the `"background"` (cells between membranes),
            or `"given"` ids, 0 being none.
        connectivity: Neighborhood of the foreground: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). The background
            has the other one. Of no matter for given ids.
        min_iou: Intersection over union above which two components may be matched, 0 to below 1.

    Returns:
        `ComponentDetection(true_positives, false_positives, false_negatives, precision, recall, f1)`, each `(B, C')`
        float32 on the device of `y_pred`.

    Raises:
        ImportError: When scipy is missing.
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values are no masks or ids, or a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 0, 0, 1, 1, 0, 0, 0]]]])
        >>> prediction = torch.tensor([[[[0, 1, 1, 0, 0, 0, 0, 0, 0, 1]]]])  # one found, one missed, one false
        >>> found = compute_component_detection(prediction, label)
        >>> found.true_positives, found.false_positives, found.false_negatives, found.f1
        (tensor([[1.]]), tensor([[1.]]), tensor([[1.]]), tensor([[0.5000]]))
    """
    check_choice("instances", instances, get_args(Instances))
    _check_min_iou(min_iou)
    pred, true = instance_pair(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    return ComponentDetection(*per_mask(pred, true, partial(_detection, min_iou=min_iou)).to(y_pred.device).unbind(-1))


def _detection(pred: Ids, true: Ids, *, min_iou: float) -> tuple[float, ...]:
    table = overlaps(pred, true)
    found, wanted = (int((sizes[1:] > 0).sum()) for sizes in (table.pred_size, table.true_size))
    union = table.true_size[table.true] + table.pred_size[table.pred] - table.size
    matchable = (table.true > 0) & (table.pred > 0) & (table.size / union > min_iou)
    hits = _largest_matching(table.true[matchable], table.pred[matchable])
    rates = ratio(hits, found), ratio(hits, wanted), ratio(2 * hits, found + wanted)
    return hits, found - hits, wanted - hits, *rates


def _largest_matching(true: Ids, pred: Ids) -> int:
    """Size of a largest one-to-one matching within the given pairs."""
    if len(np.unique(true)) == len(np.unique(pred)) == len(true):  # nobody has two candidates
        return len(true)
    sparse = require("scipy.sparse", "scipy")
    graph = sparse.csr_array((np.ones(len(true), dtype=bool), (true, pred)))
    matched = require("scipy.sparse.csgraph", "scipy").maximum_bipartite_matching(graph)
    return int((matched >= 0).sum())


class ComponentDetectionMetric(TopologyMetric):
    """Collect the detection of components over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_component_detection`. Rates are those
    of each case; for rates over all cases, collect the three counts with `reduction="sum"`.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        instances: Components of the `"foreground"`, of the `"background"`, or `"given"` ids.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        min_iou: Intersection over union above which two components may be matched.
        part: `"true_positives"`, `"false_positives"`, `"false_negatives"`, `"precision"`, `"recall"` or `"f1"`.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 0, 0, 1, 1, 0, 0, 0]]]])
        >>> ComponentDetectionMetric(part="recall")(torch.ones_like(label), label)
        tensor([[0.]])
        >>> ComponentDetectionMetric(part="recall", min_iou=0)(torch.ones_like(label), label)
        tensor([[0.5000]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        instances: Instances = "foreground",
        connectivity: Connectivity = "full",
        min_iou: float = 0.5,
        part: Literal["true_positives", "false_positives", "false_negatives", "precision", "recall", "f1"] = "f1",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        check_choice("instances", instances, get_args(Instances))
        check_choice("part", part, ComponentDetection._fields)
        _check_min_iou(min_iou)
        self.part = part
        super().__init__(
            compute_component_detection,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            instances=instances,
            connectivity=connectivity,
            min_iou=min_iou,
        )

    def report(self, result: ComponentDetection) -> torch.Tensor:
        """Take the result to the part that is collected."""
        part: torch.Tensor = getattr(result, self.part)
        return part


def _check_min_iou(min_iou: float) -> None:
    if not 0 <= min_iou < 1:
        raise ValueError(f"Expected `min_iou` to be at least 0 and below 1, but got {min_iou!r}.")
