"""Checks of arguments: one sentence states what was expected, what was given and what to do."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, TypeGuard, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.kernel import dims_mask, kernel, mask_bits
from monai_topo._utils.typing import Border, Connectivity, Filtration

__all__ = [
    "check_at_least",
    "check_between",
    "check_choice",
    "check_connectivity",
    "check_images",
    "check_masks",
    "check_num_threads",
    "check_shape",
    "check_topology_settings",
    "check_whole_number",
    "is_number",
]


def check_topology_settings(
    *,
    connectivity: object,
    border: object,
    filtration: object = "superlevel",
    dims: Sequence[int] | None = None,
    min_persistence: float = 0.0,
    num_threads: int | None = None,
) -> None:
    """Check the settings that the whole package shares.

    Args:
        connectivity: `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.
        filtration: `"superlevel"` or `"sublevel"`.
        dims: Homology dimensions between 0 and 2, or None for all.
        min_persistence: Finite and at least 0.
        num_threads: At least 1, or None.

    Raises:
        ValueError: If a setting has another value.
    """
    check_connectivity(connectivity)
    check_choice("border", border, get_args(Border))
    check_choice("filtration", filtration, get_args(Filtration))
    dims_mask(dims, 3)
    check_at_least("min_persistence", min_persistence)
    check_num_threads(num_threads)


def check_masks(masks: Tensor, connectivity: object, border: object) -> NDArray[np.uint8]:
    """Check a batch of binary masks and their settings, and return the masks as one byte per voxel.

    Raises:
        TypeError: If the masks are not a tensor.
        ValueError: If their shape, a value or a setting is wrong.
    """
    check_shape("masks", masks)
    check_topology_settings(connectivity=connectivity, border=border)
    return mask_bits(masks)


def check_images(images: Tensor) -> None:
    """Check a batch of floating-point images, `(N, H, W)` or `(N, D, H, W)`.

    Raises:
        TypeError: If it is not a floating-point tensor.
        ValueError: If it has another shape, or an image has no voxels or too many.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"Expected `images` to be a floating-point torch.Tensor, but got {kind}: convert it first.")
    check_shape("images", images)


def check_shape(name: str, images: Tensor) -> None:
    """Check that a tensor is a batch of 2D or 3D images that fit into the kernel.

    Raises:
        TypeError: If it is not a tensor.
        ValueError: If its shape is neither `(N, H, W)` nor `(N, D, H, W)`, or an image has no voxels or too many.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"Expected `{name}` to be a torch.Tensor, but got {type(images).__name__}: convert it first.")
    if images.ndim not in (3, 4):
        raise ValueError(
            f"Expected `{name}` to have shape (N, H, W) or (N, D, H, W), the batch first, "
            f"but got shape {tuple(images.shape)}: merge batch and channel by `x.flatten(0, 1)`, or add a batch by "
            "`x[None]`."
        )
    if 0 in images.shape[1:]:
        raise ValueError(f"Expected `{name}` to have voxels, but got shape {tuple(images.shape)}.")
    framed = math.prod(extent + 2 for extent in images.shape[1:])
    if framed > kernel.max_voxels:
        raise ValueError(
            f"Expected `{name}` of at most {kernel.max_voxels} voxels each, their border included, but got shape "
            f"{tuple(images.shape)}: work on patches."
        )


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check that a setting has one of its values."""
    if value not in choices:
        raise ValueError(f"Expected `{name}` to be one of {', '.join(map(repr, choices))}, but got {value!r}.")


def check_connectivity(connectivity: object) -> None:
    """Check that a connectivity exists in a cubical complex: nothing lies between full and face."""
    if connectivity not in get_args(Connectivity):
        raise ValueError(
            "Expected `connectivity` to be 'full' (8 in 2D, 26 in 3D) or 'face' (4, 6), but got "
            f"{connectivity!r}: a cubical complex has nothing between them, so 18 is not possible."
        )


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is an int or a float, Python's or numpy's; a bool is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_at_least(name: str, value: float, least: float = 0) -> float:
    """Check that a value is a number (not a bool), finite and not below its least value, and return it."""
    if not is_number(value) or not least <= value < math.inf:
        raise ValueError(f"Expected `{name}` to be finite and at least {least:g}, but got {value!r}.")
    return value


def check_between(name: str, value: float, least: float, greatest: float) -> float:
    """Check that a number lies between two others, both included, and return it."""
    if not least <= value <= greatest:
        raise ValueError(f"Expected `{name}` to be between {least:g} and {greatest:g}, but got {value!r}.")
    return value


def check_whole_number(name: str, value: Any, least: int = 0) -> None:
    """Check that a value is an int (not a bool) and not below its least value."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"Expected `{name}` to be a whole number of at least {least}, but got {value!r}.")


def check_num_threads(num_threads: int | None) -> int:
    """Return the number of threads that was asked for, or torch's for None.

    Raises:
        ValueError: If it is below 1.
    """
    if num_threads is None:
        return torch.get_num_threads()
    if num_threads < 1:
        raise ValueError(f"Expected `num_threads` to be at least 1, or None, but got {num_threads!r}.")
    return num_threads
