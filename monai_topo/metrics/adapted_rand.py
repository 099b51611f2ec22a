"""Adapted Rand error between the instances of prediction and label: do pairs of voxels belong together in both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch

from monai_topo._utils.typing import Connectivity
from monai_topo.metrics._inputs import map_masks, ratio
from monai_topo.metrics._instances import Ids, InstanceMetric, Instances, count_overlaps, label_instances


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
    ignore_unlabeled: bool = True,
    instances: Instances = "foreground",
    connectivity: Connectivity = "full",
) -> AdaptedRand:
    r"""Compute adapted Rand error, precision and recall of every image and channel.

    Over pairs of different voxels: with the number of voxels :math:`n_{ij}` that lie in instance :math:`i` of the label
    and :math:`j` of the prediction, and :math:`[n] = n (n - 1)`,

    .. math::

        \text{precision} = \frac{\sum_{ij} [n_{ij}]}{\sum_j [n_{\cdot j}]}, \quad
        \text{recall} = \frac{\sum_{ij} [n_{ij}]}{\sum_i [n_{i\cdot}]}, \quad
        \text{error} = 1 - \frac{2 \sum_{ij} [n_{ij}]}{\sum_j [n_{\cdot j}] + \sum_i [n_{i\cdot}]}.

    Precision falls with false merges, recall with false splits. Large instances count by the square of their volume.

    Instances and `ignore_unlabeled` have the same meaning as in
    :py:func:`monai_topo.metrics.compute_variation_of_information`.

    Empty masks: 0 / 0 is NaN. All three values are NaN for a label without instances (with `ignore_unlabeled`).
    Precision is NaN if no two voxels share a predicted instance, recall if no two voxels share a true instance. Every
    other input has a value. An empty prediction is one instance: its recall is 1, and its precision measures how much
    this instance merges.

    Source: Arganda-Carreras, Turaga, Berger et al., "Crowdsourcing the creation of image segmentation algorithms for
    connectomics", Front. Neuroanat. 9:142, 2015. The error equals
    `skimage.metrics.adapted_rand_error(label, prediction)[0]`. scikit-image 0.26 returns precision and recall in the
    opposite order to its own documentation and to the paper; here a merge lowers precision.

    Cost: linear, as for the variation of information. All sums are integers, so they are exact before the division.
    Deterministic; no gradient.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, any dtype and device; or instance ids, whole
            numbers from 0 on of any dtype, one image of ids per channel.
        y: Binarized label or ids, of the same shape.
        include_background: False drops *channel* 0; a single channel always stays, as in `monai.metrics`.
        ignore_unlabeled: Whether to ignore voxels where the label has no instance.
        instances: Components of the `"foreground"`, components of the `"background"`, or `"given"` ids.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one. Not used for given ids.

    Returns:
        `AdaptedRand(error, precision, recall)`, each `(B, C')` float32 on the device of `y_pred`.

    Raises:
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values are neither masks nor ids, or a setting is unknown.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 1, 2, 2, 2, 2]]]])
        >>> error, precision, recall = compute_adapted_rand(torch.ones_like(label), label, instances="given")
        >>> precision, recall
        (tensor([[0.4286]]), tensor([[1.]]))
    """
    pred, true = label_instances(
        y_pred, y, include_background=include_background, instances=instances, connectivity=connectivity
    )
    measure = partial(_measure, ignore_unlabeled=ignore_unlabeled)
    return AdaptedRand(*map_masks(measure, pred, true).to(y_pred.device).unbind(-1))


def _measure(pred: Ids, true: Ids, *, ignore_unlabeled: bool) -> tuple[float, float, float]:
    table = count_overlaps(pred, true, ignore_unlabeled=ignore_unlabeled)
    both, in_pred, in_true = (_count_pairs(size) for size in (table.size, table.pred_size, table.true_size))
    return 1 - ratio(2 * both, in_pred + in_true), ratio(both, in_pred), ratio(both, in_true)


def _count_pairs(size: Ids) -> int:
    return int((size * (size - 1)).sum())


@dataclass(kw_only=True, eq=False)
class AdaptedRandMetric(InstanceMetric, compute=compute_adapted_rand, parts=AdaptedRand._fields):
    """Collect the adapted Rand error, precision or recall over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_adapted_rand`. The error is best at 0,
    precision and recall at 1.

    Args:
        part: `"error"`, `"precision"` or `"recall"`.

    Example:
        >>> import torch
        >>> label = torch.tensor([[[[1, 1, 1, 1, 2, 2, 2, 2]]]])
        >>> AdaptedRandMetric(instances="given", part="precision")(torch.ones_like(label), label)
        tensor([[0.4286]])
    """

    ignore_unlabeled: bool = True
    part: Literal["error", "precision", "recall"] = "error"
