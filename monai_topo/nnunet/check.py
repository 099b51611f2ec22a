"""`--check`: nnU-Net plans, trains and predicts a tiny synthetic data set with one of our trainers."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Array
from monai_topo.data.vessels import synthetic_vessels
from monai_topo.nnunet.console_scripts import nnunet_environment, run_console_scripts
from monai_topo.nnunet.settings import PREFIX

__all__ = ["check_trainer"]

_SHAPE = (20, 28, 36)
_CASES, _EPOCHS, _ITERATIONS = 5, 2, 2


def check_trainer(trainer: str, *, device: str) -> str:
    """Train and predict with a trainer, in a temporary folder.

    Args:
        trainer: Name of the trainer.
        device: Device of nnU-Net: `"cpu"`, `"cuda"` or `"mps"`.

    Returns:
        What was done and seen, in a sentence.

    Raises:
        UserError: If nnU-Net failed, the term was not used, or a prediction is missing. The output of nnU-Net is kept.
    """
    folder = Path(tempfile.mkdtemp(prefix="monai_topo_nnunet_"))
    _write_dataset(folder)
    environment = nnunet_environment(folder) | {
        "nnUNet_def_n_proc": "1",
        f"{PREFIX}num_epochs": str(_EPOCHS),
        f"{PREFIX}num_iterations_per_epoch": str(_ITERATIONS),
        f"{PREFIX}num_val_iterations_per_epoch": "1",
    }
    output = run_console_scripts(_commands(folder, trainer, device), environment)
    log = folder / "output.txt"
    log.write_text(output.stdout, encoding="utf-8")
    terms = re.findall(r"topology (\S+), weight (\S+)", output.stdout)
    predicted = folder / "predictions" / "test.nii.gz"
    if output.returncode or not terms or not predicted.exists():
        last = "\n".join(output.stdout.strip().splitlines()[-5:])
        raise UserError(
            f"Expected nnU-Net to train and predict with {trainer}, but got an error; all of its output is in {log}, "
            f"and the end is:\n{last}"
        )
    shutil.rmtree(folder)
    return (
        f"nnU-Net has trained {trainer} on {device} for {_EPOCHS} epochs of {_ITERATIONS} iterations, the last epoch "
        f"with the topology term (value {terms[-1][0]}, weight {terms[-1][1]}), and has predicted a case with it."
    )


def _write_dataset(folder: Path) -> None:
    """Write volumes of vessels in nnU-Net's raw format, the first ones for training."""
    dataset = folder / "raw" / "Dataset001_Check"
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (dataset / name).mkdir(parents=True)
    (folder / "preprocessed").mkdir()
    for number in range(_CASES + 1):
        image, label = synthetic_vessels(_SHAPE, seed=number)
        name, images = (f"case{number}", "imagesTr") if number < _CASES else ("test", "imagesTs")
        _write_volume(dataset / images / f"{name}_0000.nii.gz", image)
        if number < _CASES:
            _write_volume(dataset / "labelsTr" / f"{name}.nii.gz", label)
    description = {
        "channel_names": {"0": "synthetic"},
        "labels": {"background": 0, "vessel": 1},
        "numTraining": _CASES,
        "file_ending": ".nii.gz",
    }
    (dataset / "dataset.json").write_text(json.dumps(description), encoding="utf-8")


def _write_volume(path: Path, volume: Array) -> None:
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)  # type: ignore[no-untyped-call]


def _commands(folder: Path, trainer: str, device: str) -> list[list[object]]:
    which = ["-d", 1, "-c", "3d_fullres"]
    return [
        ["nnUNetv2_plan_and_preprocess", *which, "-npfp", 1, "-np", 1],
        ["nnUNet_n_proc_DA=0", "nnUNetv2_train", 1, "3d_fullres", 0, "-tr", trainer, "-device", device],
        [
            *("nnUNetv2_predict", *which, "-f", 0, "-tr", trainer, "-device", device, "-npp", 0, "-nps", 0),
            *("-i", folder / "raw" / "Dataset001_Check" / "imagesTs", "-o", folder / "predictions"),
        ],
    ]
