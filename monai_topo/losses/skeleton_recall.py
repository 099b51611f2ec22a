"""Skeleton recall: how much of a tubed skeleton of the label the prediction covers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from monai_topo.losses._base import LikelihoodLoss

__all__ = ["SkeletonRecallLoss"]


@dataclass(eq=False, repr=False, kw_only=True)
class SkeletonRecallLoss(LikelihoodLoss):
    r"""Penalize the part of a skeleton of thin structures that the prediction misses: one minus a soft recall.

    .. math:: L = 1 - \frac{\sum_v p_v s_v}{\sum_v s_v}

    with the likelihood `p` and a tubed skeleton `s` of the label, in 2D and 3D. The tubed skeleton is a skeleton
    dilated by a small radius; the transform `TubedSkeleton` makes it once, in the preprocessing. A break costs its
    share of the skeleton, however many voxels the vessel has there. The loss asks for no background and does not see
    loops or components: false positives and false bridges are free, so combine it with a pixel loss
    (`TopologyAwareLoss`).

    The target of the call is the skeleton, `(B, C, *spatial)`, 0 and 1, or class indices with `to_onehot_y`. A class
    without a skeleton in an image (with `batch=True` in the whole batch) has loss 0 and no gradient.

    Source: Kirchhoff et al., "Skeleton Recall Loss for Connectivity Conserving and Resource Efficient Segmentation of
    Thin Tubular Structures", ECCV 2024 (arXiv 2404.03010). The authors' code minimizes the negative recall, with a
    small number added to numerator and denominator. Here the loss is one minus the recall, 0 at agreement, and nothing
    is added. In both, images of a batch are pooled on request, and the background class is refused.

    Args:
        batch: Pool the images of a batch, so that each voxel of a class has the same weight in all images. The
            reduction is then over classes, and `"none"` gives `(1, C, 1, 1[, 1])`.

    The remaining arguments are those of :py:class:`LikelihoodLoss`. `to_onehot_y` needs `include_background=False`:
    channel 0 would be everything that is not skeleton. Voxels where the skeleton has the value `ignore_index` do not
    count.

    Raises:
        TypeError: If `other_act` is not callable, or an option is unknown.
        ValueError: If an option has a wrong value; at the call if the input is not finite, not in [0, 1], or not 2D or
            3D, or if the skeleton is not binary.

    Cost: two sums over the voxels, on the device of the input.

    Example:
        >>> import torch
        >>> skeleton = torch.tensor([[[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]]])
        >>> prediction = torch.tensor([[[[0.9, 0.9, 0.9, 0.9], [1.0, 0.0, 1.0, 1.0]]]])
        >>> SkeletonRecallLoss()(prediction, skeleton)
        tensor(0.2500)
    """

    batch: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to_onehot_y and self.include_background:
            raise ValueError(
                "Expected `include_background` to be False with `to_onehot_y`, but got True: channel 0 would be "
                "everything that is not skeleton, and its recall would reward background next to the skeleton."
            )

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Compute one minus the recall, `(B, C)`, or `(1, C)` with `batch=True`."""
        covered, size = (likelihood * target).flatten(2).sum(2), target.flatten(2).sum(2)
        if self.batch:
            covered, size = covered.sum(0, keepdim=True), size.sum(0, keepdim=True)
        return (size - covered) / size.clamp(min=1)
