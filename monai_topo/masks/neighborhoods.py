"""Local topology: the components of foreground and background around one voxel, in its 3^d neighborhood."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.typing import DUAL, Connectivity, Mask
from monai_topo.masks.components import label_components

__all__ = ["adjacent_components", "neighborhood_offsets", "topological_numbers"]

Ids = NDArray[np.int32]


def adjacent_components(neighborhoods: Mask, connectivity: Connectivity) -> Ids:
    """Number the components of the foreground around a voxel that are adjacent to it.

    Args:
        neighborhoods: `(n, 3, 3)` or `(n, 3, 3, 3)` bool. The voxel itself, at the center, is ignored.
        connectivity: Connectivity of the foreground, `"full"` (8, 26) or `"face"` (4, 6).

    Returns:
        Int32 of the same shape: equal positive numbers within a component, 0 elsewhere. With face connectivity,
        components live in the 18 (2D: 8) neighbors, and one without a face neighbor of the voxel is 0.
    """
    ndim = neighborhoods.ndim - 1
    around = neighborhoods.copy()
    around[(slice(None),) + (1,) * ndim] = False
    if connectivity == "face" and ndim == 3:
        around[:, ::2, ::2, ::2] = False
    ids: Ids = label_components(torch.from_numpy(around), connectivity=connectivity).numpy()
    if connectivity == "full":
        return ids
    faces = ids.reshape(len(ids), -1)[:, _face_positions(ndim)]
    adjacent = (ids[..., None] == faces.reshape(len(ids), *(1,) * ndim, -1)).any(-1)
    return np.where(adjacent, ids, 0).astype(np.int32)


def topological_numbers(neighborhoods: Mask, connectivity: Connectivity) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the components of foreground and of background that are adjacent to a voxel.

    A voxel is simple, that is its flip changes no topology, if both numbers are 1 (Bertrand, Malandain, "A new
    characterization of three-dimensional simple points", 1994).

    Args:
        neighborhoods: `(n, 3, 3)` or `(n, 3, 3, 3)` bool. The voxel itself, at the center, is ignored.
        connectivity: Connectivity of the foreground; the background has the dual one.

    Returns:
        Two int64 arrays of length n.
    """
    foreground = adjacent_components(neighborhoods, connectivity)
    background = adjacent_components(~neighborhoods, DUAL[connectivity])
    return _num_distinct(foreground), _num_distinct(background)


def neighborhood_offsets(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the steps in C order from a voxel to its 3^d neighborhood in an array of a shape, in C order."""
    strides = np.cumprod((1, *shape[:0:-1]))[::-1]
    steps = np.indices((3,) * len(shape)).reshape(len(shape), -1) - 1
    offsets: NDArray[np.int64] = strides @ steps
    return offsets


def _face_positions(ndim: int) -> NDArray[np.intp]:
    steps = np.indices((3,) * ndim).reshape(ndim, -1) - 1
    return np.flatnonzero(np.abs(steps).sum(0) == 1)


def _num_distinct(ids: NDArray[Any]) -> NDArray[np.int64]:
    ordered = np.sort(ids.reshape(len(ids), -1), axis=1)
    return np.asarray(np.count_nonzero(np.diff(ordered, axis=1), axis=1) + (ordered[:, 0] > 0))
