"""Betti matching against boundary matrices that are reduced in two orders."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.induced_matching import match_by_matrices
from scipy import ndimage

from monai_topo.persistence.induced_matching import betti_matching


def match(prediction, label, **settings):
    return betti_matching(prediction[None], label[None], **settings)


def as_list(pairs):
    return list(zip(pairs.dim.tolist(), pairs.birth.tolist(), pairs.death.tolist(), strict=True))


@st.composite
def images_without_ties(draw):
    shape = draw(st.sampled_from([(3, 5), (1, 6), (4, 4), (2, 3, 4), (3, 2, 3), (1, 3, 4)]))
    count = int(np.prod(shape))
    order = np.array(draw(st.permutations(range(2 * count)))) / (2.0 * count)
    return order[:count].reshape(shape), order[count:].reshape(shape)


@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(images=images_without_ties())
def test_matches_are_those_of_boundary_matrices(images, connectivity):
    expected = match_by_matrices(*images, connectivity=connectivity)
    matching = match(*map(torch.tensor, images), connectivity=connectivity)
    prediction, label = as_list(matching.prediction), as_list(matching.label)
    if expected.is_unique:
        assert set(prediction) == expected.first
        assert set(label) == expected.second
        assert {(prediction[i], label[j]) for i, j in matching.matched.tolist()} == expected.matched


@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(4, 5, 6), (6, 5, 7), (5, 6, 9)]),
    low_and_width=st.sampled_from([(0.0, 1.0), (-0.5, 2.0), (0.5, 1.0), (-0.5, 1.0)]),
)
def test_matches_of_a_volume_with_a_binary_label_are_those_of_boundary_matrices(
    seed, shape, low_and_width, connectivity
):
    rng = np.random.default_rng(seed)
    noise, other = (ndimage.gaussian_filter(rng.standard_normal(shape), rng.choice([0.4, 0.6])) for _ in range(2))
    low, width = low_and_width  # the values of the label lie outside or inside
    prediction = low + width * (noise.argsort(None).argsort() + 1.0).reshape(shape) / (noise.size + 2)
    label = (noise / noise.std() + other / other.std() > rng.choice([-0.5, 0, 0.5])).astype(float)
    matching = match(torch.tensor(prediction), torch.tensor(label), connectivity=connectivity)
    # Among equal values the label has the order of the prediction: a little of it added says so without ties. Where the
    # union has ties, merges of components, or cavities, at one level are taken together.
    dims = (0, 1, 2) if low_and_width == (0.0, 1.0) else (1,)
    assert_matches_of_boundary_matrices(
        matching, prediction, label + prediction / 10000, connectivity, dims, min_persistence=0.001
    )


@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(4, 5, 6), (6, 5, 7), (5, 6, 9)]),
    sign=st.sampled_from([-1, 1]),
)
def test_so_are_those_of_two_likelihoods_of_which_one_is_the_greater_everywhere(seed, shape, sign, connectivity):
    # It is their union.
    noise = np.random.default_rng(seed).standard_normal((2, *shape))
    prediction, other = (ndimage.gaussian_filter(image, 0.5) for image in noise)
    label = prediction + sign * (other - other.min() + 0.01)
    matching = match(torch.tensor(prediction), torch.tensor(label), connectivity=connectivity)
    assert_matches_of_boundary_matrices(matching, prediction, label, connectivity)


def assert_matches_of_boundary_matrices(matching, prediction, label, connectivity, dims=(0, 1, 2), min_persistence=0.0):
    expected = match_by_matrices(prediction, label, connectivity=connectivity, min_persistence=min_persistence)
    found = as_list(matching.prediction), as_list(matching.label)
    assert tuple(map(set, found)) == (expected.first, expected.second)
    with_all = match_by_matrices(prediction, label, connectivity=connectivity)
    clear = clear_pairs(with_all.first), clear_pairs(with_all.second)

    def clear_matches(matches):
        return {(a, b) for a, b in matches if a in clear[0] and b in clear[1] and a[0] in dims}

    matched = [(found[0][i], found[1][j]) for i, j in matching.matched.tolist()]
    assert clear_matches(matched) == clear_matches(expected.matched)


def clear_pairs(pairs):
    """Those whose birth voxel, and whose death voxel, no other pair of their dimension has: which is which is clear."""
    ends = Counter((pair[0], end, pair[end]) for pair in pairs for end in (1, 2))
    return {pair for pair in pairs if all(ends[pair[0], end, pair[end]] == 1 for end in (1, 2))}


@given(images=images_without_ties())
def test_matching_is_symmetric_and_perfect_with_itself(images):
    a, b = map(torch.tensor, images)
    there, back = match(a, b), match(b, a)
    if match_by_matrices(*images, connectivity="full").is_unique:
        assert there.matched.tolist() == sorted(back.matched.flip(1).tolist())
    same = match(a, a)
    assert torch.equal(same.matched[:, 0], same.matched[:, 1])
    assert len(same.matched) == len(same.prediction)
