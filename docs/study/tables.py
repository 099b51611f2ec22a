"""Tables of a study, from its files alone."""

from __future__ import annotations

import pandas as pd
from methods import BASE
from runs import choose_weights

MEASURES = {
    "dice": "Dice",
    "cldice": "clDice",
    **{f"betti_error_{k}": f"b{k}" for k in range(3)},
    **{f"patch_betti_error_{k}": f"patch b{k}" for k in range(3)},
    "betti_matching_error": "Betti matching",
    "voi": "VOI",
    "adapted_rand_error": "Rand",
}


def summary(cases: pd.DataFrame) -> pd.DataFrame:
    """Mean over the test cases for each method (at its chosen weight) and seed."""
    weights = {**choose_weights(cases), BASE: 0.0}
    test = cases[(cases.split == "test") & (cases.weight == cases.method.map(weights).fillna(cases.weight))]
    measures = [name for name in MEASURES if name in test]
    return test.groupby(["method", "weight", "seed"], sort=False)[measures].mean().reset_index()


def markdown(cases: pd.DataFrame) -> str:
    """One row a method: mean over seeds ± standard deviation over seeds."""
    seeds = summary(cases)
    measures = [name for name in MEASURES if name in seeds]
    rows = [f"| loss | weight | seeds | {' | '.join(MEASURES[name] for name in measures)} |", "|---|" * 1]
    rows[1] = "|---" * (3 + len(measures)) + "|"
    for (method, weight), runs in seeds.groupby(["method", "weight"], sort=False):
        values = [_mean_and_spread(runs[name]) for name in measures]
        rows.append(f"| {method} | {weight:g} | {len(runs)} | {' | '.join(values)} |")
    return "\n".join(rows)


def _mean_and_spread(values: pd.Series) -> str:
    digits = 3 if values.mean() < 2 else 1
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1) if len(values) > 1 else 0:.{digits}f}"
