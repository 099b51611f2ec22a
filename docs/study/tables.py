"""Tables of a study, computed from its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from methods import BASE, COMPARED, METHODS
from runs import choose_weights
from sets import Split

MEASURES = {
    "dice": "Dice",
    "cldice": "clDice",
    **{f"betti_error_{k}": f"b{k}" for k in range(3)},
    **{f"patch_betti_error_{k}": f"patch b{k}" for k in range(3)},
    "betti_matching_error": "Betti matching",
    "voi": "VOI",
    "adapted_rand_error": "Rand",
}
# By location: in Betti errors a missing and a spurious feature cancel.
PLACES = {f"{kind}_{k}": f"{kind} b{k}" for k in range(3) for kind in ("spurious", "missing")}


def summary(cases: pd.DataFrame, split: Split = "test") -> pd.DataFrame:
    """Compute the mean over the cases of a split for each method, at its chosen weight, and each seed."""
    weights = {BASE: 0.0, **choose_weights(cases)}
    chosen = cases[(cases.split == split) & (cases.weight == cases.method.map(weights))]
    measures = [name for name in [*MEASURES, *PLACES] if name in chosen]
    means = chosen.groupby(["method", "weight", "seed"])[measures].mean().reset_index()
    return means.sort_values("method", key=lambda names: names.map([*METHODS].index), kind="stable")


def chosen_here(cases: pd.DataFrame) -> bool:
    """Return whether the weights were chosen on this set rather than on another one."""
    return bool(cases[cases.method.isin(COMPARED)].groupby("method").weight.nunique().max() > 1)


def markdown(cases: pd.DataFrame, titles: Mapping[str, str] = MEASURES, split: Split = "test") -> str:
    """Format one row per method: mean ± standard deviation over seeds."""
    seeds = summary(cases, split)
    measures = [name for name in titles if name in seeds]
    heads = ["loss", "weight", "seeds", *(titles[name] for name in measures)]
    rows = [
        [str(method), f"{runs.weight.iloc[0]:g}", str(len(runs)), *(_mean_and_spread(runs[name]) for name in measures)]
        for method, runs in seeds.groupby("method", sort=False)
    ]
    return _table(heads, rows)


def _mean_and_spread(values: pd.Series) -> str:
    digits = 3 if values.mean() < 2 else 1
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def overview(sets: Mapping[str, pd.DataFrame], methods: Sequence[str]) -> str:
    """Format one row per data set and method: points of Dice gained, and the remaining share of each error."""
    errors = ("betti_error_0", "betti_error_1", "betti_error_2", "betti_matching_error", "voi", "adapted_rand_error")
    rows = []
    for name, cases in sets.items():
        means = summary(cases).groupby("method").mean(numeric_only=True)
        for method in (method for method in methods if method in means.index):
            gained = round(100 * (means.dice[method] - means.dice[BASE]), 1) + 0.0  # no minus zero
            left = [f"{means[e][method] / means[e][BASE]:.2f}" if e in means else "" for e in errors]
            rows.append([f"`{name}`", method, f"{gained:+.1f}", *left])
    return _table(["set", "loss", "Dice, points", *(MEASURES[error] for error in errors)], rows)


def cost(runs: pd.DataFrame) -> str:
    """Format one row per method: computing time per step, its ratio to the pixel loss alone, and peak memory."""
    means = runs.groupby("method", sort=False)[["seconds_per_step", "peak_mib"]].median()
    base = float(means.seconds_per_step[BASE])
    rows = [
        [str(method), f"{seconds:.3f}", f"{seconds / base:.2f}", f"{memory:.0f}"]
        for method, (seconds, memory) in means.iterrows()
    ]
    return _table(["loss", "s a step, one core", "x", "peak MiB"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
