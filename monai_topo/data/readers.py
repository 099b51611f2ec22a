"""One reader for the formats that labeled images of thin structures come in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader, ITKReader, NibabelReader, PILReader
from monai.utils import ensure_tuple

__all__ = ["FormatReader"]

_NIFTI = (".nii", ".nii.gz")
_PICTURE = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


class FormatReader(ImageReader):
    """Read NIfTI with nibabel, pictures with pillow, and all else with ITK; for `monai.transforms.LoadImage(reader=)`.

    All else is NRRD, MetaImage (`.mha`, `.mhd`), TIFF (also stacks of many pages and LZW compression), single DICOM
    files and, given a folder, the DICOM series in it. The spatial axes come as x, y(, z), also from pictures, with the
    affine that the file has (RAS); pictures have none.

    MONAI chooses readers by suffix too, but leaves GIF to ITK, which cannot read it, and its ITKReader fails
    on TIFF files that ImageJ has added binary tags of its own to ("Can't downcast to a specialization of
    MetaDataObject"). Here such tags are left out of the metadata. What TIFF has as spacing is the printing resolution
    of the picture in x and y, often a default of 72 dots an inch (0.3528 mm), and 1 in z: ask the microscope.

    Raises:
        ValueError: for files of several kinds in one call; else whatever nibabel, pillow and ITK raise.

    Example:
        >>> from monai.transforms import LoadImage
        >>> load = LoadImage(reader="monai_topo.data.FormatReader", image_only=True, ensure_channel_first=True)
    """

    def __init__(self) -> None:
        super().__init__()
        self._nifti = NibabelReader()
        self._picture = PILReader(converter=_detached)
        self._other = _LenientITKReader()

    def verify_suffix(self, filename: Sequence[os.PathLike[str] | str] | os.PathLike[str] | str) -> bool:
        """Say yes to any file: what is unknown is left to ITK."""
        return True

    def read(self, data: Any, **kwargs: Any) -> tuple[ImageReader, Any]:
        """Open a file, a DICOM folder, or files to be stacked; return them beside the reader in charge."""
        readers = {id(reader): reader for reader in map(self._in_charge, ensure_tuple(data))}
        if len(readers) != 1:
            raise ValueError(f"Expected files of one kind, but got {ensure_tuple(data)}")
        (reader,) = readers.values()
        return reader, reader.read(data, **kwargs)

    def get_data(self, img: tuple[ImageReader, Any]) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Return the array and metadata of what `read` opened."""
        reader, opened = img
        array, meta = reader.get_data(opened)
        return array, meta

    def _in_charge(self, file: os.PathLike[str] | str) -> ImageReader:
        name = Path(file).name.lower()
        if name.endswith(_NIFTI):
            return self._nifti
        return self._picture if name.endswith(_PICTURE) else self._other


def _detached(picture: Any) -> Any:
    """The picture without its open file; the indices of a GIF's colors, which mean nothing, as gray values or RGB."""
    with picture:
        copy = picture.copy()
    if picture.format == "GIF" and copy.mode == "P":
        copy = copy.convert("RGB")
        red, green, blue = copy.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            copy = red
    copy.format = picture.format
    return copy


class _LenientITKReader(ITKReader):
    """ITKReader that passes over metadata which ITK's Python cannot hand out."""

    def _get_meta_dict(self, img: Any) -> dict[str, Any]:
        found = img.GetMetaDataDictionary()
        meta: dict[str, Any] = {}
        for key in found.GetKeys():
            if key.startswith("ITK_"):
                continue
            try:
                value = found[key]
            except RuntimeError:  # a tag of a type that is not wrapped
                continue
            meta[key] = np.asarray(value) if type(value).__name__.startswith("itk") else value
        meta["spacing"] = np.asarray(img.GetSpacing())
        return meta
