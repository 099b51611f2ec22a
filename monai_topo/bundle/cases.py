"""The cases of a run: made if there are none, found, and told apart from others by a fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_topo._utils.distributed import rank
from monai_topo._utils.errors import UserError
from monai_topo.data.datasets import write_synthetic_dataset

__all__ = ["find_images", "fingerprint", "prepare_dataset"]


def prepare_dataset(
    dataset_dir: str | os.PathLike[str], synthetic_dir: str | os.PathLike[str], synthetic_dataset: Mapping[str, Any]
) -> None:
    """Make the synthetic data set, once, if that is the one that a run works on.

    Args:
        dataset_dir: folder of the data of this run.
        synthetic_dir: folder of the synthetic data; nothing happens unless it is the same one.
        synthetic_dataset: arguments of :py:func:`monai_topo.data.write_synthetic_dataset`.

    Raises:
        UserError: if it cannot be made there.
    """
    if Path(dataset_dir).resolve() != Path(synthetic_dir).resolve():
        return
    is_new = not Path(synthetic_dir).exists()
    try:
        write_synthetic_dataset(synthetic_dir, **synthetic_dataset)
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"Expected to make a synthetic data set from `synthetic_dataset`, but got: {error}") from error
    if is_new and rank() == 0:
        print(f"No `dataset_dir` was given: synthetic data was made in {synthetic_dir}.")


def find_images(dataset_dir: str | os.PathLike[str], images: str) -> list[dict[str, str]]:
    """List the images that a pattern finds.

    Args:
        dataset_dir: a folder.
        images: pattern of the images in it, such as `"images/*.png"`; two stars stand for any folders. If it finds
            folders only, these are taken for DICOM series, one each.

    Returns:
        A dictionary with the path as `"image"` for each image, in alphabetical order.

    Raises:
        UserError: if there is no such folder, or nothing in it fits the pattern.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise UserError(f"Expected `dataset_dir` to be a folder, but got {str(folder)!r}, which does not exist.")
    paths = sorted(folder.glob(images))
    found = [path for path in paths if path.is_file()] or [path for path in paths if path.is_dir() and path != folder]
    if not found:
        raise UserError(
            f"Expected `images` to be a pattern of files in {folder}, but got {images!r}, which finds none; "
            f"set --images, for example '**/*{_commonest_ending(folder)}'."
        )
    return [{"image": str(file)} for file in found]


def _commonest_ending(folder: Path) -> str:
    """How most names of files in a folder, and in those in it, end; that of datalists last."""
    endings = Counter(
        "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in folder.rglob("*.*")
    )
    del endings[".json"]
    return endings.most_common(1)[0][0] if endings else ".png"


def fingerprint(files: Iterable[str | os.PathLike[str]]) -> str:
    """Return 16 hexadecimal digits (of SHA-256) that change with any byte of any file, not with names or folders.

    Of a folder (a DICOM series) all files count. Costs one reading of everything.
    """
    whole = hashlib.sha256()
    for path in map(Path, files):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            with file.open("rb") as opened:
                whole.update(_digest(opened))
    return whole.hexdigest()[:16]


def _digest(opened: Any) -> bytes:
    digest = hashlib.sha256()
    while chunk := opened.read(2**20):
        digest.update(chunk)
    return digest.digest()
