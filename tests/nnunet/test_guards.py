"""What stops a training before its first epoch: memory, labels, changed settings; and what a user is told."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from nnunet_runs import has_nnunet

from monai_topo.__main__ import main
from monai_topo._utils.errors import UserError
from monai_topo.losses import PersistenceLoss, TopologyAwareLoss
from monai_topo.nnunet.folder import trainer_folder
from monai_topo.nnunet.label_values import check_label_values
from monai_topo.nnunet.record import check_unchanged, read_state, training_state, write_record, write_state
from monai_topo.nnunet.resources import available_memory, check_memory, count_threads


def needed(**changes):
    settings = {"bytes_per_voxel": 40, "patch_size": (64, 64, 32), "num_patches": 8, "num_threads": 4}
    return check_memory(**{**settings, "available": 1e12, **changes})


def test_memory_is_that_of_the_patches_that_are_worked_on_at_a_time():
    assert needed() == 40 * 64 * 64 * 32 * 4
    assert needed(num_patches=2) == 40 * 64 * 64 * 32 * 2
    with pytest.raises(
        UserError, match=r"Expected 20.0 GiB of free memory .*\(512, 512, 512\) voxels, 4 at a time, .*1.0"
    ):
        needed(patch_size=(512, 512, 512), available=2**30)
    assert available_memory() is None or available_memory() > 2**20
    assert count_threads() >= 1


class Cases:
    """Two preprocessed cases, read as nnU-Net's data set does it."""

    def __init__(self, second):
        self.identifiers = ["a", "b"]
        self.labels = {"a": np.array([[[[0, 1], [-1, 1]]]]), "b": np.array([[[[0, second], [1, 1]]]])}

    def load_case(self, identifier):
        return None, self.labels[identifier], None, {}


def test_labels_hold_only_the_classes_of_the_data_set():
    check_label_values(Cases(2), {0, 1, 2})
    with pytest.raises(UserError, match=r"case b to hold the classes of dataset.json, \[0, 1\], but got \[2\]"):
        check_label_values(Cases(2), {0, 1})
    with pytest.raises(UserError, match=r"case b .*but got \[255\]"):
        check_label_values(Cases(255), {0, 1, 2})


def test_a_training_continues_with_its_settings(tmp_path):
    path = tmp_path / "topology.json"
    content = {"loss": "x", "weight": 0.1, "options": {"dims": (0, 1), "num_threads": 2}, "sources": {"weight": "a"}}
    check_unchanged(path, content)  # no record yet
    write_record(path, content)
    check_unchanged(path, {**content, "sources": {}, "options": {"dims": (0, 1), "num_threads": 8}})
    with pytest.raises(UserError, match=r"with weight = 0.1, as it began, but got 0.3"):
        check_unchanged(path, {**content, "weight": 0.3})
    with pytest.raises(UserError, match=r"with border = None, as it began, but got open"):
        check_unchanged(path, {**content, "options": {**content["options"], "border": "open"}})


def test_the_state_of_ratio_and_drawn_patches_survives(tmp_path):
    def make():
        topology = PersistenceLoss(sigmoid=True, patch_size=4, num_patches=2)
        return TopologyAwareLoss(DiceCELoss(sigmoid=True), topology, ratio=0.5)

    def step(loss):
        logits = torch.randn(1, 1, 8, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss(logits, (logits > 0).float()).backward()
        return logits.grad

    loss, again = make(), make()
    step(loss)
    write_state(tmp_path / "checkpoint_best.pth", training_state(loss))
    assert read_state(tmp_path / "checkpoint_latest.pth") is None
    state = read_state(tmp_path / "checkpoint_best.pth")
    assert len(state) == 3
    again.load_state_dict(state, strict=False)
    assert torch.equal(step(again), step(loss))
    assert not torch.equal(step(make()), step(again))


def test_a_loss_without_a_state_has_none():
    assert training_state(TopologyAwareLoss(DiceCELoss(), PersistenceLoss(sigmoid=True))) == {}


@pytest.mark.slow
def test_without_nnunet_a_sentence_says_how_to_install_it():
    script = "import sys; sys.modules['nnunetv2'] = None; import monai_topo.nnunet; import monai_topo.nnunet.trainers"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (
        run.stderr.strip().splitlines()[-1].startswith("ImportError: Expected nnunetv2>=2.8 to be installed for this")
    )
    assert "pip install 'monai_topo[nnunet]'" in run.stderr


@pytest.mark.slow
def test_an_old_nnunet_is_named(tmp_path):
    (tmp_path / "nnunetv2").mkdir()
    (tmp_path / "nnunetv2" / "__init__.py").touch()
    (tmp_path / "nnunetv2" / "paths.py").write_text("nnUNet_raw = None\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    run = subprocess.run(
        [sys.executable, "-m", "monai_topo", "nnunet"], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 2
    assert run.stderr.startswith("Error: Expected nnunetv2>=2.8, which searches the folders of nnUNet_extTrainer")


@pytest.fixture
def nnunet():
    if not has_nnunet():
        pytest.skip("needs nnU-Net: pip install '.[nnunet]'")


@pytest.mark.usefixtures("nnunet")
def test_the_command_prints_the_folder_and_a_ready_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("nnUNet_extTrainer", "/other")
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    monkeypatch.delenv("nnUNet_results", raising=False)
    assert main(["nnunet"]) == 0
    text = capsys.readouterr().out
    assert f'export nnUNet_extTrainer="/other{os.pathsep}{trainer_folder()}"' in text
    assert "nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerTopology\n" in text
    assert f"nnUNet_raw: {tmp_path}\n" in text
    assert "nnUNet_results: not set, nnU-Net needs it" in text
    assert main(["nnunet", "--folder"]) == 0
    assert capsys.readouterr().out == f"{trainer_folder()}\n"


@pytest.mark.usefixtures("nnunet")
def test_nnunet_finds_every_trainer_of_the_command_as_an_ordinary_class(monkeypatch):
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from monai_topo.nnunet.nnunet_command import TRAINERS

    monkeypatch.setenv("nnUNet_extTrainer", str(trainer_folder()))
    for name in TRAINERS:
        trainer = recursive_find_trainer_class_by_name(name)
        assert trainer.__module__ in ("monai_topo.nnunet.trainers", "monai_topo.nnunet.variants")
        assert getattr(sys.modules[trainer.__module__], name) is trainer
    monkeypatch.delenv("nnUNet_extTrainer")
    with pytest.raises(
        RuntimeError, match="specify the external path via the `nnUNet_extTrainer` environment variable"
    ):
        recursive_find_trainer_class_by_name("nnUNetTrainerTopology")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "last"), [("UserError", "Error: Expected x."), ("ValueError", "ValueError: Expected x.")]
)
def test_a_refusal_is_printed_as_one_sentence_and_other_errors_as_ever(kind, last):
    script = f"""if True:
        from monai_topo._utils.errors import UserError
        from monai_topo.nnunet.error_hook import install_error_hook
        install_error_hook()
        install_error_hook()
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise {kind}("Expected x.") from error
        """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    lines = run.stderr.strip().splitlines()
    assert lines[-1] == last
    assert (len(lines) == 1) == (kind == "UserError")


def test_the_folder_holds_one_file():
    assert [path.name for path in trainer_folder().glob("*.py")] == ["monai_topo_trainers.py"]
