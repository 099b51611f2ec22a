"""How a column spreads over the cases, as a strip a line high: a dot a case, or a histogram where dots would run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Bar", "Dot", "Strip", "strip_of"]

_MOST_DOTS = 150
_WIDTH, _HEIGHT, _RADIUS = 200, 26, 3


class Dot(NamedTuple):
    """A case: its place in the strip, and what the mouse is told."""

    x: float
    y: float
    title: str


class Bar(NamedTuple):
    """Cases whose values are near each other."""

    x: float
    width: float
    height: float
    title: str


class Strip(NamedTuple):
    """Dots or bars, and where the median is, in a box of `width` by `height`."""

    dots: list[Dot]
    bars: list[Bar]
    median: float
    width: int = _WIDTH
    height: int = _HEIGHT


def strip_of(rows: Sequence[Mapping[str, Any]], name: str) -> Strip | None:
    """Lay out a column; None if fewer than two cases have a number there."""
    found = [(float(row[name]), str(row["case"])) for row in rows if name in row and not math.isnan(row[name])]
    if len(found) < 2:
        return None
    values = np.array([value for value, _ in found])
    low, high = values.min(), values.max()
    scale = (_WIDTH - 4 * _RADIUS) / (high - low) if high > low else 0.0

    def place(value: float) -> float:
        return round(2 * _RADIUS + (value - low) * scale if scale else _WIDTH / 2, 1)

    median = place(float(np.median(values)))
    if len(found) > _MOST_DOTS:
        return Strip([], _bars(values, place), median)
    heights = _stacked([place(value) for value in values])
    dots = [Dot(place(value), y, f"{case}: {value:.4g}") for (value, case), y in zip(found, heights, strict=True)]
    return Strip(dots, [], median)


def _stacked(places: Sequence[float]) -> list[float]:
    """Heights: dots that would hide each other go up and down from the middle in turns, within the strip."""
    room = _HEIGHT / 2 - _RADIUS - 1
    taken: dict[int, int] = {}
    heights = []
    for x in places:
        cell = round(x / (1.6 * _RADIUS))
        turn = taken[cell] = taken.get(cell, -1) + 1
        offset = (turn + 1) // 2 * 1.3 * _RADIUS * (1 if turn % 2 else -1)
        heights.append(round(_HEIGHT / 2 + math.remainder(offset, 2 * room), 1))
    return heights


def _bars(values: Any, place: Any) -> list[Bar]:
    counts, edges = np.histogram(values, bins=28)
    bars = []
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = max(1.0, (_HEIGHT - 4) * count / counts.max())
            title = f"{start:.4g} to {stop:.4g}: {count} cases"
            bars.append(Bar(place(start), round(max(place(stop) - place(start) - 0.5, 1), 1), round(height, 1), title))
    return bars
