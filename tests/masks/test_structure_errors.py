"""Structural errors near the image border, where the skeleton of a mask without a continuation would end too early."""

from __future__ import annotations

import numpy as np
import pytest

from monai_topo.masks.structure_errors import skeleton_errors


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
