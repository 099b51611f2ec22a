"""The checks of the fuzzer: each draws a case, and raises an AssertionError if the package is wrong about it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_topo.fuzz.images import Rng, draw_images, draw_settings, draw_shape, ranks, restride
from monai_topo.fuzz.oracles.boundary_matrix import critical_voxels
from monai_topo.fuzz.oracles.gudhi_diagrams import gudhi_diagram
from monai_topo.fuzz.oracles.induced_matching import match_by_matrices
from monai_topo.fuzz.oracles.plateaus import up_to_plateau
from monai_topo.losses import (
    BettiMatchingLoss,
    BettiPriorLoss,
    ClDiceLoss,
    PersistenceLoss,
    SkeletonRecallLoss,
    WarpingLoss,
)
from monai_topo.masks.chunked import chunked_betti_numbers
from monai_topo.persistence import PersistencePairs, betti_numbers, persistence_pairs
from monai_topo.persistence.induced_matching import betti_matching

__all__ = ["CHECKS"]

Point = tuple[int, int, int]


def _points(pairs: PersistencePairs, index: int) -> list[Point]:
    here = pairs.image == index
    return list(zip(*(field[here].tolist() for field in (pairs.dim, pairs.birth, pairs.death)), strict=True))


def _assert_equal(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise AssertionError(f"{what}: got {actual}, expected {expected}")


def _assert_same(one: PersistencePairs, other: PersistencePairs, what: str) -> None:
    for field in ("image", "dim", "birth", "death", "essential"):
        if not torch.equal(getattr(one, field), getattr(other, field)):
            raise AssertionError(f"{what}: other {field}")


def check_pairs_against_gudhi(rng: Rng, max_voxels: int = 6000) -> str:
    """Compare the values of all pairs with GUDHI's, for any strides, number of threads and choice of dimensions."""
    shape, settings = draw_shape(rng, max_voxels), draw_settings(rng)
    images = draw_images(rng, shape, int(rng.integers(1, 4)))
    threads = int(rng.integers(1, 5))
    case = f"{images.dtype} {tuple(images.shape)} strides {images.stride()} {settings} {threads} threads"
    pairs = persistence_pairs(images, num_threads=threads, **settings._asdict())
    for index, image in enumerate(images):
        rank = ranks(image)  # exact for all values; GUDHI's own frame must be below the least
        level = rank.ravel()
        expected = gudhi_diagram(rank, **settings._asdict())
        points = sorted((dim, float(level[birth]), float(level[death])) for dim, birth, death in _points(pairs, index))
        _assert_equal(points, expected, f"{case}, image {index}, pairs against GUDHI")
    _check_options(rng, images, pairs, settings._asdict(), case)
    return case


def _check_options(rng: Rng, images: Tensor, pairs: PersistencePairs, settings: dict[str, Any], case: str) -> None:
    dims = sorted(set(rng.integers(0, images.ndim - 1, 2).tolist()))
    again = persistence_pairs(
        restride(rng, images.contiguous()), dims=dims, num_threads=int(rng.integers(1, 5)), **settings
    )
    keep = torch.isin(pairs.dim, torch.tensor(dims))
    expected = PersistencePairs(
        image=pairs.image[keep],
        dim=pairs.dim[keep],
        birth=pairs.birth[keep],
        death=pairs.death[keep],
        essential=pairs.essential,
        num_voxels=pairs.num_voxels,
    )
    _assert_same(again, expected, f"{case}, other strides and threads, dims {dims}")


def check_pairs_against_boundary_matrix(rng: Rng) -> str:
    """Compare the critical voxels of all pairs of a small image with those of the reduced boundary matrix."""
    shape, settings = draw_shape(rng, 60), draw_settings(rng)
    images = draw_images(rng, shape, 1)
    case = f"{images.dtype} {tuple(images.shape)} {settings}"
    pairs = persistence_pairs(images, num_threads=int(rng.integers(1, 5)), **settings._asdict())
    rank = ranks(images[0])
    expected = critical_voxels(rank, **settings._asdict())
    actual = up_to_plateau(_points(pairs, 0), rank)
    _assert_equal(actual, up_to_plateau(expected.pairs, rank), f"{case}, critical voxels")
    _assert_equal([(0, pairs.essential[0].item())], expected.essential, f"{case}, essential class")
    return case


def check_betti_matching(rng: Rng) -> str:
    """Compare matches of small images without ties with those of boundary matrices."""
    shape, settings = draw_shape(rng, 30), draw_settings(rng)
    count = int(np.prod(shape))
    order = rng.permutation(2 * count) / (2.0 * count)
    one, other = (torch.from_numpy(half.reshape(1, *shape)) for half in np.split(order, 2))
    case = f"{shape} {settings}"
    matching = betti_matching(restride(rng, one), other, connectivity=settings.connectivity)
    expected = match_by_matrices(one[0].numpy(), other[0].numpy(), connectivity=settings.connectivity)
    if expected.is_unique:
        first, second = _points(matching.prediction, 0), _points(matching.label, 0)
        _assert_equal(set(first), expected.first, f"{case}, pairs of the first image")
        _assert_equal(set(second), expected.second, f"{case}, pairs of the second image")
        matched = {(first[i], second[j]) for i, j in matching.matched.tolist()}
        _assert_equal(matched, expected.matched, f"{case}, matches")
    _check_matched_values(rng, shape, settings._asdict(), case)
    return case


def _check_matched_values(rng: Rng, shape: tuple[int, ...], settings: dict[str, Any], case: str) -> None:
    """Compare the values of the pairs of two images with ties with those of each image alone, in all settings."""
    images = [draw_images(rng, shape, 2).double() for _ in range(2)]
    matching = betti_matching(*images, num_threads=int(rng.integers(1, 5)), **settings)
    for image, pairs in zip(images, (matching.prediction, matching.label), strict=True):
        alone = persistence_pairs(image, **settings)
        tables = [
            sorted(map(tuple, torch.cat((of.image[:, None], of.dim[:, None], of.values(image)), 1).tolist()))
            for of in (pairs, alone)
        ]
        _assert_equal(tables[0], tables[1], f"{case}, values of matched pairs")
    for ends in matching.matched.T:
        _assert_equal(len(ends.unique()), len(ends), f"{case}, partners")


def check_betti_matching_loss(rng: Rng) -> str:
    """Compare the Betti matching loss, which matches in a way of its own, with the pairs of `betti_matching`."""
    shape, settings = draw_shape(rng, 400), draw_settings(rng)
    count, ndim = int(np.prod(shape)), len(shape)
    dims = sorted(set(rng.integers(0, ndim, 2).tolist()))
    topology: dict[str, Any] = {"connectivity": settings.connectivity, "border": settings.border, "dims": dims}
    gap = int(rng.integers(2))  # with 0 the likelihood has the values of the label, 0 and 1
    image = torch.from_numpy((rng.permutation(count) + gap) / max(1, count - 1 + 2 * gap)).view(1, *shape)
    label = torch.from_numpy((rng.random(shape) < rng.random()).astype(np.float64))[None]
    case = f"{shape} {topology}"
    matching = betti_matching(image, label, **topology)
    if not all(_is_unique(persistence_pairs(of, **topology)) for of in (image, torch.maximum(image, label))):
        return case
    of_image, of_label = (
        pairs.values(of).double() for of, pairs in ((image, matching.prediction), (label, matching.label))
    )
    first, second = matching.matched.T
    cost = 2 * (of_image[first] - of_label[second]).square().sum()
    for values, partners in ((of_image, first), (of_label, second)):
        alone = torch.ones(len(values), dtype=torch.bool).index_fill(0, partners, False)
        cost += values[alone].diff(dim=1).square().sum()
    open_border = settings.border == "open"
    if (0 if open_border else ndim - 1) in dims:
        cost += 2 * (image.max() - label.max() if open_border else image.min() - label.min()).square()
    loss = BettiMatchingLoss(num_threads=int(rng.integers(1, 5)), **topology)
    value = float(loss(image[None], label[None]))
    if abs(value - float(cost)) > 1e-9 * max(1, count):
        raise AssertionError(f"{case}: the loss is {value}, the matched pairs cost {float(cost)}")
    return case


def _is_unique(pairs: PersistencePairs) -> bool:
    """Return whether no voxel is the birth, or the death, of two features of one dimension."""
    return all(len(torch.stack((pairs.dim, ends), 1).unique(dim=0)) == len(ends) for ends in (pairs.birth, pairs.death))


def check_betti_numbers(rng: Rng) -> str:
    """Compare Betti numbers of masks with GUDHI's, and with those of the mask in chunks."""
    shape, settings = draw_shape(rng, 4000), draw_settings(rng)
    mask = restride(rng, torch.from_numpy((rng.random(shape) < rng.random())[None]).float())[0] > 0
    topology: dict[str, Any] = {"connectivity": settings.connectivity, "border": settings.border}
    case = f"{shape} {topology}"
    actual = betti_numbers(mask[None], **topology)[0].tolist()
    diagram = gudhi_diagram(mask.numpy().astype(np.int64), filtration="superlevel", **topology)
    expected = [sum(point == (dim, 1.0, 0.0) for point in diagram) for dim in range(len(shape))]
    expected[0] += settings.border == "open" and bool(mask.any())
    _assert_equal(actual, expected, f"{case}, Betti numbers against GUDHI")
    if find_spec("dask") and find_spec("scipy"):
        chunks = tuple(int(rng.integers(1, length + 1)) for length in shape)
        if np.prod([-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True)]) <= 64:
            chunked = chunked_betti_numbers(mask.numpy(), chunks=chunks, **topology).tolist()
            _assert_equal(chunked, actual, f"{case}, chunks {chunks}")
    return case


def check_gradients(rng: Rng) -> str:
    """Compare the gradient of a loss in a random direction with the difference of its values."""
    shape, settings = draw_shape(rng, 200), draw_settings(rng)
    topology: dict[str, Any] = {"connectivity": settings.connectivity, "border": settings.border}
    loss, name = _draw_loss(rng, len(shape), topology)
    case = f"{name} {shape}"
    count = int(np.prod(shape))
    # Distinct values, with gaps that are larger than the steps: the pairs do not change within a step.
    values = (rng.permutation(count) + 0.25 + 0.5 * rng.random(count)) / (count + 1)
    values[np.abs(values - 0.5) < 1e-6] += 1e-5  # no step crosses the threshold of the warping loss, which jumps there
    likelihood = torch.from_numpy(values).view(1, 1, *shape).requires_grad_()
    label = torch.from_numpy((rng.random(shape) < rng.random()).astype(np.float64))[None, None]
    arguments = () if name.startswith("BettiPriorLoss") else (label,)
    direction = torch.from_numpy(rng.uniform(-1, 1, likelihood.shape))
    value = loss(likelihood, *arguments)
    (gradient,) = torch.autograd.grad(value, likelihood)
    step = 1e-7
    with torch.no_grad():
        above, below = (loss(likelihood + sign * step * direction, *arguments) for sign in (1, -1))
    slope, expected = float((gradient * direction).sum()), float((above - below) / (2 * step))
    if abs(slope - expected) > 1e-5 * max(1, abs(expected)):
        raise AssertionError(f"{case}: the slope is {expected}, the gradient says {slope}")
    return case


def _draw_loss(rng: Rng, ndim: int, topology: dict[str, Any]) -> tuple[Any, str]:
    """Draw a loss and its settings; return it and its name with them."""
    matching = {"matching": str(rng.choice(["wasserstein", "rank", "spatial"]))}
    penalty = {"penalty": str(rng.choice(["squared", "cross_entropy"]))}
    losses: dict[str, tuple[Any, dict[str, Any]]] = {
        "PersistenceLoss": (PersistenceLoss, {**matching, **penalty, **topology}),
        "BettiMatchingLoss": (BettiMatchingLoss, {**penalty, **topology}),
        "BettiPriorLoss": (BettiPriorLoss, {"betti": rng.integers(0, 3, ndim).tolist(), **topology}),
        "WarpingLoss": (WarpingLoss, {**penalty, **topology}),
        "ClDiceLoss": (ClDiceLoss, {"skeleton": "soft"}),
        "SkeletonRecallLoss": (SkeletonRecallLoss, {}),
    }
    name = list(losses)[int(rng.integers(len(losses)))]
    make, settings = losses[name]
    return make(**settings), f"{name} {settings}"


#: Checks by name, and how often they are drawn.
CHECKS: dict[str, tuple[Callable[[Rng], str], float]] = {
    "pairs against GUDHI": (check_pairs_against_gudhi, 0.25),
    "pairs against the boundary matrix": (check_pairs_against_boundary_matrix, 0.2),
    "Betti matching against boundary matrices": (check_betti_matching, 0.15),
    "Betti matching loss against the matched pairs": (check_betti_matching_loss, 0.1),
    "Betti numbers against GUDHI and in chunks": (check_betti_numbers, 0.15),
    "gradients against differences": (check_gradients, 0.15),
}
