"""Clean up the predictions of a report, and find the errors that a clean-up fixes, leaves and makes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Connectivity, Mask
from monai_topo.data.case_files import has_spacing
from monai_topo.masks.components import components
from monai_topo.masks.structure_errors import StructureError, dilate_mask
from monai_topo.report.files import Case
from monai_topo.report.reading import Images, read_label
from monai_topo.transforms.clean_up import CleanUp

__all__ = ["check_cleanup", "clean_prediction", "find_overlaps", "read_cleanup"]

_TOLERANCE_VOX = 1  # a skeleton moves by a voxel if a pinhole near it is filled


def read_cleanup(path: str | os.PathLike[str], connectivity: Connectivity) -> dict[str, Any]:
    """Read the settings of a clean-up, and check that its connectivity is the report's.

    Raises:
        UserError: If the file is not that of a clean-up, or its connectivity is another one.
    """
    return CleanUp.load(path, connectivity=connectivity).to_dict()


def check_cleanup(settings: Mapping[str, Any], cases: Sequence[Case], spacing_mm: Sequence[float] | None) -> None:
    """Check that a clean-up fits the first label that can be read, before any case is measured.

    Raises:
        UserError: If the label has another number of axes than the clean-up, or sizes are in mm and no case has a
            voxel size.
    """
    for case in cases:
        try:
            label, _ = read_label(case.label)
        except UserError:
            continue  # it is reported with the other files that cannot be read
        CleanUp.from_dict(settings, spatial_dims=label.ndim)
        break
    if settings["spacing"] is not None and spacing_mm is None and not any(has_spacing(case.label) for case in cases):
        raise UserError(
            "Expected a voxel size for a clean-up with sizes in mm, but got none: the formats of the labels have no "
            "reliable one; set --spacing-mm."
        )


def clean_prediction(images: Images, settings: Mapping[str, Any]) -> Mask:
    """Clean up a prediction, and clear the result outside the field of view.

    Sizes in mm use the voxel size of the case, whatever the clean-up's own `spacing`.

    Raises:
        ValueError: If the prediction is a mask and a step of the clean-up needs a likelihood.
    """
    spacing = None if settings["spacing"] is None else images.spacing_mm
    cleaned = CleanUp.from_dict({**settings, "spacing": spacing})(images.prediction[None])
    mask: Mask = np.asarray(cleaned)[0] > 0
    return mask & images.inside


def find_overlaps(
    error_map: NDArray[np.uint8], errors: Sequence[StructureError], other_map: NDArray[np.uint8]
) -> list[bool]:
    """Find for each error whether another map has an error of any kind at the same place, up to one voxel.

    Args:
        error_map: Array of `classify_errors`.
        errors: Errors of the map.
        other_map: Array of `classify_errors` for the same label and another prediction.
    """
    other = dilate_mask(other_map > 0, by_vox=_TOLERANCE_VOX)
    touched = {}
    for kind in {error.kind for error in errors}:
        ids, _ = components(error_map == kind, "full")
        touched[kind] = ids, set(np.unique(ids[other]).tolist())
    return [int(touched[error.kind][0][error.at]) in touched[error.kind][1] for error in errors]
