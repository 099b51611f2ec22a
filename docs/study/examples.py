"""Pictures of repaired and remaining errors, for the test case that is worst without a topology loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
from methods import BASE
from numpy.typing import NDArray
from runs import mask_file
from sets import SETS, load_cases
from tables import summary
from training import Run

from monai_topo._utils.io import atomic_write
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, classify_errors
from monai_topo.visualize import error_overlay

SHOWN = (BASE, "soft clDice", "persistence, spatial", "soft clDice + persistence, spatial")
SIDE = 256  # pixels per side of the window


def write_examples(first: Run, cases: pd.DataFrame) -> None:
    """Write `examples.npz`, one picture `(rows, columns, 3)` per method with its structural errors in colors.

    Case and window are the worst of the pixel loss alone with the first seed, so the choice favors no topology loss.
    """
    study_set = SETS[first.set_name]
    base = cases[(cases.method == BASE) & (cases.seed == first.seed) & (cases.split == "test")]
    number = list(study_set.splits["test"]).index(base.case[base.betti_matching_error.idxmax()])
    label = load_cases(study_set, first.data, "test")[number]["label"][0].bool().numpy()
    weights = summary(cases).query("seed == @first.seed").set_index("method").weight
    pictures = {}
    window = (slice(None), slice(None))
    for method in (name for name in SHOWN if name in weights):
        with np.load(mask_file(first.out, method, float(weights[method]), first.seed)) as masks:
            mask = masks[f"arr_{number}"]
        errors = classify_errors(mask, label, connectivity=study_set.connectivity)
        if method == BASE:
            window = _worst_window(np.isin(errors, CHANGES_OF_TOPOLOGY))
        overlay = error_overlay(mask, label, errors, view_axis=label.ndim - 1)[window]
        pictures[method] = overlay.swapaxes(0, 1)  # the first axis of the data reader is x
    with atomic_write(first.out / "examples.npz") as file:
        np.savez_compressed(file, **pictures)


def _worst_window(errors: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Find the window with the most error voxels, in steps of a quarter of its size."""
    flat = errors if errors.ndim == 2 else errors.any(axis=2)
    starts = [range(0, max(1, size - SIDE + 1), SIDE // 4) for size in flat.shape]
    windows = [(slice(x, x + SIDE), slice(y, y + SIDE)) for x in starts[0] for y in starts[1]]
    return max(windows, key=lambda window: flat[window].sum())
