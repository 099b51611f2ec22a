"""What both synthetic generators share: argument checks, smooth random fields, contrast gaps and the camera.

Plain numpy, no BLAS and no torch, so that a seed gives the same image whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from monai_topo.data.labels import foreground_mask

FloatArray = NDArray[np.float64]
MaskArray = NDArray[np.bool_]

_SMALLEST_AXIS = 8


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple of ints, or say why it cannot be an image's."""
    axes = tuple(int(length) for length in shape)
    if len(axes) not in (2, 3) or min(axes) < _SMALLEST_AXIS:
        raise ValueError(
            f"Expected `shape` to have 2 or 3 axes of at least {_SMALLEST_AXIS} voxels, but got {tuple(shape)}."
        )
    return axes


def check_between(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Raise a ValueError unless `low <= value <= high`."""
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ValueError(f"Expected `{name}` to be {limits}, but got {value}.")


def gaussian_blur(image: FloatArray, sigma_vox: float) -> FloatArray:
    """Gaussian blur; beyond the border the edge's values go on."""
    if sigma_vox == 0:
        return image
    margin = int(np.ceil(3 * sigma_vox))
    padded = np.pad(image, margin, mode="edge")
    return _periodic_blur(padded, sigma_vox)[(slice(margin, -margin),) * image.ndim]


def _periodic_blur(image: FloatArray, sigma_vox: float) -> FloatArray:
    # By Fourier transform: the cost does not grow with sigma, and numpy's transform runs on one thread.
    spectrum = np.fft.rfftn(image)
    for axis, length in enumerate(image.shape):
        last = axis == image.ndim - 1
        frequency = np.fft.rfftfreq(length) if last else np.fft.fftfreq(length)
        transfer = np.exp(-2 * (np.pi * sigma_vox * frequency) ** 2)
        spectrum *= transfer.reshape([-1 if other == axis else 1 for other in range(image.ndim)])
    blurred: FloatArray = np.fft.irfftn(spectrum, s=image.shape, axes=range(image.ndim))
    return blurred


def smooth_noise(shape: tuple[int, ...], sigma_vox: float, rng: np.random.Generator) -> FloatArray:
    """White noise blurred to a correlation length of about `sigma_vox`, mean 0 and standard deviation 1."""
    # Beyond a third of the longest axis next to nothing but the mean would be left to scale up again.
    field = _periodic_blur(rng.standard_normal(shape), min(sigma_vox, max(shape) / 3))
    field -= field.mean()
    field /= field.std()
    return field


def blobs(shape: tuple[int, ...], radius_vox: float, fraction: float, rng: np.random.Generator) -> MaskArray:
    """Random round blobs of about `radius_vox` that fill `fraction` of the image."""
    field = smooth_noise(shape, radius_vox, rng)
    return field > np.quantile(field, 1 - fraction)


def dilated(mask: MaskArray, radius_vox: float) -> MaskArray:
    """Every voxel within `radius_vox` of the mask; beyond the border there is none of it."""
    reach = int(radius_vox)
    padded = np.pad(mask, reach)
    grown = np.zeros_like(mask)
    for offset in product(range(-reach, reach + 1), repeat=mask.ndim):
        if sum(by * by for by in offset) <= radius_vox**2:
            moved = (slice(reach + by, reach + by + length) for by, length in zip(offset, mask.shape, strict=True))
            grown |= padded[tuple(moved)]
    return grown


def without_pinholes(mask: MaskArray) -> MaskArray:
    """Morphological closing: fills what is left open between whole voxels only, as in a fork, and parts nothing."""
    # Of 40 vessel volumes of (48, 56, 64) with no loops drawn, these two radii leave 1 with a pinhole, the first one
    # alone leaves 3, the second one alone 10, radius 2 leaves 8, no closing at all 32.
    for radius_vox in (2**0.5, 1.0):
        mask = ~dilated(~dilated(mask, radius_vox), radius_vox)
    return mask


def outline(mask: MaskArray) -> MaskArray:
    """The inner rim of a mask, one voxel thick."""
    return mask & foreground_mask(mask, "boundary")


def faded_contrast(
    structure: MaskArray, *, gaps: float, gap_contrast: float, gap_radius_vox: float, rng: np.random.Generator
) -> FloatArray:
    """Contrast 1 along a structure, and `gap_contrast` in a random, blob-wise fraction `gaps` of its voxels."""
    field = smooth_noise(structure.shape, gap_radius_vox, rng)
    contrast = np.ones(structure.shape)
    if gaps > 0 and structure.any():
        contrast[field >= np.quantile(field[structure], 1 - gaps)] = gap_contrast
    return contrast


def photographed(scene: FloatArray, *, blur: float, noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The scene behind a camera: point spread, uneven illumination, noise of two grain sizes, clipped to [0, 1]."""
    illumination = 0.05 * smooth_noise(scene.shape, max(scene.shape) / 4, rng)
    grain = 0.8 * rng.standard_normal(scene.shape) + 0.6 * smooth_noise(scene.shape, 0.7, rng)
    image = gaussian_blur(scene, blur) + illumination + noise * grain
    return np.clip(image, 0, 1).astype(np.float32)
