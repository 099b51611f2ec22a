"""The handlers of a training run: when it is validated, what is kept and drawn, and how errors are reported."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.inferers import SimpleInferer
from PIL import Image

from monai_topo.bundle import new_run_dir
from monai_topo.handlers import (
    AtomicCheckpointSaver,
    ImageProgress,
    LossComponentLogger,
    PredictionPictures,
    TrainingProgress,
    ValidationHistory,
    ValidationSchedule,
)


def loss_of(weight: float, **components: float) -> Any:
    """The part of a TopologyAwareLoss that the handlers use."""
    return SimpleNamespace(
        weight=weight, last_components={name: torch.tensor(value) for name, value in components.items()}
    )


def bar() -> np.ndarray:
    """A horizontal bar three voxels thick, in an image that is not square."""
    mask = np.zeros((15, 24), dtype=bool)
    mask[6:9, 3:21] = True
    return mask


def evaluator(handlers: list[Any], predictions: list[np.ndarray], label: np.ndarray) -> SupervisedEvaluator:
    cases = [
        {"image": torch.from_numpy(pred)[None, None].float(), "label": torch.from_numpy(label)[None, None].float()}
        for pred in predictions
    ]
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=cases,
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        key_val_metric={"val_dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        val_handlers=handlers,
    )


# --- schedule, history, progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "interval", "also_after", "expected"),
    [(7, 3, (), [3, 6, 7]), (7, 3, (2,), [2, 3, 6, 7]), (2, 10, (0,), [2]), (4, 2, (2,), [2, 4])],
)
def test_validation_is_never_missed(
    epochs: int, interval: int, also_after: tuple[int, ...], expected: list[int]
) -> None:
    schedule = ValidationSchedule(interval, also_after=also_after)
    validated: list[int] = []
    schedule.validator = SimpleNamespace(run=validated.append)
    trainer = Engine(lambda engine, batch: None)
    schedule.attach(trainer)
    trainer.run([0], max_epochs=epochs)
    assert validated == expected


def test_history_is_a_table_with_the_current_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loss = loss_of(0.0)
    history = ValidationHistory(tmp_path / "run" / "validation.csv", loss)
    engine = evaluator([history], [bar()], bar())
    engine.run(3)
    loss.weight = 0.25
    engine.run(6)
    with (tmp_path / "run" / "validation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"epoch": "3", "topology_weight": "0.0", "val_dice": "1.0"},
        {"epoch": "6", "topology_weight": "0.25", "val_dice": "1.0"},
    ]
    assert "epoch 3: dice 1\n" in capsys.readouterr().out


def test_components_omit_terms_that_are_not_computed() -> None:
    assert LossComponentLogger(loss_of(0.0, base=2.0, total=2.0))(None) == {
        "loss/base": 2.0,
        "loss/total": 2.0,
        "loss/weight": 0.0,
    }
    assert LossComponentLogger(loss_of(0.5, base=2.0, topology=4.0, total=4.0))(None)["loss/topology"] == 4.0


def test_progress_is_one_bar_for_all_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Engine(lambda engine, batch: None)
    TrainingProgress(loss_of(0.5, base=2.0, topology=4.0, total=4.0)).attach(trainer)
    trainer.run([0, 1, 2], max_epochs=2)
    drawn = capsys.readouterr().err
    assert "6/6" in drawn
    assert "topology=4" in drawn
    assert drawn.count("\n") == 1


# --- pictures -------------------------------------------------------------------------------------------------------


def test_pictures_show_the_selected_epochs(tmp_path: Path) -> None:
    loss, label = loss_of(0.0), bar()
    pictures = PredictionPictures(tmp_path / "all.png", loss=loss, max_cases=2, titles={"Dice": "val_dice"})
    engine = evaluator([pictures], [label, ~label, label], label)
    engine.run(1)
    assert {name: epoch for name, (epoch, _) in pictures.snapshots.items()} == {
        "topology term off": 1,
        "best": 1,
        "latest": 1,
    }
    with Image.open(tmp_path / "all.png") as picture:
        narrow = picture.size
    loss.weight = 0.5
    engine.run(2)
    assert {name: epoch for name, (epoch, _) in pictures.snapshots.items()} == {
        "topology term off": 1,
        "best": 1,
        "latest": 2,
    }
    assert [title for title, _ in pictures.snapshots["latest"][1]] == ["Dice 1", "Dice 0"]
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.size[0] > narrow[0]
    assert [file.name for file in tmp_path.iterdir()] == ["all.png"]


# --- atomic files ---------------------------------------------------------------------------------------------------


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Linear(2, 3)
    saver = AtomicCheckpointSaver(
        save_dir=str(tmp_path), save_dict={"model": network}, save_key_metric=True, key_metric_filename="model.pt"
    )
    engine = evaluator([saver], [~bar(), bar()], bar())
    engine.run(1)
    saved = (tmp_path / "model.pt").read_bytes()
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].equal(network.weight)

    def half(checkpoint: object, file: Any, **settings: object) -> None:
        file.write(b"half of a checkpoint")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    engine.data_loader = engine.data_loader[1:]  # a better validation, so that it is saved
    with pytest.raises(OSError, match="No space left"):
        engine.run(2)
    assert (tmp_path / "model.pt").read_bytes() == saved
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_run_folders_are_distinct(tmp_path: Path) -> None:
    folders = [new_run_dir(tmp_path) for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(Path(folder).is_dir() for folder in folders)


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "last_line", "has_traceback"),
    [
        ("UserError('Expected `epochs` to be 1.')", "Error: Expected `epochs` to be 1.", False),
        ("ZeroDivisionError('by zero')", "Cause: ZeroDivisionError: by zero", True),
    ],
)
def test_an_error_ends_with_its_cause(first: str, last_line: str, has_traceback: bool, tmp_path: Path) -> None:
    script = f"""
from monai_topo.bundle import UserError, install_error_hook
install_error_hook()
try:
    raise {first}
except Exception as error:
    raise RuntimeError("Failed to evaluate some item") from error
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1] == last_line
    assert ("Traceback" in run.stderr) == has_traceback


def test_progress_of_inference_is_one_bar_over_the_images(capsys: pytest.CaptureFixture[str]) -> None:
    evaluator(handlers=[ImageProgress("validating")], predictions=[bar()] * 3, label=bar()).run()
    drawn = capsys.readouterr().err
    assert "validating" in drawn
    assert "3/3" in drawn
    assert drawn.count("\n") == 1


def test_events_of_the_bar_end_with_the_run() -> None:
    trainer = Engine(lambda engine, batch: None)
    progress = TrainingProgress(loss_of(0.0, base=1.0, total=1.0))
    progress.attach(trainer)
    assert trainer.has_event_handler(progress.completed, Events.COMPLETED)
