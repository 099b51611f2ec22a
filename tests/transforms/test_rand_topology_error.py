"""Random errors in labels and images: counted Betti numbers, places in drawings, painted noise."""

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

from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.transforms import RandTopologyError, RandTopologyErrord

SHAPES = st.sampled_from([(8, 11), (5, 6, 7)])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))
KINDS = ["break", "bridge", "hole", "fill", "speck"]
MODES = ["label", "image"]


def betti(mask, connectivity="full"):
    return np.array(betti_by_labeling(mask, connectivity=connectivity, border="open"))


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
    ],
)
def test_impossible_settings_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
