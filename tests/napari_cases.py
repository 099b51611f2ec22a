"""For the tests of the plug-in of napari: whether napari is installed, and a prediction with planted errors."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np


def modules_without_napari() -> set[str]:
    """Return the modules that cannot be imported here, because napari is not installed."""
    return set() if find_spec("napari") else {"monai_topo.napari.widget"}


def tree(shape=(7, 30, 44)):
    """Two bars and a block with a cavity, and a prediction with one error of each group except ends."""
    label = np.zeros(shape, dtype=np.uint8)
    label[2:5, 4:7, 4:40] = 1
    label[2:5, 14:17, 4:40] = 1
    label[1:6, 20:27, 4:14] = 1
    prediction = label.copy()
    prediction[:, 4:7, 20:26] = 0  # break, 6 voxels wide
    prediction[2:5, 7:14, 32:35] = 1  # bridge between the bars
    prediction[3, 23, 9] = 0  # a cavity of one voxel: a hole
    prediction[2:4, 22:24, 38:40] = 1  # speck of 8 voxels
    return prediction, label
