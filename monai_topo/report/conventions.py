"""Which convention a set of labels follows, guessed from their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_topo.report.reading import read_label

__all__ = ["Convention", "LabelValues", "convention_of", "values_of"]

_COUNTED = 256  # different values of a label that are counted one by one
_FEW = 8  # classes; more values are ids
_EXTREMES = 0.99  # share of the voxels at two values, beside which others are strays


class LabelValues(NamedTuple):
    """The values of one label.

    Attributes:
        counts: voxels of each value, of the commonest ones.
        number: of different values.
        whole: whether all are whole numbers.
        voxels: of the label.
    """

    counts: dict[float, int]
    number: int
    whole: bool
    voxels: int


class Convention(NamedTuple):
    """What is foreground.

    Attributes:
        rule: for `foreground` of :py:func:`monai_topo.data.foreground_mask`.
        found: what the values look like, a sentence.
        doubt: what else they could mean, a sentence, or nothing.
    """

    rule: str
    found: str
    doubt: str = ""


def values_of(path: Path) -> LabelValues:
    """Count the values of a label file."""
    label, _ = read_label(path)
    values, counts = np.unique(label, return_counts=True)
    commonest = np.argsort(-counts, kind="stable")[:_COUNTED]
    whole = bool((values == np.trunc(values)).all())
    return LabelValues({float(values[i]): int(counts[i]) for i in commonest}, len(values), whole, label.size)


def convention_of(labels: Sequence[LabelValues]) -> Convention:
    """Guess the one convention that all labels follow.

    Args:
        labels: at least one.

    A guess: thin structures fill less than half of an image, ids are many, classes few. The sentences say what it rests
    on, so that who knows better can say so.
    """
    total: Counter[float] = Counter()
    for label in labels:
        total.update(label.counts)
    voxels = sum(label.voxels for label in labels)
    least, greatest = min(total), max(total)
    filled = 1 - total[0.0] / voxels
    shown = ", ".join(f"{value:g}" for value in sorted(total)[:6])
    if all(len(label.counts.keys() - {0.0}) <= 1 for label in labels):
        return _two_values(labels, filled)
    if len(total) == 2:
        rare = min(total, key=lambda value: total[value])
        share = _percent(total[rare] / voxels)
        return Convention(f"{rare:g}", f"Two values, {shown}; {rare:g} is the rarer one, {share}.")
    if not all(label.whole for label in labels):
        middle = (least + greatest) / 2
        return Convention(f">{middle:g}", f"Values between whole numbers, from {least:g} to {greatest:g}: soft labels.")
    extremes = (total[least] + total[greatest]) / voxels
    if extremes >= _EXTREMES:
        return _with_strays(least, greatest, total[greatest] / voxels, 1 - extremes)
    if max(label.number for label in labels) > _FEW:
        most = max(label.number for label in labels)
        return Convention(
            "boundary",
            f"Up to {most} whole numbers in one label: ids of instances; the boundaries between them are foreground.",
            "If it is the objects that count, not the walls between them, give '>0'.",
        )
    return Convention(
        ">0", f"Several classes, {shown}; all but 0 are taken together.", "Choose one by its value to look at it alone."
    )


def _two_values(labels: Sequence[LabelValues], filled: float) -> Convention:
    kinds = sorted({max(label.counts) for label in labels} - {0.0})
    shown = " or ".join(f"0 and {value:g}" for value in kinds) or "0 alone"
    if filled > 0.5:
        return Convention(
            "0",
            f"Two values, {shown}; 0 is the rarer one, {_percent(1 - filled)}: inverted labels.",
            "If the structures are what fills the greater part, give 'nonzero'.",
        )
    return Convention("nonzero", f"Two values, {shown}; {_percent(filled)} are not 0.")


def _with_strays(least: float, greatest: float, bright: float, strays: float) -> Convention:
    middle = (least + greatest) / 2
    found = f"Nearly all voxels are {least:g} or {greatest:g}, {_percent(strays)} lie between."
    if bright > 0.5:
        return Convention(f"<{middle:g}", f"{found} {greatest:g} fills {_percent(bright)}: inverted labels.")
    return Convention(f">{middle:g}", found)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
