"""Detection of components: hand-drawn cases, an assignment problem, MONAI's panoptic quality."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_panoptic_quality
from oracles.drawings import as_batch, drawn
from scipy.optimize import linear_sum_assignment
from skimage.measure import label as label_components

from monai_topo.metrics import compute_component_detection

NAN = float("nan")


def values(result: tuple[torch.Tensor, ...]) -> list[float]:
    """The parts of one image and channel."""
    return [part.item() for part in result]


SPECKS = drawn("##..##..##", "##..##..##", "..........")
EMPTY, FULL = torch.zeros_like(SPECKS), torch.ones_like(SPECKS)


ids = arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(2, 9)), elements=st.integers(0, 4))
ids_3d = arrays(
    np.int64, st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(1, 5)), elements=st.integers(0, 3)
)


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        pytest.param(SPECKS, SPECKS, [3, 0, 0, 1, 1, 1], id="perfect"),
        pytest.param(EMPTY, SPECKS, [0, 0, 3, NAN, 0, 0], id="empty prediction"),
        pytest.param(SPECKS, EMPTY, [0, 3, 0, 0, NAN, 0], id="empty label"),
        pytest.param(EMPTY, EMPTY, [0, 0, 0, NAN, NAN, NAN], id="both empty"),
        pytest.param(FULL, FULL, [1, 0, 0, 1, 1, 1], id="both full"),
        pytest.param(FULL, SPECKS, [0, 1, 3, 0, 0, 0], id="full prediction"),
    ],
)
def test_detection_hand_drawn(pred: torch.Tensor, true: torch.Tensor, expected: list[float]) -> None:
    assert values(compute_component_detection(pred, true)) == pytest.approx(expected, nan_ok=True)


def test_overlap_must_be_greater_than_the_threshold() -> None:
    half = drawn("##........", "..........", "..........")  # half of one of three specks: IoU 1/2
    hits = [compute_component_detection(half, SPECKS, min_iou=x).true_positives.item() for x in (0.5, 0.49, 0)]
    assert hits == [0, 1, 1]


def test_maximum_matching_needs_an_augmenting_path() -> None:
    # Predicted 1 overlaps both true components, predicted 2 only the first: matching by size finds one pair of two.
    true = as_batch(np.array([[1, 1, 1, 1, 1, 2, 2, 0]]))
    pred = as_batch(np.array([[2, 1, 1, 1, 1, 1, 0, 0]]))
    assert compute_component_detection(pred, true, instances="given", min_iou=0).true_positives.item() == 2


def test_each_component_is_used_once() -> None:
    # Predicted 1 covers two true components, two predicted components cover true 3: two pairs, not three.
    true = as_batch(np.array([[1, 1, 2, 2, 0, 3, 3]]))
    pred = as_batch(np.array([[1, 1, 1, 1, 0, 2, 3]]))
    found = compute_component_detection(pred, true, instances="given", min_iou=0)
    assert values(found)[:3] == [2, 1, 1]


@given(true=ids, data=st.data(), min_iou=st.sampled_from([0, 0.1, 0.25, 0.4]))
def test_detection_equals_an_assignment_problem(true: np.ndarray, data: st.DataObject, min_iou: float) -> None:
    pred = data.draw(arrays(np.int64, true.shape, elements=st.integers(0, 4)))
    iou = [
        [((pred == p) & (true == t)).sum() / ((pred == p) | (true == t)).sum() for p in np.unique(pred[pred > 0])]
        for t in np.unique(true[true > 0])
    ]
    allowed = np.array(iou).reshape(len(np.unique(true[true > 0])), len(np.unique(pred[pred > 0]))) > min_iou
    hits = allowed[linear_sum_assignment(-allowed.astype(int))].sum()
    found = compute_component_detection(as_batch(pred), as_batch(true), instances="given", min_iou=min_iou)
    assert values(found)[:3] == [hits, allowed.shape[1] - hits, allowed.shape[0] - hits]


def test_f1_is_the_recognition_quality_of_panoptic_quality() -> None:
    generator = np.random.default_rng(3)
    true = label_components(generator.random((30, 41)) < 0.5, connectivity=1)
    pred = label_components((true > 0) ^ (generator.random(true.shape) < 0.04), connectivity=1)
    f1 = compute_component_detection(as_batch(pred), as_batch(true), instances="given").f1.item()
    quality = compute_panoptic_quality(torch.from_numpy(pred), torch.from_numpy(true), metric_name="rq")
    assert 0.2 < f1 < 0.98
    assert f1 == pytest.approx(quality.item(), abs=1e-4)
