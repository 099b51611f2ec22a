"""Images whose header claims more voxels than the file can hold: refused before memory is taken for them.

The libraries that read images reserve memory for what a header claims. Some then fail, some return whatever was in the
memory, and of a stack of pages that was cut, ITK returns the pages that are left.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

from monai.utils import optional_import

from monai_topo._utils.memory import describe_bytes, total_memory
from monai_topo.data._tiff import TIFF_STARTS, read_tiff_pages

__all__ = ["check_header", "count_voxels"]

_HEADER_BYTES = 2**20
# What a byte of compressed data can become: at most 1032 bytes with deflate. For the other compressions, a number far
# above that of real images.
_DEFLATE, _OTHER = 1032, 20_000
_COUNTED_BYTES = 2**28  # a deflated file that claims more is counted


def check_header(file: str | os.PathLike[str]) -> None:
    """Compare the size that the header of an image claims with the size of its file, without reading voxels.

    If a deflated NIfTI, NRRD or MetaImage file claims more than 256 MiB, its content is counted without being kept.
    Other compressed files (TIFF, DICOM, PNG) pass if their compression could hold what they claim.

    Args:
        file: Image, or the folder of a DICOM series.

    Raises:
        ValueError: If the file cannot hold what its header claims, if that exceeds the memory of this machine, or if
            the header names a file of voxels outside its own folder.

    Cost: One look at the header; a DICOM file is read as a whole.
    """
    path = Path(file)
    if path.is_dir():
        for one in sorted(path.iterdir()):
            check_header(one)
        return
    name = path.name.lower()
    with path.open("rb") as opened:
        start = opened.read(_HEADER_BYTES)
    if name.endswith((".nii", ".nii.gz")):
        _check_nifti(path)
    elif start.startswith(TIFF_STARTS):
        for page in read_tiff_pages(path):
            _check(path, page.claim, page.held, 1 if page.is_raw else _OTHER)
        _check_memory(path, sum(page.claim for page in read_tiff_pages(path)))
    elif start.startswith(b"NRRD000"):
        _check_nrrd(path, re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0])
    elif match := re.search(rb"^ElementDataFile\s*=\s*(.+?)\s*$", start, re.MULTILINE):
        _check_metaimage(path, start[: match.end()], match[1].decode(errors="replace"))
    elif start[128:132] == b"DICM":
        is_raw = re.search(rb"1\.2\.840\.10008\.1\.2(\.[12])?[^.\d]", start[:4096]) is not None
        _check(path, _claim_of_itk(path), path.stat().st_size, 1 if is_raw else _OTHER)
    else:
        ratio = _DEFLATE if name.endswith(".png") else _OTHER
        _check(path, _claim_of_pillow(path), path.stat().st_size, ratio)


def count_voxels(file: str | os.PathLike[str]) -> int:
    """Return the number of voxels that the header of an image states; 0 if it is broken.

    Args:
        file: Image in a format other than a DICOM series.
    """
    path = Path(file)
    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            import nibabel  # here, because importing the package needs none of the readers

            return math.prod(getattr(nibabel.load(path), "shape"))  # noqa: B009 - of images of all kinds
        return _voxels_of_itk(_open_with_itk(path))
    except Exception:
        return 0


def _check(path: Path, claim: int, held: int, ratio: int = 1) -> None:
    if claim > ratio * held:
        raise ValueError(
            f"Expected {path} to hold the {describe_bytes(claim)} of voxels that its header claims, but got a file "
            f"that holds {describe_bytes(held)}{', compressed' if ratio > 1 else ''}; it was cut, or its header is "
            "wrong."
        )
    _check_memory(path, claim)


def _check_memory(path: Path, claim: int) -> None:
    memory = total_memory()
    if claim > memory:
        raise ValueError(
            f"Expected {path} to fit into the {describe_bytes(memory)} of this machine's memory, but its header claims "
            f"{describe_bytes(claim)}; divide the image, or count it block by block from zarr or HDF5."
        )


def _check_nifti(path: Path) -> None:
    import nibabel  # here, because importing the package needs none of the readers

    image: Any = nibabel.load(path)  # reads the header only
    claim = math.prod(image.shape) * image.dataobj.dtype.itemsize
    offset = int(image.dataobj.offset)
    if path.name.lower().endswith(".gz"):
        _check(path, claim, path.stat().st_size, _DEFLATE)
        with gzip.open(path) as content:
            _count(path, content, offset + claim)
    else:
        _check(path, claim, max(0, path.stat().st_size - offset))


def _check_nrrd(path: Path, header: bytes) -> None:
    encoding = _field(rb"encoding", header).lower()
    claim, detached = _claim_of_itk(path), _field(rb"data ?file", header)
    ratio = {"gzip": _DEFLATE, "gz": _DEFLATE, "bzip2": _OTHER, "bz2": _OTHER}.get(encoding, 1)
    _check(path, claim, _held_beside(path, len(header), detached), ratio)
    if ratio == _DEFLATE and not detached:
        with path.open("rb") as file:
            file.seek(len(header))
            while file.read(1) in (b"\r", b"\n"):
                pass
            file.seek(-1, os.SEEK_CUR)
            with gzip.open(file) as content:
                _count(path, content, claim)


def _check_metaimage(path: Path, header: bytes, detached: str) -> None:
    claim = _claim_of_itk(path)
    deflated = _field(rb"CompressedData", header).lower() == "true"
    detached = "" if detached.upper() == "LOCAL" else detached
    _check(path, claim, _held_beside(path, len(header), detached), _DEFLATE if deflated else 1)
    if deflated and not detached:
        with path.open("rb") as file:
            file.seek(len(header) + 1)
            _count(path, _Inflated(file), claim)


def _field(name: bytes, header: bytes) -> str:
    match = re.search(rb"^" + name + rb"\s*[:=]\s*(.+?)\s*$", header, re.MULTILINE | re.IGNORECASE)
    return "" if match is None else match[1].decode(errors="replace")


def _held_beside(path: Path, header_bytes: int, detached: str) -> int:
    """Return the bytes of voxels after the header, or in the files that it names."""
    if not detached:
        return path.stat().st_size - header_bytes
    name = detached.split()[0]
    if name.upper() == "LIST" or "%" in name:
        return sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
    folder = path.parent.absolute()
    data = Path(os.path.normpath(folder / detached))
    if not data.is_relative_to(os.path.normpath(folder)):
        raise ValueError(
            f"Expected the voxels of {path} to be in its folder, but got {detached!r} in its header; move that file."
        )
    return data.stat().st_size


class _Inflated:
    """The content of zlib data in a file, to be read in pieces."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.inflate = zlib.decompressobj(wbits=47)  # with a header of zlib or gzip

    def read(self, size: int) -> bytes:
        while not self.inflate.eof:
            compressed = self.inflate.unconsumed_tail or self.file.read(2**16)
            if (content := self.inflate.decompress(compressed, size)) or not compressed:
                return content
        return b""


def _count(path: Path, content: Any, claim: int) -> None:
    """Count what is deflated, if the claim is large."""
    held = 0
    try:
        while claim >= _COUNTED_BYTES and held < claim and (piece := content.read(2**20)):
            held += len(piece)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"Expected {path} to hold {describe_bytes(claim)}, but got: {error}; it was cut or changed."
        ) from error
    if claim >= _COUNTED_BYTES:
        _check(path, claim, held)


def _claim_of_itk(path: Path) -> int:
    """Return the bytes of voxels that a header claims, as ITK reads it."""
    io = _open_with_itk(path)
    return _voxels_of_itk(io) * int(io.GetComponentSize()) * int(io.GetNumberOfComponents())


def _voxels_of_itk(io: Any) -> int:
    return math.prod(int(io.GetDimensions(axis)) for axis in range(io.GetNumberOfDimensions()))


def _open_with_itk(path: Path) -> Any:
    """Read a header with ITK."""
    import itk  # as nibabel above

    factory, enums = getattr(itk, "ImageIOFactory"), getattr(itk, "CommonEnums")  # noqa: B009 - ITK loads them lazily
    io = factory.CreateImageIO(str(path), enums.IOFileMode_ReadMode)
    if io is None:
        raise ValueError(f"Expected {path} to be an image, but got a file that no reader knows.")
    io.SetFileName(str(path))
    io.ReadImageInformation()
    return io


def _claim_of_pillow(path: Path) -> int:
    """Return the bytes of a picture that its header claims; 0 if pillow cannot read it, which its reader reports."""
    images, has_pillow = optional_import("PIL.Image")
    try:
        with images.open(path) as picture:
            return int(math.prod(picture.size)) * len(picture.getbands()) if has_pillow else 0
    except Exception:
        return 0
