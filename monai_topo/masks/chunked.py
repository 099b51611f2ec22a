"""Topology of masks larger than memory: chunked arrays (zarr, HDF5, Dask) counted block by block on Dask, exactly.

Each block is counted by itself, as it is read or computed; then only the labels on its faces are kept, and the seams
between blocks join them. The result equals that of the whole mask in memory, whatever the chunks. Dask schedules the
blocks: threads by default, `dask.config.set(scheduler="processes")`, or the workers of a `distributed.Client`.

Needs Dask and SciPy: `pip install "monai_topo[volumes]"`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_topology_settings
from monai_topo.masks._blocks import (
    BlockCount,
    Index,
    JoinedBlock,
    betti_of_blocks,
    count_block,
    join_block,
    sizes_of_blocks,
    upper_neighbors,
)
from monai_topo.masks._scheduling import ChunkError, compute_tasks

__all__ = [
    "ChunkError",
    "chunked_betti_error",
    "chunked_betti_numbers",
    "chunked_component_sizes",
    "chunked_euler_characteristic",
]

_MAX_BLOCK_VOXELS = 2**31 - 1  # labels have 32 bits


def chunked_betti_numbers(
    mask: Any,
    *,
    connectivity: Connectivity = "full",
    border: Border = "open",
    chunks: Any = "auto",
    progress: bool = False,
) -> Tensor:
    """Count components, loops and cavities of a mask that may be larger than memory.

    The result is that of `betti_numbers(mask[None], ...)[0]` of the same mask in memory.

    Args:
        mask: One image, `(H, W)` or `(D, H, W)`, bool or any dtype with the values 0 and 1 only. A Dask array, or an
            argument of `dask.array.from_array`: a zarr array, an h5py dataset, a NumPy array or memory map. A
            likelihood map can be thresholded block by block: `dask.array.from_zarr(path) > 0.5`.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground), see `betti_numbers`.
        chunks: Blocks of a `mask` that is not a Dask array, as in `dask.array.from_array`: `"auto"` takes whole chunks
            of the file, up to 128 MiB together. A Dask array keeps its own chunks. All chunk shapes give the same
            result; 64^3 voxels and more are fast.
        progress: Show a progress bar.

    Returns:
        `(d,)` int64 on the CPU: Betti numbers of dimensions 0 to d-1. Deterministic.

    Raises:
        ImportError: If Dask or SciPy is not installed.
        TypeError: If `mask` is not an array.
        ValueError: If it does not have 2 or 3 axes, has no voxels, unknown or too large chunks, values other than 0 and
            1, or if a setting is wrong.
        ChunkError: If a chunk cannot be read or computed; the message names its index and voxels. If a worker of a
            cluster is killed, its blocks are counted again by others; after several times the error says so.

    Cost: every block is read once, in time linear in its voxels. Memory of a worker: the block, one byte per voxel of
    it, and one label per run of voxels in it; in addition 4 bytes per voxel on the faces of those blocks whose
    neighbors are not counted yet, about one plane of blocks. The last step holds the components that reach a face of
    their block. Blocks that are slabs of a few planes consist mostly of faces: prefer cubes.

    Method: components of blocks by union-find on runs, joined through the labels on faces, edges and corners; the Euler
    characteristic adds up over cells, each of which lies in one block or on one seam.

    Example:
        >>> import dask.array as da, numpy as np
        >>> ring = np.zeros((50, 70), dtype=bool)
        >>> ring[10:40, 10:60] = True
        >>> ring[20:30, 20:50] = False
        >>> chunked_betti_numbers(da.from_array(ring, chunks=16))
        tensor([1, 1])
    """
    [betti] = _betti([to_blocks(mask, "mask", chunks)], connectivity, border, progress)
    return betti


def chunked_euler_characteristic(
    mask: Any,
    *,
    connectivity: Connectivity = "full",
    border: Border = "open",
    chunks: Any = "auto",
    progress: bool = False,
) -> int:
    """Compute the Euler characteristic of a mask that may be larger than memory: components - loops (+ cavities).

    Args, errors and cost are those of :py:func:`chunked_betti_numbers`, and the result is the alternating sum
    of its numbers. An empty mask has 0, a full one 1 (0 with `border="foreground"`).

    Example:
        >>> import dask.array as da
        >>> chunked_euler_characteristic(da.eye(40, chunks=16, dtype=bool), connectivity="face")
        40
    """
    betti = chunked_betti_numbers(mask, connectivity=connectivity, border=border, chunks=chunks, progress=progress)
    return int(betti[0::2].sum() - betti[1::2].sum())


def chunked_betti_error(
    pred: Any,
    true: Any,
    *,
    connectivity: Connectivity = "full",
    border: Border = "open",
    chunks: Any = "auto",
    progress: bool = False,
) -> Tensor:
    """Compute the Betti number error of a prediction that may be larger than memory.

    It is `abs(beta_k(pred) - beta_k(true))` in every dimension k.

    Args, errors and cost are those of :py:func:`chunked_betti_numbers`. Both masks have the same shape and are counted
    in one run of the scheduler; their chunks may differ. The definition and its limits are those of
    :py:func:`monai_topo.metrics.compute_betti_error` with `patch_size=None`.

    Returns:
        `(d,)` int64 on the CPU, one error per dimension.

    Example:
        >>> import dask.array as da
        >>> true = da.ones((30, 40), chunks=16, dtype=bool)
        >>> pred = da.where(da.arange(40, chunks=16) == 20, False, true)
        >>> chunked_betti_error(pred, true)
        tensor([1, 0])
    """
    blocks = [to_blocks(pred, "pred", chunks), to_blocks(true, "true", chunks)]
    if blocks[0].shape != blocks[1].shape:
        raise ValueError(
            f"Expected `true` to have the shape of `pred`, {blocks[0].shape}, but got {blocks[1].shape}; "
            "crop or resample one of them."
        )
    of_pred, of_true = _betti(blocks, connectivity, border, progress)
    return (of_pred - of_true).abs()


def chunked_component_sizes(
    mask: Any, *, connectivity: Connectivity = "full", chunks: Any = "auto", progress: bool = False
) -> Tensor:
    """Count the voxels of each component of a mask that may be larger than memory, the largest first.

    Args, errors and cost are those of :py:func:`chunked_betti_numbers`, with 8 bytes more per component.

    Returns:
        `(b0,)` int64 on the CPU; of length 0 for an empty mask.

    Example:
        >>> import dask.array as da
        >>> specks = da.eye(40, chunks=16, dtype=bool)
        >>> chunked_component_sizes(specks)
        tensor([40])
        >>> len(chunked_component_sizes(specks, connectivity="face"))
        40
    """
    [joined] = count_and_join([to_blocks(mask, "mask", chunks)], connectivity, "open", progress, with_sizes=True)
    return torch.from_numpy(sizes_of_blocks(joined))


def _betti(masks: list[Any], connectivity: Connectivity, border: Border, progress: bool) -> list[Tensor]:
    joined = count_and_join(masks, connectivity, border, progress)
    return [torch.from_numpy(betti_of_blocks(of, connectivity=connectivity, border=border)) for of in joined]


def to_blocks(mask: Any, name: str, chunks: Any) -> Any:
    """Check an array and convert it to a Dask array without empty chunks."""
    array = require("dask.array", "Dask", extra="volumes")
    require("scipy.sparse", "SciPy", extra="volumes")  # for the last step; without it fail before the first one
    if not isinstance(mask, array.Array):
        if isinstance(mask, Tensor) or not hasattr(mask, "shape") or not hasattr(mask, "dtype"):
            raise TypeError(
                f"Expected `{name}` to be a Dask, zarr, h5py or NumPy array, but got {type(mask).__name__}; "
                "use `betti_numbers` for a tensor in memory."
            )
        mask = array.from_array(mask, chunks=chunks, name=False)
    if mask.ndim not in (2, 3) or 0 in mask.shape:
        raise ValueError(
            f"Expected `{name}` to have shape (H, W) or (D, H, W) and at least one voxel, but got {mask.shape}; "
            "count one image and channel at a time."
        )
    if any(math.isnan(extent) for extent in mask.shape):
        raise ValueError(
            f"Expected `{name}` to have known chunks, but got shape {mask.shape}; call `compute_chunk_sizes()` first."
        )
    mask = mask.rechunk(tuple(tuple(extent for extent in axis if extent) for axis in mask.chunks))
    if math.prod(extent + 2 for extent in mask.chunksize) > _MAX_BLOCK_VOXELS:
        raise ValueError(
            f"Expected `{name}` to have chunks of at most {_MAX_BLOCK_VOXELS} voxels, but got {mask.chunksize}; "
            "rechunk it, for example to 512 along each axis."
        )
    return mask


def count_and_join(
    masks: list[Any], connectivity: Connectivity, border: Border, progress: bool, with_sizes: bool = False
) -> list[dict[Index, JoinedBlock]]:
    """Count and join all blocks of all masks in one run of the scheduler."""
    check_topology_settings(connectivity=connectivity, border=border)
    tasks = [_tasks(mask, connectivity=connectivity, border=border, with_sizes=with_sizes) for mask in masks]
    results = iter(compute_tasks(masks, tasks, progress))
    return [{index: next(results) for index in of_mask} for of_mask in tasks]


def _tasks(mask: Any, *, connectivity: Connectivity, border: Border, with_sizes: bool) -> dict[Index, Any]:
    grid: Index = mask.numblocks
    # With map_blocks, reading, computing and counting a block are one task, and its voxels never leave the worker.
    counts = mask.map_blocks(
        _count_one,
        dtype=object,
        meta=np.empty((0,) * mask.ndim, dtype=object),
        chunks=tuple((1,) * blocks for blocks in grid),
        grid=grid,
        connectivity=connectivity,
        border=border,
        with_sizes=with_sizes,
    ).to_delayed()
    join = require("dask", "Dask", extra="volumes").delayed(_join_one, pure=False, traverse=False)
    tasks = {}
    for index in np.ndindex(*grid):
        offsets = upper_neighbors(index, grid)
        around = [counts[tuple(map(sum, zip(index, offset, strict=True)))] for offset in offsets]
        tasks[index] = join(offsets, *around, connectivity=connectivity)
    return tasks


def _count_one(block: Any, block_id: Index, **settings: Any) -> NDArray[np.object_]:
    counted = np.empty((1,) * block.ndim, dtype=object)
    counted.flat[0] = count_block(np.asarray(block), index=block_id, **settings)
    return counted


def _join_one(offsets: list[Index], *counted: NDArray[np.object_], connectivity: Connectivity) -> JoinedBlock:
    counts: list[BlockCount] = [of_block.item() for of_block in counted]
    return join_block(offsets, *counts, connectivity=connectivity)
