"""Makes the picture of docs/tutorial.md of what its commands wrote: `python docs/tutorial_picture.py BUNDLE [CASE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from monai_topo import betti_numbers

IMAGES = Path(__file__).parent / "images"
MISSING, SPURIOUS = (213, 94, 0), (86, 180, 233)  # told apart by color-blind readers too


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("L"))


def _title(name: str, mask: NDArray[np.bool_]) -> str:
    components, loops = betti_numbers(torch.from_numpy(mask)[None])[0].tolist()
    return f"{name}\n{components} component{'s' * (components != 1)}, {loops} loop{'s' * (loops != 1)}"


def picture(bundle: Path, case: str, path: Path) -> None:
    """Image, label and both predictions of one case of `data/unseen`."""
    data = bundle / "data" / "unseen"
    image, label = _read(data / "images" / f"{case}.png"), _read(data / "labels" / f"{case}.png") > 0
    figure = Figure(figsize=(13, 3.2), layout="constrained", dpi=100)
    panels = figure.subplots(1, 4)
    panels[0].imshow(image, cmap="gray")
    panels[0].set_title(f"image {case}", fontsize=13)
    panels[1].imshow(label, cmap="gray")
    panels[1].set_title(_title("label", label), fontsize=13)
    for panel, run in zip(panels[2:], ("without", "with"), strict=True):
        mask = _read(bundle / "predictions" / run / "images" / f"{case}_mask.png") > 0
        colors = np.repeat(np.where(mask & label, 255, 0)[..., None], 3, axis=2).astype(np.uint8)
        colors[label & ~mask], colors[mask & ~label] = MISSING, SPURIOUS
        panel.imshow(colors)
        panel.set_title(_title(run, mask), fontsize=13)
    for panel in panels:
        panel.set_axis_off()
    figure.savefig(path)


if __name__ == "__main__":
    picture(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "000", IMAGES / "tutorial.png")
