"""Time what a topology loss adds to a training step: `python -m monai_topo.benchmark.training_step --json FILE`.

A UNet with Dice and cross-entropy makes training steps (forward pass, losses, backward pass, optimizer) on synthetic
vessels (3D) and membranes (2D), without a topology loss and with it in several settings, which take turns. The learning
rate is 0 while they are timed, so all see the same likelihoods: those of an untrained network, then those of one that
has been trained for some steps. On a GPU, if there is one, in bfloat16, with all threads and in wall time; else small
networks on one thread of the CPU, in CPU time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss, SoftclDiceLoss
from monai.networks.nets import UNet
from torch import Tensor

from monai_topo._utils.io import atomic_write
from monai_topo.benchmark.machine import processor
from monai_topo.data.membranes import synthetic_membranes
from monai_topo.data.vessels import synthetic_vessels
from monai_topo.losses import BettiMatchingLoss, PersistenceLoss, TopologyAwareLoss

Step = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A network and its batch."""

    shape: tuple[int, ...]  # images, then voxels along each axis
    channels: tuple[int, ...]
    patch_size: int
    num_training_steps: int

    @property
    def name(self) -> str:
        """The network and the batch in words."""
        images, *extent = self.shape
        size = f"{extent[0]}^{len(extent)}" if len(set(extent)) == 1 else "x".join(map(str, extent))
        return f"{len(extent)}D UNet, {images} x {size}"


CASES = {
    "cuda": [
        Case((2, 128, 128, 128), (32, 64, 128, 256, 320), 64, 300),
        Case((8, 512, 512), (32, 64, 128, 256, 512), 128, 100),
    ],
    "cpu": [Case((2, 64, 64, 64), (16, 32, 64), 32, 40), Case((4, 256, 256), (16, 32, 64), 64, 60)],
    "quick": [Case((1, 16, 20, 24), (4, 8), 8, 2), Case((2, 32, 40), (4, 8), 16, 2)],
}


class Training:
    """A network, its optimizer and one batch."""

    def __init__(self, case: Case, device: str) -> None:
        torch.manual_seed(0)
        ndim, (images, *extent) = len(case.shape) - 1, case.shape
        synthesize = synthetic_vessels if ndim == 3 else synthetic_membranes
        drawn = [synthesize(extent, seed=seed) for seed in range(images)]
        self.image, self.label = (
            torch.from_numpy(np.stack(arrays))[:, None].float().to(device) for arrays in zip(*drawn, strict=True)
        )
        strides = (2,) * (len(case.channels) - 1)
        self.network = UNet(ndim, 1, 1, channels=case.channels, strides=strides, num_res_units=2, norm="INSTANCE")
        self.network.to(device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.0)
        self.device = device

    def logits(self) -> Tensor:
        """Run the network."""
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            logits: Tensor = self.network(self.image)
        return logits.float()

    def step(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Make a training step."""
        self.optimizer.zero_grad()
        loss(self.logits(), self.label).backward()
        self._finish()

    def accumulated_step(self, loss: TopologyAwareLoss, micro_batches: int = 2) -> None:
        """Make a training step of several micro-batches; the loss of each is taken after the next forward pass."""
        self.optimizer.zero_grad()
        pending = None
        for _ in range(micro_batches):
            following = loss.start(self.logits(), self.label)
            if pending is not None:
                pending.result().backward()
            pending = following
        if pending is not None:
            pending.result().backward()
        self._finish()

    def train(self, steps: int) -> None:
        """Train with the pixel loss alone."""
        self.optimizer.param_groups[0]["lr"] = 2e-3
        for _ in range(steps):
            self.step(DiceCELoss(sigmoid=True))
        self.optimizer.param_groups[0]["lr"] = 0.0

    def _finish(self) -> None:
        self.optimizer.step()
        if self.device == "cuda":
            torch.cuda.synchronize()


def with_topology(kind: type[PersistenceLoss | BettiMatchingLoss], overlap: bool, **options: Any) -> TopologyAwareLoss:
    """Make the sum of pixel loss and topology loss."""
    if kind is PersistenceLoss:
        options["matching"] = "spatial"
    return TopologyAwareLoss(DiceCELoss(sigmoid=True), kind(sigmoid=True, **options), 0.1, overlap=overlap)


def steps_of(training: Training, case: Case) -> dict[str, Step]:
    """Make the steps that are compared; the first one has no topology loss."""
    grid = int(np.prod([-(-length // case.patch_size) for length in case.shape[1:]]))
    quarter = {"patch_size": case.patch_size, "num_patches": max(1, grid // 4)}
    losses = {
        "spatial persistence, synchronous": with_topology(PersistenceLoss, False),
        "spatial persistence": with_topology(PersistenceLoss, True),
        f"patches of {case.patch_size}": with_topology(PersistenceLoss, True, patch_size=case.patch_size),
        "a quarter of the patches": with_topology(PersistenceLoss, True, **quarter),
        "support 0.2, synchronous": with_topology(PersistenceLoss, False, support=0.2),
        "support 0.2": with_topology(PersistenceLoss, True, support=0.2),
        "support 0.2, a quarter of the patches": with_topology(PersistenceLoss, True, support=0.2, **quarter),
        "Betti matching, support 0.2": with_topology(BettiMatchingLoss, True, support=0.2),
    }
    base, cldice = DiceCELoss(sigmoid=True), SoftclDiceLoss()
    alone = TopologyAwareLoss(base, base, 0.0)
    return {
        "base loss alone": partial(training.step, base),
        "soft clDice of MONAI": partial(
            training.step, lambda logits, label: base(logits, label) + cldice(label, torch.sigmoid(logits))
        ),
        **{name: partial(training.step, loss) for name, loss in losses.items()},
        "two micro-batches, base loss alone": partial(training.accumulated_step, alone),
        "two micro-batches, synchronous": partial(training.accumulated_step, with_topology(PersistenceLoss, False)),
        "two micro-batches": partial(training.accumulated_step, with_topology(PersistenceLoss, True)),
    }


def time_steps(steps: Mapping[str, Step], seconds: float, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Measure milliseconds of the steps, which take turns for so many seconds, at least once after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    turn = 0
    while turn < 2 or time.perf_counter() < end:
        for name, step in steps.items():
            begin = clock()
            step()
            if turn:
                times[name].append(1e3 * (clock() - begin))
        turn += 1
    return times


def largest_difference(training: Training) -> float:
    """Return how much the gradients of a synchronous and an overlapping loss differ, relative to the largest one."""
    logits = training.logits().detach()
    grads = []
    for overlap in (False, True):
        leaf = logits.clone().requires_grad_()
        with_topology(PersistenceLoss, overlap)(leaf, training.label).backward()
        grads.append(leaf.grad if leaf.grad is not None else torch.zeros_like(leaf))
    return float((grads[0] - grads[1]).abs().max() / grads[0].abs().max())


def table(times: Mapping[str, list[float]]) -> list[str]:
    """Return the lines of a Markdown table: median, least time, and median overhead over the step without topology."""
    lines = ["| step | median ms | least ms | overhead ms | overhead |", "|---|---|---|---|---|"]
    for name, values in times.items():
        prefix = "two micro-batches, " if name.startswith("two micro-batches") else ""
        base = times[f"{prefix}base loss alone"]
        more, ratio = float(np.median(np.subtract(values, base))), float(np.median(np.divide(values, base)))
        lines.append(f"| {name} | {np.median(values):.1f} | {min(values):.1f} | {more:.1f} | {ratio - 1:.0%} |")
    return lines


def main() -> None:
    """Time the steps, print tables and write the times as JSON."""
    parser = argparse.ArgumentParser(prog="python -m monai_topo.benchmark.training_step", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), help="a GPU if there is one, by default")
    parser.add_argument("--seconds", type=float, default=12.0, help="seconds per table, 12 by default")
    parser.add_argument("--quick", action="store_true", help="tiny networks on the CPU: seconds in total")
    parser.add_argument("--json", metavar="FILE", help="file for all times")
    arguments = parser.parse_args()
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.quick:
        device, arguments.seconds = "cpu", 0.0
    clock = time.perf_counter
    if device == "cpu":
        torch.set_num_threads(1)  # then CPU time is the wall time of an idle machine
        clock = time.process_time
    torch.backends.cudnn.benchmark = True
    gpu = f"; {torch.cuda.get_device_name()}" if device == "cuda" else ""
    machine = f"{processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}{gpu}"
    print(machine, flush=True)
    results: dict[str, Any] = {"machine": machine, "device": device, "cases": {}}
    for case in CASES["quick" if arguments.quick else device]:
        training = Training(case, device)
        for state in ("untrained", "trained"):
            if state == "trained":
                training.train(case.num_training_steps)
            foreground = float((training.logits() > 0).float().mean())
            times, difference = (
                time_steps(steps_of(training, case), arguments.seconds, clock),
                largest_difference(training),
            )
            title = f"{case.name}, {state} ({foreground:.1%} foreground; difference of the gradients {difference:.1g})"
            print("\n".join([f"\n{title}\n", *table(times)]), flush=True)
            results["cases"][f"{case.name}, {state}"] = {
                "times_ms": times,
                "foreground": foreground,
                "difference": difference,
            }
    if arguments.json:
        with atomic_write(arguments.json) as file:
            file.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
