"""Critical voxels, structural errors, random errors and the crops around them: drawings and counted Betti numbers."""

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

from monai_topo import persistence_pairs
from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.transforms import (
    CriticalVoxelMap,
    RandCropByTopology,
    RandCropByTopologyd,
    RandTopologyError,
    RandTopologyErrord,
    TopologyErrorMap,
)

SHAPES = st.sampled_from([(8, 11), (5, 6, 7)])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))
KINDS = ["break", "bridge", "hole", "fill", "speck"]
MODES = ["label", "image"]


def betti(mask, connectivity="full"):
    return np.array(betti_by_labeling(mask, connectivity=connectivity, border="open"))


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


def test_each_kind_of_structural_error_has_its_number():
    label = np.zeros((1, 50, 90), dtype=np.uint8)
    label[0, 8:11, 5:85] = 1  # broken at 30, and its right end is missing
    label[0, 40:43, 5:40] = 1  # missing whole
    label[0, 20:35, 60:75] = 1
    label[0, 24:31, 64:71] = 0  # a hole that the prediction fills
    prediction = label.copy()
    prediction[0, 8:11, 28:33] = 0
    prediction[0, 8:11, 76:] = 0
    prediction[0, 40:43] = 0
    prediction[0, 24:31, 64:71] = 1
    prediction[0, 46:49, 60:80] = 1  # spurious whole
    prediction[0, 11:20, 66:69] = 1  # a bridge
    prediction[0, 11:21, 12:15] = 1  # a spurious end
    prediction[0, 33, 62] = 0  # a hole that the label has not
    drawn = TopologyErrorMap()(prediction, label)[0]
    assert drawn.unique().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert drawn[9, 30] == 2
    assert drawn[9, 79] == 3
    assert drawn[41, 20] == 1
    assert drawn[47, 70] == 4
    assert drawn[16, 67] == 5
    assert drawn[17, 13] == 6
    assert drawn[27, 67] == 7
    assert drawn[33, 62] == 8


@given(mask=MASKS)
def test_equal_masks_and_thicker_rims_have_no_structural_error_but_filled_holes(mask):
    assert TopologyErrorMap()(mask[None], mask[None]).max() == 0
    nothing = TopologyErrorMap()(np.zeros_like(mask)[None], mask[None])
    assert set(nothing.unique().tolist()) <= {0, 1}
    assert bool((nothing > 0).any()) == bool(mask.any())


def test_a_break_in_a_volume_is_a_break():
    label = np.zeros((1, 9, 12, 30), dtype=np.uint8)
    label[0, 3:6, 5:8, 3:27] = 1
    broken = label.copy()
    broken[..., 14:17] = 0
    drawn = TopologyErrorMap()(broken, label)
    assert drawn.unique().tolist() == [0, 2]
    assert set(drawn.nonzero()[:, 3].tolist()) == {14, 15, 16}
    with pytest.raises(ValueError, match="Expected `prediction` and `label` to have one shape"):
        TopologyErrorMap()(broken[..., 1:], label)


@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_a_background_voxel_at_a_corner_of_the_outside_is_a_hole_of_full_connectivity_only(connectivity):
    label = np.zeros((1, 20, 24), dtype=np.uint8)
    label[0, 5:15, 5:18] = 1
    prediction = label.copy()
    prediction[0, 5, 5] = prediction[0, 6, 6] = 0
    drawn = TopologyErrorMap(connectivity=connectivity)(prediction, label)[0]
    assert (drawn[6, 6] == 8) == (connectivity == "full")


def scenes():
    vessels = [synthetic_vessels(shape, seed=4, loops=2, gaps=0)[::-1] for shape in ((90, 120), (28, 40, 44))]
    membranes = [synthetic_membranes((80, 100), seed=4, cell_size=14)[::-1]]
    return [*vessels, *membranes]


@pytest.mark.parametrize("scene", [0, 1, 2], ids=["vessels 2D", "vessels 3D", "membranes"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_each_error_changes_one_betti_number_by_one_as_listed(scene, connectivity):
    label, _ = scenes()[scene]
    corrupt = RandTopologyError(prob=1, num_errors=6, reach=20, connectivity=connectivity)
    seen = set()
    for seed in range(4):
        changed = corrupt.set_random_state(seed)(MetaTensor(torch.from_numpy(label[None].copy())))
        listed = json.loads(changed.meta["topology_errors"])
        change = betti(changed.numpy()[0], connectivity) - betti(label, connectivity)
        assert change.tolist() == np.sum([error["betti_change"] for error in listed], axis=0).tolist()
        assert all(np.abs(error["betti_change"]).sum() == 1 for error in listed)
        assert (changed.numpy()[0] != label).sum() <= sum(error["voxels"] for error in listed)
        seen |= {error["error"] for error in listed}
    assert seen >= {"break", "bridge", "speck"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_its_place_in_a_drawing(kind):
    drawn = np.zeros((1, 60, 80), dtype=np.uint8)
    drawn[0, 10:20, 5:75] = 7
    drawn[0, 13:16, 30:33] = 0
    drawn[0, 26:30, 5:75] = 7
    expected = {"break": [[1, 0], [0, -1]], "bridge": [[-1, 0]], "hole": [[0, 1]], "fill": [[0, -1]], "speck": [[1, 0]]}
    for seed in range(5):
        corrupt = RandTopologyError(prob=1, errors=[kind], num_errors=1, radius=1).set_random_state(seed)
        changed = corrupt(drawn).numpy()
        [error] = json.loads(corrupt.errors_as_json())
        assert error["error"] == kind
        assert (betti(changed[0]) - betti(drawn[0])).tolist() in expected[kind]
        assert set(np.unique(changed)) == {0, 7}
        differs = np.argwhere(changed[0] != drawn[0])
        assert len(differs) == error["voxels"]
        assert np.abs(differs - error["at"]).max() <= 15


def test_a_break_opens_a_lone_ring():
    ring = np.zeros((1, 30, 40), dtype=np.uint8)
    ring[0, 5:25, 5:35], ring[0, 8:22, 8:32] = 1, 0
    corrupt = RandTopologyError(prob=1, errors=["break"], num_errors=1, radius=1).set_random_state(0)
    assert (betti(corrupt(ring).numpy()[0]) - betti(ring[0])).tolist() == [0, -1]


def test_image_mode_fades_a_break_and_lights_a_bridge_and_changes_nothing_else():
    label = np.zeros((1, 40, 70), dtype=np.uint8)
    label[0, 12:16, 5:65] = 1
    label[0, 24:28, 5:65] = 1
    image = np.where(label == 1, 0.8, 0.2).astype(np.float32)
    image += np.random.default_rng(0).normal(0, 0.02, image.shape).astype(np.float32)
    for kind, low, high in (("break", 0.1, 0.4), ("bridge", 0.6, 0.9)):
        version = RandTopologyErrord(
            "image", label_key="label", mode="image", prob=1, errors=kind, num_errors=1, radius=2, contrast=1
        )
        case = version.set_random_state(1)({"image": image, "label": label})
        assert case["label"] is label
        [error] = json.loads(case["topology_errors"])
        middle = case["image"][0, error["at"][0], error["at"][1]].item()
        assert low < middle < high
        differs = np.argwhere(case["image"].numpy()[0] != image[0])
        assert len(differs) >= error["voxels"]
        assert np.abs(differs - error["at"]).max() <= 16
        weak = RandTopologyErrord(
            "image", label_key="label", mode="image", prob=1, errors=kind, num_errors=1, radius=2, contrast=0
        )
        assert np.array_equal(weak.set_random_state(1)({"image": image, "label": label})["image"], image)


def test_painted_noise_has_the_strength_of_the_noise_around_it():
    label = np.zeros((1, 30, 34, 38), dtype=np.uint8)
    image = np.random.default_rng(0).normal(3, 0.1, label.shape).astype(np.float32)
    corrupt = RandTopologyError(mode="image", prob=1, errors="speck", num_errors=1, radius=8, contrast=1)
    ratios = []
    for seed in range(6):
        painted = corrupt.set_random_state(seed)(image, label).numpy()[0]
        [error] = json.loads(corrupt.errors_as_json())
        core = ((np.indices(painted.shape).T - error["at"]).T ** 2).sum(axis=0) <= 5**2  # away from the soft edge
        assert (painted[core] != image[0][core]).all()
        ratios.append(painted[core].std() / 0.1)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_errors_are_drawn_once_for_all_keys_and_not_at_all_when_chance_says_so():
    label, _ = scenes()[0]
    version = RandTopologyErrord(["label", "other"], prob=1, num_errors=3).set_random_state(3)
    case = version({"label": label[None], "other": label[None]})
    assert torch.equal(case["label"], case["other"])
    assert not np.array_equal(case["label"], label[None])
    never = RandTopologyErrord("label", prob=0).set_random_state(3)({"label": label[None]})
    assert np.array_equal(never["label"], label[None])
    assert never["topology_errors"] == "[]"


@given(mask=MASKS, mode=st.sampled_from(MODES), seed=st.integers(0, 99))
def test_any_mask_however_odd_is_handled_and_the_change_is_as_listed(mask, mode, seed):
    corrupt = RandTopologyError(prob=1, mode=mode).set_random_state(seed)
    image = mask[None].astype(np.float32)
    changed = corrupt(image, image if mode == "image" else None).numpy()
    listed = json.loads(corrupt.errors_as_json())
    if mode == "label":
        change = np.sum([error["betti_change"] for error in listed], axis=0) if listed else np.zeros(mask.ndim)
        assert (betti(changed[0] > 0) - betti(mask)).tolist() == change.tolist()
    assert np.isfinite(changed).all()


AROUND = ["skeleton", "branch_points", "thin_places", "errors"]


def cross():
    label = np.zeros((1, 61, 83), dtype=np.uint8)
    label[0, 29:32, 6:77] = 1
    label[0, 6:55, 40:43] = 1
    prediction = label.copy()
    prediction[0, 29:32, 60:65] = 0
    return label, prediction


def test_centers_lie_where_the_setting_puts_them():
    label, prediction = cross()
    expected = {
        "skeleton": label[0] > 0,
        "thin_places": label[0] > 0,
        "branch_points": np.pad(np.ones((7, 7)), ((27, 27), (38, 38))) > 0,
        "errors": (label != prediction)[0],
    }
    for around in AROUND:
        weights = RandCropByTopology((9, 9), around=around, uniform=0).weights(label, prediction).numpy()[0]
        assert weights.sum() == pytest.approx(1)
        assert (weights > 0).any()
        assert not (weights[~expected[around]] > 0).any()


def test_thin_places_weigh_more():
    label = np.zeros((1, 40, 90), dtype=np.uint8)
    label[0, 5:8, 8:82] = 1
    label[0, 20:33, 8:82] = 1
    weights = RandCropByTopology((8, 8), around="thin_places", uniform=0).weights(label)[0]
    assert weights[:12].sum() > 5 * weights[15:].sum()


def test_places_near_the_border_count_at_the_nearest_possible_center():
    label = np.zeros((1, 30, 40), dtype=np.uint8)
    label[0, 1, 2:38] = 1  # nearer to the border than half a patch
    weights = RandCropByTopology((20, 10), uniform=0).weights(label)[0]
    assert weights.nonzero()[:, 0].unique().tolist() == [10]
    patches = RandCropByTopology((20, 10), num_samples=6, uniform=0).set_random_state(0)(torch.from_numpy(label), label)
    assert all(patch.shape == (1, 20, 10) and patch.any() for patch in patches)


@pytest.mark.parametrize("shape", [(50, 64), (26, 30, 34)])
def test_patches_of_all_keys_fit_together_and_repeat_with_the_seed(shape):
    _, label = synthetic_vessels(shape, seed=1, num_trees=1, num_branches=3)
    size = [12, 16, 10][: len(shape)]
    version = RandCropByTopologyd(
        ["image", "label"], label_key="label", spatial_size=size, num_samples=3, around="thin_places"
    )
    index = np.arange(label.size).reshape(label.shape)[None]
    data = {"image": torch.from_numpy(index), "label": torch.from_numpy(label[None]), "name": "tree"}
    cases = version.set_random_state(5)(data)
    again = version.set_random_state(5)(data)
    assert len(cases) == 3
    for case, same in zip(cases, again, strict=True):
        assert torch.equal(case["image"], same["image"])
        assert case["image"].shape == (1, *size)
        assert np.array_equal(label.ravel()[case["image"]], case["label"])
        assert case["name"] == "tree"
    assert len({case["image"].flatten()[0].item() for case in cases}) > 1


def test_empty_labels_are_cropped_anywhere():
    empty = torch.zeros(1, 20, 30)
    patches = RandCropByTopology(8, 5).set_random_state(0)(torch.arange(600).view(1, 20, 30), empty)
    assert len({patch.flatten()[0].item() for patch in patches}) > 2


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RandTopologyError(errors=["tear"]), "Expected `errors` to be one of 'break', 'bridge'"),
        (lambda: RandTopologyError(errors=[]), "Expected `errors` to name at least one"),
        (lambda: RandTopologyError(num_errors=(3, 1)), "Expected `num_errors` to be a number of at least 0, or two"),
        (lambda: RandTopologyError(contrast=2), "Expected `contrast` to be at most 1"),
        (lambda: RandTopologyError(mode="both"), "Expected `mode` to be one of 'label', 'image'"),
        (lambda: RandTopologyErrord("image", mode="image"), "Expected `label_key` to name the label"),
        (lambda: RandTopologyError(mode="image")(np.zeros((1, 4, 5))), "Expected a label in addition to the image"),
        (lambda: RandCropByTopology(8, around="ends"), "Expected `around` to be one of 'skeleton'"),
        (lambda: RandCropByTopology(8, uniform=2), "Expected `uniform` to be a share from 0 to 1"),
        (
            lambda: RandCropByTopologyd("image", label_key="label", spatial_size=8, around="errors"),
            "Expected `prediction_key` to name",
        ),
        (lambda: RandCropByTopology(8)(torch.zeros(1, 9, 9)), "Expected a label to draw the patches by"),
    ],
)
def test_impossible_settings_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
