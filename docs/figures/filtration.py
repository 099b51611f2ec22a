"""Figures of docs/filtration.md: the effect of connectivity and border on drawn masks, with their Betti numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from figures.common import BLUE, GREEN, IMAGES, ORANGE, PURPLE, SKY_BLUE, VERMILION, YELLOW, numbers_in_words
from monai_topo import betti_numbers, label_components
from monai_topo.persistence import Border, Connectivity

STEPS = (
    "..............",
    ".##......###..",
    "...#....#...#.",
    "....##..#...#.",
    "......#.#...#.",
    ".......#.###..",
    "..............",
)
WALLS = (
    "....#.........",
    "....#......###",
    "....#....##...",
    "#########.....",
    "........#.....",
    "........##....",
    ".........#....",
)
# Background, then one color per component or hole.
COLORS = ("#f2f2f2", ORANGE, SKY_BLUE, GREEN, VERMILION, BLUE, PURPLE, YELLOW, "#000000")


def mask_of(drawing: tuple[str, ...]) -> torch.Tensor:
    """Convert a drawing to a bool mask `(1, H, W)`."""
    return torch.tensor([[mark == "#" for mark in row] for row in drawing])[None]


def _draw(panel: Axes, ids: torch.Tensor, title: str, frame: str | None = None) -> None:
    cells = ids[0].numpy()
    panel.imshow(cells, cmap=ListedColormap(COLORS), vmin=0, vmax=len(COLORS) - 1, interpolation="nearest")
    height, width = cells.shape
    panel.set_xticks(np.arange(-0.5, width), minor=True)
    panel.set_yticks(np.arange(-0.5, height), minor=True)
    panel.grid(which="minor", color="white", linewidth=1)
    panel.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
    for spine in panel.spines.values():
        spine.set_visible(frame is not None)
        spine.set(color=frame or "white", linewidth=7)
    panel.set_title(title, fontsize=10)


def connectivity(path: Path) -> None:
    """Draw the components of one mask with each connectivity, one color per component."""
    mask = mask_of(STEPS)
    figure = Figure(figsize=(8.4, 2.5), layout="constrained", dpi=100)
    settings: tuple[Connectivity, ...] = ("full", "face")
    for panel, setting in zip(figure.subplots(1, 2), settings, strict=True):
        ids = label_components(mask, connectivity=setting)
        colors = torch.where(ids > 0, (ids - 1) % (len(COLORS) - 1) + 1, 0)
        _draw(
            panel, colors, f'connectivity="{setting}": {numbers_in_words(betti_numbers(mask, connectivity=setting)[0])}'
        )
    figure.savefig(path)


def border(path: Path) -> None:
    """Draw a patch of cell walls with each border condition; each region that counts as a hole has its own color."""
    mask = mask_of(WALLS)
    holes = label_components(~mask, connectivity="face")
    figure = Figure(figsize=(8.4, 2.5), layout="constrained", dpi=100)
    wall = len(COLORS) - 1
    settings: tuple[Border, ...] = ("open", "foreground")
    for panel, setting in zip(figure.subplots(1, 2), settings, strict=True):
        ids = torch.where(mask, wall, 0) if setting == "open" else torch.where(mask, wall, holes)
        frame = None if setting == "open" else COLORS[wall]
        _draw(panel, ids, f'border="{setting}": {numbers_in_words(betti_numbers(mask, border=setting)[0])}', frame)
    figure.savefig(path)


def make_all(folder: Path = IMAGES) -> None:
    """Draw all figures of the page."""
    folder.mkdir(exist_ok=True)
    connectivity(folder / "filtration_connectivity.png")
    border(folder / "filtration_border.png")
