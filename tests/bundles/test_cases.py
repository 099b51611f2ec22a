"""Every case is read before the first epoch, and each file that does not fit is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_topo.bundle import UserError, check_cases, find_images


def write_cases(folder: Path, image: np.ndarray, label: np.ndarray) -> None:
    """Write a data set with one case, for both training and validation."""
    Image.fromarray(image).save(folder / "image.png")
    Image.fromarray(label).save(folder / "label.png")
    cases = [{"image": "image.png", "label": "label.png"}]
    (folder / "datalist.json").write_text(json.dumps({"training": cases, "validation": cases}))


def check(folder: Path, **settings: Any) -> None:
    defaults: dict[str, Any] = {
        "datalist": "datalist.json",
        "sections": ["training", "validation"],
        "label_foreground": "nonzero",
        "in_channels": 1,
        "spatial_dims": 2,
    }
    check_cases(folder, **{**defaults, **settings})


IMAGE = np.zeros((40, 60), dtype=np.uint8)
LABEL = np.zeros((40, 60), dtype=np.uint8)
LABEL[10, 5:] = 255


@pytest.mark.parametrize(
    ("image", "label", "settings", "sentence"),
    [
        (IMAGE, LABEL, {"sections": ["test"]}, r"to hold a list 'test', but got only"),
        (IMAGE, LABEL, {"datalist": "cases.json"}, r"to hold the datalist 'cases\.json'"),
        (
            IMAGE,
            LABEL[:, :50],
            {},
            r"image\.png and .*label\.png to have the same shape, but got \(60, 40\) and \(50, 40\)",
        ),
        (np.zeros((40, 60, 3), np.uint8), LABEL, {}, r"image\.png to have `in_channels`, 1, channels, but got 3"),
        (IMAGE, np.zeros((40, 60, 3), np.uint8), {}, r"label\.png to have one channel, but got 3"),
        (IMAGE, LABEL + np.eye(40, 60, dtype=np.uint8), {}, r"label\.png: Expected `label` to hold at most one value"),
        (IMAGE, LABEL, {"label_foreground": 7}, r"label\.png: .*foreground value 7.*set `label_foreground`"),
        (
            IMAGE,
            LABEL,
            {"label_foreground": "membrane"},
            r"Expected `label_foreground` to be 'nonzero'.*but got 'membrane'",
        ),
        (
            IMAGE,
            LABEL,
            {"smallest_shape": [64, 32]},
            r"at least as large as `topology_patch_size`, \[64, 32\], but got .*\(60, 40\)",
        ),
        (IMAGE, LABEL, {"smallest_shape": 41}, r"at least as large as `topology_patch_size`, \[41, 41\]"),
        (IMAGE, LABEL, {"spatial_dims": 3}, r"image\.png to have 3 spatial axes, but got shape \(60, 40\)"),
    ],
)
def test_unfit_cases(
    image: np.ndarray, label: np.ndarray, settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    write_cases(tmp_path, image, label)
    with pytest.raises(UserError, match=sentence):
        check(tmp_path, **settings)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    write_cases(tmp_path, IMAGE, LABEL)
    (tmp_path / "label.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"Expected .*label\.png to be an image, but got"):
        check(tmp_path)
    (tmp_path / "label.png").unlink()
    with pytest.raises(UserError, match=r"to exist, but got none at .*label\.png"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("label", "warning"),
    [(LABEL, None), (LABEL * 0, "finds none"), (255 - LABEL, "marks 98 %")],
)
def test_suspicious_polarity_is_a_warning(
    label: np.ndarray, warning: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_cases(tmp_path, IMAGE, label)
    check(tmp_path, sections=["training"])
    if warning is None:
        assert not caplog.records
    else:
        assert warning in caplog.text
        assert "set --label_foreground" in caplog.text


def test_image_in_two_sections_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cases(tmp_path, IMAGE, LABEL)
    check(tmp_path, sections=["training", "validation"])
    assert "got 1 in several of ['training', 'validation']" in caplog.text


def test_every_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    names = [f"{number:02d}" for number in range(12)]
    for name in names:
        Image.fromarray(IMAGE).save(tmp_path / f"image{name}.png")
        Image.fromarray(LABEL).save(tmp_path / f"label{name}.png")
    (tmp_path / "image03.png").write_bytes(b"no picture")
    Image.fromarray(LABEL[:, :50]).save(tmp_path / "label07.png")
    cases = [{"image": f"image{name}.png", "label": f"label{name}.png"} for name in names]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": cases}))
    with pytest.raises(UserError) as caught:
        check(tmp_path, sections=["training"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "Expected every case to fit, but got 2 that do not:"
    assert "image03.png to be an image, but got UnidentifiedImageError" in lines[1]
    assert "image07.png and" in lines[2]
    for name in names:
        (tmp_path / f"label{name}.png").write_bytes(b"no picture")
    with pytest.raises(UserError) as caught:
        check(tmp_path, sections=["training"])
    assert len(str(caught.value).splitlines()) == 12  # ten cases, between how many and how many more
    assert str(caught.value).endswith("... (12 cases)")


@pytest.mark.parametrize(("shift_mm", "fits"), [(0.0, True), (1e-4, True), (0.4, False)])
def test_image_and_label_must_lie_on_one_grid(shift_mm: float, fits: bool, tmp_path: Path) -> None:
    label = np.zeros((12, 14, 9), dtype=np.uint8)
    label[5, :, 4] = 1
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(50 * label, affine), tmp_path / "image.nii.gz")
    affine[0, 3] += shift_mm
    nibabel.save(nibabel.Nifti1Image(label, affine), tmp_path / "label.nii.gz")
    cases = {"training": [{"image": "image.nii.gz", "label": "label.nii.gz"}]}
    (tmp_path / "datalist.json").write_text(json.dumps(cases))
    if fits:
        check(tmp_path, sections=["training"], spatial_dims=3)
        return
    with pytest.raises(UserError, match=r"to lie on the same grid, but got affines that differ by up to 0\.4 mm"):
        check(tmp_path, sections=["training"], spatial_dims=3)


def test_small_training_images_are_accepted_because_they_are_padded(tmp_path: Path) -> None:
    write_cases(tmp_path, IMAGE, LABEL)
    check(tmp_path, sections=["training"], smallest_shape=64)
    with pytest.raises(UserError, match="at least as large as `topology_patch_size`"):
        check(tmp_path, sections=["validation"], smallest_shape=64)


def test_masks_are_checked_too(tmp_path: Path) -> None:
    write_cases(tmp_path, IMAGE, LABEL)
    entry = {"image": "image.png", "label": "label.png", "mask": "mask.png", "subject": 7}
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [entry]}))
    keys = ["image", "label", "mask"]
    with pytest.raises(UserError, match=r"to exist, but got none at .*mask\.png"):
        check(tmp_path, sections=["training"], file_keys=keys)
    Image.fromarray(LABEL[:30]).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"image\.png and .*mask\.png to have the same shape"):
        check(tmp_path, sections=["training"], file_keys=keys)
    Image.fromarray(LABEL).save(tmp_path / "mask.png")
    check(tmp_path, sections=["training"], file_keys=keys)


def test_a_pattern_finds_files_before_folders(tmp_path: Path) -> None:
    for name in ("b/1.dcm", "a/1.dcm"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    assert find_images(tmp_path, "*") == [{"image": str(tmp_path / name)} for name in "ab"]
    assert find_images(tmp_path, "**/*") == [{"image": str(tmp_path / f"{name}/1.dcm")} for name in "ab"]


def test_a_pattern_that_matches_nothing_leads_to_a_suggestion(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("images/a.nii.gz", "images/b.nii.gz", "images/notes.txt", "datalist.json", "more.json", "third.json"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"got '\*\.png', which finds none; .* '\*\*/\*\.nii\.gz'\."):
        find_images(tmp_path, "*.png")
    assert len(find_images(tmp_path, "**/*.nii.gz")) == 2
