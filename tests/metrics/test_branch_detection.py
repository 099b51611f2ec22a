"""Branch detection: combs of known branches, hand-drawn trees, the formula of ATM'22 by other means, empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles.drawings import as_batch, drawn
from scipy import ndimage
from skimage.morphology import skeletonize

from monai_topo.metrics import BranchDetectionMetric, compute_branch_detection
from monai_topo.metrics.branch_detection import divide_skeleton

NAN = float("nan")


def values(result):
    return [part.item() for part in result]


def comb(teeth, axes):
    """Draw a trunk with teeth 9 voxels apart; return the mask and the trunk's and the teeth's slices."""
    mask = np.zeros((14, 9 * (len(teeth) + 1) + 2), dtype=bool)
    mask[12, 1:-1] = True
    places = []
    for number, length in enumerate(teeth, start=1):
        places.append((slice(12 - length, 12), 9 * number))
        mask[places[-1]] = True
    return (mask if axes == 2 else np.stack([0 * mask, mask, 0 * mask])), places


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 7, 8, 10]), st.booleans()), min_size=1, max_size=5),
    st.sampled_from([2, 3]),
)
def test_branches_of_a_comb_are_those_between_long_teeth(teeth, axes):
    mask, places = comb([length for length, _ in teeth], axes)
    pred = mask.copy()
    for place, (length, is_found) in zip(places, teeth, strict=True):
        if length > 5 and not is_found:
            pred[(..., *place)] = False
    long = [is_found for length, is_found in teeth if length > 5]
    total = 2 * len(long) + 1 if long else 1
    found = values(compute_branch_detection(as_batch(pred), as_batch(mask)))
    assert found[3] == total
    assert found[2] == total - long.count(False)
    assert found[1] == pytest.approx(found[2] / total)


@pytest.mark.parametrize(
    ("rows", "total"),
    [
        (("..............", ".############.", ".............."), 1),
        ((".......#......", ".......#......", "..############", ".......#......"), 1),  # short side branches
        (("............", ".#########..", ".#.......#..", ".#.......#..", ".#########..", "............"), 1),  # a ring
        ((".....", ".##..", ".....", "....."), 1),  # shorter than any branch
    ],
)
def test_drawn_trees(rows, total):
    label = drawn(*rows)
    ids = divide_skeleton(label[0, 0].numpy(), min_branch_vox=5)
    assert ids.max() == total
    assert np.array_equal(ids > 0, label[0, 0].numpy())
    assert values(compute_branch_detection(label, label)) == [1, 1, total, total]


def test_a_short_part_between_junctions_joins_no_branches():
    """Four long arms at two junctions that are three voxels apart: the part between them is no branch."""
    label = np.zeros((21, 24), dtype=bool)
    for step in range(9):
        label[10 - step, 9 - step] = label[10 + step, 9 - step] = True
        label[10 - step, 13 + step] = label[10 + step, 13 + step] = True
    label[10, 9:14] = True
    assert divide_skeleton(label, min_branch_vox=6).max() == 4
    assert divide_skeleton(label, min_branch_vox=3).max() == 5


@pytest.mark.parametrize(("missing", "detected"), [(2, 1), (3, 0)])
def test_a_branch_is_detected_from_its_share_on(missing, detected):
    label = torch.zeros(1, 1, 5, 14)
    label[..., 2, 2:12] = 1
    pred = label.clone()
    pred[..., 2 : 2 + missing] = 0
    assert values(compute_branch_detection(pred, label))[1:] == [detected, detected, 1]
    assert values(compute_branch_detection(pred, label, min_share=0.7))[1] == 1


def largest(mask):
    ids, count = ndimage.label(mask, np.ones([3] * mask.ndim))
    return ids == 1 + np.argmax([(ids == number).sum() for number in range(1, count + 1)]) if count else mask


@given(arrays(bool, (9, 13)), arrays(bool, (9, 13)))
def test_tree_length_is_the_share_of_the_skeleton_of_the_largest_component(pred, true):
    skeleton = skeletonize(largest(true))
    expected = (skeleton & largest(pred)).sum() / skeleton.sum() if true.any() else NAN
    assert compute_branch_detection(as_batch(pred), as_batch(true)).tree_length.item() == pytest.approx(
        expected, nan_ok=True
    )
    skeleton = skeletonize(true)
    every = compute_branch_detection(as_batch(pred), as_batch(true), largest_only=False)
    expected = (skeleton & pred).sum() / skeleton.sum() if true.any() else NAN
    assert every.tree_length.item() == pytest.approx(expected, nan_ok=True)
    assert every.total.item() >= ndimage.label(true, np.ones((3, 3)))[1]


def test_connectivity_decides_which_component_is_the_largest():
    label = torch.zeros(1, 1, 8, 14)
    label[..., 1, 1:6] = label[..., 2, 6:11] = 1  # ten voxels that touch at a corner
    label[..., 6, 1:8] = 1  # seven
    pred = torch.zeros_like(label)
    pred[..., 6, 1:8] = 1
    assert compute_branch_detection(pred, label).tree_length.item() == 0
    assert compute_branch_detection(pred, label, connectivity="face").tree_length.item() == 1


def test_empty_and_full_masks():
    label = torch.zeros(1, 1, 9, 14)
    label[..., 4, 2:12] = 1
    empty, full = torch.zeros_like(label), torch.ones_like(label)
    assert values(compute_branch_detection(empty, label)) == [0, 0, 0, 1]
    assert values(compute_branch_detection(full, label)) == [1, 1, 1, 1]
    for pred in (label, empty):
        rates = values(compute_branch_detection(pred, empty))
        assert all(map(math.isnan, rates[:2]))
        assert rates[2:] == [0, 0]
    assert values(compute_branch_detection(full, full))[:2] == [1, 1]


@pytest.mark.parametrize(
    "setting", [{"min_share": 0}, {"min_share": 1.1}, {"min_branch_vox": 0}, {"min_branch_vox": 2.5}], ids=str
)
def test_impossible_settings_are_refused(setting):
    [name] = setting
    label = torch.ones(1, 1, 3, 4)
    with pytest.raises(ValueError, match=f"Expected `{name}` to be"):
        compute_branch_detection(label, label, **setting)
    with pytest.raises(ValueError, match=f"Expected `{name}` to be"):
        BranchDetectionMetric(**setting)
