"""Run cases of the fuzzer, here or in a process whose crash or standstill is a failure too."""

from __future__ import annotations

import multiprocessing
import queue
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from monai_topo.fuzz.checks import CHECKS

__all__ = ["Failure", "draw_check", "run_case", "run_cases", "watch_cases"]


class Failure(NamedTuple):
    """A case that failed.

    Attributes:
        case: Number of the case.
        check: Name of the check.
        reason: What was wrong.
        trace: Traceback, empty after a crash.
    """

    case: int
    check: str
    reason: str
    trace: str = ""


def draw_check(seed: int, case: int, checks: Sequence[str]) -> tuple[str, np.random.Generator]:
    """Return the name of the check of a case, and the generator that draws the rest of it."""
    rng = np.random.default_rng([seed, case])
    weights = np.array([CHECKS[name][1] for name in checks])
    return checks[int(rng.choice(len(checks), p=weights / weights.sum()))], rng


def run_case(seed: int, case: int, checks: Sequence[str] = tuple(CHECKS)) -> Failure | None:
    """Run one case; None if all is well."""
    name, rng = draw_check(seed, case, checks)
    try:
        CHECKS[name][0](rng)
    except Exception as error:
        return Failure(case, name, f"{type(error).__name__}: {error}", traceback.format_exc())
    return None


def run_cases(
    seed: int, seconds: float, checks: Sequence[str] = tuple(CHECKS), first: int = 0
) -> Iterator[tuple[int, Failure | None]]:
    """Run cases one after another for some time; yield the number of each and its failure."""
    end, case = time.monotonic() + seconds, first
    while time.monotonic() < end:
        yield case, run_case(seed, case, checks)
        case += 1


def watch_cases(
    seed: int, seconds: float, checks: Sequence[str] = tuple(CHECKS), patience: float = 300
) -> Iterator[tuple[int, Failure | None]]:
    """Run cases in another process; if it crashes or stands still in a case, that is its failure, and the next follows.

    Args:
        seed: Seed of all cases.
        seconds: Time for all cases.
        checks: Names of the checks.
        patience: Seconds after which a case stands still.
    """
    end, case = time.monotonic() + seconds, 0
    context = multiprocessing.get_context("spawn")
    while (left := end - time.monotonic()) > 0:
        results: Any = context.Queue()
        process = context.Process(target=_work, args=(results, seed, left, list(checks), case), daemon=True)
        process.start()
        try:
            finished = False
            while not finished:
                result = _next_result(results, process, patience)
                if isinstance(result, str):
                    yield case, Failure(case, draw_check(seed, case, checks)[0], result)
                    case += 1
                    break
                finished = result is None
                if result is not None:
                    yield case, result[1]
                    case += 1
        finally:
            process.kill()
            process.join()


def _work(results: Any, seed: int, seconds: float, checks: Sequence[str], first: int) -> None:
    for case, failure in run_cases(seed, seconds, checks, first):
        results.put((case, failure))
    results.put(None)


def _next_result(results: Any, process: Any, patience: float) -> Any:
    """Return the next result; a sentence if the process has died or stands still."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            return results.get(timeout=1)
        except queue.Empty:
            if not process.is_alive() and results.empty():
                return f"the process ended with status {process.exitcode}"
    return f"no result in {patience:.0f} seconds"
