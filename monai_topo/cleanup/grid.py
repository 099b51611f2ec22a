"""Candidate settings, from the sizes and persistences of true and false features of the cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Border, Connectivity
from monai_topo.cleanup.cases import Case, Features, count_components, find_persistences, find_sizes
from monai_topo.cleanup.settings import Setting

__all__ = ["CaseFeatures", "Grid", "least_likelihood", "make_grid", "measure_features"]

#: Candidates are rounded to these digits, so that a case more or less seldom changes the grid.
_SERIES = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_FALSE_QUANTILES = (0.5, 0.75, 0.9, 1.0)
_TRUE_QUANTILES = (0.0, 0.05, 0.1, 0.25)
_PATH_LENGTHS_VOX = (3.0, 6.0, 12.0, 25.0)
_LIKELIHOODS = (0.2, 0.4, 0.6, 0.8)  # fractions of the threshold


@dataclass(frozen=True)
class CaseFeatures:
    """What the grid depends on in one case.

    Attributes:
        features: By the setting that they give candidates for.
        component_persistences: Of the components of the mask that have a pair, empty for masks.
        label_components: Number of components of the label.
        step: Geometric mean of the voxel spacing.
    """

    features: dict[str, Features]
    component_persistences: NDArray[np.float64]
    label_components: int
    step: float

    def count_joined(self, setting: Setting) -> int:
        """Count the components that a reconnection may join, at most."""
        large = np.count_nonzero(self.features["min_component_size"].values >= setting.min_component_size)
        return int(min(large, np.count_nonzero(self.component_persistences > setting.min_persistence) + 1))


@dataclass(frozen=True)
class Grid:
    """Candidates of each numeric setting, in ascending order and beginning with the value that leaves the step out."""

    axes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    num_components: int | None = None


def measure_features(
    case: Case, *, threshold: float, connectivity: Connectivity, border: Border, has_likelihoods: bool
) -> CaseFeatures:
    """Measure the components and holes of one case."""
    features = find_sizes(case, threshold, connectivity, border)
    of_components = np.zeros(0)
    if has_likelihoods:
        features["min_persistence"], of_components = find_persistences(case, threshold, connectivity, border)
    number = count_components(case, connectivity, border)
    return CaseFeatures(features, of_components, number, math.prod(case.spacing) ** (1 / len(case.spacing)))


def make_grid(measured: Sequence[CaseFeatures], *, threshold: float, has_likelihoods: bool, in_voxels: bool) -> Grid:
    """Make the grid of some of the cases; sizes in voxels are whole numbers.

    A size limit or persistence limit is worth a trial between the false features, which should be removed, and the true
    ones, which should stay: candidates are quantiles of the values of both. Reconnection has fixed candidates, in
    voxels and in fractions of the threshold. A number of components is a candidate if all labels have it.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    for name in measured[0].features:
        values = np.concatenate([case.features[name].values for case in measured])
        is_true = np.concatenate([case.features[name].is_true for case in measured])
        # A limit removes what is smaller, but persistence up to and including the limit.
        are_sizes = name != "min_persistence"
        axis = _candidates(values[~is_true], values[is_true], strict=are_sizes)
        axes[name] = tuple(dict.fromkeys(map(math.ceil, axis))) if are_sizes and in_voxels else axis
    if has_likelihoods and threshold > 0:
        step = float(np.median([case.step for case in measured]))
        axes["max_path_length"] = (None, *(_round(length * step, down=True) for length in _PATH_LENGTHS_VOX))
        axes["min_likelihood"] = _likelihoods(threshold)
    counts = {case.label_components for case in measured}
    return Grid(axes, counts.pop() or None if len(counts) == 1 else None)


def _likelihoods(threshold: float) -> tuple[float, ...]:
    return tuple(round(part * threshold, 6) for part in _LIKELIHOODS)


def least_likelihood(threshold: float) -> float:
    """Return the least candidate of `min_likelihood`."""
    return min(_likelihoods(threshold))


def _candidates(false: NDArray[np.float64], true: NDArray[np.float64], *, strict: bool) -> tuple[float, ...]:
    if len(false) == 0:
        return (0.0,)
    above = [_round(value * (1 + 1e-6 * strict), down=False) for value in np.quantile(false, _FALSE_QUANTILES)]
    below = [_round(value, down=True) for value in np.quantile(true, _TRUE_QUANTILES)] if len(true) else []
    return (0.0, *sorted({*above, *below} - {0.0}))


def _round(value: float, *, down: bool) -> float:
    """Round to the next number of the series."""
    if value <= 0:
        return 0.0
    decade = math.floor(math.log10(value))
    numbers = [digits * 10.0**power for power in (decade - 1, decade, decade + 1) for digits in _SERIES]
    tolerance = value * 1e-9  # a number of the series stays, despite rounding errors
    if down:
        chosen = max(number for number in numbers if number <= value + tolerance)
    else:
        chosen = min(number for number in numbers if number >= value - tolerance)
    return float(f"{chosen:.6g}")
