"""Skeleton recall: how much of a tubed skeleton of the label the prediction covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monai.utils import LossReduction
from torch import Tensor

from monai_topo.losses._base import LikelihoodLoss

__all__ = ["SkeletonRecallLoss"]


class SkeletonRecallLoss(LikelihoodLoss):
    r"""Cover the skeleton of thin structures, in 2D and 3D: one minus a soft recall.

    .. math:: L = 1 - \frac{\sum_v p_v s_v}{\sum_v s_v}

    with the likelihood `p` and a tubed skeleton `s` of the label: its skeleton thickened a little, made once, in the
    preprocessing, where a transform is at home (`TubedSkeleton`). A break costs what it takes of the skeleton, however
    many voxels the vessel has there. The loss asks for no background anywhere and knows neither loops nor components:
    false positives and false bridges are free, so it belongs beside a pixel loss (`TopologyAwareLoss`).

    Source: Kirchhoff et al., "Skeleton Recall Loss for Connectivity Conserving and Resource Efficient Segmentation of
    Thin Tubular Structures", ECCV 2024 (arXiv 2404.03010). The authors' code minimizes the negative recall, with a
    small number added above and below the fraction bar; here it is one minus the recall, 0 at agreement, and nothing is
    added. There as here images of a batch are pooled on request, and the background class is refused.

    Args:
        include_background: if False, channel 0 is left out.
        to_onehot_y: convert a skeleton of class indices to one-hot channels. Needs `include_background=False`: channel
            0 would be everything that is no skeleton.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation; the result must be a likelihood in [0, 1].
        batch: pool the images of a batch, so that a class counts by its voxels rather than by image.
        reduction: `"mean"` or `"sum"` over batch (if it is not pooled) and classes, or `"none"`: `(B, C, 1, 1[, 1])`,
            `(1, C, 1, 1[, 1])` with `batch=True`.
        weight: of the classes, one number or one a class; a class of weight 0 is not computed.
        ignore_index: voxels where the skeleton has this value do not count.

    The target of the call is the skeleton, `(B, C, *spatial)`, 0 and 1, or class indices with `to_onehot_y`. A class
    without any skeleton in an image (with `batch=True` in the whole batch) has loss 0 and no gradient.

    Raises:
        TypeError: if `other_act` is not callable.
        ValueError: for a setting that is not one of the above; at the call for an input that is not finite, not in
            [0, 1], not 2D or 3D, and for a skeleton that is not binary.

    Cost: two sums over the voxels, on the device of the input.

    Example:
        >>> import torch
        >>> skeleton = torch.tensor([[[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]]])
        >>> prediction = torch.tensor([[[[0.9, 0.9, 0.9, 0.9], [1.0, 0.0, 1.0, 1.0]]]])
        >>> SkeletonRecallLoss()(prediction, skeleton)
        tensor(0.2500)
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        *,
        batch: bool = False,
        reduction: LossReduction | str = LossReduction.MEAN,
        weight: Sequence[float] | float | Tensor | None = None,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(
            include_background,
            to_onehot_y,
            sigmoid,
            softmax,
            other_act,
            reduction=reduction,
            weight=weight,
            ignore_index=ignore_index,
        )
        if to_onehot_y and include_background:
            raise ValueError(
                "Expected `include_background` to be False with `to_onehot_y`, but got True: channel 0 would be "
                "everything that is no skeleton, and a recall of it asks for background beside the skeleton."
            )
        self.batch = batch

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """One minus the recall, `(B, C)`, or `(1, C)` with `batch=True`."""
        covered, size = (likelihood * target).flatten(2).sum(2), target.flatten(2).sum(2)
        if self.batch:
            covered, size = covered.sum(0, keepdim=True), size.sum(0, keepdim=True)
        return (size - covered) / size.clamp(min=1)
