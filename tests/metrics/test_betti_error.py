"""The Betti number error: hand-drawn cases, a scipy oracle, the patch protocols, the class's conventions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from oracles import every_mask_setting, mask_pairs
from oracles.betti_by_labeling import betti_by_labeling
from oracles.drawings import as_batch, drawn

from monai_topo.metrics import compute_betti_error


def oracle_error(pred: np.ndarray, true: np.ndarray, *, connectivity: str = "full", border: str = "open") -> list[int]:
    """The error from labeled components, components of the complement, and the Euler characteristic."""
    counts = [betti_by_labeling(mask, connectivity=connectivity, border=border) for mask in (pred, true)]
    return [abs(p - t) for p, t in zip(*counts, strict=True)]


# ---------------------------------------------------------------- hand-drawn cases


RING = drawn(
    ".........",
    ".#######.",
    ".#.....#.",
    ".#######.",
    ".........",
)
BROKEN_RING = drawn(
    ".........",
    ".###.###.",
    ".#.....#.",
    ".#######.",
    ".........",
)
SPLIT_RING = drawn(
    ".........",
    ".###.###.",
    ".#.....#.",
    ".###.###.",
    ".........",
)
RING_AND_SPECK = drawn(
    ".........",
    ".#######.",
    ".#..#..#.",
    ".#######.",
    ".........",
)
BAR = drawn(
    ".......",
    "#######",
    ".......",
    ".......",
)
BROKEN_BAR = drawn(
    ".......",
    "###.###",
    ".......",
    ".......",
)
DIAGONAL = drawn(
    ".....",
    ".#...",
    "..#..",
    ".....",
)
TWO_BLOBS = drawn(
    "......",
    ".#..#.",
    ".#..#.",
)
BRIDGED = drawn(
    "......",
    ".####.",
    ".#..#.",
)
BLOB = drawn(
    "......",
    ".####.",
    ".####.",
    ".####.",
    "......",
)
BLOB_WITH_HOLES = drawn(
    "......",
    ".####.",
    ".#.#..",
    ".####.",
    "......",
)


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        pytest.param(BROKEN_RING, RING, [0, 1], id="broken ring"),
        pytest.param(SPLIT_RING, RING, [1, 1], id="ring in two halves"),
        pytest.param(RING_AND_SPECK, RING, [0, 1], id="a wall across the ring"),
        pytest.param(BRIDGED, TWO_BLOBS, [1, 0], id="bridge"),
        pytest.param(BLOB_WITH_HOLES, BLOB, [0, 1], id="hole"),
        pytest.param(RING, torch.zeros_like(RING), [1, 1], id="empty label"),
        pytest.param(torch.zeros_like(RING), RING, [1, 1], id="empty prediction"),
        pytest.param(torch.ones_like(RING), RING, [0, 1], id="full prediction"),
        pytest.param(torch.zeros_like(RING), torch.ones_like(RING), [1, 0], id="empty against full"),
        pytest.param(torch.zeros_like(RING), torch.zeros_like(RING), [0, 0], id="both empty"),
        pytest.param(torch.ones_like(RING), torch.ones_like(RING), [0, 0], id="both full"),
    ],
)
def test_hand_drawn_2d(pred: torch.Tensor, true: torch.Tensor, expected: list[int]) -> None:
    assert compute_betti_error(pred, true)[0, 0].tolist() == expected
    assert compute_betti_error(true, pred)[0, 0].tolist() == expected


def torus_shell_and_speck() -> dict[str, torch.Tensor]:
    """Small solids in a 5 x 7 x 8 volume, one image and channel."""
    shell = torch.zeros(1, 1, 5, 7, 8, dtype=torch.bool)
    shell[..., 1:4, 1:4, 1:4] = True
    shell[..., 2, 2, 2] = False
    torus = torch.zeros_like(shell)
    torus[..., 2, 1:6, 2:7] = True
    torus[..., 2, 3, 4] = False
    broken_torus = torus.clone()
    broken_torus[..., 2, 3, 5:] = False
    opened_shell = shell.clone()
    opened_shell[..., 1, 2, 2] = False
    speck = torch.zeros_like(shell)
    speck[..., 3, 5, 6] = True
    empty = torch.zeros_like(shell)
    return {
        "shell": shell,
        "opened shell": opened_shell,
        "pierced shell": opened_shell & ~torch.roll(opened_shell ^ shell, 2, dims=2),
        "torus": torus,
        "broken torus": broken_torus,
        "shell and speck": shell | speck,
        "empty": empty,
        "full": ~empty,
    }


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        ("shell", "empty", [1, 0, 1]),
        ("opened shell", "shell", [0, 0, 1]),
        ("pierced shell", "shell", [0, 1, 1]),
        ("torus", "empty", [1, 1, 0]),
        ("broken torus", "torus", [0, 1, 0]),
        ("shell and speck", "shell", [1, 0, 0]),
        ("torus", "shell", [0, 1, 1]),
        ("full", "empty", [1, 0, 0]),
        ("empty", "empty", [0, 0, 0]),
        ("full", "full", [0, 0, 0]),
    ],
)
def test_hand_drawn_3d(pred: str, true: str, expected: list[int]) -> None:
    solids = torus_shell_and_speck()
    assert compute_betti_error(solids[pred], solids[true])[0, 0].tolist() == expected
    assert compute_betti_error(solids[true], solids[pred])[0, 0].tolist() == expected


def test_border_decides_whether_a_cut_structure_is_closed() -> None:
    # Open: the bar splits in two. Foreground: both halves belong to the frame, but the cells above and below merge.
    assert compute_betti_error(BROKEN_BAR, BAR)[0, 0].tolist() == [1, 0]
    assert compute_betti_error(BROKEN_BAR, BAR, border="foreground")[0, 0].tolist() == [0, 1]
    full = torch.ones_like(BAR)
    assert compute_betti_error(full, torch.zeros_like(BAR), border="foreground")[0, 0].tolist() == [0, 0]
    assert compute_betti_error(full, BAR, border="foreground")[0, 0].tolist() == [0, 1]


def test_connectivity_is_that_of_the_foreground() -> None:
    empty = torch.zeros_like(DIAGONAL)
    assert compute_betti_error(DIAGONAL, empty)[0, 0].tolist() == [1, 0]
    assert compute_betti_error(DIAGONAL, empty, connectivity="face")[0, 0].tolist() == [2, 0]


@every_mask_setting
@given(masks=mask_pairs(9, 5))
def test_equals_labeled_components(masks: tuple[np.ndarray, np.ndarray], setting: dict[str, str]) -> None:
    pred, true = masks
    error = compute_betti_error(as_batch(pred), as_batch(true), **setting)
    assert error[0, 0].tolist() == oracle_error(pred, true, **setting)
