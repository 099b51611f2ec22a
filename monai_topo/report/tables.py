"""Summarize and format the rows of cases, and write them as CSV and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from monai_topo._utils.io import atomic_write

__all__ = [
    "Summary",
    "format_extent",
    "format_value",
    "row_title",
    "summarize",
    "summarize_all",
    "summarize_parts",
    "write_csv",
    "write_json",
]

Row = Mapping[str, Any]


class Summary(NamedTuple):
    """Statistics of one column over all cases that have a number there; NaN ("not applicable") does not count."""

    cases: int
    mean: float
    std: float
    median: float
    least: float
    greatest: float


def summarize(rows: Sequence[Row], name: str) -> Summary | None:
    """Summarize a column; return None if no case has a number there.

    The standard deviation is that of the cases themselves (no Bessel correction).
    """
    values = np.array([row[name] for row in rows if name in row and not math.isnan(row[name])])
    if not len(values):
        return None
    numbers = (values.mean(), values.std(), np.median(values), values.min(), values.max())
    return Summary(len(values), *map(float, numbers))


def summarize_all(rows: Sequence[Row], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Summarize those of the columns that have a number in some case."""
    return {name: summary._asdict() for name in names if (summary := summarize(rows, name))}


def summarize_parts(rows: Sequence[Row], names: Sequence[str]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Summarize the columns by class and by fold, if there are several of them."""
    parts = {}
    for key in ("class", "fold"):
        values = list(dict.fromkeys(row[key] for row in rows if key in row))
        if len(values) > 1:
            of = {value: [row for row in rows if row.get(key) == value] for value in sorted(values)}
            parts[f"summary_by_{key}"] = {value: summarize_all(some, names) for value, some in of.items()}
    return parts


def row_title(row: Row) -> str:
    """Return the name of a row's case, with its class."""
    return f"{row['case']}, {row['class']}" if "class" in row else str(row["case"])


def format_value(value: Any) -> str:
    """Format a value for display: whole numbers exactly, others with about three digits, NaN as a dash."""
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


def format_extent(lengths: Sequence[float]) -> str:
    """Format the numbers of all axes, such as a shape or spacing: `"512 x 512 x 20"`."""
    return " x ".join(str(length) if isinstance(length, int) else f"{length:.3g}" for length in lengths)


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = ()) -> None:
    """Write rows in their order, with the given columns, then others as they appear, and NaN as an empty cell."""
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, restval="")
        table.writeheader()
        table.writerows({name: _format_cell(value) for name, value in row.items()} for row in rows)


def write_json(path: Path, content: Any) -> None:
    """Write standard JSON: NaN as null."""
    with atomic_write(path) as partial:
        text = json.dumps(_replace_nan(content), indent=1, allow_nan=False, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")


def _format_cell(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return format_extent(value)
    return "" if _is_nan(value) else value


def _replace_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _replace_nan(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_replace_nan(value) for value in content]
    return None if _is_nan(content) else content


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
