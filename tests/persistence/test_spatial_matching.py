"""Matching by location: the loss against a matching done by hand, and drawings where values mislead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import BORDERS, CONNECTIVITIES
from oracles.component_labels import labels_by_scipy

from monai_topo import PersistenceLoss, persistence_pairs

OTHER = {"full": "face", "face": "full", "open": "foreground", "foreground": "open"}


def gradient(loss, input, target):
    input = input.double().clone().requires_grad_()
    loss(input, target).backward()
    return input.grad[0, 0]


def canvas(*shape, **boxes):
    """An image of 0.1 with boxes of other values, `name=(value, *slices)`."""
    image = torch.full((1, 1, *shape), 0.1, dtype=torch.float64)
    for value, *window in boxes.values():
        image[(0, 0, *window)] = value
    return image


def at(*window):
    return tuple(slice(w, w + 1) if isinstance(w, int) else w for w in window)


def loss_by_hand(image, label, connectivity, border):
    """The loss of the outer dimensions, feature by feature."""
    pairs = persistence_pairs(image[None], connectivity=connectivity, border=border, dims=[0, image.ndim - 1])
    values = image.flatten().tolist()
    features = [
        (dim, values[b] - values[d], d if dim else b, values[b], values[d])
        for dim, b, d in zip(pairs.dim.tolist(), pairs.birth.tolist(), pairs.death.tolist(), strict=True)
    ]
    if border == "open":
        features.insert(0, (0, max(values), int(np.argmax(values)), max(values), 0.0))
    else:
        features.insert(0, (image.ndim - 1, 1 - min(values), int(np.argmin(values)), 1.0, min(values)))
    total = 0.0
    for dim in (0, image.ndim - 1):
        setting = (OTHER[connectivity], OTHER[border]) if dim else (connectivity, border)
        numbers = labels_by_scipy(~label if dim else label, *setting).ravel()
        partners = set()
        for _, _, voxel, birth, death in sorted((f for f in features if f[0] == dim), key=lambda f: -f[1]):
            own = int(numbers[voxel])
            free = own > 0 and own not in partners
            partners |= {own} if free else set()
            total += (birth - 1) ** 2 + death**2 if free else (birth - death) ** 2 / 2
        total += (max(numbers.max(), 0) - len(partners)) / 2
    return total


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("shape", [(8, 11), (4, 5, 6)])
def test_value_is_that_of_a_matching_done_by_hand(shape, connectivity, border):
    generator = torch.Generator().manual_seed(len(shape))
    for density in (0.0, 0.2, 0.5, 0.8, 1.0):
        image = torch.rand(shape, generator=generator, dtype=torch.float64)
        label = torch.rand(shape, generator=generator) < density
        loss = PersistenceLoss(matching="spatial", connectivity=connectivity, border=border, dims=[0, image.ndim - 1])
        expected = loss_by_hand(image, label.numpy(), connectivity, border)
        assert loss(image[None, None], label[None, None]).item() == pytest.approx(expected, rel=1e-12)


@given(
    st.integers(0, 2**16),
    st.sampled_from([(7, 9), (5, 4, 6), (1, 5, 5), (3, 6, 1)]),
    st.sampled_from([0.1, 0.5, 0.9]),
    st.sampled_from(CONNECTIVITIES),
    st.sampled_from(BORDERS),
)
def test_zero_at_perfect_agreement_of_any_label(seed, shape, density, connectivity, border):
    # 3D labels are mostly plateau: loops get the nearest plateau voxels, which may lie in another component.
    label = (torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(seed)) < density).float()
    assert PersistenceLoss(matching="spatial", connectivity=connectivity, border=border)(label, label) == 0


@pytest.mark.parametrize(
    ("seed", "shape", "density"), [(0, (3, 7, 7), 0.5), (32, (5, 5, 6), 0.5), (77, (5, 5, 6), 0.6)]
)
def test_loops_born_on_a_plateau_that_are_given_to_other_components_still_agree(seed, shape, density):
    label = (torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(seed)) < density).float()
    assert PersistenceLoss(matching="spatial", connectivity="face", dims=[1])(label, label) == 0


WEAK, FALSE = at(2, slice(1, 4)), at(6, slice(6, 9))


def test_weak_true_component_wins_over_a_strong_false_one():
    label = canvas(9, 10, weak=(1.0, *WEAK), strong=(1.0, *at(2, slice(6, 9)))).round()
    input = canvas(9, 10, weak=(0.4, *WEAK), strong=(0.95, *at(2, slice(6, 9))), false=(0.9, *FALSE))
    blind, spatial = (gradient(PersistenceLoss(matching=m, dims=[0]), input, label) for m in ("wasserstein", "spatial"))
    assert blind[WEAK].sum() > 0  # the true one is pulled down
    assert blind[FALSE].sum() < 0
    assert spatial[WEAK].sum() == pytest.approx(2 * (0.4 - 1))
    assert spatial[FALSE].sum() == pytest.approx(0.9 - 0.1)


def test_component_that_never_ends_is_pulled_down_outside_the_label():
    label = canvas(9, 10, true=(1.0, *WEAK)).round()
    input = canvas(9, 10, true=(0.7, *WEAK), false=(0.9, *FALSE))
    spatial = gradient(PersistenceLoss(matching="spatial", dims=[0]), input, label)
    assert spatial[FALSE].sum() == pytest.approx(0.9)
    assert spatial[WEAK].sum() == pytest.approx(2 * (0.7 - 1))
    alone = canvas(9, 10, false=(0.9, *FALSE))
    assert PersistenceLoss(matching="spatial", dims=[0])(alone, label).item() == pytest.approx(0.9**2 / 2 + 1 / 2)


def test_frame_hole_is_pulled_up_inside_the_label_of_a_foreground_border():
    label = canvas(6, 9, wall=(1.0, slice(None), slice(4, 5))).round()
    input = torch.full((1, 1, 6, 9), 0.3, dtype=torch.float64)
    input[..., 4] = 0.8
    input[..., 2, 4] = 0.2  # the least value, in the wall
    grad = gradient(PersistenceLoss(matching="spatial", border="foreground", dims=[1]), input, label)
    assert grad[2, 4] == pytest.approx(-(1 - 0.2))


def cells(values):
    """Two closed cells side by side, 3 x 3 inside, with a value inside each and inside a blob next to them."""
    image = canvas(7, 16, walls=(0.9, slice(1, 6), slice(1, 10)), blob=(0.9, slice(1, 6), slice(11, 15)))
    for column, value in zip((slice(2, 5), slice(6, 9), slice(12, 14)), values, strict=True):
        image[0, 0, 2:5, column] = value
    return image


def test_shallow_true_hole_wins_over_a_deep_false_one():
    label = cells([0.1, 0.1, 0.9]).round()
    input = cells([0.1, 0.6, 0.2])  # the second cell nearly filled, and a hole in the blob
    blind, spatial = (gradient(PersistenceLoss(matching=m, dims=[1]), input, label) for m in ("wasserstein", "spatial"))
    cell, hole = (slice(2, 5), slice(6, 9)), (slice(2, 5), slice(12, 14))
    assert blind[cell].sum() < 0  # filled
    assert blind[hole].sum() > 0  # dug
    assert spatial[cell].sum() == pytest.approx(2 * 0.6)
    assert spatial[hole].sum() == pytest.approx(-(0.9 - 0.2))


def test_shallow_true_cavity_wins_over_a_deep_false_one_in_3d():
    input, label = (torch.full((1, 1, 9, 5, 5), 0.1, dtype=torch.float64) for _ in range(2))
    input[..., 0:3, 1:4, 1:4] = input[..., 4:9, 0:5, 0:5] = 0.9
    label[..., 0:3, 1:4, 1:4] = label[..., 4:9, 0:5, 0:5] = 1
    input[..., 1, 2, 2] = 0.2
    input[..., 6, 2, 2], label[..., 6, 2, 2] = 0.7, 0
    blind, spatial = (
        gradient(PersistenceLoss(matching=m, dims=[2]), input, label.round()) for m in ("wasserstein", "spatial")
    )
    assert blind[6, 2, 2] < 0 < blind[1, 2, 2]
    assert spatial[6, 2, 2] == pytest.approx(2 * 0.7)
    assert spatial[1, 2, 2] == pytest.approx(-(0.9 - 0.2))


def two_rings():
    """A ring in the plane z = 1, an open C next to it, and both as labels."""
    label = torch.zeros(1, 1, 3, 7, 16)
    label[0, 0, 1, 1:6, 1:6] = label[0, 0, 1, 1:6, 8:13] = 1
    label[0, 0, 1, 2:5, 2:5] = label[0, 0, 1, 2:5, 9:12] = 0
    label[0, 0, 1, 3, 12] = 0
    return label


def test_weak_true_ring_wins_over_a_false_one_in_3d():
    label = two_rings()
    input = 0.1 + 0.8 * label.double()
    input[0, 0, 1, 3, 1] = 0.3  # the ring has a weak spot
    input[0, 0, 1, 3, 12] = 0.85  # and the C is closed
    blind, spatial = (gradient(PersistenceLoss(matching=m, dims=[1]), input, label) for m in ("wasserstein", "spatial"))
    assert blind[1, 3, 1] > 0 > blind[1, 3, 12]
    assert spatial[1, 3, 1] == pytest.approx(2 * (0.3 - 1))
    assert spatial[1, 3, 12] == pytest.approx(0.85 - 0.1)


def test_a_weak_false_ring_is_no_partner_of_a_missing_true_one_in_3d():
    label = two_rings()
    input = 0.1 + 0.8 * label.double()
    input[0, 0, 1, 3, 1] = 0.1  # the ring is open
    input[0, 0, 1, 3, 12] = 0.85  # and the C is closed, below the greatest value
    loss = PersistenceLoss(matching="spatial", dims=[1])
    assert loss(input, label).item() == pytest.approx(1 / 2 + (0.85 - 0.1) ** 2 / 2)


def test_loop_of_a_component_that_has_none_has_no_partner_though_it_closes_in_the_label():
    label = two_rings()
    input = 0.1 + 0.8 * label.double()
    input[0, 0, 1, 3, 1] = 0.3
    input[0, 0, 1, 3, 12] = 0.95  # closed by more than the C itself is worth: the ring's weakest voxel is true
    spatial = gradient(PersistenceLoss(matching="spatial", dims=[1]), input, label)
    assert spatial[1, 3, 1] == pytest.approx(2 * (0.3 - 1))
    assert spatial[1, :, 8:13].sum() == pytest.approx(0.8)


def test_pinhole_through_a_ring_has_no_partner_in_3d():
    label = torch.zeros(1, 1, 5, 9, 9)
    label[..., 1:4, 1:8, 1:8] = 1
    label[..., 1:4, 4:5, 4:5] = 0
    input = 0.1 + 0.8 * label.double()
    input[..., 1:4, 4, 4] = 0.6  # the true tunnel, nearly filled
    input[..., 1:4, 2, 2] = 0.3  # a pinhole through the solid
    blind, spatial = (gradient(PersistenceLoss(matching=m, dims=[1]), input, label) for m in ("wasserstein", "spatial"))
    assert blind[1:4, 2, 2].sum() > 0 > blind[1:4, 4, 4].sum()
    assert spatial[1:4, 4, 4].sum() == pytest.approx(2 * 0.6)
    assert spatial[1:4, 2, 2].sum() == pytest.approx(-(0.9 - 0.3))


# Artefacts of the label --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", BORDERS)
def test_small_features_of_the_label_are_neither_missed_nor_penalized(border):
    label = canvas(13, 14, cell=(1.0, slice(3, 10), slice(2, 9)), hole=(0.1, slice(5, 7), slice(4, 6))).round()
    whole = label.clone()
    label[0, 0, 5, 11:13] = 1  # a speck of two voxels
    label[0, 0, 8, 7] = 0  # a pinhole of one
    loss = PersistenceLoss(matching="spatial", border=border, min_label_size=3)
    strict = PersistenceLoss(matching="spatial", border=border)
    assert loss(label, label) == loss(whole, label) == loss(whole, whole) == 0
    assert strict(whole, label) == 1  # both are missed
    assert loss(label, whole) == strict(label, whole) == 1  # false ones cost wherever the label has none
    half = 0.5 * (label + whole)
    assert gradient(loss, half, label).count_nonzero() == 0
    assert PersistenceLoss(matching="spatial", border=border, min_label_size=2)(whole, label) == 0.5


def test_small_ring_in_3d_goes_with_its_component():
    label = two_rings()
    only_c = label.clone()
    only_c[..., :7] = 0
    loss = PersistenceLoss(matching="spatial", min_label_size=16)  # the ring has 16 voxels, the C 15
    assert loss(only_c, label) > 0
    ignoring = PersistenceLoss(matching="spatial", min_label_size=17)
    assert ignoring(only_c, label) == ignoring(label, label) == 0


def test_an_ignored_ring_is_no_partner_of_a_missing_one_in_3d():
    label = two_rings()
    label[0, 0, 1, 3, 12] = 1
    label[0, 0, 1, :, 8:] = 0
    label[0, 0, 1, 2:5, 9:12] = 1
    label[0, 0, 1, 3, 10] = 0  # next to the ring of 16 voxels, one of 8
    small = label.clone()
    small[..., :7] = 0
    loss = PersistenceLoss(matching="spatial", dims=[1], min_label_size=9)
    assert loss(small, label) == 1 / 2


def test_min_label_size_is_refused_where_it_would_mean_nothing():
    with pytest.raises(ValueError, match="spatial"):
        PersistenceLoss(min_label_size=2)
    with pytest.raises(ValueError, match="min_label_size"):
        PersistenceLoss(matching="spatial", min_label_size=-1)
