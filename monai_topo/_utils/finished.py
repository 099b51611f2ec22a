"""Results of finished cases in a file, which a repeated run takes instead of computing them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["FinishedCases"]


class FinishedCases:
    """Store of the results of finished cases, so that a killed run loses none of them.

    The store is a file of one JSON line per case next to the output; it is removed when all is done. A result is reused
    only if the settings, the version, and the paths, sizes and modification times of the files are the same. An
    incomplete line, the last one of a killed run, is ignored.

    Args:
        page: Output that the results are for, such as the page of a report; the store lies next to it.
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

    def get(self, files: Iterable[Path]) -> Any:
        """Return the result for these files, or None."""
        return self._results.get(self._key(files))

    def add(self, files: Iterable[Path], result: Any) -> None:
        """Store the result for these files."""
        line = json.dumps({"key": self._key(files), "result": result})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n" if self.path.stat().st_size else f"{line}\n")

    def remove(self) -> None:
        """Delete the store."""
        self.path.unlink(missing_ok=True)

    def _key(self, files: Iterable[Path]) -> str:
        stamps = []
        for file in files:
            status = file.stat() if file.exists() else None
            stamps.append([str(file.absolute()), *((status.st_size, status.st_mtime_ns) if status else ())])
        text = json.dumps([self.settings, stamps], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]
