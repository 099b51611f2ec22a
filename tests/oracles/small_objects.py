"""scikit-image's removal of small objects and of small holes, whose limit has another name before version 0.26."""

from collections.abc import Callable
from inspect import signature

import numpy as np
from skimage.morphology import remove_small_holes, remove_small_objects


def without_objects_below(mask: np.ndarray, size: int, *, connectivity: int) -> np.ndarray:
    """Remove components of fewer than `size` voxels."""
    return _remove(remove_small_objects, mask, size, connectivity)


def without_holes_below(mask: np.ndarray, size: int, *, connectivity: int) -> np.ndarray:
    """Fill holes of fewer than `size` voxels."""
    return _remove(remove_small_holes, mask, size, connectivity)


def _remove(function: Callable[..., np.ndarray], mask: np.ndarray, size: int, connectivity: int) -> np.ndarray:
    known = signature(function).parameters
    if "max_size" in known:
        return function(mask, max_size=size - 1, connectivity=connectivity)
    return function(mask, **{"min_size" if "min_size" in known else "area_threshold": size}, connectivity=connectivity)
