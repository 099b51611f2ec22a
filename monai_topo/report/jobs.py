"""Process cases in one or several processes with a progress bar; skip and name those that fail."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, TypeVar

from monai_topo._utils.errors import UserError

__all__ = ["Failure", "map_cases"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Failure(NamedTuple):
    """The reason why a case has no result, as a sentence."""

    sentence: str


class _OutOfTime(BaseException):
    """The time of a case is over; not an `Exception`, so that no fallback of a metric catches it."""


def map_cases(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, title: str, time_limit: int | None = None
) -> Iterator[tuple[int, Result | Failure]]:
    """Call a function on every item, and yield the index and the result of each item when it is done.

    Args:
        work: Function of a module (or a partial of one), since other processes import it.
        items: Arguments of the calls.
        jobs: Number of processes; 1 uses the present process.
        title: Text before the progress bar.
        time_limit: Seconds after which a call is given up, as soon as its present step in the kernel ends; None for no
            limit.

    Yields:
        The index of an item and its result, or a `Failure` if the call has raised an exception.

    Raises:
        UserError: If another process was killed, usually because memory ran out, or if there is no timer for the limit.
    """
    has_timer = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if time_limit is not None and not has_timer:
        raise UserError("Expected --time-limit only on Linux and macOS, whose processes have a timer; leave it out.")
    if not items:
        return
    call = partial(_try, work, time_limit=time_limit)
    with _make_bar(len(items), title) as bar:
        for index, result in _map_here(call, items) if jobs == 1 else _map_in_pool(call, items, jobs):
            if isinstance(result, Failure):
                bar.write(result.sentence, file=sys.stderr)
            bar.update()
            yield index, result


def _map_here(
    call: Callable[[Item], Result | Failure], items: Sequence[Item]
) -> Iterator[tuple[int, Result | Failure]]:
    for index, item in enumerate(items):
        yield index, call(item)


def _map_in_pool(
    call: Callable[[Item], Result | Failure], items: Sequence[Item], jobs: int
) -> Iterator[tuple[int, Result | Failure]]:
    # Never forked from this process: torch's threads do not survive that. A server that has only imported modules
    # forks cheaply.
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    if has_server:
        context.set_forkserver_preload(["monai_topo.report.cases", "monai_topo.report.label_drawings"])
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=context, initializer=_prepare_process)
    try:
        futures = {pool.submit(call, item): index for index, item in enumerate(items)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"Expected {jobs} processes to finish, but got one killed, usually because memory ran out. Finished cases "
            "are kept: run the same command with fewer --jobs."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare_process() -> None:
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process if the command is killed: it would otherwise wait for cases forever and keep its memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _try(work: Callable[[Item], Result], item: Item, time_limit: int | None) -> Result | Failure:
    name = getattr(item, "label", item)
    try:
        with _limit(time_limit):
            return work(item)
    except UserError as error:
        return Failure(str(error))
    except _OutOfTime:
        return Failure(f"{name}: took longer than --time-limit, {time_limit} seconds, and is left out.")
    except Exception as error:  # one broken case must not stop the others
        return Failure(f"{name}: {type(error).__name__}: {error}")


@contextmanager
def _limit(seconds: int | None) -> Iterator[None]:
    """Raise `_OutOfTime` in this block after some seconds; Python calls the handler between two steps in the kernel."""
    if seconds is None:
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _make_bar(total: int, title: str) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total, desc=title, unit="case", mininterval=0.5 if sys.stderr.isatty() else 30, dynamic_ncols=True
    )
