"""Compare predictions with cleaned ones, and with a second person's labels, over all cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo.masks.structure_errors import STRUCTURE_ERRORS
from monai_topo.report.intervals import mean_interval
from monai_topo.report.metric_guide import Column

Row = Mapping[str, Any]

__all__ = ["compare_annotators", "compare_metrics", "count_fates"]


def count_fates(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count errors by kind: raw = fixed + left, and those that the clean-up made."""
    counts = []
    for name in STRUCTURE_ERRORS.values():
        raw = [error["after_cleanup"] for result in results for error in result["errors"] if error["kind"] == name]
        cleaned = [error["is_new"] for result in results for error in result["cleaned_errors"] if error["kind"] == name]
        count = {"raw": len(raw), "fixed": raw.count("fixed"), "left": raw.count("left")}
        if raw or cleaned:
            counts.append({"kind": name, **count, "made": sum(cleaned), "cleaned": len(cleaned)})
    return counts


def compare_metrics(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Compare raw and cleaned cases: means over cases that have both numbers, and counts of better and worse ones."""
    compared = []
    for column in columns:
        pairs = _select_pairs(rows, column, "cleaned")
        if not pairs or not column.better:
            continue
        raw, cleaned = np.mean(_values(pairs, column, "cleaned"), axis=0).tolist()
        better, worse = _count_better(pairs, column, "cleaned")
        counts = {"cases_better": better, "cases_worse": worse}
        compared.append({**column._asdict(), "raw": raw, "cleaned": cleaned, **counts})
    return compared


def compare_annotators(rows: Sequence[Row], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Compare the model with a second person, both measured against the first person's labels.

    Only cases with both numbers count: their number, both means with intervals, and in how many each is better.
    """
    compared = []
    for column in columns:
        pairs = _select_pairs(rows, column, "human")
        if not pairs or not column.better:
            continue
        model, human = np.mean(_values(pairs, column, "human"), axis=0).tolist()
        human_better, model_better = _count_better(pairs, column, "human")
        compared.append(
            {
                **column._asdict(),
                "cases": len(pairs),
                "model": model,
                "model_interval": mean_interval(pairs, column.name),
                "human": human,
                "human_interval": mean_interval(pairs, f"human_{column.name}"),
                "cases_model_better": model_better,
                "cases_human_better": human_better,
            }
        )
    return compared


def _values(rows: Sequence[Row], column: Column, prefix: str) -> NDArray[np.float64]:
    """Return a column of the predictions and of the other masks, `(N, 2)`; NaN where a row lacks it."""
    pairs = [(row.get(column.name, np.nan), row.get(f"{prefix}_{column.name}", np.nan)) for row in rows]
    return np.array(pairs, dtype=float).reshape(-1, 2)


def _select_pairs(rows: Sequence[Row], column: Column, prefix: str) -> list[Row]:
    complete = np.flatnonzero(~np.isnan(_values(rows, column, prefix)).any(axis=1))
    return [rows[int(index)] for index in complete]


def _count_better(rows: Sequence[Row], column: Column, prefix: str) -> tuple[int, int]:
    """Count the cases in which the other mask is better, and those in which it is worse."""
    gain = np.diff(_values(rows, column, prefix)).ravel() * (1 if column.better == "higher" else -1)
    return int((gain > 0).sum()), int((gain < 0).sum())
