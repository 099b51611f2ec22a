"""Compare a prediction with a label for the plug-in of napari; nothing here needs napari."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Array, Border, Connectivity, Mask
from monai_topo.masks.components import feature_names
from monai_topo.masks.structure_errors import StructureError, classify_errors, list_errors
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.persistence.pairs import persistence_pairs

__all__ = ["GROUPS", "Comparison", "PairPoints", "compare", "find_pairs", "to_likelihood"]

#: Kinds of errors in each layer.
GROUPS: Mapping[str, tuple[int, ...]] = {
    "breaks": (2,),
    "bridges": (5,),
    "missing components": (1,),
    "specks": (4,),
    "holes": (7, 8),
    "ends": (3, 6),
}
_CLAMP = 1e-3  # plateaus near 0 and 1 are cheap to compute, and the difference is not visible
_MAX_PAIRS = 5000  # more points hide the image


class PairPoints(NamedTuple):
    """Critical voxels of persistence pairs: the births of all pairs, then their deaths.

    Attributes:
        voxels: `(2 P, ndim)`.
        features: Columns of `2 P` values: `event` ("birth" or "death"), `dimension`, `feature` (its name), `birth`,
            `death` and `persistence` of the pair.
    """

    voxels: NDArray[np.int64]
    features: dict[str, NDArray[Any]]


class Comparison(NamedTuple):
    """Result of `compare`.

    Attributes:
        error_map: Array of :py:func:`monai_topo.masks.structure_errors.classify_errors`.
        errors: Errors of the map, the largest first; of equal size in the order of `list_errors`.
        report: Numbers of :py:func:`monai_topo.topology_report`.
        pairs: Persistence pairs of the prediction.
    """

    error_map: NDArray[np.uint8]
    errors: list[StructureError]
    report: dict[str, float]
    pairs: PairPoints

    def group_map(self, group: str) -> NDArray[np.uint8]:
        """Return the map with the kinds of one of `GROUPS` alone."""
        return np.where(np.isin(self.error_map, GROUPS[group]), self.error_map, 0).astype(np.uint8)

    def count(self, group: str) -> int:
        """Count the errors of one of `GROUPS`."""
        return sum(error.kind in GROUPS[group] for error in self.errors)


def compare(
    prediction: Array,
    label: Array,
    *,
    threshold: float = 0.5,
    min_persistence: float = 0.1,
    connectivity: Connectivity = "full",
    border: Border = "open",
) -> Comparison:
    """Find the errors of a prediction, its metrics and its persistence pairs.

    Args:
        prediction: Likelihood or mask, `(H, W)` or `(D, H, W)`, see `to_likelihood`.
        label: Label of the same shape; what is not 0 is foreground.
        threshold: Likelihood above which a voxel is foreground.
        min_persistence: Pairs with a smaller or equal persistence are left out.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6).
        border: Boundary condition, `"open"` or `"foreground"`.

    Raises:
        UserError: If the arrays are no images of one shape, or the values no likelihoods.

    Cost: that of `topology_report`.
    """
    if prediction.shape != label.shape or prediction.ndim not in (2, 3):
        raise UserError(
            f"Expected prediction and label to be images in 2D or 3D of the same shape, but got {prediction.shape} and "
            f"{label.shape}; choose other layers."
        )
    likelihood, true = to_likelihood(prediction), label != 0
    settings: dict[str, Any] = {"connectivity": connectivity, "border": border}
    error_map = classify_errors(likelihood > threshold, true, **settings)
    return Comparison(
        error_map,
        sorted(list_errors(error_map), key=lambda error: -error.voxels),
        topology_report(likelihood, true, threshold=threshold, **settings),
        find_pairs(likelihood, min_persistence=min_persistence, **settings),
    )


def to_likelihood(values: Array) -> NDArray[np.float32]:
    """Convert the values of a layer to likelihoods in [0, 1].

    Whole numbers are a mask: what is not 0 is foreground. So are floating-point values of 0 and one other number of at
    least 1. All others are likelihoods.

    Raises:
        UserError: If there are likelihoods outside [0, 1], or values that are not finite.
    """
    is_mask: Mask = values != 0
    if not np.issubdtype(values.dtype, np.floating):
        return is_mask.astype(np.float32)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if high >= 1 and bool((values[is_mask] == high).all()):
        return is_mask.astype(np.float32)
    if not 0 <= low <= high <= 1:  # NaN too
        raise UserError(
            f"Expected the prediction to hold likelihoods from 0 to 1, or a mask, but got values from {low:g} to "
            f"{high:g}; apply a sigmoid to logits, or divide by the value that represents 1."
        )
    return values.astype(np.float32)


def find_pairs(
    likelihood: NDArray[np.float32], *, min_persistence: float, connectivity: Connectivity, border: Border
) -> PairPoints:
    """Compute the persistence pairs of a likelihood; of more than 5000, the most persistent ones."""
    images = torch.from_numpy(likelihood)[None].clamp(_CLAMP, 1 - _CLAMP)
    pairs = persistence_pairs(images, min_persistence=min_persistence, connectivity=connectivity, border=border)
    births, deaths = pairs.values(images).numpy().T
    persistence = births - deaths
    kept = np.sort(np.argsort(-persistence, kind="stable")[:_MAX_PAIRS])
    voxels = np.concatenate([pairs.birth.numpy()[kept], pairs.death.numpy()[kept]])
    dim = np.tile(pairs.dim.numpy()[kept], 2)
    names = np.array(feature_names(likelihood.ndim))
    features = {
        "event": np.repeat(["birth", "death"], len(kept)),
        "dimension": dim,
        "feature": names[dim],
        "birth": np.tile(births[kept], 2),
        "death": np.tile(deaths[kept], 2),
        "persistence": np.tile(persistence[kept], 2),
    }
    return PairPoints(np.stack(np.unravel_index(voxels, likelihood.shape), axis=1), features)
