"""Base of the losses on persistence pairs: common options, plateaus, and the mean over a grid of patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from monai_topo._utils.patches import Slices, check_patch_settings, crop, drawn_patches, patch_slices
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_topology_settings, check_whole_number
from monai_topo.losses._base import LikelihoodLoss
from monai_topo.losses._log_odds import LogOdds


@dataclass(eq=False, repr=False, kw_only=True)
class PersistenceBasedLoss(LikelihoodLoss):
    """Base of losses on persistence pairs.

    A subclass implements `per_image(images, labels)`: `(N, *spatial)` likelihoods and binary labels in, `(N,)` out. Or
    it implements `per_patch`, which cuts the patches itself.

    Args:
        dims: Dimensions that count, all by default. Leaving out dimension 1 in 3D saves most of the work.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is foreground,
            so a membrane or vessel that is cut by the border of the patch closes there).
        saturation: Likelihoods up to this value are set to 0, and those from one minus it on to 1. The background of a
            network, which a sigmoid never brings to 0, then becomes a plateau, and plateaus are cheap (0.001: 0.5 s
            instead of 3.1 s for a noisy vessel likelihood of 128^3). The loss is exact for the changed map; changed
            voxels get no gradient. 0 changes nothing.
        support: Background voxels of the label whose likelihood is at most this are set to 0: one plateau, cheap, and
            without a gradient. What remains, the support, are the voxels where likelihood or label exceed the
            threshold; the loss is exact for the map so changed. Each class has its own support. A false feature of at
            most this value then costs nothing, and one just above it is measured from 0. Voxels of the label are not
            changed, so a break is closed however low the likelihood is. `saturation` is applied in the same step: it
            also sets low voxels of the label to 0 and high ones to 1. Ignored voxels keep the value of what lies
            outside of the image. 0 changes nothing: the loss of the paper. The bundles, and the study in the
            documentation, use 0.2.
        patch_size: The loss is the mean over a grid of patches of this size (one number or one per axis); the last
            patch along an axis is shifted inwards. None: the whole image. Patches prevent matches between distant
            features and keep the number of features small.
        num_patches: In each call with a gradient, only this many patches of the grid count, drawn without repetition
            and the same for all images and classes: an unbiased estimate of the mean over all patches, at its share of
            the cost. Without a gradient (`torch.no_grad`) all patches count. None: all patches.
        seed: Seed of the patches that are drawn. They depend on it and on the number of earlier draws, which is in the
            `state_dict` of the loss: a resumed training run draws the same ones, and so do all processes of a
            distributed one, each from its own images.
        num_threads: Number of threads over images and patches, `torch.get_num_threads()` by default.

    The remaining arguments are those of `LikelihoodLoss`.

    Raises:
        TypeError: If `other_act` is not callable, or an option is unknown.
        ValueError: If an option has a wrong value; at the call if the input is not finite, not in [0, 1], not 2D or 3D,
            or smaller than the patch, or if the label is not binary.
    """

    dims: Sequence[int] | None = None
    connectivity: Connectivity = "full"
    border: Border = "open"
    saturation: float = 0.0
    support: float = 0.0
    patch_size: int | Sequence[int] | None = None
    num_patches: int | None = None
    seed: int = 0
    num_threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.dims = None if self.dims is None else tuple(self.dims)
        check_topology_settings(
            connectivity=self.connectivity, border=self.border, dims=self.dims, num_threads=self.num_threads
        )
        check_patch_settings(self.patch_size, self.num_patches)
        check_whole_number("seed", self.seed)
        if self.seed >= 2**32:
            raise ValueError(f"Expected `seed` to be less than 2^32, but got {self.seed}.")
        if self.num_patches is not None:
            self.register_buffer("draws", torch.zeros((), dtype=torch.long))
            self.draws: Tensor
        if not 0 <= self.saturation < 0.5:
            raise ValueError(f"Expected `saturation` to be at least 0 and below 0.5, but got {self.saturation!r}.")
        if not 0 <= self.support < 1 - self.saturation:
            raise ValueError(
                "Expected `support` to be at least 0 and below one minus `saturation`, "
                f"{1 - self.saturation:g}, but got {self.support!r}."
            )

    def per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of every image, `(N,)`."""
        raise NotImplementedError

    def per_class(self, likelihood: Tensor, target: Tensor, log_odds: LogOdds | None = None) -> Tensor:
        """Compute the mean of the loss over patches, `(B, C)`."""
        slices = self._patches(likelihood.shape[2:])
        per_patch: Callable[..., Tensor] = self.per_patch
        details = () if log_odds is None else (log_odds,)
        loss = per_patch(likelihood.flatten(0, 1), target.flatten(0, 1), slices, *details)
        return loss.view(*likelihood.shape[:2], len(slices)).mean(2)

    def per_patch(self, images: Tensor, labels: Tensor, patches: Sequence[Slices]) -> Tensor:
        """Compute the loss of every patch of `(N, *spatial)` likelihoods and labels, those of an image in turn."""
        images = self._with_plateaus(images, labels)
        return self.per_image(*(torch.stack([crop(x, p) for p in patches], 1).flatten(0, 1) for x in (images, labels)))

    def _patches(self, image_size: Sequence[int]) -> list[Slices]:
        """Return the patches that count in this call."""
        patches = patch_slices(image_size, patch_size=self.patch_size, num_patches=None, seed=0)
        if self.num_patches is None or not torch.is_grad_enabled():
            return patches
        draw = int(self.draws)
        self.draws += 1
        return drawn_patches(patches, num_patches=self.num_patches, seed=self.seed, draw=draw)

    def _with_plateaus(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Set what lies outside of the support to 0, and what is saturated to 0 or 1."""
        if not (self.support or self.saturation):
            return likelihood
        values = likelihood.detach()
        # One selection for both options: every pass over the voxels costs as much as a tenth of the persistence.
        kept = torch.maximum(values, target) > self.support
        if not self.saturation:
            return torch.where(kept, likelihood, 0)
        is_high = values >= 1 - self.saturation
        kept &= (values > self.saturation) & ~is_high
        return torch.where(kept, likelihood, is_high.to(likelihood))

    def dims_of(self, images: Tensor) -> list[int]:
        """Return the dimensions that count for `(N, *spatial)` images."""
        return list(range(images.ndim - 1)) if self.dims is None else sorted(set(self.dims))
