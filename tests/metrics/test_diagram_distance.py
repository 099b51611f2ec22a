"""Distances of persistence diagrams: GUDHI on GUDHI's diagrams, hand-drawn cases, stability, a real image."""

from __future__ import annotations

import math
from pathlib import Path

import gudhi
import gudhi.hera
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import smooth_image
from oracles.drawings import as_batch, drawn, label_image
from oracles.gudhi_diagrams import gudhi_diagram
from PIL import Image
from scipy.optimize import linear_sum_assignment

from monai_topo.metrics import DiagramDistanceMetric, compute_diagram_distance

ORDERS = [1.0, 2.0, 3.5, math.inf]


def bottleneck(one: np.ndarray, other: np.ndarray) -> float:
    """The least cost that suffices for a perfect matching, by assignment; GUDHI where there are many points.

    Of a few points many are equal here, and then `gudhi.bottleneck_distance` is wrong now and then.
    """
    p, q = len(one), len(other)
    if p + q > 60:
        return float(gudhi.bottleneck_distance(one, other))
    cost = np.zeros((p + q, p + q))
    cost[:p, :q] = np.abs(one[:, None] - other[None]).max(2)
    cost[:p, q:] = np.diff(one, axis=1) / 2
    cost[p:, :q] = np.diff(other, axis=1).T / 2
    for limit in np.unique(np.append(cost, 0)):
        too_far = cost > limit
        if not too_far[linear_sum_assignment(too_far)].any():
            return float(limit)
    raise AssertionError


def oracle(pred: np.ndarray, true: np.ndarray, *, order: float, connectivity: str, border: str) -> list[float]:
    """The distance of GUDHI's diagrams; the essential component of an open border has death 0."""
    distances = []
    for dim in range(pred.ndim):
        above = []
        for image in (pred, true):
            points = gudhi_diagram(image, filtration="superlevel", connectivity=connectivity, border=border)
            diagram = [(death, birth) for k, birth, death in points if k == dim]
            if dim == 0 and border == "open":
                diagram.append((0.0, image.max()))
            above.append(np.array(sorted(point for point in diagram if point[0] < point[1])).reshape(-1, 2))
        if order == math.inf:
            distances.append(bottleneck(*above))
        else:
            distances.append(gudhi.hera.wasserstein_distance(*above, order=order, internal_p=math.inf, delta=1e-6))
    return distances


LINE = drawn("........", "########", "........")
RING = drawn("#####...", "#...#...", "#####...")
EMPTY, FULL = torch.zeros_like(LINE), torch.ones_like(LINE)


@pytest.mark.parametrize(
    ("likelihood", "label", "order", "expected"),
    [
        pytest.param(0.7 * LINE, LINE, 2.0, [0.3, 0], id="too faint"),
        pytest.param(0.4 * LINE, LINE, 2.0, [math.sqrt(0.2**2 + 0.5**2), 0], id="both to the diagonal"),
        pytest.param(LINE, RING, 1.0, [0, 0.5], id="missing loop"),
        pytest.param(RING, LINE, math.inf, [0, 0.5], id="false loop"),
        pytest.param(EMPTY, LINE, 2.0, [0.5, 0], id="nothing predicted"),
        pytest.param(0.6 * LINE, EMPTY, 2.0, [0.3, 0], id="empty label"),
        pytest.param(EMPTY, EMPTY, 2.0, [0, 0], id="both empty"),
        pytest.param(FULL, FULL, 2.0, [0, 0], id="both full"),
        pytest.param(0.9 * FULL, LINE, math.inf, [0.1, 0], id="constant likelihood"),
    ],
)
def test_hand_drawn(likelihood: torch.Tensor, label: torch.Tensor, order: float, expected: list[float]) -> None:
    assert compute_diagram_distance(likelihood, label, order=order)[0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("order", ORDERS)
def test_a_soft_label_and_its_mirror_image_have_distance_zero(order: float) -> None:
    soft = torch.from_numpy(np.random.default_rng(3).random((1, 1, 7, 10)))
    assert compute_diagram_distance(soft.flip(-1), soft, order=order).tolist() == [[[0, 0]]]


def test_frame_does_not_count() -> None:
    # Relative to the frame the line is not a component of its own, but it divides the inside into two cells.
    distance = compute_diagram_distance(EMPTY, LINE, border="foreground", order=1)
    assert distance[0, 0].tolist() == [0, 0.5]
    assert compute_diagram_distance(0.2 * FULL, FULL, border="foreground").sum() == 0


shapes = st.tuples(st.integers(1, 5), st.integers(1, 7)) | st.tuples(*[st.integers(1, 4)] * 3)
levels = st.integers(0, 8).map(lambda level: level / 8)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(data=st.data())
def test_equals_gudhi(data: st.DataObject, connectivity: str, border: str, order: float) -> None:
    shape = data.draw(shapes)
    pred = data.draw(arrays(float, shape, elements=levels))
    soft = data.draw(st.booleans())
    true = data.draw(arrays(float, shape, elements=levels if soft else st.sampled_from([0.0, 1.0])))
    setting = {"connectivity": connectivity, "border": border, "order": order}
    found = compute_diagram_distance(as_batch(pred), as_batch(true), **setting)[0, 0].tolist()
    assert found == pytest.approx(oracle(pred, true, **setting), rel=2e-3 if soft else 1e-5, abs=1e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(40, 57), (11, 17, 14)], ids=str)
def test_equals_gudhi_on_many_points(shape: tuple[int, ...], order: float) -> None:
    generator = np.random.default_rng(1)
    true = (smooth_image(generator, shape) > 0).astype(float)
    pred = np.clip(true * 0.6 + 0.2 + 0.25 * smooth_image(generator, shape, 0.7), 0, 1)
    setting = {"connectivity": "full", "border": "open", "order": order}
    found = compute_diagram_distance(as_batch(pred), as_batch(true), **setting)[0, 0].tolist()
    assert found == pytest.approx(oracle(pred, true, **setting), rel=1e-4)
    assert min(found) > 0


@given(data=st.data())
def test_bottleneck_distance_is_stable(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    pred, true = (data.draw(arrays(float, shape, elements=levels)) for _ in range(2))
    distance = compute_diagram_distance(as_batch(pred), as_batch(true), order=math.inf)
    assert distance.max() <= np.abs(pred - true).max() + 1e-6


def test_dimensions_settings_and_dtypes() -> None:
    likelihood = torch.cat([0.75 * RING, 0.5 * LINE], 1)
    label = torch.cat([RING, LINE], 1)
    by_dim = [DiagramDistanceMetric(dim=dim, order=1.0)(likelihood, label) for dim in (0, 1)]
    assert [values.tolist() for values in by_dim] == [[[0.25, 0.5]], [[0.25, 0]]]
    assert torch.equal(DiagramDistanceMetric(order=1)(likelihood, label), sum(by_dim))
    assert torch.equal(compute_diagram_distance(likelihood.half(), label), compute_diagram_distance(likelihood, label))
    torch.manual_seed(0)
    noise, mask = torch.rand(1, 1, 9, 14), torch.rand(1, 1, 9, 14) > 0.6
    setting = {"connectivity": "face", "border": "foreground", "order": 1.5}
    found = DiagramDistanceMetric(**setting)(noise, mask)
    for name in setting:
        others = {key: value for key, value in setting.items() if key != name}
        assert not torch.equal(DiagramDistanceMetric(**others)(noise, mask), found)


@pytest.mark.parametrize("strange", [RING * 1.5, -RING.float(), RING / 0], ids=["above", "below", "nan"])
def test_values_that_are_not_likelihoods_are_refused(strange: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"Expected `y_pred` to hold values in \[0, 1\]"):
        compute_diagram_distance(strange, RING)
    with pytest.raises(ValueError, match=r"Expected `y` to hold values in \[0, 1\]"):
        compute_diagram_distance(RING, strange)


@pytest.mark.parametrize("order", [0, 0.5, -1, math.nan])
def test_impossible_orders_are_refused_at_once(order: float) -> None:
    with pytest.raises(ValueError, match="Expected `order` to be at least 1"):
        compute_diagram_distance(RING, RING, order=order)
    with pytest.raises(ValueError, match="Expected `order` to be at least 1"):
        DiagramDistanceMetric(order=order)


def test_real_image_as_its_own_likelihood(shared_data: Path) -> None:
    folder = shared_data / "isbi2012"
    name = sorted(path.name for path in (folder / "labels").iterdir())[0]
    with Image.open(folder / "images" / name) as image:
        pred = 1 - np.array(image)[:160, :200] / 255
    true = ~label_image(folder / "labels" / name)[:160, :200]
    setting = {"connectivity": "full", "border": "open", "order": math.inf}
    found = compute_diagram_distance(as_batch(pred), as_batch(true), **setting)[0, 0].tolist()
    assert found == pytest.approx(oracle(pred, true.astype(float), **setting), rel=1e-5)
