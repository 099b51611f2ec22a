"""Two processes on CPUs get the results of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import MEMBRANES, VESSELS, Training, last_line, rows_of, started, succeeded

from monai_topo.bundle import UserError, check_cases, join_processes

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.mark.parametrize("balance", [{}, {"topology_ratio": 1.0, "warmup_epochs": 0}], ids=["weight", "ratio"])
def test_training_in_two_processes_equals_that_in_one(balance: dict[str, Any], trainings: dict[str, Training]) -> None:
    # Whole images in place of random crops, so that a batch of two in one process is one image in each of two.
    shared = trainings[MEMBRANES.name]
    settings: dict[str, Any] = {**shared.settings, "train::random_transforms": "[]", **balance}
    folders = [shared.home / f"{name}{len(balance)}" for name in ("one", "two")]
    one = ["train.json", "smoke.json"]
    succeeded(MEMBRANES.run(one, shared.home, run_dir=folders[0].name, batch_size=2, **settings))
    two = MEMBRANES.command([*one, "multi_gpu_train.json"], run_dir=folders[1].name, batch_size=1, **settings)
    run = succeeded(started([*TORCHRUN, *two], shared.home))
    assert run.stdout.count("best score (model.pt)") == 1, "only one process prints"
    assert run.stdout.count("Clean-up chosen on the validation cases") == 1
    assert (folders[1] / "cleanup.json").is_file()
    assert "--device" not in run.stdout, "the printed commands are for a single process"
    expected, found = (rows_of(folder / "validation.csv") for folder in folders)
    assert [row["epoch"] for row in found] == ["1", "2"]
    for row, other in zip(expected, found, strict=True):
        for name in row:  # sums in another order, and AdamW divides by small numbers
            assert float(other[name]) == pytest.approx(float(row[name]), rel=0.02, abs=0.02), name
    weights = torch.load(folders[1] / "model.pt", weights_only=True)
    assert list(weights) == list(torch.load(shared.model, weights_only=True)), "the plain network's names"


def test_evaluation_in_two_processes_equals_that_in_one(trainings: dict[str, Training]) -> None:
    shared = trainings[VESSELS.name]
    assert shared.evaluation.returncode == 0
    files = ["train.json", "evaluate.json", "smoke.json", "multi_gpu_evaluate.json"]
    command = VESSELS.command(files, run_dir="eval_two", ckpt_path=str(shared.model), **shared.settings)
    run = succeeded(started([*TORCHRUN, *command], shared.home))
    assert run.stdout.count("Mean over the validation cases") == 1
    one, two = shared.home / "eval", shared.home / "eval_two"
    assert rows_of(two / "validation.csv") == rows_of(one / "validation.csv")
    for table in sorted((one / "metrics").glob("val_*_raw.csv")):
        assert rows_of(two / "metrics" / table.name) == rows_of(table)


def test_a_single_process_gets_the_command_to_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="to be started by torchrun, but got a single process"):
        join_processes(torch.device("cpu"))
    refused = last_line(MEMBRANES.run(["train.json", "multi_gpu_train.json"], tmp_path))
    assert "torchrun --standalone --nproc_per_node=N -m monai.bundle run" in refused


def test_fewer_cases_than_processes_are_refused(
    trainings: dict[str, Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = trainings[MEMBRANES.name]
    assert shared.process.returncode == 0
    monkeypatch.setattr("monai_topo.bundle.case_checks.world_size", lambda: 3)
    with pytest.raises(UserError, match="a case for each of the 3 processes, but got 2 in all"):
        check_cases(
            shared.home / "data",
            datalist="datalist.json",
            sections=["validation"],
            label_foreground="nonzero",
            in_channels=1,
            spatial_dims=2,
        )
