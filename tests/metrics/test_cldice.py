"""clDice and skeleton recall: TopCoW's published values, hand-drawn lines, tolerance, weights, real vessels."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles.drawings import as_batch, drawn, label_image, label_stack
from scipy import ndimage
from skimage.morphology import dilation, skeletonize

from monai_topo.masks.skeletons import skeleton
from monai_topo.metrics import ClDiceMetric, compute_cldice, compute_skeleton_recall

NAN = float("nan")


def values(result: tuple[torch.Tensor, ...]) -> list[float]:
    """The parts of one image and channel."""
    return [part.item() for part in result]


# ---------------------------------------------------------------- published values


@pytest.mark.parametrize(
    ("pred", "true", "cldice", "precision", "sensitivity"),
    [
        ("6x3_2D_clDice_elong_pred", "6x3_2D_clDice_elong_gt", 1, 1, 1),
        ("5x5_2D_clDice_Tshaped_pred", "5x5_2D_clDice_Tshaped_gt", 6 / 7, 1, 3 / 4),
        ("6x3_2D_clDice_Fig51_pred_1", "6x3_2D_clDice_Fig51_gt", 0.857142857, None, None),
        ("6x3_2D_clDice_Fig51_pred_2", "6x3_2D_clDice_Fig51_gt", 0.666666667, None, None),
    ],
)
def test_values_published_by_topcow(shared_data: Path, pred, true, cldice, precision, sensitivity) -> None:
    folder = shared_data / "oracles" / "topcow" / "2D"
    masks = [np.asarray(nibabel.load(folder / f"shape_{name}.nii.gz").dataobj) > 0 for name in (pred, true)]
    found = values(compute_cldice(*(as_batch(mask) for mask in masks)))
    assert found[0] == pytest.approx(cldice, abs=1e-6)
    if precision is not None:
        assert found[1:] == pytest.approx([precision, sensitivity])


# ---------------------------------------------------------------- hand-drawn


LINE = drawn("............", "############", "............", "............")
HALF_LINE = drawn("............", "######......", "............", "............")
LINE_BELOW = drawn("............", "............", "............", "############")
EMPTY, FULL = torch.zeros_like(LINE), torch.ones_like(LINE)


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        pytest.param(LINE, LINE, [1, 1, 1], id="perfect"),
        pytest.param(HALF_LINE, LINE, [2 / 3, 1, 1 / 2], id="half of it"),
        pytest.param(LINE, HALF_LINE, [2 / 3, 1 / 2, 1], id="half of it is false"),
        pytest.param(LINE_BELOW, LINE, [0, 0, 0], id="elsewhere"),
        pytest.param(EMPTY, LINE, [0, NAN, 0], id="empty prediction"),
        pytest.param(LINE, EMPTY, [0, 0, NAN], id="empty label"),
        pytest.param(EMPTY, EMPTY, [NAN, NAN, NAN], id="both empty"),
        pytest.param(FULL, FULL, [1, 1, 1], id="both full"),
    ],
)
def test_hand_drawn(pred: torch.Tensor, true: torch.Tensor, expected: list[float]) -> None:
    assert values(compute_cldice(pred, true)) == pytest.approx(expected, nan_ok=True)


def test_full_prediction_has_all_of_the_label_but_a_skeleton_of_its_own() -> None:
    cldice, precision, sensitivity = values(compute_cldice(FULL, LINE))
    assert sensitivity == 1
    expected = LINE[0, 0].numpy()[skeletonize(FULL[0, 0].numpy())].mean()
    assert precision == pytest.approx(expected)
    assert cldice == pytest.approx(2 * expected / (1 + expected))


def cross(*, arms: tuple[bool, bool, bool]) -> torch.Tensor:
    """Lines along the axes of a 7 x 9 x 11 volume through its middle; one voxel wide, so each is its own skeleton."""
    volume = torch.zeros(1, 1, 7, 9, 11, dtype=torch.bool)
    for axis, present in enumerate(arms):
        index = [3, 4, 5]
        index[axis] = slice(None)
        volume[(0, 0, *index)] |= present
    return volume


@pytest.mark.parametrize("arms", list(itertools.product([False, True], repeat=3))[1:], ids=str)
def test_lines_in_3d(arms: tuple[bool, bool, bool]) -> None:
    pred, true = cross(arms=arms), cross(arms=(True, True, True))
    found, wanted = int(pred.sum()), int(true.sum())
    assert wanted == 7 + 9 + 11 - 2
    assert values(compute_cldice(pred, true)) == pytest.approx([2 * found / (found + wanted), 1, found / wanted])
    assert compute_skeleton_recall(pred, true).item() == pytest.approx(found / wanted)


# ---------------------------------------------------------------- tolerance and weights


@pytest.mark.parametrize(
    ("tolerance_mm", "spacing_mm", "hit"),
    [
        (0, 0.3, 0),
        (0.5, 0.3, 0),
        (0.6, 0.3, 1),  # two rows of 0.3 mm
        (0.6, (0.3, 5.0), 1),
        (0.6, (0.31, 0.1), 0),
        (2, 1.0, 1),
        (1.9, 1.0, 0),
    ],
)
def test_tolerance_is_in_millimeters(tolerance_mm: float, spacing_mm, hit: float) -> None:
    setting = {"tolerance_mm": tolerance_mm, "spacing_mm": spacing_mm}
    assert values(compute_cldice(LINE_BELOW, LINE, **setting)) == [hit, hit, hit]
    assert values(compute_cldice(EMPTY, LINE, **setting)) == pytest.approx([0, NAN, 0], nan_ok=True)


def test_a_tolerance_of_three_voxels_reaches_the_third_whatever_its_rounding() -> None:
    top, bottom = drawn("############", *["............"] * 3), drawn(*["............"] * 3, "############")
    assert values(compute_cldice(top, bottom, tolerance_mm=0.3, spacing_mm=0.1)) == [1, 1, 1]  # 3 * 0.1 is more


def test_tolerance_follows_the_axis_of_the_spacing_in_3d() -> None:
    volume = torch.zeros(1, 1, 6, 7, 8, dtype=torch.bool)
    volume[..., 2, 3, :] = True
    for axis in (2, 3):
        shifted = volume.roll(1, axis)
        hit = [values(compute_cldice(shifted, volume, tolerance_mm=1, spacing_mm=s))[0] for s in ((1, 2, 3), (2, 1, 3))]
        assert hit == ([1, 0] if axis == 2 else [0, 1])


def distance_to_outside(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The slow loop: distance of every voxel to the nearest one that is background or just outside the image."""
    framed = np.pad(mask, 1)
    outside = np.argwhere(~framed) * spacing
    distance = [
        np.linalg.norm(outside - (np.array(index) + 1) * spacing, axis=1).min() for index in np.ndindex(mask.shape)
    ]
    return np.reshape(distance, mask.shape)


@pytest.mark.parametrize(("weight", "power"), [("uniform", 0), ("radius", 1), ("inverse_radius", -1)])
@pytest.mark.parametrize("shape", [(14, 19), (6, 8, 9)], ids=["2d", "3d"])
def test_weights_are_those_of_the_slow_loop(shape: tuple[int, ...], weight: str, power: int) -> None:
    spacing = (0.5, 1.25, 2.0)[: len(shape)]
    generator = np.random.default_rng(4)
    pred, true = (dilation(generator.random(shape) < 0.04, np.ones((3,) * len(shape))) for _ in range(2))
    assert not pred.all()
    expected = []
    for mask, other in ((pred, true), (true, pred)):
        centerline = skeletonize(mask).astype(bool)
        worth = np.zeros(shape)
        worth[centerline] = distance_to_outside(mask, spacing)[centerline] ** power
        expected.append(worth[other].sum() / worth.sum())
    found = values(compute_cldice(as_batch(pred), as_batch(true), weight=weight, spacing_mm=spacing))
    assert found[1:] == pytest.approx(expected)
    assert found[0] == pytest.approx(2 * expected[0] * expected[1] / sum(expected))


def test_wide_vessels_count_more_by_radius_and_less_by_its_inverse() -> None:
    label = torch.zeros(1, 1, 12, 30, dtype=torch.bool)
    label[..., 1:6, 2:28] = True
    label[..., 9, 2:28] = True
    wide = label.clone()
    wide[..., 9, :] = False  # the thin vessel is missed
    by_radius, uniform, inverse = (
        values(compute_cldice(wide, label, weight=weight))[2] for weight in ("radius", "uniform", "inverse_radius")
    )
    assert by_radius > uniform > inverse


# ---------------------------------------------------------------- properties


masks = arrays(bool, st.tuples(st.integers(2, 9), st.integers(2, 11)) | st.tuples(*[st.integers(2, 5)] * 3))


@given(pred=masks, data=st.data())
def test_precision_is_the_sensitivity_of_swapped_masks(pred: np.ndarray, data: st.DataObject) -> None:
    true = data.draw(arrays(bool, pred.shape))
    one, other = compute_cldice(as_batch(pred), as_batch(true)), compute_cldice(as_batch(true), as_batch(pred))
    torch.testing.assert_close(one.precision, other.sensitivity, equal_nan=True)
    torch.testing.assert_close(one.cldice, other.cldice, equal_nan=True)
    centerline = skeletonize(true).astype(bool)
    everything = np.ones((3,) * true.ndim)
    if ndimage.label(centerline, everything)[1] == ndimage.label(true, everything)[1]:
        # If scikit-image's thinning loses no component; this package restores one voxel of a lost component.
        expected = pred[centerline].mean() if centerline.any() else NAN
        assert one.sensitivity.item() == pytest.approx(expected, nan_ok=True)
    plain = compute_skeleton_recall(as_batch(pred), as_batch(true), tube_vox=0)
    torch.testing.assert_close(plain, one.sensitivity, equal_nan=True)


@given(mask=masks)
def test_skeleton_is_within_the_mask_and_keeps_its_own(mask: np.ndarray) -> None:
    before = mask.copy()
    centerline = skeleton(mask)
    assert not (centerline & ~mask).any()
    assert centerline.any() == mask.any()
    assert np.array_equal(mask, before)


# ---------------------------------------------------------------- skeleton recall


@pytest.mark.parametrize("tube_vox", [0, 1, 2, 3])
def test_tube_is_repeated_dilation_within_the_label(tube_vox: int) -> None:
    generator = np.random.default_rng(5)
    for shape in ((21, 34), (9, 11, 12)):
        true = dilation(generator.random(shape) < 0.02, np.ones((5,) * len(shape)))
        pred = generator.random(shape) < 0.5
        tube = skeletonize(true).astype(bool)
        for _ in range(tube_vox):
            tube = dilation(tube)  # scikit-image's default: to the face neighbors
        tube &= true
        recall = compute_skeleton_recall(as_batch(pred), as_batch(true), tube_vox=tube_vox).item()
        assert recall == pytest.approx(pred[tube].mean())


def test_recall_of_empty_and_full_masks() -> None:
    recall = [
        compute_skeleton_recall(*pair).item() for pair in ((EMPTY, LINE), (FULL, LINE), (LINE, EMPTY), (EMPTY, EMPTY))
    ]
    assert recall == pytest.approx([0, 1, NAN, NAN], nan_ok=True)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"weight": "volume"}, "Expected `weight` to be one of 'uniform'"),
        ({"tolerance_mm": -1}, "Expected `tolerance_mm` to be finite and at least 0, but got -1"),
        ({"tolerance_mm": NAN}, "Expected `tolerance_mm`"),
        ({"spacing_mm": 0}, "Expected `spacing_mm` to be positive"),
        ({"spacing_mm": []}, "Expected `spacing_mm` to be positive"),
    ],
)
def test_impossible_settings_are_refused_at_once(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_cldice(LINE, LINE, **setting)
    with pytest.raises(ValueError, match=message):
        ClDiceMetric(**setting)


def test_settings_that_do_not_suit_the_image() -> None:
    with pytest.raises(ValueError, match=r"Expected `spacing_mm` to have 2 numbers.*got \(1, 1, 1\)"):
        compute_cldice(LINE, LINE, spacing_mm=(1, 1, 1))
    for tube_vox in (-1, 1.5, True):
        with pytest.raises(ValueError, match="Expected `tube_vox` to be a whole number"):
            compute_skeleton_recall(LINE, LINE, tube_vox=tube_vox)


def test_class_passes_on_every_setting() -> None:
    pred, true = torch.rand(2, 1, 2, 24, 30, generator=torch.Generator().manual_seed(1)).gt(0.6)
    setting = {"weight": "radius", "tolerance_mm": 1.5, "spacing_mm": [1.0, 2.0]}
    for part, expected in compute_cldice(pred, true, **setting)._asdict().items():
        found = ClDiceMetric(part=part, **setting)(pred, true)
        assert torch.equal(found, expected)
        for name in setting:
            others = {key: value for key, value in setting.items() if key != name}
            assert not torch.equal(ClDiceMetric(part=part, **others)(pred, true), expected)


# ---------------------------------------------------------------- real labels


@pytest.mark.slow
def test_real_vessels(shared_data: Path) -> None:
    flat = label_image(shared_data / "drive" / "labels" / "21.gif", threshold=0)
    stack = label_stack(shared_data / "vesselnn" / "labels" / "burgess_lowres_highsnr.tif")
    for label in (flat, stack):
        assert values(compute_cldice(as_batch(label), as_batch(label))) == [1, 1, 1]
        pred = label.copy()
        pred[..., : label.shape[-1] // 2] = False
        centerline = skeletonize(label).astype(bool)
        cldice, precision, sensitivity = values(compute_cldice(as_batch(pred), as_batch(label)))
        assert precision == 1
        # Except for the specks of the stack that scikit-image's thinning loses.
        assert sensitivity == pytest.approx(pred[centerline].mean(), abs=2e-4)
        assert cldice == pytest.approx(2 * sensitivity / (1 + sensitivity))
