"""Skeletons of masks, one voxel wide, thinned by scikit-image; and tubed skeletons."""

from __future__ import annotations

import numpy as np
from monai.transforms.utils import generate_spatial_bounding_box

from monai_topo._utils.caching import cached
from monai_topo._utils.optional import require
from monai_topo._utils.typing import Mask
from monai_topo.masks.components import betti_of_mask, components


@cached
def skeleton(mask: Mask, spacing_mm: tuple[float, ...] | None = None) -> Mask:
    """Thin a mask to lines one voxel wide with the same topology.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool, not changed.
        spacing_mm: Voxel spacing, one number per axis; only the ratios matter. None means cubic voxels.

    Returns:
        A new bool array inside the mask, with its Betti numbers under full connectivity (8 in 2D, 26 in 3D, the only
        connectivity of lines one voxel wide). A cavity keeps a closed surface around it. Empty masks stay empty.

    Method: scikit-image's thinning (Zhang and Suen 1984 in 2D; Lee, Kashyap, Chu 1994 in 3D). The latter loses whole
    components in 3D, for example a block of 2 x 2 x 2 voxels; these get their innermost voxel back. If voxels are not
    cubic, the layers of a coarse axis are repeated until they nearly are, which changes no topology; the result is
    thinned, mapped back to the layers, and thinned once more. If two lines meet in one thick layer that way, which the
    Betti numbers reveal, the mask is thinned voxel by voxel instead. Needs scikit-image and scipy; linear in the
    voxels.
    """
    thin = np.zeros(mask.shape, dtype=bool)
    if mask.any():
        start, end = generate_spatial_bounding_box(mask[None])
        box = tuple(map(slice, start, end))
        thin[box] = _thin_in_mm(mask[box], _repeats(spacing_mm or (1.0,) * mask.ndim))
    return thin


def _thin_in_mm(mask: Mask, repeats: tuple[int, ...]) -> Mask:
    if max(repeats) > 1:
        blocks = [extent for size, times in zip(mask.shape, repeats, strict=True) for extent in (size, times)]
        fine = _thin(np.kron(mask, np.ones(repeats, dtype=bool)))
        line = _thin(np.asarray(fine.reshape(blocks).any(axis=tuple(range(1, 2 * mask.ndim, 2)))))
        if betti_of_mask(line) == betti_of_mask(mask):
            return line
    return _thin(mask)


def _thin(mask: Mask) -> Mask:
    thin: Mask = np.asarray(require("skimage.morphology", "scikit-image").skeletonize(mask), dtype=bool)
    ids, count = components(mask, "full")
    kept = np.bincount(ids[thin], minlength=count + 1) > 0
    ndimage = require("scipy.ndimage", "scipy")
    lost = np.flatnonzero(~kept[1:]) + 1
    boxes = ndimage.find_objects(ids) if len(lost) else []
    for number in lost:
        # In its own box: a distance transform of the whole image took most of the time of the skeleton.
        box = boxes[number - 1]
        one = np.pad(ids[box] == number, 1)
        deepest = np.unravel_index(ndimage.distance_transform_edt(one).argmax(), one.shape)
        thin[box][tuple(int(index) - 1 for index in deepest)] = True
    return thin


def _repeats(spacing_mm: tuple[float, ...]) -> tuple[int, ...]:
    finest = min(spacing_mm)
    return tuple(round(length / finest) for length in spacing_mm)


def tubed_skeleton(mask: Mask, *, tube_vox: int) -> Mask:
    """Dilate the skeleton of a mask by `tube_vox` steps to face neighbors, inside the mask.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.
        tube_vox: Number of steps; 0 gives the plain skeleton.

    Returns:
        The tubed skeleton, bool of the same shape.

    Raises:
        ImportError: If scikit-image or scipy is not installed.
    """
    centerline = skeleton(mask)
    if tube_vox == 0 or not centerline.any():
        return centerline
    tube: Mask = require("scipy.ndimage", "scipy").binary_dilation(centerline, iterations=tube_vox) & mask
    return tube
