"""Skeleton recall: how much of the label's centerline, or of a tube around it, is found."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_topo._utils.typing import Mask
from monai_topo.masks.skeletons import tubed_skeleton
from monai_topo.metrics._base import TopologyMetric
from monai_topo.metrics._inputs import check_masks, map_masks, ratio


def compute_skeleton_recall(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool = True, tube_vox: int = 2
) -> torch.Tensor:
    r"""Compute the recall of the label's tubed skeleton in every image and channel.

    :math:`|T_L \cap V_P| / |T_L|`, where :math:`T_L` is the skeleton of the label, dilated by `tube_vox` steps to face
    neighbors and restricted to the label: a thin vessel counts in full, a thick vessel only near its centerline. With
    `tube_vox=0` it is the topology sensitivity of :py:func:`compute_cldice`. It does not measure false branches, so
    report a precision with it.

    Empty masks: NaN for an empty label (nothing to recall), 0 for an empty prediction, 1 for a full prediction.

    Source: Kirchhoff, Rokuss, Roy et al., "Skeleton recall loss for connectivity conserving and resource efficient
    segmentation of thin tubular structures", ECCV 2024 (arXiv 2404.03010), section 3; there a soft recall for
    training, here the recall of a binary prediction. Their tube is two dilations, the default here.

    Cost: one skeleton per image and class. Deterministic; no gradient. Needs scikit-image and scipy (`pip install
    'monai_topo[metrics]'`).

    Args:
        y_pred: Binarized prediction, `(B, C, H, W)` or `(B, C, D, H, W)`, values 0 and 1 of any dtype, any device.
        y: Binarized label of the same shape.
        include_background: False drops channel 0; a single channel always stays, as in `monai.metrics`.
        tube_vox: Number of dilations of the skeleton, in voxels; 0 takes the plain skeleton.

    Returns:
        `(B, C')` float32 on the device of `y_pred`, 1 is best.

    Raises:
        ImportError: If scikit-image or scipy is not installed.
        TypeError: If `y_pred` or `y` is not a tensor.
        ValueError: If shapes differ, values other than 0 and 1 occur, or `tube_vox` is impossible.

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
    pred, true = check_masks(y_pred, y, include_background=include_background)

    def recall(pred_mask: Mask, true_mask: Mask) -> list[float]:
        tube = tubed_skeleton(true_mask, tube_vox=tube_vox)
        return [ratio(float((tube & pred_mask).sum()), float(tube.sum()))]

    return map_masks(recall, pred, true).squeeze(-1).to(y_pred.device)


def _check_tube(tube_vox: int) -> None:
    if isinstance(tube_vox, bool) or not isinstance(tube_vox, int) or tube_vox < 0:
        raise ValueError(f"Expected `tube_vox` to be a whole number of voxels, at least 0, but got {tube_vox!r}.")


@dataclass(kw_only=True, eq=False)
class SkeletonRecallMetric(TopologyMetric, compute=compute_skeleton_recall):
    """Collect the recall of the label's tubed skeleton over iterations, images and ranks.

    Definition and empty cases are those of :py:func:`monai_topo.metrics.compute_skeleton_recall`; higher is better.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 3, 1:11] = 1
        >>> SkeletonRecallMetric(tube_vox=0)(torch.ones_like(label), label)
        tensor([[1.]])
    """

    tube_vox: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tube(self.tube_vox)
