"""Variation of information between the instances of prediction and label: false splits and false merges, in bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from monai_topo._utils.typing import Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.metrics._inputs import map_masks
from monai_topo.metrics._instances import Ids, InstanceMetric, Instances, count_overlaps, label_instances

Unit = Literal["bits", "nats"]


class VariationOfInformation(NamedTuple):
    """The two conditional entropies and their sum, each `(B, C)`, 0 is best."""

    split: torch.Tensor
    merge: torch.Tensor
    total: torch.Tensor


def compute_variation_of_information(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    unit: Unit = "bits",
    ignore_unlabeled: bool = True,
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
) -> VariationOfInformation:
    r"""Compute the variation of information of every image and channel, split into false splits and false merges.

    With the share :math:`p_{ij}` of voxels that lie in instance :math:`i` of the label and :math:`j` of the prediction,

    .. math::

        \text{split} = H(P | L) = -\sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i\cdot}}, \quad
        \text{merge} = H(L | P) = -\sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{\cdot j}},

    and their sum. Instances are weighted by volume: splitting a large cell costs more than splitting a small one, and
    a shifted boundary has a cost too, so the measure mixes topology with geometry (Berger, Lux et al.,
    arXiv 2412.14619).

    Instances are the connected components of the foreground, those of its complement (`"background"`: the cells between
    membranes, with the dual connectivity), or the ids that the tensors hold (`"given"`). Components that the image
    border cuts into parts stay separate; there is no `border` setting.

    Voxels without an instance have id 0. With `ignore_unlabeled`, voxels without an instance in the *label* are
    ignored, as in challenges; the remaining voxels without a predicted instance count as one more instance. Without
    `ignore_unlabeled`, id 0 is an instance like any other in both images.

    Empty masks: a label without instances gives NaN with `ignore_unlabeled`, since no voxel remains. Every other input
    has a value. An empty prediction is one instance: split 0, merge the entropy of the label. Two empty or two equal
    masks have 0.

    Source: Meila, "Comparing clusterings - an information based distance", J. Multivariate Analysis 98, 2007. Equal to
    `skimage.metrics.variation_of_information(label, prediction, ignore_labels=(0,))`, or `()`, in bits.

    Cost: linear: component labeling, then one pass that counts pairs of ids; about 1 s for two masks of 256^3.
    Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids per channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        unit: `"bits"` (logarithm to base 2) or `"nats"` (natural).
        ignore_unlabeled: Whether to ignore voxels where the label has no instance.
        instances: Components of the `"foreground"`, components of the `"background"`, or `"given"` ids.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one. Not used for given ids.

    Returns:
        `VariationOfInformation(split, merge, total)`, each `(B, C')` float32 on the device of `y_pred`.

    Raises:
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values are neither masks nor ids, or a setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 3, 8)
        >>> label[..., 1, :] = 1  # a membrane between two cells
        >>> prediction = label.clone()
        >>> prediction[..., 1, 3] = 0  # with a hole: the cells are one
        >>> split, merge, total = compute_variation_of_information(prediction, label, instances="background")
        >>> split, merge
        (tensor([[0.]]), tensor([[1.]]))
    """
    _check_unit(unit)
    pred, true = label_instances(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    measure = partial(_measure, ignore_unlabeled=ignore_unlabeled, unit=unit)
    return VariationOfInformation(*map_masks(measure, pred, true).to(y_pred.device).unbind(-1))


def _check_unit(unit: object) -> None:
    check_choice("unit", unit, get_args(Unit))


def _measure(pred: Ids, true: Ids, *, ignore_unlabeled: bool, unit: Unit) -> tuple[float, float, float]:
    table = count_overlaps(pred, true, ignore_unlabeled=ignore_unlabeled)
    voxels = table.size.sum()
    if voxels == 0:
        return (float("nan"),) * 3
    log = np.log2 if unit == "bits" else np.log
    share = table.size / voxels
    # Written as a positive logarithm, so that perfect agreement is 0 and not -0.
    split = float((share * log(table.true_size[table.true] / table.size)).sum())
    merge = float((share * log(table.pred_size[table.pred] / table.size)).sum())
    return split, merge, split + merge


@dataclass(kw_only=True, eq=False)
class VariationOfInformationMetric(
    InstanceMetric, compute=compute_variation_of_information, parts=VariationOfInformation._fields
):
    """Collect the variation of information, or one of its halves, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_variation_of_information`; lower is
    better, 0 is best.

    Args:
        part: `"split"`, `"merge"` or `"total"`.

    Example:
        >>> import torch
        >>> ids = torch.arange(4).view(1, 1, 2, 2)
        >>> metric = VariationOfInformationMetric(instances="given", ignore_unlabeled=False, part="split")
        >>> metric(ids, torch.ones_like(ids))
        tensor([[2.]])
    """

    ignore_unlabeled: bool = True
    unit: Unit = "bits"
    part: Literal["split", "merge", "total"] = "total"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_unit(self.unit)
