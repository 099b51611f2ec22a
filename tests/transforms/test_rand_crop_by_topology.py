"""Crops around skeletons, branch points, thin places and errors: where their centers lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_topo.data import synthetic_vessels
from monai_topo.transforms import RandCropByTopology, RandCropByTopologyd

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
