"""The figure of README.md and docs/index.md: a broken likelihood map repaired by the persistence loss alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from figures.common import IMAGES, SKY_BLUE, VERMILION, count_in_words
from monai_topo import PersistenceLoss, betti_numbers
from monai_topo.data import synthetic_vessels

RISE, FALL = VERMILION, SKY_BLUE


def repair(path: Path) -> None:
    """Draw a broken vessel likelihood, its gradient, its mask before and after gradient descent, and the label."""
    image, label = synthetic_vessels((120, 160), seed=7, num_trees=1, num_branches=9, loops=1, gaps=0.1, noise=0.04)
    target = torch.from_numpy(label)[None, None].float()
    contrast = gaussian_filter(image, 1) - gaussian_filter(image, 9)
    logits = torch.from_numpy(30 * contrast - 3)[None, None].requires_grad_()
    loss = PersistenceLoss(
        sigmoid=True, matching="spatial", gradient="structure_towards_label", patch_size=40, min_persistence=0.1
    )
    before = torch.sigmoid(logits).detach()

    loss(logits, target).backward()
    assert logits.grad is not None
    pull = -logits.grad[0, 0].numpy()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    steps = 0
    while steps < 400 and not torch.equal(_betti(torch.sigmoid(logits)), _betti(target)):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
        steps += 1
    after = torch.sigmoid(logits).detach()

    figure = Figure(figsize=(15, 3.0), layout="constrained", dpi=100)
    panels = figure.subplots(1, 5)
    panels[0].imshow(image, cmap="gray")
    panels[0].set_title("image", fontsize=13)
    panels[1].imshow(before[0, 0], cmap="gray", vmin=0, vmax=1)
    for sign, color, marker in ((1, RISE, "^"), (-1, FALL, "v")):
        rows, columns = np.nonzero(sign * pull > 0.1 * np.abs(pull).max())
        panels[1].scatter(columns, rows, s=9, c=color, marker=marker, linewidths=0)
    panels[1].set_title("likelihood\npulled ▲ up, ▼ down", fontsize=13)
    panels[2].imshow(before[0, 0] > 0.5, cmap="gray")
    panels[2].set_title(f"before\n{count_in_words(before[0, 0] > 0.5)}", fontsize=13)
    panels[3].imshow(after[0, 0] > 0.5, cmap="gray")
    panels[3].set_title(f"after {steps} steps\n{count_in_words(after[0, 0] > 0.5)}", fontsize=13)
    panels[4].imshow(label, cmap="gray")
    panels[4].set_title(f"label\n{count_in_words(target[0, 0] > 0.5)}", fontsize=13)
    for panel in panels:
        panel.set_axis_off()
    figure.savefig(path)


def _betti(likelihood: torch.Tensor) -> torch.Tensor:
    return betti_numbers(likelihood.detach()[0] > 0.5)[0]


def make_all(folder: Path = IMAGES) -> None:
    """Draw the figure."""
    folder.mkdir(exist_ok=True)
    repair(folder / "repair.png")
