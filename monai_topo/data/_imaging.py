"""Shared by both synthetic generators: argument checks, smooth random fields, contrast gaps and a camera model.

Plain NumPy, no BLAS and no torch, so that a seed gives the same image for every number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo._utils.validation import check_at_least, check_between
from monai_topo.data.labels import foreground_mask

FloatArray = NDArray[np.float64]

_SMALLEST_AXIS = 8


def check_image_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Check the shape of an image to generate, and return it as a tuple of ints.

    Raises:
        ValueError: If it does not have 2 or 3 axes of at least 8 voxels.
    """
    axes = tuple(int(length) for length in shape)
    if len(axes) not in (2, 3) or min(axes) < _SMALLEST_AXIS:
        raise ValueError(
            f"Expected `shape` to have 2 or 3 axes of at least {_SMALLEST_AXIS} voxels, but got {tuple(shape)}."
        )
    return axes


def check_camera(*, blur: float, noise: float, gaps: float, gap_contrast: float) -> None:
    """Check the arguments that degrade the image and not the label."""
    check_at_least("blur", blur)
    check_at_least("noise", noise)
    check_between("gaps", gaps, 0, 1)
    check_between("gap_contrast", gap_contrast, 0, 1)


def gaussian_blur(image: FloatArray, sigma_vox: float) -> FloatArray:
    """Blur an image by a Gaussian; beyond the border, the values of the edge are repeated."""
    if sigma_vox == 0:
        return image
    margin = int(np.ceil(3 * sigma_vox))
    padded = np.pad(image, margin, mode="edge")
    return _periodic_blur(padded, sigma_vox)[(slice(margin, -margin),) * image.ndim]


def _periodic_blur(image: FloatArray, sigma_vox: float) -> FloatArray:
    # By Fourier transform: the cost does not grow with sigma, and NumPy's transform runs on one thread.
    spectrum = np.fft.rfftn(image)
    for axis, length in enumerate(image.shape):
        last = axis == image.ndim - 1
        frequency = np.fft.rfftfreq(length) if last else np.fft.fftfreq(length)
        transfer = np.exp(-2 * (np.pi * sigma_vox * frequency) ** 2)
        spectrum *= transfer.reshape([-1 if other == axis else 1 for other in range(image.ndim)])
    blurred: FloatArray = np.fft.irfftn(spectrum, s=image.shape, axes=range(image.ndim))
    return blurred


def smooth_noise(shape: tuple[int, ...], sigma_vox: float, rng: np.random.Generator) -> FloatArray:
    """Draw white noise blurred to a correlation length of about `sigma_vox`, with mean 0 and standard deviation 1."""
    # Beyond a third of the longest axis, almost nothing except the mean would remain to be scaled up again.
    field = _periodic_blur(rng.standard_normal(shape), min(sigma_vox, max(shape) / 3))
    field -= field.mean()
    field /= field.std()
    return field


def draw_blobs(shape: tuple[int, ...], radius_vox: float, fraction: float, rng: np.random.Generator) -> Mask:
    """Draw random round blobs of about `radius_vox` that fill a fraction of the image."""
    field = smooth_noise(shape, radius_vox, rng)
    return field > np.quantile(field, 1 - fraction)


def dilate_by_ball(mask: Mask, radius_vox: float) -> Mask:
    """Dilate a mask by a ball; everything beyond the border is background."""
    reach = int(radius_vox)
    padded = np.pad(mask, reach)
    grown = np.zeros_like(mask)
    for offset in product(range(-reach, reach + 1), repeat=mask.ndim):
        if sum(by * by for by in offset) <= radius_vox**2:
            moved = (slice(reach + by, reach + by + length) for by, length in zip(offset, mask.shape, strict=True))
            grown |= padded[tuple(moved)]
    return grown


def close_pinholes(mask: Mask) -> Mask:
    """Close a mask morphologically: fill pinholes between whole voxels, as in a fork, and disconnect nothing."""
    # Of 40 vessel volumes of (48, 56, 64) without drawn loops, these two radii leave 1 with a pinhole; the first one
    # alone leaves 3, the second one alone 10, radius 2 leaves 8, and no closing at all 32.
    for radius_vox in (2**0.5, 1.0):
        mask = ~dilate_by_ball(~dilate_by_ball(mask, radius_vox), radius_vox)
    return mask


def inner_rim(mask: Mask) -> Mask:
    """Return the inner rim of a mask, one voxel thick."""
    return mask & foreground_mask(mask, "boundary")


def draw_contrast(
    structure: Mask, *, gaps: float, gap_contrast: float, gap_radius_vox: float, rng: np.random.Generator
) -> FloatArray:
    """Draw the contrast along a structure: 1, and `gap_contrast` in blobs that cover a fraction `gaps` of it."""
    field = smooth_noise(structure.shape, gap_radius_vox, rng)
    contrast = np.ones(structure.shape)
    if gaps > 0 and structure.any():
        contrast[field >= np.quantile(field[structure], 1 - gaps)] = gap_contrast
    return contrast


def photograph(scene: FloatArray, *, blur: float, noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Apply a camera model: point spread, uneven illumination, noise of two grain sizes, clipping to [0, 1]."""
    illumination = 0.05 * smooth_noise(scene.shape, max(scene.shape) / 4, rng)
    grain = 0.8 * rng.standard_normal(scene.shape) + 0.6 * smooth_noise(scene.shape, 0.7, rng)
    image = gaussian_blur(scene, blur) + illumination + noise * grain
    return np.clip(image, 0, 1).astype(np.float32)
