"""Rows of cases summed up, and written as CSV and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from monai_topo._utils.io import atomic_write

__all__ = ["Summary", "shown", "summary_of", "write_csv", "write_json"]

Row = Mapping[str, Any]


class Summary(NamedTuple):
    """One column over all cases that have a number there; NaN, "not applicable", is none."""

    cases: int
    mean: float
    std: float
    median: float
    least: float
    greatest: float


def summary_of(rows: Sequence[Row], name: str) -> Summary | None:
    """Sum up a column; None if no case has a number there. The standard deviation is that of the cases themselves."""
    values = np.array([row[name] for row in rows if name in row and not math.isnan(row[name])])
    if not len(values):
        return None
    numbers = (values.mean(), values.std(), np.median(values), values.min(), values.max())
    return Summary(len(values), *map(float, numbers))


def shown(value: Any) -> str:
    """A value for the eye: whole numbers as such, others with about three digits, a dash for NaN."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if math.isnan(value):
        return "\u2013"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", "\u202f")
    size = abs(value)
    if size < 0.01:
        return f"{value:.2g}"
    return f"{value:.{3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0}f}"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as they come; columns in the order in which they appear, NaN left empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_write(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, restval="")
        table.writeheader()
        table.writerows({name: "" if _is_nan(value) else value for name, value in row.items()} for row in rows)


def write_json(path: Path, content: Any) -> None:
    """Write JSON as other programs read it: NaN as null."""
    with atomic_write(path) as unfinished:
        text = json.dumps(_without_nan(content), indent=1, allow_nan=False, ensure_ascii=False)
        unfinished.write_text(text + "\n", encoding="utf-8")


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_nan(value) for value in content]
    return None if _is_nan(content) else content


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
