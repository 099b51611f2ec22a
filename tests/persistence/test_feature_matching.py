"""The exact matching against the Hungarian method and Hera, which know nothing of its closed form."""

import numpy as np
import pytest
import torch
from gudhi.hera import wasserstein_distance
from hypothesis import given
from hypothesis import strategies as st
from oracles.hungarian import hungarian_cost

from monai_topo.persistence.feature_matching import match_by_value

coordinates = st.integers(0, 8).map(lambda k: k / 8)  # ties are common
diagrams = st.lists(st.tuples(coordinates, coordinates).filter(lambda bd: bd[0] > bd[1]), max_size=7)


def cost_of(values: np.ndarray, matched: np.ndarray, num_true: int) -> float:
    birth, death = values[:, 0], values[:, 1]
    to_true = (birth - 1) ** 2 + death**2
    to_diagonal = (birth - death) ** 2 / 2
    return float(np.where(matched, to_true, to_diagonal).sum() + (num_true - matched.sum()) / 2)


def one_group(values: np.ndarray, num_true: int, matching: str) -> np.ndarray:
    group = torch.zeros(len(values), dtype=torch.int64)
    return match_by_value(torch.as_tensor(values), group, torch.tensor([num_true]), matching=matching).numpy()


@given(diagrams, st.integers(0, 5))
def test_wasserstein_matching_has_the_least_cost(diagram, num_true):
    values = np.array(diagram, dtype=np.float64).reshape(-1, 2)
    matched = one_group(values, num_true, "wasserstein")
    assert matched.sum() <= num_true
    assert cost_of(values, matched, num_true) == pytest.approx(hungarian_cost(values, num_true), abs=1e-12)


def test_wasserstein_matching_costs_what_hera_says():
    rng = np.random.default_rng(3)
    for _ in range(50):
        death, birth = np.sort(rng.random((2, rng.integers(1, 12))), axis=0)
        num_true = int(rng.integers(1, 8))
        values = np.stack((birth, death), 1)
        distance = wasserstein_distance(
            values[:, ::-1].copy(), np.tile([[0.0, 1.0]], (num_true, 1)), order=2.0, internal_p=2.0
        )
        matched = one_group(values, num_true, "wasserstein")
        # Hera stops at a relative error of 1 % of the distance.
        assert cost_of(values, matched, num_true) == pytest.approx(distance**2, rel=0.021)


def test_rank_matching_differs_where_persistence_misleads():
    # Equal persistence would tie; the first is more persistent, the second closer to (1, 0) in cost.
    values = np.array([[0.62, 0.0], [0.81, 0.2]])
    assert one_group(values, 1, "rank").tolist() == [True, False]
    assert one_group(values, 1, "wasserstein").tolist() == [False, True]
    assert hungarian_cost(values, 1) == pytest.approx(cost_of(values, np.array([False, True]), 1))


def test_rank_matching_keeps_weak_features_and_wasserstein_drops_them():
    weak = np.array([[0.3, 0.2]])
    assert one_group(weak, 1, "rank").tolist() == [True]
    assert one_group(weak, 1, "wasserstein").tolist() == [False]


@given(st.lists(st.tuples(st.integers(0, 3), coordinates, coordinates), max_size=12), st.data())
def test_groups_are_matched_apart(features, data):
    num_true = torch.tensor(data.draw(st.lists(st.integers(0, 4), min_size=4, max_size=4)))
    group = torch.tensor([g for g, _, _ in features], dtype=torch.int64)
    values = torch.tensor([[max(a, b), min(a, b)] for _, a, b in features], dtype=torch.float64).reshape(-1, 2)
    for matching in ("wasserstein", "rank"):
        together = match_by_value(values, group, num_true, matching=matching)
        for g in range(4):
            alone = one_group(values[group == g].numpy(), int(num_true[g]), matching)
            assert together[group == g].tolist() == alone.tolist()
