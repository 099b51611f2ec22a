"""Regions of label features: counted by labeling, by the Euler characteristic and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import BORDERS, CONNECTIVITIES
from oracles.betti_by_labeling import betti_by_labeling
from oracles.component_labels import labels_by_scipy

from monai_topo._utils.kernel import kernel, mask_settings

OTHER = {"full": "face", "face": "full", "open": "foreground", "foreground": "open"}


def label_regions(masks, dim, connectivity, border, min_size=0.0):
    """For each mask: the number of every voxel's region, and the room of regions -1 (the frame), 0 (none), 1, ..."""
    settings = mask_settings(connectivity, border)
    numbers, count, room = kernel.label_regions(
        masks.astype(np.uint8), dim=dim, **settings, min_size=min_size, num_threads=2
    )
    return list(zip(numbers.reshape(masks.shape), np.split(room, count.cumsum()[:-1]), strict=True))


@given(
    st.integers(0, 2**16),
    st.sampled_from([(4, 5, 7), (1, 6, 5), (6, 3, 4), (3, 4, 20)]),
    st.sampled_from([0.1, 0.3, 0.5, 0.8]),
    st.sampled_from(CONNECTIVITIES),
    st.sampled_from(BORDERS),
)
def test_every_component_of_a_volume_has_room_for_its_own_loops(seed, shape, density, connectivity, border):
    masks = np.random.default_rng(seed).random((2, *shape)) < density
    for mask, (found, room) in zip(masks, label_regions(masks, 1, connectivity, border), strict=True):
        numbers = labels_by_scipy(mask, connectivity, border)
        np.testing.assert_array_equal(found, numbers)
        for number in np.unique(numbers):
            alone, frame = numbers == number, "foreground" if number == -1 else "open"
            expected = betti_by_labeling(alone, connectivity=connectivity, border=frame)[1] if number else 0
            assert room[number + 1] == expected


def test_a_hollow_torus_has_room_for_two_loops():
    torus = np.ones((1, 3, 9, 9))
    torus[..., 1, 1:8, 1:8] = 0
    torus[..., 1, 2:7, 2:7] = 1  # a tunnel of one voxel inside
    torus[..., 3:6, 3:6] = 0
    for before in range(40):  # the empty columns around it are skipped
        wide = np.pad(torus, ((0, 0), (0, 0), (0, 0), (before, 40 - before)))
        ((_, room),) = label_regions(wide, 1, "full", "open")
        assert room.tolist() == [0, 0, 2]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("shape", [(9, 12), (5, 6, 7)])
def test_regions_of_components_and_holes_have_room_for_one_feature_unless_they_are_small(shape, connectivity, border):
    masks = np.random.default_rng(1).random((3, *shape)) < np.array([0.2, 0.5, 0.8]).reshape(3, *[1] * len(shape))
    for dim in (0, len(shape) - 1):
        regions = label_regions(masks, dim, connectivity, border, min_size=3.0)
        for mask, (found, room) in zip(masks, regions, strict=True):
            setting = (connectivity, border) if dim == 0 else (OTHER[connectivity], OTHER[border])
            numbers = labels_by_scipy(mask if dim == 0 else ~mask, *setting)
            np.testing.assert_array_equal(found, numbers)
            sizes = [int((numbers == n).sum()) for n in range(1, numbers.max() + 1)]
            assert room.tolist() == [0, 0] + [1 if size >= 3 else -1 for size in sizes]
