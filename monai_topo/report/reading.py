"""The files of a case as arrays: a likelihood or mask, a label, a field of view and an image, rows before columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError
from monai_topo.bundle.case_checks import check_grids, read_image
from monai_topo.data.labels import foreground_mask
from monai_topo.report.files import Case
from monai_topo.visualize import rescale_intensity

__all__ = ["Images", "mask_of", "read_case", "read_label"]

Array = NDArray[Any]

_WITH_SPACING = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


class Images(NamedTuple):
    """What a case's files hold; arrays have the axes (z,) y, x, as pictures are drawn.

    Attributes:
        prediction: float32 in [0, 1]; 0 outside of the field of view.
        label: bool of the same shape; False outside of the field of view.
        inside: bool of the same shape, the field of view: everything where a case has no mask.
        spacing_mm: size of a voxel, one number an axis of the arrays.
        read_as: how the prediction was taken, in words.
        image: uint8 of the same shape with an axis of 1 or 3 channels behind, what was segmented, to be looked at;
            None if a case has none.
    """

    prediction: NDArray[np.float32]
    label: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    spacing_mm: tuple[float, ...]
    read_as: str
    image: NDArray[np.uint8] | None


def read_case(
    case: Case,
    *,
    label_foreground: int | str,
    prediction_foreground: int | str,
    likelihood_max: float | None,
    spacing_mm: Sequence[float] | None,
) -> Images:
    """Read a prediction and its label, and clear both where the mask is 0, if there is one.

    Args:
        case: the files.
        label_foreground: what is foreground in a label, see :py:func:`monai_topo.data.foreground_mask`.
        prediction_foreground: the same of predictions; `"likelihood"`; or `"auto"`: files of 0 and one other value
            that is at least 1 are masks, others likelihoods.
        likelihood_max: the value that stands for likelihood 1; None: 1, or 255 if there are values above 1.
        spacing_mm: size of a voxel along x, y (, z); None: what the header says where headers can be believed, else 1.

    Raises:
        UserError: if a file cannot be read or is no 2D or 3D image of one channel, they do not lie on one grid,
            or the values are not what the settings say.
    """
    paths = {"image": case.prediction, "label": case.label, "mask": case.mask, "shown": case.image}
    files = {name: str(path) for name, path in paths.items() if path is not None}
    images = {name: read_image(file) for name, file in files.items()}
    arrays = {name: _one_channel(images[name], file) for name, file in files.items() if name != "shown"}
    if "shown" in images:
        arrays["shown"] = _colors(images["shown"])[0]
    for one, other in pairwise(files):
        if arrays[one].shape != arrays[other].shape:
            raise UserError(
                f"Expected {files[one]} and {files[other]} to have the same shape, but got {arrays[one].shape} and "
                f"{arrays[other].shape} (x first); check that they belong together."
            )
    check_grids(
        {name: file for name, file in files.items() if images[name].shape[1:] == images["image"].shape[1:]}, images
    )
    likelihood, read_as = _likelihood(arrays["image"], case.prediction, prediction_foreground, likelihood_max)
    label = mask_of(arrays["label"], case.label, label_foreground)
    inside = arrays["mask"] != 0 if "mask" in files else np.ones_like(label)
    spacing = _spacing(images["label"], case.label, label.ndim, spacing_mm)
    return Images(
        prediction=np.ascontiguousarray((likelihood * inside).T),
        label=np.ascontiguousarray((label & inside).T),
        inside=np.ascontiguousarray(inside.T),
        spacing_mm=spacing[::-1],
        read_as=read_as,
        image=rescale_intensity(_colors(images["shown"]).T) if "shown" in images else None,
    )


def read_label(path: Path, spacing_mm: Sequence[float] | None = None) -> tuple[Array, tuple[float, ...]]:
    """Read a label as it is: its array, axes (z,) y, x, and the size of a voxel along these."""
    image = read_image(str(path))
    label = _one_channel(image, str(path))
    return np.ascontiguousarray(label.T), _spacing(image, path, label.ndim, spacing_mm)[::-1]


def _one_channel(image: Any, file: str) -> Array:
    """The array without its channel, of an image that has one, or several equal ones as gray pictures in RGB do."""
    array: Array = np.asarray(image)
    colors = array[:3] if len(array) == 4 and file.lower().endswith(".png") else array  # the fourth is transparency
    if not (colors == colors[:1]).all():
        raise UserError(f"Expected {file} to have one channel, but got {len(array)}; keep the one that counts.")
    array = colors[0]
    if array.ndim == 3 and 1 in array.shape:
        array = np.squeeze(array, axis=array.shape.index(1))
    if array.ndim not in (2, 3) or array.size == 0:
        raise UserError(f"Expected {file} to be an image in 2D or 3D, but got shape {array.shape}.")
    return array


def _colors(image: Any) -> Array:
    """Three channels are colors, of any other number the first is shown."""
    array: Array = np.asarray(image)
    colors = array[:3] if len(array) in (3, 4) else array[:1]
    thin = [axis for axis in (1, 2, 3) if colors.ndim == 4 and colors.shape[axis] == 1]
    return np.squeeze(colors, axis=thin[0]) if thin else colors


def _likelihood(values: Array, path: Path, foreground: int | str, highest: float | None) -> tuple[Array, str]:
    if foreground not in ("auto", "likelihood"):
        return mask_of(values, path, foreground, "--prediction-foreground").astype(np.float32), "mask"
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"Expected {path} to hold finite values, but got NaN or infinite ones.")
    is_mask = (high == 0 or high >= 1) and ((values == 0) | (values == high)).all()
    if foreground == "auto" and is_mask:
        return (values != 0).astype(np.float32), "mask"
    scale = highest if highest is not None else (1.0 if high <= 1 else 255.0)
    if low < 0 or high > scale:
        raise UserError(
            f"Expected {path} to hold likelihoods from 0 to {scale:g}, but got values from {low:g} to {high:g}; write "
            "likelihoods, not logits, say by --likelihood-max what stands for 1, or by --prediction-foreground what is "
            "foreground in a mask."
        )
    return (values / scale).astype(np.float32), "likelihood" if scale == 1 else f"likelihood / {scale:g}"


def mask_of(values: Array, path: Path, foreground: int | str, option: str = "--label-foreground") -> NDArray[np.bool_]:
    """The foreground of a label; what does not follow the convention is named with its file."""
    try:
        # With a channel axis, or a volume of three slices would be taken for a picture in colors.
        mask: NDArray[np.bool_] = foreground_mask(values[None], foreground)[0]
        return mask
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {str(error).replace('`foreground`', option)}") from error


def _spacing(image: Any, path: Path, ndim: int, given: Sequence[float] | None) -> tuple[float, ...]:
    if given is not None:
        if len(given) != ndim or not all(0 < step < float("inf") for step in given):
            raise UserError(f"Expected --spacing-mm to be {ndim} positive numbers for {path}, but got {given}.")
        return tuple(given)
    if not path.name.lower().endswith(_WITH_SPACING):
        return (1.0,) * ndim
    steps = [float(step) for step in image.pixdim[:ndim]]
    return tuple(step if 0 < step < float("inf") else 1.0 for step in steps)
