"""Skeletons of the structural errors near the image border, where a skeleton would fork without a continued mask."""

from __future__ import annotations

import numpy as np
import pytest

from monai_topo.masks.structure_errors import skeleton_errors


@pytest.mark.parametrize("axis", [0, 1])
def test_a_wide_structure_that_the_border_cuts_has_a_skeleton_without_a_fork(axis):
    label = np.zeros((40, 70), dtype=bool)
    label[12:27] = True  # 15 rows: the fork at the end of its skeleton is about 7 voxels long
    thin = np.zeros_like(label)
    thin[18:21] = True
    label, thin = (np.moveaxis(mask, 0, axis) for mask in (label, thin))
    missing, spurious = skeleton_errors(thin, label)
    assert not missing.any()
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
