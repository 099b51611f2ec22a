"""Persistence diagrams and Betti curves as arrays of a fixed size, which a data loader can collate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.typing import Array
from monai_topo.persistence.essential import Until, essential_class
from monai_topo.transforms._base import check_count
from monai_topo.transforms._dictionary import DictionaryTransform
from monai_topo.transforms._persistence_base import PersistenceTransform

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


@dataclass(kw_only=True, eq=False)
class DiagramTransform(PersistenceTransform):
    """Base of the transforms of persistence diagrams to arrays: one array per channel and dimension.

    A subclass implements `vector`.
    """

    #: Death of the essential component, see `monai_topo.persistence.essential.essential_class`.
    essential_until: ClassVar[Until] = "last"

    def vector(self, points: Points) -> Array:
        """Return the array of one diagram, `(P, 2)` births and deaths."""
        raise NotImplementedError

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return `(C, len(dims), ...)` float32."""
        images, dims = self.images_of(array), self.dims_of(array)
        pairs = self.pairs_of(images)
        values = pairs.values(images).double().numpy()
        essential = essential_class(images, filtration=self.filtration, until=self.essential_until)
        essential_points = essential.values.double().numpy()
        vectors = []
        for channel in range(len(images)):
            for dim in dims:
                points = values[((pairs.image == channel) & (pairs.dim == dim)).numpy()]
                if dim == 0 and self.border == "open":
                    points = np.concatenate([points, essential_points[channel : channel + 1]])
                vectors.append(self.vector(points))
        stacked = np.stack(vectors).astype(np.float32)
        return stacked.reshape(len(images), len(dims), *stacked.shape[1:])


@dataclass(kw_only=True, eq=False)
class PersistenceDiagram(DiagramTransform):
    """Select the most persistent pairs of births and deaths.

    The result is `(C, len(dims), num_pairs, 2)` float32, sorted by decreasing persistence (ties: by decreasing birth,
    then by decreasing death). A diagram with fewer pairs is padded with (0, 0), a point on the diagonal, which does not
    change distances between diagrams. The essential component dies at the last value of the filtration, the minimum of
    the image for superlevel sets, the maximum for sublevel sets. With `border="foreground"` it is the frame and does
    not count.

    Args:
        num_pairs: Number of points per dimension, at least 1.

    Raises:
        ValueError: If a setting is not one of these; at the call, if the image is not channel first or not finite.

    Deterministic. The cost is that of :py:func:`monai_topo.persistence_pairs`.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import PersistenceDiagram
        >>> ring = np.array([[[3, 3, 3, 0], [3, 1, 3, 2], [3, 3, 3, 0]]])
        >>> PersistenceDiagram(num_pairs=2)(ring).tolist()
        [[[[3.0, 0.0], [0.0, 0.0]], [[3.0, 1.0], [0.0, 0.0]]]]
    """

    num_pairs: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("num_pairs", self.num_pairs)

    def vector(self, points: Points) -> Array:
        """Return the most persistent points."""
        order = np.lexsort((-points[:, 1], -points[:, 0], -np.abs(points[:, 0] - points[:, 1])))[: self.num_pairs]
        kept = np.zeros((self.num_pairs, 2))
        kept[: len(order)] = points[order]
        return kept


@dataclass(kw_only=True, eq=False)
class BettiCurve(DiagramTransform):
    """Compute the Betti numbers of the mask at every threshold.

    The result is `(C, len(dims), num_samples)` float32. Entry k is the Betti number of `image >= t` (superlevel) or
    `image <= t` (sublevel), where `t` is the k-th of `num_samples` equidistant thresholds in `value_range`, both ends
    included. With `border="foreground"` the classes of the frame itself do not count. Source: Umeda, "Time series
    classification via topological data analysis", 2017.

    Args:
        num_samples: Number of thresholds, at least 1.
        value_range: Least and greatest threshold.

    Raises:
        ValueError: As for :py:class:`PersistenceDiagram`.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import BettiCurve
        >>> BettiCurve(num_samples=4, value_range=(0, 3))(np.array([[[3, 1, 2]]])).tolist()
        [[[1.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]
    """

    num_samples: int = 100
    value_range: Sequence[float] = (0.0, 1.0)

    essential_until: ClassVar[Until] = "infinity"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("num_samples", self.num_samples)
        self.value_range = check_range(self.value_range)

    def vector(self, points: Points) -> Array:
        """Count at every threshold the points that are born and have not died."""
        low, high = self.value_range
        samples = np.linspace(low, high, self.num_samples)
        births, deaths = points[:, 0], points[:, 1]
        if self.filtration == "sublevel":
            births, deaths, samples = -births, -deaths, -samples
        born = len(births) - np.searchsorted(np.sort(births), samples, side="left")
        dead = len(deaths) - np.searchsorted(np.sort(deaths), samples, side="left")
        return np.asarray(born - dead)


def check_range(value_range: Sequence[float]) -> tuple[float, float]:
    """Check that a range consists of two finite numbers in ascending order, and return it."""
    if len(value_range) != 2 or not -float("inf") < value_range[0] < value_range[1] < float("inf"):
        raise ValueError(f"Expected `value_range` to be two finite numbers, the lesser first, but got {value_range!r}.")
    return float(value_range[0]), float(value_range[1])


BettiCurved = BettiCurveD = BettiCurveDict = DictionaryTransform.of(BettiCurve)
PersistenceDiagramd = PersistenceDiagramD = PersistenceDiagramDict = DictionaryTransform.of(PersistenceDiagram)
