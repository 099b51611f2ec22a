"""Atomic file writes."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Beginning of the names of temporary folders beside files that are being written.
UNFINISHED = ".unfinished-"
_UNFINISHED_FILE = re.compile(r"\..+\.[0-9a-f]{32}(\..*)?")


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


def remove_unfinished(folder: Path) -> None:
    """Delete the temporary files and folders that killed processes left in a folder and below it.

    No other process may write there.
    """
    for path in list(folder.rglob(".*")):
        if path.name.startswith(UNFINISHED) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif _UNFINISHED_FILE.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
