"""Makes the pictures of docs/filtration.md: what connectivity and border change on drawn masks, and their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from monai_topo import betti_numbers, label_components
from monai_topo.persistence import Border, Connectivity

IMAGES = Path(__file__).parent / "images"
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
# Up to eight colors that color-blind readers tell apart, after Okabe and Ito; 0 is the ground.
COLORS = ("#f2f2f2", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#f0e442", "#000000")


def mask_of(drawing: tuple[str, ...]) -> torch.Tensor:
    """`(1, H, W)` bool."""
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
    """Components of one mask with either connectivity, each in a color of its own."""
    mask = mask_of(STEPS)
    figure = Figure(figsize=(8.4, 2.5), layout="constrained", dpi=100)
    settings: tuple[Connectivity, ...] = ("full", "face")
    for panel, setting in zip(figure.subplots(1, 2), settings, strict=True):
        ids = label_components(mask, connectivity=setting)
        colors = torch.where(ids > 0, (ids - 1) % (len(COLORS) - 1) + 1, 0)
        _draw(panel, colors, f'connectivity="{setting}": {_words(betti_numbers(mask, connectivity=setting))}')
    figure.savefig(path)


def border(path: Path) -> None:
    """A patch of cell walls, alone and within its frame; every region that counts as a hole in a color."""
    mask = mask_of(WALLS)
    holes = label_components(~mask, connectivity="face")
    figure = Figure(figsize=(8.4, 2.5), layout="constrained", dpi=100)
    wall = len(COLORS) - 1
    settings: tuple[Border, ...] = ("open", "foreground")
    for panel, setting in zip(figure.subplots(1, 2), settings, strict=True):
        ids = torch.where(mask, wall, 0) if setting == "open" else torch.where(mask, wall, holes)
        frame = None if setting == "open" else COLORS[wall]
        _draw(panel, ids, f'border="{setting}": {_words(betti_numbers(mask, border=setting))}', frame)
    figure.savefig(path)


def _words(numbers: torch.Tensor) -> str:
    components, loops = numbers[0].tolist()
    return f"{components} component{'s' * (components != 1)}, {loops} loop{'s' * (loops != 1)}"


def make_all(folder: Path = IMAGES) -> None:
    """Make every picture of the page."""
    folder.mkdir(exist_ok=True)
    connectivity(folder / "filtration_connectivity.png")
    border(folder / "filtration_border.png")


if __name__ == "__main__":
    make_all()
