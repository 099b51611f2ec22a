"""The figure of docs/tutorial.md, drawn from the files that its commands wrote.

From the root: `PYTHONPATH=docs python -m figures.tutorial BUNDLE [CASE]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from figures.common import IMAGES, count_in_words

MISSING, SPURIOUS = (213, 94, 0), (86, 180, 233)  # vermilion and sky blue


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("L"))


def _title(name: str, mask: NDArray[np.bool_]) -> str:
    return f"{name}\n{count_in_words(torch.from_numpy(mask))}"


def picture(bundle: Path, case: str, path: Path) -> None:
    """Draw image, label and both predictions of one case of `data/unseen`."""
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
