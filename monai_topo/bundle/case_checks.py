"""Every case of a run, read once before any work begins; what does not fit is told file by file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import LoadImage

from monai_topo._utils.distributed import world_size
from monai_topo._utils.errors import UserError
from monai_topo.data.datasets import load_datalist
from monai_topo.data.readers import FormatReader
from monai_topo.transforms.label_to_foreground import LabelToForeground

__all__ = ["check_cases", "check_grids", "read_image"]

_logger = logging.getLogger(__name__)
_SHOWN = 10
_WITHOUT_AFFINE = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")


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
) -> None:
    """Read every file of every case once, and stop if a run cannot work on some.

    Args:
        dataset_dir: folder of the data.
        datalist: name of the datalist in it.
        sections: the datalist's sections that the run uses.
        label_foreground: what is foreground in a label, see :py:func:`monai_topo.data.foreground_mask`.
        in_channels: number of channels that the network takes.
        spatial_dims: number of axes of an image.
        smallest_shape: no axis of an image of another section than `"training"` (whose images are padded) may be
            shorter, in the readers' axis order (x first); one number for all axes, or None for no limit.
        file_keys: the files of a case: image, label, and masks that are read likewise.

    Raises:
        UserError: in a sentence that names the file, one for each of the first ten cases that do not fit: a missing
            folder, datalist, section or file; a file that cannot be read; channels, axes, sizes that do not fit; image
            and label of different shapes or, where both formats have one, affines; a label that does not follow the
            convention. Also if a section has fewer cases than the run has processes.

    Logged as warnings: labels without any foreground in all cases, and foreground on more than half of all voxels
    (mostly the polarity is the other one); an image in two sections.
    """
    to_foreground = _to_foreground(label_foreground)
    foreground = voxels = 0
    sections_of: dict[str, set[str]] = {}
    problems: list[str] = []
    for section, case in _cases(dataset_dir, sections, datalist, file_keys):
        sections_of.setdefault(case["image"], set()).add(section)
        try:
            images = {key: read_image(file) for key, file in case.items()}
            _check_axes(case, images, in_channels, spatial_dims)
            check_grids(case, images)
            if section != "training":
                _check_extent(case["image"], images["image"].shape[1:], smallest_shape)
            mask = _mask_of(images["label"], to_foreground)
        except UserError as problem:
            problems.append(str(problem))
            continue
        foreground += int(mask.sum())
        voxels += mask.size
    _raise(problems)
    _warn_of_polarity(foreground / voxels, label_foreground)
    if shared := [image for image, found in sections_of.items() if len(found) > 1]:
        _logger.warning(
            "Expected every image to be in one section, but got %d in several of %s, %s first; numbers on training "
            "images say nothing about new ones.",
            *(len(shared), list(sections), shared[0]),
        )


def _cases(
    dataset_dir: str | os.PathLike[str], sections: Sequence[str], datalist: str, file_keys: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    found = {}
    for section in sections:
        try:
            found[section] = load_datalist(dataset_dir, section, datalist=datalist, file_keys=file_keys)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
        if len(found[section]) < world_size():
            raise UserError(
                f"Expected section {section!r} of {datalist} to have a case for each of the {world_size()} processes, "
                f"but got {len(found[section])} in all; start fewer (--nproc_per_node), or move cases there."
            )
    return ((section, case) for section, cases in found.items() for case in cases)


def _raise(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        more = [f"... ({len(problems)} cases)"] if len(problems) > _SHOWN else []
        shown = "\n  ".join([*problems[:_SHOWN], *more])
        raise UserError(f"Expected every case to fit, but got {len(problems)} that do not:\n  {shown}")


def _to_foreground(label_foreground: int | str) -> LabelToForeground:
    try:
        return LabelToForeground(label_foreground)
    except (TypeError, ValueError) as error:
        raise UserError(str(error).replace("`foreground`", "`label_foreground`")) from error


def read_image(file: str) -> Any:
    """Read an image, channel first, with the spatial axes as x, y(, z); a file that is none is named in a sentence."""
    try:
        return LoadImage(reader=FormatReader(), image_only=True, ensure_channel_first=True)(file)
    except Exception as error:  # the readers raise whatever their libraries do
        raise UserError(f"Expected {file} to be an image, but got {_reason(file) or repr(error)}") from error


def _reason(file: str) -> str:
    """Why our own reader fails; LoadImage tells of all the others' failures too, in hundreds of lines."""
    try:
        reader = FormatReader()
        reader.get_data(reader.read(file))
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[-1] if lines else repr(error)}"
    return ""


def _check_axes(case: Mapping[str, str], images: Mapping[str, Any], in_channels: int, spatial_dims: int) -> None:
    shape = tuple(images["image"].shape)
    if len(shape) - 1 != spatial_dims:
        raise UserError(f"Expected {case['image']} to have {spatial_dims} spatial axes, but got shape {shape[1:]}.")
    if shape[0] != in_channels:
        raise UserError(
            f"Expected {case['image']} to have `in_channels`, {in_channels}, channels, but got {shape[0]}; "
            f"set --in_channels {shape[0]}, or convert the images."
        )
    for key in case.keys() - {"image"}:
        if images[key].shape[0] != 1:
            raise UserError(
                f"Expected {case[key]} to have one channel, but got {images[key].shape[0]}; keep the one that counts."
            )


def check_grids(case: Mapping[str, str], images: Mapping[str, Any]) -> None:
    """Refuse files of a case whose shapes, or affines where both formats have one, differ from those of `"image"`."""
    image = images["image"]
    for key in case.keys() - {"image"}:
        files = f"{case['image']} and {case[key]}"
        shapes = tuple(image.shape[1:]), tuple(images[key].shape[1:])
        if shapes[0] != shapes[1]:
            raise UserError(
                f"Expected {files} to have the same shape, but got {shapes[0]} and {shapes[1]}; "
                "check that they belong together."
            )
        if any(case[name].lower().endswith(_WITHOUT_AFFINE) for name in ("image", key)):
            continue
        # A thousandth of a voxel: headers keep their numbers in single precision or as text.
        difference = np.abs(np.asarray(image.affine) - np.asarray(images[key].affine))
        if difference.max() > 1e-3 * float(image.pixdim.min()):
            raise UserError(
                f"Expected {files} to lie on the same grid, but got affines that differ by up to "
                f"{difference.max():.4g} mm; resample one to the other, or copy the header if only that is wrong."
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


def _mask_of(label: Any, to_foreground: LabelToForeground) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(to_foreground(label))
    except (TypeError, ValueError) as error:
        raise UserError(str(error).replace("`foreground`", "`label_foreground`")) from error


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
