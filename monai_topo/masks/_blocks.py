"""Betti numbers of a mask from the counts of its blocks: each block by itself, then the seams between them.

The blocks tile the mask, which is framed by one voxel of the outside, and a block needs no voxel of its neighbors. Of a
counted block only the labels on its faces are kept, until its seams are joined: the sign of a label distinguishes
foreground and background, its number the components of the block. A cell of the Euler characteristic lies in one block
or on one seam: of a pair of blocks, of the four around an edge, of the eight around a corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.kernel import kernel
from monai_topo._utils.optional import require
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.components import components

Index = tuple[int, ...]
Labels = NDArray[np.int32]
Counts = NDArray[np.int64]


class WrongValuesError(ValueError):
    """A block with other values than 0 and 1; the message names it."""


_HALF = 32  # bits of a label in a pair of labels


@dataclass(frozen=True)
class BlockCount:
    """Counts of one block, and the labels on its faces.

    Attributes:
        inside: Number of components of foreground and background that do not reach a face of the block.
        at_faces: Number of components that do. On the faces those of the foreground are labeled 1, 2, ..., those of the
            background -1, -2, ...
        euler: Euler characteristic of the face-connected one of foreground and background, of the cells inside the
            block.
        faces: Labels by `(axis, side)`; side 0 is the lower one.
        sizes: Voxels of the components of the foreground, those at the faces first; empty unless requested.
    """

    inside: Counts
    at_faces: Counts
    euler: int
    faces: dict[tuple[int, int], Labels]
    sizes: Counts


@dataclass(frozen=True)
class JoinedBlock:
    """Counts of one block, joined with the blocks above it.

    Attributes:
        inside: As in `BlockCount`.
        at_faces: As in `BlockCount`.
        euler: Euler characteristic of the cells in the block and on its upper seams.
        joins: `(offset, offset, pairs)`: two blocks, by their offsets from this one, and `(P, 2)` pairs of their labels
            that belong to one component.
        sizes: As in `BlockCount`.
    """

    inside: Counts
    at_faces: Counts
    euler: int
    joins: list[tuple[Index, Index, Labels]]
    sizes: Counts


def count_block(
    block: NDArray[np.generic],
    *,
    index: Index,
    grid: Index,
    connectivity: Connectivity,
    border: Border,
    with_sizes: bool = False,
) -> BlockCount:
    """Count one block of a mask.

    Args:
        block: Voxels of the block, 0 and 1 of any dtype; no axis is empty.
        index: Position in the grid of blocks.
        grid: Number of blocks along each axis.
        connectivity: Connectivity of the foreground.
        border: Boundary condition of the whole mask.
        with_sizes: Count the voxels of the components too.

    Raises:
        ValueError: If a value is neither 0 nor 1.
    """
    lower, upper = _frame(index, grid)
    shape = tuple(map(sum, zip(block.shape, lower, upper, strict=True)))
    framed = np.full(shape, border == "foreground", dtype=bool)
    own = tuple(slice(low, low + extent) for low, extent in zip(lower, block.shape, strict=True))
    framed[own] = block != 0
    if not np.array_equal(framed[own].astype(block.dtype, copy=False), block):
        raise WrongValuesError(
            f"Expected the mask to hold only 0 and 1, but got other values in block {index}: threshold first, "
            "for example `x > 0.5`."
        )
    counts, labels, sizes = kernel.block_components(framed.view(np.uint8), connectivity == "full", with_sizes)
    return BlockCount(counts[:2], counts[2:4], int(counts[4]), _split_faces(labels, shape), sizes)


def _split_faces(labels: Labels, shape: Index) -> dict[tuple[int, int], Labels]:
    faces, start = {}, 0
    for axis, side in product(range(len(shape)), (0, 1)):
        face_shape = shape[:axis] + shape[axis + 1 :]
        end = start + int(np.prod(face_shape))
        faces[axis, side] = labels[start:end].reshape(face_shape)
        start = end
    return faces


def upper_neighbors(index: Index, grid: Index) -> list[Index]:
    """Return the offsets of the block itself and of the existing blocks above it, 2^d of them inside the grid."""
    reach = [(0, 1) if at + 1 < last else (0,) for at, last in zip(index, grid, strict=True)]
    return list(product(*reach))


def join_block(offsets: Sequence[Index], *counts: BlockCount, connectivity: Connectivity) -> JoinedBlock:
    """Join a block with those above it.

    Args:
        offsets: Offsets of the blocks from the first one, which is the block itself (see `upper_neighbors`).
        *counts: The blocks.
        connectivity: Connectivity of the foreground.
    """
    ndim = len(offsets[0])
    blocks = dict(zip(offsets, counts, strict=True))
    foreground = connectivity == "face"  # otherwise the background is face-connected
    euler, joins = counts[0].euler, []
    for size in range(1, ndim + 1):
        for axes in combinations(range(ndim), size):
            if tuple(int(axis in axes) for axis in range(ndim)) not in blocks:
                continue
            around = {offset: _rim(blocks[offset], axes, offset) for offset in _offsets_around(axes, ndim)}
            solid = np.logical_and.reduce([(labels > 0) == foreground for labels in around.values()])
            euler += (-1) ** size * _euler_characteristic(solid)
            for offset, labels in around.items():
                opposite = tuple(int(axis in axes) - at for axis, at in enumerate(offset))
                if offset[axes[0]] == 0:
                    pairs = _touching(labels, around[opposite], size, foreground_full=not foreground)
                    joins.append((offset, opposite, pairs))
    return JoinedBlock(counts[0].inside, counts[0].at_faces, euler, joins, counts[0].sizes)


def _offsets_around(axes: Sequence[int], ndim: int) -> Iterator[Index]:
    """Return the offsets of the blocks around a seam across `axes`."""
    return product(*[(0, 1) if axis in axes else (0,) for axis in range(ndim)])


def _rim(block: BlockCount, axes: Sequence[int], offset: Index) -> Labels:
    """Return the labels of one block along the seam across `axes`: of the lower block those of its upper side."""
    first = axes[0]
    index = [(-1, 0)[offset[a]] if a in axes else slice(None) for a in range(len(offset)) if a != first]
    return np.asarray(block.faces[first, 1 - offset[first]][tuple(index)])


def _euler_characteristic(solid: NDArray[np.bool_]) -> int:
    """Compute the Euler characteristic of the cells whose voxels are all set, in 2D and below."""
    total = 0
    for cell in product((False, True), repeat=solid.ndim):
        whole = solid
        for axis in np.flatnonzero(cell):
            whole = np.take(whole, range(1, whole.shape[axis]), axis) & np.take(
                whole, range(whole.shape[axis] - 1), axis
            )
        total += (-1) ** sum(cell) * int(np.count_nonzero(whole))
    return total


def _touching(labels: Labels, others: Labels, seam_axes: int, *, foreground_full: bool) -> Labels:
    """Return the distinct pairs of labels, `(P, 2)`, that touch across a seam and so belong to one component."""
    keys = []
    for shift in product((-1, 0, 1), repeat=labels.ndim):
        diagonal = seam_axes > 1 or any(shift)
        here = labels[tuple(slice(max(0, -by), max(0, extent - max(0, by))) for by, extent in _with(shift, labels))]
        there = others[tuple(slice(max(0, by), max(0, extent - max(0, -by))) for by, extent in _with(shift, labels))]
        same = (here > 0) == (there > 0)
        if diagonal:  # only with full connectivity
            same &= (here > 0) == foreground_full
        key = (here[same].astype(np.int64) << _HALF) | there[same].astype(np.uint32).astype(np.int64)
        keys.append(key[np.flatnonzero(np.diff(key, prepend=~key[:1]))])
    unique = np.unique(np.concatenate(keys))
    return np.stack([unique >> _HALF, unique & 0xFFFFFFFF], axis=1).astype(np.uint32).view(np.int32)


def _with(shift: Index, labels: Labels) -> Iterator[tuple[int, int]]:
    return zip(shift, labels.shape, strict=True)


def betti_of_blocks(
    blocks: dict[Index, JoinedBlock], *, connectivity: Connectivity, border: Border
) -> NDArray[np.int64]:
    """Compute the Betti numbers of the whole mask, `(d,)`."""
    ndim = len(next(iter(blocks)))
    inside = np.sum([block.inside for block in blocks.values()], axis=0)
    is_foreground, classes = _merge(blocks)
    at_faces = [len(np.unique(classes[is_foreground == side])) for side in (True, False)]
    features, background = (inside + at_faces).tolist()
    euler = sum(block.euler for block in blocks.values())
    framed = (connectivity == "full") != (border == "foreground")  # the cells counted include the frame
    betti = np.zeros(ndim, dtype=np.int64)
    betti[0] = features - (border == "foreground")
    if ndim == 3:
        betti[1] = features + background - euler - (not framed)
    betti[-1] = max(background - 1, 0)
    return betti


def sizes_of_blocks(blocks: dict[Index, JoinedBlock]) -> NDArray[np.int64]:
    """Return the sizes of the components of the foreground, the largest first."""
    merged, _ = _sizes_at_faces(blocks)
    inside = [block.sizes[block.at_faces[0] :] for block in blocks.values()]
    return np.sort(np.concatenate([merged, *inside]))[::-1].copy()


def _sizes_at_faces(blocks: dict[Index, JoinedBlock]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the sizes of the mask's components that reach a face, and which of them each block's components are."""
    is_foreground, classes = _merge(blocks)
    _, component = np.unique(classes[is_foreground], return_inverse=True)
    merged = np.zeros(component.max(initial=-1) + 1, dtype=np.int64)
    np.add.at(merged, component, np.concatenate([block.sizes[: block.at_faces[0]] for block in blocks.values()]))
    return merged, component


def large_in_blocks(blocks: dict[Index, JoinedBlock], min_size: int) -> dict[Index, NDArray[np.bool_]]:
    """Find which of the foreground's components at the faces of each block have at least so many voxels in the mask."""
    merged, component = _sizes_at_faces(blocks)
    large = merged[component] >= min_size
    ends = np.cumsum([block.at_faces[0] for block in blocks.values()])
    return dict(zip(blocks, np.split(large, ends[:-1]), strict=True))


def keep_large(
    block: NDArray[np.generic],
    *,
    index: Index,
    grid: Index,
    connectivity: Connectivity,
    at_faces: NDArray[np.bool_],
    min_size: int,
) -> NDArray[np.generic]:
    """Return a block without its small components.

    Args:
        block: Its voxels, 0 and 1 of any dtype.
        index: Where it lies in the grid of blocks.
        grid: Number of blocks along each axis.
        connectivity: Connectivity of the foreground.
        at_faces: Which of the components that reach a face stay, in the order of their labels in `BlockCount.faces`.
        min_size: Least number of voxels of the other components that stay.
    """
    counted = count_block(block, index=index, grid=grid, connectivity=connectivity, border="open")
    lower, upper = _frame(index, grid)
    ids, count = components(np.pad(block != 0, list(zip(lower, upper, strict=True))), connectivity)
    stays = np.bincount(ids.ravel(), minlength=count + 1) >= min_size
    for (axis, side), face in counted.faces.items():
        on_face = np.take(ids, -side, axis)
        stays[on_face[face > 0]] = at_faces[face[face > 0] - 1]
    inner = ids[tuple(slice(low, low + extent) for low, extent in zip(lower, block.shape, strict=True))]
    return np.where(stays[inner], block, block.dtype.type(0))


def _frame(index: Index, grid: Index) -> tuple[list[int], list[int]]:
    """Return the width of the frame of a block at its lower and its upper sides: 1 where the mask ends."""
    return [int(at == 0) for at in index], [int(at == last - 1) for at, last in zip(index, grid, strict=True)]


def _merge(blocks: dict[Index, JoinedBlock]) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Unite the components at faces of blocks; return whether each is foreground, and its component in the mask."""
    first, sides, total = {}, [], 0
    for index, block in blocks.items():
        first[index] = total
        total += int(block.at_faces.sum())
        sides.append(np.repeat([True, False], block.at_faces))
    ends: list[list[NDArray[np.int64]]] = [[], []]
    for index, block in blocks.items():
        for *offsets, pairs in block.joins:
            for end, offset, labels in zip(ends, offsets, pairs.T, strict=True):
                at = tuple(map(sum, zip(index, offset, strict=True)))
                num_foreground = blocks[at].at_faces[0]
                number = np.where(labels > 0, labels - 1, num_foreground - labels.astype(np.int64) - 1)
                end.append(first[at] + number)
    row, column = (np.concatenate(end) if end else np.zeros(0, np.int64) for end in ends)
    graph = require("scipy.sparse", "scipy", extra="volumes").coo_array(
        (np.ones(len(row), dtype=bool), (row, column)), shape=(total, total)
    )
    unite = require("scipy.sparse.csgraph", "scipy", extra="volumes").connected_components
    return np.concatenate(sides), unite(graph, directed=False)[1]
