"""Compare raw and cleaned predictions over all cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monai_topo.masks.structure_errors import STRUCTURE_ERRORS
from monai_topo.report.metric_guide import Column

__all__ = ["compare_metrics", "count_fates"]


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
        pairs = np.array([(row.get(column.name, np.nan), row.get(f"cleaned_{column.name}", np.nan)) for row in rows])
        pairs = pairs[~np.isnan(pairs).any(axis=1)]
        if not len(pairs) or not column.better:
            continue
        raw, cleaned = pairs.mean(axis=0).tolist()
        gain = (pairs[:, 1] - pairs[:, 0]) * (1 if column.better == "higher" else -1)
        better, worse = int((gain > 0).sum()), int((gain < 0).sum())
        counts = {"cases_better": better, "cases_worse": worse}
        compared.append({**column._asdict(), "raw": raw, "cleaned": cleaned, **counts})
    return compared
