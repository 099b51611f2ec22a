"""One run: a network trained to convergence with the pixel loss, and from there on with one of the methods."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from methods import BASE, METHODS, StudyLoss
from monai.data import set_track_meta
from monai.inferers import SlidingWindowInferer
from monai.metrics import compute_dice
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
from numpy.typing import NDArray
from sets import Case, StudySet, load_cases

from monai_topo._utils.io import atomic_write

CROPPED = ("image", "label", "skeleton")
BATCH = {2: 4, 3: 2}
CHANNELS = {2: (16, 32, 64, 128), 3: (8, 16, 32, 64)}
LEARNING_RATES = (2e-3, 2e-4)  # constant until convergence, then decreasing along a cosine
EVERY = 250  # steps between two checkpoints, and between two looks at the tuning cases
WINDOW = 4  # looks that are averaged to judge convergence
GAIN = 0.002  # Dice; less than this over one window is a plateau
LOOKED_AT = 5  # tuning cases, at most, that convergence is judged by


@dataclass(frozen=True)
class Run:
    """The settings of one run, sent to a worker process.

    Attributes:
        study_set: The data set.
        data: Folder of the data sets.
        out: Folder of the results of this set.
        seed: Seed of the weights and the crops.
        steps: Steps with the method.
        base_steps: Steps with the pixel loss alone before that; None: until convergence.
        max_base_steps: The most steps until convergence.
        method: Name of the method, empty for the base.
        weight: Weight of its topology term.
        network: Channels of the network at each level; None: `CHANNELS`.
        device: Where the network runs, "cpu" or "cuda". Only on the CPU is a continued run equal bit for bit.
    """

    study_set: StudySet
    data: Path
    out: Path
    seed: int
    steps: int
    base_steps: int | None = None
    max_base_steps: int = 6000
    method: str = ""
    weight: float = 0.0
    network: tuple[int, ...] | None = None
    device: str = "cpu"

    @property
    def base(self) -> Path:
        """Path of the network that all methods of the seed continue from, without its ending."""
        return self.out / "bases" / f"seed {self.seed}, {self.base_steps or 'converged'}"

    @property
    def unfinished(self) -> Path:
        """Path of the checkpoint of a run that is not measured yet."""
        return self.out / "unfinished" / f"{self.name}.pt"

    @property
    def likelihoods(self) -> Path:
        """Path of the likelihoods of the tuning and test cases."""
        return self.out / "likelihoods" / f"{self.name}.npz"

    @property
    def name(self) -> str:
        """What the files of the run are called."""
        return f"{self.method}, {self.weight:g}, seed {self.seed}, {self.base_steps or 'converged'}"


def train_base(run: Run) -> None:
    """Train with the pixel loss alone until the Dice of the tuning cases no longer rises; save network and curve."""
    state = _Training(run, replace(run, method=BASE), stream=0)
    unfinished = run.base.with_suffix(".unfinished.pt")
    curve = state.resume(unfinished)
    tuning = load_cases(run.study_set, run.data, "tune")[:LOOKED_AT]
    while not _is_finished(run, curve):
        state.train(min(EVERY, run.base_steps - state.step) if run.base_steps else EVERY)
        curve.append({"step": state.step, "dice": _mean_dice(state.network, run.study_set, tuning)})
        state.save(unfinished, curve)
    with atomic_write(run.base.with_suffix(".csv")) as file:
        pd.DataFrame(curve).to_csv(file, index=False, float_format="%.6g")
    state.save(run.base.with_suffix(".pt"), curve)
    unfinished.unlink()


def base_network(run: Run, is_trained: bool) -> UNet:
    """Return the network that all methods of the seed continue from, or the same before its training."""
    state = _Training(run, replace(run, method=BASE), stream=0)
    if is_trained:
        state.start_from(run.base.with_suffix(".pt"))
    return state.network


def _is_finished(run: Run, curve: Sequence[dict[str, float]]) -> bool:
    step = int(curve[-1]["step"]) if curve else 0
    if run.base_steps:
        return step >= run.base_steps
    dice = [look["dice"] for look in curve]
    recent, before = dice[-WINDOW:], dice[-2 * WINDOW : -WINDOW]
    return step >= run.max_base_steps or (len(before) == WINDOW and float(np.mean(recent) - np.mean(before)) < GAIN)


def train_method(run: Run) -> tuple[UNet, dict[str, float]]:
    """Continue with a method; return the network and the cost of the run."""
    state = _Training(run, run, stream=1)
    state.start_from(run.base.with_suffix(".pt"))
    state.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(state.optimizer, run.steps, LEARNING_RATES[1])
    state.resume(run.unfinished)
    while state.step < run.steps:
        state.train(min(EVERY, run.steps - state.step))
        state.save(run.unfinished, [])
    return state.network, {"seconds_per_step": state.seconds / run.steps, "peak_mib": _peak_mib(run.device)}


class _Training:
    """A network with its optimizer, loss and crops, which a checkpoint continues bit for bit."""

    def __init__(self, run: Run, method: Run, *, stream: int) -> None:
        torch.set_num_threads(1)  # parallelism is over runs, so that results do not depend on the number of cores
        set_determinism(run.seed)
        self.device = torch.device(run.device)
        if run.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.study_set, self.seed, self.stream = run.study_set, run.seed, stream
        # The slices of a stack are far apart: no pooling across slices at the finest level, as in the vessel bundle.
        strides: Sequence[Any] = [2, 2, 2] if run.study_set.ndim == 2 else [(2, 2, 1), 2, 2]
        self.network = UNet(
            spatial_dims=run.study_set.ndim,
            in_channels=run.study_set.channels,
            out_channels=1,
            channels=run.network or CHANNELS[run.study_set.ndim],
            strides=strides,
            num_res_units=2,
            norm="INSTANCE",
        ).to(self.device)
        if run.device == "cpu" and run.study_set.ndim == 3:  # a step is then faster, by 6 to 28 %
            self.network = self.network.to(memory_format=torch.channels_last_3d)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), LEARNING_RATES[0])
        self.schedule: torch.optim.lr_scheduler.LRScheduler | None = None
        if run.device == "cuda":  # replayed as a graph, since the launches of so many small kernels would take longer
            crop = torch.zeros(BATCH[run.study_set.ndim], run.study_set.channels, *run.study_set.crop, device="cuda")
            torch.cuda.make_graphed_callables(self.network, (crop,))
        self.loss = StudyLoss(METHODS[method.method], method.weight, run.study_set)
        self.cases = load_cases(run.study_set, run.data, "train")
        self.augment = _augmentation(run.study_set)
        self.step, self.seconds = 0, 0.0

    def train(self, steps: int) -> None:
        """Train for some steps; count CPU seconds, which other processes hardly affect."""
        start = time.process_time()
        self.network.train()
        for _ in range(steps):
            batch = self._batch()
            self.optimizer.zero_grad()
            self.loss(self.network(batch["image"]), batch).backward()
            self.optimizer.step()
            if self.schedule:
                self.schedule.step()
            self.step += 1
        self.seconds += time.process_time() - start

    def save(self, path: Path, curve: list[dict[str, float]]) -> None:
        """Save everything that the next step depends on."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic_write(path) as file:
            torch.save({**state, "step": self.step, "seconds": self.seconds, "curve": curve}, file)

    def start_from(self, base: Path) -> None:
        """Take over network and optimizer of a base."""
        state = torch.load(base, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def resume(self, unfinished: Path) -> list[dict[str, float]]:
        """Continue from a checkpoint, if there is one, and return its curve."""
        if not unfinished.exists():
            return []
        state = torch.load(unfinished, map_location="cpu", weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]
        curve: list[dict[str, float]] = state["curve"]
        return curve

    def _batch(self) -> Case:
        """Draw random crops, which depend on seed and step alone, so that they are the same for every method."""
        choice = np.random.default_rng((self.seed, self.stream, self.step))
        self.augment.set_random_state(int(choice.integers(2**31)))
        drawn = choice.integers(len(self.cases), size=BATCH[self.study_set.ndim])
        set_track_meta(False)  # metadata that nobody reads would take half of the time
        crops = [self.augment({key: self.cases[i][key] for key in CROPPED}) for i in drawn]
        set_track_meta(True)
        return {key: torch.stack([crop[key] for crop in crops]).to(self.device) for key in CROPPED}

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "optimizer": self.optimizer, "schedule": self.schedule, "loss": self.loss}
        return {name: part for name, part in parts.items() if part}


def _augmentation(study_set: StudySet) -> Compose:
    return Compose(
        [
            RandSpatialCropd(CROPPED, study_set.crop, random_size=False),
            RandFlipd(CROPPED, prob=0.5, spatial_axis=0),
            RandFlipd(CROPPED, prob=0.5, spatial_axis=1),
            RandRotate90d(CROPPED, prob=0.75),
            RandScaleIntensityd("image", factors=0.2, prob=0.5),
            RandShiftIntensityd("image", offsets=0.2, prob=0.5),
        ]
    )


def predict(network: UNet, study_set: StudySet, case: Case) -> NDArray[np.float16]:
    """Predict the likelihood of a case with sliding windows, 0 outside a field of view, in half precision."""
    return predict_likelihood(network, study_set, case).astype(np.float16)


def predict_likelihood(network: UNet, study_set: StudySet, case: Case) -> NDArray[np.float32]:
    """Predict the likelihood of a case with sliding windows, 0 outside a field of view."""
    network.eval()
    inferer = SlidingWindowInferer(study_set.crop, sw_batch_size=4, overlap=0.5, mode="gaussian")
    device = next(network.parameters()).device
    with torch.inference_mode():
        likelihood = torch.sigmoid(inferer(case["image"][None].to(device), network))[0, 0].cpu()
    if "mask" in case:
        likelihood = likelihood * (case["mask"][0] > 0)
    values: NDArray[np.float32] = likelihood.numpy()
    return values


def _mean_dice(network: UNet, study_set: StudySet, cases: Sequence[Case]) -> float:
    masks = [torch.as_tensor(predict(network, study_set, case) > 0.5).float() for case in cases]
    return float(np.mean([compute_dice(m[None, None], c["label"][None]) for m, c in zip(masks, cases, strict=True)]))


def _peak_mib(device: str) -> float:
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
