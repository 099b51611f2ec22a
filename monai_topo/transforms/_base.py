"""What the transforms share: the way from MONAI's types to numpy and back, spacing, and the dictionary twin."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.meta_obj import get_track_meta
from monai.data.utils import affine_to_spacing
from monai.transforms.transform import MapTransform, Transform
from monai.utils import ImageMetaKey, TransformBackends, convert_to_dst_type, convert_to_tensor
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]
#: None: lengths are in voxels; "affine": in millimeters, by the affine of the MetaTensor; or millimeters a voxel.
Spacing = Literal["affine"] | float | Sequence[float] | None


class ArrayTransform(Transform):
    """Base of transforms from one array to one: a subclass implements `compute`, and never writes into its argument."""

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it
    #: whether the array must have one channel, as labels of ids have
    one_channel = False
    #: what lengths mean; a subclass whose lengths may be in millimeters sets it
    spacing: Spacing = None

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the result for a channel-first array; `spacing_mm` holds ones where lengths are in voxels."""
        raise NotImplementedError

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Take a `(C, H, W)` or `(C, D, H, W)` array; the result is a MetaTensor with its metadata while MONAI tracks.

        Raises:
            ValueError: if the array is not channel first, or what the transform itself refuses; the file is named if
                the metadata knows it.
        """
        tensor = convert_to_tensor(image, track_meta=get_track_meta())
        with file_named(tensor):
            array = channel_first(tensor, one_channel=self.one_channel)
            result = self.compute(array, spacing_in_mm(tensor, self.spacing))
        return with_metadata_of(tensor, result)


class ArrayTransformd(MapTransform):
    """Base of the dictionary twins: the transform of one array, for every key."""

    backend = ArrayTransform.backend

    def __init__(
        self,
        keys: KeysCollection,
        transform: ArrayTransform,
        new_key_prefix: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = transform
        self.new_key_prefix = new_key_prefix or ""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the results, under the keys with their prefix; the given dictionary stays as it is."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[f"{self.new_key_prefix}{key}" if self.new_key_prefix else key] = self.transform(case[key])
        return case


@contextmanager
def file_named(tensor: torch.Tensor) -> Iterator[None]:
    """Put the name of the file, where the metadata knows it, before the sentence of an error."""
    try:
        yield
    except (TypeError, ValueError) as error:
        file = getattr(tensor, "meta", {}).get(ImageMetaKey.FILENAME_OR_OBJ)
        raise type(error)(f"{file}: {error}" if file else str(error)) from error


def channel_first(tensor: torch.Tensor, *, name: str = "label", one_channel: bool = True) -> Array:
    """View a tensor as a numpy array, once its shape is known to be channel first, with 2 or 3 spatial axes."""
    if tensor.ndim not in (3, 4) or (one_channel and tensor.shape[0] != 1):
        wanted = "with one channel, (1, H, W) or (1, D, H, W)" if one_channel else "(C, H, W) or (C, D, H, W)"
        cure = "keep one channel, or put EnsureChannelFirst before" if one_channel else "put EnsureChannelFirst before"
        raise ValueError(
            f"Expected `{name}` to be channel first {wanted}, but got shape {tuple(tensor.shape)}; {cure}."
        )
    array: Array = tensor.detach().cpu().numpy()
    return array


def spacing_in_mm(tensor: torch.Tensor, spacing: Spacing) -> tuple[float, ...]:
    """Millimeters a voxel along each spatial axis of a channel-first tensor; ones where lengths are in voxels."""
    axes = tensor.ndim - 1
    if spacing is None:
        return (1.0,) * axes
    if isinstance(spacing, str):
        if not isinstance(tensor, MetaTensor):
            raise ValueError(
                "Expected a MetaTensor for `spacing='affine'`, but got an array without metadata; give the millimeters "
                "of a voxel as numbers."
            )
        return tuple(float(length) for length in affine_to_spacing(tensor.affine, r=axes))
    lengths = (float(spacing),) * axes if isinstance(spacing, (int, float)) else tuple(map(float, spacing))
    if len(lengths) != axes:
        raise ValueError(f"Expected `spacing` to hold {axes} numbers, one a spatial axis, but got {lengths}.")
    return lengths


def check_spacing(spacing: Spacing) -> Spacing:
    """Refuse a spacing that no image could make right; a transform calls it when it is made."""
    lengths = [spacing] if isinstance(spacing, (int, float, str)) or spacing is None else list(spacing)
    if spacing not in (None, "affine") and any(isinstance(x, str) or x is None or not x > 0 for x in lengths):
        raise ValueError(
            f"Expected `spacing` to be None for voxels, 'affine', or millimeters greater than 0, but got {spacing!r}."
        )
    return spacing


def floats(array: Array) -> Array:
    """Return floats as they are, anything else as float32."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def record_in_metadata(result: NdarrayOrTensor, name: str, found: list[dict[str, Any]]) -> NdarrayOrTensor:
    """Say in a result's metadata what was found, as JSON text: lists of unequal length could not be collated."""
    if isinstance(result, MetaTensor):
        result.meta[name] = json.dumps(found)
    return result


def with_metadata_of(tensor: torch.Tensor, result: Array) -> NdarrayOrTensor:
    """Take a result to the type and device of a tensor, with its metadata, and with the result's own dtype."""
    converted: NdarrayOrTensor = convert_to_dst_type(result, tensor, dtype=result.dtype)[0]
    return converted
