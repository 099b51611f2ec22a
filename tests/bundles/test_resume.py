"""Training runs killed with SIGKILL resume from their last complete state, with the results of an uninterrupted run.

The process kills itself, so that the moment is exact: in the middle of an epoch, or of the writing of a checkpoint.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import (
    MEMBRANES,
    VESSELS,
    Bundle,
    Training,
    at_step,
    last_line,
    leaves,
    rows_of,
    same_results,
    started,
    succeeded,
    trapped,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.slow

MID_EPOCH = at_step(4, "os.kill(os.getpid(), signal.SIGKILL)")
MID_WRITE = """
save = torch.save
def half(state, file, *arguments, **settings):
    save(state, file, *arguments, **settings)
    if isinstance(state, dict) and state.get("epoch") == 2:
        file.truncate(file.tell() // 2)
        os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
"""


@pytest.mark.parametrize(("bundle", "trap"), [(VESSELS, MID_EPOCH), (MEMBRANES, MID_WRITE)], ids=["epoch", "write"])
def test_a_killed_training_resumes_with_the_results_of_an_uninterrupted_one(
    bundle: Bundle, trap: str, trainings: dict[str, Training]
) -> None:
    whole = trainings[bundle.name]
    assert whole.process.returncode == 0
    run = trapped(bundle, whole.home, trap, run_dir="killed", **whole.settings)
    assert run.returncode == -signal.SIGKILL, run.stdout + run.stderr
    folder = whole.home / "killed"
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 1
    if trap is MID_WRITE:
        assert list(folder.glob(".checkpoint.*.pt")), "the kill came too early or too late"
    succeeded(bundle.run(["train.json", "smoke.json"], whole.home, resume="killed", **whole.settings))
    assert same_results(folder, whole.run_dir)
    assert [file.name for file in folder.glob(".*")] == [".lock"], "no file is left unfinished"
    assert logged(folder) == logged(whole.run_dir), "a repeated epoch is shown once"


def test_a_killed_training_with_a_gradient_ratio_resumes_with_its_factor(trainings: dict[str, Training]) -> None:
    shared = trainings[MEMBRANES.name]
    settings = {**shared.settings, "topology_ratio": 1.0, "warmup_epochs": 0, "determine_cleanup": False}
    succeeded(MEMBRANES.run(["train.json", "smoke.json"], shared.home, run_dir="ratio", **settings))
    run = trapped(MEMBRANES, shared.home, MID_EPOCH, run_dir="ratio_killed", **settings)
    assert run.returncode == -signal.SIGKILL, run.stdout + run.stderr
    whole, folder = shared.home / "ratio", shared.home / "ratio_killed"
    measured = torch.load(folder / "checkpoint.pt", weights_only=True)["objects"]["loss"]
    assert measured["gradient_ratio.steps"] == 2, "the steps of the first epoch"
    succeeded(MEMBRANES.run(["train.json", "smoke.json"], shared.home, resume="ratio_killed", **settings))
    resumed, uninterrupted = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (folder, whole))
    assert leaves(resumed) == leaves(uninterrupted)
    assert logged(folder) == logged(whole)
    factors = [value for _, value in logged(whole)["loss/factor"]]
    assert len(factors) == 4
    assert len(set(factors)) == 4


def logged(folder: Path) -> dict[str, list[Any]]:
    """Read what TensorBoard shows: steps and values of scalars, steps of pictures."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    scalars = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags["scalars"]}
    return {**scalars, **{tag: [event.step for event in events.Images(tag)] for tag in tags["images"]}}


def test_resuming_keeps_the_settings_and_the_folder(trainings: dict[str, Training], tmp_path: Path) -> None:
    whole = trainings[MEMBRANES.name]
    copy = tmp_path / "copy"
    shutil.copytree(whole.run_dir, copy)
    changed = {**whole.settings, "synthetic_dir": str(whole.home / "data"), "learning_rate": 0.1}
    refused = last_line(MEMBRANES.run(["train.json", "smoke.json"], tmp_path, resume="copy", **changed))
    assert "to keep its settings, but got another `learning_rate`, 0.1 for 0.004" in refused
    assert "--config_file copy/config.json" in refused


def test_a_finished_run_can_be_resumed_from_its_own_settings(trainings: dict[str, Training]) -> None:
    whole = trainings[MEMBRANES.name]
    shutil.copytree(whole.run_dir, whole.home / "finished")
    config, folder = str(whole.home / "finished" / "config.json"), str(whole.home / "finished")
    command = ["-m", "monai.bundle", "run", "--config_file", config, "--resume", folder, "--run_dir", folder]
    run = succeeded(started([sys.executable, *command], whole.home))
    assert "Resuming from the saved state" in run.stdout
    assert rows_of(whole.home / "finished" / "validation.csv") == whole.validations
