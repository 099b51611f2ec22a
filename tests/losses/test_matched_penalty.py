"""The cross-entropy of matched features: its value, extreme logits, constants, and the way to the right logit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.gudhi_diagrams import gudhi_diagram

from monai_topo import BettiMatchingLoss, PersistenceLoss, betti_numbers

both = pytest.mark.parametrize("kind", [PersistenceLoss, BettiMatchingLoss])
#: Betti matching counts every distance twice.
FACTOR = {PersistenceLoss: 1, BettiMatchingLoss: 2}


def bar(*spatial):
    label = torch.zeros(1, 1, *spatial)
    label[(0, 0, *(extent // 2 for extent in spatial[:-1]))] = 1
    return label


def with_gradient(loss, input, label):
    input = input.clone().requires_grad_()
    value = loss(input, label)
    value.backward()
    return value.detach(), input.grad


@given(seed=st.integers(0, 2**16), shape=st.sampled_from([(6, 9), (3, 4, 5)]))
def test_value_is_that_of_gudhi_diagrams_ranked_by_persistence(seed, shape):
    generator = torch.Generator().manual_seed(seed)
    input = torch.rand(1, 1, *shape, generator=generator, dtype=torch.float64)
    label = (torch.rand(1, 1, *shape, generator=generator) > 0.5).double()
    numbers = betti_numbers(label[0])[0].tolist()
    expected = 0.0
    for dim, number in enumerate(numbers):
        pairs = gudhi_diagram(input[0, 0].numpy(), filtration="superlevel", connectivity="full", border="open")
        ends = sorted(((b, d) for k, b, d in pairs if k == dim), key=lambda p: p[1] - p[0])
        number -= dim == 0  # the essential class
        expected += sum(-np.log(b) - np.log(1 - d) for b, d in ends[:number]) / 2
        expected += sum((b - d) ** 2 / 2 for b, d in ends[number:]) + max(number - len(ends), 0) / 2
    expected -= np.log(input.max().item()) / 2
    value = PersistenceLoss(matching="rank", penalty="cross_entropy")(input, label).item()
    if numbers[0]:
        assert value == pytest.approx(expected)


@both
@pytest.mark.parametrize("spatial", [(5, 8), (3, 5, 8)])
def test_break_costs_its_logits(kind, spatial):
    ring = torch.zeros(1, 1, *spatial)
    ring[(..., *[slice(1, 4)] * 2)] = 1
    ring[..., 2, 2] = 0
    if len(spatial) == 3:
        ring[:, :, 0], ring[:, :, 2] = 0, 0  # a ring in the plane between
    logits = 6 * ring.double() - 3
    leak = (0, 0, *[1] * (len(spatial) - 2), 1, 2)
    logits[leak] = -2.0
    ranked = {"matching": "rank"} if kind is PersistenceLoss else {}  # the exact matching would erase it
    loss = kind(sigmoid=True, penalty="cross_entropy", dims=[1], **ranked)
    value, gradient = with_gradient(loss, logits, ring)
    softplus = np.logaddexp(0, [2.0, -3.0])  # the birth at the leak, the death in the hole or next to the ring
    assert value.item() == pytest.approx(FACTOR[kind] * softplus.sum() / 2)
    assert gradient[leak].item() == pytest.approx(-FACTOR[kind] / 2 / (1 + np.exp(-2.0)))
    assert gradient.sum().item() == pytest.approx(FACTOR[kind] / 2 * (1 / (1 + np.exp(3.0)) - 1 / (1 + np.exp(-2.0))))


@both
@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_certain_and_wrong_logits_have_a_finite_cost_and_the_full_gradient(kind, border, dtype):
    label = bar(5, 8)
    wrong = -1e4 if border == "open" else 1e4
    logits = torch.full_like(label, wrong, dtype=dtype)
    value, gradient = with_gradient(kind(sigmoid=True, penalty="cross_entropy", border=border), logits, label)
    unmatched = {PersistenceLoss: 0.5, BettiMatchingLoss: 1}[kind] if border == "foreground" else 0
    assert value.item() == pytest.approx(FACTOR[kind] * 1e4 / 2 + unmatched)
    assert gradient.sum().item() == np.sign(wrong) * FACTOR[kind] / 2
    assert gradient.count_nonzero() == 1
    assert (gradient[label == (border == "open")]).any()  # at a voxel that is to change
    # Right and certain: nothing to pull.
    value, gradient = with_gradient(
        kind(sigmoid=True, penalty="cross_entropy", border=border), 2e4 * label - 1e4, label
    )
    assert value == 0
    assert not gradient.any()


@both
def test_certain_and_wrong_logits_of_a_softmax(kind):
    label = bar(5, 8).long()
    logits = torch.zeros(1, 3, 5, 8)
    logits[:, 0], logits[:, 1], logits[:, 2] = 1e4, -1e4, 9e3  # all background
    loss = kind(softmax=True, to_onehot_y=True, include_background=False, penalty="cross_entropy", reduction="none")
    value, gradient = with_gradient(lambda x, y: loss(x, y).sum(), logits, label)
    assert value.item() == pytest.approx(FACTOR[kind] * 2e4 / 2)  # log p is the difference of the logits
    pulled = gradient[0, :, gradient[0, 1] != 0]
    torch.testing.assert_close(pulled, FACTOR[kind] / 2 * torch.tensor([[1.0], [-1.0], [0.0]]))


@both
def test_half_the_cross_entropy_pulls_the_logit_like_the_square_at_a_half(kind):
    label, logits = bar(5, 8), torch.zeros(1, 1, 5, 8)
    squared, entropy = (
        with_gradient(kind(sigmoid=True, penalty=penalty), logits, label)[1] for penalty in ("squared", "cross_entropy")
    )
    assert squared.any()
    torch.testing.assert_close(entropy, squared)


SETTINGS = [
    {},
    {"patch_size": (4, 5)},
    {"border": "foreground", "ignore_index": 255},
    {"support": 0.4},
    {"saturation": 0.2, "patch_size": 5},
    {"weight": [0.0, 2.0, 1.0], "patch_size": (4, 5), "support": 0.3, "saturation": 0.1, "ignore_index": 255},
]


@both
@pytest.mark.parametrize("settings", SETTINGS)
def test_logits_and_their_likelihoods_agree(kind, settings):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 9, 11, generator=generator, dtype=torch.float64)
    label = (torch.rand(2, 3, 9, 11, generator=generator) > 0.5).double()
    if "ignore_index" in settings:
        label[:, 0, 2:6, 3:8] = 255
        label[1, 2, :, :3] = 255
    for act in ("sigmoid", "softmax"):
        activate = torch.sigmoid if act == "sigmoid" else lambda x: torch.softmax(x, 1)
        value, gradient = with_gradient(kind(**{act: True}, penalty="cross_entropy", **settings), logits, label)
        expected = with_gradient(kind(other_act=activate, penalty="cross_entropy", **settings), logits, label)
        torch.testing.assert_close(value, expected[0])
        torch.testing.assert_close(gradient, expected[1])
        assert gradient.any()


@both
@pytest.mark.parametrize("softmax", [False, True])
def test_logits_are_read_at_the_voxel_of_their_patch_and_class(kind, softmax):
    # All likelihoods are 0 (in the first channel 1), and only the logits tell the voxels apart.
    logits = -200 - torch.arange(2 * 3 * 6 * 8.0).view(2, 3, 6, 8)
    logits[:, 0] = 1000 if softmax else -200
    label = torch.zeros(2, 1, 6, 8, dtype=torch.long)
    label[..., 1:3] = 2  # the first voxel of each left patch, behind two others
    label[..., 6:] = 2
    loss = kind(
        **{"softmax" if softmax else "sigmoid": True},
        to_onehot_y=True,
        include_background=False,
        weight=[0.0, 1.0],
        patch_size=(4, 5),
        penalty="cross_entropy",
        dims=[0],
        reduction="none",
    )
    value, gradient = with_gradient(lambda x, y: loss(x, y)[:, 1, 0, 0].sum(), logits, label)
    first = [(y, x) for y in (0, 2) for x in (1, 6)]  # the first voxel of the label in each patch
    wanted = [logits[b, 2, y, x].item() - (1000 if softmax else 0) for b in (0, 1) for y, x in first]
    assert value.item() == pytest.approx(-FACTOR[kind] * sum(wanted) / 2 / len(first))
    found = {(y, x) for _, y, x in gradient[:, 2].nonzero().tolist()}
    assert found == set(first)


def test_softmax_reads_the_channels_behind_the_background():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 4, 3, 4, 5, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 4, (2, 1, 3, 4, 5), generator=generator)
    settings = {"to_onehot_y": True, "include_background": False, "weight": [1.0, 0.0, 3.0], "penalty": "cross_entropy"}
    value, gradient = with_gradient(PersistenceLoss(softmax=True, patch_size=(2, 4, 3), **settings), logits, label)
    by_likelihood = PersistenceLoss(other_act=lambda x: torch.softmax(x, 1), patch_size=(2, 4, 3), **settings)
    expected = with_gradient(by_likelihood, logits, label)
    torch.testing.assert_close(value, expected[0])
    torch.testing.assert_close(gradient, expected[1])


@both
@pytest.mark.parametrize("constant", [{"support": 0.3}, {"saturation": 0.3}, {"ignore_index": 255}])
def test_ends_at_a_constant_cost_nothing_and_are_not_pulled(kind, constant):
    label = torch.zeros(1, 1, 5, 6)
    label[..., 1:4, 1:4] = 1
    label[..., 2, 2] = 0
    logits = (label * 4 - 2).double()  # all the rest is at 0.12, the hole a bit deeper
    logits[..., 2, 2] = -2.5
    target = label.clone()
    if "ignore_index" in constant:
        target[..., 2, 2] = 255
    value, gradient = with_gradient(kind(sigmoid=True, penalty="cross_entropy", dims=[1], **constant), logits, target)
    birth = 0 if "saturation" in constant else np.logaddexp(0, -2.0) / 2
    assert value.item() == pytest.approx(FACTOR[kind] * birth)
    assert gradient[0, 0, 2, 2] == 0
    assert bool(gradient.any()) == ("saturation" not in constant)


@both
def test_given_likelihoods_of_zero_are_pulled_with_a_finite_force(kind):
    label = bar(5, 8)
    value, gradient = with_gradient(kind(penalty="cross_entropy"), torch.zeros(1, 1, 5, 8), label)
    assert value.item() == pytest.approx(FACTOR[kind] / 2 * (1 - np.log(1e-6)))
    assert gradient.min().item() == pytest.approx(-FACTOR[kind] / 2 * 1e6)


def test_unmatched_features_stay_squared():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 1, 6, 7, generator=generator)
    squared, entropy = (
        with_gradient(PersistenceLoss(sigmoid=True, penalty=penalty), logits, torch.zeros(2, 1, 6, 7))
        for penalty in ("squared", "cross_entropy")
    )
    assert squared[0] == entropy[0] > 0
    assert torch.equal(squared[1], entropy[1])


@pytest.mark.parametrize("gradient", ["structure", "structure_towards_label"])
def test_structures_have_squared_targets_only(gradient):
    with pytest.raises(ValueError, match="`gradient` to be 'critical' with penalty='cross_entropy'"):
        PersistenceLoss(penalty="cross_entropy", gradient=gradient)
    with pytest.raises(ValueError, match="`penalty`"):
        PersistenceLoss(penalty="entropy")
