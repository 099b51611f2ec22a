"""Print all benchmark tables."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, starmap
from pathlib import Path

import monai_topo.benchmark as benchmark
from monai_topo.benchmark.likelihoods import (
    LOSSES_ON_THREADS,
    SUPPORT,
    SUPPORT_HEADS,
    THREAD_HEADS,
    THREAD_TITLE,
    support_row,
    synthetic_thread_rows,
    tables,
)
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
    thread_rows,
)
from monai_topo.benchmark.volumes import VOLUME_HEADS, volume_row


def print_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table row by row, as the results arrive."""
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


KINDS = ("pairs", "types", "threads", "likelihoods", "support", "losses", "size", "masks")
PEERS = ("cripser", "gudhi", "argsort", "x cripser", "x gudhi", "equal")
PAIRS_HEADS = ("image [sigma]", "pairs", "ours", "ours, full", *PEERS)


def all_tables(arguments: argparse.Namespace) -> Iterator[tuple[str, str, Sequence[str], Iterable[Sequence[str]]]]:
    """Yield kind, title, heads and rows of every table; rows are measured when they are asked for."""
    quick: bool = arguments.quick
    title = "Persistence pairs with critical voxels, all dimensions, face connectivity (ours: full too); CPU ms"
    yield "pairs", title, PAIRS_HEADS, map(persistence_row, ["256^2 [2]", "64^3 [2]"] if quick else PERSISTENCE)
    heads = ["image [sigma]", "float32", *(head for dtype in DTYPES[1:] for head in (dtype, "x"))]
    images = ["256^2 [2]"] if quick else ["512^2 [2]", "512^2 white noise", "64^3 [2]", "64^3 white noise"]
    yield "types", "Float types; CPU ms, and as multiples of float32", heads, map(dtype_row, images)
    heads = ["images [sigma]", "threads", "ms on 1 thread", "ms on these", "times as fast"]
    rows: Iterable[Sequence[str]] = chain.from_iterable(
        starmap(thread_rows, BATCHES_ON_THREADS[: 2 if quick else None])
    )
    yield "threads", "Several threads", heads, rows
    heads = ["images [sigma]", *THREAD_HEADS[1:]]
    rows = chain.from_iterable(starmap(synthetic_thread_rows, LOSSES_ON_THREADS[: 1 if quick else None]))
    yield "threads", THREAD_TITLE, heads, rows
    if arguments.likelihoods:
        for title, heads, rows in tables(arguments.likelihoods, 1 if quick else 5):
            yield "likelihoods", title, heads, rows
    title = f"Synthetic vessels with support {SUPPORT}, losses forward + backward; CPU ms, one thread"
    side = 32 if quick else 128
    yield "support", f"{title}, {side}^3", SUPPORT_HEADS, map(partial(support_row, side), (0.3, 0.6, 0.9))
    title = "Losses, forward + backward; CPU ms on one thread, and as multiples of PersistenceLoss"
    yield "losses", title, ["loss", *(head for name in BATCHES for head in (name, "x"))], loss_rows(quick)
    if not quick:
        title = "Cost against size, smoothed noise; CPU ms"
        yield "size", title, ["image", "ms", "ns per voxel"], size_rows(arguments.picture)
    rows = map(partial(betti_row, 128 if quick else 512), (0.01, 0.5))
    yield "masks", "Betti numbers of a mask; s", ["mask", "time"], rows


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m monai_topo.benchmark", description=benchmark.__doc__)
    parser.add_argument("--quick", action="store_true", help="small images only: seconds instead of minutes")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="tables to print (default: all)")
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
    print(f"{processor()}; Python {platform.python_version()}; {', '.join(_versions())}")
    if arguments.volumes:
        title = "Chunked volumes of hollow balls, two threads; seconds by the clock (CPU)"
        print_table(title, VOLUME_HEADS, map(volume_row, arguments.volumes))
        return
    print("On one thread unless stated otherwise")
    for kind, title, heads, rows in all_tables(arguments):
        if kind in arguments.only:
            print_table(title, heads, rows)


def _versions() -> Iterable[str]:
    for package in ("monai_topo", "torch", "monai", "numpy", "gudhi", "cripser", "topolosses"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"


if __name__ == "__main__":
    main()
