"""The state of a training run: its content, when it is written, the random numbers of an epoch, and early stopping."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.inferers import SimpleInferer
from monai.transforms import RandGaussianNoise

from monai_topo.handlers import (
    AtomicCheckpointSaver,
    AtomicMetricsSaver,
    EpochSeedHandler,
    PredictionPictures,
    ResumeHandler,
    ValidationEarlyStop,
    ValidationHistory,
)


def trainer_of(network: torch.nn.Linear, path: Path, **settings: Any) -> tuple[Engine, ResumeHandler]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)

    def step(engine: Engine, batch: float) -> None:
        optimizer.zero_grad()
        network(torch.full((1, 3), batch)).sum().backward()
        optimizer.step()

    trainer = Engine(step)
    state = ResumeHandler(path, {"network": network, "optimizer": optimizer, "nothing": None}, **settings)
    state.attach(trainer)
    return trainer, state


def test_a_training_run_resumes_where_its_state_was_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole, begun, resumed = (torch.nn.Linear(3, 2) for _ in range(3))
    begun.load_state_dict(whole.state_dict())
    data, path = [0.5, -1.0, 2.0], tmp_path / "checkpoint.pt"
    trainer_of(whole, tmp_path / "whole.pt")[0].run(data, max_epochs=5)
    trainer_of(begun, path)[0].run(data, max_epochs=2)
    trainer, _ = trainer_of(resumed, path)
    epochs: list[int] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: epochs.append(engine.state.epoch))
    trainer.run(data, max_epochs=5)
    assert epochs == [3, 4, 5]
    assert trainer.state.iteration == 15
    assert torch.equal(resumed.weight, whole.weight)


def test_the_state_is_written_after_all_others_and_when_due(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    trainer, state = trainer_of(network, tmp_path / "checkpoint.pt", interval=2)
    written: list[tuple[int, bool]] = []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: written.append((engine.state.epoch, state.path.exists()))
    )
    (tmp_path / ".checkpoint.0123.pt").write_bytes(b"half of one, from a kill")
    saved: list[int] = []
    trainer.add_event_handler(Events.COMPLETED, lambda engine: saved.append(torch.load(state.path)["epoch"]))
    trainer.run([1.0], max_epochs=5)
    assert written == [(1, False), (2, False), (3, True), (4, True), (5, True)]
    assert saved == [5], "the last epoch, due or not"
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint.pt", "checkpoint.previous.pt"}


def test_other_data_are_refused(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    trainer_of(network, tmp_path / "checkpoint.pt")[0].run([1.0, 2.0], max_epochs=1)
    with pytest.raises(ValueError, match="3 steps per epoch, but got 2; resume with the data"):
        trainer_of(network, tmp_path / "checkpoint.pt")[0].run([1.0, 2.0, 3.0], max_epochs=2)


def test_an_epoch_draws_the_same_numbers_whatever_was_drawn_before() -> None:
    dataset = Dataset(torch.zeros(4, 1, 3), transform=RandGaussianNoise(prob=1.0))
    seed = EpochSeedHandler(7, dataset)

    def drawn(epoch: int) -> tuple[float, ...]:
        seed(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))
        return (random.random(), float(np.random.rand()), float(torch.rand(1)), float(dataset[0].sum()))  # noqa: NPY002

    first = drawn(3)
    other = drawn(4)
    assert drawn(3) == first
    assert all(a != b for a, b in zip(first, other, strict=True))
    before = torch.get_rng_state()
    EpochSeedHandler(None, dataset)(SimpleNamespace(state=SimpleNamespace(epoch=3)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("patience", "not_before", "best_epochs", "last"),
    [
        (None, 0, {1}, 9),
        (3, 0, {1}, 4),
        (3, 0, {1, 3}, 6),
        (3, 5, {1, 3}, 8),  # a warm-up of five epochs counts as progress
        (1, 0, {1, 2}, 3),
    ],
)
def test_training_ends_without_improvement(
    patience: int | None, not_before: int, best_epochs: set[int], last: int
) -> None:
    validator: Any = SimpleNamespace(state=SimpleNamespace(best_metric_epoch=-1))
    trainer = Engine(lambda engine, batch: None)

    def validate(engine: Engine) -> None:
        if engine.state.epoch in best_epochs:
            validator.state.best_metric_epoch = engine.state.epoch

    trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    ValidationEarlyStop(validator, patience, not_before).attach(trainer)
    trainer.run([0], max_epochs=9)
    assert trainer.state.epoch == last


def bar() -> torch.Tensor:
    mask = torch.zeros(1, 1, 15, 24)
    mask[..., 6:9, 3:21] = 1
    return mask


def evaluator(handlers: list[Any], predictions: list[torch.Tensor]) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{"image": prediction, "label": bar()} for prediction in predictions],
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        key_val_metric={"val_dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        val_handlers=handlers,
    )


def test_the_best_model_survives_a_worse_resumed_run(tmp_path: Path) -> None:
    def handlers(network: torch.nn.Module) -> list[Any]:
        saver = AtomicCheckpointSaver(
            save_dir=str(tmp_path), save_dict={"model": network}, save_key_metric=True, key_metric_filename="model.pt"
        )
        return [saver, ValidationHistory(tmp_path / "validation.csv"), PredictionPictures(tmp_path / "all.png")]

    good, worse = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    parts = handlers(good)
    evaluator(parts, [bar()]).run(1)
    states = [part.state_dict() for part in parts]
    torch.save(states, tmp_path / "states.pt")
    resumed = handlers(worse)
    for part, state in zip(resumed, torch.load(tmp_path / "states.pt", weights_only=True), strict=True):
        part.load_state_dict(state)
    evaluator(resumed, [1 - bar()]).run(2)
    assert torch.equal(torch.load(tmp_path / "model.pt")["weight"], good.weight)
    assert [row["epoch"] for row in resumed[1].rows] == [1, 2]
    pictures = PredictionPictures(tmp_path / "all.png")
    pictures.load_state_dict(states[2])
    assert np.array_equal(pictures.snapshots["prediction"][1][0][1], parts[2].snapshots["prediction"][1][0][1])


def test_pictures_of_the_worst_cases(tmp_path: Path) -> None:
    half = bar()
    half[..., 12:] = 0
    pictures = PredictionPictures(
        tmp_path / "worst.png",
        max_cases=2,
        case_score=lambda values: values["val_dice"],
        titles={"Dice": "val_dice"},
    )
    engine = evaluator([pictures], [bar(), 1 - bar(), bar(), half])
    for epoch in (1, 2):
        engine.run(epoch)
        assert [title for title, _ in pictures.snapshots["prediction"][1]] == ["Dice 0", "Dice 0.667"]
        assert len(pictures.fixed) == 2
    with pytest.raises(ValueError, match="Expected `case_score` without `loss`"):
        PredictionPictures(tmp_path / "x.png", case_score=len, loss=SimpleNamespace(weight=0.0, last_components={}))


def test_tables_are_replaced_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = AtomicMetricsSaver(save_dir=str(tmp_path / "metrics"), metrics="*")
    engine = evaluator([saver], [bar()])
    engine.run(1)
    table = tmp_path / "metrics" / "metrics.csv"
    first = table.read_text()
    assert "val_dice" in first

    def half(save_dir: str, **settings: Any) -> None:
        (Path(save_dir) / "metrics.csv").write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr("monai.handlers.metrics_saver.write_metrics_reports", half)
    with pytest.raises(OSError, match="No space left"):
        engine.run(2)
    assert table.read_text() == first
    assert [file.name for file in table.parent.iterdir()] == ["metrics.csv"]
    assert saver.save_dir == str(tmp_path / "metrics")
