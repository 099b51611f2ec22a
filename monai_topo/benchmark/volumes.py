"""Time and memory of counting, sizes and clean-up of a synthetic zarr volume, block by block."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_topo.masks.chunked import chunked_betti_numbers, chunked_component_sizes
from monai_topo.masks.chunked_removal import chunked_remove_small

__all__ = ["VOLUME_HEADS", "volume_row"]

VOLUME_HEADS = [
    *("volume", "Betti numbers", "component sizes", "clean-up", "CPU ns per voxel"),
    *("peak MiB", "before", "as constructed"),
]
_PERIOD = 32  # voxels between the centers of two balls; one lies in each corner of every chunk
_CHUNK = 256
_THREADS = 2


def volume_row(side: int) -> list[str]:
    """Measure a volume of `side^3` voxels; times are seconds, by the clock and of the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        for work in (_write, _measure):  # in new processes: the peak of memory is that of the measurement
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                row = process.submit(work, folder, side).result()
    return row


def _draw_balls(block_info: Any = None) -> NDArray[np.bool_]:
    corner, end = np.array(block_info[None]["array-location"]).T
    axes = [
        (x.astype(np.int16) + _PERIOD // 2) % _PERIOD - _PERIOD // 2
        for x in np.ogrid[tuple(slice(a, b) for a, b in zip(corner, end, strict=True))]
    ]
    squared = sum(x**2 for x in axes)
    return np.asarray((squared < 144) & (squared >= 49))


def _write(folder: str, side: int) -> list[str]:
    """Write hollow balls, most of which lie in one chunk, and many in two, four or eight."""
    dask, _ = optional_import("dask")
    array, _ = optional_import("dask.array")
    chunks = tuple((min(_CHUNK, side),) * (side // min(_CHUNK, side)) for _ in range(3))
    with dask.config.set(scheduler="threads", num_workers=_THREADS):
        array.map_blocks(_draw_balls, chunks=chunks, meta=np.zeros((0, 0, 0), bool)).to_zarr(f"{folder}/balls.zarr")
    return []


def _measure(folder: str, side: int) -> list[str]:
    dask, _ = optional_import("dask")
    array, _ = optional_import("dask.array")
    balls = array.from_zarr(f"{folder}/balls.zarr")
    count, inside = (side // _PERIOD + extra for extra in (1, -1))  # the last ones are halves, which begin outside
    results: list[Any] = []
    least = int(np.count_nonzero(_draw_balls({None: {"array-location": [(16, 48)] * 3}})))
    tasks: list[Callable[[], Any]] = [
        lambda: chunked_betti_numbers(balls).tolist(),
        lambda: chunked_component_sizes(balls),
        lambda: chunked_remove_small(balls, least).to_zarr(f"{folder}/cleaned.zarr"),
    ]
    times, cpu = [], 0.0
    with dask.config.set(scheduler="threads", num_workers=_THREADS):
        chunked_betti_numbers(balls[:64, :64, :64])  # modules loaded, threads started
        before = _peak_mib()
        for task in tasks:
            start = time.perf_counter(), time.process_time()
            results.append(task())
            elapsed = time.perf_counter() - start[0], time.process_time() - start[1]
            cpu += elapsed[1]
            times.append("{:.0f} ({:.0f})".format(*elapsed))
        peak = _peak_mib()
        whole = int((results[1] == least).sum())
        left = chunked_betti_numbers(array.from_zarr(f"{folder}/cleaned.zarr")).tolist()
    right = results[0] == [count**3, 0, inside**3] and len(results[1]) == count**3 and left == [whole, 0, whole]
    right &= whole == inside**3
    return [f"{side}^3", *times, f"{1e9 * cpu / side**3:.0f}", f"{peak:.0f}", f"{before:.0f}", "yes" if right else "NO"]


def _peak_mib() -> float:
    """Return the largest memory of this process so far, on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
