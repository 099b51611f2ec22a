"""Independent references for the tests, the form in which results are compared, and the test images.

No module in this folder, or in `monai_topo.fuzz.oracles`, shares code with what it is compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from monai_topo.fuzz.oracles.plateaus import PLATEAU as PLATEAU
from monai_topo.fuzz.oracles.plateaus import up_to_plateau as up_to_plateau

if TYPE_CHECKING:
    from monai_topo.persistence import PersistencePairs

FILTRATIONS = ("superlevel", "sublevel")
CONNECTIVITIES = ("full", "face")
BORDERS = ("open", "foreground")
MASK_SETTINGS = [
    {"connectivity": connectivity, "border": border}
    for connectivity, border in itertools.product(CONNECTIVITIES, BORDERS)
]
SETTINGS = [{"filtration": filtration, **setting} for filtration in FILTRATIONS for setting in MASK_SETTINGS]


def setting_name(setting: dict[str, str]) -> str:
    """Return the name of a setting for a test id."""
    return "-".join(setting.values())


every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=setting_name)
every_mask_setting = pytest.mark.parametrize("setting", MASK_SETTINGS, ids=setting_name)


def all_shapes(largest: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return every shape from one voxel up to `largest`."""
    return list(itertools.product(*(range(1, n + 1) for n in largest)))


def random_shapes(longest_2d: int, longest_3d: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw shapes in 2D and 3D whose longest side is at most the given one."""
    flat = hnp.array_shapes(min_dims=2, max_dims=2, max_side=longest_2d)
    return flat | hnp.array_shapes(min_dims=3, max_dims=3, max_side=longest_3d)


def mask_pairs(longest_2d: int, longest_3d: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Draw a prediction and a label of one random shape."""
    shapes = random_shapes(longest_2d, longest_3d)
    return shapes.flatmap(lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape)))


def smooth_image(rng: np.random.Generator, shape: tuple[int, ...], sigma: float = 1.5) -> np.ndarray:
    """Return smoothed noise of unit variance: wide basins and long ridges, like the likelihood map of a network."""
    image = gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return image / max(image.std(), 1e-9)


# How the values of an image are drawn. Ties are common in practice (saturated maps, labels), so most kinds have some.
IMAGE_KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "distinct": lambda rng, shape: rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float64),
    "tied": lambda rng, shape: rng.integers(0, 3, shape).astype(np.float64),
    "binary": lambda rng, shape: rng.integers(0, 2, shape).astype(np.float64),
    "constant": lambda rng, shape: np.full(shape, rng.normal()),
    "smooth": smooth_image,
    "saturated": lambda rng, shape: smooth_image(rng, shape).clip(-0.5, 0.5),
    "staircase": lambda rng, shape: smooth_image(rng, shape).round(),
}


def pairs_of_image(pairs: PersistencePairs, index: int) -> list[tuple[int, int, int]]:
    """Return the points (dim, birth voxel, death voxel) of one image of the batch, in the order of `pairs`."""
    here = pairs.image == index
    return list(zip(*(x[here].tolist() for x in (pairs.dim, pairs.birth, pairs.death)), strict=True))


def diagram_of_image(pairs: PersistencePairs, images: torch.Tensor, index: int) -> list[tuple[int, float, float]]:
    """Return the sorted points (dim, birth value, death value) of one image, read from the image at the voxels."""
    value = images[index].detach().double().flatten().tolist()
    return sorted((dim, value[birth], value[death]) for dim, birth, death in pairs_of_image(pairs, index))


def assert_same_pairs(actual: PersistencePairs, expected: PersistencePairs) -> None:
    """Assert that the two results are equal, entry by entry and in the same order."""
    for field in ("image", "dim", "birth", "death", "essential"):
        torch.testing.assert_close(getattr(actual, field), getattr(expected, field), rtol=0, atol=0, msg=field)
