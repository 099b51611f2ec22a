"""betti_numbers against labeled components, the boundary matrix, masks drawn by hand and published counts."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
import torch
from oracles import all_shapes, every_mask_setting
from oracles.betti_by_labeling import betti_by_labeling
from oracles.boundary_matrix import critical_voxels

from monai_topo import betti_numbers, persistence_pairs


def random_mask(shape: tuple[int, ...], density: float) -> np.ndarray:
    """White noise thresholded so that a voxel is foreground with probability `density`."""
    return np.random.default_rng([*shape, int(1000 * density)]).random(shape) < density


def betti_by_boundary_matrix(mask: np.ndarray, *, connectivity: str, border: str) -> tuple[int, ...]:
    """Betti numbers as the classes alive at level 0.5 of the mask, by the boundary matrix."""
    barcode = critical_voxels(mask.astype(float), filtration="superlevel", connectivity=connectivity, border=border)
    counts = [sum(dim == k for dim, _, _ in barcode.pairs) for k in range(mask.ndim)]
    counts[0] += border == "open" and bool(mask.any())
    return tuple(counts)


def betti_of(masks: torch.Tensor, **setting: str) -> list[tuple[int, ...]]:
    """Betti numbers of each mask of a batch as tuples, the form of the result checked on the way."""
    betti = betti_numbers(masks, **setting)
    assert betti.dtype == torch.int64
    assert betti.shape == (len(masks), masks.ndim - 1)
    return [tuple(row) for row in betti.tolist()]


def every_mask(shape: tuple[int, ...]) -> np.ndarray:
    """All masks of a shape, as a batch."""
    return np.array(list(itertools.product([False, True], repeat=int(np.prod(shape))))).reshape(-1, *shape)


# Independent algorithms --------------------------------------------------------------------------------------------


@pytest.mark.slow
@every_mask_setting
@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (2, 2, 2), (1, 2, 4)], ids=str)
def test_labeling_agrees_with_the_boundary_matrix(shape, setting):
    masks = [*every_mask(shape), *(random_mask(larger, 0.5) for larger in all_shapes((3, 3, 4)))]
    for mask in masks:
        assert betti_by_labeling(mask, **setting) == betti_by_boundary_matrix(mask, **setting), repr(mask)


@every_mask_setting
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 3), (3, 3), (1, 1, 1), pytest.param((2, 2, 3), marks=pytest.mark.slow), (1, 3, 3)], ids=str
)
def test_betti_numbers_of_every_small_mask_equal_the_labeling(shape, setting):
    masks = every_mask(shape)
    assert betti_of(torch.from_numpy(masks), **setting) == [betti_by_labeling(mask, **setting) for mask in masks]


@every_mask_setting
@pytest.mark.parametrize(
    "shape",
    [(33, 47), (1, 40), (29, 1), (5, 129), (11, 13, 17), (24, 31, 20), (1, 12, 9), (7, 1, 30), (8, 9, 1), (4, 3, 66)],
    ids=str,
)
def test_betti_numbers_of_random_masks_equal_the_labeling(shape, setting):
    masks = np.stack([random_mask(shape, density) for density in (0.03, 0.1, 0.3, 0.45, 0.55, 0.7, 0.9, 0.97)])
    assert betti_of(torch.from_numpy(masks), **setting) == [betti_by_labeling(mask, **setting) for mask in masks]


@every_mask_setting
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_width_around_a_machine_word_is_counted(ndim, setting):
    for width in (7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129):
        shape = (3, 4, width)[-ndim:]
        mask = random_mask(shape, 0.6)
        assert betti_of(torch.from_numpy(mask)[None], **setting) == [betti_by_labeling(mask, **setting)], width


@every_mask_setting
@pytest.mark.parametrize("shape", [(21, 34), (9, 12, 10)], ids=str)
def test_betti_numbers_count_the_pairs_alive_between_the_two_levels(shape, setting):
    masks = torch.from_numpy(np.stack([random_mask(shape, density) for density in (0.0, 0.2, 0.5, 0.8, 1.0)]))
    pairs = persistence_pairs(masks.float(), filtration="superlevel", **setting)
    counts = torch.zeros(len(masks), len(shape), dtype=torch.int64)
    counts.index_put_((pairs.image, pairs.dim), torch.tensor(1), accumulate=True)
    if setting["border"] == "open":
        counts[:, 0] += masks.flatten(1).any(1)
    assert counts.tolist() == betti_numbers(masks, **setting).tolist()


# Masks drawn by hand -----------------------------------------------------------------------------------------------


def drawing(*rows: str) -> np.ndarray:
    """Mask of a drawing with # for the foreground."""
    return np.array([[c == "#" for c in row] for row in rows])


def solid_torus() -> np.ndarray:
    """A ring of voxels around a hole, lying in the middle of a volume of 5 x 7 x 6."""
    mask = np.zeros((5, 7, 6), dtype=bool)
    mask[2, 1:6, 1:5] = True
    mask[2, 3, 2:4] = False
    return mask


def hollow_box() -> np.ndarray:
    """A closed box around a void, lying in the middle of a volume of 5 x 6 x 7."""
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[1:4, 1:5, 1:6] = True
    mask[2, 2:4, 2:5] = False
    return mask


def tube_through() -> np.ndarray:
    """A straight vessel that crosses a volume of 4 x 5 x 7 from face to face."""
    mask = np.zeros((4, 5, 7), dtype=bool)
    mask[1:3, 2, :] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "connectivity", "border", "expected"),
    [
        # One ring, one speck that touches the ring by a corner only.
        (drawing("......#", ".#####.", ".#...#.", ".#####."), "full", "open", (1, 1)),
        (drawing("......#", ".#####.", ".#...#.", ".#####."), "face", "open", (2, 1)),
        # A diagonal wall is tight with full connectivity, and full of gaps with face connectivity.
        (drawing("..#..", ".#.#.", "#...#", ".#.#.", "..#.."), "full", "open", (1, 1)),
        (drawing("..#..", ".#.#.", "#...#", ".#.#.", "..#.."), "face", "open", (8, 0)),
        # A membrane that crosses the patch closes at its border: it parts the cells left and right of it.
        (drawing("..#...", "..#...", "..##..", "...#.."), "full", "foreground", (0, 1)),
        (drawing("..#...", "..#...", "..##..", "...#.."), "full", "open", (1, 0)),
        # A stump is no feature of its own, a speck inside is one.
        (drawing("..#....", "..#..#.", "......."), "full", "foreground", (1, 0)),
        (drawing("..#....", "..#..#.", "......."), "full", "open", (2, 0)),
        # Two membranes that cross make four cells.
        (drawing("..#..", "..#..", "#####", "..#.."), "face", "foreground", (0, 3)),
        (solid_torus(), "full", "open", (1, 1, 0)),
        (solid_torus(), "face", "foreground", (1, 1, 0)),
        (hollow_box(), "full", "open", (1, 0, 1)),
        (hollow_box(), "face", "foreground", (1, 0, 1)),
        # A vessel through the patch closes to a loop through the frame. A wall across it parts the volume in two, and
        # makes a loop of each half of the vessel.
        (tube_through(), "full", "open", (1, 0, 0)),
        (tube_through(), "full", "foreground", (0, 1, 0)),
        (tube_through() | np.eye(7, dtype=bool)[3], "full", "foreground", (0, 2, 1)),
    ],
)
def test_betti_numbers_of_masks_drawn_by_hand(mask, connectivity, border, expected):
    assert betti_of(torch.from_numpy(mask)[None], connectivity=connectivity, border=border) == [expected]


@every_mask_setting
@pytest.mark.parametrize("shape", [(1, 1), (6, 9), (1, 1, 1), (4, 1, 7), (5, 6, 7)], ids=str)
def test_empty_and_full_masks(shape, setting):
    nothing = (0,) * len(shape)
    one_piece = (1, *nothing[1:]) if setting["border"] == "open" else nothing
    masks = torch.stack([torch.zeros(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.bool)])
    assert betti_of(masks, **setting) == [nothing, one_piece]


# Inputs ------------------------------------------------------------------------------------------------------------


@every_mask_setting
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_masks_of_zeros_and_ones_count_as_bool_does(dtype, setting):
    for shape in [(13, 18), (5, 6, 9)]:
        masks = torch.from_numpy(np.stack([random_mask(shape, density) for density in (0.3, 0.6)]))
        assert betti_of(masks.to(dtype), **setting) == betti_of(masks, **setting)


@every_mask_setting
def test_strides_do_not_matter(setting):
    wide = torch.from_numpy(random_mask((2, 20, 33), 0.5))
    deep = torch.from_numpy(random_mask((2, 8, 11, 10), 0.5))
    views = [
        wide.transpose(1, 2),
        wide[:, 3:19:2, 1::3],
        wide[0].expand(3, 20, 33),
        wide[:, :, :1].expand(2, 20, 9),
        deep.permute(0, 3, 1, 2),
        deep[:, 1::2, ::3, 2:9],
        deep[..., 1],
    ]
    for view in views:
        expected = [betti_by_labeling(np.ascontiguousarray(mask), **setting) for mask in view.numpy()]
        assert betti_of(view, **setting) == expected
        assert betti_of(view.float(), **setting) == expected


def test_empty_batch_has_no_rows():
    assert betti_of(torch.zeros(0, 4, 7, dtype=torch.bool)) == []
    assert betti_of(torch.zeros(0, 3, 4, 7, dtype=torch.bool)) == []


@pytest.mark.parametrize("bad", [0.5, -1.0, 2.0, math.nan, math.inf])
def test_values_other_than_zero_and_one_are_refused(bad):
    masks = torch.zeros(2, 4, 7)
    masks[1, 3, 6] = bad
    with pytest.raises(ValueError, match=r"0.*1"):
        betti_numbers(masks)


def test_label_of_255_is_refused():
    with pytest.raises(ValueError, match=r"0.*1"):
        betti_numbers(torch.full((1, 4, 7), 255, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 4, 5, 6), (2, 0, 5), (1, 3, 4, 0)], ids=str)
def test_shapes_that_are_no_batch_of_masks_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        betti_numbers(torch.zeros(shape, dtype=torch.bool))


@pytest.mark.parametrize(
    ("argument", "value"), [("connectivity", 18), ("connectivity", "edge"), ("border", "closed"), ("border", None)]
)
def test_options_outside_their_choices_are_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        betti_numbers(torch.zeros(1, 3, 4, 5, dtype=torch.bool), **{argument: value})
