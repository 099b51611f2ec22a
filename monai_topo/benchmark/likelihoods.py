"""Time the losses on likelihoods of networks: per voxel, and as multiples of the persistence pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss, SoftclDiceLoss
from torch import Tensor

from monai_topo._utils.patches import crop, patch_slices
from monai_topo.benchmark.images import noisy_structures, noisy_vessels
from monai_topo.benchmark.timing import Timed, median_ms, several_threads, torch_threads
from monai_topo.losses import BettiMatchingLoss, PersistenceLoss
from monai_topo.persistence.pairs import persistence_pairs

Loss = Callable[[Tensor, Tensor], Tensor]
Batch = tuple[Tensor, Tensor]  # likelihoods and labels, (N, 1, *spatial)

HEADS = [
    "network",
    "argsort",
    "pairs",
    "pairs, patches",
    *(f"{name}{unit}" for name in ("spatial", "spatial, patches", "Betti matching") for unit in ("", ", x pairs")),
    *("pairs, support", "spatial, support", "Betti matching, support"),
    *("soft clDice", "DiceCE"),
]
THREAD_TITLE = "Whole losses, forward + backward; several threads, times as fast as one"
THREAD_HEADS = ["network", "threads", "pairs", "spatial", "spatial, patches", "spatial, one image", "Betti matching"]
LOSSES_ON_THREADS: list[tuple[str, tuple[int, ...], float]] = [  # name, shape and sigma
    ("3 x 256^2 [2]", (3, 256, 256), 2),
    ("8 x 512^2 [2]", (8, 512, 512), 2),
    ("1 x 128^3 [2]", (1, 128, 128, 128), 2),
]
SUPPORT = 0.2
WITH_SUPPORT = ("spatial, support", "Betti matching, support")
SUPPORT_HEADS = [
    *("noise of the logits", "label", "in the support", "pairs", "pairs, support", *WITH_SUPPORT),
    *("spatial, 2 threads", "Betti matching, 2 threads"),
]


def read_likelihoods(path: Path) -> dict[str, Batch]:
    """Read a `.npz` file, or all in a folder: one array `(2, N, *spatial)` per network, likelihoods and labels."""
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"Expected .npz files in {path}, but found none.")
    batches = {}
    for file in files:
        with np.load(file) as arrays:
            for name in arrays.files:
                values = torch.from_numpy(arrays[name].astype(np.float32))
                if values.ndim not in (4, 5) or len(values) != 2:
                    raise ValueError(
                        f"Expected array {name!r} of {file} to have shape (2, N, *spatial), likelihoods and labels, "
                        f"but got {tuple(values.shape)}: docs/study/likelihoods.py writes such files."
                    )
                batches[name] = values[0][:, None], values[1][:, None]
    return batches


def losses(batch: Batch, num_threads: int) -> dict[str, Loss]:
    """Make the losses of likelihoods that are timed."""
    spatial = partial(PersistenceLoss, matching="spatial", num_threads=num_threads)
    betti = partial(BettiMatchingLoss, num_threads=num_threads)
    patch = _patch_size(batch)
    cldice = SoftclDiceLoss()
    return {
        "spatial": spatial(),
        "spatial, patches": spatial(patch_size=patch),
        "Betti matching": betti(),
        "spatial, support": spatial(support=SUPPORT),
        "Betti matching, support": betti(support=SUPPORT),
        "soft clDice": lambda likelihood, label: cldice(label, likelihood),
        "DiceCE": DiceCELoss(),
    }


def _patch_size(batch: Batch) -> list[int]:
    return [max(1, min(64, length // 2)) for length in batch[0].shape[2:]]


def likelihood_row(name: str, batch: Batch, repeats: int = 5) -> list[str]:
    """Measure CPU nanoseconds per voxel on one thread, forward and backward."""
    likelihood, label = batch
    with torch_threads(1):
        images = likelihood[:, 0]
        grid = patch_slices(images.shape[1:], patch_size=_patch_size(batch), num_patches=None, seed=0)
        patches = torch.cat([crop(images, patch) for patch in grid])
        above = torch.where(torch.maximum(images, label[:, 0]) > SUPPORT, images, 0)
        tasks: dict[str, Callable[[], Any]] = {
            "argsort": lambda: [np.argsort(image.flatten().numpy()) for image in images],
            "pairs": lambda: persistence_pairs(images, num_threads=1),
            "pairs, patches": lambda: persistence_pairs(patches, num_threads=1),
            "pairs, support": lambda: persistence_pairs(above, num_threads=1),
            **{title: partial(_step, loss, batch) for title, loss in losses(batch, 1).items()},
        }
        times = median_ms(tasks, repeats, time.process_time)
    per_voxel = {title: 1e6 * value / images.numel() for title, value in times.items()}
    ratios = {
        f"{title}, x pairs": value / per_voxel["pairs, patches" if "patches" in title else "pairs"]
        for title, value in per_voxel.items()
    }
    cells = [f"{ratios[head]:.2f}" if head in ratios else f"{per_voxel[head]:.0f}" for head in HEADS[1:]]
    return [name, *cells]


def support_row(side: int, noise: float, repeats: int = 9) -> list[str]:
    """Measure a volume that is mostly background: CPU ms on one thread, and by the clock the gain of two threads."""
    likelihood, label = (torch.from_numpy(image)[None, None] for image in noisy_vessels(side, noise))
    batch = likelihood, label
    is_kept = torch.maximum(likelihood, label) > SUPPORT
    above = torch.where(is_kept, likelihood, 0)[0]
    steps = {
        f"{title} {threads}": partial(_on_threads, threads, partial(_step, losses(batch, threads)[title], batch))
        for title in WITH_SUPPORT
        for threads in (1, 2)
    }
    tasks: dict[str, Callable[[], Any]] = {
        "pairs": lambda: persistence_pairs(likelihood[0], num_threads=1),
        "pairs, support": lambda: persistence_pairs(above, num_threads=1),
        **{title: steps[f"{title} 1"] for title in WITH_SUPPORT},
    }
    walls = median_ms(steps, repeats)
    times = median_ms(tasks, repeats, time.process_time)
    return [
        f"{noise}",
        *(f"{100 * float(mask.float().mean()):.1f} %" for mask in (label, is_kept)),
        *(f"{times[title]:.0f}" for title in tasks),
        *(f"{walls[f'{title} 1'] / walls[f'{title} 2']:.2f}" for title in WITH_SUPPORT),
    ]


def loss_thread_rows(name: str, batch: Batch, repeats: int = 7) -> Iterator[list[str]]:
    """Measure how many times as fast several threads are as one: whole losses, forward and backward."""
    one_image = batch[0][:1], batch[1][:1]
    counts = several_threads()
    tasks: dict[str, Timed] = {}
    for threads in (1, *counts):
        made = losses(batch, threads)
        of_count: dict[str, Timed] = {
            "pairs": partial(persistence_pairs, batch[0][:, 0], num_threads=threads),
            "spatial, one image": partial(_step, made["spatial"], one_image),
        }
        for title in ("spatial", "spatial, patches", "Betti matching"):
            of_count[title] = partial(_step, made[title], batch)
        tasks |= {f"{title} {threads}": partial(_on_threads, threads, task) for title, task in of_count.items()}
    times = median_ms(tasks, repeats)
    for threads in counts:
        gains = (times[f"{head} 1"] / times[f"{head} {threads}"] for head in THREAD_HEADS[2:])
        yield [name, str(threads), *(f"{gain:.2f}" for gain in gains)]


def synthetic_thread_rows(name: str, shape: tuple[int, ...], sigma: float) -> Iterator[list[str]]:
    """Measure how many times as fast several threads are as one on smoothed noise, `(N, *spatial)`."""
    likelihood, label = (torch.from_numpy(images)[:, None] for images in noisy_structures(shape, sigma))
    return loss_thread_rows(name, (likelihood, label))


def tables(path: Path, repeats: int = 5) -> Iterator[tuple[str, list[str], Iterable[list[str]]]]:
    """Yield title, heads and rows of the tables of the likelihoods in a file or folder."""
    batches = read_likelihoods(path)
    title = f"Losses on likelihoods, forward + backward; CPU ns per voxel, one thread (support: {SUPPORT})"
    yield title, HEADS, (likelihood_row(name, batch, repeats) for name, batch in batches.items())
    title = f"{THREAD_TITLE}, on likelihoods"
    rows = (row for name, batch in batches.items() for row in loss_thread_rows(name, batch, repeats))
    yield title, THREAD_HEADS, rows


def _step(loss: Loss, batch: Batch) -> None:
    likelihood = batch[0].detach().requires_grad_()
    loss(likelihood, batch[1]).backward()


def _on_threads(threads: int, task: Callable[[], Any]) -> None:
    with torch_threads(threads):
        task()
