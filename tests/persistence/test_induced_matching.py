"""Betti matching against published values, hand-drawn cases, and what must hold for all images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_same_pairs
from scipy import ndimage

from monai_topo import persistence_pairs
from monai_topo.persistence.induced_matching import betti_matching


def draw(*rows):
    return torch.tensor([[float(character == "#") for character in row] for row in rows])


def match(prediction, label, **settings):
    return betti_matching(prediction[None], label[None], **settings)


def counts(matching, dim):
    """Numbers of matched, spurious and missing features."""
    matched = int((matching.prediction.dim[matching.matched[:, 0]] == dim).sum())
    spurious = int((matching.unmatched_prediction() & (matching.prediction.dim == dim)).sum())
    missing = int((matching.unmatched_label() & (matching.label.dim == dim)).sum())
    return matched, spurious, missing


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("filtration", ["superlevel", "sublevel"])
@pytest.mark.parametrize("most", [1, 2], ids=["binary", "three levels"])
@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 3, 4, 5), (1, 20, 24, 28), (1, 1, 1), (2, 1, 4, 1)])
def test_pairs_have_the_values_of_persistence(shape, most, filtration, connectivity, border):
    settings = {"filtration": filtration, "connectivity": connectivity, "border": border}
    generator = torch.Generator().manual_seed(sum(shape))
    prediction = torch.randint(0, 5, shape, generator=generator) / 4.0
    label = torch.randint(0, most + 1, shape, generator=generator).float() / most
    assert_values_of_persistence(prediction, label, settings)


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("plateau", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(3, 17, 61), (3, 11, 9, 40)])
def test_so_they_have_on_a_plateau_that_both_images_share(shape, plateau, connectivity, border):
    # Long rows, most of them inside of the plateau: the kernel compares nothing there.
    rng = np.random.default_rng(sum(shape))
    prediction, label = np.full((2, *shape), plateau)
    for image in range(shape[0]):
        for _ in range(5):
            corner = [rng.integers(0, length) for length in shape[1:]]
            box = (image, *(slice(start, start + rng.integers(1, 6)) for start in corner))
            prediction[box] = rng.integers(0, 5, prediction[box].shape) / 4.0
            label[box] = rng.integers(0, 2, label[box].shape)
    settings = {"connectivity": connectivity, "border": border}
    assert_values_of_persistence(torch.from_numpy(prediction), torch.from_numpy(label), settings)


def assert_values_of_persistence(prediction, label, settings):
    matching = betti_matching(prediction, label, **settings)
    for images, pairs in ((prediction, matching.prediction), (label, matching.label)):
        expected = persistence_pairs(images, **settings)

        def table(pairs, images=images):
            rows = torch.cat((pairs.image[:, None], pairs.dim[:, None], pairs.values(images)), dim=1)
            return sorted(map(tuple, rows.tolist()))

        assert table(pairs) == table(expected)
        assert torch.equal(pairs.essential, expected.essential)
    a, b = matching.matched.T
    assert torch.equal(matching.prediction.dim[a], matching.label.dim[b])
    assert torch.equal(matching.prediction.image[a], matching.label.image[b])
    assert len(a.unique()) == len(a)
    assert len(b.unique()) == len(b)


def test_published_values(shared_data):
    image = ndimage_read(shared_data / "oracles/betti_matching/road_label_0111.png")
    label = (255.0 - image) / 255.0
    distance = ndimage.distance_transform_edt(label) - ndimage.distance_transform_edt(1 - label)
    prediction, label = torch.tensor(distance)[None], torch.tensor(label)[None]
    matching = betti_matching(prediction, label, filtration="sublevel", connectivity="face")
    assert [counts(matching, dim) for dim in (0, 1)] == [(11, 68, 0), (22, 278, 0)]
    (error,) = matching.error(prediction, label)
    assert error[0].item() == pytest.approx(4671.771378419393, rel=1e-12)
    assert error.sum().item() == pytest.approx(11641.438633126394, rel=1e-12)


def ndimage_read(path):
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image, dtype=np.float64)


def test_components_are_matched_where_they_lie():
    # One component in common (in addition to the essential one), one here and one there.
    prediction = draw("#..#....#", "#..#....#")
    label = draw("#..#..#..", "#..#..#..")
    assert counts(match(prediction, label), 0) == (1, 1, 1)
    # Neighbors that touch make one component of the union; a bridge of the union joins three to two.
    assert counts(match(draw("##.....##"), draw("##...##..")), 0) == (1, 0, 0)
    assert counts(match(draw("##.#.#.##"), draw("##.###...")), 0) == (1, 2, 0)


def test_loops_are_matched_where_they_lie():
    ring_left = draw("###......", "#.#......", "###......")
    ring_right = draw("......###", "......#.#", "......###")
    assert counts(match(ring_left, ring_right), 1) == (0, 1, 1)
    assert counts(match(ring_left, ring_left), 1) == (1, 0, 0)
    wide = draw("####.....", "#..#.....", "####.....")
    assert counts(match(ring_left, wide), 1) == (1, 0, 0)
    assert counts(match(ring_left + ring_right, ring_right), 1) == (1, 1, 0)


def test_loops_and_cavities_of_volumes_are_matched_where_they_lie():
    ring = torch.zeros(5, 6, 9)
    ring[2, 1:4, 1:4] = 1
    ring[2, 2, 2] = 0
    shell = torch.zeros(5, 6, 9)
    shell[1:4, 1:4, 5:8] = 1
    shell[2, 2, 6] = 0
    assert [counts(match(ring + shell, ring), dim) for dim in range(3)] == [(0, 1, 0), (1, 0, 0), (0, 1, 0)]
    assert [counts(match(ring, shell), dim) for dim in range(3)] == [(0, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [counts(match(shell, ring + shell), dim) for dim in range(3)] == [(0, 0, 1), (0, 0, 1), (1, 0, 0)]


@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("height", [0.8, 1.0], ids=["between", "greatest"])
@pytest.mark.parametrize("has_binary_label", [True, False])
@pytest.mark.parametrize("shape", [(7, 16), (7, 9, 16)])
def test_of_voxels_of_equal_value_the_one_with_the_fewest_lower_neighbors_is_the_birth(
    shape, has_binary_label, height, connectivity
):
    image = torch.zeros(shape)
    for end in (5, 10):  # two flat peaks, whose corners have lower indices than their centers
        image[(*(slice(2, 5) for _ in shape[1:]), slice(end - 3, end))] = height
    image[..., 14] = 1.0  # so that other values are between the least and the greatest
    label = image.round() if has_binary_label else image / 2
    pairs = match(image, label, connectivity=connectivity).prediction
    births = {np.unravel_index(voxel, shape) for voxel in pairs.birth[pairs.dim == 0].tolist()}
    births = {birth for birth in births if birth[-1] < 12}
    centers = {(*(3 for _ in shape[1:]), x) for x in (3, 8)}
    assert births <= centers
    assert len(births) == (2 if height < 1 else 1)  # the oldest is in no pair


def test_features_that_never_live_together_are_not_matched():
    # A strong pair of peaks and a weak one at the same place: nothing of one is there while the other lasts.
    strong, weak = torch.tensor([[0.9, 0.8, 0.95]]), torch.tensor([[0.3, 0.2, 0.35]])
    assert counts(match(strong, weak), 0) == (0, 1, 1)
    assert counts(match(strong, strong - 0.05), 0) == (1, 0, 0)


@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([(5, 8), (3, 4, 6)]))
def test_components_of_masks_are_matched_as_labeling_says(seed, shape, connectivity):
    masks = np.random.default_rng(seed).random((2, *shape)) < 0.35
    structure = ndimage.generate_binary_structure(len(shape), len(shape) if connectivity == "full" else 1)
    union, number = ndimage.label(masks.any(0), structure)
    in_both = sum(masks[0][union == i].any() and masks[1][union == i].any() for i in range(1, number + 1))
    matched, spurious, missing = counts(match(*torch.tensor(masks).float(), connectivity=connectivity), 0)
    if masks.all(0).any():  # then both have the essential component, which is in no pair
        assert matched == in_both - 1
    else:
        assert max(in_both - 1, 0) <= matched <= in_both
    for image, left in zip(masks, (spurious, missing), strict=True):
        assert matched + left == max(ndimage.label(image, structure)[1] - 1, 0)


@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("axes", [(1,), (0, 2)])
def test_flips_and_transposes_change_no_matches(axes, connectivity):
    # Columns are reduced in another order, in volumes of more than one brick of 16^3.
    noise = np.random.default_rng(11).standard_normal((2, 20, 24, 35))
    images = torch.from_numpy(np.stack([ndimage.gaussian_filter(image, 1.2) for image in noise + 0.7 * noise[:1]]))

    def matches(prediction, label):
        matching = match(prediction, label, connectivity=connectivity)
        a, b = matching.matched.T
        values = matching.prediction.values(prediction[None])[a], matching.label.values(label[None])[b]
        return sorted(map(tuple, torch.cat((matching.prediction.dim[a, None], *values), dim=1).tolist()))

    expected = matches(*images)
    assert sum(dim == 1 for dim, *_ in expected) > 20
    assert matches(*images.flip(*(axis + 1 for axis in axes))) == expected
    assert matches(*images.transpose(1, 3)) == expected


def test_result_depends_on_neither_threads_nor_batch():
    generator = torch.Generator().manual_seed(3)
    prediction = torch.rand(3, 9, 10, 11, generator=generator).round(decimals=1)
    label = (torch.rand(3, 9, 10, 11, generator=generator) > 0.6).float()
    one, three = (betti_matching(prediction, label, num_threads=n) for n in (1, 3))
    alone = betti_matching(prediction[1:2], label[1:2], num_threads=4)
    assert torch.equal(one.matched, three.matched)
    of_second = one.prediction.image[one.matched[:, 0]] == 1
    assert int(of_second.sum()) == len(alone.matched) > 0
    first = [int((pairs.image < 1).sum()) for pairs in (one.prediction, one.label)]
    assert torch.equal(one.matched[of_second] - torch.tensor(first), alone.matched)


@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("has_plateau", [False, True])
@pytest.mark.parametrize("shape", [(1, 383, 397), (1, 47, 53, 59)], ids=str)  # smaller ones are not worth a thread
def test_threads_inside_an_image_change_nothing(shape, has_plateau, connectivity):
    generator = torch.Generator().manual_seed(5)
    prediction = torch.rand(shape, generator=generator)
    label = (torch.rand(shape, generator=generator) > 0.6).float()
    if has_plateau:
        prediction, label = prediction.where(prediction > 0.97, 0.0), label * (prediction > 0.98)
    one, four = (betti_matching(prediction, label, connectivity=connectivity, num_threads=n) for n in (1, 4))
    assert len(one.matched) > 20
    assert torch.equal(one.matched, four.matched)
    assert_same_pairs(one.prediction, four.prediction)
    assert_same_pairs(one.label, four.label)


def test_dims_are_those_asked_for():
    generator = torch.Generator().manual_seed(4)
    images = torch.rand(2, 1, 5, 6, 7, generator=generator)
    whole = betti_matching(*images)
    for dims in ([0], [1], [2], [0, 2]):
        part = betti_matching(*images, dims=dims)
        assert set(part.prediction.dim.tolist()) == set(dims)
        for dim in dims:
            assert counts(part, dim) == counts(whole, dim)


def test_bad_input_is_refused():
    image = torch.rand(1, 4, 5)
    with pytest.raises(ValueError, match=r"shape of `predictions`, \(1, 4, 5\), but got \(1, 5, 4\)"):
        betti_matching(image, image.mT)
    with pytest.raises(TypeError, match="`images` to be a floating-point"):
        betti_matching(image, image > 0.5)
    with pytest.raises(ValueError, match="finite"):
        betti_matching(image, image / 0)
    with pytest.raises(ValueError, match="'full'"):
        betti_matching(image, image, connectivity="18")


def test_mixed_precision_compares_exactly():
    image = torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(0))
    matching = betti_matching(image, image.double())
    assert len(matching.matched) == len(matching.prediction) > 0


@pytest.mark.parametrize("folder", ["cremi", "roads"])
def test_one_hole_of_a_real_label_filled_is_the_one_missing(shared_data, folder):
    paths = sorted((shared_data / "betti_matching_examples" / folder / "labels").glob("*.png"))
    assert len(paths) == 3
    for path in paths:
        label = ndimage_read(path) > 0
        holes, number = ndimage.label(~label)  # the background of a full foreground is face-connected
        inner = sorted(set(range(1, number + 1)) - {*holes[0], *holes[-1], *holes[:, 0], *holes[:, -1]})
        filled = label | (holes == inner[len(inner) // 2])
        prediction, label = torch.tensor(filled).float(), torch.tensor(label).float()
        matching = match(prediction, label)
        assert counts(matching, 0) == (int((matching.label.dim == 0).sum()), 0, 0)
        assert counts(matching, 1) == (len(inner) - 1, 0, 1)
        (missing,) = matching.unmatched_label().nonzero().flatten()
        where = matching.label.death[missing].item()
        assert (filled.ravel()[where], label.ravel()[where].item()) == (True, 0.0)
