"""The warping loss: a pixel loss on those errors of a prediction that are errors of its topology."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from monai.utils import LossReduction
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_choice, check_topology_settings
from monai_topo.losses._base import LikelihoodLoss
from monai_topo.masks.homotopy import homotopy_warping_errors

__all__ = ["WarpingLoss"]

Penalty = Literal["cross_entropy", "squared"]


class WarpingLoss(LikelihoodLoss):
    r"""Pull up breaks and pull down false bridges, specks and holes, found by homotopy warping, in 2D and 3D.

    The thresholded prediction is warped towards the label, and the label towards the prediction, by flipping simple
    points, which changes no topology. The voxels `M` that still differ after one of the two are where the topologies
    differ, and with the likelihood `p` and the label `y`

    .. math:: L = \sum_{v \in M} \ell(p_v, y_v),

    the sum over all voxels of an image, 0 where the prediction is a deformation of the label. A speck or a hole is in
    `M` whole; a break or a false bridge with a path along it and the cut through it. What lies on the right side of the
    threshold gets no gradient, and neither does a shifted boundary: combine it with a pixel loss (`TopologyAwareLoss`).

    Source: Hu, "Structure-Aware Image Segmentation with Homotopy Warping", NeurIPS 2022 (arXiv 2112.07812), section 3:
    warping both ways in order of distance. There: Dice or cross-entropy on the critical points of 2D (8, 4) and 3D
    (26, 6) images, in Python loops. Here also the other connectivity, what lies outside, ties by likelihood (so a break
    is mended along its ridge), and a voxel that was not simple is tried again once a neighbor has flipped.

    Args:
        include_background: if False, channel 0 is left out.
        to_onehot_y: convert a label of class indices to one-hot channels.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation; the result must be a likelihood in [0, 1].
        penalty: `"cross_entropy"`: `-log(1 - |p - y|)`, smoothed so that its slope never exceeds 1000; `"squared"`:
            `(p - y)^2`.
        threshold: of the likelihood; above it is foreground. Less than 1 and at least 0.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"`: outside is background; `"foreground"`: outside is foreground.
        num_threads: images warped at the same time, `torch.get_num_threads()` by default.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: of the classes, one number or one a class.
        ignore_index: voxels where the label has this value lie outside, as the border says; they get no gradient.

    Raises:
        TypeError: if `other_act` is not callable.
        ValueError: for a setting that is not one of the above; at the call for an input that is not finite, not in
            [0, 1], not 2D or 3D, and for a label that is not binary.

    Cost: see `homotopy_warping_errors`; one transfer of likelihood and label to the CPU. Deterministic.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 9)
        >>> label[..., 1:4, :] = 1
        >>> broken = (0.8 * label + 0.1).requires_grad_()
        >>> with torch.no_grad():
        ...     broken[..., 3:6] = 0.3
        >>> WarpingLoss(penalty="squared")(broken, label).backward()
        >>> -broken.grad[0, 0, 1:4, 2:7]  # a path across the break, and the cut through it
        tensor([[0.0000, 0.0000, 0.0000, 1.4000, 0.0000],
                [0.0000, 0.0000, 1.4000, 1.4000, 0.0000],
                [0.0000, 1.4000, 0.0000, 1.4000, 0.0000]])
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        *,
        penalty: Penalty = "cross_entropy",
        threshold: float = 0.5,
        connectivity: Connectivity = "full",
        border: Border = "open",
        num_threads: int | None = None,
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
        check_topology_settings(connectivity=connectivity, border=border, num_threads=num_threads)
        check_choice("penalty", penalty, get_args(Penalty))
        if not 0 <= threshold < 1:
            raise ValueError(f"Expected `threshold` to be at least 0 and less than 1, but got {threshold!r}.")
        self.penalty: Penalty = penalty
        self.threshold = threshold
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.num_threads = num_threads
        self.outside_value = 1.0 if border == "foreground" else 0.0

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Penalty summed over the critical voxels of every image and class, `(B, C)`."""
        critical = self._critical(likelihood.flatten(0, 1), target.flatten(0, 1)).view(likelihood.shape)
        error = (likelihood - target).abs()
        if self.penalty == "squared":
            penalty = error**2
        else:
            steepest = 1e3
            penalty = math.log1p(1 / steepest) - torch.log1p(1 / steepest - error)
        return torch.where(critical.to(penalty.device), penalty, 0).flatten(2).sum(2)

    def _critical(self, images: Tensor, labels: Tensor) -> Tensor:
        return homotopy_warping_errors(
            images,
            labels,
            threshold=self.threshold,
            connectivity=self.connectivity,
            border=self.border,
            num_threads=self.num_threads,
        )
