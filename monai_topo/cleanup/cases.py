"""Cases on which a clean-up is chosen: checked arrays, and what the candidate settings are derived from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Array, Border, Connectivity, Mask
from monai_topo.masks.components import label_components
from monai_topo.masks.small_features import components_with_sizes, holes_with_sizes
from monai_topo.persistence.merge_trees import merge_tree
from monai_topo.persistence.reconnection import is_mask
from monai_topo.transforms._base import Spacing, spacing_in_mm

__all__ = ["Case", "Features", "read_cases"]


@dataclass(frozen=True)
class Case:
    """A prediction and its label.

    Attributes:
        prediction: `(1, *spatial)` float32, a likelihood or a mask.
        label: `(*spatial)` bool.
        spacing: Millimeters per voxel along each axis; ones if sizes are in voxels.
    """

    prediction: NDArray[np.float32]
    label: Mask
    spacing: tuple[float, ...]


@dataclass(frozen=True)
class Features:
    """Components or holes of a mask of one case.

    Attributes:
        values: Their sizes or persistences.
        is_true: Whether the label has most of their voxels (sizes) or their most extreme voxel (persistences).
    """

    values: NDArray[np.float64]
    is_true: Mask


def read_cases(cases: Iterable[tuple[Any, Any]], spacing: Spacing) -> tuple[list[Case], bool]:
    """Check all cases, and keep them in memory: 5 bytes per voxel.

    Args:
        cases: Pairs of prediction and label; see `choose_cleanup`.
        spacing: As that of `CleanUp`.

    Returns:
        The cases, and whether all predictions are likelihoods.

    Raises:
        UserError: If there is no case, a case is not as it should be, or all labels are empty.
    """
    found: list[Case] = []
    are_masks: list[bool] = []
    for number, (prediction, label) in enumerate(cases):
        pred, true = (_as_array(name, image, number) for name, image in (("prediction", prediction), ("label", label)))
        if pred.shape != true.shape or (found and pred.ndim != found[0].label.ndim):
            raise UserError(
                f"Expected the label of case {number} to have the shape of its prediction, {pred.shape}, and all cases "
                f"the same number of axes, but got {true.shape}{f' after {found[0].label.shape}' if found else ''}."
            )
        _check_values(pred, true, number)
        try:
            steps = spacing_in_mm(_with_channel(prediction), spacing)
        except ValueError as error:
            raise UserError(f"Case {number}: {error}") from error
        found.append(Case(np.ascontiguousarray(pred[None], dtype=np.float32), true != 0, steps))
        are_masks.append(is_mask(pred))
    if not found:
        raise UserError("Expected at least one case to choose a clean-up on, but got none.")
    if not any(case.label.any() for case in found):
        raise UserError(
            f"Expected a label with foreground, but got {len(found)} empty ones: a clean-up that removes all would "
            "be the best one."
        )
    has_values = any(((case.prediction > 0) & (case.prediction < 1)).any() for case in found)
    return found, has_values and not any(are_masks)


def _as_array(name: str, image: Any, number: int) -> Array:
    array: Array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if array.ndim not in (2, 3) or array.size == 0:
        raise UserError(
            f"Expected the {name} of case {number} to have shape (H, W) or (D, H, W), but got {array.shape}: give one "
            "channel at a time."
        )
    return array


def _with_channel(image: Any) -> torch.Tensor:
    if isinstance(image, MetaTensor):
        return image[None]
    return torch.empty((1, *np.shape(image)))


def _check_values(prediction: Array, label: Array, number: int) -> None:
    if not ((prediction >= 0) & (prediction <= 1)).all():
        raise UserError(
            f"Expected the prediction of case {number} to hold values in [0, 1], but got others or NaN: apply a "
            "sigmoid or softmax to logits, and divide by 255 what was saved in 8 bits."
        )
    if not np.isin(label, (0, 1)).all():
        raise UserError(
            f"Expected the label of case {number} to hold only 0 and 1, but got other values; see "
            "`monai_topo.data.foreground_mask`."
        )


def find_sizes(case: Case, threshold: float, connectivity: Connectivity, border: Border) -> dict[str, Features]:
    """Measure the components and holes of the thresholded prediction, in voxels or in mm^2 and mm^3."""
    mask = case.prediction[0] > threshold
    voxel_size = float(np.prod(case.spacing))
    found = {}
    for name, regions, label in (
        ("min_component_size", components_with_sizes(mask, connectivity=connectivity, border=border), case.label),
        ("min_hole_size", holes_with_sizes(mask, connectivity=connectivity, border=border), ~case.label),
    ):
        sizes = regions.sizes[1:]
        in_label = np.bincount(regions.ids.ravel(), weights=label.ravel(), minlength=len(sizes) + 1)[1:]
        found[name] = Features((sizes * voxel_size).astype(np.float64), in_label > sizes / 2)
    return found


def find_persistences(
    case: Case, threshold: float, connectivity: Connectivity, border: Border
) -> tuple[Features, NDArray[np.float64]]:
    """Measure the components and holes (dimension d-1) that are alive at the threshold, and the components alone."""
    image, label = torch.from_numpy(case.prediction), case.label.ravel()
    values, is_true = [], []
    for dim in (0, case.label.ndim - 1):
        tree = merge_tree(image, dim=dim, connectivity=connectivity, border=border)
        birth, death = tree.pairs.values(image).double().numpy().T
        alive = (birth > threshold) & (death <= threshold)
        values.append((birth - death)[alive])
        is_true.append(label[tree.extremum.numpy()[alive]] == (dim == 0))
    return Features(np.concatenate(values), np.concatenate(is_true)), values[0]


def count_components(case: Case, connectivity: Connectivity, border: Border) -> int:
    """Count the components of the label."""
    label = torch.from_numpy(case.label)[None]
    return max(0, int(label_components(label, connectivity=connectivity, border=border).max()))
