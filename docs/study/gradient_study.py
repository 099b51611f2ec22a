"""Steps to repair one error, and what else changes: gradients at critical voxels, along critical sets, and warping.

`python docs/study/gradient_study.py` optimizes small likelihood maps by one topology loss alone and prints a table. It
takes a minute on one core.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from monai_topo import PersistenceLoss, WarpingLoss, betti_numbers

Case = tuple[Tensor, Tensor]  # likelihood, label; (1, 1, *spatial)
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "critical": PersistenceLoss(matching="rank", gradient="critical", num_threads=1),
    "structure": PersistenceLoss(matching="rank", gradient="structure", num_threads=1),
    "structure towards label": PersistenceLoss(matching="rank", gradient="structure_towards_label", num_threads=1),
    "warping": WarpingLoss(penalty="squared", num_threads=1),
}
MAX_STEPS = 300


def band(shape: tuple[int, ...], *, rows: range) -> Tensor:
    """Draw a bar along the last axis; in 3D a rod of the same rows in the middle planes."""
    label = torch.zeros(shape)
    where = (slice(shape[0] // 2 - 1, shape[0] // 2 + 2), rows) if len(shape) == 3 else (rows,)
    label[(*where[:-1], slice(rows.start, rows.stop), slice(None))] = 1
    return label


def blurred(mask: Tensor, label: Tensor, seed: int) -> Case:
    """Return the likelihood of a network that detects `mask`, with some noise."""
    noise = torch.randn(mask.shape, generator=torch.Generator().manual_seed(seed)).numpy()
    logits = 7 * gaussian_filter(mask.numpy(), 0.8) - 3.2 + 1.5 * gaussian_filter(noise, 1.0)
    return torch.sigmoid(torch.from_numpy(logits)).float()[None, None], label[None, None]


def cases(shape: tuple[int, ...], seed: int) -> dict[str, Case]:
    """Return one case per error: a broken bar, a bridge between two bars, a speck, a hole."""
    one = band(shape, rows=range(6, 9))
    two = torch.maximum(band(shape, rows=range(3, 6)), band(shape, rows=range(12, 15)))
    gap, bridge, speck = one.clone(), two.clone(), one.clone()
    gap[..., 10:17] *= 0.3  # hardly visible
    middle = (slice(shape[0] // 2 - 1, shape[0] // 2 + 1),) if len(shape) == 3 else ()
    bridge[(*middle, slice(6, 12), slice(14, 17))] = 0.9
    speck[(*middle, slice(13, 16), slice(5, 9))] = 1
    thick = band(shape, rows=range(4, 13))
    hole = thick.clone()
    hole[(*middle, slice(7, 10), slice(12, 16))] = 0
    if len(shape) == 3:  # a tunnel through the slab
        hole[:, 7:10, 12:16] = 0
    found = {"break": (gap, one), "bridge": (bridge, two), "speck": (speck, one), "hole": (hole, thick)}
    return {name: blurred(seen, label, seed) for name, (seen, label) in found.items()}


def errors(likelihood: Tensor, label: Tensor) -> tuple[int, int]:
    """Compute the Betti number error, summed over dimensions, and the number of wrong voxels at threshold 0.5."""
    mask = likelihood > 0.5
    difference = betti_numbers(mask[0]) - betti_numbers(label[0])
    return int(difference.abs().sum()), int((mask != label.bool()).sum())


def repair(case: Case, loss: Callable[[Tensor, Tensor], Tensor], optimizer: str) -> tuple[int | None, int, int]:
    """Return the steps until the Betti numbers are correct, None for never, and wrong voxels before and after."""
    likelihood, label = case
    logits = torch.logit(likelihood, eps=1e-4).requires_grad_()
    steps = torch.optim.SGD([logits], lr=5.0) if optimizer == "sgd" else torch.optim.Adam([logits], lr=0.2)
    before = errors(likelihood, label)[1]
    for step in range(MAX_STEPS + 1):
        betti, wrong = errors(torch.sigmoid(logits.detach()), label)
        if betti == 0:
            return step, before, wrong
        steps.zero_grad()
        loss(torch.sigmoid(logits), label).backward()
        steps.step()
    return None, before, wrong


def main() -> None:
    """Print the median over the noise seeds for each case, optimizer and loss."""
    print("| image | optimizer | error | loss | repaired | steps | wrong voxels before | after |")
    print("|---|---|---|---|---|---|---|---|")
    for shape, seeds in (((19, 30), 5), ((9, 19, 30), 3)):
        for optimizer in ("sgd", "adam"):
            for error in cases(shape, 0):
                for name, loss in LOSSES.items():
                    runs = [repair(cases(shape, seed)[error], loss, optimizer) for seed in range(seeds)]
                    steps = sorted(MAX_STEPS + 1 if run[0] is None else run[0] for run in runs)
                    median = steps[seeds // 2]
                    row = [
                        f"{len(shape)}D",
                        optimizer,
                        error,
                        name,
                        f"{sum(run[0] is not None for run in runs)}/{seeds}",
                    ]
                    row += [f"> {MAX_STEPS}" if median > MAX_STEPS else str(median)]
                    row += [str(sorted(run[i] for run in runs)[seeds // 2]) for i in (1, 2)]
                    print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
