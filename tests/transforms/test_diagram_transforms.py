"""Diagrams as arrays against labeled masks, GUDHI and drawings; simplification against the diagram that must remain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles.betti_by_labeling import betti_by_labeling

from monai_topo import persistence_pairs
from monai_topo.transforms import (
    BettiCurve,
    PersistenceDiagram,
    PersistenceImage,
    PersistenceLandscape,
    PersistenceSimplify,
)

SHAPES = st.sampled_from([(5, 8), (4, 3, 5)])
IMAGES = SHAPES.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 8))).map(lambda x: x / 8)
CONNECTIVITY = st.sampled_from(["full", "face"])
BORDER = st.sampled_from(["open", "foreground"])
FILTRATION = st.sampled_from(["superlevel", "sublevel"])


@given(image=IMAGES, connectivity=CONNECTIVITY, border=BORDER, filtration=FILTRATION)
def test_a_betti_curve_counts_the_mask_of_every_threshold(image, connectivity, border, filtration):
    curve = BettiCurve(
        num_samples=7, value_range=(-1 / 16, 15 / 16), connectivity=connectivity, border=border, filtration=filtration
    )(image[None])
    assert curve.shape == (1, image.ndim, 7)
    for index, threshold in enumerate(np.linspace(-1 / 16, 15 / 16, 7)):
        mask = image >= threshold if filtration == "superlevel" else image <= threshold
        expected = betti_by_labeling(mask, connectivity=connectivity, border=border)
        assert curve[0, :, index].tolist() == list(expected)


def test_a_betti_curve_counts_a_value_at_the_threshold_itself():
    peaks = np.array([[[0.25, 0.0, 0.5]]])
    assert BettiCurve(num_samples=5)(peaks)[0, 0].tolist() == [1, 2, 1, 0, 0]
    assert BettiCurve(num_samples=5, filtration="sublevel")(peaks)[0, 0].tolist() == [1, 1, 1, 1, 1]


@given(image=IMAGES, connectivity=CONNECTIVITY, filtration=FILTRATION, num_pairs=st.sampled_from([1, 4, 60]))
def test_a_diagram_holds_the_most_persistent_pairs_and_the_diagonal_for_the_rest(
    image, connectivity, filtration, num_pairs
):
    two = np.stack([image, image[::-1] * 0.5])
    made = PersistenceDiagram(num_pairs=num_pairs, connectivity=connectivity, filtration=filtration)(two)
    assert made.shape == (2, image.ndim, num_pairs, 2)
    for channel, values in enumerate(two):
        batch = torch.from_numpy(values.copy())[None]
        pairs = persistence_pairs(batch, connectivity=connectivity, filtration=filtration)
        for dim in range(image.ndim):
            expected = pairs.values(batch)[pairs.dim == dim].tolist()
            ends = sorted([values.min(), values.max()], reverse=filtration == "superlevel")
            expected += [ends] if dim == 0 and ends[0] != ends[1] else []
            found = [pair for pair in made[channel, dim].tolist() if pair[0] != pair[1]]
            assert len(found) == min(num_pairs, len(expected))
            lives = sorted((abs(b - d) for b, d in expected), reverse=True)[:num_pairs]
            assert np.allclose([abs(b - d) for b, d in found], lives)
            if len(expected) <= num_pairs:
                assert np.allclose(sorted(found), sorted(expected))


def test_dims_choose_and_order_the_diagrams():
    image = np.random.default_rng(1).random((1, 6, 9))
    both = PersistenceDiagram(num_pairs=5)(image)
    assert torch.equal(PersistenceDiagram(num_pairs=5, dims=[1, 0])(image), both.flip(1))


def drawn(points, num_pairs=9):
    """One row of voxels whose superlevel components are these births and deaths, the first one endless."""
    row = [points[0][0]]
    for birth, death in points[1:]:
        row += [death, birth]
    return np.array([[row]]), np.array(points)


def test_a_persistence_image_is_a_sum_of_weighted_gaussians():
    image, points = drawn([(0.9, 0.2), (0.7, 0.2), (0.6, 0.5)])
    made = PersistenceImage(num_rows=5, num_columns=9, sigma=0.1, power=2, value_range=(0.1, 0.9), dims=[0])(image)
    expected = np.zeros((5, 9))
    for i, persistence in enumerate(np.linspace(0, 0.8, 5)):
        for j, birth in enumerate(np.linspace(0.1, 0.9, 9)):
            for b, d in points:
                bell = np.exp(-((birth - b) ** 2 + (persistence - (b - d)) ** 2) / (2 * 0.1**2)) / (2 * np.pi * 0.1**2)
                expected[i, j] += (b - d) ** 2 * bell
    assert np.allclose(made[0, 0], expected, atol=1e-5)


def test_landscapes_are_the_sorted_tents():
    image, _ = drawn([(0.9, 0.2), (0.7, 0.2), (0.6, 0.5)])
    made = PersistenceLandscape(num_landscapes=3, num_samples=11, dims=[0])(image)[0, 0]
    assert np.allclose(made[0], [0, 0, 0, 0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0, 0], atol=1e-6)
    assert np.allclose(made[1], [0, 0, 0, 0.1, 0.2, 0.2, 0.1, 0, 0, 0, 0], atol=1e-6)
    assert np.allclose(made[2], 0, atol=1e-6)


@pytest.mark.slow
def test_images_and_landscapes_are_those_of_gudhi():
    pytest.importorskip("sklearn")
    from gudhi import representations

    points = np.sort(np.random.default_rng(4).random((40, 2)), axis=1)
    theirs = representations.Landscape(num_landscapes=3, resolution=50, sample_range=[0, 1], keep_endpoints=True)
    ours = PersistenceLandscape(num_landscapes=3, num_samples=50).vector(points)
    assert np.allclose(np.sqrt(2) * ours, theirs.fit_transform([points])[0].reshape(3, 50))
    theirs = representations.PersistenceImage(0.1, weight=lambda p: p[1], resolution=[8, 6], im_range=[0, 1, 0, 1])
    ours = PersistenceImage(num_rows=6, num_columns=8, sigma=0.1).vector(points)
    assert np.allclose(ours, theirs.fit_transform([points])[0].reshape(6, 8))


@given(image=IMAGES, connectivity=CONNECTIVITY, border=BORDER, limit=st.sampled_from([0.0, 0.125, 0.5]))
def test_what_is_left_of_components_is_the_original_diagram_without_the_removed(image, connectivity, border, limit):
    settings = {"connectivity": connectivity, "border": border}
    for dim in (0, image.ndim - 1):
        result = PersistenceSimplify(min_persistence=limit, dims=[dim], **settings)(image[None])
        before, after = (diagram(x, dim, settings) for x in (image, result[0].numpy()))
        assert np.allclose(after, [pair for pair in before if pair[0] - pair[1] > limit])
        assert np.abs(result[0].numpy() - image).max() <= limit


def diagram(image, dim, settings):
    batch = torch.from_numpy(np.ascontiguousarray(image))[None]
    return sorted(persistence_pairs(batch, dims=[dim], **settings).values(batch).tolist())


@given(
    image=IMAGES, connectivity=CONNECTIVITY, filtration=FILTRATION, border=BORDER, limit=st.sampled_from([0.125, 0.4])
)
def test_simplifying_twice_changes_nothing_and_no_feature_below_the_limit_is_left(
    image, connectivity, filtration, border, limit
):
    settings = {"connectivity": connectivity, "filtration": filtration, "border": border}
    simplify = PersistenceSimplify(min_persistence=limit, **settings)
    once = simplify(image[None])
    assert torch.equal(simplify(once), once)
    for dim in (0, image.ndim - 1):
        assert all(abs(birth - death) > limit for birth, death in diagram(once[0].numpy(), dim, settings))


@given(image=IMAGES, border=BORDER, components=st.integers(0, 4), holes=st.integers(0, 3), threshold=st.integers(1, 8))
def test_no_mask_has_more_components_and_holes_than_are_kept(image, border, components, holes, threshold):
    simplify = PersistenceSimplify(num_components=components, num_holes=holes, border=border)
    once = simplify(image[None])
    assert torch.equal(simplify(once), once)
    counted = betti_by_labeling(once[0].numpy() >= threshold / 8, connectivity="full", border=border)
    # The essential component stays; that of the frame does not count.
    assert counted[0] <= (max(components, 1) if border == "open" else components)
    assert counted[-1] <= holes


def test_components_that_a_filled_hole_has_weakened_are_removed_too():
    """An island in a moat in a ring: with the moat filled, the island is no longer persistent."""
    image = torch.full((1, 7, 9), 1.0)
    image[:, 3, :2] = 0.7  # where the ring is lowest
    image[:, 2:6, 2:7] = 0.3
    image[:, 3:5, 4] = 0.95
    simplified = torch.as_tensor(PersistenceSimplify(min_persistence=0.5)(image))
    expected = image.clone()
    expected[:, 2:6, 2:7] = 0.7
    assert torch.equal(simplified, expected)


def test_the_known_number_of_components_is_kept_most_persistent_first():
    peaks = np.array([[[0.9, 0.2, 0.4, 0.1, 0.8, 0.3, 0.6]]])
    two = PersistenceSimplify(num_components=2)(peaks)
    assert two.tolist() == [[[0.9, 0.2, 0.2, 0.1, 0.8, 0.3, 0.3]]]


def test_loops_in_3d_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="loops in 3D cannot be removed exactly"):
        PersistenceSimplify(min_persistence=0.1, dims=[1])(np.zeros((1, 4, 5, 6)))
    with pytest.raises(ValueError, match="Expected `dims` to hold 0 or 1 for a 2D image"):
        PersistenceSimplify(min_persistence=0.1, dims=[2])(np.zeros((1, 4, 5)))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PersistenceDiagram(num_pairs=0), "Expected `num_pairs` to be a positive whole number"),
        (lambda: BettiCurve(value_range=(1, 0)), "Expected `value_range` to be two finite numbers, the lesser first"),
        (lambda: PersistenceImage(sigma=0), "Expected `sigma` to be finite and greater than 0"),
        (lambda: PersistenceLandscape(filtration="up"), "Expected `filtration` to be one of 'superlevel', 'sublevel'"),
        (lambda: PersistenceSimplify(min_persistence=-1), "Expected `min_persistence` to be finite and at least 0"),
        (lambda: PersistenceDiagram()(np.full((1, 3, 4), np.nan)), "Expected `images` to be finite"),
        (lambda: PersistenceDiagram(dims=[2])(np.zeros((1, 3, 4))), "Expected `dims` to hold dimensions from 0 to 1"),
    ],
)
def test_impossible_settings_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
