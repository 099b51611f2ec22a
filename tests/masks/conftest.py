"""Shared by the tests of masks: one thread for Dask, or two worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import Any

import pytest


@pytest.fixture(scope="module")
def dask_on_one_thread() -> Iterator[None]:
    """Compute Dask arrays in the thread of the test: on small masks, threads cost more than they save."""
    dask = pytest.importorskip("dask")
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def quick_workers() -> Iterator[None]:
    """Fork workers from a process that has imported the package once, not once for each."""
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")  # adds its own settings, which Dask would otherwise remove together with ours
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dask.array", "distributed", "monai_topo.masks.chunked"])
    forkserver.ensure_running()
    both = {"multiprocessing.context": "forkserver", "distributed.worker.multiprocessing-method": "forkserver"}
    with dask.config.set(both):
        yield


@pytest.fixture(scope="module")
def cluster(quick_workers: None) -> Iterator[Any]:
    """Start a cluster of two worker processes, on which Dask then computes."""
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as of_two, distributed.Client(of_two) as client:
        yield client
