"""Foreground masks for every label convention, and error messages for other labels."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage.segmentation import find_boundaries

from monai_topo.data import foreground_mask

SHAPES = st.sampled_from([(1, 1), (5, 7), (7, 5), (5, 6, 8), (2, 9, 5), (1, 5, 7), (1, 2, 6, 5)])
SMALL_IDS = hnp.arrays(np.int64, SHAPES, elements=st.integers(0, 2))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (bool, True),
        (np.uint8, 1),
        (np.uint8, 255),
        (np.uint8, 254),
        (np.uint16, 65535),
        (np.int16, -1),
        (np.float32, 1.0),
    ],
)
@pytest.mark.parametrize("shape", [(5, 7), (5, 6, 8), (1, 5, 7), (1, 5, 6, 8)])
def test_nonzero_accepts_any_single_value_besides_zero(dtype, value, shape):
    expected = np.arange(np.prod(shape)).reshape(shape) % 3 == 0
    mask = foreground_mask(np.where(expected, value, 0).astype(dtype))
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("values", [(0, 8, 255), (1, 2), (-1, 1), (-2, -1, 0), (-1, 0, 1), (0, 254, 255)])
def test_nonzero_refuses_several_values_and_names_them_and_the_remedy(values):
    label = np.resize(np.array(values), (5, 7))
    with pytest.raises(ValueError, match=r"at most one value other than 0") as error:
        foreground_mask(label)
    message = str(error.value)
    assert f"the values {', '.join(map(str, values))}" in message
    assert "'>127'" in message
    assert "'boundary'" in message


def test_only_the_first_values_are_named():
    with pytest.raises(ValueError, match=r"the values 0, 1, 2, 3, 4, 5, \.\.\. \(35 values\)"):
        foreground_mask(np.arange(35).reshape(5, 7))


@pytest.mark.parametrize("foreground", [0, "0", " 0 ", np.int64(0)])
def test_inverted_polarity(foreground):
    label = np.array([[0, 255, 255], [255, 0, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(foreground_mask(label, foreground), [[True, False, False], [False, True, False]])


def test_one_class_of_several():
    label = np.array([[0, 1, 2], [2, 2, 3]])
    np.testing.assert_array_equal(foreground_mask(label, "2"), [[False, False, True], [True, True, False]])


def test_a_value_that_does_not_occur_is_reported():
    with pytest.raises(ValueError, match=r"hold the foreground value 1, but got the values 0, 255; set `foreground`"):
        foreground_mask(np.array([[0, 255, 0]], dtype=np.uint8), 1)


@pytest.mark.parametrize(("content", "foreground", "filled"), [(0, "nonzero", 0), (255, "nonzero", 1), (0, 255, 0)])
def test_empty_and_full_labels_are_legal(content, foreground, filled):
    mask = foreground_mask(np.full((5, 7), content, dtype=np.uint8), foreground)
    np.testing.assert_array_equal(mask, np.full((5, 7), bool(filled)))


@pytest.mark.parametrize(
    ("foreground", "expected"),
    [(">127", [0, 0, 0, 1]), ("> 126.5", [0, 0, 1, 1]), ("<8", [1, 0, 0, 0]), ("<.5", [1, 0, 0, 0])],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_thresholds_are_strict(foreground, expected, dtype):
    label = np.array([[0, 8, 127, 255]], dtype=dtype)
    np.testing.assert_array_equal(foreground_mask(label, foreground), [np.array(expected, dtype=bool)])


def test_fractions_need_a_threshold():
    label = np.array([[0.0, 0.25, 0.75]], dtype=np.float32)
    np.testing.assert_array_equal(foreground_mask(label, ">0.5"), [[False, False, True]])
    for foreground in ("nonzero", "boundary", 0):
        with pytest.raises(ValueError, match=r"whole numbers, but got the values 0\.25, 0\.75; .* '>0\.5'"):
            foreground_mask(label, foreground)


@given(SMALL_IDS)
def test_boundary_is_that_of_scikit_image(ids):
    expected = find_boundaries(ids, connectivity=1, mode="thick")
    np.testing.assert_array_equal(foreground_mask(ids, "boundary"), expected)


def test_boundary_separates_the_regions_even_at_corners(rng):
    ids = rng.integers(0, 3, (24, 30)).repeat(4, axis=0).repeat(5, axis=1)
    rest = np.where(foreground_mask(ids, "boundary"), -1, ids)
    for down, right in ((1, 0), (0, 1), (1, 1), (1, -1)):
        a = rest[: len(rest) - down, max(-right, 0) : rest.shape[1] - max(right, 0)]
        b = rest[down:, max(right, 0) : rest.shape[1] + min(right, 0)]
        assert not ((a != b) & (a >= 0) & (b >= 0)).any()


@given(SMALL_IDS, st.sampled_from([">0", "<2", "boundary", 1]))
def test_the_label_is_left_as_it_is(ids, foreground):
    before = ids.copy()
    if foreground == 1:
        ids.flat[0] = before.flat[0] = 1
    ids.flags.writeable = False
    mask = foreground_mask(ids, foreground)
    assert mask.shape == ids.shape
    assert not np.shares_memory(mask, ids)
    np.testing.assert_array_equal(ids, before)


@given(hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 255])))
def test_conventions_agree_on_one_label(label):
    expected = foreground_mask(label == 255)
    np.testing.assert_array_equal(foreground_mask(label), expected)
    np.testing.assert_array_equal(foreground_mask(label.astype(np.float32), ">127"), expected)
    np.testing.assert_array_equal(foreground_mask(255 - label, "<127"), expected)
    np.testing.assert_array_equal(~foreground_mask(label, 0), expected)


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7, 4), (3, 5, 7), (4, 5, 7)])
def test_color_pictures_are_refused(shape):
    with pytest.raises(ValueError, match=r"one value per pixel, but got shape .* RGB\(A\) picture; keep one"):
        foreground_mask(np.zeros(shape, dtype=np.uint8))


def test_a_thin_volume_is_accepted_with_a_channel_axis_or_as_bools():
    assert not foreground_mask(np.zeros((1, 3, 5, 7), dtype=np.uint8)).any()
    assert not foreground_mask(np.zeros((3, 5, 7), dtype=bool)).any()


@pytest.mark.parametrize("shape", [(), (7,), (2, 5, 6, 8), (1, 1, 5, 6, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="2 or 3 spatial axes"):
        foreground_mask(np.zeros(shape))


def test_a_label_without_voxels_is_refused():
    with pytest.raises(ValueError, match=r"to hold voxels, but got shape \(0, 7\)"):
        foreground_mask(np.zeros((0, 7)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("foreground", ["nonzero", ">0", "boundary", 1])
def test_values_that_are_not_finite_are_refused(value, foreground):
    label = np.zeros((5, 7))
    label[2, 3] = value
    with pytest.raises(ValueError, match="finite, but got 1 NaN or infinite"):
        foreground_mask(label, foreground)


@pytest.mark.parametrize("label", [np.zeros((5, 7), complex), np.full((5, 7), "a"), np.zeros((5, 7), object)])
def test_dtypes_that_hold_no_numbers_are_refused(label):
    with pytest.raises(TypeError, match="bools, integers or floats, but got dtype"):
        foreground_mask(label)


@pytest.mark.parametrize("foreground", ["", "membrane", ">", "> high", ">=1", "1.5", ">1>2", "nonzero!"])
def test_an_unknown_foreground_is_refused(foreground):
    with pytest.raises(ValueError, match=r"Expected `foreground` to be 'nonzero', an integer, .* but got"):
        foreground_mask(np.zeros((5, 7)), foreground)


@pytest.mark.parametrize("foreground", [True, 1.0, None, [1]])
def test_a_foreground_of_another_type_is_refused(foreground):
    with pytest.raises(TypeError, match="Expected `foreground` to be"):
        foreground_mask(np.zeros((5, 7)), foreground)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def picture(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_isbi_membranes_are_the_zeros(shared_data):
    folder = shared_data / "isbi2012"
    case = json.loads((folder / "datalist.json").read_text())["training"][0]
    label, image = picture(folder / case["label"]), picture(folder / case["image"])
    membrane = foreground_mask(label, 0)
    np.testing.assert_array_equal(membrane, ~foreground_mask(label))
    assert image[membrane].mean() < image[~membrane].mean() - 40  # membranes are dark
    with pytest.raises(ValueError, match="the foreground value 1, but got the values 0, 255"):
        foreground_mask(label, 1)


def test_drive_vessels_are_the_255s(shared_data):
    label = picture(shared_data / "drive" / "labels" / "21.gif")
    np.testing.assert_array_equal(foreground_mask(label), label == 255)


def test_a_color_picture_given_as_label_is_refused(shared_data):
    with pytest.raises(ValueError, match=r"RGB\(A\)"):
        foreground_mask(picture(next((shared_data / "topomortar" / "train" / "images").glob("*.png"))), ">127")


def test_a_stray_value_needs_a_threshold(shared_data):
    mortar = picture(shared_data / "topomortar" / "test" / "accurate" / "075.png")
    label = np.array(mortar)
    label[label.shape[0] // 3, np.flatnonzero(mortar[label.shape[0] // 3] == 0)[0]] = 8
    with pytest.raises(ValueError, match="the values 0, 8, 255"):
        foreground_mask(label)
    np.testing.assert_array_equal(foreground_mask(label, ">127"), mortar == 255)
