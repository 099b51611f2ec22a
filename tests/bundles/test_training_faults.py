"""Training runs on a full, damaged or protected disk, at a signal of a scheduler, and two in one folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bundle_runs import MEMBRANES, Training, at_step, last_line, rows_of, same_results, started, succeeded, trapped
from faults import Disk, cut, fill, flip_bit, protect
from test_processes import TORCHRUN

from monai_topo._utils.checkpoints import check_intact
from monai_topo.bundle import UserError
from monai_topo.bundle.folder_lock import lock_folder, unlock_folder

FILES = ["train.json", "smoke.json"]
FILL = """
        with open({disk!r} + "/filler", "wb", buffering=0) as filler:
            try:
                while True: filler.write(bytes(4096))
            except OSError: pass"""


@pytest.mark.parametrize("moment", ["in the epoch", "at the state"])
def test_a_full_disk_loses_no_finished_epoch(moment: str, trainings: dict[str, Training], small_disk: Disk) -> None:
    whole = trainings[MEMBRANES.name]
    assert whole.process.returncode == 0
    disk = small_disk(64 * 1024)
    run_dir = disk / "run"
    fault = FILL.format(disk=str(disk))
    if moment == "in the epoch":
        trap = at_step(4, fault)
    else:  # what comes before in the second epoch finds space
        trap = f"""
save = torch.save
def full(state, file):
    if isinstance(state, dict) and state.get("epoch") == 2:
{fault}
    save(state, file)
torch.save = full
"""
    run = trapped(MEMBRANES, whole.home, trap, run_dir=str(run_dir), output_dir=str(disk), **whole.settings)
    assert "No space left on device" in last_line(run)
    assert "What is finished is kept. To continue, pass --resume" in last_line(run)
    state = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 1
    rows = rows_of(run_dir / "validation.csv")
    assert rows == whole.validations[: len(rows)]
    assert len(rows) == (1 if moment == "in the epoch" else 2), "the table is whole"
    for file in run_dir.glob("*.pt"):
        check_intact(file)
    for table in (run_dir / "metrics").iterdir():
        assert table.read_text() != ""
        assert not table.name.startswith(".")
    assert [file.name for file in run_dir.glob(".*.pt")] == []
    (disk / "filler").unlink()
    succeeded(MEMBRANES.run(FILES, whole.home, resume=str(run_dir), output_dir=str(disk), **whole.settings))
    assert same_results(run_dir, whole.run_dir)


@pytest.mark.parametrize("damage", [flip_bit, cut])
def test_a_damaged_state_costs_one_epoch(damage: object, trainings: dict[str, Training]) -> None:
    whole = trainings[MEMBRANES.name]
    folder = whole.home / f"damaged_{getattr(damage, '__name__', '')}"
    shutil.copytree(whole.run_dir, folder)
    assert callable(damage)
    damage(folder / "checkpoint.pt")
    run = succeeded(MEMBRANES.run(FILES, whole.home, resume=str(folder), **whole.settings))
    assert "checkpoint.previous.pt, is taken" in run.stdout + run.stderr
    assert same_results(folder, whole.run_dir)


def test_a_protected_disk_is_named_before_the_data_are_read(
    trainings: dict[str, Training], small_disk: Disk, tmp_path: Path
) -> None:
    disk = small_disk(64 * 1024)
    protect(disk)
    for settings in ({"output_dir": str(disk)}, {"output_dir": str(disk), "run_dir": str(disk / "run")}):
        refused = last_line(MEMBRANES.run(FILES, tmp_path, synthetic_dir="data", **settings, **MEMBRANES.tiny))
        assert "to be a folder to write to, but got" in refused
        assert "read-only" in refused


def test_a_run_is_stopped_by_a_scheduler_and_goes_on(trainings: dict[str, Training]) -> None:
    whole = trainings[MEMBRANES.name]
    assert whole.process.returncode == 0
    trap = at_step(3, "os.kill(os.getpid(), signal.SIGTERM)")
    run = trapped(MEMBRANES, whole.home, trap, run_dir="stopped", **whole.settings)
    assert run.returncode == 75, run.stdout + run.stderr
    assert run.stderr.strip().splitlines()[-1] == (
        "SIGTERM: the training run has stopped, its state is saved. To continue, repeat the command with "
        "--resume stopped (exit status 75)."
    )
    folder = whole.home / "stopped"
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert (state["epoch"], state["iteration"]) == (1, 3), "in the middle of the second epoch"
    succeeded(MEMBRANES.run(FILES, whole.home, resume="stopped", **whole.settings))
    assert same_results(folder, whole.run_dir)


def test_a_signal_before_the_first_step_says_go_on_too(trainings: dict[str, Training]) -> None:
    whole = trainings[MEMBRANES.name]
    assert whole.process.returncode == 0
    trap = """
import monai_topo.bundle
check = monai_topo.bundle.check_cases
def killed(*arguments, **settings):
    os.kill(os.getpid(), signal.SIGTERM)
    check(*arguments, **settings)
monai_topo.bundle.check_cases = killed
"""
    run = trapped(MEMBRANES, whole.home, trap, run_dir="early", **whole.settings)
    assert run.returncode == 75
    assert "SIGTERM: What is finished is kept" in run.stderr
    assert not (whole.home / "early" / "checkpoint.pt").exists()


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on_with_equal_bits(tmp_path: Path) -> None:
    data = {"kind": "membranes", "shape": [64, 80], "num_training": 4, "num_validation": 2, "seed": 0}
    settings = {**MEMBRANES.tiny, "synthetic_dir": "data", "synthetic_dataset": data, "determine_cleanup": "False"}
    command = MEMBRANES.command([*FILES, "multi_gpu_train.json"], **settings)[2:]
    trap = at_step(1, "if os.environ['RANK'] == '1': os.kill(os.getpid(), signal.SIGTERM)")
    (tmp_path / "trapped.py").write_text(
        f"import os, runpy, signal, sys, torch\n{trap}\nsys.argv = ['monai.bundle', *sys.argv[1:]]\n"
        "runpy.run_module('monai.bundle', run_name='__main__')\n"
    )
    run = started([*TORCHRUN, "trapped.py", *command, "--run_dir", "both"], tmp_path)
    assert run.returncode != 0
    assert "a signal to another process: the training run has stopped, its state is saved" in run.stderr
    assert "exitcode: 75" in run.stderr.replace(" ", "").replace("exitcode:75", "exitcode: 75")
    state = torch.load(tmp_path / "both" / "checkpoint.pt", weights_only=True)
    assert (state["epoch"], state["iteration"], len(state["random"])) == (0, 1, 2), "in the middle of the first epoch"
    start = [*TORCHRUN, "-m", "monai.bundle", *command]
    succeeded(started([*start, "--resume", "both"], tmp_path))
    assert [row["epoch"] for row in rows_of(tmp_path / "both" / "validation.csv")] == ["1", "2"]
    succeeded(started([*start, "--run_dir", "whole"], tmp_path))
    assert same_results(tmp_path / "both", tmp_path / "whole")


HOLD = """
import sys, time
from monai_topo.bundle.folder_lock import lock_folder
lock_folder(sys.argv[1])
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that has locked a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_a_folder_is_used_by_one_run_and_a_killed_one_frees_it(
    holder: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr("monai_topo.bundle.folder_lock._WAIT_SECONDS", 0.2)
    for _ in range(2):
        with pytest.raises(UserError, match=f"by one run at a time, but got one that process {holder.pid} on "):
            lock_folder(folder)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    lock_folder(folder)
    assert json.loads((folder / ".lock.json").read_text())["process"] == os.getpid()
    lock_folder(folder)
    unlock_folder(folder)
    assert [file.name for file in folder.iterdir()] == [".lock"]
    lock_folder(folder)
    unlock_folder(folder)


def test_a_second_run_in_the_folder_is_refused(trainings: dict[str, Training]) -> None:
    whole = trainings[MEMBRANES.name]
    folder = whole.home / "shared"
    shutil.copytree(whole.run_dir, folder)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.*")}
        refused = last_line(MEMBRANES.run(FILES, whole.home, resume="shared", **whole.settings))
        assert f"to be used by one run at a time, but got one that process {process.pid} on" in refused
        assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.*")} == before, "nothing is touched"
    finally:
        process.kill()
        process.communicate()


def test_fill_and_protect_do_what_they_say(small_disk: Disk) -> None:
    disk = small_disk(64)
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(bytes(8192))
    protect(disk)
    with pytest.raises(OSError, match="Read-only file system"):
        (disk / "filler").unlink()
