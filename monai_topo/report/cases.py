"""Measure and draw one case."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from monai_topo._utils.caching import result_cache
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS, classify_errors, list_errors
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.report.drawings import Scene, draw_diagrams, draw_error_views, draw_error_windows
from monai_topo.report.files import Case
from monai_topo.report.orientation import find_better_fits
from monai_topo.report.reading import read_case

__all__ = ["CaseSettings", "draw_case", "error_column", "measure_case", "measured_files"]


@dataclass(frozen=True)
class CaseSettings:
    """Settings that the metrics of a case depend on; they are the command's options of the same names."""

    label_foreground: str
    prediction_foreground: str
    likelihood_max: float | None
    spacing_mm: tuple[float, ...] | None
    threshold: float
    connectivity: Connectivity
    border: Border
    instances: Literal["foreground", "background"]
    tolerance_mm: float

    def reading(self) -> dict[str, Any]:
        """Return the settings that define the meaning of the files."""
        names = ("label_foreground", "prediction_foreground", "likelihood_max", "spacing_mm")
        return {name: value for name, value in asdict(self).items() if name in names}

    def topology(self) -> dict[str, Any]:
        """Return the settings that define the topology."""
        return {"connectivity": self.connectivity, "border": self.border}


def error_column(kind: int) -> str:
    """Return the column of the table that counts a kind of error, such as `"missing_components"` or `"breaks"`."""
    return STRUCTURE_ERRORS[kind].replace(" ", "_") + "s"


def measured_files(case: Case) -> list[Path]:
    """Return the files that the metrics of a case depend on."""
    return [file for file in (case.prediction, case.label, case.mask) if file is not None]


def measure_case(case: Case, settings: CaseSettings) -> dict[str, Any]:
    """Compute all numbers of a case.

    Args:
        case: Files of the case.
        settings: Meaning of the files, and settings of the metrics.

    Returns:
        `row`: Row of the table with name, size (x first), interpretation of the prediction, number of errors of each
        kind, and the metrics of `topology_report`. `errors`: List of the errors. `fits`: See `find_better_fits`.
        `shape` and `error_map`: Map of the errors, compressed.
    """
    images = read_case(case._replace(image=None), **settings.reading())
    prediction = images.prediction > settings.threshold
    with result_cache():
        numbers = topology_report(
            images.prediction,
            images.label,
            threshold=settings.threshold,
            instances=settings.instances,
            spacing_mm=images.spacing_mm,
            tolerance_mm=settings.tolerance_mm,
            **settings.topology(),
        )
    error_map = classify_errors(prediction, images.label, **settings.topology())
    errors = list_errors(error_map)
    counts = {error_column(kind): sum(error.kind == kind for error in errors) for kind in STRUCTURE_ERRORS}
    row = {"case": case.name, "size": error_map.shape[::-1], "prediction": images.read_as, **counts, **numbers}
    return {
        "row": row,
        "errors": [
            {"number": number, "kind": error.name, "at_xyz": list(error.at[::-1]), "voxels": error.voxels}
            for number, error in enumerate(errors, start=1)
        ],
        "fits": find_better_fits(prediction, images.label, images.inside),
        "shape": list(error_map.shape),
        "error_map": base64.b64encode(zlib.compress(error_map.tobytes())).decode(),
    }


def draw_case(item: tuple[Case, Mapping[str, Any]], settings: CaseSettings) -> dict[str, Any]:
    """Draw a measured case: views with numbered errors, close-ups of the largest errors, and persistence diagrams."""
    case, result = item
    images = read_case(case, **settings.reading())
    bits = zlib.decompress(base64.b64decode(result["error_map"]))
    error_map = np.frombuffer(bits, dtype=np.uint8).reshape(result["shape"])
    scene = Scene(
        images.prediction > settings.threshold,
        images.label,
        error_map,
        list_errors(error_map),
        images.inside,
        images.spacing_mm,
        images.image,
    )
    diagrams = ""
    if images.read_as != "mask":
        diagrams = draw_diagrams(
            torch.from_numpy(images.prediction),
            torch.from_numpy(images.label),
            threshold=settings.threshold,
            **settings.topology(),
        )
    return {"views": draw_error_views(scene), "windows": draw_error_windows(scene), "diagrams": diagrams}
