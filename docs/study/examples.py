"""Pictures of what is left after the clean-up, for the test case that is worst without a topology term."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from methods import BASE, COMPARED
from numpy.typing import NDArray
from scoring import METRIC, choose, read_likelihoods
from sets import load_cases
from tables import summary
from training import Run

from monai_topo._utils.io import atomic_write
from monai_topo.masks.structure_errors import CHANGES_OF_TOPOLOGY, classify_errors
from monai_topo.visualize import error_overlay

SIDE = 256  # pixels per side of the window


def write_examples(first: Run, cases: pd.DataFrame) -> None:
    """Write `examples.npz`, one picture `(rows, columns, 3)` per method with its structural errors in colors.

    Case and window are the worst of the cleaned pixel loss alone with the first seed, so the choice favors no term.
    The pictures are of the raw and the cleaned pixel loss, and of the cleaned masks of the compared methods.
    """
    base = cases.query("method == @BASE and seed == 0 and split == 'test' and cleaned")
    number = int(base.case[base[METRIC].idxmax()])
    label = load_cases(first.study_set, first.data, "test")[number]["label"][0].numpy() > 0
    weights = summary(cases, cleaned=True).query("seed == 0").set_index("method").weight
    masks = {}
    for method in (name for name in (BASE, *COMPARED) if name in weights):
        file = replace(first, method=method, weight=float(weights[method])).likelihoods
        likelihood = read_likelihoods(file, "test")[number]
        if method == BASE:
            masks[f"{method}, raw"] = likelihood > 0.5
        cleanup = choose(first.study_set, first.data, file).cleanup
        masks[method] = np.asarray(cleanup(likelihood[None]))[0] > 0
    errors = {
        name: classify_errors(mask, label, connectivity=first.study_set.connectivity) for name, mask in masks.items()
    }
    window = _worst_window(np.isin(errors[BASE], CHANGES_OF_TOPOLOGY))
    pictures = {
        # The first axis of the data reader is x.
        name: error_overlay(mask, label, errors[name], view_axis=label.ndim - 1)[window].swapaxes(0, 1)
        for name, mask in masks.items()
    }
    with atomic_write(first.out / "examples.npz") as file:
        np.savez_compressed(file, **pictures)


def _worst_window(errors: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Find the window with the most error voxels, in steps of a quarter of its size."""
    flat = errors if errors.ndim == 2 else errors.any(axis=2)
    starts = [range(0, max(1, size - SIDE + 1), SIDE // 4) for size in flat.shape]
    windows = [(slice(x, x + SIDE), slice(y, y + SIDE)) for x in starts[0] for y in starts[1]]
    return max(windows, key=lambda window: flat[window].sum())
