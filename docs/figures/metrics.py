"""Figures of docs/metrics.md: small drawn masks with the values of each metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from figures.common import BLUE, GREEN, IMAGES, ORANGE, SKY_BLUE, VERMILION
from monai_topo import metrics

# Label and prediction in one drawing: # both, - missing from the prediction, + spurious, . neither.
DRAWINGS = {
    "break": ("............", ".#####--###.", "............", "............", ".##########.", "............"),
    "false bridge": ("............", ".##########.", ".....+......", ".....+......", ".##########.", "............"),
    "false loop": ("............", ".##########.", ".+...+......", ".+++++......", "............", "............"),
    "speck": ("............", ".##########.", "............", ".......++...", ".......++...", "............"),
    "loop elsewhere": ("............", ".---...+++..", ".-.-...+.+..", ".---...+++..", ".##########.", "............"),
    "thicker": ("............", ".++++++++++.", ".##########.", ".++++++++++.", "............", "............"),
    "false branch": ("......+.....", "......+.....", ".##########.", "............", "............", "............"),
    "gap in a membrane": (
        "......#.....",
        "......#.....",
        "......-.....",
        "......-.....",
        "......#.....",
        "......#.....",
    ),
    "false wall": ("......#..+..",) * 6,
    "shifted wall": ("......-+....",) * 6,
    "hit, miss, speck": (
        "............",
        ".###..--....",
        ".##+..--....",
        "............",
        ".....++.....",
        ".....++.....",
    ),
    "one for two": ("............", ".###++###...", ".###++###...", ".###++###...", "............", "............"),
    "tree": (
        "..........#.........-.........",
        "..........#.........-.........",
        "..........#.........-.........",
        "..........#.........-.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        ".############################.",
        "..............................",
    ),
    "trunk broken": (
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        "..........#.........#.........",
        ".##############-#############.",
        "..............................",
    ),
    "short branch missed": (
        "..........#...................",
        "..........#...................",
        "..........#...................",
        "..........#...................",
        "..........#...................",
        "..........#.........-.........",
        "..........#.........-.........",
        "..........#.........-.........",
        ".############################.",
        "..............................",
    ),
    "two lines, one broken": (
        "............",
        ".####-#####.",
        "............",
        "............",
        ".##########.",
        "............",
    ),
    "two lines, merged": (
        "............",
        ".##########.",
        ".....+......",
        ".....+......",
        ".##########.",
        "............",
    ),
    "half hit": ("............", ".--###......", ".--###......", "............", "............", "............"),
}
# Classes 1 to 3 of a label, and of two predictions.
CLASS_DRAWINGS = {
    "label": ("............", ".1111222233.", ".1111222233.", "............"),
    "1 and 3 touch": ("............", ".1111322233.", ".1111222233.", "............"),
    "a gap": ("............", ".111.222233.", ".111.222233.", "............"),
}
COLORS = {".": "#ffffff", "#": "#999999", "-": SKY_BLUE, "+": VERMILION, "1": ORANGE, "2": GREEN, "3": BLUE}


def masks(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the prediction and the label of a drawing."""
    cells = np.array([list(row) for row in DRAWINGS[name]])
    return tuple(torch.from_numpy(np.isin(cells, list(marks)))[None, None] for marks in ("#+", "#-"))  # type: ignore[return-value]


def classes(name: str) -> torch.Tensor:
    """Return the background and the classes of a drawing, one-hot."""
    cells = np.array([list(row) for row in CLASS_DRAWINGS[name]])
    return torch.from_numpy(np.stack([cells == mark for mark in ".123"]))[None]


def numbers(values: torch.Tensor) -> str:
    """Format the values of one image and channel."""
    return ", ".join(f"{value:.3g}" for value in values.flatten().tolist())


def parts(function: Callable[..., tuple[torch.Tensor, ...]], *names: str, **settings: object) -> Callable[..., str]:
    """Return a function that describes the named parts of a result."""

    def text(pred: torch.Tensor, label: torch.Tensor) -> str:
        result = function(pred, label, **settings)
        return "\n".join(f"{name.replace('_', ' ')} {numbers(getattr(result, name))}" for name in names)

    return text


def by_dimension(function: Callable[..., torch.Tensor], **settings: object) -> Callable[..., str]:
    """Return a function that describes the values in dimensions 0 and 1."""
    return lambda pred, label: f"dimension 0, 1: {numbers(function(pred, label, **settings))}"


def value(name: str, function: Callable[..., torch.Tensor]) -> Callable[..., str]:
    """Return a function that describes a single value."""
    return lambda pred, label: f"{name} {numbers(function(pred, label))}"


def likelihood_distance(pred: torch.Tensor, label: torch.Tensor) -> str:
    """Describe both distances of a likelihood: 0.9 where both agree, 0.6 on false and 0.3 on missed foreground."""
    likelihood = torch.where(pred & label, 0.9, 0.0) + torch.where(pred & ~label, 0.6, 0.0)
    likelihood += torch.where(label & ~pred, 0.3, 0.0)
    wasserstein, bottleneck = (metrics.compute_diagram_distance(likelihood, label, order=q) for q in (2.0, math.inf))
    return f"Wasserstein {numbers(wasserstein)}\nbottleneck {numbers(bottleneck)}"


def count_invalid_neighbors(name: str) -> str:
    """Describe the invalid neighbors of each class of a drawing."""
    counts = metrics.compute_invalid_neighbors(classes(name), classes("label"), include_background=False)
    return f"classes 1, 2, 3: {numbers(counts)}"


SHEETS: dict[str, tuple[list[str], Callable[..., str]]] = {
    "betti_error": (
        ["break", "false bridge", "false loop", "loop elsewhere"],
        by_dimension(metrics.compute_betti_error),
    ),
    "betti_matching": (
        ["break", "false bridge", "false loop", "loop elsewhere"],
        parts(metrics.compute_betti_matching, "matched", "spurious", "missing"),
    ),
    "euler_error": (["break", "false loop", "speck", "loop elsewhere"], value("error", metrics.compute_euler_error)),
    "diu": (["break", "false loop", "thicker", "loop elsewhere"], by_dimension(metrics.compute_diu)),
    "cldice": (
        ["break", "false branch", "thicker", "loop elsewhere"],
        parts(metrics.compute_cldice, "cldice", "precision", "sensitivity"),
    ),
    "skeleton_recall": (
        ["break", "false branch", "thicker", "half hit"],
        value("recall", metrics.compute_skeleton_recall),
    ),
    "branch_detection": (
        ["tree", "trunk broken", "short branch missed"],
        parts(metrics.compute_branch_detection, "tree_length", "detected", "total"),
    ),
    "run_length": (
        ["two lines, one broken", "two lines, merged", "thicker"],
        parts(metrics.compute_expected_run_length, "run_length", "relative"),
    ),
    "variation_of_information": (
        ["gap in a membrane", "false wall", "shifted wall"],
        parts(metrics.compute_variation_of_information, "split", "merge", "total", instances="background"),
    ),
    "adapted_rand": (
        ["gap in a membrane", "false wall", "shifted wall"],
        parts(metrics.compute_adapted_rand, "error", "precision", "recall", instances="background"),
    ),
    "component_detection": (
        ["hit, miss, speck", "one for two", "break", "half hit"],
        parts(metrics.compute_component_detection, "true_positives", "false_positives", "false_negatives", "f1"),
    ),
    "diagram_distance": (["break", "false bridge", "false loop", "speck"], likelihood_distance),
}


def sheet(path: Path, drawings: dict[str, tuple[str, ...]], text: Callable[[str], str]) -> None:
    """Draw a row of drawings with the text of each below it."""
    names = list(drawings)
    figure = Figure(figsize=(2.6 * len(names), 2.3), layout="constrained", dpi=80)
    for panel, name in zip(figure.subplots(1, len(names)), names, strict=True):
        rgb = [[[int(COLORS[mark][i : i + 2], 16) for i in (1, 3, 5)] for mark in row] for row in drawings[name]]
        panel.imshow(np.array(rgb, dtype=np.uint8))
        panel.set_title(name, fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_xlabel(text(name), fontsize=9)
    figure.savefig(path)


def make_all(folder: Path = IMAGES) -> None:
    """Draw one sheet per metric."""
    for metric, (names, text) in SHEETS.items():
        drawings = {name: DRAWINGS[name] for name in names}
        sheet(folder / f"metric_{metric}.png", drawings, lambda name, text=text: text(*masks(name)))
    sheet(folder / "metric_invalid_neighbors.png", CLASS_DRAWINGS, count_invalid_neighbors)
