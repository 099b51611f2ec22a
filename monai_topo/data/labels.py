"""Foreground masks from labels of any common convention."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask

__all__ = ["foreground_mask"]

_THRESHOLD = re.compile(r"([<>])\s*([-+]?(?:\d+\.?\d*|\.\d+))")
_WHOLE_NUMBER = re.compile(r"[-+]?\d+")
_COMPARISONS: dict[str, Callable[[NDArray[np.generic], float], Mask]] = {">": operator.gt, "<": operator.lt}
_HINT = (
    "set `foreground` to the foreground's value, to a threshold such as '>127', "
    "or to 'boundary' if the values are instance ids"
)


def foreground_mask(label: NDArray[np.generic], foreground: int | str = "nonzero") -> Mask:
    """Convert a label of any common convention to a foreground mask.

    Args:
        label: One label, 2D `(H, W)` or 3D `(D, H, W)`, optionally with a leading channel axis of length 1. Any bool,
            integer or float dtype; floats must be finite, and whole numbers unless `foreground` is a threshold.
        foreground: Rule that defines the foreground:

            - `"nonzero"`: Every voxel except 0. The label may hold one other value (0/1, 0/255, 0/254, bool).
            - An integer `v`, or its digits as a string (`"0"`, as a command line passes it): The voxels equal to `v`;
              `0` for inverted labels such as ISBI 2012, where the membrane is 0.
            - `">t"` or `"<t"`: The voxels strictly above or below the threshold `t`.
            - `"boundary"`: For instance ids. A voxel is foreground if one of its face neighbors (4 in 2D, 6 in 3D)
              has another id, so that walls are two voxels thick, one from each side. Id 0 is a region like any other,
              and the image border is not a boundary. The remainders of two regions never touch, not even at a corner.

    Returns:
        A new bool array of the label's shape.

    Raises:
        TypeError: If `label` does not hold bools, integers or floats, or `foreground` is not an int or a string.
        ValueError: If `foreground` is none of the above; if the label has no voxels, is not 2D or 3D, looks like an
            RGB(A) picture, is not finite or not whole; if `"nonzero"` finds several values other than 0; if `v` does
            not occur in a label of two or more values.

    A label of a single value is valid: it gives an empty or a full mask (an empty one for `"boundary"`). A 3D label
    whose first or last axis alone has length 3 or 4 is treated as a picture unless it is bool (pass a volume that thin
    as `(1, D, H, W)`). Cost: a few passes over the label, without sorting it. Deterministic.

    Examples:
        >>> import numpy as np
        >>> foreground_mask(np.array([[0, 255, 255], [0, 0, 255]], dtype=np.uint8)).astype(int)
        array([[0, 1, 1],
               [0, 0, 1]])
        >>> foreground_mask(np.array([[7, 7, 7, 9, 9, 9], [7, 7, 7, 9, 9, 9]]), "boundary").astype(int)
        array([[0, 0, 1, 1, 0, 0],
               [0, 0, 1, 1, 0, 0]])
    """
    rule = parse_foreground(foreground)
    label = np.asarray(label)
    _check(label, must_be_whole=not isinstance(rule, tuple))
    if isinstance(rule, tuple):
        return _COMPARISONS[rule[0]](label, rule[1])
    if isinstance(rule, int):
        return _select_value(label, rule)
    return _select_nonzero(label) if rule == "nonzero" else _select_boundary(label)


def parse_foreground(foreground: int | str) -> int | str | tuple[str, float]:
    """Parse a foreground rule: a value, `"nonzero"`, `"boundary"`, or a threshold as (comparison, number)."""
    if isinstance(foreground, (int, np.integer)) and not isinstance(foreground, bool):
        return int(foreground)
    expected = "Expected `foreground` to be 'nonzero', an integer, a threshold such as '>127' or '<0.5', or 'boundary'"
    if not isinstance(foreground, str):
        raise TypeError(f"{expected}, but got {foreground!r} of type {type(foreground).__name__}.")
    text = foreground.strip()
    if text in ("nonzero", "boundary"):
        return text
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if threshold := _THRESHOLD.fullmatch(text):
        return threshold[1], float(threshold[2])
    raise ValueError(f"{expected}, but got {foreground!r}.")


def _check(label: NDArray[np.generic], *, must_be_whole: bool) -> None:
    if label.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected `label` to hold bools, integers or floats, but got dtype {label.dtype}; convert it first."
        )
    spatial_shape = label.shape[1:] if label.ndim == 4 and label.shape[0] == 1 else label.shape
    if len(spatial_shape) not in (2, 3):
        raise ValueError(
            "Expected `label` to have 2 or 3 spatial axes, after at most one channel axis of length 1, "
            f"but got shape {label.shape}; give one label at a time, with one channel."
        )
    if label.size == 0:
        raise ValueError(f"Expected `label` to hold voxels, but got shape {label.shape}; check the file or the crop.")
    if label.ndim == 3 and label.dtype.kind != "b" and _looks_like_color(label.shape):
        raise ValueError(
            f"Expected `label` to have one value per pixel, but got shape {label.shape}, which is an RGB(A) picture; "
            "keep one of its channels, or give a volume this thin as (1, D, H, W)."
        )
    if label.dtype.kind == "f":
        _check_floats(label, must_be_whole=must_be_whole)


def _looks_like_color(shape: tuple[int, ...]) -> bool:
    channels_last, channels_first = shape[-1] in (3, 4), shape[0] in (3, 4)
    return (channels_last and min(shape[:-1]) > 4) or (channels_first and min(shape[1:]) > 4)


def _check_floats(label: NDArray[np.generic], *, must_be_whole: bool) -> None:
    not_finite = int(np.count_nonzero(~np.isfinite(label)))
    if not_finite:
        raise ValueError(
            f"Expected `label` to be finite, but got {not_finite} NaN or infinite values in shape {label.shape}; "
            "replace them first."
        )
    if must_be_whole and np.any(fractional := label != np.trunc(label)):
        raise ValueError(
            f"Expected `label` to hold whole numbers, but got {_first_values(label[fractional])}; "
            "set `foreground` to a threshold such as '>0.5'."
        )


def _select_nonzero(label: NDArray[np.generic]) -> Mask:
    mask: Mask = label != 0
    value = label.max() if label.max() != 0 else label.min()
    if np.count_nonzero(label == value) != np.count_nonzero(mask) and value != 0:
        raise ValueError(
            f"Expected `label` to hold at most one value other than 0, but got {_first_values(label)}; {_HINT}."
        )
    return mask


def _select_value(label: NDArray[np.generic], value: int) -> Mask:
    mask: Mask = label == value
    if not mask.any() and label.min() != label.max():
        raise ValueError(
            f"Expected `label` to hold the foreground value {value}, but got {_first_values(label)}; {_HINT}."
        )
    return mask


def _select_boundary(label: NDArray[np.generic]) -> Mask:
    mask = np.zeros(label.shape, dtype=bool)
    for axis in range(label.ndim):  # a channel axis of length 1 has no neighbors and adds nothing
        ids, on_boundary = np.moveaxis(label, axis, 0), np.moveaxis(mask, axis, 0)
        differs = ids[1:] != ids[:-1]
        on_boundary[1:] |= differs
        on_boundary[:-1] |= differs
    return mask


def _first_values(label: NDArray[np.generic], count: int = 6) -> str:
    values = np.unique(label)  # sorts the label, but only for an error message
    shown = ", ".join(f"{value:g}" if math.isfinite(value) else str(value) for value in values[:count].tolist())
    return f"the values {shown}" + (f", ... ({len(values)} values)" if len(values) > count else "")
