"""Skeleton recall: how much of the label's centerline, or of a tube around it, is found."""

from __future__ import annotations

import torch
from monai.utils.enums import MetricReduction

from monai_topo._utils.typing import Mask
from monai_topo.masks.skeletons import tubed_skeleton
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import binary_pair, per_mask, ratio


def compute_skeleton_recall(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool = True, tube_vox: int = 2
) -> torch.Tensor:
    r"""Compute the recall of the label's tubed skeleton in every image and channel.

    :math:`|T_L \cap V_P| / |T_L|`, where :math:`T_L` is the skeleton of the label, dilated by `tube_vox` steps to face
    neighbors and cut to the label: a thin vessel counts in full, a thick one only near its centerline. With
    `tube_vox=0` it is the topology sensitivity of :py:func:`compute_cldice`. It says nothing of false branches, so
    report a precision beside it.

    Empty masks: NaN for an empty label (nothing to recall), 0 for an empty prediction, 1 for a full one.

    Source: Kirchhoff, Rokuss, Roy et al., "Skeleton recall loss for connectivity conserving and resource efficient
    segmentation of thin tubular structures", ECCV 2024 (arXiv 2404.03010), section 3; there a soft recall that is
    trained on, here of a binary prediction. Their tube is two dilations, the default here.

    Cost: one skeleton an image and class. Deterministic; no gradient. Needs scikit-image and scipy.

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        tube_vox: Dilations of the skeleton, in voxels; 0 takes the plain skeleton.

    Returns:
        `(B, C')` float32 on the device of `y_pred`, 1 is best.

    Raises:
        ImportError: When scikit-image or scipy is missing.
        TypeError: When `y_pred` or `y` is no tensor.
        ValueError: When shapes differ, values other than 0 and 1 occur, or `tube_vox` is impossible.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 3, 1:11] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 4:6] = 0
        >>> compute_skeleton_recall(prediction, label)
        tensor([[0.8000]])
    """
    _check_tube(tube_vox)
    pred, true = binary_pair(y_pred, y, include_background=include_background)

    def recall(pred_mask: Mask, true_mask: Mask) -> list[float]:
        tube = tubed_skeleton(true_mask, tube_vox=tube_vox)
        return [ratio(float((tube & pred_mask).sum()), float(tube.sum()))]

    return per_mask(pred, true, recall).squeeze(-1).to(y_pred.device)


class SkeletonRecallMetric(TopologyMetric):
    """Collect the recall of the label's tubed skeleton over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_skeleton_recall`; higher is better.

    Args:
        include_background: False drops channel 0; a single channel always stays.
        tube_vox: Dilations of the skeleton, in voxels; 0 takes the plain skeleton.
        reduction: How `aggregate` reduces images and channels, one of :py:class:`monai.utils.MetricReduction`.
        get_not_nans: Whether `aggregate` returns `(value, not_nans)`.

    Raises:
        ValueError: When a setting is impossible.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 3, 1:11] = 1
        >>> SkeletonRecallMetric(tube_vox=0)(torch.ones_like(label), label)
        tensor([[1.]])
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        tube_vox: int = 2,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        _check_tube(tube_vox)
        super().__init__(
            compute_skeleton_recall,
            reduction=reduction,
            get_not_nans=get_not_nans,
            include_background=include_background,
            tube_vox=tube_vox,
        )


def _check_tube(tube_vox: int) -> None:
    """Refuse what is no number of dilations."""
    if isinstance(tube_vox, bool) or not isinstance(tube_vox, int) or tube_vox < 0:
        raise ValueError(f"Expected `tube_vox` to be a whole number of voxels, at least 0, but got {tube_vox!r}.")
