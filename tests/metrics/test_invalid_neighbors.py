"""Invalid neighbors: brute force over pairs of voxels, drawn classes, overlapping and absent classes, refusals."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_topo.metrics import InvalidNeighborsMetric, compute_invalid_neighbors

SHAPES = st.sampled_from([(3, 5), (4, 3), (2, 3, 4)])


def one_hot(ids, classes=4):
    return torch.stack([torch.as_tensor(ids) == value for value in range(classes)])[None]


def touching(ids, connectivity):
    """Compare every voxel with every other one."""
    most = {"full": ids.ndim, "face": 1}[connectivity]
    pairs = set()
    for one, other in combinations(np.ndindex(ids.shape), 2):
        steps = np.abs(np.subtract(one, other))
        if steps.max() == 1 and steps.sum() <= most and ids[one] != ids[other]:
            pairs |= {(ids[one], ids[other]), (ids[other], ids[one])}
    return pairs


def expected(ids, valid, connectivity):
    invalid = touching(ids, connectivity) - valid
    return [
        sum(one == value and other > 0 for one, other in invalid) if (ids == value).any() else math.nan
        for value in (1, 2, 3)
    ]


@given(st.data(), SHAPES, st.sampled_from(["full", "face"]))
def test_brute_force(data, shape, connectivity):
    draw = arrays(np.int64, shape, elements=st.integers(0, 3))
    pred, label = data.draw(draw), data.draw(draw)
    found = compute_invalid_neighbors(
        one_hot(pred), one_hot(label), include_background=False, connectivity=connectivity
    )
    wanted = expected(pred, touching(label, connectivity), connectivity)
    assert found[0].tolist() == pytest.approx(wanted, nan_ok=True)
    pairs = data.draw(st.lists(st.sampled_from([(1, 2), (3, 1), (2, 3)])))
    found = compute_invalid_neighbors(
        one_hot(pred), one_hot(label), include_background=False, connectivity=connectivity, allowed=pairs
    )
    valid = {*pairs, *((other, one) for one, other in pairs)}
    assert found[0].tolist() == pytest.approx(expected(pred, valid, connectivity), nan_ok=True)


CHAIN = [[1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 0]]
SWAPPED = [[1, 1, 3, 3, 2, 2], [0, 0, 0, 0, 0, 0]]


def test_average_over_predicted_classes():
    metric = InvalidNeighborsMetric(include_background=False)
    metric(one_hot(SWAPPED), one_hot(CHAIN))  # 1 and 3 touch: 1, 0, 1
    metric(one_hot([[3, 1, 0, 0, 0, 0], [0] * 6]), one_hot(CHAIN))  # class 2 is absent: 1, -, 1
    assert metric.get_buffer()[1].isnan().tolist() == [False, True, False]
    assert metric.aggregate().item() == pytest.approx((2 / 3 + 1) / 2)


def test_the_background_is_a_neighbor_only_if_it_is_included():
    label = one_hot([[1, 1, 1], [1, 1, 1]], 2)
    pred = one_hot([[1, 1, 0], [1, 1, 0]], 2)
    assert compute_invalid_neighbors(pred, label).tolist() == [[1, 1]]
    assert compute_invalid_neighbors(pred, label, include_background=False).tolist() == [[0]]
    assert compute_invalid_neighbors(pred, label, allowed=[(0, 1)]).tolist() == [[0, 0]]


def test_overlapping_classes_are_neighbors():
    pred = torch.zeros(1, 2, 5, 6)
    pred[:, 0, 1:4, 1:5] = 1
    pred[:, 1, 2, 2] = 1
    label = torch.zeros_like(pred)
    assert compute_invalid_neighbors(pred, label).tolist() == [[1, 1]]
    assert compute_invalid_neighbors(pred, pred).tolist() == [[0, 0]]


def test_connectivity_decides_whether_corners_touch():
    pred = one_hot([[1, 0, 0], [0, 2, 0]], 3)
    label = torch.zeros_like(pred)
    assert compute_invalid_neighbors(pred, label, include_background=False).tolist() == [[1, 1]]
    assert compute_invalid_neighbors(pred, label, include_background=False, connectivity="face").tolist() == [[0, 0]]


def test_empty_and_single_channels():
    label = one_hot(CHAIN)
    nothing = torch.zeros_like(label)
    assert compute_invalid_neighbors(nothing, label).isnan().all()
    assert compute_invalid_neighbors(label, nothing, include_background=False).tolist() == [[1, 2, 1]]
    assert compute_invalid_neighbors(label[:, 1:2], label[:, 1:2], include_background=False).tolist() == [[0]]


@pytest.mark.parametrize("allowed", [[(1, 2, 3)], [(1, -1)], [(1, 2.0)], [(True, 2)]], ids=str)
def test_pairs_are_pairs_of_channels(allowed):
    with pytest.raises(ValueError, match="Expected `allowed` to hold pairs of channels"):
        InvalidNeighborsMetric(allowed=allowed)
    with pytest.raises(ValueError, match="Expected `allowed` to hold pairs of channels"):
        compute_invalid_neighbors(one_hot(CHAIN), one_hot(CHAIN), allowed=allowed)


def test_pairs_name_channels_that_exist():
    with pytest.raises(ValueError, match=r"Expected `allowed` to hold channels below 4, but got \(1, 4\)"):
        compute_invalid_neighbors(one_hot(CHAIN), one_hot(CHAIN), allowed=[(1, 2), (1, 4)])
