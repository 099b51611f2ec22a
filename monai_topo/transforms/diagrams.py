"""Persistence diagrams and Betti curves, as arrays of a fixed size that a data loader can collate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo._utils.typing import Array, Border, Connectivity, Filtration
from monai_topo._utils.validation import check_topology_settings
from monai_topo.persistence.essential import Until, essential_class
from monai_topo.persistence.pairs import persistence_pairs
from monai_topo.transforms._base import ArrayTransform, floats
from monai_topo.transforms._dictionary import DictionaryTransform

__all__ = [
    "BettiCurve",
    "BettiCurveD",
    "BettiCurveDict",
    "BettiCurved",
    "PersistenceDiagram",
    "PersistenceDiagramD",
    "PersistenceDiagramDict",
    "PersistenceDiagramd",
]

Points = NDArray[np.float64]


class DiagramTransform(ArrayTransform):
    """Base of what is made of the persistence diagrams of an image: one array a channel and dimension.

    Args:
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"`.
        connectivity: of the features, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.
        dims: dimensions, in the order of the result; None is all of the image's.
    """

    #: Death of the essential component, see `monai_topo.persistence.essential_class`.
    essential_until: Until = "last"

    def __init__(
        self,
        *,
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
        dims: Sequence[int] | None = None,
    ) -> None:
        check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
        self.filtration: Filtration = filtration
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.dims = None if dims is None else tuple(dims)

    def vector(self, points: Points) -> Array:
        """Return what is made of one diagram, `(P, 2)` births and deaths."""
        raise NotImplementedError

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return `(C, len(dims), ...)` float32."""
        dims = tuple(range(array.ndim - 1)) if self.dims is None else self.dims
        images = torch.from_numpy(np.ascontiguousarray(floats(array)))
        pairs = persistence_pairs(
            images, filtration=self.filtration, connectivity=self.connectivity, border=self.border, dims=dims
        )
        values = pairs.values(images).double().numpy()
        essential = (
            essential_class(images, filtration=self.filtration, until=self.essential_until).values.double().numpy()
        )
        made = []
        for channel in range(len(images)):
            for dim in dims:
                points = values[((pairs.image == channel) & (pairs.dim == dim)).numpy()]
                if dim == 0 and self.border == "open":
                    points = np.concatenate([points, essential[channel : channel + 1]])
                made.append(self.vector(points))
        stacked = np.stack(made).astype(np.float32)
        return stacked.reshape(len(images), len(dims), *stacked.shape[1:])


class PersistenceDiagram(DiagramTransform):
    """The most persistent pairs of births and deaths, `(C, len(dims), num_pairs, 2)` float32.

    Sorted by persistence, the greatest first (ties by birth, then death, the greater first); what is missing to
    `num_pairs` is (0, 0), a point on the diagonal, which no distance between diagrams feels. The component that never
    ends dies with the last value of the sweep, the image's least (superlevel) or greatest (sublevel); with
    `border="foreground"` it is the frame and left out.

    Args:
        num_pairs: points of each dimension, at least 1.
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"`.
        connectivity: of the features, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.
        dims: dimensions, in the order of the result; None is all of the image's.

    Raises:
        ValueError: if a setting is none of these; at the call for an image that is not channel first or not finite.

    Deterministic; costs what :py:func:`monai_topo.persistence_pairs` costs.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import PersistenceDiagram
        >>> ring = np.array([[[3, 3, 3, 0], [3, 1, 3, 2], [3, 3, 3, 0]]])
        >>> PersistenceDiagram(num_pairs=2)(ring).tolist()
        [[[[3.0, 0.0], [0.0, 0.0]], [[3.0, 1.0], [0.0, 0.0]]]]
    """

    def __init__(
        self,
        *,
        num_pairs: int = 100,
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__(filtration=filtration, connectivity=connectivity, border=border, dims=dims)
        self.num_pairs = check_count("num_pairs", num_pairs)

    def vector(self, points: Points) -> Array:
        """Return the most persistent points."""
        order = np.lexsort((-points[:, 1], -points[:, 0], -np.abs(points[:, 0] - points[:, 1])))[: self.num_pairs]
        kept = np.zeros((self.num_pairs, 2))
        kept[: len(order)] = points[order]
        return kept


class BettiCurve(DiagramTransform):
    """Betti numbers of the mask at every threshold, `(C, len(dims), num_samples)` float32.

    Entry k is the Betti number of `image >= t` (superlevel) or `image <= t` (sublevel), `t` the k-th of `num_samples`
    thresholds that divide `value_range` evenly, both ends included. With `border="foreground"` the frame's own classes
    are not counted. Umeda, "Time series classification via topological data analysis", 2017.

    Args:
        num_samples: thresholds, at least 1.
        value_range: least and greatest threshold.
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"`.
        connectivity: of the features, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.
        dims: dimensions, in the order of the result; None is all of the image's.

    Raises:
        ValueError: as for :py:class:`PersistenceDiagram`.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import BettiCurve
        >>> BettiCurve(num_samples=4, value_range=(0, 3))(np.array([[[3, 1, 2]]])).tolist()
        [[[1.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]
    """

    essential_until: Until = "infinity"

    def __init__(
        self,
        *,
        num_samples: int = 100,
        value_range: Sequence[float] = (0.0, 1.0),
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__(filtration=filtration, connectivity=connectivity, border=border, dims=dims)
        self.num_samples = check_count("num_samples", num_samples)
        self.value_range = check_range(value_range)

    def vector(self, points: Points) -> Array:
        """Count at every threshold the points that are born and have not died."""
        samples = np.linspace(*self.value_range, self.num_samples)
        births, deaths = points[:, 0], points[:, 1]
        if self.filtration == "sublevel":
            births, deaths, samples = -births, -deaths, -samples
        born = len(births) - np.searchsorted(np.sort(births), samples, side="left")
        dead = len(deaths) - np.searchsorted(np.sort(deaths), samples, side="left")
        return np.asarray(born - dead)


def check_count(name: str, value: int) -> int:
    """Refuse what is no positive whole number."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"Expected `{name}` to be a positive whole number, but got {value!r}.")
    return value


def check_range(value_range: Sequence[float]) -> tuple[float, float]:
    """Refuse what is no pair of finite numbers in ascending order."""
    if len(value_range) != 2 or not -float("inf") < value_range[0] < value_range[1] < float("inf"):
        raise ValueError(f"Expected `value_range` to be two finite numbers, the lesser first, but got {value_range!r}.")
    return float(value_range[0]), float(value_range[1])


BettiCurved = BettiCurveD = BettiCurveDict = DictionaryTransform.of(BettiCurve)
PersistenceDiagramd = PersistenceDiagramD = PersistenceDiagramDict = DictionaryTransform.of(PersistenceDiagram)
