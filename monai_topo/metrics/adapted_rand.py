"""Adapted Rand error between the instances of prediction and label: do pairs of voxels belong together in both."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.typing import Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import per_mask, ratio
from monai_topo.metrics._instances import Ids, Instances, instance_pair, overlaps


class AdaptedRand(NamedTuple):
    """Adapted Rand error (0 is best) with precision and recall (1 is best), each `(B, C)`."""

    error: torch.Tensor
    precision: torch.Tensor
    recall: torch.Tensor


def compute_adapted_rand(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool = True,
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
    ignore_unlabeled: bool = True,
) -> AdaptedRand:
    r"""Compute adapted Rand error, precision and recall of every image and channel.

    Over pairs of different voxels: with the number of voxels :math:`n_{ij}` that lie in instance :math:`i` of the label
    and :math:`j` of the prediction, and :math:`[n] = n (n - 1)`,

    .. math::

        \text{precision} = \frac{\sum_{ij} [n_{ij}]}{\sum_j [n_{\cdot j}]}, \quad
        \text{recall} = \frac{\sum_{ij} [n_{ij}]}{\sum_i [n_{i\cdot}]}, \quad
        \text{error} = 1 - \frac{2 \sum_{ij} [n_{ij}]}{\sum_j [n_{\cdot j}] + \sum_i [n_{i\cdot}]}.

    Precision falls with false merges, recall with false splits. Large instances count by the square of their volume.

    What the instances are, and what `ignore_unlabeled` leaves out, is as in
    :py:func:`monai_topo.metrics.compute_variation_of_information`.

    Empty masks: 0 / 0 is NaN. So all three are NaN for a label without instances (with `ignore_unlabeled`), precision
    is NaN where no two voxels share a predicted instance, recall where none share one of the label. Otherwise every
    input has a value; an empty prediction is one instance: recall 1 and a precision that says how much that merges.

    Source: Arganda-Carreras, Turaga, Berger et al., "Crowdsourcing the creation of image segmentation algorithms for
    connectomics", Front. Neuroanat. 9:142, 2015. The error equals
    `skimage.metrics.adapted_rand_error(label, prediction)[0]`. scikit-image 0.26 hands out what it calls precision and
    recall the other way round from its own documentation and from the paper; here a merge costs precision.

    Cost: linear, as the variation of information; integers throughout, so exact before the division. Deterministic; no
    gradient. Needs scipy (`pip install 'monai_topo[metrics]'`) unless ids are given.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids a channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        instances: What the instances are: components of the `"foreground"`, of the `"background"`, or `"given"`.
        connectivity: Neighborhood of the foreground: `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6). The background
            has the other one. Of no matter for given ids.
        ignore_unlabeled: Leave out voxels where the label has no instance.

    Returns:
        `AdaptedRand(error, precision, recall)`, each `(B, C')` float32 on the device of `y_pred`.

    Raises:
        ImportError: When scipy is missing.
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values are no masks or ids, or a setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 1, 2, 2, 2, 2]]]])
        >>> error, precision, recall = compute_adapted_rand(torch.ones_like(label), label, instances="given")
        >>> precision, recall
        (tensor([[0.4286]]), tensor([[1.]]))
    """
    check_choice("instances", instances, get_args(Instances))
    pred, true = instance_pair(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    measure = partial(_adapted_rand, ignore_unlabeled=ignore_unlabeled)
    return AdaptedRand(*per_mask(pred, true, measure).to(y_pred.device).unbind(-1))


def _adapted_rand(pred: Ids, true: Ids, *, ignore_unlabeled: bool) -> tuple[float, float, float]:
    table = overlaps(pred, true, ignore_unlabeled=ignore_unlabeled)
    both, in_pred, in_true = (_pairs(size) for size in (table.size, table.pred_size, table.true_size))
    return 1 - ratio(2 * both, in_pred + in_true), ratio(both, in_pred), ratio(both, in_true)


def _pairs(size: Ids) -> int:
    return int((size * (size - 1)).sum())


class AdaptedRandMetric(TopologyMetric):
    """Collect the adapted Rand error, or precision or recall, over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_adapted_rand`. The error is best at 0,
    precision and recall at 1.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        instances: Components of the `"foreground"`, of the `"background"`, or `"given"` ids.
        connectivity: Neighborhood of the foreground, `"full"` or `"face"`.
        ignore_unlabeled: Leave out voxels where the label has no instance.
        part: `"error"`, `"precision"` or `"recall"`.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 1, 2, 2, 2, 2]]]])
        >>> AdaptedRandMetric(instances="given", part="precision")(torch.ones_like(label), label)
        tensor([[0.4286]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        instances: Instances = "foreground",
        connectivity: Connectivity = "full",
        ignore_unlabeled: bool = True,
        part: Literal["error", "precision", "recall"] = "error",
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        check_choice("instances", instances, get_args(Instances))
        check_choice("part", part, AdaptedRand._fields)
        self.part = part
        super().__init__(
            compute_adapted_rand,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            instances=instances,
            connectivity=connectivity,
            ignore_unlabeled=ignore_unlabeled,
        )

    def report(self, result: AdaptedRand) -> torch.Tensor:
        """Take the result to the part that is collected."""
        part: torch.Tensor = getattr(result, self.part)
        return part
