"""Tables of a training run on a full or protected disk, and of a process that is killed: whole, or absent."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import Disk, fill, protect
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.inferers import SimpleInferer

from monai_topo.handlers import AtomicMetricsSaver, ValidationHistory

CASES = 700


def evaluator(folder: Path) -> SupervisedEvaluator:
    """Evaluate so many cases that a table takes several blocks of a disk."""
    label = torch.zeros(1, 1, 4, 6)
    label[..., 1:3, 2:5] = 1
    saver = AtomicMetricsSaver(
        save_dir=str(folder / "metrics"), metrics="*", metric_details="*", summary_ops=["mean", "max"]
    )
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{"image": label, "label": label}] * CASES,
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        key_val_metric={"val_dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        val_handlers=[ValidationHistory(folder / "validation.csv"), saver],
    )


def tables(folder: Path) -> dict[str, str]:
    """Return the tables, all of which are whole."""
    files = [file for file in sorted(folder.rglob("*.csv")) if "/." not in file.as_posix()]
    for file in files:
        with file.open(newline="") as opened:
            rows = list(csv.reader(opened))
        assert len({len(row) for row in rows if len(row) > 1}) == 1, file
        assert file.name != "val_dice_raw.csv" or len(rows) == CASES + 1
    return {file.name: file.read_text() for file in files}


NAMES = ["metrics.csv", "val_dice_raw.csv", "val_dice_summary.csv", "validation.csv"]


@pytest.mark.parametrize("left", [0, 4096, 8192, 16384])
def test_a_full_disk_leaves_whole_tables(left: int, small_disk: Disk) -> None:
    disk = small_disk(256)
    engine = evaluator(disk)
    engine.run(1)
    before = tables(disk)
    assert list(before) == NAMES
    assert len(before["val_dice_raw.csv"]) > 4096
    filler = fill(disk, leave_bytes=left)
    with pytest.raises(OSError, match="No space left on device"):
        engine.run(2)
    after = tables(disk)
    assert list(after) == NAMES
    assert after["val_dice_raw.csv"] == before["val_dice_raw.csv"]
    assert not list(disk.rglob(".*")), "nothing is left unfinished"
    filler.unlink()
    evaluator(disk).run(3)
    assert list(tables(disk)) == NAMES
    assert tables(disk)["validation.csv"].splitlines()[-1].startswith("3,")


def test_a_protected_disk_keeps_the_tables(small_disk: Disk) -> None:
    disk = small_disk(256)
    engine = evaluator(disk)
    engine.run(1)
    before = tables(disk)
    protect(disk)
    with pytest.raises(OSError, match="Read-only file system"):
        engine.run(2)
    assert tables(disk) == before


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import torch
from monai_topo._utils.io import remove_unfinished
from test_tables_faults import NAMES, evaluator, tables
torch.set_num_threads(1)
folder = Path(sys.argv[3])
for call in ("fsync", "replace"):
    for count in (1, 2, 3, 4):
        evaluator(folder / f"{call}{count}").run(1)
        child = os.fork()
        if not child:
            done, calls = getattr(os, call), iter(range(1, 100))
            def kill(*arguments):
                if next(calls) == count:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done(*arguments)
            setattr(os, call, kill)
            evaluator(folder / f"{call}{count}").run(2)
            os._exit(0)
        status, before = os.waitpid(child, 0)[1], list(tables(folder / f"{call}{count}"))
        remove_unfinished(folder / f"{call}{count}")
        left = sorted(file.name for file in (folder / f"{call}{count}").rglob("*") if file.is_file())
        print(status, before == NAMES, left == NAMES, len(list((folder / f"{call}{count}").rglob(".*"))))
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_tables(tmp_path: Path) -> None:
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", KILLED, str(here), str(here.parent), str(tmp_path)]
    run: Any = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[:-1] == ["9 True True 0"] * 8
