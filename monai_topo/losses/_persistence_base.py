"""Losses of images one by one, taken as the mean over a grid of patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.utils import LossReduction
from torch import Tensor

from monai_topo._utils.patches import check_patch_settings, crop, patch_slices
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_topology_settings
from monai_topo.losses._base import LikelihoodLoss


class PersistenceBasedLoss(LikelihoodLoss):
    """Base of losses on persistence pairs: their common settings, and patches.

    A subclass implements `per_image(images, labels)`: `(N, *spatial)` likelihoods and binary labels in, `(N,)` out.
    """

    def __init__(
        self,
        include_background: bool,
        to_onehot_y: bool,
        sigmoid: bool,
        softmax: bool,
        other_act: Callable[[Tensor], Tensor] | None,
        *,
        dims: Sequence[int] | None,
        connectivity: Connectivity,
        border: Border,
        saturation: float,
        patch_size: int | Sequence[int] | None,
        num_threads: int | None,
        reduction: LossReduction | str,
        weight: Sequence[float] | float | Tensor | None,
        ignore_index: int | None,
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
        check_topology_settings(connectivity=connectivity, border=border, dims=dims, num_threads=num_threads)
        check_patch_settings(patch_size, num_patches=None)
        if not 0 <= saturation < 0.5:
            raise ValueError(f"Expected `saturation` to be at least 0 and below 0.5, but got {saturation!r}.")
        self.dims = None if dims is None else tuple(dims)
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.saturation = saturation
        self.patch_size = patch_size
        self.num_threads = num_threads
        self.outside_value = 1.0 if border == "foreground" else 0.0

    def per_image(self, images: Tensor, labels: Tensor) -> Tensor:
        """Loss of every image, `(N,)`."""
        raise NotImplementedError

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Mean of the loss over patches, `(B, C)`."""
        if self.saturation:
            likelihood = likelihood.masked_fill(likelihood <= self.saturation, 0)
            likelihood = likelihood.masked_fill(likelihood >= 1 - self.saturation, 1)
        slices = patch_slices(likelihood.shape[2:], patch_size=self.patch_size, num_patches=None, seed=0)
        images = torch.stack([crop(likelihood, patch) for patch in slices], dim=2)
        labels = torch.stack([crop(target, patch) for patch in slices], dim=2)
        loss = self.per_image(images.flatten(0, 2), labels.flatten(0, 2))
        return loss.view(images.shape[:3]).mean(2)

    def dims_of(self, images: Tensor) -> list[int]:
        """The dimensions that count for `(N, *spatial)` images."""
        return list(range(images.ndim - 1)) if self.dims is None else sorted(set(self.dims))
