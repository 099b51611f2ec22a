"""Evaluation and inference: the printed commands, whole volumes, grids, orientations and file formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
import torch
from bundle_runs import MEMBRANES, VESSELS, Training, in_process, printed_metrics, rows_of
from PIL import Image

from monai_topo.persistence import betti_numbers
from monai_topo.transforms import PersistenceSimplify

KINDS = ("likelihood", "mask")


def test_printed_evaluation_repeats_the_best_validation(trained: Training) -> None:
    output = trained.evaluation.stdout
    bundle, best = trained.bundle, trained.best
    table = {name: value for name, (value,) in printed_metrics(trained.evaluation).items()}
    assert list(table) == [*bundle.metrics, *bundle.metrics_of_evaluation]
    assert [table[name] for name in bundle.metrics] == pytest.approx(
        [float(best[f"val_{name}"]) for name in bundle.metrics], abs=5e-4
    )
    tiny = trained.bundle.tiny
    assert f"connectivity {tiny.get('connectivity', 'full')}, border {tiny.get('border', 'foreground')}" in output
    for name in ("report.md", "validation.png", "metrics/val_dice_summary.csv", "metrics/val_dice_raw.csv"):
        assert (trained.home / "eval" / name).is_file()


def test_printed_inference_writes_a_mask_and_a_likelihood_for_each_image(trained: Training) -> None:
    suffix = trained.bundle.suffix
    assert "4 predictions are in run/predictions" in trained.inference.stdout
    folder = (
        trained.home / "run" / "predictions" / "images"
    )  # as in the data set: equal names of two folders never meet
    names = {f"00{case}_{kind}{suffix}" for case in range(4) for kind in KINDS}
    assert {file.name for file in folder.iterdir()} == names
    likelihood, mask, image = (
        pixels(file)
        for file in (
            folder / f"000_likelihood{suffix}",
            folder / f"000_mask{suffix}",
            trained.home / "data" / "images" / f"000{suffix}",
        )
    )
    assert likelihood.shape == mask.shape == image.shape
    assert len(np.unique(mask)) <= 2
    if trained.bundle is MEMBRANES:
        assert likelihood[mask > 0].min(initial=1) >= 0.49
        assert likelihood[mask == 0].max(initial=0) <= 0.51


def test_masks_are_simplified_with_the_settings_of_the_training(trainings: dict[str, Training]) -> None:
    # The commands that the training printed carry the setting, connectivity and border; the likelihood stays as it is.
    shared = trainings[VESSELS.name]
    assert shared.inference.returncode == 0
    simplify = PersistenceSimplify(
        min_persistence=VESSELS.tiny["simplify_min_persistence"], connectivity="face", border="open"
    )
    changed = 0
    for case in range(4):
        files = (shared.home / "run" / "predictions" / "images" / f"00{case}_{kind}.nii.gz" for kind in KINDS)
        likelihood, mask = map(pixels, files)
        assert np.array_equal(mask, np.asarray(simplify(likelihood[None].astype(np.float32)))[0] > 0.5)
        changed += int((mask != (likelihood > 0.5)).sum())
    assert changed > 0


@in_process
@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, ["bar", "blob", "hole"]),
        ({"simplify_min_persistence": 0.3}, ["bar", "hole"]),
        ({"simplify_min_persistence": 0.5}, ["bar"]),
        ({"simplify_num_components": 1, "border": "open"}, ["bar", "hole"]),
        ({"simplify_num_holes": 0}, ["bar", "blob"]),
    ],
    ids=["off", "faint", "fainter than the bar", "components", "holes"],
)
def test_weak_structures_go_on_request_however_large(settings: dict[str, Any], kept: list[str], tmp_path: Path) -> None:
    picture = np.full((48, 80), 40, dtype=np.uint8)
    expected = np.zeros_like(picture)
    picture[10:20, 10:60] = 250
    picture[30:40, 20:50] = 90  # a large blob, hardly above the mean
    picture[13:17, 30:40] = 60  # a hole in the bar, hardly below; likelihoods 0.39, 0.93, 0.58 and 0.47
    expected[10:20, 10:60] = 255
    expected[30:40, 20:50] = 255 * ("blob" in kept)
    expected[13:17, 30:40] = 255 * ("hole" not in kept)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    infer(MEMBRANES, tmp_path, "*.png", **settings)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "picture_mask.png")), expected)


def pixels(file: Path) -> np.ndarray[Any, Any]:
    """Read the values of a picture (from 0 to 1) or of a volume."""
    if file.suffix == ".png":
        return np.asarray(Image.open(file)) / 255
    return np.asarray(nibabel.load(file).dataobj)


def infer(bundle: Any, folder: Path, images: str, **settings: Any) -> None:
    """Run inference with the identity as network: the mask is where the image is above its mean."""
    places = {"dataset_dir": str(folder), "images": images, "output_dir": str(folder / "out")}
    identity = {"network_def": {"_target_": "torch.nn.Identity"}, "handlers": []}
    run = bundle.workflow("inference.json", "infer", **places, **identity, **settings)
    run.initialize()
    run.evaluator.run()


@in_process
def test_inference_keeps_the_orientation_of_a_picture(tmp_path: Path) -> None:
    picture = np.zeros((48, 80), dtype=np.uint8)
    picture[3:9, 50:75] = 255  # top right only: every flip and transpose shows
    Image.fromarray(picture).save(tmp_path / "corner.png")
    infer(MEMBRANES, tmp_path, "*.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "corner_mask.png")), picture)


def corner() -> np.ndarray[Any, Any]:
    """Draw a volume in which every flip and transposition is detected."""
    volume = np.zeros((20, 24, 17), dtype=np.uint8)
    volume[2:5, 15:22, 3:11] = 200
    return volume


OBLIQUE = np.array([[0.0, -0.9, 0.1, 7.0], [0.4, 0.0, 0.0, -3.5], [0.0, 0.1, 2.5, 11.0], [0.0, 0.0, 0.0, 1.0]])


@in_process
@pytest.mark.parametrize("spacing", [None, [0.4, 0.9, 1.25]])
def test_nifti_comes_back_on_the_grid_of_the_input(spacing: list[float] | None, tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(corner(), OBLIQUE), tmp_path / "scan.nii.gz")
    infer(VESSELS, tmp_path, "*.nii.gz", spacing=spacing)
    mask = nibabel.load(tmp_path / "out" / "scan_mask.nii.gz")
    assert np.allclose(mask.affine, OBLIQUE, atol=1e-5)
    assert mask.shape == corner().shape
    assert mask.get_data_dtype() == np.uint8
    different = np.asarray(mask.dataobj) != (corner() > 0)
    assert different.sum() <= (0 if spacing is None else 100)  # resampled there and back: rims may move


@in_process
@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".tif"])
def test_other_volumes_are_saved_as_nifti_on_their_grid(suffix: str, tmp_path: Path) -> None:
    image = itk.image_from_array(np.ascontiguousarray(corner().T))
    image.SetSpacing([0.5, 0.7, 2.0])
    if suffix != ".tif":  # TIFF has no place for it
        image.SetOrigin([10.0, -20.0, 5.0])
    itk.imwrite(image, str(tmp_path / f"scan{suffix}"))
    infer(VESSELS, tmp_path, f"*{suffix}")
    mask = nibabel.load(tmp_path / "out" / "scan_mask.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), corner() > 0)
    if suffix != ".tif":  # ITK's axes point left and to the back, those of NIfTI right and to the front
        assert np.allclose(mask.affine, np.array([[-0.5, 0, 0, -10], [0, -0.7, 0, 20], [0, 0, 2, 5], [0, 0, 0, 1]]))


@in_process
@pytest.mark.filterwarnings("ignore:Parameter `min_size` is deprecated:FutureWarning")  # MONAI's call of scikit-image
def test_small_objects_are_removed_on_request(tmp_path: Path) -> None:
    volume = corner()
    volume[12, 3, 3] = 200
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "scan.nii")
    infer(VESSELS, tmp_path, "*.nii", min_object_size=5)
    assert np.array_equal(pixels(tmp_path / "out" / "scan_mask.nii.gz"), corner() > 0)


class BlindAtTheRim(torch.nn.Module):
    """A network that finds vessels except in the last three voxels of its window, as if it had no context there."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.where(image > 0, 4.0, -4.0)
        inside = torch.zeros_like(logits, dtype=torch.bool)
        inside[..., 3:-3, 3:-3, 3:-3] = True
        return torch.where(inside, logits, -1.0)


@in_process
def test_seams_of_windows_do_not_break_a_tube() -> None:
    tube = np.zeros((48, 150, 40), dtype=np.float32)
    line = np.arange(6, 144)
    for x, y, z in zip(24 + 9 * np.sin(line / 11), line, 20 + 7 * np.cos(line / 9), strict=True):
        tube[round(x) - 2 : round(x) + 3, y, round(z) - 2 : round(z) + 3] = 1
    image = torch.from_numpy(tube)[None, None] - 0.5
    counts = {}
    for overlap in (0.0, 0.5):
        settings = {"patch_size": [16, 16, 16], "sliding_window_overlap": overlap, "strides": [2, 2, 2]}
        inferer = VESSELS.workflow("inference.json", "infer", **settings).parser.get_parsed_content("inferer")
        mask = torch.sigmoid(inferer(image, BlindAtTheRim())) > 0.5
        counts[overlap] = betti_numbers(mask[0], connectivity="full")[0].tolist()
    assert counts[0.5] == betti_numbers(image[0] > 0, connectivity="full")[0].tolist() == [1, 0, 0]
    assert counts[0.0][0] > 5, "without overlap the same network breaks the tube at its seams"


def test_metrics_are_those_of_the_whole_stitched_volume(trained: Training) -> None:
    if trained.bundle is MEMBRANES:
        pytest.skip("this test is about volumes")
    assert trained.evaluation.returncode == trained.inference.returncode == 0
    rows = rows_of(trained.home / "eval" / "metrics" / "val_betti_error_0_raw.csv")
    values = [float(list(row.values())[-1]) for row in rows]
    for case, value in zip((2, 3), values, strict=True):
        mask = pixels(trained.home / "run" / "predictions" / "images" / f"00{case}_mask.nii.gz")
        label = pixels(trained.home / "data" / "labels" / f"00{case}.nii.gz")
        numbers = betti_numbers(torch.from_numpy(np.stack([mask, label]) > 0), connectivity="face", border="open")
        assert abs(int(numbers[0, 0] - numbers[1, 0])) == value
