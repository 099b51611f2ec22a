"""Regions of components and holes against flooding with scipy, and images simplified by them against GUDHI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import FILTRATIONS, IMAGE_KINDS, SETTINGS, assert_same_pairs, every_setting, random_shapes
from oracles.gudhi_diagrams import gudhi_diagram
from scipy.ndimage import generate_binary_structure, label

from monai_topo import persistence_pairs
from monai_topo.persistence.merge_trees import merge_tree, outermost_marked_ancestor, simplify

every_shape = pytest.mark.parametrize("shape", [(9, 13), (5, 4, 6), (1, 17), (4, 1, 7)], ids=str)
holes = pytest.mark.parametrize("of_holes", [False, True], ids=["components", "holes"])
tied_images = hnp.arrays(
    np.float32,
    random_shapes(7, 4),
    elements=st.integers(-3, 3).map(float),
)


def drawn(kind, shape, seed=0):
    return torch.from_numpy(IMAGE_KINDS[kind](np.random.default_rng([seed, *shape, *kind.encode()]), shape))[None]


def flooding(image, setting, of_holes):
    """Values that grow down, the structure of neighbors, and whether there is a frame, of the side that floods."""
    is_descending = (setting["filtration"] == "superlevel") != of_holes
    full = (setting["connectivity"] == "full") != of_holes
    structure = generate_binary_structure(image.ndim, image.ndim if full else 1)
    return (image if is_descending else -image), structure, (setting["border"] == "foreground") != of_holes


def component_of(mask, voxel, structure, framed):
    """Flat indices of the component of one voxel, and whether it holds the frame."""
    padded = np.pad(mask, 1, constant_values=framed)
    labels, _ = label(padded, structure)
    inner = labels[tuple(slice(1, -1) for _ in mask.shape)]
    number = inner.ravel()[voxel]
    return set(np.flatnonzero(inner.ravel() == number).tolist()), bool(framed and labels.ravel()[0] == number)


def family(tree, pair):
    """The pair and its descendants."""
    members = {pair}
    for _ in range(len(tree)):
        members |= {child for child in range(len(tree)) if tree.parent[child].item() in members}
    return members


@holes
@every_setting
@every_shape
def test_pairs_are_the_persistence_pairs(shape, setting, of_holes):
    images = torch.cat([drawn(kind, shape) for kind in IMAGE_KINDS])
    dim = len(shape) - 1 if of_holes else 0
    tree = merge_tree(images, dim=dim, num_threads=2, **setting)
    assert_same_pairs(tree.pairs, persistence_pairs(images, dims=[dim], **setting))
    assert tree.dim == dim


@given(image=tied_images, setting=st.sampled_from(SETTINGS), of_holes=st.booleans())
def test_a_family_beyond_its_saddle_is_the_component_of_its_extremum(image, setting, of_holes):
    tree = merge_tree(torch.from_numpy(image)[None], dim=image.ndim - 1 if of_holes else 0, **setting)
    height, structure, framed = flooding(image, setting, of_holes)
    region = tree.region.numpy().ravel()
    for pair in range(len(tree)):
        extremum, saddle = tree.extremum[pair].item(), tree.saddle[pair].item()
        expected, holds_frame = component_of(height > height.ravel()[saddle], extremum, structure, framed)
        assert not holds_frame
        inside = np.isin(region, list(family(tree, pair))) & (height > height.ravel()[saddle]).ravel()
        assert set(np.flatnonzero(inside).tolist()) == expected


@given(image=tied_images, setting=st.sampled_from(SETTINGS), of_holes=st.booleans())
def test_a_parent_outlives_its_child(image, setting, of_holes):
    tree = merge_tree(torch.from_numpy(image)[None], dim=image.ndim - 1 if of_holes else 0, **setting)
    height = flooding(image, setting, of_holes)[0].ravel()
    for pair, parent in enumerate(tree.parent.tolist()):
        if parent < len(tree):
            assert height[tree.extremum[parent]] >= height[tree.extremum[pair]]
            assert height[tree.saddle[parent]] < height[tree.saddle[pair]]  # less, also on a plateau


@holes
@every_setting
@every_shape
def test_a_voxel_joins_the_oldest_region_around_it(shape, setting, of_holes):
    image = drawn("distinct", shape).numpy()[0]
    tree = merge_tree(torch.from_numpy(image)[None], dim=len(shape) - 1 if of_holes else 0, **setting)
    height, structure, framed = flooding(image, setting, of_holes)
    extremum = [*tree.extremum.tolist(), None]
    for voxel, pair in enumerate(tree.region.flatten().tolist()):
        members, holds_frame = component_of(height >= height.ravel()[voxel], voxel, structure, framed)
        oldest = max(members, key=lambda member: height.ravel()[member])
        never_ends = holds_frame or (not framed and height.ravel()[oldest] == height.max())
        assert extremum[pair] == (None if never_ends else oldest)


def test_what_never_ends_is_one_past_the_last_pair_of_the_whole_batch():
    images = torch.tensor([[[3.0, 0, 2]], [[1, 1, 1]], [[1, 0, 2]]])
    tree = merge_tree(images)
    assert tree.region.tolist() == [[[2, 2, 0]], [[2, 2, 2]], [[1, 2, 2]]]
    assert tree.parent.tolist() == [2, 2]
    with pytest.raises(IndexError):
        tree.pairs.birth[tree.parent]


def test_peaks_that_meet_on_one_plateau_are_siblings():
    # 3 joins 4 at one zero and 4 joins 5 at another: at that value both are gone, and neither was part of the other.
    tree = merge_tree(torch.tensor([[[3.0, 0, 4, 0, 5]]]))
    assert tree.parent.tolist() == [2, 2]


@pytest.mark.parametrize("shape", [(0, 3, 4), (0, 3, 4, 2), (2, 1, 1)], ids=str)
def test_no_image_and_no_pair(shape):
    images = torch.zeros(shape)
    tree = merge_tree(images, dim=len(shape) - 2)
    assert len(tree) == 0
    assert torch.equal(tree.region, torch.zeros(shape, dtype=torch.int64))
    assert torch.equal(simplify(images, tree, torch.zeros(0, dtype=torch.bool)), images)


@holes
@every_setting
@pytest.mark.parametrize("shape", [(19, 26), (7, 10, 8)], ids=str)
def test_simplified_image_has_the_other_pairs(shape, setting, of_holes):
    images = torch.cat([drawn(kind, shape) for kind in ("distinct", "tied", "saturated")])
    dim = len(shape) - 1 if of_holes else 0
    tree = merge_tree(images, dim=dim, **setting)
    marked = torch.rand(len(tree), generator=torch.Generator().manual_seed(1)) < 0.4
    removed = outermost_marked_ancestor(tree, marked)[:-1] < len(tree)
    assert 0 < marked.sum() <= removed.sum() < len(tree)
    before = images.clone()
    simplified = simplify(images, tree, marked)
    values = tree.pairs.values(images)
    for index, image in enumerate(simplified):
        left = values[~removed & (tree.pairs.image == index)].tolist()
        diagram = gudhi_diagram(image.numpy(), **setting)
        assert sorted(tuple(point[1:]) for point in diagram if point[0] == dim) == sorted(map(tuple, left))
    assert torch.equal(images, before)


def test_a_peak_goes_with_its_parts_but_its_parts_may_go_alone():
    image = torch.tensor([[[5.0, 1, 4, 2, 3]]])
    tree = merge_tree(image)
    assert tree.pairs.values(image).tolist() == [[4, 1], [3, 2]]
    assert simplify(image, tree, torch.tensor([True, False])).tolist() == [[[5, 1, 1, 1, 1]]]
    assert simplify(image, tree, torch.tensor([False, True])).tolist() == [[[5, 1, 4, 2, 2]]]


@holes
@pytest.mark.parametrize("filtration", FILTRATIONS)
def test_level_sets_lose_the_removed_components_and_nothing_else(filtration, of_holes):
    setting = {"filtration": filtration, "connectivity": "face", "border": "open"}
    images = drawn("tied", (9, 13), seed=4)
    tree = merge_tree(images, dim=int(of_holes), **setting)
    removed = torch.arange(len(tree)) % 3 == 0
    simplified = simplify(images, tree, removed)[0].numpy()
    height, structure, framed = flooding(images[0].numpy(), setting, of_holes)
    for threshold in np.unique(height):
        expected = height >= threshold
        for saddle, extremum in zip(tree.saddle[removed].tolist(), tree.extremum[removed].tolist(), strict=True):
            low = height.ravel()[saddle]
            if low < threshold:
                peak, _ = component_of(height > low, extremum, structure, framed)
                expected.ravel()[list(peak)] = False
        assert np.array_equal((simplified if tree.is_descending else -simplified) >= threshold, expected)


def test_gradient_of_what_is_leveled_goes_to_its_saddle():
    images = torch.tensor([[[0.9, 0.5, 0.2, 0.4, 0.7]]], requires_grad=True)
    tree = merge_tree(images)
    simplify(images, tree, torch.tensor([True]))[..., 4].sum().backward()
    assert images.grad.tolist() == [[[0, 0, 1, 0, 0]]]


def test_wrong_arguments_are_named():
    images = torch.rand(2, 3, 4, 5)
    with pytest.raises(ValueError, match="`dim` to be 0 or 2"):
        merge_tree(images, dim=1)
    with pytest.raises(TypeError, match="`images` to be a floating-point"):
        merge_tree(images.long())
    tree = merge_tree(images)
    with pytest.raises(ValueError, match="`removed` to be a bool mask"):
        simplify(images, tree, torch.zeros(len(tree)))
    with pytest.raises(ValueError, match="`images` of shape"):
        simplify(images.transpose(2, 3), tree, torch.zeros(len(tree), dtype=torch.bool))
