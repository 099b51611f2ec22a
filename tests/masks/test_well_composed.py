"""Well-composed masks against a search for critical configurations, Betti numbers, and the fewest flips there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import BORDERS, CONNECTIVITIES, MASK_SETTINGS, random_shapes
from oracles.betti_by_labeling import betti_by_labeling
from oracles.drawings import drawn, label_image

from monai_topo.masks import critical_voxels, make_well_composed

masks = hnp.arrays(bool, random_shapes(8, 5))


def critical_by_definition(mask):
    """Voxels of critical configurations, block by block: equal diagonal, and all others the other value."""
    found = np.zeros_like(mask)
    size = (2,) * mask.ndim
    blocks = {size} | ({(1, 2, 2), (2, 1, 2), (2, 2, 1)} if mask.ndim == 3 else set())
    for block in blocks:
        spread = [n - b + 1 for n, b in zip(mask.shape, block, strict=True)]
        for at in np.ndindex(*spread):
            voxels = [tuple(a + s for a, s in zip(at, step, strict=True)) for step in np.ndindex(*block)]
            for i in range(len(voxels) // 2):
                pair = {voxels[i], voxels[-1 - i]}
                values = {mask[voxel] for voxel in pair}
                if len(values) == 1 and {mask[voxel] for voxel in voxels if voxel not in pair} == {not values.pop()}:
                    for voxel in voxels:
                        found[voxel] = True
    return found


def repaired(mask, **setting):
    return make_well_composed(torch.from_numpy(mask)[None], **setting)[0].numpy()


@given(mask=masks)
@settings(max_examples=150)
def test_critical_voxels_are_those_of_the_definition(mask):
    assert (critical_voxels(torch.from_numpy(mask)[None])[0].numpy() == critical_by_definition(mask)).all()


@given(mask=masks, setting=st.sampled_from(MASK_SETTINGS))
@settings(max_examples=200)
def test_nothing_critical_is_left_and_connectivities_agree(mask, setting):
    result = repaired(mask, **setting)
    assert not critical_by_definition(result).any()
    for border in BORDERS:
        one, other = (betti_by_labeling(result, connectivity=c, border=border) for c in CONNECTIVITIES)
        assert one == other
    assert (repaired(result, **setting) == result).all()
    if not critical_by_definition(mask).any():
        assert (result == mask).all()


@pytest.mark.slow
@pytest.mark.parametrize(("connectivity", "kept", "fewest"), [("full", 0.99, 0.99), ("face", 0.7, 0.99)])
def test_few_flips_are_made_and_most_topologies_kept_on_all_masks_of_3_x_4_pixels(connectivity, kept, fewest):
    bits = np.arange(4096)
    every = (bits[:, None] >> np.arange(12) & 1).astype(bool).reshape(-1, 3, 4)
    result = make_well_composed(torch.from_numpy(every), connectivity=connectivity).numpy()
    flips = (result != every).reshape(4096, 12).sum(1)
    well_composed = ~critical_voxels(torch.from_numpy(every)).numpy().reshape(4096, 12).any(1)
    betti = [betti_by_labeling(mask, connectivity=connectivity, border="open") for mask in every]
    least = np.full(4096, 99)  # flips to a well-composed mask of the same Betti numbers
    for numbers in set(betti):
        same = np.array([other == numbers for other in betti])
        front, distance = np.flatnonzero(same & well_composed), 0
        reached = np.zeros(4096, dtype=bool)
        while len(front):
            reached[front] = True
            least[front[same[front]]] = distance
            front = np.unique(front[:, None] ^ (1 << np.arange(12)))
            front, distance = front[~reached[front]], distance + 1
    codes = (result.reshape(4096, 12) << np.arange(12)).sum(1)
    keeps = np.array([betti[code] == numbers for code, numbers in zip(codes, betti, strict=True)])
    assert keeps[~well_composed].mean() > kept
    assert (flips == least)[keeps & ~well_composed].mean() > fewest
    assert (flips - least)[keeps].max() <= 1


def test_a_contact_at_corners_is_widened_or_becomes_a_gap_by_the_connectivity():
    line = np.eye(6, 9, dtype=bool)
    widened = repaired(line)
    assert widened.sum() == 6 + 5
    assert betti_by_labeling(widened, connectivity="face", border="open") == (1, 0)
    wall = np.ones((6, 7), dtype=bool)
    wall[1:3, 1:3] = wall[3:5, 3:5] = False  # with face connectivity one hole, with full connectivity two
    assert betti_by_labeling(repaired(wall, connectivity="face"), connectivity="full", border="open") == (1, 1)
    assert betti_by_labeling(repaired(wall, connectivity="full"), connectivity="full", border="open") == (1, 2)


def test_a_corner_contact_in_space_becomes_a_connection_by_simple_points():
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[:2, :3, :3] = mask[2:, 3:, 3:] = True
    result = repaired(mask, connectivity="full")
    assert betti_by_labeling(result, connectivity="face", border="open") == (1, 0, 0)
    assert (result != mask).sum() <= 2
    apart = repaired(mask, connectivity="face")
    assert betti_by_labeling(apart, connectivity="full", border="open") == (2, 0, 0)
    assert (apart != mask).sum() <= 2


def test_real_vessels_keep_their_components_and_most_holes(shared_data):
    mask = label_image(shared_data / "drive" / "labels" / "21.gif")
    before = betti_by_labeling(mask, connectivity="full", border="open")
    result = repaired(mask)
    after = betti_by_labeling(result, connectivity="face", border="open")
    assert after[0] == before[0]
    assert abs(after[1] - before[1]) <= 3
    assert (result != mask).sum() < 0.02 * mask.sum()


@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 3, 4, 5), (0, 4, 6), (1, 1, 1)], ids=str)
def test_empty_and_full_masks_stay(shape):
    for value in (False, True):
        mask = torch.full(shape, value)
        assert torch.equal(make_well_composed(mask), mask)
        assert not critical_voxels(mask).any()


def test_a_batch_is_repaired_image_by_image_and_the_input_stays():
    batch = torch.cat([drawn("##..", "..##")[0], drawn("#.#.", ".#.#")[0]])
    before = batch.clone()
    result = make_well_composed(batch)
    assert torch.equal(batch, before)
    for one, mask in zip(result, batch, strict=True):
        assert torch.equal(make_well_composed(mask[None])[0], one)


@pytest.mark.parametrize(
    ("mask", "settings", "sentence"),
    [
        (torch.tensor([[[0, 2]]]), {}, "to hold only 0 and 1"),
        (torch.zeros(4, 5), {}, r"\(N, H, W\) or \(N, D, H, W\)"),
        (torch.zeros(1, 4, 5), {"connectivity": "18"}, "`connectivity` to be 'full'"),
        (torch.zeros(1, 4, 5), {"border": "closed"}, "`border` to be one of"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(mask, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_well_composed(mask, **settings)
