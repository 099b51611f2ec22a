"""The heat map of critical voxels: where the heat lies and what it sums to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_topo import persistence_pairs
from monai_topo.transforms import CriticalVoxelMap


def test_heat_lies_on_critical_voxels_and_sums_to_the_persistence():
    image = np.random.default_rng(2).random((2, 7, 10))
    heat = CriticalVoxelMap(dims=[1, 0], min_persistence=0.2)(image).numpy().reshape(2, 2, 2, -1)
    pairs = persistence_pairs(torch.from_numpy(image), min_persistence=0.2)
    for channel in range(2):
        for place, dim in enumerate([1, 0]):
            of_both = (pairs.image == channel) & (pairs.dim == dim)
            births, deaths = (
                np.bincount(voxels[of_both], np.abs(np.diff(pairs.values(torch.from_numpy(image))))[of_both, 0], 70)
                for voxels in (pairs.birth, pairs.death)
            )
            if dim == 0:
                births[pairs.essential[channel]] += np.ptp(image[channel])
            assert np.allclose(heat[channel, place], [births, deaths], atol=1e-6)


def test_an_image_of_less_contrast_than_min_persistence_has_no_heat():
    image = np.random.default_rng(2).random((1, 7, 10))
    assert not CriticalVoxelMap(min_persistence=1)(image).any()


def test_a_spread_heat_map_keeps_its_sum_away_from_the_border():
    image = np.zeros((1, 40, 50))
    image[0, 18, 20], image[0, 22, 31] = 1, 0.6
    sharp, spread = CriticalVoxelMap()(image), CriticalVoxelMap(sigma=1.5)(image)
    assert (sharp[0] > 0).nonzero().tolist() == [[18, 20], [22, 31]]
    assert spread[0].sum().item() == pytest.approx(1.6, rel=1e-3)
    assert (spread[0] > 0).sum() > 50
