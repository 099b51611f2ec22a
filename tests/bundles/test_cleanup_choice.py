"""The choice of a clean-up on the validation cases of a training run: its cases, units and refusals."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from bundle_runs import (
    VESSELS,
    printed_metrics,
    started,
    succeeded,
    table_of,
)
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd

from monai_topo.bundle import UserError, check_cleanup_settings, determine_cleanup, load_cleanup
from monai_topo.bundle.validation_cases import center_box
from monai_topo.data import synthetic_vessels
from monai_topo.transforms import CleanUp


def noisy_cases(count: int) -> list[dict[str, torch.Tensor]]:
    """Make logits of a bar and specks, and labels of the bar."""
    cases = []
    for number in range(count):
        label = torch.zeros(1, 24, 30)
        label[:, 8:14, 4:26] = 1
        image = 6 * label - 3
        image[0, 18, number % 20 : 30 : 4] = 2.0
        cases.append({"image": image, "label": label})
    return cases


def choose(folder: Path, cases: list[dict[str, torch.Tensor]], *, enabled: bool = True, **settings: Any) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.ones_(network.weight)
    torch.nn.init.zeros_(network.bias)
    torch.save(network.state_dict(), folder / "model.pt")
    torch.nn.init.zeros_(network.weight)  # the best model's weights count, not those of the last epoch
    determine_cleanup(
        folder,
        enabled=enabled,
        network=network,
        dataset=cases,  # type: ignore[arg-type]
        inferer=SimpleInferer(),
        postprocessing=Activationsd(keys="pred", sigmoid=True),
        device=torch.device("cpu"),
        amp=False,
        connectivity="full",
        border="open",
        **settings,
    )
    assert not network.weight.any()


def test_specks_are_removed_by_what_is_chosen(tmp_path: Path) -> None:
    choose(tmp_path, noisy_cases(6))
    cleanup = CleanUp.load(tmp_path / "cleanup.json", spatial_dims=2, connectivity="full")
    for case in noisy_cases(6):
        assert torch.equal(torch.as_tensor(cleanup(torch.sigmoid(case["image"]))) > 0, case["label"] > 0)
    assert "better than raw" in (tmp_path / "cleanup.txt").read_text()


def test_one_case_is_enough_but_not_cross_validated(tmp_path: Path) -> None:
    choose(tmp_path, noisy_cases(1))
    assert (tmp_path / "cleanup.json").exists()
    assert "One case cannot be cross-validated" in (tmp_path / "cleanup.txt").read_text()


def test_empty_labels_end_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        choose(tmp_path, [{**case, "label": torch.zeros(1, 24, 30)} for case in noisy_cases(2)])
    assert "No clean-up was chosen: " in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_setting_turns_it_off(tmp_path: Path) -> None:
    choose(tmp_path, noisy_cases(2), enabled=False)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def with_voxel_sizes(cases: list[dict[str, torch.Tensor]], sizes_mm: list[float], suffix: str) -> Any:
    """Add what the reader of files adds: a voxel size along the first axis and the name of the file."""
    return [
        {
            name: MetaTensor(array, affine=np.diag([size, 0.5, 1.0]), meta={"filename_or_obj": f"{name}{suffix}"})
            for name, array in case.items()
        }
        for case, size in zip(cases, sizes_mm, strict=True)
    ]


@pytest.mark.parametrize(
    ("units", "sizes_mm", "suffix", "in_mm"),
    [
        ("auto", [2.0, 2.5, 2.0], ".nii.gz", True),
        ("auto", [2.0, 2.0001, 2.0], ".nrrd", False),
        ("auto", [2.0, 2.5, 2.0], ".tif", False),
        ("mm", [2.0, 2.0, 2.0], ".nii.gz", True),
        ("voxels", [2.0, 2.5, 2.0], ".nii.gz", False),
    ],
    ids=["different", "equal", "no voxel size", "mm", "voxels"],
)
def test_sizes_are_in_mm_where_voxel_sizes_differ(
    units: str, sizes_mm: list[float], suffix: str, in_mm: bool, tmp_path: Path
) -> None:
    cases = noisy_cases(3)
    for case in cases:
        case["image"][0, 2, 10:14] = 2.0  # specks of four voxels, and of one
    choose(tmp_path, with_voxel_sizes(cases, sizes_mm, suffix), units=units)
    cleanup = CleanUp.load(tmp_path / "cleanup.json")
    assert cleanup.spacing == ("affine" if in_mm else None)
    largest = 4 * max(sizes_mm) * 0.5 if in_mm else 4
    assert largest < cleanup.min_component_size <= 1.3 * largest, "the next number of the series"
    assert ("mm^2" in (tmp_path / "cleanup.txt").read_text()) == in_mm


def test_a_clean_up_in_mm_follows_the_voxel_size_of_each_case(tmp_path: Path) -> None:
    """Specks of equal size in mm, and structures of the same number of voxels that are larger in mm."""
    cases = noisy_cases(2)
    for case, width in zip(cases, (12, 3), strict=True):
        case["image"][0, 18] = case["label"][0, 18] = -3
        case["label"][0, 18] = 0
        case["image"][0, 18, 2 : 2 + width] = 2.0  # 12 x 0.5 mm^2, 3 x 2 mm^2
    cases[1]["label"][0, 1, 2:14] = 1  # of 24 mm^2, with as many voxels as the speck of the other case
    cases[1]["image"][0, 1, 2:14] = 2.0
    spaced = with_voxel_sizes(cases, [1.0, 4.0], ".nii.gz")
    choose(tmp_path, spaced)
    step = load_cleanup(tmp_path / "cleanup.json", keys="image", spatial_dims=2, connectivity="full")
    for case in spaced:
        assert torch.equal(step({"image": case["image"].sigmoid()})["image"] > 0, case["label"] > 0)
    choose(tmp_path, spaced, units="voxels")
    step = load_cleanup(tmp_path / "cleanup.json", keys="image", spatial_dims=2, connectivity="full")
    assert not all(
        torch.equal(step({"image": case["image"].sigmoid()})["image"] > 0, case["label"] > 0) for case in spaced
    )


@pytest.mark.slow
def test_training_on_files_of_two_voxel_sizes_chooses_sizes_in_mm(tmp_path: Path) -> None:
    """The evaluation reads the voxel sizes of the same files and finds the numbers of the choice."""
    entries = []
    for number, step in enumerate((1.0, 2.0) * 2):
        image, label = synthetic_vessels((40, 56, 24), seed=number)
        for kind, array in (("image", image), ("label", label)):
            affine = np.diag([step, 1.0, 1.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), affine), tmp_path / f"{kind}{number}.nii.gz")
        entries.append({kind: f"{kind}{number}.nii.gz" for kind in ("image", "label")})
    (tmp_path / "datalist.json").write_text(json.dumps({"training": entries[:2], "validation": entries[2:]}))
    settings = {"channels": [4, 8, 8], "strides": [[2, 2, 1], [2, 2, 2]], "dataset_dir": tmp_path}
    run = succeeded(VESSELS.run(["train.json", "smoke.json"], tmp_path, run_dir="run", **settings))
    assert CleanUp.load(tmp_path / "run" / "cleanup.json").spacing == "affine"
    assert "mm^3" in (tmp_path / "run" / "cleanup.txt").read_text()
    expected = table_of(tmp_path / "run")["chosen"]
    assert expected != table_of(tmp_path / "run")["raw"]
    [printed] = [line for line in run.stdout.splitlines() if line.startswith("Evaluate ")]
    command = [*shlex.split(printed.split(maxsplit=1)[1]), "--run_dir", "eval", "--cleanup", "run/cleanup.json"]
    found = printed_metrics(succeeded(started(command, tmp_path)))
    for name in ("dice", "betti_error_0", "betti_error_1", "betti_error_2"):
        assert found[name][0] == pytest.approx(float(expected[name]), rel=1e-3, abs=1e-3), name  # four digits


def test_large_cases_are_cropped_to_their_centers_and_that_is_said(tmp_path: Path) -> None:
    cases = noisy_cases(3)
    choose(tmp_path, cases)
    assert "centers" not in (tmp_path / "cleanup.txt").read_text()
    whole = table_of(tmp_path)
    for case in cases:
        case["image"][0, :, 27:] = 3.0  # far from the center
    choose(tmp_path, cases, max_voxels=3 * 24 * 22)
    text = (tmp_path / "cleanup.txt").read_text()
    assert "Chosen on the centers of large cases, at most 528 voxels of each" in text
    assert "`cleanup_voxels`" in text
    assert float(table_of(tmp_path)["raw"]["dice"]) >= float(whole["raw"]["dice"])
    assert CleanUp.load(tmp_path / "cleanup.json").min_component_size > 0


@pytest.mark.parametrize(
    ("shape", "max_voxels", "box"),
    [
        ((10, 8), 80, [(0, 10), (0, 8)]),
        ((10, 8), 79, [(0, 9), (0, 8)]),
        ((40, 60, 6), 40 * 40 * 6, [(0, 40), (10, 50), (0, 6)]),
        ((40, 60, 6), 10 * 10 * 6, [(15, 25), (25, 35), (0, 6)]),
        ((3, 3, 3), 0.5, [(1, 2), (1, 2), (1, 2)]),
    ],
)
def test_the_center_keeps_short_axes(shape: tuple[int, ...], max_voxels: float, box: list[tuple[int, int]]) -> None:
    assert [(side.start, side.stop) for side in center_box(shape, max_voxels)] == box


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"units": "inch"}, "`cleanup_units` to be one of 'auto', 'voxels', 'mm', but got 'inch'"),
        ({"max_voxels": 0}, "`cleanup_voxels` to be a number of at least 1, but got 0"),
        ({"max_voxels": "all"}, "`cleanup_voxels` to be a number of at least 1, but got 'all'"),
        ({"units": "mm"}, r"a voxel size for `cleanup_units` mm, but got .*b\.png; set --cleanup_units voxels"),
    ],
)
def test_impossible_settings_are_refused_before_the_training(
    settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    for name in ("a.nii.gz", "b.png"):
        (tmp_path / name).touch()
    cases = [{"image": name, "label": name} for name in ("a.nii.gz", "b.png")]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [], "validation": cases}))
    fixed = {"dataset_dir": tmp_path, "datalist": "datalist.json", "file_keys": ["image", "label"]}
    check_cleanup_settings(units="auto", max_voxels=2e7, **fixed)
    with pytest.raises(UserError, match=sentence):
        check_cleanup_settings(**{"units": "auto", "max_voxels": 2e7, **settings}, **fixed)
