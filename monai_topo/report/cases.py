"""Measure and draw one case."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.caching import result_cache
from monai_topo._utils.typing import Array, Border, Connectivity, Mask
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS, StructureError, classify_errors, list_errors
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.report.cleaned import clean_prediction, find_overlaps
from monai_topo.report.drawings import Scene, draw_diagrams, draw_error_views, draw_error_windows
from monai_topo.report.files import Case
from monai_topo.report.memory import check_box, check_size
from monai_topo.report.orientation import find_better_fits
from monai_topo.report.reading import Images, read_case

__all__ = [
    "CaseSettings",
    "MeasuredCase",
    "draw_case",
    "error_column",
    "measure_case",
    "measured_files",
    "name_case",
    "part_of",
    "unpack_map",
]


_OF_LIKELIHOODS = ("bottleneck_", "wasserstein_")


@dataclass(frozen=True)
class CaseSettings:
    """Settings that the metrics of a case depend on; they are the command's options of the same names.

    `cleanup` holds the settings of the file, `protocol` is the name of a published evaluation.
    """

    label_foreground: str
    prediction_foreground: str
    likelihood_max: float | None
    spacing_mm: tuple[float, ...] | None
    threshold: float
    connectivity: Connectivity
    border: Border
    instances: Literal["foreground", "background"]
    tolerance_mm: float
    cleanup: Mapping[str, Any] | None = None
    protocol: str | None = None

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
    files = (case.prediction, case.label, case.mask, case.probabilities, case.second_label)
    return [file for file in files if file is not None]


def part_of(case: Case) -> str:
    """Return which part of its files a case is: the name of its class, or ""."""
    return "" if case.label_class is None else case.label_class.name


def name_case(case: Case) -> dict[str, str]:
    """Return the first cells of a case's row: its name, and its class and fold if it has one."""
    named = {"case": case.name, "class": part_of(case), "fold": case.fold or ""}
    return {key: text for key, text in named.items() if text or key == "case"}


def measure_case(case: Case, settings: CaseSettings, memory: int | None = None) -> dict[str, Any]:
    """Compute all numbers of a case.

    Args:
        case: Files of the case.
        settings: Meaning of the files, and settings of the metrics.
        memory: Bytes that the process may take, by estimate; None for no limit.

    Returns:
        `row`: Row of the table with name, size (x first), interpretation of the prediction, number of errors of each
        kind, and the metrics of `topology_report`. `errors`: List of the errors. `fits`: See `find_better_fits`.
        `shape` and `error_map`: Map of the errors, compressed. With a clean-up, the row has the numbers of the cleaned
        prediction too, preceded by `cleaned_`, without the distances between the diagrams of likelihoods;
        `cleaned_errors` and `cleaned_error_map` are its errors; and each error has its fate. With a second label, the
        row has its numbers as if it were the prediction, preceded by `human_`, also without these distances.

    Raises:
        UserError: If the files cannot be used, or need more memory.
    """
    if memory is not None:
        check_size(case, memory)
    images = read_case(case._replace(image=None), **settings.reading())
    if memory is not None:
        needs_whole = settings.cleanup is not None or settings.instances == "background"
        check_box(case, images, memory, needs_whole=needs_whole)
    prediction = images.prediction > settings.threshold
    numbers, error_map, errors = _measure(images.prediction, prediction, images, settings)
    row = {**name_case(case), "size": error_map.shape[::-1], "prediction": images.read_as, **numbers}
    result: dict[str, Any] = {
        "row": row,
        "errors": _describe_errors(errors),
        "fits": find_better_fits(prediction, images.label, images.inside),
        "shape": list(error_map.shape),
        "error_map": _pack(error_map),
    }
    if settings.cleanup is not None:
        cleaned = clean_prediction(images, settings.cleanup)
        numbers, cleaned_map, cleaned_errors = _measure(cleaned, cleaned, images, settings)
        row |= _with_prefix("cleaned", numbers)
        result |= {
            "cleaned_errors": _describe_errors(cleaned_errors, first_number=len(errors) + 1),
            "cleaned_error_map": _pack(cleaned_map),
        }
        for entry, is_left in zip(result["errors"], find_overlaps(error_map, errors, cleaned_map), strict=True):
            entry["after_cleanup"] = "left" if is_left else "fixed"
        for entry, was_there in zip(
            result["cleaned_errors"], find_overlaps(cleaned_map, cleaned_errors, error_map), strict=True
        ):
            entry["is_new"] = not was_there
    if images.second_label is not None:
        numbers, _, _ = _measure(images.second_label, images.second_label, images, settings)
        row |= _with_prefix("human", numbers)
    return result


def _with_prefix(prefix: str, numbers: Mapping[str, float]) -> dict[str, float]:
    """Name the numbers of another mask of the case; distances between diagrams of likelihoods are left out."""
    return {f"{prefix}_{name}": value for name, value in numbers.items() if not name.startswith(_OF_LIKELIHOODS)}


def _measure(
    prediction: Array, mask: Mask, images: Images, settings: CaseSettings
) -> tuple[dict[str, float], NDArray[np.uint8], list[StructureError]]:
    """Compute the numbers of errors of each kind with all metrics, the map of the errors, and their list."""
    with result_cache():
        numbers = topology_report(
            prediction,
            images.label,
            threshold=settings.threshold,
            instances=settings.instances,
            spacing_mm=images.spacing_mm,
            tolerance_mm=settings.tolerance_mm,
            protocol=settings.protocol,
            **settings.topology(),
        )
    error_map = classify_errors(mask, images.label, **settings.topology())
    errors = list_errors(error_map)
    counts = {error_column(kind): sum(error.kind == kind for error in errors) for kind in STRUCTURE_ERRORS}
    return {**counts, **numbers}, error_map, errors


def _describe_errors(errors: Sequence[StructureError], first_number: int = 1) -> list[dict[str, Any]]:
    return [
        {"number": number, "kind": error.name, "at_xyz": list(error.at[::-1]), "voxels": error.voxels}
        for number, error in enumerate(errors, start=first_number)
    ]


def _pack(error_map: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(error_map).data)).decode()


def unpack_map(text: str, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return a map of errors from `measure_case` as an array with axes (z,) y, x."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(shape)


class MeasuredCase(NamedTuple):
    """A case to draw, with the result of `measure_case`; `label` names it in messages."""

    label: Path
    case: Case
    result: Mapping[str, Any]


def draw_case(item: MeasuredCase, settings: CaseSettings) -> dict[str, Any]:
    """Draw a measured case: views with numbered errors, close-ups of the largest errors, and persistence diagrams.

    With a clean-up, each view is followed by that of the cleaned prediction.
    """
    _, case, result = item
    images = read_case(case._replace(second_label=None), **settings.reading())
    error_map = unpack_map(result["error_map"], result["shape"])
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
    views = draw_error_views(scene)
    if settings.cleanup is not None:
        error_map = unpack_map(result["cleaned_error_map"], result["shape"])
        cleaned = scene._replace(
            prediction=clean_prediction(images, settings.cleanup),
            error_map=error_map,
            errors=list_errors(error_map),
            first_number=len(scene.errors) + 1,
        )
        pairs = zip(views, draw_error_views(cleaned), strict=True)
        views = [_title_view(view, name) for pair in pairs for view, name in zip(pair, ("raw", "cleaned"), strict=True)]
    return {"views": views, "windows": draw_error_windows(scene), "diagrams": diagrams}


def _title_view(view: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**view, "title": f"{name}, {view['title']}" if view["title"] else name}
