"""Chunked masks on several worker processes, in less memory than the mask, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import forkserver

import numpy as np
import pytest
import torch

from monai_topo import betti_numbers
from monai_topo.masks.chunked import chunked_betti_numbers

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")


@pytest.fixture(scope="module")
def _quick_workers():
    """Fork workers from a process that has imported the package once, not once for each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dask.array", "distributed", "monai_topo.masks.chunked"])
    forkserver.ensure_running()
    in_both = {"multiprocessing.context": "forkserver", "distributed.worker.multiprocessing-method": "forkserver"}
    with dask.config.set(in_both):
        yield


def masks():
    return np.random.default_rng(13).random((40, 33, 50)) < 0.4


def with_pids(folder):
    """Pass a block on and leave the number of the process that saw it."""

    def note(block):
        (folder / str(os.getpid())).touch()
        return block

    return note


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask's own processes as they end
@pytest.mark.usefixtures("_quick_workers")
def test_two_worker_processes_of_a_cluster_count_as_one_does(tmp_path, capsys):
    distributed = pytest.importorskip("distributed")
    mask = masks()
    array = da.from_array(mask, chunks=(10, 17, 25)).map_blocks(with_pids(tmp_path), meta=np.zeros((0, 0, 0), bool))
    expected = betti_numbers(torch.from_numpy(mask)[None], border="foreground")[0]
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster):
        assert torch.equal(chunked_betti_numbers(array, border="foreground"), expected)
        assert torch.equal(chunked_betti_numbers(array, border="foreground", progress=True), expected)
    pids = {path.name for path in tmp_path.iterdir()}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids
    assert "100%" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("_quick_workers")
def test_the_processes_scheduler_counts_as_one_process_does(tmp_path):
    mask = masks()
    array = da.from_array(mask, chunks=20).map_blocks(with_pids(tmp_path), meta=np.zeros((0, 0, 0), bool))
    with dask.config.set(scheduler="processes", num_workers=2):
        counted = chunked_betti_numbers(array, connectivity="face")
    assert torch.equal(counted, betti_numbers(torch.from_numpy(mask)[None], connectivity="face")[0])
    pids = {path.name for path in tmp_path.iterdir()}
    assert pids
    assert str(os.getpid()) not in pids


@pytest.mark.parametrize("progress", [True, False])
def test_progress_bar_is_shown_on_request(capsys, progress):
    chunked_betti_numbers(masks(), chunks=20, progress=progress)
    assert ("100% Completed" in capsys.readouterr().out) == progress


# A process with 64 MiB left counts 212 MiB of balls, made as they are read, and cannot hold them.
SMALL_MEMORY = """
import resource
import dask, dask.array as da, numpy as np
from monai_topo.masks.chunked import chunked_betti_numbers

SHAPE, PERIOD = (576, 576, 672), 32

def hollow_balls(block_info=None):
    corner, end = np.array(block_info[None]["array-location"]).T
    axes = [x.astype(np.int16) for x in np.ogrid[tuple(slice(a, b) for a, b in zip(corner, end))]]
    squared = sum(((x % PERIOD) - PERIOD // 2) ** 2 for x in axes)
    return (squared < 144) & (squared >= 49)

chunks = tuple((96,) * (extent // 96) for extent in SHAPE)
volume = da.map_blocks(hollow_balls, chunks=chunks, meta=np.zeros((0, 0, 0), bool))
assert volume.nbytes > 3 * 2**26
with dask.config.set(scheduler="threads", num_workers=2):
    chunked_betti_numbers(volume[:97, :97, :97])  # threads started, modules loaded
    taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (taken + 2**26,) * 2)
    try:
        np.ones(SHAPE, dtype=bool)
        print("no limit")
    except MemoryError:
        print("too large for memory")
    print(chunked_betti_numbers(volume).tolist())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of a process as Linux does")
def test_a_volume_larger_than_memory_is_counted():
    run = subprocess.run([sys.executable, "-c", SMALL_MEMORY], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    balls = (576 // 32) ** 2 * (672 // 32)
    assert run.stdout.splitlines() == ["too large for memory", str([balls, 0, balls])]
