"""nnU-Net's own options on real vessels in 3D: continue after a kill, validate again, begin with pretrained weights."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_runs import NnunetProject, needs_nnunet, record_of
from PIL import Image

pytestmark = [pytest.mark.slow, needs_nnunet]
TRAINER = "nnUNetTrainerTopologyBettiMatching"
SETTINGS = {"num_epochs": 4, "warm_up_epochs": 1, "save_every": 1}


def real_vessels(shared_data: Path, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return cuttings of a stack of vessels."""
    folder = shared_data / "vesselnn"
    entry = json.loads((folder / "datalist.json").read_text())["training"][0]
    image, label = (read_stack(folder / entry[key]) for key in ("image", "label"))
    return [
        (image[:12, 40 * i : 40 * i + 40, 100:132], label[:12, 40 * i : 40 * i + 40, 100:132] > 0)
        for i in range(number)
    ]


def read_stack(path: Path) -> np.ndarray:
    with Image.open(path) as stack:
        slices = []
        for page in range(stack.n_frames):
            stack.seek(page)
            slices.append(np.array(stack))
    return np.stack(slices)


@pytest.fixture(scope="module")
def killed(shared_data, tmp_path_factory):
    """A training that was killed in its third epoch."""
    labels = {"background": 0, "vessel": 1}
    project = NnunetProject(tmp_path_factory.mktemp("vessels"), labels, ".nii.gz", "3d_fullres", settings=SETTINGS)
    cases = real_vessels(shared_data, 6)
    project.write(cases[:5], cases[5][0])
    project.succeed(project.plan())
    project.shrink()
    log = project.home / "killed.txt"
    process = project.start(project.train(TRAINER), log=log)
    try:
        wait_for(process, log, "Epoch 2")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return project


def wait_for(process: subprocess.Popen[bytes], log: Path, text: str) -> None:
    for _ in range(6000):
        if text in log.read_text():
            return
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


def epochs_of(output: str) -> list[int]:
    return [int(number) for number in re.findall(r": Epoch (\d+)", output)]


def ratio_of(model: Path, checkpoint: str) -> dict[str, object]:
    return json.loads((model / "fold_0" / f"{checkpoint}.topology.json").read_text())


def test_a_killed_training_continues_with_its_settings_alone(killed):
    model = killed.model(TRAINER)
    saved = torch.load(model / "fold_0" / "checkpoint_latest.pth", weights_only=False)["current_epoch"]
    assert saved in (2, 3)  # the epoch that comes next; the kill may have come late
    assert ratio_of(model, "checkpoint_latest")["gradient_ratio.steps"] == 2 * (saved - 1)
    refused = killed.run(killed.train(TRAINER, "--c"), nnUNet_topology_ratio="2")
    assert refused.returncode != 0
    sentence = "Error: Expected this training to continue with ratio = 1.0, as it began, but got 2.0: set it as before"
    assert refused.stdout.strip().splitlines()[-1].startswith(sentence)
    assert "Traceback" not in refused.stdout
    assert epochs_of(refused.stdout) == []

    output = killed.succeed(killed.train(TRAINER, "--c"))
    assert epochs_of(output) == list(range(saved, 4))
    assert ratio_of(model, "checkpoint_final")["gradient_ratio.steps"] == 2 * 3  # all epochs after the warm-up
    assert record_of(model)["options"] == {"border": "foreground", "patch_size": [12, 32, 32]}


def test_the_validation_runs_again_and_the_weights_are_a_beginning(killed):
    model = killed.model(TRAINER)
    if not (model / "fold_0" / "checkpoint_final.pth").exists():
        killed.succeed(killed.train(TRAINER, "--c"))
    summary = model / "fold_0" / "validation" / "summary.json"
    before = json.loads(summary.read_text())
    summary.unlink()
    other = "nnUNetTrainerTopologyClDice"
    weights = model / "fold_0" / "checkpoint_final.pth"
    output = killed.succeed(
        killed.train(TRAINER, "--val"),
        killed.train(other, "-pretrained_weights", weights),
        nnUNet_topology_num_epochs="2",
    )
    assert json.loads(summary.read_text())["foreground_mean"] == before["foreground_mean"]
    assert "Loading pretrained weights from file" in output
    assert epochs_of(output) == [0, 1]  # the validation trains nothing
    assert ratio_of(model, "checkpoint_final")["gradient_ratio.steps"] == 2 * 3  # and leaves the ratio as it is
    assert record_of(killed.model(other))["loss"] == "ClDiceLoss"
