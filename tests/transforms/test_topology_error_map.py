"""The map of structural errors on drawings: each kind has its number, equal masks have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_topo.transforms import TopologyErrorMap

SHAPES = st.sampled_from([(8, 11), (5, 6, 7)])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))


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


def test_a_label_or_prediction_of_several_channels_is_refused():
    one, two = np.zeros((1, 4, 5)), np.zeros((2, 4, 5))
    for name, pair in (("prediction", (two, one)), ("label", (one, two))):
        with pytest.raises(ValueError, match=rf"Expected `{name}` to be channel first with one channel.*\(2, 4, 5\)"):
            TopologyErrorMap()(*pair)
