"""Chunks that cannot be read are named; killed workers, and little memory, change no result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_topo import betti_numbers
from monai_topo.masks.chunked import (
    ChunkError,
    chunked_betti_error,
    chunked_betti_numbers,
    chunked_component_sizes,
    chunked_euler_characteristic,
)
from monai_topo.masks.chunked_removal import chunked_remove_small

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

CALLS: dict[str, Any] = {
    "Betti numbers": chunked_betti_numbers,
    "Euler characteristic": chunked_euler_characteristic,
    "sizes": chunked_component_sizes,
    "error": lambda mask, **settings: chunked_betti_error(da.zeros_like(mask), mask, **settings),
    "removal": lambda mask, **settings: chunked_remove_small(mask, 5, **settings).sum().compute(),
}
NAMED = r"chunk{} to be readable, but got an error in chunk \(1, 2, 3\), voxels \[32:64, 64:80, 96:100\]: "


@pytest.fixture
def damaged(tmp_path: Path) -> Any:
    """Return a mask in a zarr file, one chunk of which is cut in half."""
    zarr = pytest.importorskip("zarr")
    array = zarr.open_array(str(tmp_path / "a.zarr"), mode="w", shape=(64, 80, 100), chunks=(32, 32, 32), dtype="uint8")
    array[:] = np.random.default_rng(0).random(array.shape) < 0.5
    [chunk] = (path for name in ("c/1/2/3", "1.2.3") if (path := tmp_path / "a.zarr" / name).exists())  # zarr 3, zarr 2
    os.truncate(chunk, chunk.stat().st_size // 2)
    return array


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("name", CALLS)
def test_a_chunk_that_cannot_be_read_is_named(name: str, scheduler: str, damaged: Any) -> None:
    with (
        dask.config.set(scheduler=scheduler),
        pytest.raises(ChunkError, match=NAMED.format(" of mask 2" if name == "error" else "")) as caught,
    ):
        CALLS[name](da.from_zarr(damaged) > 0)
    assert "ecompression" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_it_is_named_with_a_progress_bar_and_without_dask_arrays(damaged: Any, capsys: Any) -> None:
    with pytest.raises(ChunkError, match=NAMED.format("")):
        chunked_betti_numbers(da.from_zarr(damaged) > 0, progress=True)
    with pytest.raises(ChunkError, match=NAMED.format("")):
        chunked_betti_numbers(damaged, chunks=32)


def test_checksums_of_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    values = np.random.default_rng(0).integers(0, 2, (40, 60)).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("mask", data=values, chunks=(20, 20), fletcher32=True)
        place = data.id.get_chunk_info_by_coord((20, 40)).byte_offset
    with (tmp_path / "a.h5").open("r+b") as raw:
        raw.seek(place + 100)
        raw.write(b"\x05")
    with (
        h5py.File(tmp_path / "a.h5") as file,
        pytest.raises(ChunkError, match=r"in chunk \(1, 2\), voxels \[20:40, 40:60"),
    ):
        chunked_betti_numbers(file["mask"], chunks=(20, 20))


def test_an_error_while_a_chunk_is_computed_is_named_too() -> None:
    def fail(block: Any, block_id: tuple[int, ...] | None = None) -> Any:
        if block_id == (0, 1):
            raise OSError("the network is down")
        return block

    mask = da.zeros((30, 50), chunks=10, dtype=bool).map_blocks(fail, meta=np.zeros((0, 0), bool))
    with pytest.raises(ChunkError, match=r"in chunk \(0, 1\), voxels \[0:10, 10:20\]: OSError: the network is down"):
        chunked_betti_numbers(mask)


def test_an_error_that_does_not_come_back_passes_as_it_is() -> None:
    seen: list[int] = []

    def fail_once(block: Any) -> Any:
        seen.append(1)
        if len(seen) == 3:
            raise OSError("a moment of weakness")
        return block

    mask = da.zeros((30, 50), chunks=10, dtype=bool).map_blocks(fail_once, meta=np.zeros((0, 0), bool))
    with dask.config.set(scheduler="synchronous"), pytest.raises(OSError, match="a moment of weakness"):
        chunked_betti_numbers(mask)


def balls(shape: tuple[int, ...], chunk: int) -> Any:
    """Return hollow balls at a distance of 32 voxels, made block by block."""

    def draw(block_info: Any = None) -> Any:
        corner, end = np.array(block_info[None]["array-location"]).T
        axes = [x.astype(np.int16) for x in np.ogrid[tuple(slice(a, b) for a, b in zip(corner, end, strict=True))]]
        squared = sum(((x % 32) - 16) ** 2 for x in axes)
        return (squared < 144) & (squared >= 49)

    chunks = tuple((chunk,) * (extent // chunk) for extent in shape)
    return da.map_blocks(draw, chunks=chunks, meta=np.zeros((0, 0, 0), bool))


def killed_once(mask: Any, folder: Path, block: tuple[int, ...]) -> Any:
    """Return a mask during whose computation the first worker that gets to a block is killed."""
    folder.mkdir()

    def kill(voxels: Any, block_id: tuple[int, ...] | None = None) -> Any:
        if block_id == block and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return voxels

    return mask.map_blocks(kill, meta=np.zeros((0, 0, 0), bool))


SIZE = int(os.environ.get("MONAI_TOPO_TEST_VOLUME", "256"))  # with 1024, the test takes some minutes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own processes as they end
def test_a_killed_worker_changes_no_result(cluster: Any, tmp_path: Path) -> None:
    chunk = SIZE // 4
    shape = (SIZE, SIZE, SIZE + chunk)
    count = SIZE**2 * (SIZE + chunk) // 32**3
    [ball] = {int(size) for size in chunked_component_sizes(balls((32, 32, 32), 32))}
    middle = (2, 1, 3)
    calls: dict[str, Any] = {
        "Betti numbers": lambda mask: chunked_betti_numbers(mask).tolist() == [count, 0, count],
        "sizes": lambda mask: chunked_component_sizes(mask).tolist() == [ball] * count,
        "removal": lambda mask: int(chunked_remove_small(mask, ball + 1).sum().compute()) == 0,
    }
    for name, is_right in calls.items():
        mask = killed_once(balls(shape, chunk), tmp_path / name, middle)
        assert is_right(mask), name
        assert (tmp_path / name / "killed").exists(), f"{name}: no worker was killed"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_names_chunks_and_workers_that_always_die(cluster: Any, damaged: Any, tmp_path: Path) -> None:
    for progress in (False, True):
        with pytest.raises(ChunkError, match=NAMED.format("")):
            chunked_betti_numbers(da.from_zarr(damaged) > 0, progress=progress)
    with pytest.raises(ChunkError, match=NAMED.format(" of mask 2")):
        CALLS["error"](da.from_zarr(damaged) > 0)
    with pytest.raises(ValueError, match="only 0 and 1, but got other values in block"):
        chunked_betti_numbers(da.full((20, 30, 40), 2, chunks=20))

    def die(block: Any, block_id: tuple[int, ...] | None = None) -> Any:
        if block_id == (1, 1, 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    mask = balls((64, 64, 64), 32).map_blocks(die, meta=np.zeros((0, 0, 0), bool))
    with pytest.raises(ChunkError, match=r"but got 4 that were killed at chunk \(1, 1, 1\)\. .* use smaller chunks"):
        chunked_betti_numbers(mask)
    small = np.random.default_rng(1).random((20, 30, 40)) < 0.4
    counted = chunked_betti_numbers(da.from_array(small, chunks=16))
    assert torch.equal(counted, betti_numbers(torch.from_numpy(small)[None])[0]), "the cluster goes on"


# A process with 96 MiB left treats 212 MiB of balls, made as they are read, and cannot hold them.
LIMITED = """
import resource, sys
import dask, dask.array as da, numpy as np
sys.path.insert(0, sys.argv[1])
from masks.test_chunked_faults import balls
from monai_topo.masks.chunked import chunked_betti_numbers, chunked_component_sizes
from monai_topo.masks.chunked_removal import chunked_remove_small
volume = balls((576, 576, 672), 96)
with dask.config.set(scheduler="threads", num_workers=2):
    chunked_remove_small(volume[:97, :97, :97], 3).sum().compute()  # threads started, modules loaded
    taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (taken + 2**26 + 2**25,) * 2)
    try:
        np.ones(volume.shape, dtype=bool)
        print("no limit")
    except MemoryError:
        print("too large for memory")
    print(chunked_betti_numbers(volume).tolist())
    sizes = chunked_component_sizes(volume)
    print(len(sizes), len(set(sizes.tolist())))
    print(int(chunked_remove_small(volume, int(sizes[0])).sum().compute()) == int(sizes.sum()))
    print(int(chunked_remove_small(volume, int(sizes[0]) + 1).sum().compute()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of a process as Linux does")
def test_a_volume_larger_than_memory() -> None:
    tests = str(Path(__file__).resolve().parents[1])
    run = subprocess.run([sys.executable, "-c", LIMITED, tests], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["too large for memory", "[6804, 0, 6804]", "6804 1", "True", "0"]
