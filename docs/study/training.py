"""One run: the second half of a training run whose first half is shared by all methods of a seed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from methods import BASE, METHODS, total_loss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    RandFlipd,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
)
from monai.utils import set_determinism
from sets import SETS, Case, StudySet, load_cases
from torch import Tensor

from monai_topo._utils.io import atomic_write

BATCH = {2: 4, 3: 2}
CHANNELS = {2: (16, 32, 64, 128), 3: (8, 16, 32, 64)}
LEARNING_RATES = (2e-3, 2e-4)  # constant in the first half, then decreasing along a cosine


@dataclass(frozen=True)
class Run:
    """The settings of one run, sent to a worker process."""

    set_name: str
    data: Path
    out: Path
    seed: int
    warmup_steps: int
    steps: int
    method: str = ""
    weight: float = 0.0

    @property
    def first_half(self) -> Path:
        """Path of the shared first half of the seed."""
        return self.out / f"warmup_seed{self.seed}.pt"


def warm_up(run: Run) -> None:
    """Train with the pixel loss alone and save the network and the optimizer."""
    study_set, network, optimizer = _start(run)
    _first_half(run, study_set, network, optimizer, total_loss(METHODS[BASE], 0.0, study_set))
    with atomic_write(run.first_half) as file:
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, file)


def _first_half(
    run: Run,
    study_set: StudySet,
    network: UNet,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Case], Tensor],
) -> None:
    batches = _batches(study_set, load_cases(study_set, run.data, "train"), seed=2 * run.seed)
    _descend(network, optimizer, loss, batches, run.warmup_steps)


def second_half(run: Run) -> tuple[UNet, dict[str, float]]:
    """Continue with a method; return the network and the cost of the run."""
    study_set, network, optimizer = _start(run)
    loss = total_loss(METHODS[run.method], run.weight, study_set)
    if METHODS[run.method].from_start:
        _first_half(run, study_set, network, optimizer, loss)
    else:
        state = torch.load(run.first_half, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, run.steps, LEARNING_RATES[1])
    batches = _batches(study_set, load_cases(study_set, run.data, "train"), seed=2 * run.seed + 1)
    seconds = _descend(network, optimizer, loss, batches, run.steps, schedule)
    return network, {"seconds_per_step": seconds / run.steps, "peak_mib": _peak_mib()}


def _start(run: Run) -> tuple[StudySet, UNet, torch.optim.Optimizer]:
    torch.set_num_threads(1)  # parallelism is over runs, so that results do not depend on the number of cores
    set_determinism(run.seed)
    study_set = SETS[run.set_name]
    # The slices of a stack are far apart: no pooling across slices at the finest level, as in the vessel bundle.
    strides: Sequence[Any] = [2, 2, 2] if study_set.ndim == 2 else [(2, 2, 1), 2, 2]
    network = UNet(
        spatial_dims=study_set.ndim,
        in_channels=3 if study_set.folder in ("drive", "topomortar") else 1,
        out_channels=1,
        channels=CHANNELS[study_set.ndim],
        strides=strides,
        num_res_units=2,
        norm="INSTANCE",
    )
    return study_set, network, torch.optim.AdamW(network.parameters(), LEARNING_RATES[0])


def _batches(study_set: StudySet, cases: Sequence[Case], seed: int) -> Iterator[Case]:
    """Yield random crops endlessly, the same for every method."""
    keys = ["image", "label", "skeleton"]
    augment = Compose(
        [
            RandSpatialCropd(keys, study_set.crop, random_size=False),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandFlipd(keys, prob=0.5, spatial_axis=1),
            RandRotate90d(keys, prob=0.75),
            RandScaleIntensityd("image", factors=0.2, prob=0.5),
            RandShiftIntensityd("image", offsets=0.2, prob=0.5),
        ]
    ).set_random_state(seed)
    choice = np.random.default_rng(seed)
    while True:
        drawn = choice.integers(len(cases), size=BATCH[study_set.ndim])
        crops = [augment({key: cases[i][key] for key in keys}) for i in drawn]
        yield {key: torch.stack([torch.as_tensor(crop[key]).as_subclass(Tensor) for crop in crops]) for key in keys}


def _descend(
    network: UNet,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Case], Tensor],
    batches: Iterator[Case],
    steps: int,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> float:
    """Train for some steps; return the CPU seconds, which other processes hardly affect."""
    start = time.process_time()
    for _ in range(steps):
        batch = next(batches)
        optimizer.zero_grad()
        loss(network(batch["image"]), batch).backward()
        optimizer.step()
        if schedule:
            schedule.step()
    return time.process_time() - start


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
