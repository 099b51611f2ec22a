"""Strip plots of one column over all cases: one dot per case, or a histogram if there are too many dots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from monai_topo.report.tables import row_title

__all__ = ["Bar", "Dot", "Strip", "make_strip"]

_MAX_DOTS = 150
_WIDTH, _HEIGHT, _RADIUS = 200, 26, 3


class Dot(NamedTuple):
    """One case: the position of its dot, and the tooltip."""

    x: float
    y: float
    title: str


class Bar(NamedTuple):
    """Cases of similar values: the position of their bar, and the tooltip."""

    x: float
    width: float
    height: float
    title: str


class Strip(NamedTuple):
    """Dots or bars, and the positions of the median and of the other median, in a box of `width` by `height`."""

    dots: list[Dot]
    bars: list[Bar]
    median: float
    width: int = _WIDTH
    height: int = _HEIGHT
    other: float | None = None


def make_strip(rows: Sequence[Mapping[str, Any]], name: str, other: str | None = None) -> Strip | None:
    """Lay out a column; return None if fewer than two cases have a number there.

    The median of the column `other`, if there is one, gets a line on the same scale.
    """
    cases = [(float(row[name]), row_title(row)) for row in rows if name in row and not math.isnan(row[name])]
    if len(cases) < 2:
        return None
    values = np.array([value for value, _ in cases])
    compared = [row[other] for row in rows if other is not None and not math.isnan(row.get(other, math.nan))]
    line = [float(np.median(compared))] if compared else []
    low, high = min(values.min(), *line, math.inf), max(values.max(), *line, -math.inf)
    scale = (_WIDTH - 4 * _RADIUS) / (high - low) if high > low else 0.0

    def to_x(value: float) -> float:
        return round(2 * _RADIUS + (value - low) * scale if scale else _WIDTH / 2, 1)

    median = to_x(float(np.median(values)))
    others = to_x(line[0]) if line else None
    if len(cases) > _MAX_DOTS:
        return Strip([], _make_bars(values, to_x), median, other=others)
    heights = _stack_dots([to_x(value) for value in values])
    dots = [Dot(to_x(value), y, f"{case}: {value:.4g}") for (value, case), y in zip(cases, heights, strict=True)]
    return Strip(dots, [], median, other=others)


def _stack_dots(positions: Sequence[float]) -> list[float]:
    """Compute heights: dots that would overlap alternate above and below the middle, within the strip."""
    half_height = _HEIGHT / 2 - _RADIUS - 1
    taken: dict[int, int] = {}
    heights = []
    for x in positions:
        cell = round(x / (1.6 * _RADIUS))
        turn = taken[cell] = taken.get(cell, -1) + 1
        offset = (turn + 1) // 2 * 1.3 * _RADIUS * (1 if turn % 2 else -1)
        heights.append(round(_HEIGHT / 2 + math.remainder(offset, 2 * half_height), 1))
    return heights


def _make_bars(values: Any, to_x: Any) -> list[Bar]:
    counts, edges = np.histogram(values, bins=28)
    bars = []
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = max(1.0, (_HEIGHT - 4) * count / counts.max())
            title = f"{start:.4g} to {stop:.4g}: {count} cases"
            bars.append(Bar(to_x(start), round(max(to_x(stop) - to_x(start) - 0.5, 1), 1), round(height, 1), title))
    return bars
