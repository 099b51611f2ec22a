"""Predicted images in files that are complete, or absent."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import SaveImage, SaveImaged

from monai_topo._utils.io import UNFINISHED
from monai_topo.data._tiff import read_tiff_pages
from monai_topo.data.headers import check_header

__all__ = ["SAVED_FILES", "AtomicSaveImaged"]

#: Key of the metadata with the files that an image was saved to.
SAVED_FILES = "saved_files"
_FULL_BYTES = 2**16


class AtomicSaveImaged(SaveImaged):  # MONAI Label and MONAI Deploy remove steps of this class
    """Save images as MONAI's SaveImaged does, but replace the files atomically.

    A file is written to a temporary folder next to it, and then takes its place. So a killed process or a full disk
    never leaves a part of a file. The paths are added to the image's metadata, as a list `"saved_files"`.

    Args:
        keys: Keys of the images, MetaTensors.
        allow_missing_keys: Whether to ignore missing keys.
        **settings: Settings of `monai.transforms.SaveImage`.

    Raises:
        OSError: If a file cannot be written, for example because the disk is full.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **settings: Any) -> None:
        super().__init__(keys, allow_missing_keys=allow_missing_keys, **settings)
        self.saver = _AtomicSaveImage(**settings)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Save the images; the data do not change otherwise."""
        data = dict(data)
        for key in self.key_iterator(data):
            self.saver(data[key])
        return data


class _AtomicSaveImage(SaveImage):
    def __call__(self, img: Any, meta_data: dict[str, Any] | None = None, filename: Any = None) -> Any:
        meta = img.meta if isinstance(img, MetaTensor) else (meta_data or {})
        path = Path(self.folder_layout.filename(**self.fname_formatter(meta, self)))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
            written = Path(folder) / path.name
            self._write(img, meta, written)
            # The named file comes last: some formats have a second one for the voxels.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == written):
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
                os.replace(file, path.parent / file.name)
        self._data_index += 1
        if isinstance(img, MetaTensor):
            img.meta[SAVED_FILES] = [*img.meta.get(SAVED_FILES, []), str(path)]
        return img

    def _write(self, img: Any, meta: Mapping[str, Any], path: Path) -> None:
        """Write with the first writer that can, like MONAI, and find out whether the disk was full.

        ITK reports a full disk like any other error, and of a TIFF file not at all.
        """
        failure: Exception | None = None
        writers: Sequence[Any] = self.writers
        for writer_class in writers:
            try:
                writer = writer_class(**self.init_kwargs)
                writer.set_data_array(data_array=img, **self.data_kwargs)
                writer.set_metadata(meta_dict=meta, **self.meta_kwargs)
                writer.write(str(path), **self.write_kwargs)
                check_header(path)
                _check_pages(path, img)
                return
            except Exception as error:
                failure = failure or error
                if shutil.disk_usage(path.parent).free < _FULL_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        assert failure is not None, "there is no writer for this format"
        raise failure


def _check_pages(path: Path, img: Any) -> None:
    """Check that a TIFF file has all slices: MONAI's writer keeps the first one of a volume, without a word."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return
    claimed, expected = sum(page.claim for page in read_tiff_pages(path)), int(np.prod(img.shape))
    if claimed < expected:
        raise OSError(
            f"Expected {path.name} to hold {expected} voxels, but got {claimed}: save volumes as .nii.gz, or images as "
            "TIFF on a disk with space."
        )
