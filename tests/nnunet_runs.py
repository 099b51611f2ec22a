"""The real nnU-Net for the tests: whether it is installed, its commands, and tiny data sets in its format."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_topo.__main__ import main
from monai_topo.data import synthetic_vessels
from monai_topo.nnunet.console_scripts import _SCRIPT as COMMANDS_SCRIPT
from monai_topo.nnunet.console_scripts import nnunet_environment, run_console_scripts
from monai_topo.nnunet.settings import PREFIX

_SITE = Path(__file__).parent / "nnunet_site"
needs_nnunet = pytest.mark.skipif(find_spec("nnunetv2") is None, reason="needs nnU-Net: pip install '.[nnunet]'")


@cache
def has_nnunet() -> bool:
    """Return whether nnU-Net is installed, and make sure that this process can import it."""
    if find_spec("nnunetv2") is None:
        return False
    if not _fits_torchvision():
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        runpy.run_path(str(_SITE / "sitecustomize.py"))
    return True


def modules_without_nnunet() -> set[str]:
    """Return the modules that cannot be imported here, because nnU-Net is not installed."""
    return set() if has_nnunet() else {f"monai_topo.nnunet.{name}" for name in ("trainers", "variants")}


@cache
def _fits_torchvision() -> bool:
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return True  # it is not installed, and nothing imports it
    except RuntimeError:
        return False
    return True


def python_path() -> str:
    """Return the `PYTHONPATH` of processes that import torchvision, also one that does not fit torch."""
    paths = [] if _fits_torchvision() else [str(_SITE)]
    return os.pathsep.join([*paths, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])


@dataclass
class NnunetProject:
    """nnU-Net's three folders with one data set, and its commands.

    The images are so small that nnU-Net plans a small network by itself.
    """

    home: Path
    labels: dict[str, Any]
    ending: str
    configuration: str
    number: int = 501
    settings: dict[str, Any] = field(default_factory=dict)
    output: str = ""

    @property
    def name(self) -> str:
        return f"Dataset{self.number}_Tiny"

    @property
    def raw(self) -> Path:
        return self.home / "raw" / self.name

    @property
    def preprocessed(self) -> Path:
        return self.home / "preprocessed" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the commands: short trainings on few processes."""
        short = {"num_epochs": 2, "num_iterations_per_epoch": 2, "num_val_iterations_per_epoch": 1}
        return {
            **nnunet_environment(self.home),
            "PYTHONPATH": python_path(),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",  # nnU-Net starts a thread per processor, and waiting ones would keep it busy
            "nnUNet_def_n_proc": "1",
            **{PREFIX + name: json.dumps(value) for name, value in {**short, **self.settings}.items()},
        }

    def write(self, cases: Iterable[tuple[np.ndarray, np.ndarray]], test: np.ndarray) -> NnunetProject:
        """Write training cases and the image of a test case in the raw format."""
        count = 0
        for count, (image, label) in enumerate(cases, start=1):
            self._save(self.raw / "imagesTr" / f"case_{count}_0000", image)
            self._save(self.raw / "labelsTr" / f"case_{count}", label)
        self._save(self.raw / "imagesTs" / "test_0000", test)
        content = {"channel_names": {"0": "EM"}, "labels": self.labels, "numTraining": count}
        if any(isinstance(value, list) for value in self.labels.values()):
            content["regions_class_order"] = list(range(1, len(self.labels) - ("ignore" in self.labels)))
        (self.raw / "dataset.json").write_text(json.dumps({**content, "file_ending": self.ending}))
        self.preprocessed.parent.mkdir()
        return self

    def _save(self, path: Path, image: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.with_name(path.name + self.ending)
        if self.ending == ".png":
            Image.fromarray(image.astype(np.uint8)).save(path)
        else:
            nibabel.save(nibabel.Nifti1Image(image.T.astype(np.float32), np.eye(4)), path)

    def plan(self) -> list[object]:
        """Return the command that plans and preprocesses."""
        arguments = ["-d", self.number, "-c", self.configuration, "-npfp", 1, "-np", 1, "--verify_dataset_integrity"]
        return ["nnUNet_n_proc_DA=1", "nnUNetv2_plan_and_preprocess", *arguments]

    def shrink(self) -> None:
        """Make the planned networks narrow, as nnU-Net's guide to editing plans describes it."""
        plans = self._read_plans()
        for configuration in plans["configurations"].values():
            network = configuration["architecture"]["arch_kwargs"]
            network["features_per_stage"] = [4 * 2**stage for stage in range(network["n_stages"])]
            network["n_conv_per_stage"] = [1] * network["n_stages"]
            network["n_conv_per_stage_decoder"] = [1] * (network["n_stages"] - 1)
        self._write_plans(plans)

    def add_cascade(self) -> None:
        """Add a low resolution and a cascade to the plans, which nnU-Net plans by itself for large images."""
        plans = self._read_plans()
        full = plans["configurations"]["3d_fullres"]
        plans["configurations"]["3d_lowres"] = {
            "inherits_from": "3d_fullres",
            "data_identifier": "nnUNetPlans_3d_lowres",
            "spacing": [1.5 * spacing for spacing in full["spacing"]],
            "next_stage": "3d_cascade_fullres",
        }
        plans["configurations"]["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
        self._write_plans(plans)

    def _read_plans(self) -> dict[str, Any]:
        plans: dict[str, Any] = json.loads((self.preprocessed / "nnUNetPlans.json").read_text())
        return plans

    def _write_plans(self, plans: Mapping[str, Any]) -> None:
        (self.preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans))

    def train(self, trainer: str, *more: object, fold: int | str = 0, configuration: str | None = None) -> list[object]:
        """Return the command that trains in this process."""
        arguments = [self.number, configuration or self.configuration, fold, "-tr", trainer, "-device", "cpu", *more]
        return ["nnUNet_n_proc_DA=0", "nnUNetv2_train", *arguments]

    def predict(
        self, trainer: str, *more: object, fold: int | str = 0, configuration: str | None = None
    ) -> list[object]:
        """Return the command that predicts the test case."""
        configuration = configuration or self.configuration
        which = ["-d", self.number, "-c", configuration, "-f", fold, "-tr", trainer, "-device", "cpu"]
        folders = ["-i", self.raw / "imagesTs", "-o", self.predictions(trainer, configuration)]
        return ["nnUNetv2_predict", *which, *folders, "-npp", 0, "-nps", 0, "--disable_tta", *more]

    def model(self, trainer: str, configuration: str | None = None) -> Path:
        return self.home / "results" / self.name / f"{trainer}__nnUNetPlans__{configuration or self.configuration}"

    def predictions(self, trainer: str, configuration: str | None = None) -> Path:
        return self.home / "predictions" / f"{trainer}_{configuration or self.configuration}"

    def run(self, *commands: list[object], **variables: str) -> subprocess.CompletedProcess[str]:
        """Run commands one after another in one process."""
        return run_console_scripts(commands, {**self.environment, **variables})

    def start(self, *commands: list[object], log: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start commands in a process group of their own, which a test can kill; the output goes to a file."""
        words = json.dumps([list(map(str, command)) for command in commands])
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-u", "-c", COMMANDS_SCRIPT, words],
                **{"env": {**self.environment, **variables}, "stdout": file, "stderr": subprocess.STDOUT},
                start_new_session=True,
            )

    def succeed(self, *commands: list[object], **variables: str) -> str:
        """Run commands that have to succeed, and return their output."""
        run = self.run(*commands, **variables)
        assert run.returncode == 0, run.stdout[-3000:]
        return run.stdout


def record_of(model: Path, fold: int | str = 0) -> Mapping[str, Any]:
    """Read the recorded settings of a training."""
    record: Mapping[str, Any] = json.loads((model / f"fold_{fold}" / "topology.json").read_text())
    return record


def terms_of(output: str) -> list[float]:
    """Return the values of the term in the epochs in which it was used."""
    return [float(value) for value in re.findall(r" topology (\S+), weight", output)]


def rows_of_report(folder: Path, *arguments: object) -> list[dict[str, str]]:
    """Write a report, and return the rows of its table."""
    out = folder / "report.html"
    assert main(["report", *map(str, arguments), "--out", str(out), "--worst", "1"]) == 0
    with out.with_suffix(".csv").open() as file:
        return list(csv.DictReader(file))


def vessels(
    shape: tuple[int, ...], number: int, labels: Callable[[np.ndarray], np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return images of synthetic vessels, with labels made of their masks."""
    pairs = [synthetic_vessels(shape, seed=seed, num_trees=2) for seed in range(number)]
    return [(255 * image, labels(label)) for image, label in pairs]
