"""Specks, pinholes, instances, membranes and collars: hand-drawn cases and invariants."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor
from oracles.betti_by_labeling import betti_by_labeling
from oracles.small_objects import without_holes_below, without_objects_below
from scipy.ndimage import distance_transform_edt, generate_binary_structure, label
from skimage.measure import label as equal_components

from monai_topo.data import synthetic_membranes
from monai_topo.transforms import (
    InstancesToMembrane,
    LabelToForeground,
    MembraneToInstances,
    RelativePad,
    RelativePadd,
    RepairLabel,
)

SHAPES = st.sampled_from([(6, 9), (4, 5, 6)])
CONNECTIVITY = st.sampled_from(["full", "face"])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))
IDS = SHAPES.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3)))


@given(mask=MASKS, limit=st.integers(1, 5), connectivity=CONNECTIVITY)
def test_specks_go_as_scikit_image_removes_small_objects(mask, limit, connectivity):
    reach = mask.ndim if connectivity == "full" else 1
    repaired = RepairLabel(min_component=limit, connectivity=connectivity)(mask[None]).numpy()[0]
    assert repaired.tolist() == without_objects_below(mask, limit, connectivity=reach).tolist()


@given(mask=MASKS, limit=st.integers(1, 5), connectivity=CONNECTIVITY)
def test_pinholes_go_as_small_objects_of_a_framed_complement(mask, limit, connectivity):
    reach = 1 if connectivity == "full" else mask.ndim
    framed = np.pad(mask, 2)  # the outside is larger than any limit
    expected = without_holes_below(framed, limit, connectivity=reach)
    repaired = RepairLabel(min_hole=limit, connectivity=connectivity)(mask[None]).numpy()[0]
    assert repaired.tolist() == expected[(slice(2, -2),) * mask.ndim].tolist()


@given(ids=IDS, specks=st.integers(0, 4), holes=st.integers(0, 4), connectivity=CONNECTIVITY, relative=st.booleans())
def test_repairing_twice_changes_nothing_more_and_the_list_of_defects_is_what_changed(
    ids, specks, holes, connectivity, relative
):
    border = "foreground" if relative else "open"
    repair = RepairLabel(min_component=specks, min_hole=holes, connectivity=connectivity, border=border)
    label_ = MetaTensor(torch.from_numpy(ids[None].copy()))
    once = repair(label_)
    assert torch.equal(repair(once), once)
    found = json.loads(once.meta["label_defects"])
    assert found or torch.equal(once, label_)
    assert all(ids[tuple(defect["at"])] == defect["value"] for defect in found if defect["defect"] == "speck")
    detected = RepairLabel(
        min_component=specks, min_hole=holes, connectivity=connectivity, border=border, action="detect"
    )(label_)
    assert torch.equal(detected, label_)
    assert detected.meta["label_defects"] == once.meta["label_defects"]
    assert "label_defects" not in label_.meta


def test_each_defect_is_listed_with_its_place_value_and_size_in_millimeters():
    drawn = np.zeros((1, 9, 12), dtype=np.uint8)
    drawn[0, 1:8, 1:8] = 4
    drawn[0, 3, 4] = 0  # one voxel of background
    drawn[0, 5, 5:7] = 9  # a speck inside: a hole of two voxels once it is gone
    drawn[0, 0, 10] = 4
    label_ = MetaTensor(torch.from_numpy(drawn), affine=torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0])))
    repaired = RepairLabel(min_component=3.0, min_hole=3.0, spacing="affine")(label_)
    assert json.loads(repaired.meta["label_defects"]) == [
        {"channel": 0, "defect": "speck", "value": 4, "size": 1.0, "at": [0, 10]},
        {"channel": 0, "defect": "speck", "value": 9, "size": 2.0, "at": [5, 5]},
        {"channel": 0, "defect": "pinhole", "value": 4, "size": 1.0, "at": [3, 4]},
        {"channel": 0, "defect": "pinhole", "value": 4, "size": 2.0, "at": [5, 5]},
    ]
    whole = np.zeros((9, 12), dtype=np.uint8)
    whole[1:8, 1:8] = 4
    assert repaired.numpy()[0].tolist() == whole.tolist()


def test_what_the_border_cuts_is_a_hole_or_a_speck_by_the_border_setting():
    drawn = np.array([[[0, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]])
    assert RepairLabel(min_hole=3)(drawn).tolist() == drawn.tolist()
    closed = RepairLabel(min_component=3, min_hole=2, border="foreground", connectivity="face")(drawn)
    assert closed.tolist() == [[[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]]


@given(ids=IDS, radius=st.sampled_from([1.0, 1.5, 2.0]), coarse=st.sampled_from([1.0, 1.6]))
def test_a_wall_is_what_lies_within_its_radius_of_another_instance(ids, radius, coarse):
    spacing = [coarse, 1.0, 0.8][: ids.ndim]
    wall = InstancesToMembrane(radius=radius, spacing=spacing)(ids[None]).numpy()[0] > 0
    expected = np.zeros(ids.shape, dtype=bool)
    for value in np.unique(ids):
        if (ids == value).all():
            continue
        expected |= (ids == value) & (distance_transform_edt(ids == value, sampling=spacing) <= radius + 1e-6)
    assert wall.tolist() == expected.tolist()


@given(ids=IDS)
def test_a_wall_of_radius_1_is_the_boundary_of_the_label_conventions(ids):
    assert torch.equal(InstancesToMembrane()(ids[None]), LabelToForeground("boundary")(ids[None]))


def test_an_id_that_means_membrane_is_membrane_and_grows_no_further():
    ids = np.array([[[3, 3, 0, 5, 5, 5, 7, 7, 7]] * 2])
    assert InstancesToMembrane(membrane_id=0)(ids).tolist() == [[[0, 0, 1, 0, 0, 1, 1, 0, 0]] * 2]


@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("shape", [(60, 70), (24, 30, 36)])
def test_cells_are_the_components_between_membranes(shape, connectivity):
    _, membrane = synthetic_membranes(shape, seed=2, cell_size=12)
    cells = membrane == 0
    expected, count = label(cells, generate_binary_structure(len(shape), 1 if connectivity == "full" else len(shape)))
    kept = MembraneToInstances(connectivity=connectivity, fill=False)(membrane[None]).numpy()[0]
    assert kept.tolist() == expected.tolist()
    filled = MembraneToInstances(connectivity=connectivity)(membrane[None])
    assert filled.dtype == torch.int32
    assert (filled.numpy()[0][cells] == expected[cells]).all()
    assert filled.min() == 1
    assert filled.max() == count
    # Each cell stays one piece as it grows.
    assert equal_components(filled.numpy()[0], connectivity=len(shape)).max() == count


def test_walls_and_cells_are_each_others_inverse_where_cells_are_wide():
    seeds = np.array([[8, 9], [9, 31], [30, 12], [31, 36], [18, 22]])
    grid = np.stack(np.meshgrid(np.arange(40), np.arange(46), indexing="ij"), -1)
    ids = np.linalg.norm(grid[:, :, None] - seeds, axis=-1).argmin(-1)
    again = MembraneToInstances()(InstancesToMembrane(radius=1.5)(ids[None])).numpy()[0]
    pairs = np.unique(np.stack([ids.ravel(), again.ravel()]), axis=1, return_counts=True)
    assert len(np.unique(again)) == 5
    assert np.sort(pairs[1])[-5:].sum() > 0.98 * ids.size


def test_seed_distance_closes_a_leak():
    membrane = np.zeros((1, 21, 42), dtype=np.uint8)
    membrane[0, :, 20:22] = 1
    membrane[0, 10:12, 20:22] = 0
    assert MembraneToInstances()(membrane).max() == 1
    closed = MembraneToInstances(seed_distance=3)(membrane)
    assert closed.unique().tolist() == [1, 2]
    assert (closed[..., :18] == 1).all()
    assert (closed[..., 24:] == 2).all()


def test_a_leak_as_deep_as_the_seed_distance_is_closed():
    membrane = np.zeros((1, 9, 21), dtype=np.float32)
    membrane[0, :, 10] = 1
    membrane[0, 4, 10] = 0  # the middle of the leak is 1 from the membrane
    assert MembraneToInstances()(membrane).max() == 1
    assert MembraneToInstances(seed_distance=1)(membrane).max() == 2


def test_a_radius_in_mm_reaches_whole_voxels_whatever_its_rounding():
    ids = np.repeat([[1, 2]], 6, axis=1)[None].repeat(4, axis=1)
    wall = InstancesToMembrane(radius=0.3, spacing=0.1)(ids)
    assert wall[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]  # 3 * 0.1 is more than 0.3


def test_a_cell_too_narrow_for_the_seed_distance_is_one_seed():
    membrane = np.zeros((1, 12, 24), dtype=np.uint8)
    membrane[0, :, [10, 13]] = 1
    cells = MembraneToInstances(seed_distance=3, fill=False)(membrane)[0, 5].tolist()
    assert cells == [1] * 10 + [0, cells[11], cells[11], 0] + [cells[14]] * 10
    assert {cells[11], cells[14]} == {2, 3}


@given(mask=MASKS)
def test_a_collar_turns_what_the_border_cuts_into_holes(mask):
    padded = RelativePad()(torch.from_numpy(mask[None]).float()).numpy()[0] > 0
    counted = betti_by_labeling(padded, connectivity="full", border="open")
    relative = betti_by_labeling(mask, connectivity="full", border="foreground")
    frame_is_one_more_component = counted[0] - 1
    assert frame_is_one_more_component == relative[0]


def test_a_collar_has_a_value_for_each_channel_and_comes_off_again():
    one_hot = MetaTensor(torch.rand(2, 5, 7), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    pad = RelativePad(width=2, value=[0, 1])
    padded = pad(one_hot)
    assert padded.shape == (2, 9, 11)
    assert padded[:, 0].tolist() == [[0.0] * 11, [1.0] * 11]
    assert padded.affine[:2, 3].tolist() == [-4, -6]
    off = pad.inverse(padded)
    assert torch.equal(off, one_hot)
    assert torch.equal(off.affine, one_hot.affine)
    of_both = RelativePadd(["pred", "label"], new_key_prefix="padded_", width=2)
    case = of_both.inverse(of_both({"pred": one_hot, "label": one_hot}))
    assert torch.equal(case["padded_pred"], one_hot)
    assert torch.equal(case["padded_label"], one_hot)
    with pytest.raises(ValueError, match=r"Expected `value` to be one number or one for each of the 2 channels"):
        RelativePad(value=[1, 1, 1])(one_hot)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RepairLabel(min_hole=-1), r"Expected `min_hole` to be finite and at least 0, but got -1"),
        (lambda: RepairLabel(action="fix"), r"Expected `action` to be one of 'repair', 'detect', but got 'fix'"),
        (lambda: RepairLabel(connectivity="18"), r"Expected `connectivity` to be 'full'"),
        (lambda: RepairLabel(border="closed"), r"Expected `border` to be one of 'open', 'foreground'"),
        (lambda: InstancesToMembrane(radius=-2), r"Expected `radius` to be finite and at least 0"),
        (lambda: MembraneToInstances(connectivity=8), r"Expected `connectivity` to be 'full'"),
        (lambda: RelativePad(width=0), r"Expected `width` to be a positive whole number, but got 0"),
        (lambda: MembraneToInstances()(np.zeros((2, 4, 5))), r"channel first with one channel.*\(2, 4, 5\)"),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
