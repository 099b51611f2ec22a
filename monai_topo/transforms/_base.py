"""Base of the array transforms: conversion between MONAI's types and numpy, voxel spacing, file names in errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.meta_obj import get_track_meta
from monai.data.utils import affine_to_spacing
from monai.transforms.transform import Transform
from monai.utils import ImageMetaKey, TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_topo._utils.typing import Array
from monai_topo._utils.validation import is_number

#: None: lengths are in voxels. `"affine"`: in millimeters, by the affine of the MetaTensor. Numbers: millimeters per
#: voxel, one for all axes or one per axis.
Spacing = Literal["affine"] | float | Sequence[float] | None

_NO_AFFINE = (
    "Expected a MetaTensor for `spacing='affine'`, but got an array without metadata; give the millimeters per voxel "
    "as numbers."
)


class ArrayTransform(Transform):
    """Base of transforms from one array to one array: a subclass implements `compute`, which must not modify its input.

    A subclass that gives `spacing` a value has lengths in millimeters.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it
    #: Whether the array must have exactly one channel, as labels of ids have.
    one_channel = False
    spacing: Spacing = None

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the result for a channel-first array; `spacing_mm` holds ones where lengths are in voxels."""
        raise NotImplementedError

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Apply the transform to a `(C, H, W)` or `(C, D, H, W)` array.

        The result is a MetaTensor with the metadata of the input, if MONAI tracks metadata.

        Raises:
            ValueError: If the array is not channel first, or the transform refuses it. The message names the file if
                the metadata has its name.
        """
        tensor = convert_to_tensor(image, track_meta=get_track_meta())
        with file_named(tensor):
            name = "label" if self.one_channel else "image"
            array = channel_first(tensor, name=name, one_channel=self.one_channel)
            result = self.compute(array, spacing_in_mm(tensor, self.spacing))
        return with_metadata_of(tensor, result)


@contextmanager
def file_named(tensor: torch.Tensor) -> Iterator[None]:
    """Prefix the message of an error with the name of the file, if the metadata has it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        file = getattr(tensor, "meta", {}).get(ImageMetaKey.FILENAME_OR_OBJ)
        raise type(error)(f"{file}: {error}" if file else str(error)) from error


def channel_first(tensor: torch.Tensor, *, name: str = "label", one_channel: bool = True) -> Array:
    """Convert a tensor to a numpy array and check that it is channel first, with 2 or 3 spatial axes."""
    if tensor.ndim not in (3, 4) or (one_channel and tensor.shape[0] != 1):
        wanted = "with one channel, (1, H, W) or (1, D, H, W)" if one_channel else "(C, H, W) or (C, D, H, W)"
        remedy = "put EnsureChannelFirst before"
        if one_channel:
            remedy = f"keep one channel, or {remedy}"
        raise ValueError(
            f"Expected `{name}` to be channel first {wanted}, but got shape {tuple(tensor.shape)}; {remedy}."
        )
    array: Array = tensor.detach().cpu().numpy()
    return array


def spacing_in_mm(tensor: torch.Tensor, spacing: Spacing) -> tuple[float, ...]:
    """Return the millimeters per voxel along each spatial axis of a channel-first tensor; ones for None."""
    axes = tensor.ndim - 1
    if spacing is None:
        return (1.0,) * axes
    if isinstance(spacing, str):
        if not isinstance(tensor, MetaTensor):
            raise ValueError(_NO_AFFINE)
        return tuple(float(length) for length in affine_to_spacing(tensor.affine, r=axes))
    lengths = (float(spacing),) * axes if isinstance(spacing, (int, float)) else tuple(map(float, spacing))
    if len(lengths) != axes:
        raise ValueError(f"Expected `spacing` to hold {axes} numbers, one per spatial axis, but got {lengths}.")
    return lengths


def check_spacing(spacing: Spacing) -> Spacing:
    """Check a spacing without an image, when the transform is constructed, and return it."""
    if spacing is None or (isinstance(spacing, str) and spacing == "affine"):
        return spacing
    lengths: list[Any] = list(spacing) if isinstance(spacing, Iterable) else [spacing]
    if not lengths or not all(is_number(length) and 0 < length < math.inf for length in lengths):
        raise ValueError(
            f"Expected `spacing` to be None for voxels, 'affine', or millimeters greater than 0, but got {spacing!r}."
        )
    return spacing


def check_affine(image: NdarrayOrTensor, spacing: Spacing) -> None:
    """Check that a transform with `spacing="affine"` is given an affine, not the identity that MONAI would assume.

    Raises:
        ValueError: If the image is not a MetaTensor.
    """
    if spacing == "affine" and not isinstance(image, MetaTensor):
        raise ValueError(_NO_AFFINE)


def check_count(name: str, value: int) -> int:
    """Check that a setting is a positive integer, and return it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"Expected `{name}` to be a positive whole number, but got {value!r}.")
    return value


def as_float(array: Array) -> Array:
    """Convert an array to float32, unless it is float32 or float64 already."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def record_in_metadata(result: NdarrayOrTensor, name: str, entries: list[dict[str, Any]]) -> NdarrayOrTensor:
    """Write a list into the metadata of a result, as JSON text: lists of unequal length cannot be collated."""
    if isinstance(result, MetaTensor):
        result.meta[name] = json.dumps(entries)
    return result


def with_metadata_of(tensor: torch.Tensor, result: Array) -> NdarrayOrTensor:
    """Convert a result to the type and device of a tensor, with its metadata; the result keeps its dtype."""
    converted: NdarrayOrTensor = convert_to_dst_type(result, tensor, dtype=result.dtype)[0]
    return converted
