"""What is computed of one case, and drawn of it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.caching import result_cache
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS, classify_errors, list_errors
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.report.drawings import diagrams_picture, error_views, error_windows
from monai_topo.report.files import Case
from monai_topo.report.reading import read_case

__all__ = ["CaseSettings", "draw_case", "error_column", "measure_case"]


@dataclass(frozen=True)
class CaseSettings:
    """Everything beside its files that a case's numbers hang on; the command's options of the same names."""

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
        """The part of it that says what files mean."""
        names = ("label_foreground", "prediction_foreground", "likelihood_max", "spacing_mm")
        return {name: value for name, value in asdict(self).items() if name in names}

    def topology(self) -> dict[str, Any]:
        """The part of it that says what a component is."""
        return {"connectivity": self.connectivity, "border": self.border}


def error_column(kind: int) -> str:
    """The column of the table that counts a kind of error: `"missing_components"`, `"breaks"`."""
    return STRUCTURE_ERRORS[kind].replace(" ", "_") + "s"


def measure_case(case: Case, settings: CaseSettings) -> dict[str, Any]:
    """Compute all of a case that a report tells.

    Args:
        case: its files.
        settings: how they are read and counted.

    Returns:
        `row`, a row of the table: name, shape, what the prediction was, a count for each kind of error, and the numbers
        of `topology_report`; `errors`, the list of them; `shape` and `errors_map`, where they are, packed.
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
    drawn = classify_errors(prediction, images.label, **settings.topology())
    errors = list_errors(drawn)
    counts = {error_column(kind): sum(error.kind == kind for error in errors) for kind in STRUCTURE_ERRORS}
    row = {"case": case.name, "size": _times(drawn.shape[::-1]), "prediction": images.read_as, **counts, **numbers}
    return {
        "row": row,
        "errors": [
            {"number": number, "kind": error.name, "at_xyz": list(error.at[::-1]), "voxels": error.voxels}
            for number, error in enumerate(errors, start=1)
        ],
        "shape": list(drawn.shape),
        "errors_map": base64.b64encode(zlib.compress(drawn.tobytes())).decode(),
    }


def draw_case(item: tuple[Case, Mapping[str, Any]], settings: CaseSettings) -> dict[str, Any]:
    """Draw a case that was measured: views with numbered errors, the largest errors closely, and diagrams."""
    case, result = item
    images = read_case(case, **settings.reading())
    prediction = images.prediction > settings.threshold
    drawn = _unpacked(result)
    errors = list_errors(drawn)
    diagrams = ""
    if images.read_as != "mask":
        diagrams = diagrams_picture(
            torch.from_numpy(images.prediction),
            torch.from_numpy(images.label),
            threshold=settings.threshold,
            **settings.topology(),
        )
    return {
        "views": error_views(prediction, images.label, drawn, errors, images.spacing_mm, images.inside, images.image),
        "windows": error_windows(prediction, images.label, drawn, errors, images.inside, images.image),
        "diagrams": diagrams,
    }


def _unpacked(result: Mapping[str, Any]) -> NDArray[np.uint8]:
    packed = zlib.decompress(base64.b64decode(result["errors_map"]))
    return np.frombuffer(packed, dtype=np.uint8).reshape(result["shape"])


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def files_of(case: Case) -> list[Path]:
    """The files that a case's numbers hang on."""
    return [file for file in (case.prediction, case.label, case.mask) if file is not None]
