"""The door of the compiled kernel: its import, the settings that all calls share, and images and masks checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

try:
    from monai_topo import _core as kernel
except ImportError as error:  # a checkout on the path, but never built
    raise ImportError(
        "The compiled kernel of monai_topo is missing or was built for another Python: run `pip install -e .` in the "
        f"checkout, or `pip install monai_topo` outside of it ({error})."
    ) from error

__all__ = [
    "Border",
    "Connectivity",
    "Filtration",
    "check_choice",
    "check_connectivity",
    "check_images",
    "check_num_threads",
    "check_shape",
    "checked_bits",
    "dims_mask",
    "essential_voxels",
    "finite_array",
    "kernel",
    "mask_bits",
]

Filtration = Literal["superlevel", "sublevel"]
Connectivity = Literal["full", "face"]
Border = Literal["open", "foreground"]


def checked_bits(masks: Tensor, connectivity: object, border: object) -> NDArray[np.uint8]:
    """The masks as bytes 0 and 1, after a look at them and at the settings."""
    check_shape("masks", masks)
    check_connectivity(connectivity)
    check_choice("border", border, get_args(Border))
    return mask_bits(masks)


def mask_bits(masks: Tensor) -> NDArray[np.uint8]:
    """Binary masks on the CPU, contiguous, one byte a voxel."""
    values = masks.detach().cpu()
    if values.dtype != torch.bool:
        found = values != 0
        if not torch.equal(found.to(values.dtype), values):
            raise ValueError(
                "Expected `masks` to hold only 0 and 1, but got other values: threshold first, for example `x > 0.5`."
            )
        values = found
    bits: NDArray[np.uint8] = values.contiguous().numpy().view(np.uint8)
    return bits


def finite_array(images: Tensor) -> NDArray[np.float32] | NDArray[np.float64]:
    """The images on the CPU, contiguous, in float64 or else float32."""
    values = images.detach().cpu()
    array: NDArray[np.float32] | NDArray[np.float64]
    values = (values if values.dtype == torch.float64 else values.float()).contiguous()
    array = values.numpy()
    # A sum is finite only if all terms are, and takes half of the time; it may overflow where they are. Not torch's: to
    # wake its second thread took 3 ms more than the sum.
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if not np.isfinite(total) and not np.isfinite(array).all():
        raise ValueError(
            "Expected `images` to be finite, but got NaN or infinite values: look for a diverged network or an "
            "overflow in half precision."
        )
    return array


def essential_voxels(
    array: NDArray[np.float32] | NDArray[np.float64], filtration: Filtration, border: Border
) -> Tensor:
    """The voxel with which the component appears that never ends, `(N,)`; see `PersistencePairs.essential`."""
    num_voxels = int(np.prod(array.shape[1:]))
    if border == "foreground":
        return torch.full((len(array),), num_voxels)
    flat = array.reshape(len(array), num_voxels)
    return torch.from_numpy(flat.argmax(1) if filtration == "superlevel" else flat.argmin(1))


def check_images(images: Tensor) -> None:
    """Refuse what is no batch of floating-point images."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"Expected `images` to be a floating-point torch.Tensor, but got {kind}: convert it first.")
    check_shape("images", images)


def check_shape(name: str, images: Tensor) -> None:
    """Refuse what is no batch of 2D or 3D images, or of too large ones."""
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
    framed = int(np.prod([extent + 2 for extent in images.shape[1:]], dtype=object))
    if framed > kernel.max_voxels:
        raise ValueError(
            f"Expected `{name}` of at most {kernel.max_voxels} voxels each, their border included, but got shape "
            f"{tuple(images.shape)}: work on patches."
        )


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices of a setting."""
    if value not in choices:
        raise ValueError(f"Expected `{name}` to be one of {', '.join(map(repr, choices))}, but got {value!r}.")


def check_connectivity(connectivity: object) -> None:
    """Refuse what is no connectivity of a cubical complex."""
    if connectivity not in get_args(Connectivity):
        raise ValueError(
            "Expected `connectivity` to be 'full' (8 in 2D, 26 in 3D) or 'face' (4, 6), but got "
            f"{connectivity!r}: a cubical complex has nothing between them, 18-connectivity neither."
        )


def check_num_threads(num_threads: int | None) -> int:
    """Number of threads to use: those asked for, or torch's."""
    if num_threads is None:
        return torch.get_num_threads()
    if num_threads < 1:
        raise ValueError(f"Expected `num_threads` to be at least 1, or None, but got {num_threads!r}.")
    return num_threads


def dims_mask(dims: Sequence[int] | None, spatial_dims: int) -> int:
    """Dimensions as bits; None is all of them."""
    if dims is None:
        return (1 << spatial_dims) - 1
    if any(dim not in range(spatial_dims) for dim in dims):
        raise ValueError(
            f"Expected `dims` to hold dimensions from 0 to {spatial_dims - 1} of a {spatial_dims}D image, "
            f"but got {list(dims)!r}."
        )
    return sum(1 << dim for dim in set(dims))
