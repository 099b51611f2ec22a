"""How long persistence takes here, beside its peers: `python -m monai_topo.benchmark` (extra `benchmark`).

Everything is measured side by side in one run, interleaved, as medians (slow peers once); the diagrams are compared
while at it. Without cripser its columns stay empty.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import starmap
from typing import Any

import gudhi
import numpy as np
import torch
from monai.losses import DiceCELoss, SoftclDiceLoss
from monai.networks.nets import UNet
from numpy.typing import NDArray

from monai_topo.losses import PersistenceLoss
from monai_topo.persistence import betti_numbers, persistence_pairs

# Not MONAI's optional_import: its stand-ins raise at any look, and tools that look at modules would trip over them.
cripser: Any = import_module("cripser") if find_spec("cripser") else None

Image = NDArray[np.float32]
Diagram = list[tuple[int, float, float]]
Timed = Callable[[], object]


def _smoothed(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    smoothed: NDArray[np.float64] = import_module("scipy.ndimage").gaussian_filter(image, sigma)
    return smoothed


def smoothed_noise(shape: Sequence[int], sigma: float, seed: int = 0) -> Image:
    """The sigmoid of three times smoothed noise of unit variance: what a network's likelihood map looks like."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    if sigma:
        noise = _smoothed(noise, sigma)
        noise /= noise.std()
    likelihood: Image = (1 / (1 + np.exp(-3 * noise))).astype(np.float32)
    return likelihood


def sparse_vessels(shape: Sequence[int]) -> Image:
    """Tubes where two smooth fields are both small: 3 % foreground, about nine tenths of the voxels exactly 0."""
    fields = [_smoothed(np.random.default_rng(seed).standard_normal(shape), 2) for seed in (1, 2)]
    radius = np.sqrt(sum((field / field.std()) ** 2 for field in fields))
    likelihood: Image = (1 / (1 + np.exp(30 * (radius - 0.25)))).astype(np.float32)
    likelihood[likelihood < 1e-3] = 0
    return likelihood


PERSISTENCE: dict[str, tuple[Callable[[], Image], int]] = {  # image, and how many repeats
    "256^2 [2]": (lambda: smoothed_noise((256, 256), 2), 9),
    "512^2 [2]": (lambda: smoothed_noise((512, 512), 2), 9),
    "1024^2 [2]": (lambda: smoothed_noise((1024, 1024), 2), 5),
    "512^2 white noise": (lambda: smoothed_noise((512, 512), 0), 5),
    "64^3 [2]": (lambda: smoothed_noise((64, 64, 64), 2), 9),
    "96^3 [2]": (lambda: smoothed_noise((96, 96, 96), 2), 5),
    "128^3 [2]": (lambda: smoothed_noise((128, 128, 128), 2), 3),
    "64^3 white noise": (lambda: smoothed_noise((64, 64, 64), 0), 3),
    "128^3 sparse vessels": (lambda: sparse_vessels((128, 128, 128)), 3),
}
SLOW_FOR_GUDHI = {"128^3 sparse vessels"}


def by_gudhi(image: NDArray[np.float64]) -> Diagram:
    """GUDHI's diagram of the superlevel sets; the critical vertices are asked for, as a loss would."""
    cubical = gudhi.CubicalComplex(vertices=-image)
    points = cubical.persistence(homology_coeff_field=2, min_persistence=0)
    cubical.vertices_of_persistence_pairs()
    return [(dim, -birth, -death) for dim, (birth, death) in points if np.isfinite(death)]


def by_cripser(image: NDArray[np.float64]) -> Diagram:
    """The diagram of cripser, whose rows hold the critical voxels too, on one thread."""
    rows = cripser.computePH(-image, maxdim=image.ndim - 1)
    return [(int(dim), -birth, -death) for dim, birth, death in rows[:, :3] if death < 1e100]


def median_ms(
    tasks: dict[str, Timed], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median times in milliseconds; the tasks take turns, so that a noisy machine is noisy for all."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = clock()
            task()
            times[name].append(clock() - start)
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def persistence_row(name: str) -> list[str]:
    """CPU times of one image: ours with both connectivities, the peers; and whether all diagrams are equal."""
    make, repeats = PERSISTENCE[name]
    image = make()
    wide, tensor = image.astype(np.float64), torch.from_numpy(image)[None]
    tasks: dict[str, Timed] = {
        "ours": lambda: persistence_pairs(tensor, connectivity="face", num_threads=1),
        "full": lambda: persistence_pairs(tensor, connectivity="full", num_threads=1),
        "argsort": lambda: np.argsort(image, axis=None),
    }
    peers: dict[str, Callable[[NDArray[np.float64]], Diagram]] = {}
    if cripser is not None:
        peers["cripser"] = by_cripser
    if name not in SLOW_FOR_GUDHI:
        peers["gudhi"] = by_gudhi
    # On one thread CPU time is what a machine with nothing else to do would take.
    times = median_ms(tasks, repeats, time.process_time)
    diagrams: dict[str, Diagram] = {}
    for peer, call in peers.items():  # once: GUDHI takes 13 s and more at 128^3
        start = time.process_time()
        diagrams[peer] = call(wide)
        times[peer] = 1e3 * (time.process_time() - start)
    # And ours once more beside them: a ratio of neighbours in time.
    times["beside"] = median_ms({"ours": tasks["ours"]}, repeats, time.process_time)["ours"]
    pairs = persistence_pairs(tensor, connectivity="face", num_threads=1)
    mine = sorted((int(dim), *value) for dim, value in zip(pairs.dim, pairs.values(tensor).tolist(), strict=True))
    same = all(sorted(diagram) == mine for diagram in diagrams.values())
    shown = [f"{times[key]:.1f}" if key in times else "" for key in ("ours", "full", "cripser", "gudhi", "argsort")]
    ours = (times["ours"] + times["beside"]) / 2
    ratios = [f"{times[peer] / ours:.1f}" if peer in times else "" for peer in ("cripser", "gudhi")]
    return [name, str(len(mine)), *shown, *ratios, ("yes" if same else "NO") if peers else ""]


def loss_row(name: str, shape: tuple[int, ...]) -> list[str]:
    """Forward and backward of whole losses, and of a small UNet on the same batch, with all of torch's threads."""
    spatial = shape[1:]
    maps = [torch.from_numpy(smoothed_noise(spatial, 2, seed)) for seed in range(2 * shape[0])]
    logits = torch.stack(maps[: shape[0]]).logit()[:, None].requires_grad_()
    label = (torch.stack(maps[shape[0] :]) > 0.5)[:, None].float()
    network = UNet(len(spatial), 1, 1, channels=(16, 32, 64), strides=(2, 2), num_res_units=1, norm="INSTANCE")
    persistence, cldice, dice_ce = PersistenceLoss(sigmoid=True), SoftclDiceLoss(), DiceCELoss(sigmoid=True)
    tasks: dict[str, Timed] = {
        "persistence": lambda: persistence(logits, label).backward(),
        "cldice": lambda: cldice(label, torch.sigmoid(logits)).backward(),
        "dice_ce": lambda: dice_ce(logits, label).backward(),
        "unet": lambda: dice_ce(network(logits.detach()), label).backward(),
    }
    for task in tasks.values():
        task()
    times = median_ms(tasks, 5)
    return [name, *(f"{value:.1f}" for value in times.values()), f"{times['cldice'] / times['persistence']:.1f}"]


def thread_row(name: str, shape: tuple[int, ...]) -> list[str]:
    """What a second thread brings for a batch."""
    batch = torch.stack([torch.from_numpy(smoothed_noise(shape[1:], 2, seed)) for seed in range(shape[0])])
    times = median_ms(
        {"1": lambda: persistence_pairs(batch, num_threads=1), "2": lambda: persistence_pairs(batch, num_threads=2)}, 15
    )
    return [name, f"{times['1']:.1f}", f"{times['2']:.1f}", f"{times['1'] / times['2']:.2f}"]


def size_rows(picture: str | None) -> Iterable[list[str]]:
    """Cost against size on smooth images, the fitted slopes, and on request a picture of them."""
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
            times.append(median_ms({"": task}, 9 if tensor.numel() < 2**19 else 3)[""])
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
    """Betti numbers of a large binary volume."""
    mask = torch.rand(1, side, side, side, generator=torch.Generator().manual_seed(0)) < density
    seconds = median_ms({"betti": lambda: betti_numbers(mask)}, 1)["betti"] / 1e3
    return [f"{side}^3, {density:.0%} foreground noise", f"{seconds:.1f}"]


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a markdown table row by row, as the numbers come in."""
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m monai_topo.benchmark", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small images only, seconds instead of minutes")
    parser.add_argument("--picture", metavar="PNG", help="draw cost against size there")
    arguments = parser.parse_args()
    quick = arguments.quick
    print(f"{_cpu()}; Python {platform.python_version()}; {', '.join(_versions())}")
    print(f"torch threads {torch.get_num_threads()}; persistence on one thread where no other number is said")
    table(
        "Persistence pairs with critical voxels, all dimensions, face connectivity (ours: full too); CPU ms",
        [
            "image [sigma]",
            "pairs",
            "ours",
            "ours, full",
            "cripser",
            "gudhi",
            "argsort",
            "x cripser",
            "x gudhi",
            "equal",
        ],
        map(persistence_row, ["256^2 [2]", "64^3 [2]"] if quick else PERSISTENCE),
    )
    batches = {"8 x 512^2 [2]": (8, 512, 512), "8 x 64^3 [2]": (8, 64, 64, 64)}
    table("A batch on threads; ms", ["batch", "1 thread", "2 threads", "ratio"], starmap(thread_row, batches.items()))
    batches = {"4 x 256^2": (4, 256, 256), "2 x 64^3": (2, 64, 64, 64)}
    table(
        "Losses, forward + backward; ms",
        ["batch", "PersistenceLoss", "soft clDice", "DiceCE", "UNet + DiceCE", "x soft clDice"],
        starmap(loss_row, batches.items()),
    )
    if not quick:
        table("Cost against size, smoothed noise; ms", ["image", "ms", "ns a voxel"], size_rows(arguments.picture))
    side = 128 if quick else 512
    table("Betti numbers of a mask; s", ["mask", "time"], [betti_row(side, density) for density in (0.01, 0.5)])


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _versions() -> Iterable[str]:
    for package in ("monai_topo", "torch", "monai", "numpy", "gudhi", "cripser"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"


if __name__ == "__main__":
    main()
