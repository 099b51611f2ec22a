"""Variation of information between the instances of prediction and label: false splits and false merges, in bits."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.typing import Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import per_mask
from monai_topo.metrics._instances import Ids, Instances, instance_pair, overlaps

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
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
    ignore_unlabeled: bool = True,
    unit: Unit = "bits",
) -> VariationOfInformation:
    r"""Compute the variation of information of every image and channel, split into false splits and false merges.

    With the share :math:`p_{ij}` of voxels that lie in instance :math:`i` of the label and :math:`j` of the prediction,

    .. math::

        \text{split} = H(P | L) = -\sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i\cdot}}, \quad
        \text{merge} = H(L | P) = -\sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{\cdot j}},

    and their sum. It weighs instances by volume: splitting a large cell costs more than a small one, and a shifted
    boundary costs too, so it mixes topology with geometry (Berger, Lux et al., arXiv 2412.14619).

    Instances are connected components: of the foreground, or of its complement (`"background"`: the cells between
    membranes, with the dual connectivity), or the ids that the tensors hold (`"given"`). Components that the image
    border cuts stay apart; there is no frame here.

    Voxels without an instance have id 0. With `ignore_unlabeled` those of the *label* are left out, as challenges do;
    what the prediction leaves unlabeled elsewhere counts as one more instance. Without it, id 0 is an instance like
    any other on both sides.

    Empty masks: a label without instances is NaN with `ignore_unlabeled` (nothing to judge). Otherwise every input has
    a value: an empty prediction is one instance, split 0 and merge the label's entropy; two empty or two equal masks
    have 0.

    Source: Meila, "Comparing clusterings - an information based distance", J. Multivariate Analysis 98, 2007. Equal to
    `skimage.metrics.variation_of_information(label, prediction, ignore_labels=(0,))`, or `()`, in bits.

    Cost: linear: numbering components, then one pass that counts pairs; about 2 s for two masks of 256^3, of which the
    table 0.3 s. Deterministic; no gradient. Needs scipy (`pip install 'monai_topo[metrics]'`) unless ids are given.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids a channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        instances: What the instances are: components of the `"foreground"`, of the `"background"`, or `"given"`.
        connectivity: Neighborhood of the foreground: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). The background
            has the other one. Of no matter for given ids.
        ignore_unlabeled: Leave out voxels where the label has no instance.
        unit: `"bits"` (logarithm to base 2) or `"nats"` (natural).

    Returns:
        `VariationOfInformation(split, merge, total)`, each `(B, C')` float32 on the device of `y_pred`.

    Raises:
        ImportError: When scipy is missing.
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values are no masks or ids, or a setting is unknown.

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
    check_choice("instances", instances, get_args(Instances))
    check_choice("unit", unit, get_args(Unit))
    pred, true = instance_pair(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    measure = partial(_entropies, ignore_unlabeled=ignore_unlabeled, unit=unit)
    return VariationOfInformation(*per_mask(pred, true, measure).to(y_pred.device).unbind(-1))


def _entropies(pred: Ids, true: Ids, *, ignore_unlabeled: bool, unit: Unit) -> tuple[float, float, float]:
    table = overlaps(pred, true, ignore_unlabeled=ignore_unlabeled)
    voxels = table.size.sum()
    if voxels == 0:
        return (float("nan"),) * 3
    log = np.log2 if unit == "bits" else np.log
    share = table.size / voxels
    # Written as a positive logarithm, so that perfect agreement is 0 and not -0.
    split = float((share * log(table.true_size[table.true] / table.size)).sum())
    merge = float((share * log(table.pred_size[table.pred] / table.size)).sum())
    return split, merge, split + merge


class VariationOfInformationMetric(TopologyMetric):
    """Collect the variation of information, or one of its halves, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_variation_of_information`; lower is
    better, 0 is best.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        instances: Components of the `"foreground"`, of the `"background"`, or `"given"` ids.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        ignore_unlabeled: Leave out voxels where the label has no instance.
        unit: `"bits"` or `"nats"`.
        part: `"split"`, `"merge"` or `"total"`.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> import torch
        >>> ids = torch.arange(4).view(1, 1, 2, 2)
        >>> metric = VariationOfInformationMetric(instances="given", ignore_unlabeled=False, part="split")
        >>> metric(ids, torch.ones_like(ids))
        tensor([[2.]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        instances: Instances = "foreground",
        connectivity: Connectivity = "full",
        ignore_unlabeled: bool = True,
        unit: Unit = "bits",
        part: Literal["split", "merge", "total"] = "total",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        check_choice("instances", instances, get_args(Instances))
        check_choice("unit", unit, get_args(Unit))
        check_choice("part", part, VariationOfInformation._fields)
        self.part = part
        super().__init__(
            compute_variation_of_information,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            instances=instances,
            connectivity=connectivity,
            ignore_unlabeled=ignore_unlabeled,
            unit=unit,
        )

    def report(self, result: VariationOfInformation) -> torch.Tensor:
        """Take the result to the part that is collected."""
        part: torch.Tensor = getattr(result, self.part)
        return part
