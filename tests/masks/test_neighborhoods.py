"""Components around a voxel against the simple points of the kernel and Betti numbers before and after its flip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import CONNECTIVITIES
from oracles.betti_by_labeling import betti_by_labeling

from monai_topo.masks import simple_points
from monai_topo.masks.neighborhoods import neighborhood_offsets, topological_numbers


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_voxel_is_simple_where_both_numbers_are_one(ndim, connectivity):
    rng = np.random.default_rng(ndim)
    patches = rng.random((3000, *(3,) * ndim)) < rng.choice([0.2, 0.5, 0.8], (3000, *(1,) * ndim))
    foreground, background = topological_numbers(patches, connectivity)
    simple = simple_points(torch.from_numpy(patches), connectivity=connectivity).numpy()[(..., *(1,) * ndim)]
    assert (((foreground == 1) & (background == 1)) == simple).all()
    assert 100 < simple.sum() < 2900


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_the_foreground_number_is_how_many_components_of_the_plane_the_voxel_joins(connectivity):
    # In the plane, what is adjacent to the center joins, and what joins twice closes a hole: both by Betti numbers.
    patches = (np.arange(512)[:, None] >> np.arange(9) & 1).astype(bool).reshape(-1, 3, 3)
    foreground, background = topological_numbers(patches, connectivity)
    for patch, number, dual in zip(patches, foreground, background, strict=True):
        with_center, without = patch.copy(), patch.copy()
        with_center[1, 1], without[1, 1] = True, False
        before = betti_by_labeling(without, connectivity=connectivity, border="open")
        after = betti_by_labeling(with_center, connectivity=connectivity, border="open")
        assert after[0] - before[0] == 1 - number
        assert before[1] - after[1] == (dual == 0)


def test_offsets_lead_to_the_neighborhood_in_c_order():
    for shape in ((4, 7), (4, 5, 6)):
        image = np.arange(np.prod(shape)).reshape(shape)
        center = tuple(extent // 2 for extent in shape)
        around = image[tuple(slice(at - 1, at + 2) for at in center)].ravel()
        assert (image[center] + neighborhood_offsets(shape) == around).all()
