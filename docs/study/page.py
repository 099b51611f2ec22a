"""Tables and figures of docs/study.md, one per data set, from the results kept here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from methods import BASE, COMPARED
from published import beside_published
from scoring import METRIC
from sets import SETS
from tables import MEASURES, by_length, cost, in_short, markdown, overview, summary

from monai_topo._utils.io import atomic_write
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS
from monai_topo.visualize import ERROR_COLORS

RESULTS = Path(__file__).parent / "results"
PALETTE = ("#000000", "#e69f00", "#56b4e9", "#cc79a7", "#0072b2", "#009e73", "#d55e00")  # Okabe and Ito
COLORS = dict(zip((BASE, *COMPARED), PALETTE, strict=True))
# The terms that two terms consist of, and the results with runs of one term alone on the same machine.
TERMS = ("soft clDice", "skeleton recall", "SCNP", "persistence, support")
ONE_TERM = {**{name: name for name in SETS}, "drive": "training_length/2000/drive"}
WITH_SUPPORT = {name: f"fewer_patches/{name}" for name in ("isbi2012", "drive")}  # what runs without are compared with
TITLES = {
    "isbi2012": "membranes",
    "drive": "retinal vessels",
    "vesselnn": "vessels in 3D",
    "topomortar_noisy": "mortar, noisy labels",
    "topomortar_pseudo": "mortar, pseudo labels",
    "topomortar_accurate": "mortar, accurate labels",
}
LOSSES = {  # what README and the first table of the page call the methods
    "persistence, support": "`PersistenceLoss`",
    "Betti matching, support": "`BettiMatchingLoss`",
    "soft clDice": "soft clDice",
    "skeleton recall": "skeleton recall",
    "SCNP": "SCNP",
}
DRAWN = ("dice", METRIC, "missing_0", "spurious_1", "missing_1", "voi")


def make_all(images: Path) -> None:
    """Write the tables and figures of every set that has results, and the tables of all sets."""
    folders = [RESULTS / name for name in SETS if (RESULTS / name).is_dir()]
    if not folders:
        return
    sets = {folder.name: pd.read_csv(folder / "cases.csv") for folder in folders}
    _write("in_short", in_short({title: sets[name] for name, title in TITLES.items() if name in sets}, LOSSES))
    _write("overview", overview(sets, COMPARED))
    _write("published", beside_published(sets))
    for folder in folders:
        cases, runs = sets[folder.name], pd.read_csv(folder / "runs.csv")
        tables = [markdown(cases, cleaned=cleaned) for cleaned in (True, False)]
        _write(folder.name, "After clean-up:", tables[0], "Raw:", tables[1], cost(runs))
        draw(cases, images / f"study_{folder.name}.png")
        if (folder / "examples.npz").exists():
            draw_examples(folder / "examples.npz", images / f"study_{folder.name}_examples.png")


def make_side_studies(images: Path) -> None:
    """Write the tables of two terms, without support, of fewer patches and of shorter and longer training."""
    _side_study("two_terms", beside=ONE_TERM)
    _side_study("without_support", beside=WITH_SUPPORT)
    _side_study("fewer_patches", beside={})
    lengths = {
        (path.parent.name, int(path.parent.parent.name)): pd.read_csv(path)
        for path in (RESULTS / "training_length").glob("*/*/cases.csv")
    }
    _write("training_length", by_length(lengths))
    draw_lengths(lengths, images / "study_training_length.png")


def _side_study(folder: str, beside: Mapping[str, str]) -> None:
    """Write one table per data set, after clean-up.

    `beside`: for a data set, the folder of the results with its runs of one term. Other sets have theirs in `folder`.
    """
    files = [RESULTS / folder / name / "cases.csv" for name in SETS]
    sets = {file.parent.name: pd.read_csv(file) for file in files if file.exists()}
    for name in sets.keys() & beside.keys():
        cases = pd.read_csv(RESULTS / beside[name] / "cases.csv")
        sets[name] = pd.concat([cases[cases.method.isin((BASE, *TERMS))], sets[name]])
    _write(folder, *(f"`{name}`, after clean-up:\n\n{markdown(cases, cleaned=True)}" for name, cases in sets.items()))


def _write(name: str, *tables: str) -> None:
    with atomic_write(RESULTS / f"{name}.md") as file:
        file.write_text("\n\n".join(tables) + "\n", encoding="utf-8")


def draw(cases: pd.DataFrame, path: Path) -> None:
    """Draw the cleaned test cases, one dot per seed, and the search for the weights, one line per method."""
    shown = cases[cases.method.isin(COLORS)]
    seeds = summary(shown, cleaned=True)
    measures = [name for name in DRAWN if name in seeds]
    widths = [1.0] * len(measures) + [1.8]
    figure = Figure(figsize=(2.2 * (sum(widths) + 0.2), 3.2), layout="constrained", dpi=100)
    panels = figure.subplots(1, len(widths), width_ratios=widths)
    methods = [name for name in COLORS if name in set(seeds.method)]
    for panel, measure in zip(panels, measures, strict=False):
        _dots(panel, {name: seeds[measure][seeds.method == name].tolist() for name in methods})
        panel.set_title(MEASURES[measure], fontsize=10)
        panel.set_yticks(range(len(methods)), methods if panel is panels[0] else [""] * len(methods))
        panel.tick_params(labelsize=8)
    _search(panels[-1], shown)
    figure.savefig(path)


def draw_examples(pictures: Path, path: Path) -> None:
    """Draw one case, one panel per method in rows of four, with a legend."""
    with np.load(pictures) as file:
        shown = {method: file[method] for method in file.files}
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.1 * columns, 3.4 * rows + 0.6), layout="constrained", dpi=100)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, (method, picture) in zip(panels, shown.items(), strict=False):
        panel.imshow(picture, interpolation="nearest")
        panel.set_title(method, fontsize=10)
    kinds = [Patch(color=color, label=STRUCTURE_ERRORS[kind]) for kind, color in ERROR_COLORS.items()]
    figure.legend(handles=kinds, loc="outside lower center", ncols=len(kinds), fontsize=8, frameon=False)
    figure.savefig(path)


def draw_lengths(tables: Mapping[tuple[str, int], pd.DataFrame], path: Path) -> None:
    """Draw two errors against the number of steps, one line per method, one dot per seed, one row per data set."""
    sets, shown = sorted({name for name, _ in tables}), (METRIC, "voi")
    figure = Figure(figsize=(9, 2.8 * len(sets) + 0.5), layout="constrained", dpi=100)
    panels = figure.subplots(len(sets), len(shown), squeeze=False)
    for row, name in enumerate(sets):
        lengths = {steps: summary(cases, cleaned=True) for (of, steps), cases in sorted(tables.items()) if of == name}
        seeds = pd.concat(lengths, names=["steps"]).reset_index("steps")
        for panel, measure in zip(panels[row], shown, strict=True):
            for method, runs in seeds.groupby("method", sort=False):
                means = runs.groupby("steps")[measure].mean()
                panel.plot(means.index, means, color=COLORS[method], label=method)
                panel.plot(
                    runs.steps, runs[measure], "o", color=COLORS[method], markersize=4, alpha=0.6, markeredgewidth=0
                )
            panel.set_xscale("log", base=2)
            panel.set_xticks([*lengths], [str(steps) for steps in lengths])
            panel.set_title(f"{TITLES[name]}: {MEASURES[measure]}", fontsize=10)
            panel.tick_params(labelsize=8)
            panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[-1]:
        panel.set_xlabel("steps", fontsize=8)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    figure.savefig(path)


def _dots(panel: Axes, values: Mapping[str, Sequence[float]]) -> None:
    for row, (method, of_method) in enumerate(values.items()):
        color = COLORS[method]
        panel.plot(of_method, [row] * len(of_method), "o", color=color, markersize=5, alpha=0.6, markeredgewidth=0)
        panel.plot([sum(of_method) / len(of_method)], [row], "|", color=color, markersize=16, markeredgewidth=2)
    panel.invert_yaxis()
    panel.spines[["top", "right"]].set_visible(False)


def _search(panel: Axes, cases: pd.DataFrame) -> None:
    tuned = cases[(cases.split == "tune") & (cases.seed == 0) & cases.cleaned]
    means = tuned.groupby(["method", "weight"])[METRIC].mean()
    for method in (name for name in COLORS if name in means):
        curve, color = means[method], COLORS[method]
        if method == BASE:
            panel.axhline(float(curve.iloc[0]), color=color, linewidth=1)
        else:
            panel.plot(curve.index, curve, "o-", color=color, markersize=3, linewidth=1)
    panel.set_xscale("log")
    panel.set_xlabel("weight", fontsize=8)
    panel.set_title("Betti matching, tuning cases, seed 0", fontsize=10)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
