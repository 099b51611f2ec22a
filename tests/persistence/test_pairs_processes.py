"""persistence_pairs from several Python threads and from forked workers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from oracles import SETTINGS, assert_same_pairs, pairs_of_image
from test_pairs_inputs import tied_integers
from torch.utils.data import DataLoader, Dataset

from monai_topo import persistence_pairs


def test_calls_from_several_python_threads_do_not_disturb_each_other():
    jobs = [(tied_integers(2, 24, 31, seed=seed), SETTINGS[seed % len(SETTINGS)]) for seed in range(12)]
    jobs += [(tied_integers(2, 9, 8, 11, seed=seed), SETTINGS[seed % len(SETTINGS)]) for seed in range(12)]
    expected = [persistence_pairs(images, num_threads=1, **setting) for images, setting in jobs]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda job: persistence_pairs(job[0], num_threads=2, **job[1]), jobs * 3))
    for result, reference in zip(results, expected * 3, strict=True):
        assert_same_pairs(result, reference)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_other_python_threads_run_during_a_call(num_threads):
    images = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 56, 56, 56)))
    span = []

    def call() -> None:
        span.append(time.perf_counter())
        persistence_pairs(images, num_threads=num_threads)
        span.append(time.perf_counter())

    caller = threading.Thread(target=call)
    ticks = []
    caller.start()
    while caller.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    caller.join()
    begin, end = span
    inside = [begin, *(tick for tick in ticks if begin < tick < end), end]
    # Were the lock held, this thread would stand still for nearly the whole call: one gap as long as the call.
    assert np.diff(inside).max() < 0.5 * (end - begin)


class PairsOfNoise(Dataset):
    """Persistence pairs as a transform of a data loader computes them: in a worker process."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> list[tuple[int, int, int]]:
        return pairs_of_image(persistence_pairs(tied_integers(1, 9, 14, seed=index), num_threads=2), 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_works_in_worker_processes_forked_after_a_threaded_call():
    persistence_pairs(tied_integers(4, 32, 32), num_threads=2)
    dataset = PairsOfNoise()
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, timeout=60, collate_fn=list, multiprocessing_context="fork"
    )
    assert list(loader) == [dataset[index] for index in range(len(dataset))]
