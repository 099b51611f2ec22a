"""Find predictions that fit their labels much better transposed, flipped or inverted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations, permutations
from typing import Any

import numpy as np

from monai_topo._utils.typing import Mask

__all__ = ["describe_better_fit", "find_better_fits"]

_MAX_SAMPLES = 2**20
_LEAST_DICE, _LEAST_GAIN = 0.5, 0.2


def find_better_fits(prediction: Mask, label: Mask, inside: Mask) -> dict[str, Any]:
    """Find the ways to transpose, flip or invert a prediction after which it fits its label much better.

    A way is listed if the Dice of the changed prediction is at least 0.5 and at least 0.2 above that of the prediction,
    and if the correlation of the voxels (Matthews) increases by at least 0.2 too. Dice alone would recommend to invert
    a sparse but correct prediction of a label that fills most of the image.

    Args:
        prediction: Mask with axes (z,) y, x.
        label: Mask of the same shape.
        inside: Field of view, a mask of the same shape.

    Returns:
        `dice`: Dice of the prediction as it is. `better`: Dice by the name of the way, the simplest way first. All axis
        orders that keep the shape, all flips, and inversion are compared: 15 ways for a square, 95 for a cube.

    Cost: None for a Dice above 0.8, which no way can exceed by 0.2. Otherwise, regular samples of about a million
    voxels are compared for each way: 0.02 s for 512^2 pixels, 0.8 s for 512^3 voxels.
    """
    steps = (math.ceil((label.size / _MAX_SAMPLES) ** (1 / label.ndim)),) * label.ndim
    samples = tuple(slice(None, None, step) for step in steps)
    target, view = np.ascontiguousarray(label[samples]), np.ascontiguousarray(inside[samples])
    total, in_label = np.count_nonzero(view), np.count_nonzero(target & view)

    def compare(mask: Mask, inverted: bool) -> tuple[float, float]:
        seen = mask[samples] & view
        in_mask, in_both = np.count_nonzero(seen), np.count_nonzero(seen & target)
        if inverted:
            in_mask, in_both = total - in_mask, in_label - in_both
        return _dice_and_correlation(int(in_both), int(in_mask), int(in_label), int(total))

    dice, correlation = compare(prediction, False)
    better = {}
    if dice <= 1 - _LEAST_GAIN:
        for order, flips, inverted in _ways(label.shape):
            changed = np.flip(prediction.transpose(order), flips)
            other_dice, other_correlation = compare(changed, inverted)
            if other_dice >= max(_LEAST_DICE, dice + _LEAST_GAIN) and other_correlation >= correlation + _LEAST_GAIN:
                better[_name_way(order, flips, inverted)] = other_dice
    return {"dice": dice, "better": better}


def describe_better_fit(fits: Sequence[Mapping[str, Any]]) -> str | None:
    """Describe the best way in one sentence if it applies to more than half of the cases; otherwise return None.

    Args:
        fits: One result of `find_better_fits` per case.

    The way that applies to most cases is described; in a tie, the one with the highest Dice, then the simplest.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for fit in fits:
        for name, dice in fit["better"].items():
            found.setdefault(name, []).append((dice, fit["dice"]))
    if not found:
        return None
    # `max` returns the first of equal ways, which is the simplest one.
    name, pairs = max(found.items(), key=lambda item: (len(item[1]), round(sum(dice for dice, _ in item[1]), 9)))
    if 2 * len(pairs) <= len(fits):
        return None
    changed, unchanged = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    cases = "1 case" if len(fits) == 1 else f"{len(fits)} cases"
    return (
        f"Predictions fit their labels much better {name} (mean Dice {changed:.2f} instead of {unchanged:.2f}, in "
        f"{len(pairs)} of {cases}): {_remedy(name)}"
    )


def _ways(shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], bool]]:
    """Yield axis orders that keep the shape, flipped axes, and inversion, from simple to complicated."""
    axes = range(len(shape))
    orders = [order for order in permutations(axes) if all(shape[i] == shape[axis] for axis, i in enumerate(order))]
    flips = list(chain.from_iterable(combinations(axes, count) for count in range(len(shape) + 1)))
    ways = [(order, flipped, inverted) for order in orders for flipped in flips for inverted in (False, True)]
    # The first one is the prediction as it is.
    yield from sorted(ways, key=lambda way: sum(map(int.__ne__, way[0], axes)) + len(way[1]) + way[2])[1:]


def _name_way(order: Sequence[int], flips: Sequence[int], inverted: bool) -> str:
    axes = "zyx"[-len(order) :]
    moved = [axes[axis] for axis, source in enumerate(order) if axis != source][::-1]
    parts = []
    if len(moved) == 2:
        parts.append("transposed" if len(axes) == 2 else f"with {moved[0]} and {moved[1]} exchanged")
    elif moved:
        parts.append(f"with the axes in the order {', '.join(axes[source] for source in order[::-1])}")
    if flips:
        parts.append(f"flipped along {' and '.join(axes[axis] for axis in flips[::-1])}")
    if inverted:
        parts.append("inverted")
    return " and ".join(parts)


def _remedy(name: str) -> str:
    if name == "inverted":
        return "check which value is foreground (--prediction-foreground 0 or --label-foreground 0 for inverted masks)."
    return "check the order and direction of the axes with which they were written; the metrics compare them as is."


def _dice_and_correlation(in_both: int, in_mask: int, in_label: int, total: int) -> tuple[float, float]:
    """Compute Dice and Matthews correlation of two masks; 1 and 0 for empty ones."""
    dice = 2 * in_both / (in_mask + in_label) if in_mask + in_label else 1.0
    variance = float(in_mask) * (total - in_mask) * float(in_label) * (total - in_label)
    return dice, (in_both * total - float(in_mask) * in_label) / math.sqrt(variance) if variance > 0 else 0.0
