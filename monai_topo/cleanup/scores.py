"""The numbers of `topology_report` by which a clean-up can be chosen, each computed without the others."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_topo._utils.typing import Border, Connectivity, Mask
from monai_topo._utils.validation import check_choice, check_topology_settings
from monai_topo.metrics import (
    compute_adapted_rand,
    compute_betti_error,
    compute_betti_matching,
    compute_cldice,
    compute_component_detection,
    compute_diu,
    compute_euler_error,
    compute_skeleton_recall,
    compute_variation_of_information,
)

__all__ = ["Instances", "Scorer", "dice"]

Instances = Literal["foreground", "background"]
Measure = Callable[[Tensor, Tensor, dict[str, Any], dict[str, Any]], Any]

_matching: Measure = lambda pred, true, topology, _: compute_betti_matching(pred, true, **topology)  # noqa: E731
_cldice: Measure = lambda pred, true, *_: compute_cldice(pred, true)  # noqa: E731
_voi: Measure = lambda pred, true, _, objects: compute_variation_of_information(pred, true, **objects)  # noqa: E731
_rand: Measure = lambda pred, true, _, objects: compute_adapted_rand(pred, true, **objects)  # noqa: E731
_detection: Measure = lambda pred, true, _, objects: compute_component_detection(pred, true, **objects)  # noqa: E731

#: Metrics with one number per dimension, which are summed or selected by `_0`, `_1`, `_2`. All: lower is better.
_PER_DIMENSION: dict[str, tuple[Measure, str | None]] = {
    "betti_matching_error": (_matching, "error"),
    "topology_spurious": (_matching, "spurious"),
    "topology_missing": (_matching, "missing"),
    "betti_error": (lambda pred, true, topology, _: compute_betti_error(pred, true, **topology), None),
    "diu": (lambda pred, true, topology, _: compute_diu(pred, true, **topology), None),
}
#: Metrics with one number: which of two values is better, the function, and the field of its result.
_SINGLE: dict[str, tuple[str, Measure, str | None]] = {
    "euler_error": ("lower", lambda pred, true, topology, _: compute_euler_error(pred, true, **topology), None),
    "cldice": ("higher", _cldice, "cldice"),
    "topology_precision": ("higher", _cldice, "precision"),
    "topology_sensitivity": ("higher", _cldice, "sensitivity"),
    "skeleton_recall": ("higher", lambda pred, true, *_: compute_skeleton_recall(pred, true), None),
    "voi_split": ("lower", _voi, "split"),
    "voi_merge": ("lower", _voi, "merge"),
    "voi": ("lower", _voi, "total"),
    "adapted_rand_error": ("lower", _rand, "error"),
    "adapted_rand_precision": ("higher", _rand, "precision"),
    "adapted_rand_recall": ("higher", _rand, "recall"),
    "false_positives": ("lower", _detection, "false_positives"),
    "false_negatives": ("lower", _detection, "false_negatives"),
    "component_precision": ("higher", _detection, "precision"),
    "component_recall": ("higher", _detection, "recall"),
    "component_f1": ("higher", _detection, "f1"),
    "dice": ("higher", lambda pred, true, *_: _overlap(pred, true)["dice"], None),
    "voxel_precision": ("higher", lambda pred, true, *_: _overlap(pred, true)["precision"], None),
    "voxel_recall": ("higher", lambda pred, true, *_: _overlap(pred, true)["recall"], None),
}
_F1 = "topology_f1"
#: Bounds by the differences of Betti numbers, prediction minus label.
_BOUNDS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "betti_matching_error": np.abs,
    "topology_spurious": lambda more: np.maximum(more, 0),
    "topology_missing": lambda more: np.maximum(-more, 0),
    "betti_error": np.abs,
}


@dataclass(frozen=True)
class Scorer:
    """One metric of masks against labels.

    Args:
        metric: Name of a number of `topology_report` of which lower or higher values are better. The distances between
            persistence diagrams are not among them, since clean-up ends with a mask.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).
        instances: Objects of VOI, Rand error and detection: components of the `"foreground"` or the `"background"`.

    Raises:
        ValueError: If a setting is not one of these.
    """

    metric: str
    connectivity: Connectivity
    border: Border
    instances: Instances

    def __post_init__(self) -> None:
        """Check the settings."""
        check_topology_settings(connectivity=self.connectivity, border=self.border)
        check_choice("instances", self.instances, get_args(Instances))
        name, _ = self._name_and_dim()
        if name not in (*_PER_DIMENSION, _F1, *_SINGLE) or (name in _SINGLE and name != self.metric):
            known = ", ".join((*_PER_DIMENSION, _F1, *_SINGLE))
            raise ValueError(
                f"Expected `metric` to be one of {known} (the first {len(_PER_DIMENSION) + 1} also with _0, _1 or _2 "
                f"for one dimension), but got {self.metric!r}."
            )

    @property
    def sign(self) -> int:
        """1 if lower values are better, -1 if higher values are."""
        name, _ = self._name_and_dim()
        return -1 if name == _F1 or _SINGLE.get(name, ("lower",))[0] == "higher" else 1

    @property
    def has_bound(self) -> bool:
        """Whether the metric has a bound by Betti numbers; then lower is better, and the metric is never NaN."""
        return self._name_and_dim()[0] in _BOUNDS

    def bound(self, prediction: Sequence[int], label: Sequence[int]) -> float:
        """Return what the metric of two masks is not below, from their Betti numbers; NaN if no bound is known.

        Betti matching matches no feature twice, so the features that one mask has more than the other are unmatched.
        """
        name, dim = self._name_and_dim()
        if name not in _BOUNDS:
            return math.nan
        pred, true = np.array(prediction), np.array(label)
        if name == "betti_matching_error" and self.border == "open":
            # The error counts no pair for the essential component.
            pred[0], true[0] = max(pred[0] - 1, 0), max(true[0] - 1, 0)
        bounds = _BOUNDS[name](pred - true)
        return float(bounds.sum() if dim is None else bounds[dim])

    def check_ndim(self, ndim: int) -> None:
        """Check that images of this dimension have the metric."""
        _, dim = self._name_and_dim()
        if dim is not None and dim >= ndim:
            raise ValueError(f"Expected `metric` to have a dimension below {ndim} in {ndim}D, but got {self.metric!r}.")

    def score(self, prediction: Mask, label: Mask) -> float:
        """Return the metric of a mask; NaN if it is not applicable."""
        pred, true = (torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in (prediction, label))
        name, dim = self._name_and_dim()
        topology: dict[str, Any] = {"connectivity": self.connectivity, "border": self.border}
        if name in _SINGLE:
            _, measure, field = _SINGLE[name]
            objects: dict[str, Any] = {"connectivity": self.connectivity, "instances": self.instances}
            return float(_field(measure(pred, true, topology, objects), field))
        if name == _F1:
            scores = compute_betti_matching(pred, true, **topology)
            twice = 2 * _of_dimension(scores.matched, dim)
            wrong = _of_dimension(scores.spurious + scores.missing, dim)
            return twice / (twice + wrong) if twice + wrong else float("nan")
        measure, field = _PER_DIMENSION[name]
        return _of_dimension(_field(measure(pred, true, topology, {}), field), dim)

    def _name_and_dim(self) -> tuple[str, int | None]:
        found = re.fullmatch(r"(.+)_([0-2])", self.metric)
        return (found[1], int(found[2])) if found else (self.metric, None)


def dice(prediction: Mask, label: Mask) -> float:
    """Return the Dice coefficient of two masks, 1 if both are empty."""
    total = np.count_nonzero(prediction) + np.count_nonzero(label)
    return float(2 * np.count_nonzero(prediction & label) / total) if total else 1.0


def _overlap(pred: Tensor, true: Tensor) -> dict[str, float]:
    hits, found, wanted = (float(mask.sum()) for mask in (pred & true, pred, true))
    parts = {"dice": (2 * hits, found + wanted), "precision": (hits, found), "recall": (hits, wanted)}
    return {name: part / whole if whole else float("nan") for name, (part, whole) in parts.items()}


def _field(result: Any, field: str | None) -> Any:
    return result if field is None else getattr(result, field)


def _of_dimension(values: Tensor, dim: int | None) -> float:
    return float(values.sum() if dim is None else values[0, 0, dim])
