"""Shared by the tests of masks: one thread for Dask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def dask_on_one_thread() -> Iterator[None]:
    """Compute Dask arrays in the thread of the test: on small masks, threads cost more than they save."""
    dask = pytest.importorskip("dask")
    with dask.config.set(scheduler="synchronous"):
        yield
