"""Expected run length: lines drawn by hand, the expectation over all edges by brute force, merges, empty masks."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles.drawings import as_batch, drawn

from monai_topo.metrics import ExpectedRunLengthMetric, compute_expected_run_length


def values(result):
    return [part.item() for part in result]


def lines(predicted):
    """Put rows of predicted ids three rows apart; the label has one line in each."""
    pred, label = (np.zeros((3 * len(predicted), predicted.shape[1] + 2), dtype=int) for _ in range(2))
    for number, ids in enumerate(predicted, start=1):
        pred[3 * number - 2, 1:-1] = ids
        label[3 * number - 2, 1:-1] = number
    return pred, label


def expectation(predicted, max_merge_vox):
    """Choose each edge of each line once, and average the length of the correct piece that it belongs to."""
    runs = []
    for row in predicted:
        correct = []
        for here, there in pairwise(row):
            containing = [other for other in predicted if (other == here).sum() > max_merge_vox]
            correct.append(here if here == there != 0 and len(containing) < 2 else None)
        runs += [0 if piece is None else correct.count(piece) for piece in correct]
    return sum(runs) / len(runs)


@given(
    arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(2, 9)), elements=st.integers(0, 4)),
    st.integers(0, 2),
    st.sampled_from([2, 3]),
)
def test_expectation_over_all_edges(predicted, max_merge_vox, axes):
    pred, label = lines(predicted)
    if axes == 3:
        pred, label = (np.stack([0 * ids, ids, 0 * ids]) for ids in (pred, label))
    found = compute_expected_run_length(
        as_batch(pred), as_batch(label), instances="given", max_merge_vox=max_merge_vox, spacing_mm=0.5
    )
    edges = predicted.shape[1] - 1
    assert found.run_length.item() == pytest.approx(0.5 * expectation(predicted, max_merge_vox))
    assert found.largest.item() == pytest.approx(0.5 * edges)
    assert found.relative.item() == pytest.approx(expectation(predicted, max_merge_vox) / edges)


def test_longer_skeletons_weigh_more():
    label = drawn(".............", ".###########.", ".............", ".#####.......", ".............")
    found = compute_expected_run_length(label, label)
    assert found.run_length.item() == pytest.approx((10 * 10 + 4 * 4) / 14)
    pred = label.clone()
    pred[..., 1, 6] = False  # pieces of four and four steps
    assert compute_expected_run_length(pred, label).run_length.item() == pytest.approx((16 + 16 + 16) / 14)


def test_a_merge_costs_both_lines_unless_it_is_small():
    label = drawn(".............", ".###########.", ".............", ".#####.......", ".............")
    pred = label.clone()
    pred[..., 2, 3] = True
    assert compute_expected_run_length(pred, label).run_length.item() == 0
    assert compute_expected_run_length(pred, label, max_merge_vox=4).run_length.item() == 0
    assert compute_expected_run_length(pred, label, max_merge_vox=5).relative.item() == 1


def test_lengths_are_physical_along_diagonals_too():
    label = torch.zeros(1, 1, 7, 9)
    for step in range(5):
        label[..., 1 + step, 2 + step] = 1
    step_mm = math.hypot(0.5, 2.0)
    assert compute_expected_run_length(label, label, spacing_mm=(0.5, 2.0)).run_length.item() == pytest.approx(
        4 * step_mm
    )
    assert compute_expected_run_length(label, label, connectivity="face").run_length.item() == 0  # five single voxels


def test_of_a_loop_one_edge_is_left_out():
    ring = drawn("..........", "..######..", ".#......#.", ".#......#.", "..######..", "..........")
    steps = [1] * 12 + [math.sqrt(2)] * 4
    found = compute_expected_run_length(ring, ring)
    assert found.largest.item() == pytest.approx(sum(steps) - math.sqrt(2), rel=1e-6)


def test_cells_between_membranes():
    label = torch.zeros(1, 1, 9, 23)
    label[..., 11] = 1  # one wall between two cells
    pred = label.clone()
    pred[..., 4, 11] = 0  # merges them
    assert compute_expected_run_length(label, label, instances="background").relative.item() == 1
    assert compute_expected_run_length(pred, label, instances="background").relative.item() == 0


def test_empty_full_and_single_voxels():
    label = torch.zeros(1, 1, 6, 12)
    label[..., 1, 1:11] = 1
    empty, full = torch.zeros_like(label), torch.ones_like(label)
    assert values(compute_expected_run_length(empty, label)) == [0, 9, 0]
    assert values(compute_expected_run_length(full, label)) == [9, 9, 1]
    assert all(map(math.isnan, values(compute_expected_run_length(label, empty))))
    label[..., 4, 1:11] = 1
    assert values(compute_expected_run_length(full, label)) == [0, 9, 0]
    voxel = torch.zeros_like(label)
    voxel[..., 2, 3] = 1
    assert values(compute_expected_run_length(voxel, voxel))[:2] == [0, 0]
    assert compute_expected_run_length(voxel, voxel).relative.isnan()


def test_huge_ids_do_not_need_huge_tables():
    label = torch.zeros(1, 1, 3, 12, dtype=torch.int64)
    label[..., 1, 1:11] = 2**40
    assert values(compute_expected_run_length(label, label, instances="given")) == [9, 9, 1]


@pytest.mark.parametrize("setting", [{"spacing_mm": 0.0}, {"max_merge_vox": -1}, {"max_merge_vox": 1.5}], ids=str)
def test_impossible_settings_are_refused(setting):
    [name] = setting
    label = torch.ones(1, 1, 3, 4)
    for make in (
        lambda: compute_expected_run_length(label, label, **setting),
        lambda: ExpectedRunLengthMetric(**setting),
    ):
        with pytest.raises(ValueError, match=f"Expected `{name}` to be"):
            make()
    with pytest.raises(ValueError, match="Expected `spacing_mm` to have 2 numbers"):
        compute_expected_run_length(label, label, spacing_mm=(1, 1, 1))
