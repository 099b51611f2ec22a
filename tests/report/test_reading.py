"""The arrays of a case do not depend on the type of its files, and reading them takes a few bytes per voxel."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from monai_topo.report.files import Case
from monai_topo.report.reading import Images, read_case

SHAPE = (9, 14, 11)  # x, y, z
SETTINGS: dict[str, Any] = {
    "label_foreground": "nonzero",
    "prediction_foreground": "auto",
    "likelihood_max": None,
    "spacing_mm": None,
}


def save(path: Path, array: NDArray[Any], dtype: Any) -> Path:
    image: Any = nibabel.Nifti1Image(array.astype(dtype), np.diag([0.5, 0.7, 2.0, 1.0]))
    nibabel.save(image, path)
    return path


def read(folder: Path, prediction: NDArray[Any], label: NDArray[Any], dtype: Any, **more: Path) -> Images:
    files = save(folder / "p.nii.gz", prediction, dtype), save(folder / "l.nii.gz", label, dtype)
    return read_case(Case("a", *files, **more), **SETTINGS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.float32, np.float64, ">i2", ">f4"])
@pytest.mark.parametrize("with_mask", [False, True])
def test_masks_of_any_type(dtype: Any, with_mask: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    prediction, label, field, second = rng.random((4, *SHAPE)) < 0.3
    prediction[:3], label[:, 9:] = False, False  # empty sides, of which nothing is written
    more = {"second_label": save(tmp_path / "s.nii.gz", 7 * second, dtype)}
    if with_mask:
        more["mask"] = save(tmp_path / "m.nii.gz", 3 * field, dtype)
    else:
        field = np.ones(SHAPE, dtype=bool)
    images = read(tmp_path, 100 * prediction, label, dtype, **more)
    assert images.read_as == "mask"
    assert images.spacing_mm == pytest.approx((2.0, 0.7, 0.5))
    assert images.second_label is not None
    expected = prediction, label, second
    for found, mask in zip((images.prediction, images.label, images.second_label), expected, strict=True):
        np.testing.assert_array_equal(found, (mask & field).T)
        assert found.flags.c_contiguous
        assert found.dtype == (np.float32 if found is images.prediction else bool)
    np.testing.assert_array_equal(images.inside, field.T)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_likelihoods_of_any_type(dtype: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 256, SHAPE)
    images = read(tmp_path, values, values > 99, dtype)
    assert images.read_as == "likelihood / 255"
    np.testing.assert_array_equal(images.prediction, values.T.astype(np.float32) / np.float32(255))


def test_two_masks_take_six_bytes_per_voxel(tmp_path: Path) -> None:
    label = np.zeros((90, 100, 110), dtype=bool)
    label[40:60, 30:50, 20:70] = True
    read(tmp_path, label, label, np.uint8)  # the libraries are loaded
    tracemalloc.start()
    images = read_case(Case("a", tmp_path / "p.nii.gz", tmp_path / "l.nii.gz"), **SETTINGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert images.label.sum() == 20 * 20 * 50
    # The zeros that the result holds count here, although the system takes no memory for them.
    assert peak < (6 + images.prediction.itemsize) * label.size
