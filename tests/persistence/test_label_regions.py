"""Regions of label features: counted by labeling, by the Euler characteristic and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import BORDERS, CONNECTIVITIES
from oracles.betti_by_labeling import betti_by_labeling
from oracles.component_labels import labels_by_scipy

from monai_topo.persistence.label_regions import label_regions

OTHER = {"full": "face", "face": "full", "open": "foreground", "foreground": "open"}


@given(
    st.integers(0, 2**16),
    st.sampled_from([(4, 5, 7), (1, 6, 5), (6, 3, 4)]),
    st.sampled_from([0.3, 0.5, 0.8]),
    st.sampled_from(CONNECTIVITIES),
    st.sampled_from(BORDERS),
)
def test_every_component_of_a_volume_has_room_for_its_own_loops(seed, shape, density, connectivity, border):
    masks = np.random.default_rng(seed).random((2, *shape)) < density
    regions = label_regions(torch.from_numpy(masks), 1, connectivity=connectivity, border=border)
    for i, mask in enumerate(masks):
        numbers = labels_by_scipy(mask, connectivity, border)
        for number in np.unique(numbers):
            alone, frame = numbers == number, "foreground" if number == -1 else "open"
            expected = betti_by_labeling(alone, connectivity=connectivity, border=frame)[1] if number else 0
            assert regions.capacity[regions.offset[i] + number + 1] == expected
        voxels = torch.arange(mask.size)
        assert torch.equal(
            regions.region_of(torch.full_like(voxels, i), voxels) - regions.offset[i] - 1,
            torch.from_numpy(numbers).flatten().long(),
        )


def test_a_hollow_torus_has_room_for_two_loops():
    torus = torch.ones(1, 3, 9, 9)
    torus[..., 1, 1:8, 1:8] = 0
    torus[..., 1, 2:7, 2:7] = 1  # a tunnel of one voxel inside
    torus[..., 3:6, 3:6] = 0
    assert label_regions(torus, 1, connectivity="full", border="open").capacity.tolist() == [0, 0, 2]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("shape", [(9, 12), (5, 6, 7)])
def test_regions_of_components_and_holes_are_numbered_through_the_batch(shape, connectivity, border):
    masks = np.random.default_rng(1).random((3, *shape)) < np.array([0.2, 0.5, 0.8]).reshape(3, *[1] * len(shape))
    for dim in (0, len(shape) - 1):
        regions = label_regions(torch.from_numpy(masks), dim, connectivity=connectivity, border=border, min_size=3)
        for i, mask in enumerate(masks):
            setting = (connectivity, border) if dim == 0 else (OTHER[connectivity], OTHER[border])
            numbers = labels_by_scipy(mask if dim == 0 else ~mask, *setting)
            sizes = [int((numbers == n).sum()) for n in range(1, numbers.max() + 1)]
            room = regions.capacity[regions.offset[i] :][: 2 + len(sizes)].tolist()
            assert room == [0, 0] + [1 if size >= 3 else -1 for size in sizes]
            assert regions.per_image()[i] == sum(size >= 3 for size in sizes)
            np.testing.assert_array_equal(regions.label_map[i].numpy(), numbers.ravel())
