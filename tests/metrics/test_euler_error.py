"""The Euler characteristic error: hand-drawn cases and scikit-image's Euler number as oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from oracles import every_mask_setting, mask_pairs
from oracles.drawings import as_batch, drawn, label_image
from skimage.measure import euler_number

from monai_topo.metrics import EulerErrorMetric, compute_euler_error

RING = drawn("#####", "#...#", "#####", ".....")
TWO_SPECKS = drawn("#....", "...#.", ".....", ".....")
EMPTY = torch.zeros_like(RING)


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        pytest.param(RING, EMPTY, 0, id="a ring counts as nothing"),
        pytest.param(RING, TWO_SPECKS, 2, id="two components for a ring"),
        pytest.param(TWO_SPECKS, EMPTY, 2, id="empty label"),
        pytest.param(EMPTY, TWO_SPECKS, 2, id="empty prediction"),
        pytest.param(~EMPTY, EMPTY, 1, id="full prediction"),
        pytest.param(EMPTY, EMPTY, 0, id="both empty"),
        pytest.param(~EMPTY, ~EMPTY, 0, id="both full"),
    ],
)
def test_hand_drawn(pred: torch.Tensor, true: torch.Tensor, expected: int) -> None:
    assert compute_euler_error(pred, true).tolist() == [[expected]]


def test_foreground_border_closes_what_touches_it() -> None:
    bar = drawn(".......", "#######", ".......")
    empty = torch.zeros_like(bar)
    # Open: one component. Relative to the frame: the bar divides the inside into two cells, one more hole than without.
    assert compute_euler_error(bar, empty).item() == 1
    assert compute_euler_error(bar, empty, border="foreground").item() == 1
    assert compute_euler_error(~empty, empty).item() == 1
    assert compute_euler_error(~empty, empty, border="foreground").item() == 0


def relative_euler_number(mask: np.ndarray, *, connectivity: str, border: str) -> int:
    """Euler number; with a foreground border that of the framed mask minus that of the frame alone.

    A full mask closes the frame, a class of dimension d, which Betti numbers up to d-1 leave out.
    """
    reach = mask.ndim if connectivity == "full" else 1
    if border == "open":
        return int(euler_number(mask, connectivity=reach))
    if mask.all():
        return 0
    framed, frame = (np.pad(inside, 1, constant_values=True) for inside in (mask, np.zeros_like(mask)))
    return int(euler_number(framed, connectivity=reach) - euler_number(frame, connectivity=reach))


@every_mask_setting
@given(masks=mask_pairs(9, 5))
def test_equals_scikit_image(masks: tuple[np.ndarray, np.ndarray], setting: dict[str, str]) -> None:
    pred, true = masks
    error = compute_euler_error(as_batch(pred), as_batch(true), **setting)
    expected = abs(relative_euler_number(pred, **setting) - relative_euler_number(true, **setting))
    assert error.tolist() == [[expected]]


def test_channels_and_images_are_independent() -> None:
    pred = torch.cat([torch.cat([RING, TWO_SPECKS], 1), torch.cat([EMPTY, ~EMPTY], 1)])
    true = torch.cat([torch.cat([TWO_SPECKS, TWO_SPECKS], 1), torch.cat([TWO_SPECKS, EMPTY], 1)])
    assert compute_euler_error(pred, true).tolist() == [[2, 0], [2, 1]]
    assert compute_euler_error(pred, true, include_background=False).tolist() == [[0], [1]]
    metric = EulerErrorMetric(include_background=False)
    assert metric(pred, true).tolist() == [[0], [1]]
    assert metric.aggregate().tolist() == [0.5]


def test_real_vessels(shared_data: Path) -> None:
    vessels = as_batch(label_image(shared_data / "drive" / "labels" / "21.gif", threshold=0))
    empty = torch.zeros_like(vessels)
    # betti_of_labels.json: (19, 56) with the vessels 8-connected, (437, 25) with 4.
    assert compute_euler_error(vessels, empty).item() == 56 - 19
    assert compute_euler_error(vessels, empty, connectivity="face").item() == 437 - 25
