"""The essential class: the one class of a filtration without a pair, and the conventions for its birth and death."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from monai_topo._utils.typing import Border, Filtration

__all__ = ["EssentialClass", "essential_class", "essential_dim", "extreme_voxels"]

#: Death of the essential component: 0, the last value of its image, or infinity.
Until = Literal["zero", "last", "infinity"]


class EssentialClass(NamedTuple):
    """The essential class of every image of a batch.

    Attributes:
        dim: Homology dimension, see :py:func:`essential_dim`.
        voxel: `(N,)` int64 on the CPU, the one critical voxel of each class, a flat C-order index.
        values: `(N, 2)`, birth and death, differentiable in the images.
    """

    dim: int
    voxel: Tensor
    values: Tensor


def essential_dim(border: Border, spatial_dims: int) -> int:
    """Return the dimension of the essential class: 0, or d-1 with the foreground as border.

    With an open border it is the component that outlives all others. With `border="foreground"` the oldest component is
    the frame, which is not reported; the essential class is then the hole that the frame surrounds until the last voxel
    fills it.
    """
    return 0 if border == "open" else spatial_dims - 1


def extreme_voxels(images: Tensor, filtration: Filtration, border: Border) -> Tensor:
    """Find the critical voxel of the essential class.

    Args:
        images: `(N, *spatial)`.
        filtration: `"superlevel"` or `"sublevel"`.
        border: With `"open"` the voxel that enters first, where the essential component is born; with `"foreground"`
            the one that enters last, where the essential hole dies. Voxels of equal value enter in C order.

    Returns:
        `(N,)` int64 flat indices on the CPU.
    """
    flat = images.detach().flatten(1)
    is_max = (filtration == "superlevel") == (border == "open")
    if border == "open":
        found = flat.argmax(1) if is_max else flat.argmin(1)  # the first of equal values
    else:
        flipped = flat.flip(1)
        found = flat.shape[1] - 1 - (flipped.argmax(1) if is_max else flipped.argmin(1))
    return found.cpu()


def essential_class(
    images: Tensor,
    *,
    filtration: Filtration = "superlevel",
    border: Border = "open",
    until: Until = "zero",
    prefer: Tensor | None = None,
) -> EssentialClass:
    """Find the essential class of every image, with a birth or death by convention where the image defines none.

    With `border="open"` it is a component, born at the first value, with a death by convention. With
    `border="foreground"` it is a hole, born with the frame, at 1 (0 for sublevel sets), that dies at the last value.

    Args:
        images: `(N, *spatial)`, finite; likelihoods in [0, 1] if the constants 0 and 1 are to mean something.
        filtration: `"superlevel"` or `"sublevel"`.
        border: `"open"` or `"foreground"`.
        until: Death of the essential component: `"zero"`, like the features of a binary label (losses, distances of
            diagrams); `"last"`, the value at which the image is full; `"infinity"`, beyond every threshold. The
            essential hole always dies at a value of its image.
        prefer: Binary labels of the shape of `images`, or None. In a constant image every voxel is extreme; the first
            one inside the label is preferred (with `border="foreground"` the first one of its background), if there is
            one.

    Returns:
        The essential classes. The gradient of `values` reaches the one critical voxel of each image; with
        `until="last"` and an open border also the voxels of the last value, in equal parts.
    """
    flat = images.flatten(1)
    voxel = extreme_voxels(images, filtration, border)
    if prefer is not None:
        wanted = prefer.flatten(1) == (1 if border == "open" else 0)
        is_free = wanted.any(1) & (flat.amin(1) == flat.amax(1))
        voxel = torch.where(is_free.cpu(), wanted.int().argmax(1).cpu(), voxel)
    value = flat.gather(1, voxel.to(flat.device)[:, None])[:, 0]
    if border == "foreground":
        birth = torch.full_like(value, 1.0 if filtration == "superlevel" else 0.0)
        return EssentialClass(essential_dim(border, images.ndim - 1), voxel, torch.stack((birth, value), dim=1))
    if until == "zero":
        death = torch.zeros_like(value)
    elif until == "last":
        death = flat.amin(1) if filtration == "superlevel" else flat.amax(1)
    else:
        death = torch.full_like(value, -torch.inf if filtration == "superlevel" else torch.inf)
    return EssentialClass(0, voxel, torch.stack((value, death), dim=1))
