"""Images that are drawn to be difficult: ties, plateaus, thin shapes, huge and tiny values, all dtypes and strides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity, Filtration

__all__ = ["Settings", "draw_images", "draw_settings", "draw_shape", "ranks", "restride"]

Rng = np.random.Generator
Array = NDArray[Any]
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Settings(NamedTuple):
    """Settings that persistence depends on."""

    filtration: Filtration
    connectivity: Connectivity
    border: Border


def draw_settings(rng: Rng) -> Settings:
    """Draw the settings that the whole package shares."""
    return Settings(*(str(rng.choice(get_args(choices))) for choices in (Filtration, Connectivity, Border)))  # type: ignore[arg-type]


def draw_shape(rng: Rng, max_voxels: int) -> tuple[int, ...]:
    """Draw a 2D or 3D shape of at most so many voxels; every fourth is thin."""
    ndim = int(rng.integers(2, 4))
    shape = [1] * ndim
    for axis in rng.permutation(ndim):
        room = max_voxels // int(np.prod(shape))
        share = max(1, round(room ** (1 / (ndim - sum(length > 1 for length in shape)))))
        shape[axis] = int(rng.integers(1, max(2, min(room, 2 * share) + 1)))
    if rng.random() < 0.25:
        shape[int(rng.integers(ndim))] = int(rng.integers(1, 3))
    return tuple(shape)


def _smooth(rng: Rng, shape: Sequence[int]) -> Array:
    """Draw noise without its short waves."""
    spectrum = np.fft.fftn(rng.normal(size=shape))
    waves = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    image = np.fft.ifftn(spectrum * np.exp(-20 * sum(wave**2 for wave in waves))).real
    return np.asarray(image / max(image.std(), 1e-9))


def _blocks(rng: Rng, shape: Sequence[int]) -> Array:
    """Draw large plateaus."""
    small = rng.integers(0, 4, [-(-length // 3) for length in shape])
    for axis in range(len(shape)):
        small = small.repeat(3, axis)
    return np.asarray(small[tuple(map(slice, shape))], dtype=np.float64)


_KINDS: dict[str, Callable[[Rng, Sequence[int]], Array]] = {
    "distinct": lambda rng, shape: rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float64),
    "tied": lambda rng, shape: rng.integers(0, int(rng.integers(2, 6)), shape).astype(np.float64),
    "binary": lambda rng, shape: (rng.random(shape) < rng.random()).astype(np.float64),
    "constant": lambda rng, shape: np.full(shape, rng.normal()),
    "smooth": _smooth,
    "saturated": lambda rng, shape: _smooth(rng, shape).clip(-0.5, 0.5),
    "staircase": lambda rng, shape: (2 * _smooth(rng, shape)).round() / 2,
    "blocks": _blocks,
    "noisy blocks": lambda rng, shape: _blocks(rng, shape) + 1e-3 * rng.normal(size=shape) * (rng.random(shape) < 0.3),
    "sparse": lambda rng, shape: rng.random(shape) * (rng.random(shape) < 0.1),
}


def draw_images(rng: Rng, shape: Sequence[int], count: int) -> Tensor:
    """Draw a batch `(count, *shape)` of any floating-point dtype, finite, with any strides."""
    kind = str(rng.choice(list(_KINDS)))
    values = np.stack([_KINDS[kind](rng, shape) for _ in range(count)])
    dtype = _DTYPES[int(rng.integers(len(_DTYPES)))]
    images = torch.from_numpy(_transformed(rng, values, dtype)).to(dtype)
    return restride(rng, images)


def _transformed(rng: Rng, values: Array, dtype: torch.dtype) -> Array:
    """Move values to where floating-point numbers are special, without leaving the range of the dtype."""
    info = torch.finfo(dtype)
    largest = max(1.0, float(np.abs(values).max()))
    which = rng.integers(6)
    if which == 0:  # up to the largest number
        values = values / largest * info.max
    elif which == 1:  # down to the smallest ones
        values = values / largest * float(rng.choice([info.tiny, 100 * info.smallest_normal, 5e-324, 1e-44]))
    elif which == 2:  # neighbors among the numbers near 1
        values = 1 + values.round() * info.eps
    elif which == 3:  # both zeros
        values = np.where(
            rng.random(values.shape) < 0.5, -np.abs(values).clip(max=0), values * (rng.random(values.shape) < 0.5)
        )
    elif which == 4:  # negative
        values = -values
    clipped: Array = np.nan_to_num(np.clip(values, -info.max, info.max))
    return clipped


def restride(rng: Rng, images: Tensor) -> Tensor:
    """Return equal images with other strides: axes in another order in memory, gaps, or repeated images."""
    which = rng.integers(4)
    if which == 0:
        order = rng.permutation(images.ndim).tolist()
        back = np.argsort(order).tolist()
        return images.permute(order).contiguous().permute(back)
    if which == 1:
        wide = images.new_full([2 * length + 1 for length in images.shape], float("nan"))
        view = wide[(slice(1, None, 2),) * images.ndim]
        view.copy_(images)
        return view
    if which == 2:
        return images[:1].expand(images.shape) if bool((images == images[:1]).all()) else images
    return images


def ranks(image: Tensor) -> Array:
    """Return the ranks of values among all values of an image; equal values have one rank."""
    values = image.double().numpy() + 0.0  # without negative zeros
    _, inverse = np.unique(values, return_inverse=True)
    return inverse.reshape(values.shape).astype(np.int64)
