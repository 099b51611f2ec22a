"""The command `nnunet --check` with the real nnU-Net: what it says when all is well, and when it is not."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from nnunet_runs import NnunetProject, has_nnunet, needs_nnunet

from monai_topo.__main__ import main

pytestmark = [pytest.mark.slow, needs_nnunet]
COMMAND = ["nnunet", "--check", "--device", "cpu"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """The check starts nnU-Net in the environment of this process; its own temporary folder is that of the test."""
    assert has_nnunet()
    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, NnunetProject(tmp_path, {}, "", "").environment[name])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_check_trains_with_the_term_and_cleans_up(capsys, tmp_path):
    assert main([*COMMAND, "--trainer", "nnUNetTrainerTopologySkeletonRecall"]) == 0
    sentence = r"has trained nnUNetTrainerTopologySkeletonRecall on cpu for 2 epochs .*\(value (\S+), weight 1\)"
    (value,) = re.findall(sentence, capsys.readouterr().out)
    assert 0 < float(value) < 1
    assert not list(tmp_path.glob("monai_topo_nnunet_*"))


def test_a_failed_check_keeps_the_output(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_topology_bogus", "1")
    assert main(COMMAND) == 2
    message = capsys.readouterr().err
    assert message.startswith(
        "Error: Expected nnU-Net to train and predict with nnUNetTrainerTopology, but got an error"
    )
    assert "but got 'bogus' in nnUNet_topology_bogus" in message
    assert "Traceback" not in message
    (folder,) = tmp_path.glob("monai_topo_nnunet_*")
    assert str(folder / "output.txt") in message
    assert "nnUNetv2_plan_and_preprocess" in Path(folder / "output.txt").read_text()
    shutil.rmtree(folder)
