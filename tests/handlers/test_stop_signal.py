"""A training run that stops at a signal in any step, and goes on with the result of an uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults import cut, flip_bit
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoise

from monai_topo.handlers import EpochSeedHandler, ResumeHandler, StopSignal

STEPS, EPOCHS = 4, 3


class Run:
    """A small training run whose result depends on every random number: of the data, the workers, and the network."""

    def __init__(
        self, path: Path, *, kill_at: int = 0, workers: int = 0, accumulate: int = 1, interval: int = 1
    ) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Dropout(), torch.nn.Linear(6, 1))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.05)
        self.stop = StopSignal()
        self.losses: dict[int, float] = {}
        dataset = Dataset(torch.linspace(-1, 1, 2 * STEPS * 5).view(-1, 5), transform=RandGaussianNoise(prob=1.0))
        self.loader = DataLoader(dataset, batch_size=2, shuffle=True, num_workers=workers)
        self.kill_at, self.accumulate = kill_at, accumulate
        self.trainer: Any = Engine(self.step)
        self.trainer.accumulation_steps = accumulate
        state = ResumeHandler(
            path, {"network": self.network, "optimizer": self.optimizer}, interval=interval, stop=self.stop
        )
        state.attach(self.trainer)
        EpochSeedHandler(7, dataset).attach(self.trainer)
        self.ended: list[int] = []
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.ended.append(engine.state.epoch))

    def step(self, engine: Engine, batch: torch.Tensor) -> None:
        place = (engine.state.iteration - 1) % STEPS
        if place % self.accumulate == 0:
            self.optimizer.zero_grad()
        loss = self.network(batch).sum() + float(np.random.rand())  # noqa: NPY002
        loss.backward()
        if (place + 1) % self.accumulate == 0 or place + 1 == STEPS:
            self.optimizer.step()
        self.losses[engine.state.iteration] = float(loss.detach())
        if engine.state.iteration == self.kill_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def run(self) -> Run:
        with self.stop:
            self.trainer.run(self.loader, max_epochs=EPOCHS)
        return self


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_a_run_stopped_in_any_step_goes_on_with_the_same_result(accumulate: int, tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole.pt", accumulate=accumulate).run()
    for kill_at in range(1, STEPS * EPOCHS + 1):
        path = tmp_path / f"{kill_at}.pt"
        first = Run(path, accumulate=accumulate, interval=2, kill_at=kill_at).run()
        last = max(first.losses)
        steps_of_optimizer = {step for step in range(1, 100) if step % STEPS % accumulate == 0}
        assert last == min(step for step in steps_of_optimizer if step >= kill_at), "at once"
        assert first.stop.received == "SIGTERM"
        second = Run(path, accumulate=accumulate, interval=2).run()
        assert {**first.losses, **second.losses} == whole.losses
        assert not first.losses.keys() & second.losses.keys(), "no step is repeated"
        assert first.ended + second.ended == whole.ended
        for one, other in zip(second.network.parameters(), whole.network.parameters(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.slow
def test_with_workers_too(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole.pt", workers=2).run()
    first = Run(tmp_path / "state.pt", workers=2, kill_at=6).run()
    second = Run(tmp_path / "state.pt", workers=2).run()
    assert {**first.losses, **second.losses} == whole.losses
    assert min(second.losses) == 7


def test_without_a_signal_nothing_changes(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = Run(tmp_path / "state.pt").run()
    assert run.stop.received is None
    assert len(run.losses) == STEPS * EPOCHS
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_a_second_signal_ends_the_process() -> None:
    script = """
import os, signal, sys, time
from monai_topo.handlers import StopSignal
with StopSignal():
    for number in (1, 2):
        os.kill(os.getpid(), signal.SIGTERM)
        print(number, flush=True)
        time.sleep(0.1)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGTERM
    assert run.stdout == "1\n"
    assert "SIGTERM: stopping after the current step." in run.stderr


def test_in_a_thread_python_has_no_signals() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with StopSignal() as stop:
                assert not stop.is_requested()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors


@pytest.mark.parametrize("damage", [flip_bit, cut, Path.unlink])
def test_a_damaged_state_is_replaced_by_the_one_before(
    damage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.pt"
    whole = Run(path).run()
    damage(path)
    again = Run(path).run()
    assert list(again.losses) == [9, 10, 11, 12], "the epoch after the state before"
    assert "The state before it, state.previous.pt, is taken." in caplog.text
    for one, other in zip(again.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(one, other)
    for file in tmp_path.iterdir():
        cut(file)
    with pytest.raises(ValueError, match=r"state\.previous\.pt to be complete"):
        Run(path).run()
    (tmp_path / "state.previous.pt").unlink()
    with pytest.raises(ValueError, match="There is no state before it: start a new training run"):
        Run(path).run()


def test_states_of_other_versions_and_networks(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    whole = Run(path, kill_at=8).run()  # the end of the second epoch
    state = torch.load(path, weights_only=True)
    old = {name: value for name, value in state.items() if name not in ("format", "iteration", "random")}
    torch.save(old, path)
    assert list(Run(path).run().losses) == [9, 10, 11, 12], "a state without a version is read"
    torch.save({**state, "format": {"version": 99, "monai_topo": "7.0"}}, path)
    with pytest.raises(ValueError, match=r"of version 2 or older, but got 99; use monai_topo 7\.0 or newer"):
        Run(path).run()
    torch.save({"model": whole.network.state_dict()}, path)
    with pytest.raises(ValueError, match=r"state\.pt to be the state of a training run, but got another file"):
        Run(path).run()
    torch.save({**state, "objects": {"network": state["objects"]["network"]}}, path)
    with pytest.raises(ValueError, match=r"to hold the state of 'optimizer', but got \['network'\] only"):
        Run(path).run()
    state["objects"]["network"]["0.weight"] = torch.zeros(4, 5)
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"'0\.weight' has shape \(4, 5\) in the file and \(6, 5\) in the network"):
        Run(path).run()


def test_signals_are_noted_while_another_library_waits() -> None:
    with StopSignal() as stop:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        time.sleep(0.5)
        assert stop.is_requested()
