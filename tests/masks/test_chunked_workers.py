"""Chunked masks on several worker processes, with a progress bar."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from monai_topo import betti_numbers
from monai_topo.masks.chunked import chunked_betti_numbers

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")


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
@pytest.mark.usefixtures("cluster")
def test_two_worker_processes_of_a_cluster_count_as_one_does(tmp_path, capsys):
    mask = masks()
    array = da.from_array(mask, chunks=(10, 17, 25)).map_blocks(with_pids(tmp_path), meta=np.zeros((0, 0, 0), bool))
    expected = betti_numbers(torch.from_numpy(mask)[None], border="foreground")[0]
    assert torch.equal(chunked_betti_numbers(array, border="foreground"), expected)
    assert torch.equal(chunked_betti_numbers(array, border="foreground", progress=True), expected)
    pids = {path.name for path in tmp_path.iterdir()}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids
    assert "100%" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("quick_workers")
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
