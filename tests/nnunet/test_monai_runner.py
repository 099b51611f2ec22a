"""MONAI's runner of nnU-Net with our trainer, by the commands of the docs: convert a datalist, plan and train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nnunet_runs import NnunetProject, needs_nnunet

from monai_topo.data import synthetic_vessels

pytestmark = [pytest.mark.slow, needs_nnunet]

# The runner has no option for the device, so the command that it starts gets it here; all else is the runner's.
ON_THE_CPU = """#!/bin/sh
nnUNet_n_proc_DA=0 exec {command} "$@" -device cpu
"""
FEW_PROCESSES = " --c=\"('3d_fullres',)\" --n_proc='(1,)' --npfp=1"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "nnunet.md"
INPUT = """
modality: CT
datalist: datalist.json
dataroot: data
dataset_name_or_id: "501"
"""


def test_the_runner_trains(tmp_path):
    (tmp_path / "data").mkdir()
    entries = []
    for seed in range(6):
        image, label = synthetic_vessels((16, 20, 24), seed=seed)
        for kind, volume in (("image", 255 * image), ("label", label)):
            path = tmp_path / "data" / f"{kind}_{seed}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(volume.astype(np.float32), np.eye(4)), path)
        entries.append({"image": f"image_{seed}.nii.gz", "label": f"label_{seed}.nii.gz"})
    datalist = {"training": [{**entry, "fold": i} for i, entry in enumerate(entries[:5])], "testing": entries[5:]}
    (tmp_path / "datalist.json").write_text(json.dumps(datalist))
    (tmp_path / "input.yaml").write_text(INPUT)
    scripts = Path(sys.executable).parent
    wrapper = tmp_path / "bin" / "nnUNetv2_train"
    wrapper.parent.mkdir()
    wrapper.write_text(ON_THE_CPU.format(command=scripts / wrapper.name))
    wrapper.chmod(0o755)
    variables = NnunetProject(tmp_path, {}, ".nii.gz", "3d_fullres").environment
    path = os.pathsep.join([str(wrapper.parent), str(scripts), os.environ["PATH"]])
    run = subprocess.run(
        ["bash", "-euc", "\n".join(documented_commands())],
        **{"cwd": tmp_path, "env": {**variables, "PATH": path, "nnUNet_n_proc_DA": "1"}},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "check": False},
    )
    assert run.returncode == 0, run.stdout[-3000:]
    (fold,) = (tmp_path / "work_dir" / "nnUNet_trained_models").glob(
        "Dataset501_data/nnUNetTrainerTopology__nnUNetPlans__3d_fullres/fold_0"
    )
    assert json.loads((fold / "topology.json").read_text())["loss"] == "PersistenceLoss"
    assert " topology " in run.stdout
    assert (fold / "validation" / "summary.json").exists()


def documented_commands() -> list[str]:
    """Return the commands of the page, that of the plan with few processes."""
    commands = [line for line in DOCS.read_text().splitlines() if line.startswith("python -m monai.apps.nnunet")]
    assert [command.split()[4] for command in commands] == ["convert_dataset", "plan_and_process", "train_single_model"]
    commands[1] += FEW_PROCESSES
    return commands
