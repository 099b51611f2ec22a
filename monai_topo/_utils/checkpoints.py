"""Checkpoints with a checksum, which replace the one before only when they are complete; that one is kept."""

from __future__ import annotations

import hashlib
import os
import uuid
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from monai_topo._utils.io import atomic_write

__all__ = ["DamagedFileError", "check_intact", "load_checkpoint", "previous_version", "save_checkpoint"]

# A checkpoint of torch is a zip file. We add a comment, which torch ignores: the digest of all bytes before it.
_ZIP_START = b"PK\x03\x04"
_MARK = b"sha256:"
_COMMENT_BYTES = len(_MARK) + 2 * hashlib.sha256().digest_size


class DamagedFileError(ValueError):
    """A checkpoint that is cut or changed; the message is a sentence that names the file."""


def previous_version(path: str | os.PathLike[str]) -> Path:
    """Return the path at which `save_checkpoint` keeps the checkpoint before: `model.previous.pt` for `model.pt`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_checkpoint(state: Any, path: str | os.PathLike[str]) -> None:
    """Save a checkpoint with a checksum, and keep the one before next to it.

    `torch.load` reads the file as usual. It replaces the one before after it has been read back, so that a complete
    checkpoint is at `path` at any moment, also if the process is killed or the disk is full.

    Args:
        state: State for `torch.save`.
        path: Path of the checkpoint, see `previous_version` for that of the one before.

    Raises:
        DamagedFileError: If the file that was written cannot be read back as it was written.
        OSError: If it cannot be written, for example because the disk is full.

    Cost: Space for three checkpoints; the file is read twice after it was written.
    """
    path = Path(path)
    with atomic_write(path) as unfinished:
        with unfinished.open("wb") as file:  # of a file that it opens itself, torch does not state why it fails
            _save(state, file, path)
        _check_records(unfinished)
        with unfinished.open("r+b") as file:
            _add_digest(file)
        if path.exists():
            _keep(path)


def _save(state: Any, file: BinaryIO, path: Path) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise OSError(error.__context__.errno, error.__context__.strerror, str(path)) from error
        raise


def _add_digest(file: BinaryIO) -> None:
    file.seek(-2, os.SEEK_END)  # the length of the comment
    file.write(_COMMENT_BYTES.to_bytes(2, "little"))
    size = file.tell()
    file.write(_MARK + _digest(file, size))


def _digest(file: BinaryIO, size: int) -> bytes:
    """Return the SHA-256 of the first `size` bytes, in hexadecimal digits; the file is then at their end."""
    file.seek(0)
    digest = hashlib.sha256()
    while size and (chunk := file.read(min(size, 2**20))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest().encode()


def _keep(path: Path) -> None:
    """Make the present checkpoint the previous one, by a second name, so that there is never none."""
    kept = previous_version(path)
    second = kept.with_name(f".{kept.stem}.{uuid.uuid4().hex}{kept.suffix}")
    try:
        os.link(path, second)
    except OSError:  # a file system without hard links: for a moment there is the previous one only
        second = path
    os.replace(second, kept)


def load_checkpoint(path: str | os.PathLike[str], map_location: Any = None) -> Any:
    """Load a checkpoint after its checksum has been verified, without executing code that it may contain.

    Args:
        path: File from `save_checkpoint` or `torch.save`.
        map_location: Device on which tensors are loaded, see `torch.load`.

    Raises:
        DamagedFileError: If the file is cut or changed, or holds more than tensors and plain values.
        OSError: If it cannot be read.
    """
    check_intact(path)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # what a damaged file raises is not documented
        raise DamagedFileError(f"Expected {path} to be a checkpoint, but got: {_first_line(error)}.") from error


def check_intact(path: str | os.PathLike[str]) -> None:
    """Verify the checksum of a checkpoint.

    A file of `torch.save` has a checksum for each record, which torch writes but does not verify; these are taken if
    there is none of the whole file. Files in torch's format before version 1.6 have none and pass.

    Raises:
        DamagedFileError: If the content differs from the checksum, or the file is cut.
        OSError: If it cannot be read.

    Cost: The file is read once.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _COMMENT_BYTES))
        comment = file.read()
        if _MARK in comment:
            if comment != _MARK + _digest(file, size - _COMMENT_BYTES):
                raise DamagedFileError(f"Expected {path} to be as it was written, but its checksum differs.")
            return
        file.seek(0)
        is_zip = file.read(len(_ZIP_START)) == _ZIP_START
    if is_zip:
        _check_records(path)


def _check_records(path: str | os.PathLike[str]) -> None:
    try:
        with zipfile.ZipFile(path) as records:
            damaged = records.testzip()
    except Exception as error:  # a changed header may ask for anything, such as a password or a negative position
        raise DamagedFileError(f"Expected {path} to be complete, but got: {_first_line(error)}.") from error
    if damaged is not None:
        raise DamagedFileError(f"Expected {path} to be as it was written, but the checksum of {damaged!r} differs.")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else repr(error)
