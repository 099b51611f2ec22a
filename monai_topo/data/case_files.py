"""Read the files of a case, and check that they lie on one grid."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from monai.transforms import LoadImage

from monai_topo._utils.errors import UserError, describe_error
from monai_topo.data.readers import FormatReader

__all__ = ["check_grids", "has_spacing", "read_image"]

_WITH_SPACING = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_WITHOUT_AFFINE = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")


class _ByteReader(FormatReader):
    """A reader that converts all but integers of 8 bits to float32."""

    def get_data(self, img: Any) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        array, meta = super().get_data(img)
        is_byte = array.dtype in (np.uint8, np.int8)
        return array if is_byte else array.astype(np.float32), meta


def read_image(file: str, *, keep_bytes: bool = False) -> Any:
    """Read an image, channel first, with the spatial axes x, y(, z).

    Args:
        file: Name of the file.
        keep_bytes: Whether integers of 8 bits keep their type, in a quarter of the memory. All else is float32.

    Raises:
        UserError: If the file cannot be read.
    """
    reader, dtype = (_ByteReader(), None) if keep_bytes else (FormatReader(), np.float32)
    try:
        return LoadImage(reader=reader, dtype=dtype, image_only=True, ensure_channel_first=True)(file)
    except Exception as error:  # the readers pass on whatever their libraries raise
        raise UserError(f"Expected {file} to be an image, but got {describe_error(error)}") from error


def has_spacing(file: str | os.PathLike[str]) -> bool:
    """Return whether a file's format has a reliable voxel size in its header."""
    return os.fspath(file).lower().endswith(_WITH_SPACING)


def check_grids(case: Mapping[str, str], images: Mapping[str, Any]) -> None:
    """Check that all images of a case lie on the grid of its `"image"`.

    Args:
        case: File of each key.
        images: Image of each key, from :py:func:`read_image`.

    Raises:
        UserError: If shapes differ, or affines where both formats have one.
    """
    image = images["image"]
    for key in case.keys() - {"image"}:
        files = f"{case['image']} and {case[key]}"
        shapes = tuple(image.shape[1:]), tuple(images[key].shape[1:])
        if shapes[0] != shapes[1]:
            raise UserError(
                f"Expected {files} to have the same shape, but got {shapes[0]} and {shapes[1]} (x first); "
                "check that they belong together."
            )
        if any(case[name].lower().endswith(_WITHOUT_AFFINE) for name in ("image", key)):
            continue
        # A thousandth of a voxel: headers store their numbers in single precision or as text.
        difference = np.abs(np.asarray(image.affine) - np.asarray(images[key].affine))
        if difference.max() > 1e-3 * float(image.pixdim.min()):
            raise UserError(
                f"Expected {files} to lie on the same grid, but got affines that differ by up to "
                f"{difference.max():.4g} mm; resample one to the other, or copy the header if only that is wrong."
            )
