"""Reconnected components against minimax paths by Floyd and Warshall, flooding, and Betti numbers by labeling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import MASK_SETTINGS, every_mask_setting, random_shapes, smooth_image
from oracles.betti_by_labeling import betti_by_labeling
from oracles.minimax import FRAME, bottlenecks, fewest_voxels, neighbors

from monai_topo import label_components
from monai_topo.persistence import OUTCOMES, reconnect_components

# Eleven levels, so ties are common; between 0 and 1 but never a mask.
tied_images = hnp.arrays(
    np.float32,
    random_shapes(7, 4),
    elements=st.integers(1, 9).map(lambda tenths: float(np.float32(tenths / 10))),
)


def reconnect(image, **settings):
    masks, joins = reconnect_components(torch.from_numpy(image)[None], **settings)
    return masks[0].numpy(), joins


def rows_of(joins):
    """Rows of the table as dictionaries."""
    columns = {
        name: getattr(joins, name).tolist() for name in ("image", "saddle", "likelihood", "num_voxels", "length")
    }
    for i in range(len(joins)):
        path = joins.path[joins.offsets[i] : joins.offsets[i + 1]].tolist()
        yield {name: column[i] for name, column in columns.items()} | {
            "labels": tuple(joins.labels[i].tolist()),
            "outcome": OUTCOMES[joins.outcome[i]],
            "path": path,
        }


def voxels_of(labels, label):
    return (
        {FRAME} | set(map(tuple, np.argwhere(labels == -1)))
        if label == -1
        else set(map(tuple, np.argwhere(labels == label)))
    )


def components(image, setting, threshold=0.5):
    return label_components(torch.from_numpy(image > np.float32(threshold))[None], **setting)[0].numpy()


def joins_with_loops(image, setting):
    """All joins of an image, its components before them, and the best bottleneck between any two voxels."""
    _, joins = reconnect(image, allow_loops=True, **setting)
    return joins, components(image, setting), bottlenecks(image, **setting)


@given(image=tied_images, setting=st.sampled_from(MASK_SETTINGS))
@settings(max_examples=150)
def test_paths_are_minimax_and_lead_from_component_to_component(image, setting):
    joins, labels, best = joins_with_loops(image, setting)
    earlier = set()
    for row in rows_of(joins):
        one, other = (voxels_of(labels, label) for label in row["labels"])
        assert row["likelihood"] == best[next(iter(one)), next(iter(other))]
        if row["outcome"] == "touched":
            continue
        path = [tuple(map(int, np.unravel_index(voxel, image.shape))) for voxel in row["path"]]
        assert row["num_voxels"] == len(path) > 0
        assert min(image[voxel] for voxel in path) == row["likelihood"]
        assert not any(labels[voxel] for voxel in path)
        for before, after in itertools.pairwise(path):
            assert after in neighbors(before, image.shape, **setting)
        for end, side in ((path[0], one), (path[-1], other)):
            assert (side | earlier) & set(neighbors(end, image.shape, **setting))
        earlier |= set(path)


@given(image=tied_images, setting=st.sampled_from(MASK_SETTINGS))
@settings(max_examples=150)
def test_likelihoods_at_the_saddles_are_those_of_a_maximum_spanning_tree(image, setting):
    joins, labels, best = joins_with_loops(image, setting)
    names = [label for label in np.unique(labels) if label > 0] + [FRAME] * (setting["border"] == "foreground")
    first = {label: next(iter(voxels_of(labels, label))) for label in names}
    edges = sorted(((best[first[a], first[b]], a, b) for a, b in itertools.combinations(names, 2)), reverse=True)
    group = {label: label for label in names}
    expected = []
    for value, a, b in edges:
        if group[a] != group[b]:
            expected.append(value)
            group = {label: group[a] if of == group[b] else of for label, of in group.items()}
    assert sorted(joins.likelihood.tolist(), reverse=True) == expected
    masks, _ = reconnect(image, allow_loops=True, **setting)
    assert betti_by_labeling(masks, **setting)[0] == min(1, len(names)) - (setting["border"] == "foreground")


@given(image=tied_images, setting=st.sampled_from(MASK_SETTINGS), distinct=st.booleans())
@settings(max_examples=150)
def test_no_path_through_the_saddle_is_shorter(image, setting, distinct):
    if distinct:  # without ties, no path at all is shorter
        order = np.argsort(image, axis=None, kind="stable")
        image.flat[order] = (np.arange(image.size, dtype=np.float32) + 1) / (image.size + 2)
    joins, labels, best = joins_with_loops(image, setting)
    for row in itertools.islice(rows_of(joins), 1):  # later paths may end on earlier ones
        saddle = tuple(map(int, np.unravel_index(row["saddle"], image.shape)))
        one = voxels_of(labels, row["labels"][0])
        # The side of the first component is what it is connected to above the saddle.
        sides = [set(), set()]
        for label in {*np.unique(labels).tolist(), *([-1] if setting["border"] == "foreground" else [])} - {0}:
            voxels = voxels_of(labels, label)
            is_other = best[next(iter(voxels)), next(iter(one))] <= row["likelihood"] and label != row["labels"][0]
            sides[int(is_other)] |= voxels
        args = (row["likelihood"], *setting.values())
        halves = [fewest_voxels(image, [saddle], side, *args) for side in sides]
        assert row["num_voxels"] <= sum(halves) + 1
        shortest = fewest_voxels(image, sides[0], sides[1], *args)
        assert row["num_voxels"] == shortest if distinct else row["num_voxels"] >= shortest


@given(image=tied_images, setting=st.sampled_from(MASK_SETTINGS), least=st.sampled_from([0.0, 0.3]))
@settings(max_examples=300)
def test_components_become_fewer_and_loops_and_cavities_stay(image, setting, least):
    masks, joins = reconnect(image, min_likelihood=least, **setting)
    mask = image > np.float32(0.5)
    before, after = betti_by_labeling(mask, **setting), betti_by_labeling(masks, **setting)
    assert after == (before[0] - int(joins.is_joined.sum()), *before[1:])
    assert not (mask & ~masks).any()
    added = set(joins.path.tolist())
    assert added == set(np.flatnonzero(masks & ~mask).tolist())
    assert {row["outcome"] for row in rows_of(joins)} <= {"joined", "touched", "closes_loop"}


@every_mask_setting
@pytest.mark.parametrize("shape", [(45, 60), (16, 21, 18)], ids=str)
def test_smooth_images_of_many_components(shape, setting):
    image = 1 / (1 + np.exp(-smooth_image(np.random.default_rng(4), shape, 1.2) * 1.5 + 2)).astype(np.float32)
    before = betti_by_labeling(image > 0.5, **setting)
    assert before[0] > 4
    masks, joins = reconnect(image, **setting)
    after = betti_by_labeling(masks, **setting)
    assert after == (before[0] - int(joins.is_joined.sum()), *before[1:])
    refused = joins.outcome == OUTCOMES.index("closes_loop")
    assert refused.sum() <= 0.1 * len(joins)
    again, none = reconnect(np.where(masks, np.maximum(image, np.float32(0.51)), image), **setting)
    assert (again == masks).all()
    assert int(none.is_joined.sum()) == 0


# Limits ------------------------------------------------------------------------------------------------------------

LINE = np.array([[0.9, 0.3, 0.3, 0.9, 0.2, 0.8, 0.8, 0.4, 0.4, 0.4, 0.7]], dtype=np.float32)


@pytest.mark.parametrize(
    ("limits", "outcomes", "mask"),
    [
        ({}, ["joined"] * 3, "###########"),
        ({"min_likelihood": 0.3}, ["joined"] * 2, "####.######"),
        ({"min_likelihood": 0.31}, ["joined"], "#..#.######"),
        ({"max_path_length": 2}, ["too_long", "joined", "joined"], "#######...#"),
        ({"max_path_length": 0}, ["too_long"] * 3, "#..#.##...#"),
        ({"max_path_length": 5, "spacing": (9.0, 1.5)}, ["too_long", "joined", "joined"], "#######...#"),
        ({"max_path_length": 6, "spacing": (9.0, 1.5)}, ["joined"] * 3, "###########"),
        ({"min_component_size": 2}, [], "#..#.##...#"),
        ({"min_component_size": 20, "spacing": (9.0, 1.5)}, [], "#..#.##...#"),
        ({"max_component_size": 1}, ["joined"] * 3, "###########"),
        ({"max_component_size": 0.5}, ["too_large"] * 3, "#..#.##...#"),
    ],
)
def test_limits(limits, outcomes, mask):
    for image in (LINE, LINE.T, LINE[:, :, None]):
        spacing = limits.get("spacing")
        if spacing and image is not LINE:
            continue
        masks, joins = reconnect(image, **limits)
        assert [row["outcome"] for row in rows_of(joins)] == outcomes
        assert "".join(".#"[int(value)] for value in masks.ravel()) == mask


def test_a_path_leads_through_a_component_too_small_to_be_joined():
    image = np.array([[0.9, 0.9, 0.3, 0.6, 0.2, 0.8, 0.8, 0.2, 0.7]], dtype=np.float32)
    masks, joins = reconnect(image, min_component_size=2)
    [row, touched] = rows_of(joins)
    assert (row["labels"], row["outcome"], row["path"]) in [((3, 1), "joined", [4, 3, 2])]
    assert (touched["labels"], touched["outcome"], touched["path"]) == ((3, 2), "touched", [])
    assert masks.astype(int).tolist() == [[1, 1, 1, 1, 1, 1, 1, 0, 1]]


def test_a_candidate_is_refused_where_every_path_closes_a_loop():
    # The saddle touches both prongs of a fork.
    image = np.full((5, 7), 0.1, dtype=np.float32)
    image[0, 3] = image[3, 2] = image[3, 4] = image[4, 2:5] = 0.9
    image[1, 3] = image[2, 3] = 0.4
    masks, joins = reconnect(image)
    assert [row["outcome"] for row in rows_of(joins)] == ["closes_loop"]
    assert (masks == (image > 0.5)).all()
    masks, joins = reconnect(image, allow_loops=True)
    assert [row["outcome"] for row in rows_of(joins)] == ["joined"]
    assert betti_by_labeling(masks, connectivity="full", border="open") == (1, 1)


def test_a_path_goes_around_a_voxel_that_would_close_a_loop():
    image = np.full((5, 7), 0.1, dtype=np.float32)
    image[0, 3] = image[3, 2] = image[3, 4] = image[4, 2:5] = 0.9
    image[1, 3], image[2, 1:4] = 0.4, 0.45
    masks, joins = reconnect(image)
    [row] = rows_of(joins)
    assert row["outcome"] == "joined"
    assert masks[2, 2]
    assert betti_by_labeling(masks, connectivity="full", border="open") == (1, 0)


def test_ties_take_the_shorter_way():
    # All of the background has one value: the nearest ends are joined, and two of three sides suffice.
    image = np.full((30, 40), 0.25, dtype=np.float32)
    image[5, 5:20] = image[9, 5:20] = image[25, 18:30] = 0.8
    masks, joins = reconnect(image)
    assert joins.num_voxels.sum() == 3 + 15
    assert betti_by_labeling(masks, connectivity="full", border="open") == (1, 0)


def test_of_equally_short_paths_the_voxels_of_high_likelihood_are_taken():
    image = np.array([[0.1, 0.4, 0.1, 0.35, 0.1], [0.9, 0.45, 0.3, 0.4, 0.9], [0.1, 0.35, 0.1, 0.45, 0.1]])
    for turned in (image, image[::-1].copy(), image[:, ::-1].copy(), np.rot90(image).copy()):
        masks, joins = reconnect(turned.astype(np.float32))
        assert sorted(turned.ravel()[joins.path]) == [0.3, 0.45, 0.45]
        assert (masks == np.isin(turned, (0.3, 0.45, 0.9))).all()


def test_a_short_way_out_of_the_first_box_beats_a_long_way_inside():
    image = np.full((7, 13), 0.1, dtype=np.float32)
    image[5, 4] = image[0, 8:12] = image[:6, 11] = 0.9
    image[5, 5] = 0.3
    image[5, 6:11] = image[3:5, 5] = image[3, 5:9] = image[1:4, 8] = 0.4
    masks, joins = reconnect(image, connectivity="face")
    assert joins.num_voxels.tolist() == [6]
    assert masks[5, 4:12].all()


def test_the_frame_is_joined_and_named():
    image = np.full((6, 8), 0.1, dtype=np.float32)
    image[3, 4], image[4, 4], image[5, 4] = 0.9, 0.4, 0.3
    masks, joins = reconnect(image, border="foreground", min_likelihood=0.2)
    [row] = rows_of(joins)
    assert row["labels"] == (1, -1)
    assert row["path"] == [4 * 8 + 4, 5 * 8 + 4]
    assert masks.sum() == 3
    assert row["length"] == 3
