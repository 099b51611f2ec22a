"""Tables of a study, computed from its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from methods import BASE, METHODS
from runs import choose_weights
from scipy.stats import wilcoxon
from scoring import METRIC

MEASURES = {
    METRIC: "Betti matching",
    "dice": "Dice",
    "cldice": "clDice",
    **{f"betti_error_{k}": f"b{k}" for k in range(3)},
    **{f"{kind}_{k}": f"{kind} b{k}" for k in range(3) for kind in ("spurious", "missing")},
    "voi": "VOI",
    "adapted_rand_error": "Rand",
}


def chosen_runs(cases: pd.DataFrame) -> pd.DataFrame:
    """Select the test cases of each method at its chosen weight."""
    weights = {BASE: 0.0, **choose_weights(cases)}
    is_chosen = cases.weight == cases.method.map(weights)
    return cases[(cases.split == "test") & is_chosen]


def summary(cases: pd.DataFrame, *, cleaned: bool) -> pd.DataFrame:
    """Compute the mean over the test cases for each method, at its chosen weight, and each seed."""
    chosen = chosen_runs(cases)
    measures = [name for name in MEASURES if name in chosen]
    means = chosen[chosen.cleaned == cleaned].groupby(["method", "weight", "seed"])[measures].mean().reset_index()
    return means.sort_values("method", key=lambda names: names.map([*METHODS].index), kind="stable")


def markdown(cases: pd.DataFrame, *, cleaned: bool) -> str:
    """Format one row per method: mean ± standard deviation over seeds, and the p-value of the Betti matching error."""
    seeds = summary(cases, cleaned=cleaned)
    measures = [name for name in MEASURES if name in seeds]
    heads = ["loss", "weight", "seeds", "p", *(MEASURES[name] for name in measures)]
    rows = []
    for method, runs in seeds.groupby("method", sort=False):
        numbers = [_mean_and_spread(runs[name]) for name in measures]
        p_value = "" if method == BASE else p_against_base(cases, str(method), cleaned=cleaned)
        rows.append([str(method), f"{runs.weight.iloc[0]:g}", str(len(runs)), p_value, *numbers])
    return markdown_table(heads, rows)


def p_against_base(cases: pd.DataFrame, method: str, *, cleaned: bool) -> str:
    """Test the Betti matching errors of a method against those of the pixel loss, paired over cases and seeds."""
    chosen = chosen_runs(cases)
    errors = chosen[chosen.cleaned == cleaned].pivot_table(METRIC, ["case", "seed"], "method")
    difference = (errors[method] - errors[BASE]).dropna()
    if not difference.any():
        return "1"
    return f"{wilcoxon(difference).pvalue:.1g}"


def _mean_and_spread(values: pd.Series) -> str:
    digits = 3 if values.mean() < 2 else 1
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def overview(sets: Mapping[str, pd.DataFrame], methods: Sequence[str]) -> str:
    """Format one row per data set and method: the share of each error of the pixel loss that is left after clean-up."""
    errors = [name for name in MEASURES if name not in ("dice", "cldice") and not name.startswith(("sp", "mi"))]
    rows = []
    for name, cases in sets.items():
        seeds = {cleaned: summary(cases, cleaned=cleaned) for cleaned in (False, True)}
        for method in (method for method in methods if method in set(seeds[True].method)):
            (raw, _), (shares, gained) = (_shares_left(seeds[cleaned], method) for cleaned in (False, True))
            left = [f"{shares[e]:.2f}" if np.isfinite(shares.get(e, np.nan)) else "" for e in errors]
            rows.append([f"`{name}`", method, f"{raw[METRIC]:.2f}", *left, f"{gained:+.1f}"])
    heads = ["set", "loss", "Betti matching, raw", *(MEASURES[error] for error in errors), "Dice, points"]
    return markdown_table(heads, rows)


def in_short(sets: Mapping[str, pd.DataFrame], losses: Mapping[str, str]) -> str:
    """Format one row per data set, by its title, and one column per method: the share of the errors that is left.

    `losses`: what methods are called in the head of the table.
    """
    rows = []
    for title, cases in sets.items():
        seeds = summary(cases, cleaned=True)
        row = [title]
        for method in losses:
            shares, gained = _shares_left(seeds, method)
            p_value = float(p_against_base(cases, method, cleaned=True))
            p_text = "p < 0.001" if p_value < 0.001 else f"p = {p_value:g}"
            one_seed = ", one seed" if (seeds.method == method).sum() == 1 else ""
            row.append(f"{100 * shares[METRIC]:.0f} % ({p_text}{one_seed}), Dice {gained:+.1f}")
        rows.append(row)
    return markdown_table(["after the clean-up", *losses.values()], rows)


def _shares_left(seeds: pd.DataFrame, method: str) -> tuple[pd.Series, float]:
    """Return the share of each error of the pixel loss that a method leaves, and the points of Dice that it gains.

    Both are over the seeds of the method, since a method may not have all.
    """
    runs = seeds[seeds.method == method]
    base = seeds[(seeds.method == BASE) & seeds.seed.isin(runs.seed)]
    measures = [name for name in MEASURES if name in seeds]
    mean, mean_of_base = runs[measures].mean(), base[measures].mean()
    return mean / mean_of_base, round(100 * (mean.dice - mean_of_base.dice), 1) + 0.0  # no minus zero


def by_length(tables: Mapping[tuple[str, int], pd.DataFrame]) -> str:
    """Format one row per data set, number of steps and method, after clean-up."""
    rows = []
    for (name, steps), cases in sorted(tables.items()):
        seeds = summary(cases, cleaned=True)
        for method, runs in seeds.groupby("method", sort=False):
            row = [f"`{name}`", str(steps), str(method), _mean_and_spread(runs[METRIC])]
            if method == BASE:
                rows.append([*row, "", "", ""])
                continue
            shares, gained = _shares_left(seeds, str(method))
            p_value = p_against_base(cases, str(method), cleaned=True)
            rows.append([*row, f"{shares[METRIC]:.2f}", p_value, f"{gained:+.1f}"])
    return markdown_table(["set", "steps", "loss", "Betti matching", "share left", "p", "Dice, points"], rows)


def cost(runs: pd.DataFrame) -> str:
    """Format one row per method: computing time per step, its ratio to the pixel loss alone, and peak memory."""
    means = runs.groupby("method", sort=False)[["seconds_per_step", "peak_mib"]].median()
    base = float(means.seconds_per_step[BASE])
    rows = [
        [str(method), f"{seconds:.3f}", f"{seconds / base:.2f}", f"{memory:.0f}"]
        for method, (seconds, memory) in means.iterrows()
    ]
    return markdown_table(["loss", "s per step, one core", "ratio", "peak MiB"], rows)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
