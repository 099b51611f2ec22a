"""The warping loss: a pixel loss on those errors of a prediction that are errors of its topology."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_choice, check_topology_settings
from monai_topo.losses._base import LikelihoodLoss
from monai_topo.masks.homotopy import homotopy_warping_errors

__all__ = ["WarpingLoss"]

Penalty = Literal["cross_entropy", "squared"]


@dataclass(eq=False, repr=False, kw_only=True)
class WarpingLoss(LikelihoodLoss):
    r"""Pull up breaks and pull down false bridges, specks and holes, found by homotopy warping, in 2D and 3D.

    The thresholded prediction is warped towards the label, and the label towards the prediction, by flipping simple
    points, which changes no topology. The voxels `M` that still differ after one of the two are where the topologies
    differ, and with the likelihood `p` and the label `y`

    .. math:: L = \sum_{v \in M} \ell(p_v, y_v),

    the sum over all voxels of an image, 0 where the prediction is a deformation of the label. `M` contains the whole of
    a speck or hole; of a break or a false bridge it contains a path along it and the cut through it. Voxels on the
    right side of the threshold get no gradient, and neither does a shifted boundary: combine the loss with a pixel loss
    (`TopologyAwareLoss`).

    Source: Hu, "Structure-Aware Image Segmentation with Homotopy Warping", NeurIPS 2022 (arXiv 2112.07812), section 3:
    warping both ways in order of distance. There: Dice or cross-entropy on the critical points of 2D (8, 4) and 3D
    (26, 6) images, in Python loops. Here also: the dual connectivity, the boundary condition, ties broken by likelihood
    (so a break is closed along its ridge), and a voxel that was not simple is tried again once a neighbor has flipped.

    Args:
        penalty: `"cross_entropy"`: `-log(1 - |p - y|)`, smoothed so that its slope never exceeds 1000; `"squared"`:
            `(p - y)^2`.
        threshold: Threshold on the likelihood, at least 0 and less than 1; greater values are foreground.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        num_threads: Number of images warped at the same time, `torch.get_num_threads()` by default.

    The remaining arguments are those of :py:class:`LikelihoodLoss`.

    Raises:
        TypeError: If `other_act` is not callable, or an option is unknown.
        ValueError: If an option has a wrong value; at the call if the input is not finite, not in [0, 1], or not 2D or
            3D, or if the label is not binary.

    Cost: see :py:func:`monai_topo.masks.homotopy.homotopy_warping_errors`; one transfer of likelihood and label to the
    CPU. Deterministic.

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

    penalty: Penalty = "cross_entropy"
    threshold: float = 0.5
    connectivity: Connectivity = "full"
    border: Border = "open"
    num_threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_topology_settings(connectivity=self.connectivity, border=self.border, num_threads=self.num_threads)
        check_choice("penalty", self.penalty, get_args(Penalty))
        if not 0 <= self.threshold < 1:
            raise ValueError(f"Expected `threshold` to be at least 0 and less than 1, but got {self.threshold!r}.")

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Sum the penalty over the voxels `M` of every image and class, `(B, C)`."""
        errors = homotopy_warping_errors(
            likelihood.flatten(0, 1),
            target.flatten(0, 1),
            threshold=self.threshold,
            connectivity=self.connectivity,
            border=self.border,
            num_threads=self.num_threads,
        ).view(likelihood.shape)
        difference = (likelihood - target).abs()
        if self.penalty == "squared":
            penalty = difference**2
        else:
            steepest = 1e3
            penalty = math.log1p(1 / steepest) - torch.log1p(1 / steepest - difference)
        return torch.where(errors.to(penalty.device), penalty, 0).flatten(2).sum(2)
