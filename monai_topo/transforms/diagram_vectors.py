"""Persistence diagrams as points of a vector space: persistence images and landscapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_topo._utils.typing import Array
from monai_topo._utils.validation import check_at_least
from monai_topo.transforms._base import check_count
from monai_topo.transforms._dictionary import DictionaryTransform
from monai_topo.transforms.diagrams import DiagramTransform, Points, check_range

# GUDHI has both (`gudhi.representations`), but needs scikit-learn for them, which is not a dependency of this package.
# They are ten lines each, and the tests compare them with GUDHI's where scikit-learn is installed.
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


@dataclass(kw_only=True, eq=False)
class PersistenceImage(DiagramTransform):
    """Compute a persistence image: the weighted sum of a Gaussian at every point of the diagram.

    The result is `(C, len(dims), num_rows, num_columns)` float32. Row i belongs to the i-th of `num_rows` equidistant
    values of the persistence from 0 to the width of `value_range`, column j to the j-th of `num_columns` births in
    `value_range`, both ends included. A pixel is the sum over all points of `persistence ** power` times a normalized
    2D Gaussian of standard deviation `sigma`. The essential component dies as in :py:class:`PersistenceDiagram`.

    Source: Adams et al., "Persistence images: a stable vector representation of persistent homology", JMLR 2017. As in
    GUDHI, the Gaussian is sampled and not integrated over a pixel.

    Args:
        num_rows: Number of samples of the persistence, at least 1.
        num_columns: Number of samples of the birth, at least 1.
        sigma: Standard deviation, in units of the values of the image.
        power: Exponent of the persistence in the weight; 0 weights all points equally, which is not stable.
        value_range: Least and greatest birth.

    Raises:
        ValueError: As for :py:class:`PersistenceDiagram`, and if `sigma` is not greater than 0.

    In addition to the pairs, the cost is their number times the number of samples per axis.
    """

    num_rows: int = 20
    num_columns: int = 20
    sigma: float = 0.05
    power: float = 1.0
    value_range: Sequence[float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("num_rows", self.num_rows)
        check_count("num_columns", self.num_columns)
        if not 0 < self.sigma < float("inf"):
            raise ValueError(f"Expected `sigma` to be finite and greater than 0, but got {self.sigma!r}.")
        check_at_least("power", self.power)
        self.value_range = check_range(self.value_range)

    def vector(self, points: Points) -> Array:
        """Return the image; a 2D Gaussian is the product of two 1D ones."""
        low, high = self.value_range
        persistence = np.abs(points[:, 0] - points[:, 1])
        columns = self._gaussians(np.linspace(low, high, self.num_columns), points[:, 0])
        rows = self._gaussians(np.linspace(0, high - low, self.num_rows), persistence)
        return np.asarray(rows.T @ (columns * persistence[:, None] ** self.power))

    def _gaussians(self, samples: Points, centers: Points) -> Points:
        values = np.exp(-0.5 * ((samples[None] - centers[:, None]) / self.sigma) ** 2)
        return np.asarray(values / (self.sigma * np.sqrt(2 * np.pi)))


@dataclass(kw_only=True, eq=False)
class PersistenceLandscape(DiagramTransform):
    """Compute the persistence landscape of each diagram.

    The result is `(C, len(dims), num_landscapes, num_samples)` float32. Every point spans a tent between its death and
    its birth, half its persistence high in the middle. At each sample, landscape k is the k-th greatest value of all
    tents, or 0 if there are fewer. The essential component dies as in :py:class:`PersistenceDiagram`.

    Source: Bubenik, "Statistical topological data analysis using persistence landscapes", JMLR 2015. GUDHI's landscapes
    are greater by a factor of sqrt(2).

    Args:
        num_landscapes: Number of landscapes per dimension, at least 1.
        num_samples: Number of equidistant samples in `value_range`, both ends included, at least 1.
        value_range: Least and greatest sample.

    Raises:
        ValueError: As for :py:class:`PersistenceDiagram`.

    In addition to the pairs, the cost is their number times the number of samples.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import PersistenceLandscape
        >>> ring = np.array([[[4, 4, 4, 0], [4, 0, 4, 0], [4, 4, 4, 0]]])
        >>> PersistenceLandscape(num_landscapes=1, num_samples=5, value_range=(0, 4), dims=[1])(ring).tolist()
        [[[[0.0, 1.0, 2.0, 1.0, 0.0]]]]
    """

    num_landscapes: int = 5
    num_samples: int = 100
    value_range: Sequence[float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("num_landscapes", self.num_landscapes)
        check_count("num_samples", self.num_samples)
        self.value_range = check_range(self.value_range)

    def vector(self, points: Points) -> Array:
        """Return the highest tents at every sample."""
        low, high = self.value_range
        samples = np.linspace(low, high, self.num_samples)
        left, right = points.min(axis=1), points.max(axis=1)
        landscapes = np.zeros((self.num_landscapes, self.num_samples))
        for index, sample in enumerate(samples):
            tents = np.minimum(sample - left, right - sample)
            highest = np.sort(tents[tents > 0])[::-1][: self.num_landscapes]
            landscapes[: len(highest), index] = highest
        return landscapes


PersistenceImaged = PersistenceImageD = PersistenceImageDict = DictionaryTransform.of(PersistenceImage)
PersistenceLandscaped = PersistenceLandscapeD = PersistenceLandscapeDict = DictionaryTransform.of(PersistenceLandscape)
