"""What counts as foreground in a label: the one place that knows the label conventions of the wild."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["foreground_mask"]

BoolArray = NDArray[np.bool_]

_THRESHOLD = re.compile(r"([<>])\s*([-+]?(?:\d+\.?\d*|\.\d+))")
_WHOLE_NUMBER = re.compile(r"[-+]?\d+")
_COMPARISONS: dict[str, Callable[[NDArray[np.generic], float], BoolArray]] = {">": operator.gt, "<": operator.lt}
_CURE = (
    "set `foreground` to the foreground's value, to a threshold such as '>127', "
    "or to 'boundary' if the values are instance ids"
)


def foreground_mask(label: NDArray[np.generic], foreground: int | str = "nonzero") -> BoolArray:
    """Turn a label of any common convention into a foreground mask.

    Args:
        label: one label, 2D `(H, W)` or 3D `(D, H, W)`, or either behind one channel axis of length 1. Any bool,
            integer or float dtype; floats are finite, and whole numbers unless `foreground` is a threshold.
        foreground: what is foreground.

            - `"nonzero"`: every voxel other than 0. The label may hold one value beside 0 (0/1, 0/255, 0/254, bool).
            - an integer `v`, or its digits as a string (`"0"`, as a command line gives it): the voxels equal to `v`;
              `0` for inverted labels such as ISBI 2012, where the membrane is 0.
            - `">t"` or `"<t"`: the voxels above or below the threshold `t`, both strict.
            - `"boundary"`: for instance ids. A voxel is foreground when one of its face neighbors (4 in 2D, 6 in 3D)
              holds another id, so a wall is two voxels thick, one from each side. Id 0 is a region like any other, and
              the image border is no boundary. What is left of two regions never touches, not even at a corner.

    Returns:
        A new bool array of the label's shape.

    Raises:
        TypeError: if `label` holds neither bools, integers nor floats, or `foreground` is neither an int nor a string.
        ValueError: if `foreground` is none of the above; if the label is empty of voxels, is not 2D or 3D, looks like
            an RGB(A) picture, is not finite or not whole; if `"nonzero"` meets several values other than 0; if `v` does
            not occur in a label of two or more values.

    A label of a single value is legal: it gives an empty or a full mask (an empty one for `"boundary"`). A 3D bool
    label is never taken for a picture; any other whose first or last axis alone has length 3 or 4 is (give a volume
    that thin as `(1, D, H, W)`). The cost is a few passes over the label, without sorting it. Deterministic.

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
        return _equal_to(label, rule)
    return _nonzero(label) if rule == "nonzero" else _boundary(label)


def parse_foreground(foreground: int | str) -> int | str | tuple[str, float]:
    """A value, `"nonzero"`, `"boundary"`, or a threshold as (comparison, number)."""
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
            f"Expected `label` to have one value a pixel, but got shape {label.shape}, which is an RGB(A) picture; "
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


def _nonzero(label: NDArray[np.generic]) -> BoolArray:
    mask: BoolArray = label != 0
    value = label.max() if label.max() != 0 else label.min()
    if np.count_nonzero(label == value) != np.count_nonzero(mask) and value != 0:
        raise ValueError(
            f"Expected `label` to hold at most one value other than 0, but got {_first_values(label)}; {_CURE}."
        )
    return mask


def _equal_to(label: NDArray[np.generic], value: int) -> BoolArray:
    mask: BoolArray = label == value
    if not mask.any() and label.min() != label.max():
        raise ValueError(
            f"Expected `label` to hold the foreground value {value}, but got {_first_values(label)}; {_CURE}."
        )
    return mask


def _boundary(label: NDArray[np.generic]) -> BoolArray:
    mask = np.zeros(label.shape, dtype=bool)
    for axis in range(label.ndim):  # a channel axis of length 1 has no neighbors and falls out by itself
        ids, on_boundary = np.moveaxis(label, axis, 0), np.moveaxis(mask, axis, 0)
        differs = ids[1:] != ids[:-1]
        on_boundary[1:] |= differs
        on_boundary[:-1] |= differs
    return mask


def _first_values(label: NDArray[np.generic], count: int = 6) -> str:
    values = np.unique(label)  # sorts the label, but only for an error's sentence
    shown = ", ".join(f"{value:g}" if math.isfinite(value) else str(value) for value in values[:count].tolist())
    return f"the values {shown}" + (f", ... ({len(values)} values)" if len(values) > count else "")
