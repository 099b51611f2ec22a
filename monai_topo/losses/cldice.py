"""The clDice loss: centerlines of prediction and label that lie inside the other one, with exact or soft skeletons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from monai.losses.cldice import soft_skel
from torch import Tensor

from monai_topo._utils.validation import check_at_least, check_choice, check_whole_number
from monai_topo.losses._base import LikelihoodLoss
from monai_topo.masks.skeletons import skeleton

__all__ = ["ClDiceLoss"]

Skeleton = Literal["hard", "soft"]


@dataclass(eq=False, repr=False, kw_only=True)
class ClDiceLoss(LikelihoodLoss):
    r"""Penalize centerlines of the prediction outside of the label, and centerlines of the label that are missed.

    With the likelihood `p`, the label `y` and their skeletons :math:`S_P` and :math:`S_L`, in 2D and 3D,

    .. math::

        T_\text{prec} = \frac{\sum_v S_P(v)\, y_v + \epsilon}{\sum_v S_P(v) + \epsilon}, \quad
        T_\text{sens} = \frac{\sum_v S_L(v)\, p_v + \epsilon}{\sum_v S_L(v) + \epsilon}, \quad
        L = 1 - \frac{2\, T_\text{prec}\, T_\text{sens}}{T_\text{prec} + T_\text{sens}}.

    `skeleton="hard"`: the skeletons are those of :py:func:`monai_topo.compute_cldice`, lines one voxel wide with the
    topology of the masks. On the skeleton of the mask `p > 0.5`, :math:`S_P` is the likelihood itself, elsewhere 0: the
    position of the lines is a constant, and the gradient goes straight through it to the likelihoods on them. For a
    binary prediction the value is exactly one minus clDice (but for :math:`\epsilon`), and the gradient is always the
    derivative of the value. It pulls up the likelihood on the skeleton of the label (sensitivity), pulls down that on
    the skeleton of the prediction outside of the label, and, if there is such a part, up that inside (precision). It
    reaches no other voxel: a false branch loses its middle first, and the pixel loss has to remove the rest
    (`TopologyAwareLoss`). Where nothing exceeds 0.5, precision is 1 and only the sensitivity pulls.

    `skeleton="soft"`: the iterated soft erosion of the paper, as in `monai.losses.SoftclDiceLoss`, for comparison. It
    needs as many iterations as the largest radius; thick or uncertain structures break, and a constant map has no
    skeleton. Its gradient reaches every voxel of the window that decides a minimum or maximum.

    Source: Shit, Paetzold, Sekuboyina et al., "clDice - a novel topology-preserving loss function for tubular structure
    segmentation", CVPR 2021 (arXiv 2003.07311), section 3. There and in MONAI the classes of an image are pooled, the
    background with them; here each class has its own value. MONAI adds 1e-4 to the last denominator, so that perfect
    agreement costs 5e-5; here it costs 0. MONAI accepts logits without an activation; here they are refused.

    A class that is empty in label and prediction costs 0. Ignored voxels belong to neither mask, so a skeleton ends
    there.

    Args:
        skeleton: `"hard"` or `"soft"`.
        iterations: Number of erosions of the soft skeleton; None is 3, as in MONAI. Hard skeletons have none.
        smooth: The number :math:`\epsilon` of voxels added to numerators and denominators, greater than 0.

    The remaining arguments are those of :py:class:`LikelihoodLoss`; `include_background=False` is advised, since the
    skeleton of a background means nothing.

    Raises:
        ImportError: If scikit-image or scipy is not installed (`pip install 'monai_topo[metrics]'`); hard skeletons
            only.
        TypeError: If `other_act` is not callable, or an option is unknown.
        ValueError: If an option has a wrong value; at the call if the input is not finite, not in [0, 1], or not 2D or
            3D, or if the label is not binary.

    Cost: hard: two skeletons for every image and class on one thread of the CPU, about 0.1 s for 512 x 512; masks are
    transferred, not the likelihood. Soft: about ten max-pools for every iteration, on the device of the input,
    whose results are all kept for the gradient. Deterministic on the CPU.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 7, 12)
        >>> label[..., 2:5, 1:11] = 1
        >>> prediction = label.clone()
        >>> prediction[..., 7:] = 0  # only the left part is found
        >>> ClDiceLoss(smooth=1e-6)(prediction, label)  # one minus the clDice of 0.8, see `compute_cldice`
        tensor(0.2000)
    """

    skeleton: Skeleton = "hard"
    iterations: int | None = None
    smooth: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("skeleton", self.skeleton, get_args(Skeleton))
        if self.iterations is not None:
            check_whole_number("iterations", self.iterations)
            if self.skeleton == "hard":
                raise ValueError(
                    f"Expected `iterations` to be None with skeleton='hard', but got {self.iterations}: "
                    "an exact skeleton is thinned until it is thin."
                )
        check_at_least("smooth", self.smooth)
        if self.smooth == 0:
            raise ValueError("Expected `smooth` to be greater than 0, but got 0: an empty skeleton would be 0 / 0.")

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Compute one minus the clDice of every image and class, `(B, C)`."""
        if self.skeleton == "hard":
            of_prediction, of_label = likelihood * _hard(likelihood > 0.5).to(likelihood), _hard(target > 0).to(target)
        else:
            iterations = 3 if self.iterations is None else self.iterations
            of_prediction, of_label = soft_skel(likelihood, iterations), soft_skel(target, iterations)
        precision, sensitivity = self._share(of_prediction, target), self._share(of_label, likelihood)
        return 1 - 2 * precision * sensitivity / (precision + sensitivity)

    def _share(self, line: Tensor, mask: Tensor) -> Tensor:
        """Return how much of the lines lies inside a mask, `(B, C)`."""
        covered, length = (line * mask).flatten(2).sum(2), line.flatten(2).sum(2)
        return (covered + self.smooth) / (length + self.smooth)


def _hard(masks: Tensor) -> Tensor:
    """Return the skeletons of `(B, C, *spatial)` masks, bool."""
    thin = [skeleton(mask) for mask in masks.flatten(0, 1).cpu().numpy()]
    lines = np.stack(thin) if thin else np.zeros((0, *masks.shape[2:]), dtype=bool)
    return torch.from_numpy(lines).view(masks.shape).to(masks.device)
