"""Read the files of a case as arrays with axes (z,) y, x: prediction, label, field of view and image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.typing import Array, Mask
from monai_topo.data.case_files import check_grids, has_spacing, read_image
from monai_topo.data.labels import foreground_mask
from monai_topo.data.nnunet_folders import read_probabilities
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.report.files import Case
from monai_topo.visualize import rescale_intensity

__all__ = ["Images", "read_case", "read_label", "to_mask"]

_MAX_CHANGED = 0.1  # of a class; one of nnU-Net's regions may lie on top of another in the segmentation


class Images(NamedTuple):
    """Contents of a case's files, as arrays with axes (z,) y, x.

    Attributes:
        prediction: float32 in [0, 1]; 0 outside the field of view.
        label: Bool array of the same shape; False outside the field of view.
        inside: Bool array of the same shape, the field of view; all True, and read-only, for a case without a mask.
        spacing_mm: Voxel size, one number per axis of the arrays.
        read_as: Interpretation of the prediction's values, in words.
        image: Segmented image for display, uint8 of the same shape with a trailing axis of 1 or 3 channels; None for a
            case without an image.
        second_label: Label by another person, bool like the label; None for a case without one.
    """

    prediction: NDArray[np.float32]
    label: Mask
    inside: Mask
    spacing_mm: tuple[float, ...]
    read_as: str
    image: NDArray[np.uint8] | None
    second_label: Mask | None = None


def read_case(
    case: Case,
    *,
    label_foreground: int | str,
    prediction_foreground: int | str,
    likelihood_max: float | None,
    spacing_mm: Sequence[float] | None,
) -> Images:
    """Read a prediction and its labels, and clear them where the mask, if there is one, is 0.

    Args:
        case: Files of the case.
        label_foreground: Rule for the foreground of a label, see :py:func:`monai_topo.data.foreground_mask`. A case
            with a class does not use it, and neither the next two.
        prediction_foreground: Such a rule for predictions; `"likelihood"`; or `"auto"`: files of 0 and one other value
            of at least 1 are masks, others likelihoods.
        likelihood_max: Value that represents likelihood 1; None for 1, or 255 if there are values above 1.
        spacing_mm: Voxel size along x, y (, z); None for the header's in formats with reliable headers, otherwise 1.

    Raises:
        UserError: If a file cannot be read or is not a 2D or 3D image of one channel, the files do not lie on one
            grid, or the values do not fit the settings.

    Memory: at most 6 bytes per voxel for two masks in files of 8 bits, and up to 20 for other files. Of what is
    returned, only the part that holds foreground is in memory, and the field of view.
    """
    paths = {
        "image": case.prediction,
        "label": case.label,
        "mask": case.mask,
        "second": case.second_label,
        "shown": case.image,
    }
    files = {name: str(path) for name, path in paths.items() if path is not None}
    images = {name: read_image(file, keep_bytes=name != "shown") for name, file in files.items()}
    arrays = {name: _single_channel(images[name], file) for name, file in files.items() if name != "shown"}
    if "shown" in images:
        arrays["shown"] = _display_channels(images["shown"])[0]
    for one, other in pairwise(files):
        if arrays[one].shape != arrays[other].shape:
            raise UserError(
                f"Expected {files[one]} and {files[other]} to have the same shape, but got {arrays[one].shape} and "
                f"{arrays[other].shape} (x first); {_shape_hint(arrays[one].shape, arrays[other].shape)}"
            )
    check_grids(
        {name: file for name, file in files.items() if images[name].shape[1:] == images["image"].shape[1:]}, images
    )
    spacing = _spacing(images["label"], case.label, arrays["label"].ndim, spacing_mm)
    shown = rescale_intensity(_display_channels(images["shown"]).T) if "shown" in images else None
    del images  # each array is released as soon as it is converted
    arrays.pop("shown", None)
    field = arrays.pop("mask") != 0 if "mask" in files else None
    if case.label_class is None:
        meaning = case.prediction, prediction_foreground, likelihood_max
        likelihood, read_as = _to_likelihood(arrays.pop("image"), *meaning)
        label = to_mask(arrays.pop("label"), case.label, label_foreground)
    else:
        likelihood, read_as = _likelihood_of_class(arrays.pop("image"), case)
        label = case.label_class.mask(arrays["label"])
        counted = case.label_class.inside(arrays.pop("label"))
        field = counted if field is None else field & counted
    second = None
    if case.second_label is not None:
        second = _z_first(_other_label(arrays.pop("second"), case, label_foreground), field)
    return Images(
        prediction=_z_first(likelihood, field, np.float32),
        label=_z_first(label, field),
        inside=np.broadcast_to(np.True_, label.shape[::-1]) if field is None else np.ascontiguousarray(field.T),
        spacing_mm=spacing[::-1],
        read_as=read_as,
        image=shown,
        second_label=second,
    )


def _z_first(array: Array, field: Mask | None, dtype: type = bool) -> Array:
    """Return an array with the axes z, y, x instead of x, y, z, cleared outside a field of view.

    Only the box around its foreground is written. The rest are zeros for which the system takes no memory.
    """
    foreground = array != 0 if field is None else (array != 0) & field
    box = foreground_box(foreground, margin_vox=0)
    turned: Array = np.zeros(array.shape[::-1], dtype=dtype)
    np.copyto(turned[box[::-1]], array[box].T, where=foreground[box].T)
    return turned


def _other_label(values: Array, case: Case, foreground: int | str) -> Mask:
    """Convert the second label of a case by the rule of the first."""
    assert case.second_label is not None
    if case.label_class is None:
        return to_mask(values, case.second_label, foreground)
    return case.label_class.mask(values)


def _likelihood_of_class(segmentation: Array, case: Case) -> tuple[Array, str]:
    """Return a class of nnU-Net's segmentation (x first) as a mask, or its likelihood if probabilities are used."""
    assert case.label_class is not None
    mask = case.label_class.mask(segmentation)
    if case.probabilities is None:
        return mask, "mask"
    likelihood = read_probabilities(case.probabilities, case.label_class).T
    if likelihood.shape != mask.shape:
        raise UserError(
            f"Expected {case.probabilities} to have the shape of {case.prediction}, {mask.shape}, but got "
            f"{likelihood.shape} (x first); predict again."
        )
    wrong, either = ((likelihood > 0.5) != mask).sum(), ((likelihood > 0.5) | mask).sum()
    if wrong > _MAX_CHANGED * either:
        raise UserError(
            f"Expected {case.probabilities} to belong to {case.prediction}, but got another mask at {wrong} voxels for "
            f"class {case.label_class.name!r}: the segmentation was changed afterwards; predict again."
        )
    return likelihood, "probabilities"


def read_label(path: Path, spacing_mm: Sequence[float] | None = None) -> tuple[Array, tuple[float, ...]]:
    """Read a label without interpreting its values: its array with axes (z,) y, x, and its voxel size along these."""
    image = read_image(str(path))
    label = _single_channel(image, str(path))
    return np.ascontiguousarray(label.T), _spacing(image, path, label.ndim, spacing_mm)[::-1]


def _shape_hint(one: Sequence[int], other: Sequence[int]) -> str:
    if sorted(one) == sorted(other):
        return "one of them seems to be transposed: check the order of the axes with which it was written."
    return "check that they belong together."


def _single_channel(image: Any, file: str) -> Array:
    """Remove the channel axis of an image with one channel, or with several equal ones (a gray picture in RGB)."""
    array: Array = np.asarray(image)
    colors = array[:3] if len(array) == 4 and file.lower().endswith(".png") else array  # the fourth is transparency
    if len(colors) > 1 and not (colors == colors[:1]).all():  # NaN differs from itself
        raise UserError(f"Expected {file} to have one channel, but got {len(array)}; keep one of them.")
    array = colors[0]
    if array.ndim == 3 and 1 in array.shape:
        array = np.squeeze(array, axis=array.shape.index(1))
    if array.ndim not in (2, 3) or array.size == 0:
        raise UserError(f"Expected {file} to be an image in 2D or 3D, but got shape {array.shape}.")
    return array


def _display_channels(image: Any) -> Array:
    """Select the channels to display: three are colors; of any other number, the first."""
    array: Array = np.asarray(image)
    colors = array[:3] if len(array) in (3, 4) else array[:1]
    thin = [axis for axis in (1, 2, 3) if colors.ndim == 4 and colors.shape[axis] == 1]
    return np.squeeze(colors, axis=thin[0]) if thin else colors


def _to_likelihood(values: Array, path: Path, foreground: int | str, highest: float | None) -> tuple[Array, str]:
    if foreground not in ("auto", "likelihood"):
        return to_mask(values, path, foreground, "--prediction-foreground"), "mask"
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"Expected {path} to hold finite values, but got NaN or infinite ones.")
    is_mask = (high == 0 or high >= 1) and ((values == 0) | (values == high)).all()
    if foreground == "auto" and is_mask:
        return values != 0, "mask"
    scale = highest if highest is not None else (1.0 if high <= 1 else 255.0)
    if low < 0 or high > scale:
        raise UserError(
            f"Expected {path} to hold likelihoods from 0 to {scale:g}, but got values from {low:g} to {high:g}; save "
            "likelihoods instead of logits, set --likelihood-max to the value that represents 1, or set "
            "--prediction-foreground for a mask."
        )
    likelihood = values.astype(np.float32, copy=False) / np.float32(scale)
    return likelihood, "likelihood" if scale == 1 else f"likelihood / {scale:g}"


def to_mask(values: Array, path: Path, foreground: int | str, option: str = "--label-foreground") -> Mask:
    """Convert a label to a foreground mask; an error names the file and the option."""
    with as_user_error(TypeError, ValueError, prefix=f"{path}: ", rename=("`foreground`", option)):
        # With a channel axis; otherwise a volume of three slices would be treated as a picture in colors.
        mask: Mask = foreground_mask(values[None], foreground)[0]
    return mask


def _spacing(image: Any, path: Path, ndim: int, given: Sequence[float] | None) -> tuple[float, ...]:
    if given is not None:
        if len(given) != ndim or not all(0 < step < float("inf") for step in given):
            raise UserError(f"Expected --spacing-mm to be {ndim} positive numbers for {path}, but got {given}.")
        return tuple(given)
    if not has_spacing(path):
        return (1.0,) * ndim
    steps = [float(step) for step in image.pixdim[:ndim]]
    return tuple(step if 0 < step < float("inf") else 1.0 for step in steps)
