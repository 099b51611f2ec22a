"""What was mended and what was not, to look at: the first test case, as the first seed's networks see it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from methods import BASE
from numpy.typing import NDArray
from runs import mask_file
from sets import SETS, load_cases
from tables import summary
from training import Run

from monai_topo._files import whole_file
from monai_topo.structure_errors import classified_errors
from monai_topo.visualize import error_overlay

SHOWN = (BASE, "soft clDice", "persistence, spatial", "soft clDice + persistence, spatial")
SIDE = 256  # pixels of the middle of the image that are shown


def write_examples(first: Run, cases: pd.DataFrame) -> None:
    """Write `examples.npz`, a picture `(rows, columns, 3)` a method: errors of structure in colours."""
    study_set = SETS[first.set_name]
    label = load_cases(study_set, first.data, "test")[0]["label"][0].bool().numpy()
    weights = summary(cases).query("seed == @first.seed").set_index("method").weight
    pictures = {}
    for method in (name for name in SHOWN if name in weights):
        with np.load(mask_file(first.out, method, float(weights[method]), first.seed)) as masks:
            mask = masks["arr_0"]
        errors = classified_errors(mask, label, connectivity=study_set.connectivity)
        overlay = error_overlay(mask, label, errors, view_axis=label.ndim - 1)
        pictures[method] = _middle(overlay.swapaxes(0, 1))  # the reader's first axis is x
    with whole_file(first.out / "examples.npz") as file:
        np.savez_compressed(file, **pictures)


def _middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = (slice(max(0, (size - SIDE) // 2), (size + SIDE) // 2) for size in picture.shape[:2])
    return picture[rows, columns]
