"""Print all benchmark tables."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import starmap
from pathlib import Path

import monai_topo.benchmark as benchmark
from monai_topo.benchmark.likelihoods import tables
from monai_topo.benchmark.losses import BATCHES, loss_rows
from monai_topo.benchmark.machine import processor
from monai_topo.benchmark.persistence import (
    BATCHES_ON_THREADS,
    DTYPES,
    PERSISTENCE,
    betti_row,
    dtype_row,
    persistence_row,
    size_rows,
    thread_row,
)
from monai_topo.benchmark.volumes import VOLUME_HEADS, volume_row


def print_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table row by row, as the results arrive."""
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m monai_topo.benchmark", description=benchmark.__doc__)
    parser.add_argument("--quick", action="store_true", help="small images only: seconds instead of minutes")
    parser.add_argument(
        "--likelihoods", metavar="NPZ", type=Path, help="file, or folder of files, of docs/study/likelihoods.py"
    )
    parser.add_argument("--picture", metavar="PNG", help="file for a plot of cost against size")
    parser.add_argument(
        "--volumes",
        metavar="SIDE",
        type=int,
        nargs="+",
        help="only chunked volumes of SIDE^3 voxels, in a zarr file in the folder for temporary files (Linux)",
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    print(f"{processor()}; Python {platform.python_version()}; {', '.join(_versions())}")
    if arguments.volumes:
        title = "Chunked volumes of hollow balls, two threads; seconds by the clock (CPU)"
        print_table(title, VOLUME_HEADS, map(volume_row, arguments.volumes))
        return
    print("On one thread unless stated otherwise")
    print_table(
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
    print_table(
        "Float types; CPU ms, and as multiples of float32",
        ["image [sigma]", "float32", *(head for dtype in DTYPES[1:] for head in (dtype, "x"))],
        map(dtype_row, ["256^2 [2]"] if quick else ["512^2 [2]", "512^2 white noise", "64^3 [2]", "64^3 white noise"]),
    )
    print_table(
        "Several threads; ms",
        ["images [sigma]", "1 thread", "2 threads", "ratio"],
        starmap(thread_row, BATCHES_ON_THREADS[: 2 if quick else None]),
    )
    for title, heads, rows in tables(arguments.likelihoods, 1 if quick else 5) if arguments.likelihoods else ():
        print_table(title, heads, rows)
    print_table(
        "Losses, forward + backward; CPU ms on one thread, and as multiples of PersistenceLoss",
        ["loss", *(head for name in BATCHES for head in (name, "x"))],
        loss_rows(quick),
    )
    if not quick:
        print_table(
            "Cost against size, smoothed noise; CPU ms", ["image", "ms", "ns per voxel"], size_rows(arguments.picture)
        )
    side = 128 if quick else 512
    print_table("Betti numbers of a mask; s", ["mask", "time"], [betti_row(side, density) for density in (0.01, 0.5)])


def _versions() -> Iterable[str]:
    for package in ("monai_topo", "torch", "monai", "numpy", "gudhi", "cripser", "topolosses"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"


if __name__ == "__main__":
    main()
