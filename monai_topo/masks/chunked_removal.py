"""Masks larger than memory without their small components, block by block on Dask; needs what `chunked` needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.optional import require
from monai_topo._utils.typing import Connectivity
from monai_topo._utils.validation import check_at_least
from monai_topo.masks._blocks import Index, keep_large, large_in_blocks
from monai_topo.masks.chunked import count_and_join, to_blocks

__all__ = ["chunked_remove_small"]


def chunked_remove_small(
    mask: Any, min_size: int, *, connectivity: Connectivity = "full", chunks: Any = "auto", progress: bool = False
) -> Any:
    """Remove the components below a size from a mask that need not fit into memory.

    Equal to the mask in memory without its components of fewer voxels, whatever the chunks; a component of exactly
    `min_size` voxels stays. Sizes are counted at the call, which reads the mask once; the result is lazy and reads it
    once more, block by block.

    Args:
        mask: One image, as for :py:func:`chunked_betti_numbers`.
        min_size: Least number of voxels of a component that stays.
        connectivity: Connectivity of the foreground, `"full"` (8, 26) or `"face"` (4, 6).
        chunks: Blocks, as for :py:func:`chunked_betti_numbers`.
        progress: Show a progress bar while sizes are counted.

    Returns:
        A Dask array of the shape, dtype and chunks of the mask, to compute or to write, for example by
        `dask.array.to_zarr`. It holds one byte for each component that reaches a face of its block.

    Raises:
        ImportError: If Dask or SciPy is not installed.
        TypeError: If `mask` is not an array.
        ValueError: As :py:func:`chunked_betti_numbers`, or if `min_size` is negative.

    Cost: that of :py:func:`chunked_component_sizes`, and once more when the result is computed, then with 4 bytes more
    for each voxel of a block.

    Example:
        >>> import dask.array as da, numpy as np
        >>> specks = np.zeros((40, 60), dtype=bool)
        >>> specks[10:30, 10:50] = specks[35, 15:18] = True  # a speck across two chunks
        >>> cleaned = chunked_remove_small(da.from_array(specks, chunks=16), 4)
        >>> int(cleaned.sum()), cleaned.chunks == da.from_array(specks, chunks=16).chunks
        (800, True)
    """
    array = require("dask.array", "Dask", extra="volumes")
    check_at_least("min_size", min_size)
    blocks = to_blocks(mask, "mask", chunks)
    [joined] = count_and_join([blocks], connectivity, "open", progress, with_sizes=True)
    at_faces = np.empty(blocks.numblocks, dtype=object)
    for index, large in large_in_blocks(joined, min_size).items():
        at_faces[index] = large
    return array.map_blocks(
        _keep_large_one,
        blocks,
        array.from_array(at_faces, chunks=1, name=False),
        dtype=blocks.dtype,
        chunks=blocks.chunks,
        meta=np.empty((0,) * blocks.ndim, dtype=blocks.dtype),
        grid=blocks.numblocks,
        connectivity=connectivity,
        min_size=min_size,
    )


def _keep_large_one(block: Any, at_faces: NDArray[np.object_], block_id: Index, **settings: Any) -> NDArray[np.generic]:
    return keep_large(np.asarray(block), index=block_id, at_faces=at_faces.item(), **settings)
