"""Guess the convention that a set of labels follows from their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_topo.report.reading import read_label

__all__ = ["Convention", "LabelValues", "count_values", "guess_convention"]

_MAX_COUNTED = 256  # different values of a label that are counted individually
_MAX_CLASSES = 8  # more values are instance ids
_MIN_EXTREMES = 0.99  # with this fraction of voxels at the two extreme values, the values between them are strays


class LabelValues(NamedTuple):
    """The values of one label.

    Attributes:
        counts: Number of voxels of each of the most frequent values.
        number: Number of different values.
        whole: Whether all values are whole numbers.
        voxels: Number of voxels.
    """

    counts: dict[float, int]
    number: int
    whole: bool
    voxels: int


class Convention(NamedTuple):
    """A rule for the foreground, and the reasons for it.

    Attributes:
        rule: Argument `foreground` of :py:func:`monai_topo.data.foreground_mask`.
        found: Description of the values, as a sentence.
        doubt: Another possible meaning of the values, as a sentence, or "".
    """

    rule: str
    found: str
    doubt: str = ""


def count_values(path: Path) -> LabelValues:
    """Count the values of a label file."""
    label, _ = read_label(path)
    values, counts = np.unique(label, return_counts=True)
    most_frequent = np.argsort(-counts, kind="stable")[:_MAX_COUNTED]
    whole = bool((values == np.trunc(values)).all())
    return LabelValues({float(values[i]): int(counts[i]) for i in most_frequent}, len(values), whole, label.size)


def guess_convention(labels: Sequence[LabelValues]) -> Convention:
    """Guess the one convention that all labels follow.

    The guess assumes that thin structures fill less than half of an image, that there are many instance ids but few
    classes. The sentences of the result state the evidence, so that users can check it.

    Args:
        labels: Values of the labels, at least one.
    """
    total: Counter[float] = Counter()
    for label in labels:
        total.update(label.counts)
    voxels = sum(label.voxels for label in labels)
    least, greatest = min(total), max(total)
    filled = 1 - total[0.0] / voxels
    listed = ", ".join(f"{value:g}" for value in sorted(total)[:6])
    if all(len(label.counts.keys() - {0.0}) <= 1 for label in labels):
        return _guess_from_two_values(labels, filled)
    if len(total) == 2:
        rare = min(total, key=lambda value: total[value])
        fraction = _percent(total[rare] / voxels)
        return Convention(f"{rare:g}", f"Two values, {listed}; {rare:g} is the rarer one, {fraction}.")
    if not all(label.whole for label in labels):
        middle = (least + greatest) / 2
        return Convention(f">{middle:g}", f"Fractional values from {least:g} to {greatest:g}: soft labels.")
    extremes = (total[least] + total[greatest]) / voxels
    if extremes >= _MIN_EXTREMES:
        return _guess_with_strays(least, greatest, total[greatest] / voxels, 1 - extremes)
    if max(label.number for label in labels) > _MAX_CLASSES:
        most = max(label.number for label in labels)
        return Convention(
            "boundary",
            f"Up to {most} whole numbers in one label: ids of instances; the boundaries between them are foreground.",
            "If the objects are the foreground rather than the walls between them, set '>0'.",
        )
    return Convention(
        ">0", f"Several classes, {listed}; all except 0 are combined.", "To check one class, set its value."
    )


def _guess_from_two_values(labels: Sequence[LabelValues], filled: float) -> Convention:
    kinds = sorted({max(label.counts) for label in labels} - {0.0})
    listed = " or ".join(f"0 and {value:g}" for value in kinds) or "0 alone"
    if filled > 0.5:
        return Convention(
            "0",
            f"Two values, {listed}; 0 is the rarer one, {_percent(1 - filled)}: inverted labels.",
            "If the structures fill the greater part, set 'nonzero'.",
        )
    return Convention("nonzero", f"Two values, {listed}; {_percent(filled)} are not 0.")


def _guess_with_strays(least: float, greatest: float, bright: float, strays: float) -> Convention:
    middle = (least + greatest) / 2
    found = f"Nearly all voxels are {least:g} or {greatest:g}, {_percent(strays)} are between them."
    if bright > 0.5:
        return Convention(f"<{middle:g}", f"{found} {greatest:g} fills {_percent(bright)}: inverted labels.")
    return Convention(f">{middle:g}", found)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"
