"""Time persistence next to GUDHI and cripser, on several threads, and against the image size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_topo.benchmark.images import Image, smoothed_noise, sparse_vessels
from monai_topo.benchmark.timing import Timed, median_ms, several_threads, torch_threads
from monai_topo.masks.components import betti_numbers
from monai_topo.persistence.pairs import persistence_pairs

# Not MONAI's optional_import: its placeholders raise on any access, which breaks tools that inspect modules.
gudhi: Any = import_module("gudhi") if find_spec("gudhi") else None
cripser: Any = import_module("cripser") if find_spec("cripser") else None

Diagram = list[tuple[int, float, float]]

PERSISTENCE: dict[str, tuple[Callable[[], Image], int, int]] = {  # image, turns, and runs of ours per turn
    "256^2 [2]": (lambda: smoothed_noise((256, 256), 2), 5, 9),
    "512^2 [2]": (lambda: smoothed_noise((512, 512), 2), 5, 9),
    "1024^2 [2]": (lambda: smoothed_noise((1024, 1024), 2), 3, 5),
    "512^2 white noise": (lambda: smoothed_noise((512, 512), 0), 3, 5),
    "64^3 [2]": (lambda: smoothed_noise((64, 64, 64), 2), 5, 9),
    "96^3 [2]": (lambda: smoothed_noise((96, 96, 96), 2), 3, 5),
    "128^3 [2]": (lambda: smoothed_noise((128, 128, 128), 2), 3, 5),
    "64^3 white noise": (lambda: smoothed_noise((64, 64, 64), 0), 3, 3),
    "128^3 sparse vessels": (lambda: sparse_vessels((128, 128, 128)), 1, 5),
}
DTYPES = ("float32", "float64", "float16", "bfloat16")
BATCHES_ON_THREADS: list[tuple[str, tuple[int, ...], float]] = [  # name, shape and sigma
    ("8 x 512^2 [2]", (8, 512, 512), 2),
    ("8 x 64^3 [2]", (8, 64, 64, 64), 2),
    ("1 x 2048^2 [2]", (1, 2048, 2048), 2),
    ("1 x 128^3 [2]", (1, 128, 128, 128), 2),
    ("1 x 128^3 white noise", (1, 128, 128, 128), 0),
]
SLOW_FOR_GUDHI = {"128^3 sparse vessels"}


def by_gudhi(image: NDArray[np.float64]) -> Diagram:
    """Compute GUDHI's diagram of the superlevel sets, with the critical vertices that a loss needs."""
    cubical = gudhi.CubicalComplex(vertices=-image)
    points = cubical.persistence(homology_coeff_field=2, min_persistence=0)
    cubical.vertices_of_persistence_pairs()
    return [(dim, -birth, -death) for dim, (birth, death) in points if np.isfinite(death)]


def by_cripser(image: NDArray[np.float64]) -> Diagram:
    """Compute cripser's diagram on one thread; its rows contain the critical voxels too."""
    rows = cripser.computePH(-image, maxdim=image.ndim - 1)
    return [(int(dim), -birth, -death) for dim, birth, death in rows[:, :3] if death < 1e100]


def persistence_row(name: str) -> list[str]:
    """Measure the CPU times of one image for all packages, and compare the diagrams."""
    make, turns, repeats = PERSISTENCE[name]
    image = make()
    wide, tensor = image.astype(np.float64), torch.from_numpy(image)[None]
    peers: dict[str, Callable[[NDArray[np.float64]], Diagram]] = {}
    if cripser is not None:
        peers["cripser"] = by_cripser
    if gudhi is not None and name not in SLOW_FOR_GUDHI:
        peers["gudhi"] = by_gudhi
    diagrams: dict[str, Diagram] = {}

    def compute(peer: str) -> None:
        diagrams[peer] = peers[peer](wide)

    own: dict[str, Timed] = {
        "ours": lambda: persistence_pairs(tensor, connectivity="face", num_threads=1),
        "full": lambda: persistence_pairs(tensor, connectivity="full", num_threads=1),
        "argsort": lambda: np.argsort(image, axis=None),
    }
    # On one thread, CPU time is the wall time of an idle machine. Ratios compare tasks of the same turn.
    turn_times = [
        median_ms(own, repeats, time.process_time)
        | median_ms({peer: partial(compute, peer) for peer in peers}, 1, time.process_time)
        for _ in range(turns)
    ]
    pairs = persistence_pairs(tensor, connectivity="face", num_threads=1)
    mine = sorted((int(dim), *value) for dim, value in zip(pairs.dim, pairs.values(tensor).tolist(), strict=True))
    same = all(sorted(diagram) == mine for diagram in diagrams.values())

    def over_turns(key: str, relative_to: str | None = None) -> str:
        if key not in turn_times[0]:
            return ""
        return f"{np.median([turn[key] / (turn[relative_to] if relative_to else 1) for turn in turn_times]):.1f}"

    times = [over_turns(key) for key in ("ours", "full", "cripser", "gudhi", "argsort")]
    ratios = [over_turns(peer, relative_to="ours") for peer in ("cripser", "gudhi")]
    return [name, str(len(mine)), *times, *ratios, ("yes" if same else "NO") if peers else ""]


def dtype_row(name: str) -> list[str]:
    """Measure the CPU times of one image in several float types; the doubles are not rounded to floats."""
    image = torch.from_numpy(PERSISTENCE[name][0]())[None]
    doubles = image.double() + 1e-12 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).double()
    images = {dtype: doubles if dtype == "float64" else image.to(getattr(torch, dtype)) for dtype in DTYPES}
    tasks: dict[str, Timed] = {dtype: partial(persistence_pairs, images[dtype], num_threads=1) for dtype in DTYPES}
    with torch_threads(1):  # conversions are torch's
        times = median_ms(tasks, 9, time.process_time)
    row = [name, f"{times['float32']:.1f}"]
    for dtype in DTYPES[1:]:
        row += [f"{times[dtype]:.1f}", f"{times[dtype] / times['float32']:.2f}"]
    return row


def thread_rows(name: str, shape: tuple[int, ...], sigma: float) -> Iterable[list[str]]:
    """Measure images on one thread and on several, one row for each number of threads."""
    batch = torch.stack([torch.from_numpy(smoothed_noise(shape[1:], sigma, seed)) for seed in range(shape[0])])
    counts = several_threads()
    tasks: dict[str, Timed] = {
        str(count): partial(persistence_pairs, batch, num_threads=count) for count in (1, *counts)
    }
    times = median_ms(tasks, 15)
    for count in counts:
        several = times[str(count)]
        yield [name, str(count), f"{times['1']:.1f}", f"{several:.1f}", f"{times['1'] / several:.2f}"]


def size_rows(picture: str | None) -> Iterable[list[str]]:
    """Yield the cost against the size of smooth images and the fitted slopes; optionally draw them to a file."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for name, sides, ndim in (
        ("2D", (64, 128, 256, 512, 1024, 2048, 4096), 2),
        ("3D", (32, 48, 64, 96, 128, 192, 256), 3),
    ):
        voxels, times = curves.setdefault(name, ([], []))
        for side in sides:
            tensor = torch.from_numpy(smoothed_noise((side,) * ndim, 2))[None]
            task = partial(persistence_pairs, tensor, num_threads=1)
            voxels.append(tensor.numel())
            times.append(median_ms({"": task}, 9 if tensor.numel() < 2**19 else 3, time.process_time)[""])
            yield [f"{side}^{ndim}", f"{times[-1]:.1f}", f"{1e6 * times[-1] / voxels[-1]:.0f}"]
        yield [f"{name}: time grows with the voxels to the power", f"{_slope(voxels, times):.2f}", ""]
    if picture:
        _draw_sizes(curves, picture)


def _slope(voxels: Sequence[int], times: Sequence[float]) -> float:
    return float(np.polyfit(np.log(voxels), np.log(times), 1)[0])


def _draw_sizes(curves: dict[str, tuple[list[int], list[float]]], picture: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained", dpi=100)
    axes = figure.subplots()
    for name, (voxels, times) in curves.items():
        axes.loglog(voxels, times, "o-", label=f"{name}, slope {_slope(voxels, times):.2f}")
    axes.set(xlabel="voxels", ylabel="ms, one thread", title="persistence_pairs of smoothed noise, all dimensions")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture)


def betti_row(side: int, density: float) -> list[str]:
    """Measure the Betti numbers of a large binary volume."""
    mask = torch.rand(1, side, side, side, generator=torch.Generator().manual_seed(0)) < density
    seconds = median_ms({"betti": lambda: betti_numbers(mask)}, 1)["betti"] / 1e3
    return [f"{side}^3, {density:.0%} foreground noise", f"{seconds:.1f}"]
