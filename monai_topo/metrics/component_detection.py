"""Component-level detection: which components of the label are found, and which predicted ones are false."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Connectivity
from monai_topo.metrics._inputs import check_below_one, map_masks, ratio
from monai_topo.metrics._instances import Ids, InstanceMetric, Instances, count_overlaps, label_instances


class ComponentDetection(NamedTuple):
    """Counts of matched, false and missed components, and their rates; each `(B, C)` float32."""

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
    min_iou: float = 0.5,
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
) -> ComponentDetection:
    r"""Match the components of prediction and label one to one by overlap, and count matched, false and missed ones.

    A predicted and a true component may be matched if their intersection over union is greater than `min_iou`; with 0
    any overlap suffices. True positives are the pairs of a maximum matching, in which each component is used at most
    once: a prediction that merges two true components is one true positive and one false negative. From 0.5 on no
    component has two candidates, and the matching is that of panoptic quality. Below 0.5 the number of pairs is the
    same for every maximum matching.

    :math:`\text{precision} = TP / (TP + FP)`, :math:`\text{recall} = TP / (TP + FN)`, :math:`F_1 = 2 TP / (2 TP + FP +
    FN)`.

    Empty masks: counts always have a value. 0 / 0 is NaN: precision for a prediction without components, recall for a
    label without components, :math:`F_1` only if both have none (0 if only one has none). A full mask is one component.
    `monai.metrics.ConfusionMatrixMetric` has the same rates per voxel.

    Source: Kirillov, He, Girshick et al., "Panoptic segmentation", CVPR 2019, section 4.1, for the strict threshold and
    one-to-one matching; the greedy matching of Kofler et al., "Panoptica" (arXiv 2312.02608), gives the same from 0.5
    on. The maximum matching below 0.5 is ours, since its size does not depend on an order.

    Cost: linear for the components; the matching depends on the number of overlapping pairs. Deterministic; no
    gradient. Needs scipy (`pip install 'monai_topo[metrics]'`) if a component has two candidates, which happens only
    for `min_iou` below 0.5.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids per channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        min_iou: Intersection over union above which two components may be matched, at least 0 and below 1.
        instances: Components of the `"foreground"`, components of the `"background"` (cells between membranes), or
            `"given"` ids, where 0 is not an instance.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one. Not used for given ids.

    Returns:
        `ComponentDetection(true_positives, false_positives, false_negatives, precision, recall, f1)`, each `(B, C')`
        float32 on the device of `y_pred`.

    Raises:
        ImportError: If scipy is needed but not installed.
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values are neither masks nor ids, or a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 0, 0, 1, 1, 0, 0, 0]]]])
        >>> prediction = torch.tensor([[[[0, 1, 1, 0, 0, 0, 0, 0, 0, 1]]]])  # one found, one missed, one false
        >>> found = compute_component_detection(prediction, label)
        >>> found.true_positives, found.false_positives, found.false_negatives, found.f1
        (tensor([[1.]]), tensor([[1.]]), tensor([[1.]]), tensor([[0.5000]]))
    """
    check_below_one("min_iou", min_iou)
    pred, true = label_instances(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    measure = partial(_measure, min_iou=min_iou)
    return ComponentDetection(*map_masks(measure, pred, true).to(y_pred.device).unbind(-1))


def _measure(pred: Ids, true: Ids, *, min_iou: float) -> tuple[float, ...]:
    table = count_overlaps(pred, true)
    found, wanted = (int((sizes[1:] > 0).sum()) for sizes in (table.pred_size, table.true_size))
    union = table.true_size[table.true] + table.pred_size[table.pred] - table.size
    matchable = (table.true > 0) & (table.pred > 0) & (table.size / union > min_iou)
    hits = _count_matching(table.true[matchable], table.pred[matchable])
    rates = ratio(hits, found), ratio(hits, wanted), ratio(2 * hits, found + wanted)
    return hits, found - hits, wanted - hits, *rates


def _count_matching(true: Ids, pred: Ids) -> int:
    """Return the size of a maximum one-to-one matching within the given pairs."""
    if len(np.unique(true)) == len(np.unique(pred)) == len(true):  # no component has two candidates
        return len(true)
    sparse = require("scipy.sparse", "scipy")
    # SciPy before 1.13 finds no matching in a graph with indices of 64 bits.
    graph = sparse.csr_array((np.ones(len(true), dtype=bool), (true.astype(np.int32), pred.astype(np.int32))))
    matched = require("scipy.sparse.csgraph", "scipy").maximum_bipartite_matching(graph)
    return int((matched >= 0).sum())


@dataclass(kw_only=True, eq=False)
class ComponentDetectionMetric(InstanceMetric, compute=compute_component_detection, parts=ComponentDetection._fields):
    """Collect the detection of components over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_component_detection`. The rates are
    those of each case; for rates over all cases, collect the three counts with `reduction="sum"`.

    Args:
        part: `"true_positives"`, `"false_positives"`, `"false_negatives"`, `"precision"`, `"recall"` or `"f1"`.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 0, 0, 1, 1, 0, 0, 0]]]])
        >>> ComponentDetectionMetric(part="recall")(torch.ones_like(label), label)
        tensor([[0.]])
        >>> ComponentDetectionMetric(part="recall", min_iou=0)(torch.ones_like(label), label)
        tensor([[0.5000]])
    """

    min_iou: float = 0.5
    part: Literal["true_positives", "false_positives", "false_negatives", "precision", "recall", "f1"] = "f1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_below_one("min_iou", self.min_iou)
