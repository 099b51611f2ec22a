"""Errors that TopoMortar published, beside those of the study: what a loss leaves of the errors of the pixel loss.

Means over the 50 test images and 10 seeds of raw masks, recomputed from the tables of the repository
jmlipman/TopoMortar (Valverde, Koga, Otsuka, Dahl, BMVC 2025, arXiv 2503.03365): DynUNet, 12 000 steps with 10 images
each, from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from methods import BASE
from tables import markdown_table, summary

# Betti errors of components and loops, by label and loss.
PUBLISHED = {
    "topomortar_accurate": {BASE: (3.31, 2.13), "soft clDice": (1.17, 1.41), "skeleton recall": (3.08, 1.73)},
    "topomortar_noisy": {BASE: (6.24, 5.08), "soft clDice": (5.01, 6.77), "skeleton recall": (3.79, 1.49)},
    "topomortar_pseudo": {BASE: (12.26, 12.00), "soft clDice": (1.80, 4.30)},
}
MEASURES = ("betti_error_0", "betti_error_1")


def beside_published(sets: Mapping[str, pd.DataFrame]) -> str:
    """Format one row per data set and loss: errors, and in brackets the share of those of the pixel loss."""
    rows = []
    for name, published in PUBLISHED.items():
        if name not in sets:
            continue
        here = summary(sets[name], cleaned=False).groupby("method")[list(MEASURES)].mean()
        for loss, errors in published.items():
            row = [f"`{name}`", loss]
            for k, measure in enumerate(MEASURES):
                for value, base in ((errors[k], published[BASE][k]), tuple(here[measure][[loss, BASE]])):
                    row.append(f"{value:.1f}" if loss == BASE else f"{value:.1f} ({value / base:.2f})")
            rows.append(row)
    return markdown_table(["labels", "loss", "b0, published", "b0, here", "b1, published", "b1, here"], rows)
