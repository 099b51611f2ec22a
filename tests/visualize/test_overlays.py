"""Overlays: every error is drawn at its location, in its color, with its number."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_cases import broken, ladder
from scipy import ndimage

from monai_topo import visualize
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, STRUCTURE_ERRORS, classify_errors, list_errors


def rgb(color):
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


@pytest.fixture(params=[(40, 60), (12, 40, 60)], ids=["2D", "3D"])
def case(request):
    label = ladder(request.param)
    prediction = broken(label)
    return prediction, label, classify_errors(prediction, label)


def test_errors_are_listed_with_kind_location_and_size(case):
    prediction, _, drawn = case
    errors = list_errors(drawn)
    topological = [error for error in errors if error.kind in CHANGES_OF_TOPOLOGY]
    assert [error.name for error in topological] == ["break", "spurious component", "spurious hole"]
    assert errors[: len(topological)] == topological  # ends come last
    at = [error.at[-2:] for error in topological]
    assert 17 <= at[0][0] < 21
    assert 28 <= at[0][1] < 36
    assert at[1] == (36, 21)
    assert at[2] == (29, 20)
    speck = topological[1]
    assert speck.voxels == 9 if prediction.ndim == 2 else 27
    assert (speck.start[-2:], speck.stop[-2:]) == ((35, 20), (38, 23))


def line(*shape, rows):
    mask = np.zeros(shape, dtype=bool)
    mask[rows] = True
    return mask


def test_a_displaced_line_is_neither_a_break_nor_a_bridge():
    label = line(15, 40, rows=slice(4, 9))
    displaced, torn = label.copy(), label.copy()
    displaced[:, 18:23] = torn[:, 18:23] = False
    displaced[8, 18:23] = True  # thinner there and displaced, but not broken
    assert not np.isin(classify_errors(displaced, label), (2, 5)).any()
    assert not np.isin(classify_errors(label, displaced), (2, 5)).any()
    assert [error.name for error in list_errors(classify_errors(torn, label))] == ["break"]
    assert [error.name for error in list_errors(classify_errors(label, torn))] == ["bridge"]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("rows", [slice(0, 5), slice(10, 15)])
def test_a_break_of_a_line_along_the_border_is_one(rows, axis):
    label = line(15, 40, rows=rows)
    torn = label.copy()
    torn[:, 14:22] = False
    if axis:
        label, torn = label.T, torn.T
    assert [error.name for error in list_errors(classify_errors(torn, label))] == ["break"]


def test_the_list_has_every_piece_of_random_drawings_once():
    drawn = np.random.default_rng(3).choice(9, size=(9, 14, 11), p=[0.6] + [0.05] * 8).astype(np.uint8)
    errors = list_errors(drawn)
    for kind in STRUCTURE_ERRORS:
        pieces, count = ndimage.label(drawn == kind, np.ones((3, 3, 3)))
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        of_kind = [error for error in errors if error.kind == kind]
        assert [error.voxels for error in of_kind] == sizes.tolist()
        assert len({pieces[error.at] for error in of_kind} - {0}) == count


def test_overlay_has_each_error_in_its_color_and_grays_elsewhere(case):
    prediction, label, drawn = case
    picture = visualize.error_overlay(prediction, label, drawn, widen_vox=0)
    seen = drawn if drawn.ndim == 2 else drawn.max(axis=0)
    for kind in set(np.unique(drawn)) - {0}:
        alone = seen == kind if drawn.ndim == 2 else (drawn == kind).any(0) & ~((drawn != kind) & (drawn > 0)).any(0)
        assert (picture[alone] == rgb(visualize.ERROR_COLORS[kind])).all()
    spread = np.ptp(picture[seen == 0].astype(int), axis=1)
    assert spread.max() < 30
    both, neither = (prediction & label), ~(prediction | label)
    if drawn.ndim == 3:
        both, neither = both.any(0), neither.all(0)
    light = picture.sum(axis=2)
    assert light[both & (seen == 0)].min() > light[neither & (seen == 0)].max()


def test_projection_is_along_the_requested_axis(case):
    prediction, label, drawn = case
    if label.ndim == 2:
        pytest.skip("images have nothing to project")
    shapes = [visualize.error_overlay(prediction, label, drawn, view_axis=axis).shape for axis in range(3)]
    assert shapes == [(40, 60, 3), (12, 60, 3), (12, 40, 3)]


def test_marks_are_widened_but_holes_are_not():
    empty = np.zeros((9, 13), dtype=bool)
    drawn = np.zeros((9, 13), dtype=np.uint8)
    drawn[4, 3], drawn[4, 9] = 2, 7
    picture = visualize.error_overlay(empty, empty, drawn, widen_vox=1)
    assert (picture == rgb(visualize.ERROR_COLORS[2])).all(2).sum() == 9
    assert (picture == rgb(visualize.ERROR_COLORS[7])).all(2).sum() == 1


@pytest.mark.parametrize("shape", [(9, 13), (4, 9, 13)])
def test_the_outside_differs_slightly_from_the_background_and_is_below_the_marks(shape):
    empty, inside = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    inside[..., 2:7, 3:10] = True
    inside[0] = False  # in a volume seen through the other slices
    drawn = np.zeros(shape, dtype=np.uint8)
    drawn[..., 4, 10] = 2
    picture = visualize.error_overlay(empty, empty, drawn, inside=inside, widen_vox=1)
    assert (picture == rgb(visualize.OUTSIDE_COLOR)).all(2).sum() == 9 * 13 - 5 * 7 - 3 * 2
    assert (picture == rgb(visualize.ERROR_COLORS[2])).all(2).sum() == 9
    assert 0 < np.ptp(picture[[0, 3], [0, 4]].astype(int), axis=0).max() < 40


def test_the_last_mark_is_drawn_on_top():
    mask = np.zeros((5, 8), dtype=bool)
    mask[2] = True
    picture = visualize.draw_mask(mask, [(mask, "#102030"), (mask & (np.arange(8) > 3), "#405060")], widen_vox=0)
    assert (picture[2, :4] == (16, 32, 48)).all()
    assert (picture[2, 4:] == (64, 80, 96)).all()
    assert (picture[0] == picture[4, 0]).all()


def test_a_window_contains_its_error_and_is_inside_the_image(case):
    _, label, drawn = case
    for error in list_errors(drawn):
        window = visualize.error_window(error, label.shape, margin_vox=5)
        for axis, side in enumerate(window):
            assert 0 <= side.start <= error.at[axis] < side.stop <= label.shape[axis]
        if label.ndim == 3:
            assert window[0] == slice(error.at[0], error.at[0] + 1)
        assert [side.stop - side.start for side in window[-2:]] >= [20, 20]


def test_only_errors_that_change_the_topology_have_numbers(case):
    prediction, label, drawn = case
    errors = list_errors(drawn)
    axes = Figure().subplots()
    picture = visualize.error_overlay(prediction, label, drawn)
    visualize.draw_errors(axes, picture, errors, view_axis=None if label.ndim == 2 else 0)
    expected = [str(i) for i, error in enumerate(errors, start=1) if error.kind in CHANGES_OF_TOPOLOGY]
    assert [text.get_text() for text in axes.texts] == expected
    assert axes.texts[1].xy == (21, 36)  # x first


def test_gray_values_are_rescaled_between_the_1st_and_the_99th_percentile():
    image = np.arange(1000.0).reshape(20, 50)
    shown = visualize.rescale_intensity(image)
    assert shown.dtype == np.uint8
    assert (shown.min(), shown.max()) == (0, 255)
    assert abs(int(shown[10, 0]) - 128) <= 1
    assert (visualize.rescale_intensity(np.full((3, 4), 7.0)) == 0).all()
    spoilt = np.where(image == 500, np.nan, image)
    assert np.abs(visualize.rescale_intensity(spoilt).astype(int) - shown)[image != 500].max() <= 1
