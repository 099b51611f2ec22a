"""Cases worked on one after another or side by side, with a progress bar; one that fails is named and passed over."""

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
    """Why a case has no result, as a sentence."""

    sentence: str


def map_cases(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, title: str
) -> Iterator[tuple[int, Result | Failure]]:
    """Do a piece of work on every item, and yield its index and result as it is done.

    Args:
        work: a function, or partial of one, of a module, as other processes import it.
        items: what it is called with.
        jobs: processes at a time; 1 works in this one.
        title: what stands before the progress bar.

    Raises:
        UserError: if another process was killed, mostly for want of memory.
    """
    if not items:
        return
    with _bar(len(items), title) as bar:
        for index, result in _here(work, items) if jobs == 1 else _side_by_side(work, items, jobs):
            if isinstance(result, Failure):
                bar.write(result.sentence, file=sys.stderr)
            bar.update()
            yield index, result


def _here(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Failure]]:
    for index, item in enumerate(items):
        yield index, _tried(work, item)


def _side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[int, Result | Failure]]:
    # Never forked from here: torch's threads do not survive that. A server that has only imported forks cheaply.
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    if has_server:
        context.set_forkserver_preload(["monai_topo.report.cases", "monai_topo.report.label_drawings"])
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=context, initializer=_one_thread)
    try:
        futures = {pool.submit(_tried, work, item): index for index, item in enumerate(items)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"Expected {jobs} processes to work side by side, but got one killed, mostly for want of memory. Finished "
            "cases are kept: give the same command with fewer --jobs."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _tried(work: Callable[[Item], Result], item: Item) -> Result | Failure:
    try:
        return work(item)
    except UserError as error:
        return Failure(str(error))
    except Exception as error:  # of one case among many; the others are worth having
        return Failure(f"{_named(item)}: {type(error).__name__}: {error}")


def _named(item: Any) -> str:
    return str(getattr(item, "label", item))


def _bar(total: int, title: str) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total, desc=title, unit="case", mininterval=0.5 if sys.stderr.isatty() else 30, dynamic_ncols=True
    )


class FinishedCases:
    """Results of finished cases in a file of one JSON line each, so that a run that was killed loses none.

    A file beside the page, which is removed once the page is written. A result is taken up again only if settings,
    version and the files' paths, sizes and times of change are the same; half a line, the last one of a run that was
    killed, counts for nothing.

    Args:
        page: the page that the results are for.
        settings: what they hang on beside the files.
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

    def get(self, files: Iterable[Path]) -> Any:
        """The result for these files, or None."""
        return self._results.get(self._key(files))

    def add(self, files: Iterable[Path], result: Any) -> None:
        """Keep a result."""
        line = json.dumps({"key": self._key(files), "result": result})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n" if self.path.stat().st_size else f"{line}\n")

    def remove(self) -> None:
        """Forget everything: the page is written."""
        self.path.unlink(missing_ok=True)

    def _key(self, files: Iterable[Path]) -> str:
        stamps = []
        for file in files:
            status = file.stat() if file.exists() else None
            stamps.append([str(file.absolute()), *((status.st_size, status.st_mtime_ns) if status else ())])
        text = json.dumps([self.settings, stamps], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]
