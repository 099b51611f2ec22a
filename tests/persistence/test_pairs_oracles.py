"""persistence_pairs against independent algorithms: the full boundary matrix, GUDHI, cripser and published diagrams."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import (
    IMAGE_KINDS,
    all_shapes,
    diagram_of_image,
    every_setting,
    pairs_of_image,
    up_to_plateau,
)
from oracles.boundary_matrix import barcode_of_ranks, critical_voxels, voxel_order
from oracles.gudhi_diagrams import gudhi_diagram

from monai_topo import persistence_pairs

SMALL_SHAPES = {2: all_shapes((5, 7)), 3: all_shapes((3, 4, 5))}
SMALL_KINDS = ("distinct", "tied", "binary", "constant")


def small_images(ndim: int, kind: str) -> Iterator[np.ndarray]:
    """One image of every small shape."""
    rng = np.random.default_rng([ndim, *kind.encode()])
    return (IMAGE_KINDS[kind](rng, shape) for shape in SMALL_SHAPES[ndim])


def assert_equals_boundary_matrix(images: np.ndarray, setting: dict[str, str]) -> None:
    """Every pair of every image has the dimension and the critical voxels that the boundary matrix gives."""
    pairs = persistence_pairs(torch.from_numpy(images), **setting)
    assert pairs.essential.shape == (len(images),)
    for index, image in enumerate(images):
        expected = critical_voxels(image, **setting)
        context = f"{setting} on\n{image!r}"
        assert up_to_plateau(pairs_of_image(pairs, index), image) == up_to_plateau(expected.pairs, image), context
        assert [(0, pairs.essential[index].item())] == expected.essential, context


# The oracles against each other ------------------------------------------------------------------------------------


@every_setting
@pytest.mark.parametrize("ndim", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_boundary_matrix_agrees_with_gudhi(ndim, setting):
    for kind in ("distinct", "tied"):
        for image in small_images(ndim, kind):
            value = image.ravel()
            expected = gudhi_diagram(image, **setting)
            barcode = critical_voxels(image, **setting)
            assert sorted((dim, value[birth], value[death]) for dim, birth, death in barcode.pairs) == expected


@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_frame_owns_one_essential_component_and_one_class_that_dies_last(ndim, connectivity):
    for image in small_images(ndim, "distinct"):
        rank = np.pad(image.astype(np.int64), 1, constant_values=-1)
        barcode = barcode_of_ranks(rank, connectivity)
        assert barcode.essential == [(0, -1)]
        assert [pair for pair in barcode.pairs if pair[1] == -1] == [(ndim - 1, -1, image.size - 1)]


# Critical voxels ---------------------------------------------------------------------------------------------------


@every_setting
@pytest.mark.parametrize("kind", SMALL_KINDS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_pairs_of_every_small_shape_equal_the_boundary_matrix(ndim, kind, setting):
    for image in small_images(ndim, kind):
        assert_equals_boundary_matrix(image[None], setting)


@every_setting
def test_pairs_of_every_order_of_six_voxels_equal_the_boundary_matrix(setting):
    orders = np.array(list(itertools.permutations(range(6)))[::2], dtype=np.float32)
    assert_equals_boundary_matrix(orders.reshape(-1, 2, 3), setting)


@pytest.mark.slow
@every_setting
@pytest.mark.parametrize(("shape", "levels"), [((2, 3), 3), ((3, 3), 2), ((2, 2, 2), 2), ((1, 2, 3), 2)], ids=str)
def test_pairs_of_every_tied_image_equal_the_boundary_matrix(shape, levels, setting):
    every_image = np.array(list(itertools.product(range(levels), repeat=int(np.prod(shape)))), dtype=np.float32)
    assert_equals_boundary_matrix(every_image.reshape(-1, *shape), setting)


@every_setting
@pytest.mark.parametrize("kind", IMAGE_KINDS)
@pytest.mark.parametrize("shape", [(13, 18), (5, 6, 7)], ids=str)
def test_pairs_of_middling_images_equal_the_boundary_matrix(shape, kind, setting):
    rng = np.random.default_rng([*shape, *kind.encode()])
    assert_equals_boundary_matrix(IMAGE_KINDS[kind](rng, shape)[None], setting)


@pytest.mark.parametrize(("connectivity", "meeting"), [("face", 20), ("full", 19)])
def test_bridge_and_hole_drawn_by_hand(connectivity, meeting):
    # Above, a peak of 8 (voxel 9) that a bridge of 3 (voxel 7) joins to the summit of 9 (voxel 6). Below, a ring of 7s
    # that its last 7 (voxel 40) joins at 6 (voxel 39), that closes at 5 (voxel 34) and is filled at 1 (voxel 33);
    # at level 0, rows entering from the top, it meets the summit's component in the first voxel next to its own (26).
    image = torch.tensor(
        [
            [0, 0, 0, 0, 0, 0],
            [9, 3, 4, 8, 0, 0],
            [0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
            [0, 0, 7, 7, 7, 0],
            [0, 0, 7, 1, 5, 0],
            [0, 0, 7, 6, 7, 0],
        ],
        dtype=torch.float32,
    )
    pairs = persistence_pairs(image[None], connectivity=connectivity)
    assert pairs_of_image(pairs, 0) == [(0, 9, 7), (0, 26, meeting), (0, 40, 39), (1, 34, 33)]
    assert pairs.essential.tolist() == [6]


@every_setting
@pytest.mark.parametrize("kind", ["tied", "binary", "sparse"])
def test_loops_of_a_large_plateau_get_its_nearest_voxel(kind, setting):
    rng = np.random.default_rng([7, *kind.encode()])
    shape = (9, 12, 10)
    image = rng.random(shape).clip(0.5, None) if kind == "sparse" else IMAGE_KINDS[kind](rng, shape)
    value = image.ravel()
    low, high = value.min(), value.max()
    plateau = low if (value == low).sum() > (value == high).sum() else high
    where = np.argwhere(image == plateau)
    points = pairs_of_image(persistence_pairs(torch.from_numpy(image)[None], **setting), 0)
    checked = 0
    for dim, *voxels in points:
        on_plateau = [value[voxel] == plateau for voxel in voxels]
        if dim == 1 and any(on_plateau):
            near, other = (np.unravel_index(voxels[on_plateau.index(state)], shape) for state in (True, False))
            distance = np.abs(where - other).max(1).min()
            assert np.abs(np.subtract(near, other)).max() == distance
            checked += 1
    assert checked > 3


# Values on larger images -------------------------------------------------------------------------------------------


@every_setting
@pytest.mark.parametrize("kind", IMAGE_KINDS)
@pytest.mark.parametrize("shape", [(17, 23), (64, 65), (9, 11, 13), (1, 30, 29), (26, 2, 17)], ids=str)
def test_diagrams_equal_gudhi(shape, kind, setting):
    rng = np.random.default_rng([*shape, *kind.encode()])
    image = IMAGE_KINDS[kind](rng, shape)
    tensor = torch.from_numpy(image)[None]
    assert diagram_of_image(persistence_pairs(tensor, **setting), tensor, 0) == gudhi_diagram(image, **setting)


@every_setting
@pytest.mark.parametrize("kind", ["tied", "saturated", "staircase"])
@pytest.mark.parametrize("shape", [(37, 52), (14, 11, 16)], ids=str)
def test_critical_voxels_of_tied_images_equal_those_that_gudhi_finds_in_their_ranks(shape, kind, setting):
    # An image of ranks has no ties, so each of GUDHI's values names its voxel.
    image = IMAGE_KINDS[kind](np.random.default_rng([1, *shape, *kind.encode()]), shape)
    order = voxel_order(image, setting["filtration"])
    rank = np.empty(image.size)
    rank[order] = np.arange(image.size)
    ranks = gudhi_diagram(rank.reshape(shape), **{**setting, "filtration": "sublevel"})
    voxels = [(dim, int(order[int(birth)]), int(order[int(death)])) for dim, birth, death in ranks]
    value = image.ravel()
    expected = sorted(pair for pair in voxels if value[pair[1]] != value[pair[2]])
    actual = pairs_of_image(persistence_pairs(torch.from_numpy(image)[None], **setting), 0)
    assert up_to_plateau(actual, image) == up_to_plateau(expected, image)


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_diagram_of_a_larger_volume_equals_gudhi(sigma):
    rng = np.random.default_rng(7)
    image = IMAGE_KINDS["smooth"](rng, (34, 29, 31)) if sigma > 1 else rng.normal(size=(34, 29, 31))
    setting = {"filtration": "superlevel", "connectivity": "full", "border": "foreground"}
    tensor = torch.from_numpy(image)[None]
    assert diagram_of_image(persistence_pairs(tensor, **setting), tensor, 0) == gudhi_diagram(image, **setting)


@pytest.mark.parametrize(("connectivity", "construction"), [("face", "V"), ("full", "T")])
@pytest.mark.parametrize("shape", [(31, 26), (12, 9, 14)], ids=str)
def test_diagrams_equal_cripser(shape, connectivity, construction):
    cripser = pytest.importorskip("cripser")
    rng = np.random.default_rng(5)
    for kind in ("distinct", "tied", "smooth"):
        image = IMAGE_KINDS[kind](rng, shape)
        rows = cripser.compute_ph(image, filtration=construction, maxdim=len(shape) - 1)[:, :3]
        finite = rows[np.abs(rows[:, 2]) < 1e300]
        tensor = torch.from_numpy(image)[None]
        pairs = persistence_pairs(tensor, filtration="sublevel", connectivity=connectivity)
        assert diagram_of_image(pairs, tensor, 0) == sorted((int(dim), birth, death) for dim, birth, death in finite)


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("threshold", [0.0, 1.0, 2.0])
def test_min_persistence_keeps_strictly_longer_pairs_as_gudhi_does(threshold, border):
    setting = {"filtration": "superlevel", "connectivity": "full", "border": border}
    image = np.random.default_rng(6).integers(0, 5, (14, 19)).astype(np.float64)
    tensor = torch.from_numpy(image)[None]
    pairs = persistence_pairs(tensor, min_persistence=threshold, **setting)
    expected = gudhi_diagram(image, min_persistence=threshold, **setting)
    assert diagram_of_image(pairs, tensor, 0) == expected
    assert min(birth - death for _, birth, death in expected) == threshold + 1


# Published diagrams ------------------------------------------------------------------------------------------------


def read_dipha_image(path: Path) -> np.ndarray:
    """Image of a DIPHA file: four int64 and the extents, then float64 with x fastest."""
    raw = path.read_bytes()
    ndim = int(np.frombuffer(raw, "<i8", 4)[3])
    extents = np.frombuffer(raw, "<i8", ndim, offset=32)
    return np.frombuffer(raw, "<f8", offset=32 + 8 * ndim).reshape(extents[::-1]).copy()


def read_dipha_diagram(path: Path) -> tuple[list[tuple[int, float, float]], list[tuple[int, float]]]:
    """Finite points and essential classes (dim, birth) of a DIPHA diagram file; the latter have dimension -dim-1."""
    rows = np.fromfile(path, np.dtype([("dim", "<i8"), ("birth", "<f8"), ("death", "<f8")]), offset=24).tolist()
    return sorted(row for row in rows if row[0] >= 0), [(-row[0] - 1, row[1]) for row in rows if row[0] < 0]


@pytest.mark.parametrize(
    ("image_file", "diagram_file", "dims", "counts"),
    [
        ("noise_3_16.complex", "noise_3_16_def.diagram", None, [640, 686, 100]),
        ("smooth_16.complex", "smooth_def.diagram", None, [39, 43, 9]),
        ("smooth_16.complex", "smooth_2.diagram", (0, 1), [39, 43, 0]),
        ("ramp_3_16.complex", "ramp_3_16_def.diagram", None, [0, 0, 0]),
    ],
)
def test_diagrams_equal_dipha(shared_data, image_file, diagram_file, dims, counts):
    folder = shared_data / "oracles" / "dipha"
    images = torch.from_numpy(read_dipha_image(folder / image_file))[None]
    expected, essential = read_dipha_diagram(folder / diagram_file)
    pairs = persistence_pairs(images, filtration="sublevel", connectivity="face", dims=dims)
    assert torch.bincount(pairs.dim, minlength=3).tolist() == counts
    assert diagram_of_image(pairs, images, 0) == expected
    assert [(0, images.flatten()[pairs.essential].item())] == essential
