"""Skeletons of masks: centrelines one voxel wide, thinned by scikit-image, and tubes around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_topo._optional import needed
from monai_topo._shared_results import computed_once

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@computed_once
def skeleton(mask: Mask) -> Mask:
    """Thin one mask to its centrelines.

    In 2D by Zhang and Suen (1984), in 3D by Lee, Kashyap and Chu (1994), both as `skimage.morphology.skeletonize` has
    them; what lies outside the image is background. Components stay components; a blob becomes a voxel or a short line,
    and an empty mask stays empty.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.

    Returns:
        The skeleton, a subset of the mask, bool of the same shape; deterministic.

    Raises:
        ImportError: When scikit-image is not installed.
    """
    thinned: Mask = needed("skimage.morphology", "scikit-image").skeletonize(mask).astype(bool)
    return thinned


def tubed_skeleton(mask: Mask, *, tube_vox: int) -> Mask:
    """Thicken the skeleton of a mask again, by `tube_vox` steps to face neighbours, never beyond the mask.

    Args:
        mask: `(H, W)` or `(D, H, W)` bool.
        tube_vox: Steps; 0 leaves the plain skeleton.

    Returns:
        The tube, bool of the same shape.

    Raises:
        ImportError: When scikit-image or scipy is not installed.
    """
    centreline = skeleton(mask)
    if tube_vox == 0 or not centreline.any():
        return centreline
    tube: Mask = needed("scipy.ndimage", "scipy").binary_dilation(centreline, iterations=tube_vox) & mask
    return tube
