"""The fuzzer finds a package that is wrong, crashes or stands still, and prints a line that repeats the case."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_topo.fuzz import checks, images, run_cases
from monai_topo.fuzz.__main__ import main
from monai_topo.fuzz.runner import Failure, draw_check, run_case, watch_cases
from monai_topo.persistence import PersistencePairs

SEED = 3


@pytest.mark.parametrize("name", checks.CHECKS)
def test_every_check_passes_on_some_cases(name: str) -> None:
    failures = [run_case(SEED, case, [name]) for case in range(8)]
    assert failures == [None] * 8


def shifted(pairs: PersistencePairs) -> PersistencePairs:
    """Change one death, as a wrong kernel might."""
    death = pairs.death.clone()
    death[-1:] = (death[-1:] + 1) % pairs.num_voxels
    return PersistencePairs(pairs.image, pairs.dim, pairs.birth, death, pairs.essential, pairs.num_voxels)


def other_essential(pairs: PersistencePairs) -> PersistencePairs:
    """Change the birth of the never-ending component."""
    essential = (pairs.essential + 1) % pairs.num_voxels
    return PersistencePairs(pairs.image, pairs.dim, pairs.birth, pairs.death, essential, pairs.num_voxels)


def without_first(right: Any) -> Any:
    def match(*arguments: Any, **settings: Any) -> Any:
        return dataclasses.replace((found := right(*arguments, **settings)), matched=found.matched[1:])

    return match


class Steeper:
    """A loss whose value rises by as much as its input, without a gradient of that."""

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def __call__(self, likelihood: torch.Tensor, *label: torch.Tensor) -> Any:
        return self.loss(likelihood, *label) + likelihood.detach().sum()


def steeper(right: Any) -> Any:
    return lambda **settings: Steeper(right(**settings))


PAIRS, MATRIX, MATCHING, MATCHING_LOSS, NUMBERS, GRADIENTS = checks.CHECKS
WRONG: list[tuple[str, str, Any]] = [
    (PAIRS, "persistence_pairs", lambda right: lambda *a, **s: shifted(right(*a, **s))),
    (MATRIX, "persistence_pairs", lambda right: lambda *a, **s: shifted(right(*a, **s))),
    (MATRIX, "persistence_pairs", lambda right: lambda *a, **s: other_essential(right(*a, **s))),
    (MATCHING, "betti_matching", lambda right: lambda a, b, **s: right(b, a, **s)),
    (MATCHING, "betti_matching", without_first),
    (MATCHING_LOSS, "betti_matching", without_first),
    (NUMBERS, "betti_numbers", lambda right: lambda *a, **s: right(*a, **s) + 1),
    (NUMBERS, "chunked_betti_numbers", lambda right: lambda *a, **s: right(*a, **s) + 1),
    *((GRADIENTS, f"{name}Loss", steeper) for name in ("Persistence", "BettiMatching", "BettiPrior", "Warping")),
    *((GRADIENTS, f"{name}Loss", steeper) for name in ("ClDice", "SkeletonRecall")),
]


@pytest.mark.parametrize(("name", "function", "break_it"), WRONG)
def test_a_fault_of_each_part_is_found(
    name: str, function: str, break_it: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, function, break_it(getattr(checks, function)))
    failures = [failure for case in range(40) if (failure := run_case(SEED, case, [name])) is not None]
    assert len(failures) >= 2
    assert all(failure.reason.startswith("AssertionError") for failure in failures)
    assert run_case(SEED, failures[0].case, [name]) == failures[0], "the number of a case repeats it"


def test_threads_and_strides_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    right = checks.persistence_pairs

    def moody(batch: torch.Tensor, *, num_threads: int, **settings: Any) -> PersistencePairs:
        pairs = right(batch, num_threads=num_threads, **settings)
        return shifted(pairs) if num_threads == 3 else pairs

    monkeypatch.setattr(checks, "persistence_pairs", moody)
    failures = [run_case(SEED, case, ["pairs against GUDHI"]) for case in range(30)]
    assert any(failure is not None and "other strides and threads" in failure.reason for failure in failures)


def test_images_are_difficult() -> None:
    rng = np.random.default_rng(0)
    drawn = [images.draw_images(rng, images.draw_shape(rng, 200), 2) for _ in range(400)]
    assert {batch.dtype for batch in drawn} == {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    assert all(batch.isfinite().all() for batch in drawn)
    assert {batch.ndim for batch in drawn} == {3, 4}
    found = Counter[str]()
    for batch in drawn:
        found["strides"] += not batch.is_contiguous()
        found["repeated"] += 0 in batch.stride() and batch.shape[0] > 1
        found["thin"] += min(batch.shape[1:]) == 1
        found["huge"] += batch.abs().max() > torch.finfo(batch.dtype).max / 4
        found["tiny"] += 0 < batch.abs().max() < 1e-30
        found["ties"] += any(len(image.unique()) < image.numel() for image in batch)
        found["negative zeros"] += bool((batch.double().numpy() == 0)[np.signbit(batch.double().numpy())].any())
        found["constant"] += batch.min() == batch.max()
    assert min(found.values()) >= 4, found
    assert len(found) == 8


def test_the_line_that_is_printed_repeats_the_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "monai_topo.fuzz.__main__.watch_cases",
        lambda seed, seconds, names: ((case, Failure(case, draw_check(seed, case, names)[0], "x")) for case in [5]),
    )
    assert main(["--seed", "3", "--check", "gradients against differences"]) == 1
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "repeat:" in line)
    command = shlex.split(line.partition("repeat:")[2])
    assert command[:3] == ["python", "-m", "monai_topo.fuzz"]
    assert main(command[3:]) == 0
    assert "gradients against differences: well" in capsys.readouterr().out
    assert "1 of 1 cases failed." in printed


@pytest.mark.slow
@pytest.mark.parametrize(("action", "reason"), [("kill", "ended with status -9"), ("sleep", "no result in 20 seconds")])
def test_a_crash_and_a_standstill_are_failures(action: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_topo.fuzz.runner._work", kill_in_third if action == "kill" else sleep_in_third)
    found = []
    for case, failure in watch_cases(SEED, 600, ["gradients against differences"], patience=20):
        found.append((case, failure))
        if case == 4:
            break
    failed = [failure for _, failure in found if failure is not None]
    assert [case for case, _ in found] == [0, 1, 2, 3, 4]
    assert [failure.case for failure in failed] == [2]
    assert reason in failed[0].reason


def kill_in_third(results: Any, *arguments: Any) -> None:
    _work_until_third(results, arguments, lambda: os.kill(os.getpid(), signal.SIGKILL))


def sleep_in_third(results: Any, *arguments: Any) -> None:
    _work_until_third(results, arguments, lambda: time.sleep(1000))


def _work_until_third(results: Any, arguments: tuple[Any, ...], act: Any) -> None:
    for case, failure in run_cases(*arguments):
        if case == 2:
            results.close()
            results.join_thread()
            act()
        results.put((case, failure))
    results.put(None)


@pytest.mark.slow
def test_the_command_runs_for_its_time_and_is_well() -> None:
    command = [sys.executable, "-m", "monai_topo.fuzz", "--minutes", "0.1", "--seed", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "seed 1, 0.1 minutes" in run.stdout
    assert "cases are well." in run.stdout


def test_a_likelihood_at_the_threshold_of_the_warping_loss_is_no_fault():
    assert run_case(20261199, 18087) is None  # a likelihood of 0.50000007
