"""The cases of a run: synthetic ones if none are given, images found by a pattern, and a fingerprint of the data."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_topo._utils.distributed import rank
from monai_topo._utils.errors import UserError
from monai_topo.data.synthetic_datasets import write_synthetic_dataset

__all__ = ["find_images", "fingerprint", "prepare_dataset"]


def prepare_dataset(
    dataset_dir: str | os.PathLike[str], synthetic_dir: str | os.PathLike[str], synthetic_dataset: Mapping[str, Any]
) -> None:
    """Write the synthetic data set if a run uses it and it does not exist yet.

    Args:
        dataset_dir: Folder of this run's data.
        synthetic_dir: Folder of the synthetic data; if `dataset_dir` is another folder, nothing happens.
        synthetic_dataset: Arguments of :py:func:`monai_topo.data.write_synthetic_dataset`.

    Raises:
        UserError: If the data set cannot be written.
    """
    if Path(dataset_dir).resolve() != Path(synthetic_dir).resolve():
        return
    is_new = not Path(synthetic_dir).exists()
    try:
        write_synthetic_dataset(synthetic_dir, **synthetic_dataset)
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"Expected to make a synthetic data set from `synthetic_dataset`, but got: {error}") from error
    if is_new and rank() == 0:
        print(f"No `dataset_dir` was given: synthetic data was written to {synthetic_dir}.")


def find_images(dataset_dir: str | os.PathLike[str], images: str) -> list[dict[str, str]]:
    """List the images that match a pattern.

    Args:
        dataset_dir: Folder of the images.
        images: Pattern of the images in it, such as `"images/*.png"`; two stars stand for any folders. If only folders
            match, each is treated as a DICOM series.

    Returns:
        One dictionary per image with its path as `"image"`, in alphabetical order.

    Raises:
        UserError: If the folder does not exist, or nothing in it matches the pattern.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise UserError(f"Expected `dataset_dir` to be a folder, but got {str(folder)!r}, which does not exist.")
    paths = sorted(folder.glob(images))
    found = [path for path in paths if path.is_file()] or [path for path in paths if path.is_dir() and path != folder]
    if not found:
        raise UserError(
            f"Expected `images` to be a pattern of files in {folder}, but got {images!r}, which finds none; "
            f"set --images, for example '**/*{_most_common_suffix(folder)}'."
        )
    return [{"image": str(file)} for file in found]


def _most_common_suffix(folder: Path) -> str:
    """Find the most common suffix of the files in a folder and its subfolders, ignoring `.json`."""
    suffixes = Counter(
        "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in folder.rglob("*.*")
    )
    del suffixes[".json"]
    return suffixes.most_common(1)[0][0] if suffixes else ".png"


def fingerprint(files: Iterable[str | os.PathLike[str]]) -> str:
    """Compute 16 hexadecimal digits (of SHA-256) that depend on every byte of every file, but not on names or folders.

    All files of a folder (a DICOM series) count. Cost: reads all data once.
    """
    total = hashlib.sha256()
    for path in map(Path, files):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            with file.open("rb") as opened:
                total.update(_digest(opened))
    return total.hexdigest()[:16]


def _digest(opened: Any) -> bytes:
    digest = hashlib.sha256()
    while chunk := opened.read(2**20):
        digest.update(chunk)
    return digest.digest()
