"""The Betti matching loss: features of likelihood and label matched by place, through their union."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monai.utils import LossReduction
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.losses._persistence_base import PersistenceBasedLoss
from monai_topo.persistence.essential import essential_class
from monai_topo.persistence.induced_matching import betti_matching

__all__ = ["BettiMatchingLoss"]


class BettiMatchingLoss(PersistenceBasedLoss):
    r"""Make every topological feature of a foreground likelihood one of its label, in the same place; 2D and 3D.

    With the superlevel filtration, features `(b, d)` of the likelihood matched with features `(b', d')` of the label
    (see `monai_topo.betti_matching`),

    .. math:: L = \sum_{matched} 2 \left[(b - b')^2 + (d - d')^2\right] + \sum_{unmatched} (b - d)^2

    over the dimensions chosen, where the unmatched are those of the likelihood and those of the label (the latter add 1
    each and no gradient). Gradients reach the critical voxels of the likelihood.

    One class never ends. With `border="open"` it is the last component, born at the greatest value; with
    `border="foreground"` the hole of the frame, dead at the least value. Likelihood and label both have it, and it adds
    twice the squared difference of these values: so an empty prediction is pulled up, and a false one pulled down where
    the label is empty.

    Source: Stucki, Paetzold, Shit, Menze, Bauer, ICML 2023 (arXiv 2211.15272), section 3.3, in the normalization of the
    authors' code (twice the squared distance); 3D: arXiv 2407.04683. There: face connectivity, no border, whole
    patches of 48 x 48. Here also: full connectivity (the default, as everywhere in this package), the foreground
    border, the class that never ends.

    Args:
        include_background: if False, channel 0 is left out.
        to_onehot_y: convert a label of class indices to one-hot channels.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation; the result must be a likelihood in [0, 1].
        dims: dimensions that count, all by default. Leaving out dimension 1 in 3D saves most of the work.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"`: the patch is all there is; `"foreground"`: outside everything is foreground, so that a
            membrane or vessel cut by the patch border closes there.
        saturation: likelihoods up to it are taken for 0, and those from one minus it on for 1: a network's background,
            which a sigmoid never brings to 0, becomes a plateau, and plateaus cost next to nothing.
            Exact for the map so changed; what is changed gets no gradient. 0: the map as it is.
        patch_size: the loss is the mean over a grid of patches of this size (one number or one an axis); the last
            patch of an axis is shifted inwards. None: the whole image.
        num_threads: threads over images and patches, `torch.get_num_threads()` by default.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: of the classes, one number or one a class.
        ignore_index: voxels where the label has this value lie outside, as the border says; they get no gradient.

    Raises:
        TypeError: if `other_act` is not callable.
        ValueError: for a setting that is not one of the above; at the call for an input that is not finite, not in
            [0, 1], not 2D or 3D, smaller than the patch, and for a label that is not binary.

    Cost: see `monai_topo.betti_matching`: some five times that of the persistence pairs of the likelihood. Ties are
    broken by the voxels' neighbors and index, so value and gradient are deterministic.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 1, 5, 7)
        >>> label[..., 2, :] = 1
        >>> broken = (0.8 * label + 0.1).requires_grad_()
        >>> with torch.no_grad():
        ...     broken[..., 2, 3] = 0.3
        >>> BettiMatchingLoss()(broken, label).backward()
        >>> broken.grad[0, 0, 2]  # the break, in the middle, is pulled up, the surplus component down
        tensor([-0.4000,  0.0000,  0.0000, -1.2000,  0.0000,  1.2000,  0.0000])
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        *,
        dims: Sequence[int] | None = None,
        connectivity: Connectivity = "full",
        border: Border = "open",
        saturation: float = 0.0,
        patch_size: int | Sequence[int] | None = None,
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
            dims=dims,
            connectivity=connectivity,
            border=border,
            saturation=saturation,
            patch_size=patch_size,
            num_threads=num_threads,
            reduction=reduction,
            weight=weight,
            ignore_index=ignore_index,
        )

    def per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of every patch: `(N, *spatial)` likelihoods and labels in, `(N,)` out."""
        matching = betti_matching(
            images,
            labels,
            connectivity=self.connectivity,
            border=self.border,
            dims=self.dims,
            num_threads=self.num_threads,
        )
        loss = matching.error(images, labels).sum(1)
        predicted = essential_class(images, border=self.border, prefer=labels)
        if predicted.dim in self.dims_of(images):
            true = essential_class(labels, border=self.border)
            loss = loss + 2 * ((predicted.values - true.values) ** 2).sum(1)
        return loss
