"""Skeletons of structural errors: breaks, bridges, rims, and what the image border cuts."""

from __future__ import annotations

import numpy as np
import pytest

from monai_topo.masks.structure_errors import skeleton_errors


def test_a_break_is_missing_and_a_bridge_is_spurious() -> None:
    label = np.zeros((15, 24), dtype=bool)
    label[6:9, 3:21] = True
    broken = label.copy()
    broken[:, 12] = False
    missing, spurious = skeleton_errors(broken, label)
    assert np.argwhere(missing).tolist() == [[7, 12]]
    assert not spurious.any()
    bridged = label.copy()
    bridged[0:6, 5] = True
    missing, spurious = skeleton_errors(bridged, label)
    assert not missing.any()
    assert set(np.argwhere(spurious)[:, 1]) == {5}


def test_a_thicker_or_thinner_rim_is_not_a_structure_error() -> None:
    label = np.zeros((15, 24), dtype=bool)
    label[5:10, :] = True  # from border to border: no ends, where skeletons fork
    thicker, thinner = np.zeros_like(label), np.zeros_like(label)
    thicker[4:11, :] = True
    thinner[7, :] = True
    for prediction in (thicker, thinner):
        missing, spurious = skeleton_errors(prediction, label)
        assert not missing.any()
        assert not spurious.any()


@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_missing_at_the_border_is_found_up_to_18_voxels_of_width(axis):
    label = np.zeros((40, 70), dtype=bool)
    label[10:28] = True
    prediction = label.copy()
    prediction[:, 0] = prediction[:, -1] = False
    label, prediction = (np.moveaxis(mask, 0, axis) for mask in (label, prediction))
    missing, spurious = skeleton_errors(prediction, label)
    along = np.argwhere(missing)[:, 1 - axis].tolist()
    assert sorted(along) == [0, 69]
    assert not spurious.any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_line_along_the_border_is_missing_where_the_prediction_lacks_it(axis):
    label = np.zeros((11, 14, 30), dtype=bool)
    label[:2, 6:9] = True
    prediction = label.copy()
    prediction[..., 10:15] = False
    label, prediction = (np.moveaxis(mask, 0, axis) for mask in (label, prediction))
    missing, spurious = skeleton_errors(prediction, label)
    along = np.argwhere(missing)[:, 2 if axis < 2 else 1]
    assert set(along) == set(range(10, 15))
    assert not spurious.any()
