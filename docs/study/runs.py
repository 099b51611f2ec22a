"""All runs of a data set, in parallel processes; finished runs are saved, and a second start continues."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from methods import BASE, METHODS
from scoring import score
from sets import SETS
from tqdm import tqdm
from training import Run, second_half, warm_up

from monai_topo._utils.io import atomic_write
from monai_topo.benchmark.machine import processor

DICE_LOST = 0.005  # the most that a weight may cost on the tuning split
KEYS = ["method", "weight", "seed"]
Rows = list[dict[str, Any]]
T = TypeVar("T")


def study(
    first: Run, methods: Sequence[str], weights: Sequence[float] | Path | None, seeds: int, jobs: int
) -> pd.DataFrame:
    """Do the missing runs and return the table of all cases.

    The weight of a method is chosen on the tuning split with the first seed, before the other seeds run. If `weights`
    is the results folder of another data set, the weights chosen there are used.
    """
    results = Results(first.out)
    results.begin({"warmup_steps": first.warmup_steps, "steps": first.steps})
    of_seed = [replace(first, seed=seed) for seed in range(seeds)]
    for _ in _map(warm_up, [run for run in of_seed if not run.first_half.exists()], jobs, "first halves"):
        pass
    results.add([replace(run, method=BASE) for run in of_seed], jobs)
    if isinstance(weights, Path):
        chosen = choose_weights(Results(weights).cases())
    else:
        searched = [name for name in methods if name != BASE and not METHODS[name].weight_of]
        tried = [(name, weight) for name in searched for weight in weights or METHODS[name].weights]
        results.add([replace(first, method=name, weight=weight) for name, weight in tried], jobs)
        chosen = choose_weights(results.cases())
    results.add(
        [
            replace(run, method=name, weight=chosen[METHODS[name].weight_of or name])
            for run in of_seed
            for name in methods
            if name != BASE
        ],
        jobs,
    )
    return results.cases()


def choose_weights(cases: pd.DataFrame) -> dict[str, float]:
    """Choose for each method the weight with the fewest patch-wise Betti errors on the tuning split, seed 0.

    Weights that lose more than `DICE_LOST` of Dice compared with the pixel loss alone are excluded. If all do, the
    weight that loses least is chosen.
    """
    tuned = cases[(cases.split == "tune") & (cases.seed == 0)].copy()
    tuned["error"] = tuned.filter(like="patch_betti_error").sum(axis=1)
    means = tuned.groupby(["method", "weight"])[["dice", "error"]].mean().reset_index()
    least = float(means[means.method == BASE].dice.iloc[0]) - DICE_LOST
    chosen = {}
    for method, rows in means[means.method != BASE].groupby("method"):
        allowed = rows[rows.dice >= least]
        best = allowed.error.idxmin() if len(allowed) else rows.dice.idxmax()
        chosen[str(method)] = float(rows.weight[best])
    return chosen


class Results:
    """The two tables of a data set on disk: `runs.csv` with the cost of each run, `cases.csv` with its measures."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def begin(self, settings: dict[str, int]) -> None:
        """Record the lengths of the runs and the versions, once; refuse other lengths for the same table."""
        file = self.out / "about.json"
        if file.exists():
            about = json.loads(file.read_text())
            there = {name: about[name] for name in settings}
            if there != settings:
                raise SystemExit(
                    f"Expected the lengths of the runs in {self.out}, {there}, but got {settings}: set --out."
                )
            return
        packages = {name: version(name) for name in ("monai_topo", "monai", "torch")}
        with atomic_write(file) as unfinished:
            unfinished.write_text(
                json.dumps({**settings, "commit": _commit(), "cpu": processor(), **packages}, indent=2) + "\n"
            )

    def cases(self) -> pd.DataFrame:
        """Read the measures of all finished runs."""
        return pd.read_csv(self.out / "cases.csv")

    def add(self, runs: Sequence[Run], jobs: int) -> None:
        """Do the runs that are missing."""
        there = self._there()
        missing = [run for run in runs if (run.method, run.weight, run.seed) not in there]
        for cost, cases in _map(one_run, missing, jobs, "second halves"):
            # The cases first: a run counts as done once its cost is recorded.
            self._append("cases.csv", cases)
            self._append("runs.csv", [cost])

    def _there(self) -> set[tuple[Any, ...]]:
        file = self.out / "runs.csv"
        return set(pd.read_csv(file)[KEYS].itertuples(index=False, name=None)) if file.exists() else set()

    def _append(self, name: str, rows: Rows) -> None:
        file, table = self.out / name, pd.DataFrame(rows)
        if file.exists():
            table = pd.concat([pd.read_csv(file), table]).drop_duplicates(
                [*KEYS, *{"split", "case"} & set(table)], keep="last"
            )
        with atomic_write(file) as unfinished:
            table.to_csv(unfinished, index=False, float_format="%.6g")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def one_run(run: Run) -> tuple[dict[str, Any], Rows]:
    """Train the second half and measure the final network; no checkpoint is selected."""
    network, cost = second_half(run)
    key = {"method": run.method, "weight": run.weight, "seed": run.seed}
    masks = mask_file(run.out, run.method, run.weight, run.seed)
    study_set = SETS[run.set_name]
    cases = [
        *score(network, study_set, run.data, "tune"),
        *score(network, study_set, run.data, "test", masks),
    ]
    return {**key, **cost}, [{**key, **case} for case in cases]


def mask_file(out: Path, method: str, weight: float, seed: int) -> Path:
    """Return the path of the masks of the test cases of a run."""
    return out / "masks" / f"{method}, {weight}, seed {seed}.npz"


def _map(task: Callable[[Run], T], runs: Sequence[Run], jobs: int, what: str) -> Iterator[T]:
    # One process per run, so that its peak memory can be measured.
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        yield from tqdm(pool.imap_unordered(task, runs), total=len(runs), desc=what, disable=not runs)
