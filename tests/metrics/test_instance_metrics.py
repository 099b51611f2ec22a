"""Metrics of instances: variation of information and adapted Rand equal scikit-image; hand-drawn cases, real labels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles.drawings import as_batch, drawn, label_image, label_stack
from skimage.measure import label as label_components
from skimage.metrics import adapted_rand_error, variation_of_information

from monai_topo.metrics import (
    AdaptedRandMetric,
    ComponentDetectionMetric,
    VariationOfInformationMetric,
    _instances,
    compute_adapted_rand,
    compute_component_detection,
    compute_variation_of_information,
)

NAN = float("nan")
FUNCTIONS = [compute_variation_of_information, compute_adapted_rand, compute_component_detection]


def values(result: tuple[torch.Tensor, ...]) -> list[float]:
    """The parts of one image and channel."""
    return [part.item() for part in result]


def scikit_image_voi(pred: np.ndarray, true: np.ndarray, ignore_unlabeled: bool) -> list[float]:
    split, merge = variation_of_information(true, pred, ignore_labels=(0,) if ignore_unlabeled else ())
    return [split, merge, split + merge]


def scikit_image_rand(pred: np.ndarray, true: np.ndarray, ignore_unlabeled: bool) -> list[float]:
    """Error, precision, recall; scikit-image returns the last two in the opposite order to its documentation."""
    error, recall, precision = adapted_rand_error(true, pred, ignore_labels=(0,) if ignore_unlabeled else ())
    return [error, precision, recall]


# ---------------------------------------------------------------- ids: equal to scikit-image


ids = arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(2, 9)), elements=st.integers(0, 4))
ids_3d = arrays(
    np.int64, st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(1, 5)), elements=st.integers(0, 3)
)


@pytest.mark.parametrize("ignore_unlabeled", [True, False])
@given(true=ids, data=st.data())
def test_ids_equal_scikit_image(true: np.ndarray, data: st.DataObject, ignore_unlabeled: bool) -> None:
    pred = data.draw(arrays(np.int64, true.shape, elements=st.integers(0, 4)))
    setting = {"instances": "given", "ignore_unlabeled": ignore_unlabeled}
    voi, rand = (f(as_batch(pred), as_batch(true), **setting) for f in FUNCTIONS[:2])
    if ignore_unlabeled and not true.any():
        assert values(voi) + values(rand) == pytest.approx([NAN] * 6, nan_ok=True)
        return
    assert values(voi) == pytest.approx(scikit_image_voi(pred, true, ignore_unlabeled), abs=1e-6)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN in scikit-image too
        assert values(rand) == pytest.approx(scikit_image_rand(pred, true, ignore_unlabeled), abs=1e-6, nan_ok=True)


def test_large_ids_and_both_methods_of_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    pred, true = (generator.integers(0, 6, (2, 40, 33)).repeat(3, axis=2) for _ in range(2))
    expected = [values(f(as_batch(pred), as_batch(true), instances="given")) for f in FUNCTIONS]
    hashes = np.concatenate([[0], generator.integers(2**40, 2**62, 5)])
    for mapping in (hashes, np.array([0, 7, 2**31, 5, 2**31 - 2, 1])):
        renumbered = (as_batch(mapping[pred]), as_batch(mapping[true]))
        for function, wanted in zip(FUNCTIONS, expected, strict=True):
            assert values(function(*renumbered, instances="given")) == pytest.approx(wanted)
    monkeypatch.setattr(_instances, "_DENSE_CELLS", 3)
    for function, wanted in zip(FUNCTIONS, expected, strict=True):
        assert values(function(as_batch(pred), as_batch(true), instances="given")) == pytest.approx(wanted)


def test_pairs_of_ids_that_no_32_bits_hold() -> None:
    ids = torch.arange(240 * 250).view(1, 1, 240, 250).float()
    partners = torch.from_numpy(np.random.default_rng(0).permutation(240 * 250)).view_as(ids).float()
    voi = values(compute_variation_of_information(partners, ids, instances="given"))
    assert voi == pytest.approx([0, 0, 0], abs=1e-6)


def test_zero_is_not_an_instance_even_if_it_does_not_occur() -> None:
    true = np.array([[1, 1, 2, 2, 3, 3]]) * 2**40
    found = compute_component_detection(as_batch(true), as_batch(true), instances="given")
    assert values(found) == [3, 0, 0, 1, 1, 1]


# ---------------------------------------------------------------- masks


CELLS = drawn(
    "....#....",
    "....#....",
    "####.####",
    "....#....",
    "....#....",
)
OPEN_CELLS = drawn(
    "....#....",
    "....#....",
    "#.##.####",
    "....#....",
    "....#....",
)


def test_instances_of_masks_have_the_connectivity_of_their_side() -> None:
    # The arms touch at corners only: one component if the foreground is 8-connected, four if it is 4-connected; the
    # middle and the four cells are five components of the background, or one.
    def count(**setting: str) -> float:
        return compute_component_detection(CELLS, torch.zeros_like(CELLS), **setting).false_positives.item()

    assert count() == 1
    assert count(connectivity="face") == 4
    assert compute_component_detection(~CELLS, ~CELLS, connectivity="face").true_positives.item() == 5
    assert compute_component_detection(CELLS, CELLS, instances="background").true_positives.item() == 5
    assert compute_component_detection(CELLS, CELLS, instances="background", connectivity="face")[0].item() == 1


def test_a_gap_in_a_membrane_merges_two_cells() -> None:
    voi = compute_variation_of_information(OPEN_CELLS, CELLS, instances="background")
    # Of 33 voxels in cells, 16 lie in the two that merge, 8 and 8: one bit each. (The gap is membrane in the label.)
    assert values(voi) == pytest.approx([0, 16 / 33, 16 / 33])
    in_nats = compute_variation_of_information(OPEN_CELLS, CELLS, instances="background", unit="nats")
    assert values(in_nats) == pytest.approx([0, 16 / 33 * math.log(2), 16 / 33 * math.log(2)])
    error, precision, recall = values(compute_adapted_rand(OPEN_CELLS, CELLS, instances="background"))
    true_pairs, pred_pairs = 4 * 8 * 7, 16 * 15 + 2 * 8 * 7
    assert recall == 1
    assert precision == pytest.approx(true_pairs / pred_pairs)
    assert error == pytest.approx(1 - 2 * true_pairs / (true_pairs + pred_pairs))


def test_a_false_wall_splits_a_cell() -> None:
    split, merge, total = values(compute_variation_of_information(CELLS, OPEN_CELLS, instances="background"))
    # 34 voxels: the merged cell of 8 + 1 + 8 splits into 8, 8 and the voxel that is now membrane.
    expected = (2 * 8 * math.log2(17 / 8) + math.log2(17)) / 34
    assert [split, merge, total] == pytest.approx([expected, 0, expected])


@pytest.mark.parametrize("instances", ["foreground", "background"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(data=st.data())
def test_masks_equal_scikit_image_on_its_own_components(data: st.DataObject, connectivity: str, instances: str) -> None:
    shape = data.draw(st.tuples(st.integers(2, 8), st.integers(2, 9)) | st.tuples(*[st.integers(2, 4)] * 3))
    masks = [data.draw(arrays(bool, shape)) for _ in range(2)]
    sides = masks if instances == "foreground" else [~mask for mask in masks]
    reach = len(shape) if (connectivity == "full") == (instances == "foreground") else 1
    pred, true = (label_components(side, connectivity=reach) for side in sides)
    setting = {"connectivity": connectivity, "instances": instances}
    voi, rand, found = (f(*(as_batch(mask) for mask in masks), **setting) for f in FUNCTIONS)
    assert found.true_positives + found.false_negatives == true.max()
    assert found.true_positives + found.false_positives == pred.max()
    if true.any():
        assert values(voi) == pytest.approx(scikit_image_voi(pred, true, True), abs=1e-6)
        with np.errstate(invalid="ignore"):
            assert values(rand) == pytest.approx(scikit_image_rand(pred, true, True), abs=1e-6, nan_ok=True)


SPECKS = drawn("##..##..##", "##..##..##", "..........")
EMPTY, FULL = torch.zeros_like(SPECKS), torch.ones_like(SPECKS)


@pytest.mark.parametrize(
    ("pred", "true", "ignore_unlabeled", "voi", "rand"),
    [
        pytest.param(EMPTY, SPECKS, True, [0, math.log2(3)], [1 - 2 * 36 / (132 + 36), 36 / 132, 1]),
        pytest.param(SPECKS, EMPTY, True, [NAN, NAN], [NAN, NAN, NAN]),
        pytest.param(EMPTY, EMPTY, True, [NAN, NAN], [NAN, NAN, NAN]),
        pytest.param(FULL, FULL, True, [0, 0], [0, 1, 1]),
        pytest.param(EMPTY, EMPTY, False, [0, 0], [0, 1, 1]),
        pytest.param(EMPTY, FULL, False, [0, 0], [0, 1, 1]),
    ],
    ids=["empty prediction", "empty label", "both empty", "both full", "both empty, all counted", "one instance each"],
)
def test_empty_and_full(pred, true, ignore_unlabeled: bool, voi: list[float], rand: list[float]) -> None:
    found = compute_variation_of_information(pred, true, ignore_unlabeled=ignore_unlabeled)
    assert values(found) == pytest.approx([*voi, sum(voi)], nan_ok=True)
    found = compute_adapted_rand(pred, true, ignore_unlabeled=ignore_unlabeled)
    assert values(found) == pytest.approx(rand, nan_ok=True)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_values_that_are_neither_masks_nor_ids_are_refused(function) -> None:
    with pytest.raises(ValueError, match="Expected `instances` to be one of 'foreground', 'background', 'given'"):
        function(SPECKS, SPECKS, instances="cells")
    with pytest.raises(ValueError, match=r"Expected `y_pred` to hold only 0 and 1"):
        function(SPECKS * 3, SPECKS)
    for strange in (SPECKS * 0.5, -SPECKS.int(), SPECKS / 0):
        with pytest.raises(ValueError, match=r"Expected `y_pred` to hold instance ids, whole numbers"):
            function(strange, SPECKS, instances="given")


def test_settings_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Expected `unit` to be one of 'bits', 'nats'"):
        VariationOfInformationMetric(unit="bans")
    with pytest.raises(ValueError, match="Expected `instances`"):
        AdaptedRandMetric(instances="cells")
    for min_iou in (-0.1, 1, NAN):
        with pytest.raises(ValueError, match="Expected `min_iou` to be at least 0 and below 1"):
            ComponentDetectionMetric(min_iou=min_iou)


@pytest.mark.parametrize(
    ("metric_class", "function", "setting"),
    [
        (VariationOfInformationMetric, FUNCTIONS[0], {"unit": "nats", "ignore_unlabeled": False}),
        (AdaptedRandMetric, FUNCTIONS[1], {"ignore_unlabeled": False}),
        (ComponentDetectionMetric, FUNCTIONS[2], {"min_iou": 0.1}),
    ],
)
def test_class_passes_on_every_setting(metric_class, function, setting) -> None:
    coarse = torch.rand(2, 2, 1, 12, 15, generator=torch.Generator().manual_seed(0)) < 0.6
    pred, true = coarse[0], coarse[0] ^ (torch.rand(2, 1, 12, 15, generator=torch.Generator().manual_seed(1)) < 0.1)
    setting |= {"instances": "background", "connectivity": "face"}
    result = function(pred, true, **setting)
    for part, expected in result._asdict().items():
        assert torch.equal(metric_class(part=part, **setting)(pred, true), expected)
    for name in setting:
        others = {key: value for key, value in setting.items() if key != name}
        assert values(torch.stack(function(pred, true, **others))[:, 0]) != values(torch.stack(result)[:, 0])


# ---------------------------------------------------------------- real labels


def test_real_membranes(shared_data: Path) -> None:
    folder = shared_data / "isbi2012" / "labels"
    first, second = (~label_image(path) for path in sorted(folder.iterdir())[:2])  # neighboring slices
    pred, true = (label_components(~mask, connectivity=1) for mask in (first, second))
    voi, rand = (f(as_batch(first), as_batch(second), instances="background") for f in FUNCTIONS[:2])
    assert values(voi) == pytest.approx(scikit_image_voi(pred, true, True), abs=1e-5)
    assert values(rand) == pytest.approx(scikit_image_rand(pred, true, True), abs=1e-5)
    assert voi.total > 0.1


def test_real_vessels_in_3d(shared_data: Path) -> None:
    mask = label_stack(shared_data / "vesselnn" / "labels" / "burgess_lowres_highsnr.tif")
    shifted = np.roll(mask, 1, axis=0)
    pred, true = (label_components(x, connectivity=3) for x in (shifted, mask))
    voi, rand, found = (f(as_batch(shifted), as_batch(mask)) for f in FUNCTIONS)
    assert values(voi) == pytest.approx(scikit_image_voi(pred, true, True), abs=1e-5)
    assert values(rand) == pytest.approx(scikit_image_rand(pred, true, True), abs=1e-5)
    assert found.true_positives + found.false_negatives == true.max()
