"""Bootstrap intervals of means over cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.optional import require

__all__ = ["INTERVALS", "add_intervals", "mean_interval"]

_BLOCK = 2**22  # numbers that are drawn at once, 32 MiB

#: How intervals are computed; the JSON file and the page state it.
INTERVALS: dict[str, Any] = {
    "method": "bootstrap over cases, bias-corrected and accelerated (BCa)",
    "confidence": 0.95,
    "resamples": 9999,
    "seed": 0,
    "least_cases": 5,
}


def mean_interval(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float] | None:
    """Compute the interval of a column's mean: 95 %, from 9999 resamples of the cases, with a fixed seed.

    Cases are drawn, not rows: the classes of a case stay together, since their errors depend on each other. The method
    is the bias-corrected and accelerated bootstrap (Efron, J. American Statistical Association 82, 1987) of
    `scipy.stats.bootstrap`. It describes how the mean would vary with other cases, not with another training.

    Args:
        rows: Rows of the table; NaN ("not applicable") does not count.
        name: Name of the column.

    Returns:
        Lower and upper end; None for fewer than 5 cases, of which no useful interval can be made, and for equal values
        in all cases, which every resample repeats.
    """
    sums, counts = _by_case(rows, name)
    means = sums / counts
    if len(means) < INTERVALS["least_cases"] or means.min() == means.max():
        return None
    found = require("scipy.stats", "scipy").bootstrap(
        (sums, counts),
        _mean_of_rows,
        paired=True,
        vectorized=True,
        method="BCa",
        confidence_level=INTERVALS["confidence"],
        n_resamples=INTERVALS["resamples"],
        batch=max(1, _BLOCK // len(means)),
        random_state=np.random.default_rng(INTERVALS["seed"]),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _by_case(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the values of the rows of each case, and count them."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if name in row and not math.isnan(row[name]):
            values.setdefault(row["case"], []).append(float(row[name]))
    return np.array([sum(of_case) for of_case in values.values()]), np.array([float(len(v)) for v in values.values()])


def _mean_of_rows(sums: Any, counts: Any, axis: int = -1) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def add_intervals(
    summary: Mapping[str, Mapping[str, float]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Add the interval of the mean to the summary of each column, None where there is none."""
    return {name: {**of_column, "interval": mean_interval(rows, name)} for name, of_column in summary.items()}
