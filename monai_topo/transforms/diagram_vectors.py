"""Persistence diagrams as points of a vector space: persistence images and landscapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_topo._utils.typing import Array, Border, Connectivity, Filtration
from monai_topo._utils.validation import check_at_least
from monai_topo.transforms._dictionary import DictionaryTransform
from monai_topo.transforms.diagrams import DiagramTransform, Points, check_count, check_range

# GUDHI has both (`gudhi.representations`), but only beside scikit-learn, which is no dependency of this package; they
# are ten lines each, and the tests compare them with GUDHI's where scikit-learn is installed.
__all__ = [
    "PersistenceImage",
    "PersistenceImageD",
    "PersistenceImageDict",
    "PersistenceImaged",
    "PersistenceLandscape",
    "PersistenceLandscapeD",
    "PersistenceLandscapeDict",
    "PersistenceLandscaped",
]


class PersistenceImage(DiagramTransform):
    """A picture of each diagram, births across, persistence upwards: `(C, len(dims), num_rows, num_columns)` float32.

    Row i is the i-th of `num_rows` persistences from 0 to the width of `value_range`, column j the j-th birth in it,
    both ends included; there stands the sum over the points of `persistence ** power` times a Gaussian of standard
    deviation `sigma`, normalized in the plane. Adams et al., "Persistence images: a stable vector representation of
    persistent homology", JMLR 2017; as GUDHI, the Gaussian is sampled and not integrated over a pixel. The component
    that never ends dies as in :py:class:`PersistenceDiagram`.

    Args:
        num_rows: samples of the persistence, at least 1.
        num_columns: samples of the birth, at least 1.
        sigma: standard deviation, in units of the image's values.
        power: of the persistence as a weight; 0 weighs all alike, which is not stable.
        value_range: least and greatest birth.
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"`.
        connectivity: of the features, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.
        dims: dimensions, in the order of the result; None is all of the image's.

    Raises:
        ValueError: as for :py:class:`PersistenceDiagram`, and if `sigma` is not greater than 0.

    Beside the pairs it costs their number times the samples of an axis.
    """

    def __init__(
        self,
        *,
        num_rows: int = 20,
        num_columns: int = 20,
        sigma: float = 0.05,
        power: float = 1.0,
        value_range: Sequence[float] = (0.0, 1.0),
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__(filtration=filtration, connectivity=connectivity, border=border, dims=dims)
        if not 0 < sigma < float("inf"):
            raise ValueError(f"Expected `sigma` to be finite and greater than 0, but got {sigma!r}.")
        self.num_rows = check_count("num_rows", num_rows)
        self.num_columns = check_count("num_columns", num_columns)
        self.sigma = sigma
        self.power = check_at_least("power", power)
        self.value_range = check_range(value_range)

    def vector(self, points: Points) -> Array:
        """Return the picture; a Gaussian of the plane is the product of two of the line."""
        low, high = self.value_range
        persistence = np.abs(points[:, 0] - points[:, 1])
        across = self._bells(np.linspace(low, high, self.num_columns), points[:, 0])
        upwards = self._bells(np.linspace(0, high - low, self.num_rows), persistence)
        return np.asarray(upwards.T @ (across * persistence[:, None] ** self.power))

    def _bells(self, samples: Points, centers: Points) -> Points:
        bells = np.exp(-0.5 * ((samples[None] - centers[:, None]) / self.sigma) ** 2)
        return np.asarray(bells / (self.sigma * np.sqrt(2 * np.pi)))


class PersistenceLandscape(DiagramTransform):
    """The landscape of each diagram, `(C, len(dims), num_landscapes, num_samples)` float32.

    Every point spans a tent over its life, as high as half its persistence in the middle; landscape k is at each sample
    the k-th greatest of the tents, 0 where there are fewer. Bubenik, "Statistical topological data analysis using
    persistence landscapes", JMLR 2015; GUDHI's is sqrt(2) times as high. The component that never ends dies as in
    :py:class:`PersistenceDiagram`.

    Args:
        num_landscapes: landscapes of a dimension, at least 1.
        num_samples: samples of each, at least 1, that divide `value_range` evenly, both ends included.
        value_range: least and greatest sample.
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"`.
        connectivity: of the features, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.
        dims: dimensions, in the order of the result; None is all of the image's.

    Raises:
        ValueError: as for :py:class:`PersistenceDiagram`.

    Beside the pairs it costs their number times the samples.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import PersistenceLandscape
        >>> ring = np.array([[[4, 4, 4, 0], [4, 0, 4, 0], [4, 4, 4, 0]]])
        >>> PersistenceLandscape(num_landscapes=1, num_samples=5, value_range=(0, 4), dims=[1])(ring).tolist()
        [[[[0.0, 1.0, 2.0, 1.0, 0.0]]]]
    """

    def __init__(
        self,
        *,
        num_landscapes: int = 5,
        num_samples: int = 100,
        value_range: Sequence[float] = (0.0, 1.0),
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
        dims: Sequence[int] | None = None,
    ) -> None:
        super().__init__(filtration=filtration, connectivity=connectivity, border=border, dims=dims)
        self.num_landscapes = check_count("num_landscapes", num_landscapes)
        self.num_samples = check_count("num_samples", num_samples)
        self.value_range = check_range(value_range)

    def vector(self, points: Points) -> Array:
        """Return the highest tents at every sample, found among the pairs sample by sample."""
        samples = np.linspace(*self.value_range, self.num_samples)
        low, high = points.min(axis=1), points.max(axis=1)
        landscapes = np.zeros((self.num_landscapes, self.num_samples))
        for index, sample in enumerate(samples):
            tents = np.minimum(sample - low, high - sample)
            highest = np.sort(tents[tents > 0])[::-1][: self.num_landscapes]
            landscapes[: len(highest), index] = highest
        return landscapes


PersistenceImaged = PersistenceImageD = PersistenceImageDict = DictionaryTransform.of(PersistenceImage)
PersistenceLandscaped = PersistenceLandscapeD = PersistenceLandscapeDict = DictionaryTransform.of(PersistenceLandscape)
