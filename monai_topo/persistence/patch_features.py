"""Predicted features of patches, what they cost, and the gradient of that.

One call of the kernel computes the pairs of every patch, matches them with the features of the label and gathers what
they cost, on threads. What is left for torch is a sum over patches and, backward, one scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

from monai_topo._utils.kernel import complex_settings, dims_mask, kernel
from monai_topo._utils.patches import Slices, crop
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_images, check_num_threads
from monai_topo.persistence.pairs import PersistencePairs

__all__ = ["PatchBatch", "PatchFeatures", "patch_costs"]

MATCHED, IGNORED, FIXED_BIRTH, FIXED_DEATH = 1, 2, 4, 8  # bits of `flags`

Columns = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class PatchBatch:
    """Patches of a batch of likelihoods and labels, as the kernel takes them.

    Attributes:
        images: `(N, *spatial)` likelihoods, float32 or float64, finite, on any device.
        labels: Labels of the same shape, 0 and 1.
        patches: `M` patches of one size; None is the whole image. There are `Q = N * M` patches, those of an image one
            after another.
        support: Where neither likelihood nor label exceeds this, the likelihood counts as 0.
        saturation: Likelihoods up to this count as 0, and those from one minus it on as 1.
        num_threads: Number of threads, `torch.get_num_threads()` by default.
        matched_cost: Whether matched features cost their squared distance, or nothing.
    """

    images: Tensor
    labels: Tensor
    patches: Sequence[Slices] | None = None
    support: float = 0.0
    saturation: float = 0.0
    num_threads: int | None = None
    matched_cost: bool = True

    def slices(self) -> Sequence[Slices]:
        """Return the patches, also if there is only one, the whole image."""
        return self.patches or [tuple(slice(0, extent) for extent in self.images.shape[1:])]

    def arguments(self, connectivity: Connectivity, border: Border, dims: Sequence[int] | None) -> dict[str, Any]:
        """Return the arguments of the kernel that all losses share.

        Raises:
            ValueError: If a patch has too many voxels, or a dimension does not exist.
        """
        patches = self.slices()
        check_images(crop(self.images, patches[0]))
        values = self.images.detach().cpu().contiguous()
        # Thresholds are rounded to the type of the values, as torch does when it compares.
        number = np.float32 if values.dtype == torch.float32 else np.float64
        return {
            "images": values.numpy(),
            "labels": self.labels.detach().to(values).contiguous().numpy(),
            "starts": np.array([[axis.start for axis in patch] for patch in patches], dtype=np.int64),
            "size": np.array([axis.stop - axis.start for axis in patches[0]], dtype=np.int64),
            **complex_settings("superlevel", connectivity, border),
            "dims": dims_mask(dims, self.images.ndim - 1),
            "support": float(number(self.support)),
            "saturation": float(number(self.saturation)),
            "high": float(number(1 - self.saturation)),
            "matched_cost": self.matched_cost,
            "num_threads": check_num_threads(self.num_threads),
        }


@dataclass(frozen=True)
class PatchFeatures:
    """The predicted features of a batch of patches, and how they are matched; all on the CPU.

    The `P` features of all patches follow one another: of every patch first the essential class, then the pairs.

    Attributes:
        cost: `(Q,)`, the squared distance of every patch.
        first: `(Q + 1,)` int64, the first feature of every patch, and `P`.
        voxels: `(P, 2)` int64, critical voxels of birth and death, flat indices into the batch of images.
        derivatives: `(P, 2)`, derivatives of the cost by birth and death.
        dim: `(P,)` uint8, dimension.
        flags: `(P,)` uint8: matched, excluded from the loss, and whether birth and death do not depend on the image.
        scale: What a matched feature costs, as a multiple of its squared distance.
        matched_cost: Whether `cost` and `derivatives` hold the matched features.
        overlap: Whether patches of an image share voxels, or might.
        num_threads: Number of threads of the backward pass.
    """

    cost: Tensor
    first: Tensor
    voxels: Tensor
    derivatives: Tensor
    dim: Tensor
    flags: Tensor
    scale: float
    matched_cost: bool
    overlap: bool
    num_threads: int

    @classmethod
    def of(cls, cost: Tensor, columns: Columns, scale: float, arguments: dict[str, Any]) -> PatchFeatures:
        """Combine the columns of the kernel, from `first` to `flags`, with its arguments."""
        first, voxels, derivatives, dim, flags = (torch.from_numpy(column) for column in columns)
        starts, size = arguments["starts"], arguments["size"]
        # Patches of a grid of their own size share nothing, unless one occurs twice.
        overlap = bool((starts % size).any()) or len(set(map(tuple, starts.tolist()))) < len(starts)
        threads: int = arguments["num_threads"]
        return cls(
            cost,
            first,
            voxels.view(-1, 2),
            derivatives.view(-1, 2),
            dim,
            flags,
            scale,
            arguments["matched_cost"],
            overlap,
            threads,
        )

    @property
    def patch(self) -> Tensor:
        """Patch of every feature, `(P,)` int64."""
        return torch.arange(len(self.cost)).repeat_interleave(self.first.diff())

    @property
    def matched(self) -> Tensor:
        """Which features are matched with a feature of the label, `(P,)` bool."""
        return (self.flags & MATCHED) != 0

    @property
    def ignored(self) -> Tensor:
        """Which features are excluded from the loss, `(P,)` bool."""
        return (self.flags & IGNORED) != 0

    @property
    def fixed(self) -> Tensor:
        """Which births and deaths do not depend on the image, `(P, 2)` bool."""
        return torch.stack((self.flags & FIXED_BIRTH, self.flags & FIXED_DEATH), dim=1) != 0

    @property
    def is_pair(self) -> Tensor:
        """Which features are pairs, `(P,)` bool: all but the first of every patch."""
        is_pair = torch.ones(len(self.dim), dtype=torch.bool)
        is_pair[self.first[:-1]] = False
        return is_pair

    def pairs(self, images: Tensor) -> PersistencePairs:
        """Return the pairs of whole images, `(N, *spatial)`, without the essential classes."""
        num_voxels = images[0].numel() if len(images) else 1
        is_pair, essential = self.is_pair, self.first[:-1]
        voxels = self.voxels % num_voxels
        frame = (self.flags[essential] & FIXED_BIRTH) != 0
        return PersistencePairs(
            self.patch[is_pair],
            self.dim[is_pair].long(),
            voxels[is_pair, 0],
            voxels[is_pair, 1],
            voxels[essential, 0].masked_fill(frame, num_voxels),
            num_voxels,
        )


def patch_costs(images: Tensor, features: PatchFeatures) -> Tensor:
    """Return the cost of every patch, `(Q,)`, on the device of the images and differentiable in them.

    Args:
        images: The likelihoods that the features were computed from.
        features: The features.
    """
    cost: Tensor = _PatchCosts.apply(images, features)  # type: ignore[no-untyped-call]
    return cost


class _PatchCosts(torch.autograd.Function):
    """The costs of patches, which depend on the likelihood at critical voxels only."""

    @staticmethod
    def forward(ctx: FunctionCtx, images: Tensor, features: PatchFeatures) -> Tensor:
        ctx.save_for_backward(images)
        ctx.features = features  # type: ignore[attr-defined]
        return features.cost.to(images.device)

    @staticmethod
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor, None]:
        (images,) = ctx.saved_tensors
        features: PatchFeatures = ctx.features
        if factors.device.type != "cpu" or torch.is_grad_enabled():
            return _gradient(images, features, factors), None
        gradient = images.new_empty(images.shape)
        kernel.distance_gradient(
            factors.contiguous().numpy(),
            features.first.numpy(),
            features.voxels.numpy(),
            features.derivatives.contiguous().numpy(),
            gradient=gradient.flatten(1).numpy(),
            overlap=features.overlap,
            num_threads=features.num_threads,
        )
        return gradient, None


def _gradient(images: Tensor, features: PatchFeatures, factors: Tensor) -> Tensor:
    """Compute the gradient on the device of the images, differentiable in the images and the factors."""
    device = images.device
    voxels, derivatives = features.voxels.flatten().to(device), features.derivatives.to(device)
    if torch.is_grad_enabled():
        derivatives = derivatives + _change_of_derivatives(images.reshape(-1)[voxels].view(-1, 2), features)
    terms = factors[features.patch.to(device)][:, None] * derivatives
    return images.new_zeros(images.numel()).index_add(0, voxels, terms.flatten()).view(images.shape)


def _change_of_derivatives(values: Tensor, features: PatchFeatures) -> Tensor:
    """Return a zero with the second derivatives of the costs by birth and death values, `(P, 2)`."""
    ignored = features.ignored if features.matched_cost else features.ignored | features.matched
    fixed = (features.fixed | ignored[:, None]).to(values.device)
    change = (values - values.detach()).masked_fill(fixed, 0)
    matched = features.matched[:, None].to(values.device)
    return features.scale * torch.where(matched, 2 * change, change - change.flip(1)).masked_fill(fixed, 0)
