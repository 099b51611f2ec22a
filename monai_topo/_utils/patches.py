"""Patches of an image: the whole image, a grid, or seeded random patches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import EllipsisType

import numpy as np
import torch
from monai.data.utils import dense_patch_slices, get_random_patch

Slices = tuple[slice, ...]


def patch_slices(
    image_size: Sequence[int], *, patch_size: int | Sequence[int] | None, num_patches: int | None, seed: int
) -> list[Slices]:
    """Return the patches of an image as tuples of slices, one slice per spatial axis; all have the same size.

    Args:
        image_size: Spatial shape of the image in voxels.
        patch_size: Patch size in voxels, one number for all axes or one per axis; None is the whole image.
        num_patches: None makes a grid in row-major order; the last patch along an axis is shifted inwards to stay
            inside the image. A number draws that many patches, independently and uniformly over all positions inside.
        seed: Seed of the random patches. They depend on the seed and the sizes alone. The stream of `RandomState` is
            frozen (NEP 19), so they stay the same from release to release.

    Raises:
        ValueError: If `patch_size` has another number of axes than the image or is larger than it.
    """
    if patch_size is None:
        return [tuple(slice(0, extent) for extent in image_size)]
    size = _size_per_axis(image_size, patch_size)
    if num_patches is None:
        return list(_grid(tuple(image_size), size))
    state = np.random.RandomState(seed)
    return [get_random_patch(image_size, size, state) for _ in range(num_patches)]


@lru_cache(maxsize=64)  # a training run asks for the same grid in every step
def _grid(image_size: tuple[int, ...], size: tuple[int, ...]) -> tuple[Slices, ...]:
    return tuple(dense_patch_slices(image_size, size, scan_interval=size))


def drawn_patches(patches: list[Slices], *, num_patches: int, seed: int, draw: int) -> list[Slices]:
    """Return a random subset of the patches of a grid, in their order, without repetitions.

    Args:
        patches: All patches.
        num_patches: Number of patches to draw, each subset with the same probability; all if there are fewer.
        seed: Seed of all draws.
        draw: Number of this draw. The subset depends on it, the seed and the two numbers of patches alone.
    """
    if num_patches >= len(patches):
        return patches
    chosen = np.random.RandomState([seed, draw]).permutation(len(patches))[:num_patches]
    return [patches[i] for i in sorted(chosen)]


def crop(masks: torch.Tensor, patch: Slices) -> torch.Tensor:
    """Return one patch, a view, of a tensor whose last axes are the spatial ones."""
    index: tuple[EllipsisType | slice, ...] = (..., *patch)
    return masks[index]


def check_patch_settings(patch_size: int | Sequence[int] | None, num_patches: int | None) -> None:
    """Check settings that are wrong for every image; losses and metrics call it in their constructor."""
    sizes = [patch_size] if patch_size is None or isinstance(patch_size, int) else list(patch_size)
    if patch_size is not None and not (sizes and all(_is_positive_int(extent) for extent in sizes)):
        raise ValueError(
            f"Expected `patch_size` to be positive whole numbers of voxels, but got {patch_size}; "
            "use None for the whole image."
        )
    if num_patches is not None and not _is_positive_int(num_patches):
        raise ValueError(
            f"Expected `num_patches` to be a positive whole number, but got {num_patches}; "
            "use None for a grid that covers the image."
        )
    if num_patches is not None and patch_size is None:
        raise ValueError(
            f"Expected `patch_size` to be given with `num_patches`, but got num_patches={num_patches} alone; "
            "set patch_size too, e.g. 65 as in the TopoNet paper."
        )


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _size_per_axis(image_size: Sequence[int], patch_size: int | Sequence[int]) -> tuple[int, ...]:
    image_size = tuple(image_size)
    size = (patch_size,) * len(image_size) if isinstance(patch_size, int) else tuple(patch_size)
    if len(size) != len(image_size):
        raise ValueError(
            f"Expected `patch_size` to have {len(image_size)} numbers, one per spatial axis, but got {size}; "
            "give one number for all axes or one per axis."
        )
    if any(patch > extent for patch, extent in zip(size, image_size, strict=True)):
        raise ValueError(
            f"Expected `patch_size` to fit into the image of size {image_size}, but got {size}; "
            "use a smaller patch, or pad the images with monai.transforms.SpatialPad."
        )
    return size
