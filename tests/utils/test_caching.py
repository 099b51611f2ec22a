"""The cache of results: the same memory seen in the same way is the same argument, everything else is another one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_topo._utils.caching import cached, result_cache


@pytest.fixture
def total():
    """A function that counts its calls."""

    def weighted_sum(array, *, weight=1):
        weighted_sum.calls += 1
        return float((array * weight).sum())

    weighted_sum.calls = 0
    return weighted_sum


def two_views(kind):
    """The same numbers of one array, at the same address and of the same shape and dtype, in two orders of the axes."""
    numbers = np.arange(12, dtype=np.float32)
    rows, columns = numbers.reshape(3, 4), numbers.reshape(4, 3).T
    return (torch.from_numpy(rows), torch.from_numpy(columns)) if kind == "tensor" else (rows, columns)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_views_of_one_memory_are_told_apart_by_their_strides(kind):
    rows, columns = two_views(kind)
    first_row = cached(lambda array: array[0].tolist())
    with result_cache():
        assert first_row(rows) == [0, 1, 2, 3]
        assert first_row(columns) == [0, 3, 6, 9]


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_a_second_view_of_the_same_voxels_takes_the_cached_result(kind, total):
    rows, _ = two_views(kind)
    of_cache = cached(total)
    with result_cache():
        assert of_cache(rows) == of_cache(rows[:]) == 66
        assert total.calls == 1
        assert of_cache(rows, weight=2) == 132
        assert of_cache(rows + 1) == 78
        assert of_cache(rows[1:]) == 60
        assert total.calls == 4


def test_nothing_is_kept_outside_of_the_block_unless_a_store_is_given(total):
    rows, _ = two_views("tensor")
    of_cache, store = cached(total), {}
    assert of_cache(rows) == of_cache(rows) == 66
    assert total.calls == 2
    with result_cache(store):
        of_cache(rows)
    with result_cache():
        of_cache(rows)
    assert total.calls == 4
    with result_cache(store):
        of_cache(rows)
    assert total.calls == 4
