"""The cases of a run: made if there are none, found, and read once before any work begins."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import LoadImage

from monai_topo.bundle.errors import SettingsError
from monai_topo.data.datasets import load_datalist, write_synthetic_dataset
from monai_topo.transforms.labels import LabelToForeground

__all__ = ["check_cases", "find_images", "prepare_dataset"]

_logger = logging.getLogger(__name__)


def prepare_dataset(
    dataset_dir: str | os.PathLike[str], synthetic_dir: str | os.PathLike[str], synthetic_dataset: Mapping[str, Any]
) -> None:
    """Make the synthetic data set, once, if that is the one that a run works on.

    Args:
        dataset_dir: folder of the data of this run.
        synthetic_dir: folder of the synthetic data; nothing happens unless it is the same one.
        synthetic_dataset: arguments of :py:func:`monai_topo.data.write_synthetic_dataset`.

    Raises:
        SettingsError: if it cannot be made there.
    """
    if Path(dataset_dir).resolve() != Path(synthetic_dir).resolve():
        return
    is_new = not Path(synthetic_dir).exists()
    try:
        write_synthetic_dataset(synthetic_dir, **synthetic_dataset)
    except (OSError, TypeError, ValueError) as error:
        raise SettingsError(
            f"Expected to make a synthetic data set from `synthetic_dataset`, but got: {error}"
        ) from error
    if is_new:
        print(f"No `dataset_dir` was given: synthetic data was made in {synthetic_dir}.")


def find_images(dataset_dir: str | os.PathLike[str], images: str) -> list[dict[str, str]]:
    """List the images that a pattern finds.

    Args:
        dataset_dir: a folder.
        images: pattern of the images in it, such as `"images/*.png"`; two stars stand for any folders.

    Returns:
        A dictionary with the path as `"image"` for each file, in alphabetical order.

    Raises:
        SettingsError: if there is no such folder, or nothing in it fits the pattern.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise SettingsError(f"Expected `dataset_dir` to be a folder, but got {str(folder)!r}, which does not exist.")
    found = sorted(file for file in folder.glob(images) if file.is_file())
    if not found:
        raise SettingsError(
            f"Expected `images` to be a pattern of files in {folder}, but got {images!r}, which finds none; "
            "set --images, for example 'images/*.png' or '**/*.png'."
        )
    return [{"image": str(file)} for file in found]


def check_cases(
    dataset_dir: str | os.PathLike[str],
    *,
    datalist: str,
    sections: Sequence[str],
    label_foreground: int | str,
    in_channels: int,
    smallest_shape: Sequence[int],
) -> None:
    """Read every image and label once, and stop at the first one that a run cannot work on.

    Args:
        dataset_dir: folder of the data.
        datalist: name of the datalist in it.
        sections: the datalist's sections that the run uses.
        label_foreground: what is foreground in a label, see :py:func:`monai_topo.data.foreground_mask`.
        in_channels: number of channels that the network takes.
        smallest_shape: no axis of an image may be shorter, in the readers' axis order (x first).

    Raises:
        SettingsError: in a sentence that names the file: a missing folder, datalist, section or file; a file that
            cannot be read; channels, axes, sizes that do not fit; image and label of different shapes; a label that
            does not follow the convention.

    Logged as warnings: labels without any foreground in all cases, and foreground on more than half of all voxels
    (mostly the polarity is the other one); an image in two sections.
    """
    to_foreground = _to_foreground(label_foreground)
    foreground = voxels = 0
    seen: dict[str, str] = {}
    shared: list[str] = []
    for section in sections:
        try:
            cases = load_datalist(dataset_dir, section, datalist=datalist)
        except (OSError, ValueError) as error:
            raise SettingsError(str(error)) from error
        for case in cases:
            if seen.setdefault(case["image"], section) != section:
                shared.append(case["image"])
            image, label = _read(case["image"]), _read(case["label"])
            _check_shapes(case, image.shape, label.shape, in_channels, smallest_shape)
            mask = _mask_of(label, to_foreground)
            foreground += int(mask.sum())
            voxels += mask.size
    _warn_of_polarity(foreground / voxels, label_foreground)
    if shared:
        _logger.warning(
            "Expected every image to be in one section, but got %d in several of %s, %s first; numbers on training "
            "images say nothing about new ones.",
            *(len(shared), list(sections), shared[0]),
        )


def _to_foreground(label_foreground: int | str) -> LabelToForeground:
    try:
        return LabelToForeground(label_foreground)
    except (TypeError, ValueError) as error:
        raise SettingsError(str(error).replace("`foreground`", "`label_foreground`")) from error


def _read(file: str) -> Any:
    try:
        return LoadImage(image_only=True, ensure_channel_first=True)(file)
    except Exception as error:  # the readers raise whatever their libraries do
        reason = str(error).strip().splitlines()
        raise SettingsError(
            f"Expected {file} to be an image, but got {type(error).__name__}: {reason[-1] if reason else error!r}"
        ) from error


def _check_shapes(
    case: Mapping[str, str],
    image: Sequence[int],
    label: Sequence[int],
    in_channels: int,
    smallest_shape: Sequence[int],
) -> None:
    spatial_dims = len(smallest_shape)
    if len(image) - 1 != spatial_dims:
        raise SettingsError(
            f"Expected {case['image']} to have {spatial_dims} spatial axes, but got shape {tuple(image[1:])}."
        )
    if image[0] != in_channels:
        raise SettingsError(
            f"Expected {case['image']} to have `in_channels`, {in_channels}, channels, but got {image[0]}; "
            f"set --in_channels {image[0]}, or convert the images."
        )
    if label[0] != 1:
        raise SettingsError(
            f"Expected {case['label']} to have one channel, but got {label[0]}; keep the one that counts."
        )
    if tuple(image[1:]) != tuple(label[1:]):
        raise SettingsError(
            f"Expected {case['image']} and {case['label']} to have the same shape, but got {tuple(image[1:])} and "
            f"{tuple(label[1:])}; check that they belong together."
        )
    if any(length < least for length, least in zip(image[1:], smallest_shape, strict=True)):
        raise SettingsError(
            f"Expected every image to be at least as large as `patch_size`, {list(smallest_shape)}, but got "
            f"{case['image']} of shape {tuple(image[1:])}; set smaller --patch_size and --topology_patch_size."
        )


def _mask_of(label: Any, to_foreground: LabelToForeground) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(to_foreground(label))
    except (TypeError, ValueError) as error:
        raise SettingsError(str(error).replace("`foreground`", "`label_foreground`")) from error


def _warn_of_polarity(fraction: float, label_foreground: int | str) -> None:
    cure = "if the labels are the other way round, set --label_foreground (0 where the structure has the value 0)."
    if fraction == 0:
        _logger.warning(
            "Expected foreground in the labels, but `label_foreground` %r finds none; %s", label_foreground, cure
        )
    elif fraction > 0.5:
        _logger.warning(
            "Expected structures to fill less than half of the labels, but `label_foreground` %r marks %.0f %%; %s",
            label_foreground,
            100 * fraction,
            cure,
        )
