"""All runs of a data set, in parallel processes; finished runs are kept, and a second start continues."""

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
import torch
from methods import BASE, METHODS
from scoring import METRIC, measure, predict_cases
from tqdm import tqdm
from training import Run, train_base, train_method

from monai_topo._utils.io import atomic_write
from monai_topo.benchmark.machine import processor

DICE_LOST = 0.01  # the most that a weight may cost on the cleaned tuning cases
BEYOND_THE_EDGE = 3  # weights that are tried beyond the first ones, at most
KEYS = ["method", "weight", "seed", "base_steps"]
Rows = list[dict[str, Any]]
T = TypeVar("T")


def study(first: Run, methods: Sequence[str], weights: Sequence[float] | None, seeds: int, jobs: int) -> pd.DataFrame:
    """Do the missing runs and return the table of all cases.

    The weight of a method is chosen with the first seed, before the other seeds run.
    """
    results = Results(first.out)
    settings = {"steps": first.steps, "max_base_steps": first.max_base_steps, "device": first.device}
    settings |= {"base_steps": first.base_steps, "network": list(first.network) if first.network else None}
    results.begin(settings)
    of_seed = [replace(first, seed=seed) for seed in range(seeds)]
    for _ in _map(train_base, [run for run in of_seed if not run.base.with_suffix(".pt").exists()], jobs, "bases"):
        pass
    runs = [replace(run, method=BASE) for run in of_seed]
    runs += [replace(first, method=name, weight=w) for name in methods for w in weights or METHODS[name].weights]
    results.add(runs, jobs)
    while True:
        chosen = choose_weights(results.cases())
        beyond = {name: () if weights else beyond_the_edge(name, results, chosen) for name in methods}
        runs = [replace(first, method=name, weight=weight) for name in methods for weight in beyond[name]]
        runs += [replace(run, method=m, weight=chosen[m]) for m in methods if not beyond[m] for run in of_seed]
        if not results.add(runs, jobs):
            return results.cases()


def choose_weights(cases: pd.DataFrame) -> dict[str, float]:
    """Choose for each method the weight with the lowest cross-validated error of the cleaned tuning cases, seed 0.

    Weights that lose more than `DICE_LOST` of Dice there, compared with the pixel loss alone, are excluded. If all do,
    the weight that loses least is chosen.
    """
    tuned = cases[(cases.split == "tune") & cases.cleaned & (cases.seed == 0)]
    means = tuned.groupby(["method", "weight"])[["dice", METRIC]].mean().reset_index()
    least = float(means[means.method == BASE].dice.iloc[0]) - DICE_LOST
    chosen = {}
    for method, rows in means[means.method != BASE].groupby("method"):
        allowed = rows[rows.dice >= least]
        best = allowed[METRIC].idxmin() if len(allowed) else rows.dice.idxmax()
        chosen[str(method)] = float(rows.weight[best])
    return chosen


def beyond_the_edge(method: str, results: Results, chosen: dict[str, float]) -> tuple[float, ...]:
    """Return the next weight to try if the best one so far is the smallest or the largest of those tried."""
    cases = results.cases()
    tried = sorted(cases.weight[cases.method == method].unique())
    if len(tried) >= len(METHODS[method].weights) + BEYOND_THE_EDGE:
        return ()
    if chosen[method] == tried[-1]:
        return (float(f"{tried[-1] * tried[-1] / tried[-2]:.1g}"),)
    if chosen[method] == tried[0]:
        return (float(f"{tried[0] * tried[0] / tried[1]:.1g}"),)
    return ()


class Results:
    """The tables of a data set on disk: `runs.csv` with cost and clean-up of a run, `cases.csv` with its measures."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def begin(self, settings: dict[str, Any]) -> None:
        """Record the settings of the runs and the versions, once; refuse other settings for the same table."""
        file = self.out / "about.json"
        if file.exists():
            about = json.loads(file.read_text())
            there = {name: about.get(name) for name in settings}
            if there != settings:
                raise SystemExit(
                    f"Expected the settings of the runs in {self.out}, {there}, but got {settings}: set --out."
                )
            return
        packages = {name: version(name) for name in ("monai_topo", "monai", "torch")}
        gpu = {"gpu": torch.cuda.get_device_name()} if settings["device"] == "cuda" else {}
        with atomic_write(file) as unfinished:
            unfinished.write_text(
                json.dumps({**settings, "commit": _commit(), "cpu": processor(), **packages, **gpu}, indent=2) + "\n"
            )

    def cases(self) -> pd.DataFrame:
        """Read the measures of all finished runs."""
        return pd.read_csv(self.out / "cases.csv")

    def add(self, runs: Sequence[Run], jobs: int) -> bool:
        """Do the runs that are missing; return whether there were any."""
        there = self._there()
        missing = [run for run in runs if tuple(_key(run).values()) not in there]
        for cost, cases in _map(one_run, missing, jobs, "runs"):
            # The cases first: a run counts as done once its cost is recorded.
            self._append("cases.csv", cases)
            self._append("runs.csv", [cost])
        return bool(missing)

    def _there(self) -> set[tuple[Any, ...]]:
        file = self.out / "runs.csv"
        return set(pd.read_csv(file)[KEYS].itertuples(index=False, name=None)) if file.exists() else set()

    def _append(self, name: str, rows: Rows) -> None:
        file, table = self.out / name, pd.DataFrame(rows)
        if file.exists():
            table = pd.concat([pd.read_csv(file), table]).drop_duplicates(
                [*KEYS, *{"split", "case", "cleaned"} & set(table)], keep="last"
            )
        with atomic_write(file) as unfinished:
            table.to_csv(unfinished, index=False, float_format="%.6g")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def _key(run: Run) -> dict[str, Any]:
    return {"method": run.method, "weight": run.weight, "seed": run.seed, "base_steps": run.base_steps or 0}


def one_run(run: Run) -> tuple[dict[str, Any], Rows]:
    """Train with a method and measure the final network; no checkpoint is selected."""
    cost = run.likelihoods.with_suffix(".json")
    if not cost.exists():
        network, numbers = train_method(run)
        predict_cases(network, run.study_set, run.data, run.likelihoods)
        with atomic_write(cost) as file:
            file.write_text(json.dumps(numbers))
        run.unfinished.unlink()
    cases, choice = measure(run.study_set, run.data, run.likelihoods)
    settings = {row["name"]: row["settings"] for row in choice.rows}["chosen"]
    return {**_key(run), **json.loads(cost.read_text()), "clean_up": settings}, [
        {**_key(run), **case} for case in cases
    ]


def _map(task: Callable[[Run], T], runs: Sequence[Run], jobs: int, what: str) -> Iterator[T]:
    # On the CPU one process per run, so that its peak memory can be measured; on a GPU the start would take too long.
    per_process = 1 if all(run.device == "cpu" for run in runs) else None
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=per_process) as pool:
        yield from tqdm(pool.imap_unordered(task, runs), total=len(runs), desc=what, disable=not runs)
