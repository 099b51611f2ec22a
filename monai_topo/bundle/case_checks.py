"""Read every case once before a run begins, and name each file that does not fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from monai_topo._utils.distributed import world_size
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo.data.case_files import check_grids, read_image
from monai_topo.data.datalists import load_datalist
from monai_topo.transforms.label_to_foreground import LabelToForeground

__all__ = ["check_axes", "check_cases"]

_logger = logging.getLogger(__name__)
_MAX_LISTED = 10
_RENAME = ("`foreground`", "`label_foreground`")


def check_cases(
    dataset_dir: str | os.PathLike[str],
    *,
    datalist: str,
    sections: Sequence[str],
    label_foreground: int | str,
    in_channels: int,
    spatial_dims: int,
    smallest_shape: int | Sequence[int] | None = None,
    file_keys: Sequence[str] = ("image", "label"),
    allow_outside: bool = False,
) -> None:
    """Read every file of every case once, and raise an error if some cannot be used.

    Logs a warning if no label has any foreground, if more than half of all voxels are foreground (the labels are then
    usually inverted), and if an image is in two sections.

    Args:
        dataset_dir: Folder of the data.
        datalist: Name of the datalist in it.
        sections: Sections of the datalist that the run uses.
        label_foreground: Rule for the foreground of a label, see :py:func:`monai_topo.data.foreground_mask`.
        in_channels: Number of input channels of the network.
        spatial_dims: Number of spatial axes of an image.
        smallest_shape: Smallest allowed shape of images outside the section `"training"` (whose images are padded), in
            the readers' axis order (x first): one number for all axes, or one per axis; None for no limit.
        file_keys: Keys of a case's files: image, label, and masks, which are read in the same way.
        allow_outside: Whether the datalist may name files outside the folder.

    Raises:
        UserError: With one sentence that names the file for each of the first ten cases that do not fit: if a folder,
            datalist, section or file is missing; a file cannot be read; channels, axes or sizes do not fit; image and
            label have different shapes or, if both formats have one, affines; a label does not follow the convention.
            Also if a section has fewer cases than the run has processes.
    """
    with as_user_error(TypeError, ValueError, rename=_RENAME):
        to_foreground = LabelToForeground(label_foreground)
    foreground = voxels = 0
    sections_of: dict[str, set[str]] = {}
    problems: list[str] = []
    for section, case in _cases(dataset_dir, sections, datalist, file_keys, allow_outside):
        sections_of.setdefault(case["image"], set()).add(section)
        try:
            images = {key: read_image(file) for key, file in case.items()}
            check_axes(case["image"], images["image"].shape, in_channels, spatial_dims)
            _check_single_channels(case, images)
            check_grids(case, images)
            if section != "training":
                _check_extent(case["image"], images["image"].shape[1:], smallest_shape)
            with as_user_error(TypeError, ValueError, rename=_RENAME):
                mask = np.asarray(to_foreground(images["label"]))
        except UserError as problem:
            problems.append(str(problem))
            continue
        foreground += int(mask.sum())
        voxels += mask.size
    _raise_if_any(problems)
    _warn_about_polarity(foreground / voxels, label_foreground)
    if shared := [image for image, found in sections_of.items() if len(found) > 1]:
        _logger.warning(
            "Expected every image to be in one section, but got %d in several of %s, %s first; metrics on training "
            "images do not carry over to new ones.",
            *(len(shared), list(sections), shared[0]),
        )


def _cases(
    dataset_dir: str | os.PathLike[str],
    sections: Sequence[str],
    datalist: str,
    file_keys: Sequence[str],
    allow_outside: bool,
) -> Iterator[tuple[str, dict[str, str]]]:
    found = {}
    for section in sections:
        with as_user_error(OSError, ValueError):
            found[section] = load_datalist(
                dataset_dir, section, datalist=datalist, file_keys=file_keys, allow_outside=allow_outside
            )
        if len(found[section]) < world_size():
            raise UserError(
                f"Expected section {section!r} of {datalist} to have a case for each of the {world_size()} processes, "
                f"but got {len(found[section])} in all; start fewer (--nproc_per_node), or move cases there."
            )
    return ((section, case) for section, cases in found.items() for case in cases)


def _raise_if_any(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        more = [f"... ({len(problems)} cases)"] if len(problems) > _MAX_LISTED else []
        listed = "\n  ".join([*problems[:_MAX_LISTED], *more])
        raise UserError(f"Expected every case to fit, but got {len(problems)} that do not:\n  {listed}")


def check_axes(file: str, shape: Sequence[int], in_channels: int, spatial_dims: int) -> None:
    """Check that an image, channel first, has the axes and channels of the network.

    Raises:
        UserError: If it does not.
    """
    if len(shape) - 1 != spatial_dims:
        raise UserError(f"Expected {file} to have {spatial_dims} spatial axes, but got shape {tuple(shape[1:])}.")
    if shape[0] != in_channels:
        raise UserError(
            f"Expected {file} to have `in_channels`, {in_channels}, channels, but got {shape[0]}; "
            f"set --in_channels {shape[0]}, or convert the images."
        )


def _check_single_channels(case: Mapping[str, str], images: Mapping[str, Any]) -> None:
    for key in case.keys() - {"image"}:
        if images[key].shape[0] != 1:
            raise UserError(
                f"Expected {case[key]} to have one channel, but got {images[key].shape[0]}; keep one of them."
            )


def _check_extent(file: str, shape: Sequence[int], smallest_shape: int | Sequence[int] | None) -> None:
    if smallest_shape is None:
        return
    least = [smallest_shape] * len(shape) if isinstance(smallest_shape, int) else list(smallest_shape)
    if any(length < limit for length, limit in zip(shape, least, strict=True)):
        raise UserError(
            f"Expected every image to validate on to be at least as large as `topology_patch_size`, {least}, but got "
            f"{file} of shape {tuple(shape)}; set a smaller --topology_patch_size."
        )


def _warn_about_polarity(fraction: float, label_foreground: int | str) -> None:
    hint = "if the labels are inverted, set --label_foreground (0 if the structures have the value 0)."
    if fraction == 0:
        _logger.warning(
            "Expected foreground in the labels, but `label_foreground` %r finds none; %s", label_foreground, hint
        )
    elif fraction > 0.5:
        _logger.warning(
            "Expected structures to fill less than half of the labels, but `label_foreground` %r marks %.0f %%; %s",
            label_foreground,
            100 * fraction,
            hint,
        )
