"""What theory promises of persistence pairs: duality, invariance, order, independence of threads, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import (
    BORDERS,
    CONNECTIVITIES,
    IMAGE_KINDS,
    SETTINGS,
    assert_same_pairs,
    diagram_of_image,
    every_setting,
    pairs_of_image,
    random_shapes,
    up_to_plateau,
)
from oracles.boundary_matrix import critical_voxels

from monai_topo import PersistencePairs, betti_numbers, persistence_pairs

DUAL = {"full": "face", "face": "full"}
OTHER_SIDE = {"open": "foreground", "foreground": "open"}
OPPOSITE = {"superlevel": "sublevel", "sublevel": "superlevel"}
SHAPES = [(19, 26), (7, 10, 8), (1, 23), (6, 1, 11)]

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)

settings_drawn = st.sampled_from(SETTINGS)
tied_images = hnp.arrays(
    np.float32,
    random_shapes(6, 4),
    elements=st.integers(-2, 2).map(float),
)


def drawn(kind: str, shape: tuple[int, ...], count: int = 1) -> torch.Tensor:
    """A batch of `count` images of one kind."""
    rng = np.random.default_rng([*shape, *kind.encode()])
    return torch.from_numpy(np.stack([IMAGE_KINDS[kind](rng, shape) for _ in range(count)]))


def assert_is_restriction(restricted: PersistencePairs, pairs: PersistencePairs, kept: torch.Tensor) -> None:
    """Assert that a result holds exactly the kept pairs of another one, and its essential classes."""
    for field in ("image", "dim", "birth", "death"):
        assert getattr(restricted, field).tolist() == getattr(pairs, field)[kept].tolist(), field
    assert restricted.essential.tolist() == pairs.essential.tolist()


def mixed_batch(shape: tuple[int, ...]) -> torch.Tensor:
    """A batch with one image of every kind."""
    return torch.cat([drawn(kind, shape) for kind in IMAGE_KINDS])


@given(image=tied_images, setting=settings_drawn)
def test_pairs_of_tied_images_equal_the_boundary_matrix(image, setting):
    pairs = persistence_pairs(torch.from_numpy(image)[None], **setting)
    expected = critical_voxels(image, **setting)
    assert up_to_plateau(pairs_of_image(pairs, 0), image) == up_to_plateau(expected.pairs, image)
    assert [(0, pairs.essential.item())] == expected.essential


# Duality and invariance --------------------------------------------------------------------------------------------


@every_setting
@every_shape
def test_complement_has_the_same_pairs_with_births_and_deaths_exchanged(shape, setting):
    # Alexander duality: class k of the features is class d - 1 - k of what they leave, which has the dual connectivity
    # and the frame if they have none. Turning the image around makes the complement enter in exactly reversed order.
    images = mixed_batch(shape)
    turned = images.flip(tuple(range(1, images.ndim)))
    dual = {
        "filtration": OPPOSITE[setting["filtration"]],
        "connectivity": DUAL[setting["connectivity"]],
        "border": OTHER_SIDE[setting["border"]],
    }
    pairs, dual_pairs = persistence_pairs(images, **setting), persistence_pairs(turned, **dual)
    last = images[0].numel() - 1
    for index in range(len(images)):
        exchanged = [
            (len(shape) - 1 - dim, last - death, last - birth)
            for dim, birth, death in pairs_of_image(dual_pairs, index)
        ]
        assert pairs_of_image(pairs, index) == sorted(exchanged)


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("border", BORDERS)
@every_shape
def test_sublevel_is_superlevel_of_the_negated_image(shape, border, connectivity):
    images = mixed_batch(shape)
    kwargs = {"connectivity": connectivity, "border": border}
    sublevel = persistence_pairs(images, filtration="sublevel", **kwargs)
    assert_same_pairs(sublevel, persistence_pairs(-images, filtration="superlevel", **kwargs))


@every_setting
@every_shape
def test_pairs_alive_at_a_threshold_are_its_betti_numbers(shape, setting):
    images = mixed_batch(shape)
    flat = images.flatten(1)
    pairs = persistence_pairs(images, **setting)
    values = pairs.values(images)
    rising = 1.0 if setting["filtration"] == "sublevel" else -1.0
    for threshold in torch.linspace(-3, 3, 13).tolist() + flat[:, ::37].flatten().tolist():
        alive = (rising * values[:, 0] <= rising * threshold) & (rising * values[:, 1] > rising * threshold)
        counts = torch.zeros(len(images), len(shape), dtype=torch.int64)
        counts.index_put_((pairs.image[alive], pairs.dim[alive]), torch.tensor(1), accumulate=True)
        if setting["border"] == "open":
            essential = flat.gather(1, pairs.essential[:, None])[:, 0]
            counts[:, 0] += rising * essential <= rising * threshold
        masks = rising * images <= rising * threshold
        betti = betti_numbers(masks, connectivity=setting["connectivity"], border=setting["border"])
        assert counts.tolist() == betti.tolist(), f"at {threshold}"


@every_setting
@every_shape
def test_flips_and_transposes_keep_the_values(shape, setting):
    images = mixed_batch(shape)
    axes = list(range(1, images.ndim))
    moved = [images.flip(axis) for axis in axes] + [images.transpose(axes[0], axes[-1]), images.permute(0, *axes[::-1])]
    pairs = persistence_pairs(images, **setting)
    for other in moved:
        other_pairs = persistence_pairs(other, **setting)
        for index in range(len(images)):
            assert diagram_of_image(other_pairs, other, index) == diagram_of_image(pairs, images, index)


@every_setting
@every_shape
def test_strictly_rising_maps_keep_the_pairs(shape, setting):
    images = torch.cat([drawn("distinct", shape), drawn("tied", shape), drawn("staircase", shape)])
    pairs = persistence_pairs(images, **setting)
    for rising in (lambda x: 3 * x + 1, lambda x: (x + 9).sqrt(), lambda x: x**3, lambda x: torch.expm1(x / 64)):
        assert_same_pairs(persistence_pairs(rising(images), **setting), pairs)


# The form of the result --------------------------------------------------------------------------------------------


@every_setting
@every_shape
def test_result_is_packed_sorted_and_without_pairs_of_equal_value(shape, setting):
    images = mixed_batch(shape)
    voxel_count = images[0].numel()
    pairs = persistence_pairs(images, **setting)
    for field in (pairs.image, pairs.dim, pairs.birth, pairs.death):
        assert field.dtype == torch.int64
        assert field.shape == pairs.image.shape
    rows = list(zip(pairs.image.tolist(), pairs.dim.tolist(), pairs.birth.tolist(), pairs.death.tolist(), strict=True))
    assert rows == sorted(rows)
    assert all(0 <= birth < voxel_count and 0 <= death < voxel_count for *_, birth, death in rows)
    birth_value, death_value = pairs.values(images).T
    assert (birth_value != death_value).all()
    assert ((birth_value > death_value) == (setting["filtration"] == "superlevel")).all()


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@every_shape
def test_essential_component_is_born_at_the_first_of_the_extreme_voxels(shape, connectivity):
    images = mixed_batch(shape)
    flat = images.flatten(1).numpy()
    highest = persistence_pairs(images, connectivity=connectivity).essential
    lowest = persistence_pairs(images, connectivity=connectivity, filtration="sublevel").essential
    assert highest.tolist() == flat.argmax(1).tolist()
    assert lowest.tolist() == flat.argmin(1).tolist()


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@every_shape
def test_essential_component_of_a_foreground_border_is_the_frame(shape, connectivity):
    images = mixed_batch(shape)
    essential = persistence_pairs(images, connectivity=connectivity, border="foreground").essential
    assert essential.dtype == torch.int64
    assert essential.tolist() == [images[0].numel()] * len(images)


@every_setting
def test_dims_restrict_the_full_result(setting):
    for shape, subsets in [((19, 26), [(0,), (1,), (1, 0)]), ((7, 10, 8), [(0,), (1,), (2,), (0, 2), (2, 1), (0, 1)])]:
        images = mixed_batch(shape)
        pairs = persistence_pairs(images, **setting)
        for dims in subsets:
            kept = torch.isin(pairs.dim, torch.tensor(dims))
            assert kept.any()
            assert_is_restriction(persistence_pairs(images, dims=dims, **setting), pairs, kept)


@every_setting
@every_shape
def test_min_persistence_restricts_the_full_result(shape, setting):
    images = drawn("tied", shape, count=3)
    pairs = persistence_pairs(images, **setting)
    birth_value, death_value = pairs.values(images).T
    for threshold in (0.0, 0.5, 1.0, 1.5, 2.0):
        kept = (birth_value - death_value).abs() > threshold
        assert_is_restriction(persistence_pairs(images, min_persistence=threshold, **setting), pairs, kept)


# Batches and threads -----------------------------------------------------------------------------------------------


@every_setting
@every_shape
def test_batch_equals_its_images_one_by_one(shape, setting):
    images = mixed_batch(shape)
    pairs = persistence_pairs(images, **setting)
    for index in range(len(images)):
        alone = persistence_pairs(images[index : index + 1], **setting)
        assert pairs_of_image(alone, 0) == pairs_of_image(pairs, index)
        assert alone.essential.tolist() == [pairs.essential[index].item()]


@every_setting
@every_shape
def test_result_is_the_same_for_every_number_of_threads_and_every_repeat(shape, setting):
    images = mixed_batch(shape)
    expected = persistence_pairs(images, num_threads=1, **setting)
    for num_threads in (1, 2, 5, None, 2):
        assert_same_pairs(persistence_pairs(images, num_threads=num_threads, **setting), expected)


def test_empty_batch_has_no_pairs():
    for shape in [(0, 4, 7), (0, 3, 4, 5)]:
        images = torch.zeros(shape)
        pairs = persistence_pairs(images)
        for field in ("image", "dim", "birth", "death", "essential"):
            assert getattr(pairs, field).shape == (0,)
            assert getattr(pairs, field).dtype == torch.int64
        assert pairs.values(images).shape == (0, 2)


@every_setting
def test_constant_image_has_only_the_essential_component(setting):
    pairs = persistence_pairs(torch.full((2, 5, 8), 0.25), **setting)
    assert pairs.birth.shape == (0,)
    assert pairs.essential.tolist() == [0, 0] if setting["border"] == "open" else [40, 40]


# Gradients ---------------------------------------------------------------------------------------------------------


@every_setting
@every_shape
def test_values_gather_birth_and_death(shape, setting):
    images = mixed_batch(shape).float()
    pairs = persistence_pairs(images, **setting)
    values = pairs.values(images)
    assert values.dtype == images.dtype
    for column, voxels in enumerate((pairs.birth, pairs.death)):
        expected = [images[i].flatten()[v].item() for i, v in zip(pairs.image.tolist(), voxels.tolist(), strict=True)]
        assert values[:, column].tolist() == expected


@every_setting
@every_shape
def test_gradient_of_values_is_the_sum_of_one_hots_at_critical_voxels(shape, setting):
    images = mixed_batch(shape).requires_grad_()
    pairs = persistence_pairs(images, **setting)
    weight = torch.from_numpy(np.random.default_rng(3).integers(1, 9, (len(pairs.birth), 2))).double()
    (pairs.values(images) * weight).sum().backward()
    expected = np.zeros(images.shape).reshape(len(images), -1)
    for column, voxels in enumerate((pairs.birth, pairs.death)):
        np.add.at(expected, (pairs.image.numpy(), voxels.numpy()), weight[:, column].numpy())
    assert images.grad is not None
    assert images.grad.flatten(1).tolist() == expected.tolist()


@every_setting
def test_gradient_equals_finite_differences(setting):
    images = torch.cat([drawn("distinct", (4, 7)), drawn("distinct", (4, 7)).flip(1)]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: persistence_pairs(x, **setting).values(x), images)


def test_values_of_another_tensor_are_read_at_the_same_voxels():
    logits = drawn("distinct", (9, 13), count=2) / 100
    pairs = persistence_pairs(logits.sigmoid())
    torch.testing.assert_close(pairs.values(logits).sigmoid(), pairs.values(logits.sigmoid()))
