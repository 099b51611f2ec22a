"""Process cases in one or several processes with a progress bar; skip and name those that fail, keep finished ones."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from monai_topo._utils.errors import UserError

__all__ = ["Failure", "FinishedCases", "map_cases"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Failure(NamedTuple):
    """The reason why a case has no result, as a sentence."""

    sentence: str


def map_cases(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, title: str
) -> Iterator[tuple[int, Result | Failure]]:
    """Call a function on every item, and yield the index and the result of each item when it is done.

    Args:
        work: Function of a module (or a partial of one), since other processes import it.
        items: Arguments of the calls.
        jobs: Number of processes; 1 uses the present process.
        title: Text before the progress bar.

    Yields:
        The index of an item and its result, or a `Failure` if the call has raised an exception.

    Raises:
        UserError: If another process was killed, usually because memory ran out.
    """
    if not items:
        return
    with _make_bar(len(items), title) as bar:
        for index, result in _map_here(work, items) if jobs == 1 else _map_in_pool(work, items, jobs):
            if isinstance(result, Failure):
                bar.write(result.sentence, file=sys.stderr)
            bar.update()
            yield index, result


def _map_here(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Failure]]:
    for index, item in enumerate(items):
        yield index, _try(work, item)


def _map_in_pool(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[int, Result | Failure]]:
    # Never forked from this process: torch's threads do not survive that. A server that has only imported modules
    # forks cheaply.
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    if has_server:
        context.set_forkserver_preload(["monai_topo.report.cases", "monai_topo.report.label_drawings"])
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=context, initializer=_use_one_thread)
    try:
        futures = {pool.submit(_try, work, item): index for index, item in enumerate(items)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"Expected {jobs} processes to finish, but got one killed, usually because memory ran out. Finished cases "
            "are kept: run the same command with fewer --jobs."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _try(work: Callable[[Item], Result], item: Item) -> Result | Failure:
    try:
        return work(item)
    except UserError as error:
        return Failure(str(error))
    except Exception as error:  # one broken case must not stop the others
        return Failure(f"{getattr(item, 'label', item)}: {type(error).__name__}: {error}")


def _make_bar(total: int, title: str) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total, desc=title, unit="case", mininterval=0.5 if sys.stderr.isatty() else 30, dynamic_ncols=True
    )


class FinishedCases:
    """Store of the results of finished cases, so that a killed run loses none of them.

    The store is a file of one JSON line per case next to the page; it is removed after the page is written. A result is
    reused only if the settings, the version, and the paths, sizes and modification times of the files are the same. An
    incomplete line, the last one of a killed run, is ignored.

    Args:
        page: Page that the results are for.
        settings: Settings that the results depend on, in addition to the files.
    """

    def __init__(self, page: Path, settings: dict[str, Any]) -> None:
        self.path = page.with_suffix(".unfinished.jsonl")
        self.settings = settings
        self._results: dict[str, Any] = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._results[entry["key"]] = entry["result"]
                except (ValueError, KeyError, TypeError):
                    continue

    def get(self, files: Iterable[Path], part: str = "") -> Any:
        """Return the result for these files, or for a part of them such as a class; None if there is none."""
        return self._results.get(self._key(files, part))

    def add(self, files: Iterable[Path], result: Any, part: str = "") -> None:
        """Store the result for these files, or for a part of them."""
        line = json.dumps({"key": self._key(files, part), "result": result})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n" if self.path.stat().st_size else f"{line}\n")

    def remove(self) -> None:
        """Delete the store."""
        self.path.unlink(missing_ok=True)

    def _key(self, files: Iterable[Path], part: str) -> str:
        stamps = []
        for file in files:
            status = file.stat() if file.exists() else None
            stamps.append([str(file.absolute()), *((status.st_size, status.st_mtime_ns) if status else ())])
        text = json.dumps([self.settings, stamps, part], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]
