"""The compiled kernel: its import, and conversion of images, masks and settings to its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity, Filtration

try:
    import monai_topo._core as kernel
except ImportError as error:  # a checkout on the path, but never built
    raise ImportError(
        "The compiled kernel of monai_topo is missing or was built for another Python: run `pip install -e .` in the "
        f"checkout, or `pip install monai_topo` outside of it ({error})."
    ) from error

__all__ = ["complex_settings", "dims_mask", "finite_array", "kernel", "mask_bits", "mask_settings", "region_settings"]


class ComplexSettings(TypedDict):
    """How the kernel represents a filtration by a complex of face-connected sublevel sets."""

    negate: bool
    dual: bool
    framed: bool


class RegionSettings(TypedDict):
    """How the kernel sweeps an image for the regions of a merge tree."""

    negate: bool
    last_to_first: bool
    full: bool
    framed: bool


class MaskSettings(TypedDict):
    """Connectivity and border of a binary mask."""

    full: bool
    framed: bool


def complex_settings(filtration: Filtration, connectivity: Connectivity, border: Border) -> ComplexSettings:
    """Translate the settings of a filtration for persistence pairs and Betti matching.

    The kernel knows face-connected sublevel sets only. Full connectivity is their dual: the complement, with the
    filtration, the dimensions and the role of the border reversed.
    """
    dual = connectivity == "full"
    return {"negate": (filtration == "superlevel") != dual, "dual": dual, "framed": (border == "foreground") != dual}


def region_settings(
    filtration: Filtration, connectivity: Connectivity, border: Border, *, of_holes: bool
) -> RegionSettings:
    """Translate the settings of a filtration for its components or, as components of the complement, its holes."""
    return {
        "negate": filtration == "superlevel",
        "last_to_first": of_holes,
        "full": (connectivity == "full") != of_holes,
        "framed": (border == "foreground") != of_holes,
    }


def mask_settings(connectivity: Connectivity, border: Border) -> MaskSettings:
    """Translate the settings of a binary mask."""
    return {"full": connectivity == "full", "framed": border == "foreground"}


def mask_bits(masks: Tensor) -> NDArray[np.uint8]:
    """Return binary masks on the CPU, contiguous, one byte per voxel.

    Raises:
        ValueError: If a value is neither 0 nor 1.
    """
    values = masks.detach().cpu()
    if values.dtype != torch.bool:
        found = values != 0
        if not torch.equal(found.to(values.dtype), values):
            raise ValueError(
                "Expected `masks` to hold only 0 and 1, but got other values: threshold first, for example `x > 0.5`."
            )
        values = found
    bits: NDArray[np.uint8] = values.contiguous().numpy().view(np.uint8)
    # Pillow's arrays of images with one bit per pixel are bool with bytes of 255, and torch keeps the bytes.
    return bits if bits.max(initial=0) <= 1 else (bits > 0).view(np.uint8)


def finite_array(images: Tensor) -> NDArray[np.float32] | NDArray[np.float64]:
    """Return images on the CPU, contiguous, in float64 if they are float64 and in float32 otherwise.

    Raises:
        ValueError: If a value is not finite.
    """
    values = images.detach().cpu()
    array: NDArray[np.float32] | NDArray[np.float64]
    values = (values if values.dtype == torch.float64 else values.float()).contiguous()
    array = values.numpy()
    # A sum is finite only if all terms are, and it takes half the time of a test of every voxel. The sum of finite
    # terms may overflow: hence the second test. torch's sum would wake its second thread, which takes 3 ms more.
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if not np.isfinite(total) and not np.isfinite(array).all():
        raise ValueError(
            "Expected `images` to be finite, but got NaN or infinite values: look for a diverged network or an "
            "overflow in half precision."
        )
    return array


def dims_mask(dims: Sequence[int] | None, spatial_dims: int) -> int:
    """Return dimensions as bits, all of them for None.

    Raises:
        ValueError: If an image with that many spatial axes does not have one of the dimensions.
    """
    if dims is None:
        return (1 << spatial_dims) - 1
    if any(dim not in range(spatial_dims) for dim in dims):
        raise ValueError(
            f"Expected `dims` to hold dimensions from 0 to {spatial_dims - 1} of a {spatial_dims}D image, "
            f"but got {list(dims)!r}."
        )
    return sum(1 << dim for dim in set(dims))
