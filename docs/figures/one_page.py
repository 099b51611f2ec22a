"""Figures of docs/one_page.md: a 6 x 6 likelihood map, its superlevel sets, its diagram and its gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from figures.common import BLUE, IMAGES, VERMILION
from monai_topo import PersistenceLoss, betti_numbers, persistence_pairs

# The map of the page, in tenths, and its label; tests/docs/test_one_page.py compares them with the page.
TENTHS = (
    (1, 1, 2, 1, 0, 0),
    (8, 7, 4, 7, 1, 0),
    (8, 3, 2, 8, 1, 0),
    (8, 1, 2, 8, 2, 1),
    (8, 9, 8, 8, 1, 6),
    (1, 1, 1, 1, 1, 8),
)
RING = ("......", "####..", "#..#..", "#..#..", "####..", "......")
BORN, DIES, GRAY = VERMILION, BLUE, "#bbbbbb"
SWEEP = (
    (0.9, (4, 1), "born", "first component\nborn at (4, 1)"),
    (0.8, (5, 5), "born", "second component\nborn at (5, 5)"),
    (0.4, (1, 2), "born", "ring closes: loop\nborn at (1, 2)"),
    (0.2, (3, 4), "dies", "components meet:\nsecond dies at (3, 4)"),
    (0.1, (3, 1), "dies", "inside is full:\nloop dies at (3, 1)"),
)

Values = NDArray[np.float64]


def likelihood() -> torch.Tensor:
    """Return the map, `(1, 1, 6, 6)` float64."""
    return torch.tensor(TENTHS, dtype=torch.float64)[None, None] / 10


def label() -> torch.Tensor:
    """Return its label, `(1, 1, 6, 6)` float64."""
    return torch.tensor([[mark == "#" for mark in row] for row in RING], dtype=torch.float64)[None, None]


def _grid(panel: Axes, title: str) -> None:
    panel.set_xticks(range(6))
    panel.set_yticks(range(6))
    panel.tick_params(length=0, labelsize=8)
    panel.xaxis.tick_top()
    panel.set_xticks(np.arange(-0.5, 6), minor=True)
    panel.set_yticks(np.arange(-0.5, 6), minor=True)
    panel.grid(which="minor", color="white", linewidth=1.5)
    panel.tick_params(which="minor", length=0)
    panel.set_xlabel(title, fontsize=10)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _numbers(panel: Axes, values: Values, title: str) -> None:
    """Shade the cells by value and write the value into each."""
    panel.imshow(values, cmap="gray_r", vmin=0, vmax=1.6)
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
        panel.text(column, row, text, ha="center", va="center", fontsize=10)
    _grid(panel, title)


def _frame(panel: Axes, place: tuple[int, int], color: str) -> None:
    row, column = place
    panel.add_patch(Rectangle((column - 0.44, row - 0.44), 0.88, 0.88, fill=False, edgecolor=color, linewidth=2.5))


def map_and_label(path: Path) -> None:
    """Draw the map with its numbers, its mask at threshold 0.5, and the label."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained", dpi=100)
    panels = figure.subplots(1, 3)
    values = likelihood()[0, 0].numpy()
    _numbers(panels[0], values, "likelihood p")
    shades = ListedColormap(["#f2f2f2", "#666666"])
    masks = {"mask: p > 0.5": values > 0.5, "label": label()[0, 0].numpy() > 0}
    for panel, (title, mask) in zip(panels[1:], masks.items(), strict=True):
        panel.imshow(mask, cmap=shades, vmin=0, vmax=1)
        _grid(panel, title)
    figure.savefig(path)


def sweep(path: Path) -> None:
    """Draw the superlevel sets at five thresholds, with the critical voxel of each birth or death."""
    figure = Figure(figsize=(11.5, 3.2), layout="constrained", dpi=100)
    values = likelihood()
    shades = ListedColormap(["#f2f2f2", "#999999"])
    for panel, (threshold, place, event, words) in zip(figure.subplots(1, 5), SWEEP, strict=True):
        there = values >= threshold
        panel.imshow(there[0, 0].numpy(), cmap=shades, vmin=0, vmax=1)
        _frame(panel, place, BORN if event == "born" else DIES)
        components, loops = betti_numbers(there[0])[0].tolist()
        _grid(panel, f"{words}\nb₀ = {components}, b₁ = {loops}")
        panel.set_title(f"p ≥ {threshold}", fontsize=11)
    figure.savefig(path)


def diagram(path: Path) -> None:
    """Draw each feature as a bar from birth to death, and as a point with an arrow to the target of the loss."""
    values = likelihood()[:, 0]
    pairs = persistence_pairs(values)
    (second, loop) = pairs.values(values).tolist()
    features = (("first component", [values.max().item(), 0.0]), ("second component", second), ("loop", loop))
    figure = Figure(figsize=(9.5, 3.2), layout="constrained", dpi=100)
    bars, points = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for height, (name, (birth, death)) in zip((2, 1, 0), features, strict=True):
        matched = name != "second component"
        bars.plot([birth, death], [height] * 2, color="black" if matched else GRAY, linewidth=5, solid_capstyle="butt")
        words = "matched with the label's" if matched else "no partner"
        bars.text(1.0, height + 0.17, f"{name}: {birth:g} to {death:g}, {words}", fontsize=9)
        goal = (1.0, 0.0) if matched else ((birth + death) / 2,) * 2
        points.annotate("", goal, (birth, death), arrowprops={"arrowstyle": "->", "color": DIES, "linewidth": 1.5})
        points.plot(birth, death, "o" if name != "loop" else "s", color="black" if matched else GRAY, markersize=8)
        offset = (0, 8) if name == "loop" else (0, -15)
        points.annotate(name, (birth, death), offset, textcoords="offset points", fontsize=8, ha="center")
    bars.set(xlim=(1.02, -0.02), ylim=(-0.3, 2.6), yticks=[], xlabel="threshold, falling")
    points.plot([0, 1], [0, 1], color=GRAY, linewidth=1)
    points.plot(1, 0, "*", color=BORN, markersize=14, zorder=0)
    points.set(xlim=(-0.02, 1.12), ylim=(-0.12, 1.02), xlabel="birth", ylabel="death", aspect="equal")
    figure.savefig(path)


def gradient(path: Path) -> None:
    """Draw the gradient of the loss, and the map after one step of gradient descent."""
    values = likelihood().requires_grad_()
    PersistenceLoss()(values, label()).backward()
    assert values.grad is not None
    slope = values.grad[0, 0].numpy()
    figure = Figure(figsize=(6.4, 3.2), layout="constrained", dpi=100)
    panels = figure.subplots(1, 2)
    _numbers(panels[0], np.zeros((6, 6)), "gradient (▲ pulls up, ▼ down)")
    for text in panels[0].texts:
        text.set_color(GRAY)
    for row, column in zip(*np.nonzero(slope), strict=True):
        value, rises = slope[row, column], slope[row, column] < 0
        panels[0].add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=BORN if rises else DIES, alpha=0.35))
        panels[0].texts[row * 6 + column].set(text=f"{'▲' if rises else '▼'}\n{value:+.1f}", color="black", fontsize=8)
    after = (values - 0.5 * values.grad)[0, 0].detach().numpy()
    _numbers(panels[1], after.round(2), "map after one step of size 0.5")
    for row, column in zip(*np.nonzero(slope), strict=True):
        _frame(panels[1], (row, column), BORN if slope[row, column] < 0 else DIES)
    figure.savefig(path)


def make_all(folder: Path = IMAGES) -> None:
    """Draw all figures of the page."""
    folder.mkdir(exist_ok=True)
    map_and_label(folder / "one_page_map.png")
    sweep(folder / "one_page_sweep.png")
    diagram(folder / "one_page_diagram.png")
    gradient(folder / "one_page_gradient.png")
