"""Both bundles, started in the way users start them.

Starting MONAI takes seconds, so all tests of a session share one tiny training run of each bundle (two epochs, the
first one is the warm-up). Its printed commands are used for evaluation and inference.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

_FOLDER = Path(__file__).resolve().parents[1] / "bundles"
# MONAI warns for every configuration that it may run code; this is known.
in_process = pytest.mark.filterwarnings("ignore:(?s).*resolved to an importable callable")


@dataclass
class Bundle:
    """A bundle, its number of spatial axes, and settings that make its network tiny."""

    name: str
    spatial_dims: int
    suffix: str
    tiny: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return _FOLDER / self.name

    @property
    def configs(self) -> Path:
        return self.root / "configs"

    @property
    def topology_weight(self) -> float:
        """Return the default."""
        return float(json.loads((self.configs / "train.json").read_text())["topology_weight"])

    @property
    def metrics(self) -> list[str]:
        """Return the metrics of a training run's validations; in the files, `val_` precedes their names."""
        errors = [f"betti_error_{dim}" for dim in range(self.spatial_dims)]
        return ["score", "dice", "cldice", *errors, *(f"{name}_patches" for name in errors)]

    @property
    def metrics_of_evaluation(self) -> list[str]:
        """Return the metrics that an evaluation adds."""
        matching = [f"betti_matching_error_{dim}" for dim in range(self.spatial_dims)]
        return ["cldice_precision", "cldice_sensitivity", *matching, "topology_f1"]

    def command(self, files: list[str], **settings: Any) -> list[str]:
        """Make the arguments of a run, for Python."""
        paths = str([str(self.configs / name) for name in files])
        arguments = ["-m", "monai.bundle", "run", "--config_file", paths, "--bundle_root", str(self.root)]
        for name, value in settings.items():
            arguments += [f"--{name}", value if isinstance(value, str) else str(value)]
        return arguments

    def run(self, files: list[str], cwd: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Start a run from a folder of the user."""
        return started([sys.executable, *self.command(files, **settings)], cwd)

    def workflow(self, name: str, kind: str, **settings: Any) -> ConfigWorkflow:
        """Make a run inside this process."""
        return ConfigWorkflow(str(self.configs / name), logging_file=False, workflow_type=kind, **settings)


@dataclass
class Training:
    """The shared training run of a bundle, in the folder `home / "run"`, with its data in `home / "data"`."""

    bundle: Bundle
    home: Path

    @property
    def settings(self) -> dict[str, Any]:
        return {"synthetic_dir": "data", **self.bundle.tiny}

    @cached_property
    def process(self) -> subprocess.CompletedProcess[str]:
        return succeeded(self.bundle.run(["train.json", "smoke.json"], self.home, run_dir="run", **self.settings))

    @property
    def run_dir(self) -> Path:
        _ = self.process
        return self.home / "run"

    @property
    def model(self) -> Path:
        return self.run_dir / "model.pt"

    @property
    def validations(self) -> list[dict[str, str]]:
        return rows_of(self.run_dir / "validation.csv")

    @property
    def best(self) -> dict[str, str]:
        return max(self.validations, key=lambda row: float(row["val_score"]))

    def printed(self, name: str) -> list[str]:
        """Return the command that the training run prints for the next step."""
        lines = [line for line in self.process.stdout.splitlines() if line.startswith(f"{name} ")]
        return shlex.split(lines[0].split(maxsplit=1)[1])

    @cached_property
    def evaluation(self) -> subprocess.CompletedProcess[str]:
        return succeeded(started([*self.printed("Evaluate"), "--run_dir", "eval"], self.home))

    @cached_property
    def inference(self) -> subprocess.CompletedProcess[str]:
        return succeeded(started([*self.printed("Infer"), "--save_likelihood", "True"], self.home))

    @cached_property
    def cleanup_arguments(self) -> list[str]:
        """Return the arguments that the training run prints for its clean-up."""
        [line] = [line for line in self.process.stdout.splitlines() if line.startswith("Clean-up     ")]
        return shlex.split(line.split(": ")[1])

    @cached_property
    def cleaned(self) -> Path:
        """Return the folder of an inference with the clean-up and the likelihoods."""
        arguments = ["--output_dir", "cleaned", "--save_likelihood", "True", *self.cleanup_arguments]
        succeeded(started([*self.printed("Infer"), *arguments], self.home))
        return self.home / "cleaned"


MEMBRANES = Bundle("membrane_2d_segmentation", 2, ".png", {"channels": [4, 8, 8, 8]})
# Settings that differ from the defaults, including the network: the printed commands must contain them all.
VESSELS = Bundle(
    "vessel_3d_segmentation",
    3,
    ".nii.gz",
    {
        "channels": [4, 8, 8],
        "strides": [[2, 2, 1], [2, 2, 2]],
        "connectivity": "face",
        "border": "open",
        "simplify_min_persistence": 0.03,
    },
)
BUNDLES = [MEMBRANES, VESSELS]


def started(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def succeeded(run: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert run.returncode == 0, run.stdout + run.stderr
    return run


def trapped(bundle: Bundle, home: Path, trap: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Start a training run in a process that first runs a piece of code, which lays a trap."""
    arguments = bundle.command(["train.json", "smoke.json"], **settings)
    start = f"import os, runpy, signal, sys, torch\n{trap}\nsys.argv = ['monai.bundle', *{arguments[2:]!r}]\n"
    return started([sys.executable, "-c", f"{start}runpy.run_module('monai.bundle', run_name='__main__')"], home)


def at_step(number: int, action: str) -> str:
    """Make a trap: an action before a step of the optimizer, of which there are two in each of two epochs."""
    return f"""
steps = 0
take_step = torch.optim.AdamW.step
def step(self, *arguments, **settings):
    global steps
    steps += 1
    if steps == {number}:
        {action}
    return take_step(self, *arguments, **settings)
torch.optim.AdamW.step = step
"""


def same_results(folder: Path, whole: Path) -> bool:
    """Compare the results of two training runs, bit by bit."""
    tables = [rows_of(run / "validation.csv") for run in (folder, whole)]
    states = [
        [leaves(torch.load(run / name, weights_only=True)) for name in ("model.pt", "checkpoint.pt")]
        for run in (folder, whole)
    ]
    return tables[0] == tables[1] and states[0] == states[1]


def leaves(state: Any) -> list[Any]:
    """Flatten a state for comparison, with tensors as bytes."""
    if isinstance(state, torch.Tensor):
        return [state.numpy().tobytes()]
    if isinstance(state, dict):
        return [(key, leaves(state[key])) for key in sorted(state, key=str)]
    return [leaves(item) for item in state] if isinstance(state, (list, tuple)) else [state]


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stderr.strip().splitlines()[-1]


def printed_metrics(run: subprocess.CompletedProcess[str]) -> dict[str, list[float]]:
    """Parse the table that a training run or evaluation prints at its end, one list per metric."""
    lines = run.stdout.split("Mean over the validation cases")[1].split("\n\n")[0].splitlines()[2:]
    cells = [re.split(r"\s{2,}", line) for line in lines]
    return {name.replace(" ", "_"): [float(value) for value in values] for name, *values in cells}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table_of(run_dir: Path) -> dict[str, dict[str, str]]:
    """Read the numbers of the table of a choice by the names of its rows."""
    titles, *lines = [line.split() for line in (run_dir / "cleanup.txt").read_text().splitlines()]
    return {line[0]: dict(zip(titles, line, strict=False)) for line in lines if len(line) >= len(titles)}
