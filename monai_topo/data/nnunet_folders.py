"""nnU-Net's folders as they are: the classes of `dataset.json`, and the files of labels, predictions and images."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Array, Mask

__all__ = ["LabelClass", "NnunetDataset", "NnunetFile", "find_dataset", "read_probabilities"]

_DATASET = "dataset.json"
_OF_DATASET = {"labelsTr", "labelsTs", "imagesTr", "imagesTs", "gt_segmentations", "postprocessed"}
_CHANNEL = re.compile(r"_\d{4}$")


class LabelClass(NamedTuple):
    """A foreground class, or a region, of an nnU-Net data set.

    Attributes:
        name: Its name in `dataset.json`.
        values: Values of the label that belong to it.
        ignore_value: Value of voxels that do not count; None if there is none.
        channel: Its channel in saved probabilities.
        is_region: Whether the channels are regions; otherwise they exclude each other.
    """

    name: str
    values: tuple[int, ...]
    ignore_value: int | None
    channel: int
    is_region: bool

    def mask(self, label: Array) -> Mask:
        """Return where a label has this class."""
        return np.isin(label, self.values)

    def inside(self, label: Array) -> Mask:
        """Return where a label counts."""
        return np.ones(label.shape, dtype=bool) if self.ignore_value is None else label != self.ignore_value


class NnunetFile(NamedTuple):
    """A file of a case, and the fold of the cross-validation that it comes from."""

    path: Path
    case: str
    fold: str | None = None


class NnunetDataset(NamedTuple):
    """What `dataset.json` says.

    Attributes:
        path: The file.
        classes: Foreground classes or regions, by name.
        file_ending: Ending of all images and labels.
        listed: Images and label of each case, where the file lists them.
    """

    path: Path
    classes: dict[str, LabelClass]
    file_ending: str
    listed: Mapping[str, Mapping[str, Any]]

    def values(self) -> dict[str, tuple[int, ...]]:
        """Return the values of each class."""
        return {name: one.values for name, one in self.classes.items()}

    def labels(self, folder: Path) -> dict[str, list[NnunetFile]]:
        """Return the labels of a folder, by subfolder: a data set has those of training and of test cases."""
        folders = [folder / name for name in ("labelsTr", "labelsTs", "gt_segmentations") if (folder / name).is_dir()]
        if not folders and self.listed:
            return {"": [NnunetFile(self._absolute(files["label"]), case) for case, files in self.listed.items()]}
        return {found.name: self._files(found) for found in folders or [folder]}

    def predictions(self, folder: Path) -> list[NnunetFile]:
        """Return the predictions of a folder, or those of the validation of all folds of a trained model."""
        folds = [folder] if folder.name.startswith("fold_") else sorted(folder.glob("fold_*"))
        validated = [fold for fold in folds if (fold / "validation").is_dir()]
        if validated:
            return [found for fold in validated for found in self._files(fold / "validation", _number(fold))]
        return self._files(folder, _number(folder.parent) if folder.name == "validation" else None)

    def images(self, folder: Path) -> list[NnunetFile]:
        """Return the first channel of each image of a folder, `CASE_0000`, or of all images of a data set."""
        folders = [folder / name for name in ("imagesTr", "imagesTs") if (folder / name).is_dir()]
        if not folders and self.listed:
            return [NnunetFile(self._absolute(files["images"][0]), case) for case, files in self.listed.items()]
        found = [one for each in folders or [folder] for one in self._files(each)]
        return [one._replace(case=_CHANNEL.sub("", one.case)) for one in found if one.case.endswith("_0000")]

    def _files(self, folder: Path, fold: str | None = None) -> list[NnunetFile]:
        names = sorted(path.name for path in folder.iterdir() if path.name.endswith(self.file_ending))
        return [NnunetFile(folder / name, name.removesuffix(self.file_ending), fold) for name in names]

    def _absolute(self, file: str) -> Path:
        return self.path.parent / os.path.expandvars(file)


def _number(fold: Path) -> str:
    return fold.name.removeprefix("fold_")


def find_dataset(folder: str | os.PathLike[str]) -> NnunetDataset | None:
    """Find the `dataset.json` of nnU-Net that a folder of labels, predictions or images belongs to.

    Args:
        folder: A data set of `nnUNet_raw` or `nnUNet_preprocessed`, its labels or images, a folder of predictions, or a
            trained model, one of its folds or a fold's `validation`.

    Returns:
        The data set, or None if the folder is not nnU-Net's. The `dataset.json` of the Medical Segmentation Decathlon,
        which has the same name, is not nnU-Net's.

    Raises:
        UserError: If the file cannot be read.
    """
    folder = Path(folder).absolute()
    candidates = [folder]
    if folder.name in _OF_DATASET or folder.name.startswith("fold_"):
        candidates.append(folder.parent)
    if folder.name == "validation" and folder.parent.name.startswith("fold_"):
        candidates.append(folder.parent.parent)
    for path in (candidate / _DATASET for candidate in candidates):
        if path.is_file() and (found := _read(path)):
            return found
    return None


def _read(path: Path) -> NnunetDataset | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Expected {path} to be the JSON file of an nnU-Net data set, but got: {error}.") from error
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or labels.get("background") != 0 or not isinstance(content.get("file_ending"), str):
        return None
    values = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in labels.items()}
    ignore = values.pop("ignore", (None,))[0]
    foreground = {name: numbers for name, numbers in values.items() if set(numbers) != {0}}
    are_regions = any(len(numbers) > 1 for numbers in foreground.values())
    return NnunetDataset(
        path,
        {
            name: LabelClass(name, numbers, ignore, position if are_regions else numbers[0], are_regions)
            for position, (name, numbers) in enumerate(foreground.items())
        },
        content["file_ending"],
        content.get("dataset", {}),
    )


def read_probabilities(path: Path, one: LabelClass) -> NDArray[np.float32]:
    """Read the likelihood of a class from the probabilities that nnU-Net saves next to a segmentation (`.npz`).

    Above 0.5 lies what nnU-Net segments as the class: for a region its probability; for one of several classes its
    share of the sum with the most probable other class, which is its probability if there are two with the background.

    Returns:
        Array with axes (z,) y, x.

    Raises:
        UserError: If the file cannot be read or does not have the channel.
    """
    try:
        with np.load(path) as file:
            probabilities = np.asarray(file["probabilities"], dtype=np.float32)
        own = probabilities[one.channel]
        others = np.delete(probabilities, one.channel, axis=0)
    except Exception as error:  # a zip file can be broken in many ways
        raise UserError(
            f"Expected {path} to hold the probabilities of class {one.name!r}, but got: {error!r}."
        ) from error
    if not one.is_region:
        own = own / np.maximum(own + others.max(axis=0), np.finfo(np.float32).tiny)
    likelihood: NDArray[np.float32] = own[0] if own.ndim == 3 and len(own) == 1 else own
    return likelihood
