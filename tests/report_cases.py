"""Small predictions and labels with known errors for the tests of reports and pictures."""

from __future__ import annotations

import nibabel
import numpy as np
from PIL import Image


def ladder(shape=(40, 60)):
    """Draw two rails and three rungs: one component, two holes; three slices thick in a volume."""
    label = np.zeros(shape, dtype=bool)
    plane = label if label.ndim == 2 else label[3:6]
    plane[..., 8:11, 5:55] = True
    plane[..., 28:31, 5:55] = True
    for column in (10, 30, 48):
        plane[..., 8:31, column : column + 3] = True
    return label


def broken(label):
    """Cut the middle rung, add a speck, and make a pinhole in the lower rail: all three change the topology."""
    prediction = label.copy()
    prediction[..., 17:21, 28:36] = False
    plane = prediction if label.ndim == 2 else prediction[3:6]
    plane[..., 35:38, 20:23] = True
    prediction[(29, 20) if label.ndim == 2 else (4, 29, 20)] = False
    return prediction


def save_picture(path, mask, greatest=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.asarray(mask, dtype=float) * greatest).round().astype(np.uint8)).save(path)


def save_volume(path, mask, spacing=(1.0, 1.0, 1.0)):
    """Save a volume with axes z, y, x as NIfTI, which has x first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.ascontiguousarray(mask.T).astype(np.float32), np.diag([*spacing, 1.0]))
    nibabel.save(image, path)
