"""The clean-up that a training run chooses at its end, and its use in evaluation and inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from bundle_runs import (
    BUNDLES,
    MEMBRANES,
    VESSELS,
    Bundle,
    Training,
    in_process,
    last_line,
    printed_metrics,
    started,
    succeeded,
    table_of,
)
from PIL import Image

from monai_topo.bundle import UserError, load_cleanup
from monai_topo.transforms import CleanUp


def test_training_chooses_a_clean_up_and_shows_its_table(trained: Training) -> None:
    tiny = trained.bundle.tiny
    cleanup = CleanUp.load(
        trained.run_dir / "cleanup.json",
        spatial_dims=trained.bundle.spatial_dims,
        connectivity=tiny.get("connectivity", "full"),
    )
    assert cleanup.border == tiny.get("border", "foreground")
    table = (trained.run_dir / "cleanup.txt").read_text()
    assert table in trained.process.stdout
    assert table in (trained.run_dir / "report.md").read_text()
    rows = table_of(trained.run_dir)
    assert float(rows["chosen"]["betti_matching_error"]) <= float(rows["raw"]["betti_matching_error"])
    assert "is unknown" in table, "two cases do not show that the choice is better than chance"


def test_printed_commands_apply_it_only_on_request(trained: Training) -> None:
    assert not [
        argument for name in ("Evaluate", "Infer") for argument in trained.printed(name) if "cleanup" in argument
    ]
    assert trained.cleanup_arguments[:2] == ["--cleanup", "run/cleanup.json"]


def test_evaluation_with_the_clean_up_has_the_numbers_of_the_choice(trained: Training) -> None:
    command = [*trained.printed("Evaluate"), "--run_dir", "eval_clean", *trained.cleanup_arguments]
    found = printed_metrics(succeeded(started(command, trained.home)))
    expected = table_of(trained.run_dir)["chosen"]
    for name in ("dice", *(f"betti_error_{dim}" for dim in range(trained.bundle.spatial_dims))):
        assert found[name][0] == pytest.approx(float(expected[name]), rel=1e-3, abs=1e-3), name  # four digits
    assert "| cleanup | `run/cleanup.json` |" in (trained.home / "eval_clean" / "report.md").read_text()


def test_inference_with_the_clean_up_writes_cleaned_masks(trainings: dict[str, Training]) -> None:
    shared = trainings[VESSELS.name]
    cleanup, changed = CleanUp.load(shared.run_dir / "cleanup.json"), 0
    for case in range(4):
        likelihood, mask = (
            np.asarray(nibabel.load(shared.cleaned / "images" / f"00{case}_{kind}.nii.gz").dataobj)
            for kind in ("likelihood", "mask")
        )
        assert np.array_equal(mask, np.asarray(cleanup(likelihood[None]))[0])
        changed += int((mask != (likelihood > 0.5)).sum())
    assert changed > 0


@in_process
def test_inference_in_python_keeps_the_clean_up_as_its_last_step(tmp_path: Path) -> None:
    picture = np.full((48, 80), 40, dtype=np.uint8)
    picture[10:20, 10:60] = 250
    picture[30:33, 20:23] = 250  # a speck
    Image.fromarray(picture).save(tmp_path / "picture.png")
    CleanUp(min_component_size=20, border="foreground", spatial_dims=2).save(tmp_path / "cleanup.json")
    run = MEMBRANES.workflow(
        "inference.json",
        "infer",
        dataset_dir=str(tmp_path),
        images="*.png",
        output_dir=str(tmp_path / "out"),
        network_def={"_target_": "torch.nn.Identity"},
        handlers=[],
        cleanup=str(tmp_path / "cleanup.json"),
    )
    run.initialize()
    run.evaluator.run()
    picture[30:33, 20:23] = 40
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "picture_mask.png")) > 0, picture > 100)


@pytest.mark.parametrize(
    ("saved", "settings", "sentence"),
    [
        ({"spatial_dims": 3}, {}, "for 2 spatial axes, but got one for 3"),
        ({"connectivity": "face"}, {}, "with connectivity 'full', but got 'face'"),
        ({}, {"threshold": 0.3}, "`cleanup` without `threshold`, which it replaces"),
        ({}, {"replaced": {"simplify_num_holes": 0}}, "set --simplify_num_holes None"),
        ({}, {"replaced": {"min_object_size": 5}}, "`cleanup` without `min_object_size`"),
    ],
    ids=["dimension", "connectivity", "threshold", "holes", "objects"],
)
def test_clean_ups_that_do_not_fit_are_refused(
    saved: dict[str, Any], settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    CleanUp(**saved).save(tmp_path / "cleanup.json")
    with pytest.raises(UserError, match=sentence):
        load_cleanup(tmp_path / "cleanup.json", keys="pred", spatial_dims=2, connectivity="full", **settings)


def test_files_that_hold_no_clean_up_are_named(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"speck": 3}')
    for name in ("other.json", "missing.json"):
        with pytest.raises(UserError, match=name):
            load_cleanup(tmp_path / name, keys="pred", spatial_dims=2, connectivity="full")


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_a_clean_up_of_another_dimension_is_refused_before_anything_is_written(bundle: Bundle, tmp_path: Path) -> None:
    CleanUp(spatial_dims=5 - bundle.spatial_dims).save(tmp_path / "cleanup.json")
    places = {"run_dir": "eval", "synthetic_dir": "data", "output_dir": "out", "cleanup": "cleanup.json"}
    for files in (["train.json", "evaluate.json", "smoke.json"], ["inference.json"]):
        settings = places if "train.json" in files else {key: places[key] for key in places if key != "run_dir"}
        refused = last_line(bundle.run(files, tmp_path, **settings))
        assert refused.startswith("Error: ")
        assert f"for {bundle.spatial_dims} spatial axes, but got one for {5 - bundle.spatial_dims}" in refused
    assert [file.name for file in tmp_path.iterdir()] == ["cleanup.json"]
