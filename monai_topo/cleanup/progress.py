"""Progress bar of a search, whose length becomes known as it goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from monai.utils import optional_import

__all__ = ["Progress", "search_progress"]

tqdm, _has_tqdm = optional_import("tqdm", name="tqdm")


class Progress:
    """Count of cleaned cases, out of those that are known to come; `bar` is a bar of tqdm, or None."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._lock = Lock()

    def extend(self, number: int) -> None:
        """Add cases to come."""
        if self._bar is not None and number:
            self._bar.total += number  # shown at the next update

    def advance(self) -> None:
        """Count a case as done."""
        if self._bar is not None:
            with self._lock:
                self._bar.update()


@contextmanager
def search_progress(*, shown: bool) -> Iterator[Progress]:
    """Show a bar within the block, if that is wanted and tqdm is installed."""
    if not shown or not _has_tqdm:
        yield Progress(None)
        return
    interval = 0.5 if sys.stderr.isatty() else 30
    with tqdm(total=0, desc="choosing a clean-up", unit="case", mininterval=interval, dynamic_ncols=True) as bar:
        yield Progress(bar)
