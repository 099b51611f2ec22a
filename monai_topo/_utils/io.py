"""Atomic file writes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and move it to `path` when the block ends without an exception.

    A reader of `path`, during the block or after a kill or a power cut, finds the previous file or none, never a part
    of a file. The folder of `path` is created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield unfinished
        with unfinished.open("rb+") as written:  # Windows flushes only files that may be written to
            os.fsync(written.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
