"""Pictures of errors: every kind has its color, and every shape can be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from monai_topo.handlers.panels import error_panel

MISSING, BREAK, SPURIOUS, BRIDGE, FILLED, HOLE = "#d55e00", "#f0b400", "#2d8fd5", "#56d4f4", "#cc79a7", "#00b386"
KINDS = MISSING, BREAK, SPURIOUS, BRIDGE, FILLED, HOLE
ENDS = "#9a8a5c", "#6f8b99"


def colored(prediction: np.ndarray, label: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Colors of errors in a panel, with the center (y, x) of each."""
    panel = error_panel(prediction, label)
    seen = {color: (panel == tuple(bytes.fromhex(color[1:]))).all(-1) for color in (*KINDS, *ENDS)}
    return {color: tuple(np.argwhere(where).mean(0)) for color, where in seen.items() if where.any()}


def ring(shape: tuple[int, ...]) -> np.ndarray:
    """A ring three voxels thick in the plane of the first two axes; in a volume with margin above and below."""
    plane = np.zeros(shape[:2], dtype=bool)
    plane[4:21, 5:30] = True
    plane[7:18, 8:27] = False
    if len(shape) == 2:
        return plane
    volume = np.zeros(shape, dtype=bool)
    volume[:, :, 4:7] = plane[..., None]
    return volume


@pytest.mark.parametrize("shape", [(25, 36), (25, 36, 11)])
def test_loops_and_components_are_colored(shape: tuple[int, ...]) -> None:
    label = ring(shape)
    opened, halved, bare = label.copy(), label.copy(), label.copy()
    opened[11:14, 5:8] = False
    assert colored(opened, label) == {BREAK: (6, 12)}  # a loop is missing: a break; the readers' x is upright here
    assert colored(label, opened) == {BRIDGE: (6, 12)}  # a loop is spurious: a bridge
    halved[:, 16:19] |= label.any(axis=1, keepdims=True)  # a rung: two loops for one
    assert list(colored(halved, label)) == [BRIDGE]
    bare[:] = False
    dot = bare.copy()
    dot[11:14, 16:19] = label.any(axis=(0, 1))
    assert colored(bare, dot) == {MISSING: (17, 12)}
    assert colored(dot, bare) == {SPURIOUS: (17, 12)}
    assert colored(label, label) == {}


def test_cavities_and_pinholes_are_colored() -> None:
    solid = np.zeros((25, 36, 11), dtype=bool)
    solid[5:20, 6:30, 2:9] = True
    hollow = solid.copy()
    hollow[12, 20, 5] = False
    assert colored(solid, hollow)[FILLED] == (20, 12)
    assert colored(hollow, solid)[HOLE] == (20, 12)


@pytest.mark.parametrize("shape", [(15, 24), (6, 15, 24)])
def test_empty_full_and_volumes_can_be_drawn(shape: tuple[int, ...]) -> None:
    empty, full = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
    for prediction, label in ((empty, empty), (full, empty), (empty, full), (full, full)):
        assert error_panel(prediction, label).shape == (24, 15, 3)  # x first in memory, y first in a picture
