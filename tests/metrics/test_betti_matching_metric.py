"""Betti matching as a metric: counts that add up to Betti numbers, hand-drawn cases, empty cases, real labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from monai_topo import BettiMatchingMetric, betti_numbers, compute_betti_error, compute_betti_matching


def draw(*rows):
    return torch.tensor([[[[float(character == "#") for character in row] for row in rows]]])


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([(2, 1, 5, 8), (1, 2, 3, 4, 6)]))
def test_counts_add_up_to_betti_numbers(seed, shape, connectivity, border):
    generator = torch.Generator().manual_seed(seed)
    pred, true = (torch.rand(2, *shape, generator=generator) < 0.5).float()
    settings = {"connectivity": connectivity, "border": border}
    scores = compute_betti_matching(pred, true, **settings)
    for masks, other in ((pred, scores.spurious), (true, scores.missing)):
        numbers = betti_numbers(masks.flatten(0, 1), **settings).view(*shape[:2], -1)
        assert torch.equal(scores.matched + other, numbers.float())
    error = compute_betti_error(pred, true, **settings)
    assert (scores.spurious + scores.missing >= error).all()  # matching by location finds at least as many errors


def test_counts_of_hand_drawn_masks():
    # A ring found, a ring missed, a component split in two, a speck.
    label = draw("###..###..###.", "#.#..#.#......", "###..###......", "..............", "..............")
    pred = draw("###..###..#.#.", "#.#..###......", "###..###......", "..............", "......#.......")
    scores = compute_betti_matching(pred, label)
    assert scores.matched.tolist() == [[[3, 1]]]
    assert scores.spurious.tolist() == [[[2, 0]]]
    assert scores.missing.tolist() == [[[0, 1]]]
    assert scores.error.tolist() == [[[2, 1]]]
    for part, expected in {"precision": (3 / 5, 1.0), "recall": (1.0, 1 / 2), "f1": (6 / 8, 2 / 3)}.items():
        values = [BettiMatchingMetric(part=part, dim=dim)(pred, label).item() for dim in (0, 1)]
        assert values == pytest.approx(expected)
    assert BettiMatchingMetric(part="f1")(pred, label).item() == pytest.approx(8 / 11)


def test_components_of_different_places_are_not_matched():
    label = draw("##.......##", "##.......##")
    pred = draw("##..##.....", "##..##.....")
    for one, other, counts in ((pred, label, (1, 1, 1)), (pred - pred * label, label - pred * label, (0, 1, 1))):
        scores = compute_betti_matching(one, other)
        assert (scores.matched[0, 0, 0], scores.spurious[0, 0, 0], scores.missing[0, 0, 0]) == counts


def test_volumes_are_matched_in_every_dimension():
    shell = torch.zeros(1, 1, 5, 6, 7)
    shell[..., 1:4, 1:4, 1:4] = 1
    shell[..., 2, 2, 2] = 0
    tunnel = shell.clone()
    tunnel[..., 1, 2, 2] = tunnel[..., 3, 2, 2] = 0  # drilled through
    scores = compute_betti_matching(tunnel, shell)
    assert scores.matched.tolist() == [[[1, 0, 0]]]
    assert scores.spurious.tolist() == [[[0, 1, 0]]]
    assert scores.missing.tolist() == [[[0, 0, 1]]]


def test_empty_and_full_masks():
    some = draw("###....", "#.#..#.", "###....")
    none, everything = torch.zeros_like(some), torch.ones_like(some)

    def table(pred, label, **settings):
        scores = compute_betti_matching(pred, label, **settings)
        return [scores.matched.tolist()[0][0], scores.spurious.tolist()[0][0], scores.missing.tolist()[0][0]]

    assert table(none, some) == [[0, 0], [0, 0], [2, 1]]
    assert table(some, none) == [[0, 0], [2, 1], [0, 0]]
    assert table(none, none) == [[0, 0], [0, 0], [0, 0]]
    assert table(everything, some) == [[1, 0], [0, 0], [1, 1]]
    assert table(everything, everything) == [[1, 0], [0, 0], [0, 0]]
    assert table(none, some, border="foreground") == [[0, 0], [0, 0], [1, 1]]
    assert compute_betti_matching(none, some).error.tolist() == [[[3, 1]]]
    assert compute_betti_matching(none, none).error.sum() == 0
    assert compute_betti_matching(everything, some, border="foreground").error.tolist() == [[[1, 3]]]
    assert BettiMatchingMetric(part="f1")(none, none).isnan().all()


def test_likelihoods_are_matched_at_all_thresholds():
    label = draw("##....##")
    likelihood = torch.tensor([[[[0.9, 0.8, 0.1, 0.0, 0.4, 0.1, 0.6, 0.7]]]])
    scores = compute_betti_matching(likelihood, label, likelihood=True)
    assert scores.matched.tolist() == [[[2, 0]]]
    assert scores.spurious.tolist() == [[[1, 0]]]
    # (0.7, 0) for (1, 0), the speck (0.4, 0.1), and 0.9 for 1 of the essential component.
    assert scores.error[0, 0, 0].item() == pytest.approx(2 * 0.3**2 + 0.3**2 + 2 * 0.1**2)
    with pytest.raises(ValueError, match="`y_pred` to hold only 0 and 1"):
        compute_betti_matching(likelihood, label)
    with pytest.raises(ValueError, match=r"`y_pred` to hold values in \[0, 1\]"):
        compute_betti_matching(2 * likelihood, label, likelihood=True)


def test_real_volume_against_its_shifted_self(shared_data):
    path = shared_data / "vesselnn" / "labels" / "poon_plaque_undersegmented.tif"
    with Image.open(path) as stack:
        slices = [np.asarray(page) > 0 for page in ImageSequence.Iterator(stack)]
    label = torch.tensor(np.stack(slices)).float()[None, None, :, :160, :150]
    numbers = betti_numbers(label[0])
    same = compute_betti_matching(label, label)
    assert same.matched[0].tolist() == numbers.float().tolist()
    assert same.error.sum() == 0
    shifted = compute_betti_matching(label.roll(1, -1), label)
    assert shifted.matched[0, 0].tolist() == [2, 1, 0]
    assert shifted.spurious[0, 0].tolist() == [
        0,
        0,
        1,
    ]  # structures that the border cut on one side appear on the opposite side
