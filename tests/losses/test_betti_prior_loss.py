"""BettiPriorLoss: its value by hand and by GUDHI, priors per class and per image, adaptation of a network."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.gudhi_diagrams import gudhi_diagram
from torch import nn

from monai_topo import BettiPriorLoss, adapt_to_prior, betti_numbers


def random_image(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("shape", [(6, 9), (4, 5, 6)])
def test_value_is_that_of_gudhi_diagrams(shape, connectivity, border):
    for seed, wanted in enumerate([(0, 0, 0), (1, 0, 0), (2, 3, 1), (50, 50, 50)]):
        image = random_image(seed, *shape)
        betti = wanted[: len(shape)]
        pairs = gudhi_diagram(image.numpy(), filtration="superlevel", connectivity=connectivity, border=border)
        essential_persistence = image.max().item() if border == "open" else 1 - image.min().item()
        its_dim = 0 if border == "open" else len(shape) - 1
        expected = 0.0
        for dim, number in enumerate(betti):
            persistence = sorted((b - d for k, b, d in pairs if k == dim), reverse=True)
            if dim == its_dim:
                persistence = [essential_persistence, *persistence]
                number += border == "foreground"
            expected += sum(1 - p**2 for p in persistence[:number]) + sum(p**2 for p in persistence[number:])
            expected += max(0, number - len(persistence))
        loss = BettiPriorLoss(betti=betti, connectivity=connectivity, border=border)
        assert loss(image[None, None]).item() == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 2**16), st.sampled_from([(5, 7), (3, 4, 5)]), st.sampled_from(["open", "foreground"]))
def test_dimensions_of_unknown_numbers_are_ignored(seed, shape, border):
    image = random_image(seed, 1, 1, *shape)
    parts = [[None] * k + [2] + [None] * (len(shape) - k - 1) for k in range(len(shape))]
    whole = BettiPriorLoss(betti=[2] * len(shape), border=border)(image)
    torch.testing.assert_close(whole, sum(BettiPriorLoss(betti=part, border=border)(image) for part in parts))
    assert BettiPriorLoss(betti=[None] * len(shape), border=border)(image) == 0


def test_numbers_per_class_and_per_image():
    image = random_image(1, 2, 3, 6, 7)
    rows = [(1, 0), (2, None), (0, 4)]
    by_class = BettiPriorLoss(betti=rows, reduction="none")(image)
    for c, row in enumerate(rows):
        alone = BettiPriorLoss(betti=row, reduction="none")(image[:, c : c + 1])
        assert torch.equal(by_class[:, c : c + 1], alone)
    numbers = torch.tensor([[1, 0], [2, -1], [0, 4]]).expand(2, 3, 2).clone()
    assert torch.equal(BettiPriorLoss(reduction="none")(image, numbers), by_class)
    numbers[1, 0] = torch.tensor([3, 3])
    other = BettiPriorLoss(reduction="none")(image, numbers)
    assert torch.equal(other[0], by_class[0])
    assert other[1, 0] != by_class[1, 0]
    without = BettiPriorLoss(include_background=False, betti=rows[1:], reduction="none")(image)
    assert torch.equal(without, by_class[:, 1:])


def test_label_given_in_addition_to_a_fixed_prior_is_ignored():
    image = random_image(2, 1, 1, 5, 6)
    loss = BettiPriorLoss(betti=(1, 0))
    assert loss(image, torch.full_like(image, 7)) == loss(image)


@pytest.mark.parametrize("betti", [(1,), (1, 0, 0, 0), (1, -2), [(1, 0), (1, 0, 0)], ()])
def test_priors_that_are_no_betti_numbers_are_refused_when_the_loss_is_made(betti):
    with pytest.raises(ValueError, match="betti"):
        BettiPriorLoss(betti=betti)


@pytest.mark.parametrize(
    ("settings", "target", "error", "words"),
    [
        ({"betti": (1, 0, 0)}, None, ValueError, "one per dimension"),
        ({"betti": [(1, 0)] * 2}, None, ValueError, "each of 3 classes"),
        ({}, None, TypeError, "target"),
        ({}, torch.zeros(1, 3, 5, 6), ValueError, "in its setting `betti`"),
        ({}, torch.zeros(1, 3, 2), ValueError, "integers"),
        ({}, torch.full((1, 3, 2), -2), ValueError, "at least 0 or -1"),
    ],
)
def test_prior_that_does_not_fit_the_input_gets_a_sentence(settings, target, error, words):
    with pytest.raises(error, match=words):
        BettiPriorLoss(**settings)(random_image(0, 1, 3, 5, 6), target)
    with pytest.raises(ValueError, match="border"):
        BettiPriorLoss(border="closed")


class Map(nn.Module):
    """A network whose output is its weights, with a layer that training mode would change."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits.clone())
        self.dropout = nn.Dropout(0.9)

    def forward(self, image):
        return self.dropout(self.logits) + 0 * image


def test_adaptation_repairs_the_topology_and_stays_near_the_first_prediction():
    label = torch.zeros(1, 1, 9, 11)
    label[..., 2:7, 2:9] = 1
    label[..., 3:6, 3:8] = 0
    likelihood = 0.1 + 0.8 * label
    likelihood[..., 4, 2] = 0.4  # the ring is open
    likelihood[..., 7:9, 9:11] = 0.7  # and has company
    likelihood[..., 6:8, 8:10] = torch.minimum(likelihood[..., 6:8, 8:10], torch.tensor(0.3))
    network = Map(torch.logit(likelihood))
    before = copy_of = network.logits.detach().clone()
    loss = BettiPriorLoss(sigmoid=True, betti=(1, 1), connectivity="face")
    kwargs = {"connectivity": "face"}
    assert betti_numbers(torch.sigmoid(before[0]) > 0.5, **kwargs).tolist() != [[1, 1]]
    with torch.no_grad():  # as in an evaluator
        after = adapt_to_prior(network, label, loss, steps=40, learning_rate=0.1, consistency_weight=0.05)
    assert betti_numbers(torch.sigmoid(after[0]) > 0.5, **kwargs).tolist() == [[1, 1]]
    assert not after.requires_grad
    assert torch.equal(network.logits, copy_of)
    assert network.training
    loose = adapt_to_prior(network, label, loss, steps=40, learning_rate=0.1, consistency_weight=0.0)
    assert (after - before).abs().sum() < (loose - before).abs().sum()
    assert torch.equal(adapt_to_prior(network, label, loss, steps=0), before)
    with pytest.raises(ValueError, match="steps=-1"):
        adapt_to_prior(network, label, loss, steps=-1)
