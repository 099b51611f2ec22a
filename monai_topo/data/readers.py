"""One image reader for all file formats in which labeled images of thin structures are published."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader, ITKReader, NibabelReader, PILReader
from monai.utils import ensure_tuple

from monai_topo.data.headers import check_header

__all__ = ["FormatReader"]

_NIFTI = (".nii", ".nii.gz")
_DICOM_TAG = re.compile("[0-9a-f]{4}\\|[0-9a-f]{4}", re.IGNORECASE)
_PICTURE = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


class FormatReader(ImageReader):
    """Read NIfTI with nibabel, pictures with pillow, and other formats with ITK, as a reader for MONAI's `LoadImage`.

    The other formats are NRRD, MetaImage (`.mha`, `.mhd`), TIFF (including multi-page stacks and LZW compression),
    single DICOM files and, given a folder, the DICOM series in it. The spatial axes are x, y(, z) for all formats,
    pictures included, with the affine of the file (RAS); pictures have no affine.

    MONAI chooses readers by suffix too, but leaves GIF to ITK, which cannot read it, and its ITKReader fails on TIFF
    files with ImageJ's own binary tags ("Can't downcast to a specialization of MetaDataObject"). This reader leaves
    such tags out of the metadata. The spacing in a TIFF file is the printing resolution in x and y, often a default of
    72 dots per inch (0.3528 mm), and 1 in z: take the spacing from the microscope instead.

    Files whose header claims more voxels than they hold, or than the memory, are refused before memory is taken, see
    :py:func:`monai_topo.data.headers.check_header`. Of the metadata of a DICOM file only those about the image and its
    acquisition are kept, not those about the patient.

    Raises:
        ValueError: If one call gets files of several kinds, or a file is refused. Errors of nibabel, pillow and ITK
            pass through. All are raised by `get_data`.

    Example:
        >>> from monai.transforms import LoadImage
        >>> load = LoadImage(reader="monai_topo.data.FormatReader", image_only=True, ensure_channel_first=True)
    """

    def __init__(self) -> None:
        super().__init__()
        self._nifti = NibabelReader()
        self._picture = PILReader(converter=_detach)
        self._other = _LenientITKReader()

    def verify_suffix(self, filename: Sequence[os.PathLike[str] | str] | os.PathLike[str] | str) -> bool:
        """Accept any file: unknown formats are passed to ITK."""
        return True

    def read(self, data: Any, **kwargs: Any) -> tuple[ImageReader, Any] | Exception:
        """Open a file, a DICOM folder, or files to be stacked; return the reader and what it has opened.

        An error is returned too, and raised by `get_data`: if it were raised here, MONAI's LoadImage would pass a file
        that is refused to its other readers.
        """
        try:
            return self._read(data, **kwargs)
        except Exception as error:
            return error

    def _read(self, data: Any, **kwargs: Any) -> tuple[ImageReader, Any]:
        readers = {id(reader): reader for reader in map(self._reader_of, ensure_tuple(data))}
        if len(readers) != 1:
            raise ValueError(f"Expected files of one kind, but got {ensure_tuple(data)}")
        for file in ensure_tuple(data):
            check_header(file)
        (reader,) = readers.values()
        return reader, reader.read(data, **kwargs)

    def get_data(self, img: tuple[ImageReader, Any] | Exception) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Return the array and the metadata of what `read` has opened."""
        if isinstance(img, Exception):
            raise img
        reader, opened = img
        array, meta = reader.get_data(opened)
        return array, meta

    def _reader_of(self, file: os.PathLike[str] | str) -> ImageReader:
        name = Path(file).name.lower()
        if name.endswith(_NIFTI):
            return self._nifti
        return self._picture if name.endswith(_PICTURE) else self._other


def _detach(picture: Any) -> Any:
    """Copy a picture and close its file; convert the color indices of a GIF, which have no meaning, to gray or RGB."""
    with picture:
        copy = picture.copy()
    if picture.format == "GIF" and copy.mode == "P":
        copy = copy.convert("RGB")
        red, green, blue = copy.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            copy = red
    copy.format = picture.format
    return copy


def _is_personal(key: str) -> bool:
    """Return whether a DICOM tag, such as `0010|0010`, may be about the patient, and not the image or acquisition."""
    return _DICOM_TAG.fullmatch(key) is not None and not key.startswith(("0018|", "0028|"))


class _LenientITKReader(ITKReader):
    """An ITKReader that skips metadata of types that ITK's Python does not support."""

    def _get_meta_dict(self, img: Any) -> dict[str, Any]:
        found = img.GetMetaDataDictionary()
        meta: dict[str, Any] = {}
        for key in found.GetKeys():
            if key.startswith("ITK_") or _is_personal(key):
                continue
            try:
                value = found[key]
            except RuntimeError:  # a tag of a type without Python wrapping
                continue
            meta[key] = np.asarray(value) if type(value).__name__.startswith("itk") else value
        meta["spacing"] = np.asarray(img.GetSpacing())
        return meta
