"""DIU: hand-drawn cases, linear algebra over Z/2, labeled components, real labels in 2D and 3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from oracles import every_mask_setting, mask_pairs
from oracles.drawings import as_batch, drawn, label_image, label_stack
from oracles.induced_map import diu_by_labeling, diu_by_linear_algebra

from monai_topo.metrics import DIUMetric, compute_betti_error, compute_diu

RING_LEFT = drawn("###.....", "#.#.....", "###.....")
RING_RIGHT = drawn(".....###", ".....#.#", ".....###")
BAR = drawn("........", "########", "........")
BROKEN_BAR = drawn("........", "###..###", "........")
THICK_RING = drawn("########", "##....##", "########")
THIN_RING = drawn("########", "#......#", "########")
TOP_LINE = drawn("########", "........", "........")
RING_AND_LINE = drawn("########", "#..#....", "####....")
EMPTY, FULL = torch.zeros_like(BAR), torch.ones_like(BAR)


HAND_DRAWN = {
    "equal Betti numbers in different places": (RING_LEFT, RING_RIGHT, [2, 2]),
    "two pieces merge in the union": (BROKEN_BAR, BAR, [1, 0]),
    "a hole of the union that the intersection lacks": (RING_AND_LINE, TOP_LINE, [0, 1]),
    "thickness costs nothing": (THICK_RING, THIN_RING, [0, 0]),
    "the hole of the intersection is filled": (FULL, THIN_RING, [0, 1]),
    "empty prediction: all of it cokernel": (EMPTY, RING_LEFT, [1, 1]),
    "empty against full": (EMPTY, FULL, [1, 0]),
    "both empty": (EMPTY, EMPTY, [0, 0]),
    "both full": (FULL, FULL, [0, 0]),
}


@pytest.mark.parametrize("name", HAND_DRAWN)
def test_hand_drawn(name: str) -> None:
    pred, true, expected = HAND_DRAWN[name]
    assert compute_diu(pred, true)[0, 0].tolist() == expected
    assert compute_diu(true, pred)[0, 0].tolist() == expected


def test_betti_error_sees_nothing_where_diu_does() -> None:
    assert compute_betti_error(RING_LEFT, RING_RIGHT).tolist() == [[[0, 0]]]
    assert compute_diu(RING_LEFT, RING_RIGHT).tolist() == [[[2, 2]]]


def test_frame_is_a_feature_of_its_own() -> None:
    # Open: two pieces become one. Foreground: both belong to the frame already; two cells are one in the intersection.
    assert compute_diu(BROKEN_BAR, BAR).tolist() == [[[1, 0]]]
    assert compute_diu(BROKEN_BAR, BAR, border="foreground").tolist() == [[[0, 1]]]
    assert compute_diu(EMPTY, FULL, border="foreground").tolist() == [[[0, 0]]]


@every_mask_setting
@given(masks=mask_pairs(5, 3))
def test_equals_linear_algebra(masks: tuple[np.ndarray, np.ndarray], setting: dict[str, str]) -> None:
    pred, true = masks
    expected = diu_by_linear_algebra(pred, true, **setting)
    assert compute_diu(as_batch(pred), as_batch(true), **setting)[0, 0].tolist() == expected


@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("shape", [(40, 57), (11, 17, 14)], ids=str)
def test_equals_labeled_components_on_noise(shape: tuple[int, ...], connectivity: str) -> None:
    generator = np.random.default_rng(0)
    for density in (0.3, 0.5, 0.8):
        true = generator.random(shape) < density
        pred = true ^ (generator.random(shape) < 0.1)
        diu = compute_diu(as_batch(pred), as_batch(true), connectivity=connectivity)[0, 0].tolist()
        assert [diu[0], diu[-1]] == list(diu_by_labeling(pred, true, connectivity=connectivity))
        assert sum(diu) > 0


def test_dimensions_and_their_sum() -> None:
    pred, true = torch.cat([RING_LEFT, BROKEN_BAR], 1), torch.cat([RING_RIGHT, BAR], 1)
    assert DIUMetric()(pred, true).tolist() == [[4, 1]]
    assert DIUMetric(dim=1)(pred, true).tolist() == [[2, 0]]
    with pytest.raises(ValueError, match=r"Expected `dim` to be below the number of spatial axes, 2, but got 2"):
        DIUMetric(dim=2)(pred, true)


@pytest.mark.parametrize("name", ["001.png", "009.png", "011.png"])
def test_real_mortar_with_pseudo_labels(shared_data: Path, name: str) -> None:
    folder = shared_data / "topomortar" / "train"
    true, pred = (label_image(folder / kind / name) for kind in ("accurate", "pseudo"))
    diu = compute_diu(as_batch(pred), as_batch(true))[0, 0].tolist()
    assert diu == list(diu_by_labeling(pred, true, connectivity="full"))
    assert sum(diu) > 0


def test_real_vessels_against_the_same_two_slices_further(shared_data: Path) -> None:
    label = label_stack(shared_data / "vesselnn" / "labels" / "burgess_noisy_sparse.tif")
    pred = np.roll(label, 2, axis=0)
    diu = compute_diu(as_batch(pred), as_batch(label))[0, 0].tolist()
    assert [diu[0], diu[2]] == list(diu_by_labeling(pred, label, connectivity="full"))
    assert diu[0] > 0
