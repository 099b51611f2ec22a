"""Repair a broken likelihood map by one loss alone, without a network: `python docs/study/toy_study.py`.

The logits of a map are optimized directly, in 2D and 3D. The map has one error of each kind: a break, a false bridge, a
hole and a speck. The script prints a markdown table and draws the maps before, during and after the optimization. A new
loss is one line in `LOSSES`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from monai.losses import DiceLoss, SoftclDiceLoss
from scipy.ndimage import binary_dilation
from skimage.morphology import skeletonize
from torch import Tensor

from monai_topo import (
    BettiMatchingLoss,
    BettiPriorLoss,
    PersistenceLoss,
    SkeletonRecallLoss,
    WarpingLoss,
    betti_numbers,
)

PICTURE = Path(__file__).parents[1] / "images" / "toy_study.png"
SHAPES = {2: (32, 46), 3: (13, 32, 46)}
STEPS, LEARNING_RATE = 80, 0.1
# Rows and columns around the break, the bridge, the hole and the speck: within them errors cannot cancel each other.
WINDOWS = [(slice(18, 29), slice(7, 20)), (slice(4, 14), slice(15, 31)), (slice(15, 30), slice(28, 43))]
WINDOWS += [(slice(24, 31), slice(20, 28))]

Loss = Callable[[Tensor], Tensor]


def _skeleton(label: Tensor) -> Tensor:
    mask = label[0, 0].numpy() > 0
    tube = binary_dilation(skeletonize(mask), np.ones((3,) * mask.ndim)) & mask
    return torch.from_numpy(tube)[None, None]


def _with(target: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    return lambda logits: loss(logits, target)


LOSSES: dict[str, Callable[[Tensor], Loss]] = {
    "Dice": lambda label: _with(label, DiceLoss(sigmoid=True)),
    "soft clDice": lambda label: _with(label, SoftclDiceLoss(sigmoid=True)),
    "PersistenceLoss, wasserstein": lambda label: _with(label, PersistenceLoss(sigmoid=True)),
    "PersistenceLoss, spatial": lambda label: _with(label, PersistenceLoss(sigmoid=True, matching="spatial")),
    "PersistenceLoss, spatial, along structures": lambda label: _with(
        label, PersistenceLoss(sigmoid=True, matching="spatial", gradient="structure_towards_label")
    ),
    "BettiMatchingLoss": lambda label: _with(label, BettiMatchingLoss(sigmoid=True)),
    "WarpingLoss": lambda label: _with(label, WarpingLoss(sigmoid=True)),
    "BettiPriorLoss": lambda label: BettiPriorLoss(sigmoid=True, betti=betti_numbers(label[0])[0].tolist()),
    "SkeletonRecallLoss": lambda label: _with(_skeleton(label), SkeletonRecallLoss(sigmoid=True)),
}


class Toy(NamedTuple):
    """A label, the logits of a broken map, and the mask of its errors."""

    label: Tensor  # (1, 1, *spatial)
    logits: Tensor
    broken: Tensor  # bool


def toy(ndim: int) -> Toy:
    """Draw a ring, a bar and a ball (in 2D a disc), with a break, a bridge, a hole and a speck."""
    grid = np.indices(SHAPES[ndim]).astype(float)
    height = grid[0] - SHAPES[3][0] // 2 if ndim == 3 else np.zeros(SHAPES[2])
    row, column = grid[-2:]

    def ball(y: float, x: float, radius: float) -> np.ndarray:
        return np.sqrt(height**2 + (row - y) ** 2 + (column - x) ** 2) - radius

    def segment(y: float, x0: float, x1: float, radius: float) -> np.ndarray:
        beyond = np.maximum(np.maximum(x0 - column, column - x1), 0)
        return np.sqrt(height**2 + (row - y) ** 2 + beyond**2) - radius

    ring = np.sqrt(height**2 + (np.hypot(row - 15, column - 13) - 8) ** 2) - 1.9
    outside_vox = np.minimum(np.minimum(ring, segment(7, 27, 42, 1.9)), ball(22, 35, 5.4))
    noise = np.random.default_rng(0).normal(1, 0.1, outside_vox.shape)
    logits = 2.5 * noise * np.tanh(-outside_vox / 1.5)
    errors = [
        (ball(23, 13, 2.6), -0.8),  # a break of the ring
        (segment(8.5, 17, 28, 1.1), 0.8),  # a bridge from the ring to the bar
        (ball(22, 35, 1.3), -0.8),  # a hole in the disc, a cavity in the ball
        (ball(27, 24, 1.5), 0.8),  # a speck
    ]
    label, broken = outside_vox < 0, np.zeros(outside_vox.shape, dtype=bool)
    for distance, value in errors:
        touched = (distance < 0) & (label == (value < 0))
        logits[touched] = value * noise[touched]
        broken |= distance < 1.5
    arrays = (label.astype(np.float32), logits.astype(np.float32), broken)
    return Toy(*(torch.from_numpy(array)[None, None] for array in arrays))


@dataclass
class Run:
    """The result of optimizing a map by one loss."""

    frames: list[Tensor]  # masks before, halfway and after
    steps: int | None  # until the Betti numbers of the label were reached; None: never
    betti_error: int
    dice: float
    elsewhere: int  # voxels that crossed the threshold away from the errors


def mask_of(logits: Tensor) -> Tensor:
    """Threshold the map at likelihood 0.5."""
    return logits.detach()[0, 0] > 0


def betti_error(logits: Tensor, label: Tensor) -> int:
    """Sum the Betti number errors over dimensions, for the whole map and for a window around each error."""
    both = torch.stack((mask_of(logits), label[0, 0] > 0))
    crops = [both, *(both[(..., *window)] for window in WINDOWS)]
    return sum(int(betti_numbers(crop).diff(dim=0).abs().sum()) for crop in crops)


def descend(name: str, case: Toy, max_steps: int) -> Run:
    """Optimize with Adam for `max_steps`, and note the step at which the Betti numbers are first correct."""
    loss, logits = LOSSES[name](case.label), case.logits.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=LEARNING_RATE)
    frames, reached = [mask_of(logits)], None
    for step in range(1, max_steps + 1):
        optimizer.zero_grad()
        loss(logits).backward()
        optimizer.step()
        if reached is None and betti_error(logits, case.label) == 0:
            reached = step
        if step == max_steps // 2:
            frames.append(mask_of(logits))
    after, label = mask_of(logits), case.label[0, 0] > 0
    frames.append(after)
    dice = 2 * int((after & label).sum()) / int(after.sum() + label.sum())
    elsewhere = int(((after != frames[0]) & ~case.broken[0, 0]).sum())
    return Run(frames, reached, betti_error(logits, case.label), dice, elsewhere)


def draw(runs: dict[int, dict[str, Run]], cases: dict[int, Toy], path: Path) -> None:
    """Draw one row per loss: before, halfway and after, in 2D and, seen from above, in 3D."""
    names = list(next(iter(runs.values())))
    columns = [f"{ndim}D, {when}" for ndim in runs for when in ("before", "halfway", "after")]
    figure = Figure(figsize=(2.1 * len(columns), 1.6 * len(names)), layout="constrained", dpi=80)
    axes = figure.subplots(len(names), len(columns), squeeze=False)
    for name, row in zip(names, axes, strict=True):
        frames = [(frame, cases[ndim].label[0, 0] > 0) for ndim in runs for frame in runs[ndim][name].frames]
        for (mask, label), panel, title in zip(frames, row, columns, strict=True):
            seen, true = ((x.any(0) if x.ndim == 3 else x).numpy() for x in (mask, label))
            # White: correct; vermilion: missing; sky blue: spurious.
            colors = np.array([[[0, 0, 0], [86, 180, 233]], [[213, 94, 0], [255, 255, 255]]], dtype=np.uint8)
            panel.imshow(colors[true.astype(int), seen.astype(int)])
            panel.set(xticks=[], yticks=[])
            if name == names[0]:
                panel.set_title(title, fontsize=9)
        row[0].set_ylabel(name.replace(", ", ",\n"), fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def table(runs: dict[int, dict[str, Run]]) -> list[str]:
    """Format the results as lines of a markdown table."""
    heads = [f"{ndim}D {head}" for ndim in runs for head in ("steps", "Betti error", "Dice", "changed elsewhere")]
    lines = [f"| loss | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in next(iter(runs.values())):
        cells: list[object] = [name]
        for of_dim in runs.values():
            run = of_dim[name]
            cells += ["never" if run.steps is None else run.steps, run.betti_error, f"{run.dice:.3f}", run.elsewhere]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Optimize with every loss, print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="number of optimization steps")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="path of the figure")
    options = parser.parse_args(arguments)
    cases = {ndim: toy(ndim) for ndim in SHAPES}
    runs = {ndim: {name: descend(name, case, options.steps) for name in LOSSES} for ndim, case in cases.items()}
    for ndim, case in cases.items():
        print(f"{ndim}D: Betti error {betti_error(case.logits, case.label)} before")
    print("\n".join(table(runs)))
    draw(runs, cases, options.picture)


if __name__ == "__main__":
    main()
