"""Persistent homology of a cubical complex by reducing its whole boundary matrix over Z/2: slow and direct.

Cells have doubled coordinates: an odd coordinate spans an interval, an even one is a point. The algorithm is that of
Edelsbrunner and Harer, Computational Topology (2010), section VII.1, without any optimization.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class CubicalCell(NamedTuple):
    """A cell of the complex: the voxels it touches (flat C-order indices) and its codimension-1 faces."""

    position: tuple[int, ...]
    dim: int
    voxels: tuple[int, ...]
    faces: tuple[tuple[int, ...], ...]


class Barcode(NamedTuple):
    """Finite pairs as (dim, birth, death) and essential classes as (dim, birth), both sorted."""

    pairs: list[tuple[int, int, int]]
    essential: list[tuple[int, int]]


@cache
def cubical_cells(shape: tuple[int, ...], connectivity: str) -> tuple[CubicalCell, ...]:
    """Return all cells; voxels are the vertices ("face") or the closed top-dimensional cubes ("full")."""
    extents = [2 * n - 1 if connectivity == "face" else 2 * n + 1 for n in shape]
    cells = []
    for position in itertools.product(*map(range, extents)):
        if connectivity == "face":
            touched = [{c // 2, (c + 1) // 2} for c in position]
        else:
            touched = [{(c - 1) // 2, c // 2} & set(range(n)) for c, n in zip(position, shape, strict=True)]
        voxels = tuple(int(np.ravel_multi_index(v, shape)) for v in itertools.product(*touched))
        odd_axes = [axis for axis, c in enumerate(position) if c % 2]
        faces = tuple(
            (*position[:axis], position[axis] + step, *position[axis + 1 :]) for axis in odd_axes for step in (-1, 1)
        )
        cells.append(CubicalCell(position, len(odd_axes), voxels, faces))
    return tuple(cells)


def barcode_of_ranks(rank: NDArray[Any], connectivity: str) -> Barcode:
    """Return the barcode of the complex whose voxels enter by rising `rank`; births and deaths are ranks.

    Args:
        rank: Integer array. Voxels of equal rank enter together; classes born and dead at one rank are left out.
        connectivity: A cell enters with the last of its voxels (`"face"`) or with the first (`"full"`).
    """
    enters = max if connectivity == "face" else min
    flat_rank = rank.ravel().tolist()
    filtered = sorted(
        ((enters(flat_rank[v] for v in cell.voxels), cell) for cell in cubical_cells(rank.shape, connectivity)),
        key=lambda entry: (entry[0], entry[1].dim),
    )
    row_of = {cell.position: row for row, (_, cell) in enumerate(filtered)}
    reduced: dict[int, int] = {}  # lowest row -> reduced column; a column is an integer with one bit per row
    creators = dict.fromkeys(range(len(filtered)))
    pairs = []
    for row, (death, cell) in enumerate(filtered):
        column = 0
        for face in cell.faces:
            column ^= 1 << row_of[face]
        while column and (low := column.bit_length() - 1) in reduced:
            column ^= reduced[low]
        if column:
            reduced[low] = column
            del creators[row], creators[low]
            birth, creator = filtered[low]
            if birth != death:
                pairs.append((creator.dim, birth, death))
    return Barcode(sorted(pairs), sorted((filtered[row][1].dim, filtered[row][0]) for row in creators))


def voxel_order(image: NDArray[Any], filtration: str) -> NDArray[Any]:
    """Return flat indices in the order in which voxels enter: by value, of equal values the lower index first."""
    values = image.ravel().astype(np.float64)
    return np.argsort(-values if filtration == "superlevel" else values, kind="stable")


def critical_voxels(image: NDArray[Any], *, filtration: str, connectivity: str, border: str) -> Barcode:
    """Return the barcode of an image with voxels (flat C-order indices) as births and deaths, without equal values.

    With `border="foreground"` a ring of voxels enters before all others. Classes born with the ring are left out, and
    the ring itself is the essential component, with the index `image.size`.
    """
    order = voxel_order(image, filtration)
    rank: NDArray[np.int64] = np.empty(image.size, dtype=np.int64)
    rank[order] = np.arange(image.size)
    rank = rank.reshape(image.shape)
    if border == "foreground":
        rank = np.pad(rank, 1, constant_values=-1)
    barcode = barcode_of_ranks(rank, connectivity)
    voxel = [*order.tolist(), image.size]  # rank -1, the frame, is the last entry
    value = image.ravel()
    pairs = [(dim, voxel[birth], voxel[death]) for dim, birth, death in barcode.pairs if birth >= 0]
    return Barcode(
        sorted(pair for pair in pairs if value[pair[1]] != value[pair[2]]),
        [(dim, voxel[birth]) for dim, birth in barcode.essential],
    )
