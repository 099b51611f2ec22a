"""Scores are computed once, and not for settings that cannot be the best."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_topo import choose_cleanup
from monai_topo.cleanup import evaluation, scores
from monai_topo.cleanup.scores import Scorer

BOUNDED = [
    f"{name}{dim}"
    for name in ("betti_matching_error", "topology_spurious", "topology_missing", "betti_error")
    for dim in ("", "_0", "_1")
]


@given(
    masks=st.sampled_from([(5, 8), (3, 4, 5)]).flatmap(lambda shape: st.tuples(*[arrays(np.bool_, shape)] * 2)),
    metric=st.sampled_from([*BOUNDED, "betti_matching_error_2"]),
    connectivity=st.sampled_from(["full", "face"]),
    border=st.sampled_from(["open", "foreground"]),
)
def test_no_metric_is_below_its_bound(masks, metric, connectivity, border):
    if metric.endswith("_2") and masks[0].ndim == 2:
        return
    scorer = Scorer(metric, connectivity, border, "foreground")
    numbers = [evaluation.betti_of_mask(mask, connectivity, border) for mask in masks]
    assert scorer.bound(*numbers) <= scorer.score(*masks)
    assert scorer.bound(numbers[0], numbers[0]) == scorer.score(masks[0], masks[0]) == 0


def test_bounds_of_masks_apart_are_reached():
    """Two more components and one hole less than the label."""
    label, prediction = np.zeros((2, 9, 20), dtype=bool)
    label[2:7, 2:7] = prediction[2:7, 2:7] = True
    label[4, 4] = False
    prediction[2, 10] = prediction[2, 14] = True
    scorer = Scorer("betti_matching_error", "full", "open", "foreground")
    assert scorer.bound([3, 0], [1, 1]) == scorer.score(prediction, label) == 3


def cases(number=4):
    """Draw bars with breaks and specks in noise."""
    generator = np.random.default_rng(0)
    label = np.zeros((24, 40), dtype=bool)
    label[4:8, 4:36] = label[14:18, 4:36] = True
    found = []
    for _ in range(number):
        likelihood = np.where(label, 0.8, 0.2) + 0.22 * generator.normal(size=label.shape)
        found.append((np.clip(likelihood, 0.01, 0.99).astype(np.float32), label))
    return found


@pytest.mark.parametrize("metric", BOUNDED[:7])
def test_bounds_change_no_choice(metric, monkeypatch):
    computed = []
    score = Scorer.score

    def count(self, prediction, label):
        computed.append(metric)
        return score(self, prediction, label)

    monkeypatch.setattr(Scorer, "score", count)
    bounded = choose_cleanup(cases(), metric=metric, progress=False)
    number = len(computed)
    monkeypatch.setattr(scores, "_BOUNDS", {})
    full = choose_cleanup(cases(), metric=metric, progress=False)
    assert (bounded.rows, bounded.cross_validated) == (full.rows, full.cross_validated)
    assert bounded.chosen_by == full.chosen_by
    if metric.startswith("topology_missing"):  # never below 0 here
        assert number <= len(computed) - number
    else:
        assert number < len(computed) - number


def test_settings_that_lose_too_much_dice_are_not_scored(monkeypatch):
    label = np.zeros((20, 40), dtype=bool)
    label[4:8, 4:36] = True
    prediction = label.copy()
    prediction[4:8, 20] = False  # without the smaller part Dice falls to 0.7
    seen = []
    score = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, mask, true: seen.append(mask.sum()) or score(self, mask, true))
    choose_cleanup([(prediction, label)] * 5, metric="cldice", progress=False)
    assert set(seen) == {prediction.sum()}


def test_equal_masks_are_scored_once(monkeypatch):
    label = np.zeros((20, 40), dtype=bool)
    label[4:8, 4:36] = True
    prediction = label.copy()
    prediction[15, 30] = True
    seen = []
    score = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, mask, true: seen.append(mask.sum()) or score(self, mask, true))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        choose_cleanup([(prediction, label)] * 3, metric="cldice", progress=False)
    finally:
        torch.set_num_threads(threads)
    assert sorted(seen) == [label.sum()] * 3 + [prediction.sum()] * 3


def test_a_persistence_is_limited_to_the_size_of_what_it_removed():
    """Weak specks are false in every case, and small strong dots true: only persistence tells them apart."""

    def case(row):
        label = np.zeros((30, 44))
        label[20:24, 4:40] = label[4:6, 4:6] = 1
        prediction = 0.95 * label
        prediction[10:12, row : row + 2] = 0.65
        return prediction, label

    cases = [case(row) for row in range(6, 36, 6)]
    choice = choose_cleanup(cases, progress=False)
    persistence = choice.cleanup.min_persistence
    assert persistence > 0
    assert choice.cleanup.max_simplified_size == 4
    assert f"persistence > {persistence:g} or size > 4 voxels" in choice.table().splitlines()[-2]
    assert "or size > 36 mm^2" in choose_cleanup(cases, spacing=3.0, progress=False).table()
    prediction, label = case(10)
    prediction[14:17, 4:30] = label[14:17, 4:30] = 0.65  # a vessel as weak as the specks
    assert (np.asarray(choice.cleanup(prediction[None]))[0] == (label > 0)).all()
