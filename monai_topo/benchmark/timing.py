"""Time tasks that take turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch

Timed = Callable[[], object]


def several_threads() -> list[int]:
    """Return the numbers of threads to compare with one: 2, 4, 8, ... up to the number of processors, at least 2."""
    return [2**k for k in range(1, max(2, (os.cpu_count() or 1).bit_length()))]


def median_ms(
    tasks: Mapping[str, Timed], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Measure median times in milliseconds; the tasks take turns, so that noise of the machine affects all alike."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = clock()
            task()
            times[name].append(clock() - start)
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch, and what takes its number of threads by default, use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
