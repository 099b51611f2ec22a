"""PersistenceLoss: its value and gradient on hand-drawn images, and MONAI's loss contract."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.gudhi_diagrams import gudhi_diagram
from oracles.hungarian import hungarian_cost

from monai_topo import betti_numbers
from monai_topo.losses import BettiMatchingLoss, PersistenceLoss

BAR = torch.zeros(1, 1, 5, 7)
BAR[..., 2, :] = 1


def ring(*shape):
    """A frame of ones, one voxel inside the border, around zeros."""
    label = torch.zeros(1, 1, *shape)
    inner = (..., *(slice(1, extent - 1) for extent in shape))
    core = (..., *(slice(2, extent - 2) for extent in shape))
    label[inner] = 1
    label[core] = 0
    return label


def likelihood(label, low=0.1, high=0.9):
    return (low + (high - low) * label).double()


def gradient(loss, input, target):
    input = input.clone().requires_grad_()
    loss(input, target).backward()
    return input.grad


def random_pair(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    input = torch.rand(shape, generator=generator, dtype=torch.float64)
    return input, (torch.rand(shape, generator=generator) > 0.5).float()


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("matching", ["wasserstein", "rank"])
@pytest.mark.parametrize("shape", [(7, 9), (7, 8, 9)])
def test_zero_at_perfect_agreement(shape, matching, connectivity, border):
    label = ring(*shape)
    loss = PersistenceLoss(matching=matching, connectivity=connectivity, border=border)
    assert loss(label, label) == 0
    assert loss(likelihood(label), label) > 0


@pytest.mark.parametrize("shape", [(6, 11), (5, 6, 7)])
@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_value_is_the_squared_wasserstein_distance_of_gudhi_diagrams(shape, connectivity):
    for seed in range(6):
        input, target = random_pair(seed, 1, 1, *shape)
        loss = PersistenceLoss(connectivity=connectivity)(input, target)
        image = input[0, 0].numpy()
        numbers = betti_numbers(target[0], connectivity=connectivity)[0].tolist()
        expected = (image.max() - 1) ** 2  # the essential component of image and label
        for dim, number in enumerate(numbers):
            pairs = gudhi_diagram(image, filtration="superlevel", connectivity=connectivity, border="open")
            values = np.array([(b, d) for k, b, d in pairs if k == dim]).reshape(-1, 2)
            expected += hungarian_cost(values, number - (dim == 0))
        assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5)])
def test_gradcheck_in_double_precision(shape, border):
    input, target = random_pair(1, 2, 1, *shape)
    # Distinct values well apart, so that no finite difference changes the order of voxels.
    input = input.flatten().argsort().argsort().view_as(input).double() / input.numel()
    for matching in ("wasserstein", "rank"):
        loss = PersistenceLoss(matching=matching, border=border)
        assert torch.autograd.gradcheck(lambda x, f=loss: f(x, target), (input.clone().requires_grad_(),), eps=1e-5)


def test_break_of_a_bar_is_lifted_and_the_surplus_component_lowered():
    input = likelihood(BAR)
    input[..., 2, 3] = 0.3
    grad = gradient(PersistenceLoss(), input, BAR)[0, 0]
    assert grad[2, 3] == pytest.approx(-0.6)
    assert grad[2, 4] == pytest.approx(0.6)
    assert grad[2, 0] == pytest.approx(-0.2)  # the component that stays: its birth is pulled to 1
    assert grad.count_nonzero() == 3


def test_false_bridge_between_two_bars_is_lowered():
    label = torch.zeros(1, 1, 7, 6)
    label[..., 1, :] = 1
    label[..., 5, :] = 1
    input = likelihood(label)
    input[..., 2:5, 2] = 0.7
    grad = gradient(PersistenceLoss(), input, label)[0, 0]
    assert grad[2:5, 2].sum() == pytest.approx(2 * 0.7)  # the death of the second bar is pulled to 0
    assert (grad[2:5, 2] >= 0).all()


def test_hole_that_is_not_in_the_label_is_filled_and_a_missing_one_dug():
    solid = torch.zeros(1, 1, 7, 8)
    solid[..., 1:6, 1:7] = 1
    input = likelihood(solid)
    input[..., 3, 4] = 0.2
    assert gradient(PersistenceLoss(dims=[1]), input, solid)[0, 0, 3, 4] == pytest.approx(-0.7)
    label = solid.clone()
    label[..., 3, 4] = 0
    weak = likelihood(solid)
    weak[..., 3, 4] = 0.4
    assert gradient(PersistenceLoss(dims=[1]), weak, label)[0, 0, 3, 4] == pytest.approx(2 * 0.4)


def test_leak_in_a_shell_is_closed_in_3d():
    shell = ring(6, 7, 8)
    input = likelihood(shell)
    input[..., 1, 3, 4] = 0.5
    grad = gradient(PersistenceLoss(dims=[2]), input, shell)[0, 0]
    assert grad[1, 3, 4] == pytest.approx(2 * (0.5 - 1))  # birth of the cavity
    assert grad[2:4, 2:5, 2:6].sum() == pytest.approx(2 * 0.1)  # its death


def test_broken_torus_closes_in_3d():
    torus = torch.zeros(1, 1, 3, 7, 8)
    torus[:, :, 1] = ring(7, 8)[:, :]
    input = likelihood(torus)
    input[..., 1, 1, 4] = 0.5
    grad = gradient(PersistenceLoss(dims=[1]), input, torus)[0, 0]
    assert grad[1, 1, 4] == pytest.approx(2 * (0.5 - 1))


def test_structure_cut_by_the_patch_border_closes_at_a_foreground_border_only():
    wall = torch.zeros(1, 1, 6, 9)
    wall[..., 4] = 1
    input = likelihood(wall)
    input[..., 2, 4] = 0.3
    assert gradient(PersistenceLoss(dims=[1], border="open"), input, wall).count_nonzero() == 0
    grad = gradient(PersistenceLoss(dims=[1], border="foreground"), input, wall)[0, 0]
    assert grad[2, 4] == pytest.approx(2 * (0.3 - 1))


@pytest.mark.parametrize("kind", [PersistenceLoss, BettiMatchingLoss])
@pytest.mark.parametrize("shape", [(9, 7), (4, 6, 5)])
def test_saturation_is_exact_for_the_changed_map_and_gives_what_is_changed_no_gradient(shape, kind):
    input, label = random_pair(3, 2, 1, *shape)
    saturated, plain = kind(saturation=0.2), kind()
    changed = torch.where(input <= 0.2, 0, torch.where(input >= 0.8, 1, input))
    torch.testing.assert_close(saturated(input, label), plain(changed, label))
    found, inside = gradient(saturated, input, label), (input > 0.2) & (input < 0.8)
    assert not found[~inside].any()
    assert found[inside].any()
    torch.testing.assert_close(found[inside], gradient(plain, changed, label)[inside])


@pytest.mark.parametrize("kind", [PersistenceLoss, BettiMatchingLoss])
@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("shape", [(9, 7), (4, 6, 5)])
def test_support_is_exact_for_the_changed_map_and_gives_what_lies_outside_no_gradient(shape, border, kind):
    input, label = random_pair(4, 2, 3, *shape)
    input[0, 0, 0], label[0, 0, 0] = 0.3, 0  # ties at the threshold belong to the plateau
    label[0, 1], label[1, 1] = 0, 1
    outside = (input <= 0.3) & (label == 0)
    changed = input.masked_fill(outside, 0)
    supported, plain = kind(support=0.3, border=border, weight=[1.0, 2.0, 0.0]), kind(border=border, weight=[1, 2, 0])
    assert torch.equal(supported(input, label), plain(changed, label))
    found, expected = gradient(supported, input, label), gradient(plain, changed, label)
    assert torch.equal(found, expected.masked_fill(outside, 0))
    assert found[(input <= 0.3) & (label == 1)].any()  # what the label has is raised however low it is
    assert not torch.equal(changed, input)
    assert supported(input, label) != plain(input, label)


@pytest.mark.parametrize("kind", [PersistenceLoss, BettiMatchingLoss])
@pytest.mark.parametrize(("saturation", "support"), [(0.1, 0.3), (0.3, 0.1), (0.2, 0.2), (0.1, 0.85)])
def test_support_and_saturation_act_together(saturation, support, kind):
    input, label = random_pair(6, 1, 2, 8, 9)
    low = (input <= saturation) | ((input <= support) & (label == 0))
    changed = input.masked_fill(low, 0).masked_fill(input >= 1 - saturation, 1)
    both = kind(saturation=saturation, support=support)
    assert torch.equal(both(input, label), kind()(changed, label))
    assert torch.equal(gradient(both, input, label), gradient(kind(), changed, label).masked_fill(changed != input, 0))


@pytest.mark.parametrize("border", ["open", "foreground"])
def test_support_and_ignored_voxels(border):
    input, label = random_pair(7, 1, 2, 8, 9)
    label[..., 2:5, 3:6] = 255
    outside = 1.0 if border == "foreground" else 0.0
    hidden, target = input.where(label != 255, outside), label.where(label != 255, torch.tensor(outside))
    loss = PersistenceLoss(support=0.4, border=border, ignore_index=255)
    changed = hidden.masked_fill((hidden <= 0.4) & (target == 0), 0)
    assert torch.equal(loss(input, label), PersistenceLoss(border=border)(changed, target))
    assert not gradient(loss, input, label)[label == 255].any()


def test_empty_support_of_an_empty_label_costs_nothing():
    input = torch.full((1, 1, 5, 6), 0.19, requires_grad=True)
    loss = PersistenceLoss(support=0.2)(input, torch.zeros(1, 1, 5, 6))
    loss.backward()
    assert loss == 0
    assert not input.grad.any()


@pytest.mark.parametrize("kind", [PersistenceLoss, BettiMatchingLoss])
def test_likelihoods_exactly_at_the_limits_of_saturation_are_saturated(kind):
    _, label = random_pair(3, 2, 1, 9, 7)
    input = torch.where(label > 0, 0.75, 0.25)  # both limits exactly, since they are sums of powers of two
    assert kind(saturation=0.25)(input, label) == 0
    assert kind(saturation=0.24)(input, label) > 0


@pytest.mark.parametrize("shape", [(12, 10), (6, 9, 7)])
def test_patches_are_the_mean_over_single_patches(shape):
    input, target = random_pair(2, 2, 1, *shape)
    size = tuple(extent // 2 for extent in shape)
    loss = PersistenceLoss(border="foreground", reduction="none")
    starts = [
        [0, size_a] if extent == 2 * size_a else [0, size_a, extent - size_a]
        for extent, size_a in zip(shape, size, strict=True)
    ]
    patches = []
    for corner in np.ndindex(*[len(s) for s in starts]):
        window = tuple(slice(starts[a][i], starts[a][i] + size[a]) for a, i in enumerate(corner))
        patches.append(loss(input[(..., *window)], target[(..., *window)]))
    expected = torch.stack(patches).mean(0)
    patched = PersistenceLoss(border="foreground", patch_size=size, reduction="none")(input, target)
    torch.testing.assert_close(patched, expected)


@pytest.mark.parametrize("shape", [(6, 9), (4, 5, 6)])
def test_batch_and_channels_equal_one_by_one(shape):
    input, target = random_pair(5, 3, 2, *shape)
    loss = PersistenceLoss(reduction="none")
    together = loss(input, target)
    assert together.shape == (3, 2, *[1] * len(shape))
    for b in range(3):
        for c in range(2):
            alone = loss(input[b : b + 1, c : c + 1], target[b : b + 1, c : c + 1])
            assert together[b, c].item() == alone.item()
    assert PersistenceLoss()(input, target).item() == pytest.approx(together.mean().item())
    assert PersistenceLoss(reduction="sum")(input, target).item() == pytest.approx(together.sum().item())
    with pytest.raises(ValueError, match="bogus"):
        PersistenceLoss(reduction="bogus")


def test_number_of_threads_changes_nothing():
    input, target = random_pair(7, 4, 1, 9, 8, 7)
    one, five = (gradient(PersistenceLoss(num_threads=n), input, target) for n in (1, 5))
    assert torch.equal(one, five)


@given(st.integers(0, 2**16), st.sampled_from([(5, 7), (3, 4, 5)]))
def test_dims_and_min_persistence_leave_out_terms(seed, shape):
    input, target = random_pair(seed, 1, 1, *shape)
    whole = PersistenceLoss()(input, target)
    parts = [PersistenceLoss(dims=[k])(input, target) for k in range(len(shape))]
    torch.testing.assert_close(whole, sum(parts))
    # Above every persistence only the essential class and the missing features are left.
    numbers = betti_numbers(target[0])[0].sum().item()
    rest = PersistenceLoss(min_persistence=1.0)(input, target).item()
    if numbers:
        assert rest == pytest.approx((1 - input.max().item()) ** 2 + (numbers - 1) / 2)


@pytest.mark.parametrize("shape", [(10, 13), (7, 8, 9)])
def test_gradient_descent_repairs_a_broken_ring(shape):
    label = ring(*shape)
    hole = (0, 0, 1, 3, 4)[: 2 + len(shape)]  # a gap in the ring, a leak in the shell
    input = likelihood(label)
    input[hole] = 0.4  # weaker, and the exact matching would rather erase the ring
    logits = torch.logit(input).requires_grad_()
    loss = PersistenceLoss(sigmoid=True)
    wrong = betti_numbers(torch.sigmoid(logits[0]).detach() > 0.5)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, label).backward()
        optimizer.step()
    right = betti_numbers(label[0])
    assert not torch.equal(wrong, right)
    assert torch.equal(betti_numbers(torch.sigmoid(logits[0]).detach() > 0.5), right)
