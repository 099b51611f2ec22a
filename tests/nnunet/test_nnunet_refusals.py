"""What the real trainer refuses before its first epoch, each with one sentence; the trainer runs in this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nnunet_runs import NnunetProject, needs_nnunet

from monai_topo._utils.errors import UserError
from monai_topo.data import synthetic_vessels

pytestmark = [pytest.mark.slow, needs_nnunet]
TOPOLOGY = "nnUNetTrainerTopology"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Two classes in 2D, planned and preprocessed."""
    project = NnunetProject(tmp_path_factory.mktemp("planned"), {"background": 0, "artery": 1, "vein": 2}, ".png", "2d")
    pairs = [synthetic_vessels((40, 56), seed=seed) for seed in range(6)]
    cases = [(255 * image, label * np.where(np.arange(56) < 28, 1, 2)) for image, label in pairs]
    project.write(cases[:5], cases[5][0])
    project.succeed(project.plan())
    project.shrink()
    return project


@pytest.fixture
def trainer(planned, trainer_of):
    return trainer_of(planned)


def epochs_of(trainer) -> int:
    """Return how many epochs the log of the trainer has."""
    return Path(trainer.log_file).read_text().count(": Epoch ")


def test_without_the_results_folder(trainer, monkeypatch):
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(UserError, match="environment variable nnUNet_results to be set, but got none"):
        trainer()


def test_without_the_variable_for_trainers_nnunet_names_it(trainer, monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer")
    with pytest.raises(RuntimeError, match="specify the external path via the `nnUNet_extTrainer` environment"):
        trainer()


def test_an_unknown_class(trainer):
    with pytest.raises(UserError, match=r"among those of dataset.json, artery, vein, but got \['bone'\]"):
        trainer(classes=["bone"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"connectivity": "18"}, r"\(nnUNet_topology.*\): Expected `connectivity`"),
        ({"dims": [3]}, r"`dims`"),
        ({"radius": 2}, "among weight, .* but got 'radius' in nnUNet_topology_radius"),
    ],
)
def test_an_option_that_the_loss_refuses(trainer, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        trainer(**settings)


def test_a_patch_that_does_not_fit_into_memory(trainer, monkeypatch):
    from monai_topo.nnunet import resources

    one = trainer(patch_size=None, num_threads=1)
    monkeypatch.setattr(resources, "available_memory", lambda: 40.0 * 40 * 56 - 1)
    with pytest.raises(UserError, match=r"for the topology term on patches of \(40, 56\) voxels, 1 at a time"):
        one.run_training()
    assert epochs_of(one) == 0
    monkeypatch.setattr(resources, "available_memory", lambda: 40.0 * 40 * 56)
    one._check_memory()


def test_patches_that_are_not_drawn_need_no_memory(trainer, monkeypatch):
    from monai_topo.nnunet import resources

    drawn = trainer(patch_size=[20, 28], num_patches=1, num_threads=10**6)
    whole = trainer(num_patches=None)
    drawn.initialize()
    whole.initialize()
    monkeypatch.setattr(resources, "available_memory", lambda: 40.0 * 20 * 28 * drawn.batch_size * 2)  # two classes
    drawn._check_memory()
    with pytest.raises(UserError, match=f"{drawn.batch_size * 2 * 4} at a time"):
        whole._check_memory()


def test_a_label_that_is_no_class(trainer, planned):
    path = planned.preprocessed / "dataset.json"
    before = path.read_text()
    content = json.loads(before)
    del content["labels"]["vein"]
    path.write_text(json.dumps(content))
    try:
        one = trainer()
    finally:
        path.write_text(before)
    with pytest.raises(UserError, match=r"classes of dataset.json, \[0, 1\], but got \[2\]"):
        one.run_training()
    assert epochs_of(one) == 0


def test_a_cascade_without_its_first_stage(trainer, planned):
    plans = planned.preprocessed / "nnUNetPlans.json"
    before = plans.read_text()
    content = json.loads(before)
    content["configurations"] |= {
        "low": {"inherits_from": "2d", "next_stage": "high"},
        "high": {"inherits_from": "2d", "previous_stage": "low"},
    }
    plans.write_text(json.dumps(content))
    try:
        one = trainer(configuration="high")
    finally:
        plans.write_text(before)
    sentence = (
        r"predictions of low for all cases in .*predicted_next_stage/high, but got none of case_1, case_2, case_3 and "
        rf"others: train low with -tr {TOPOLOGY} on all five folds first"
    )
    with pytest.raises(UserError, match=sentence):
        one.run_training()
    assert epochs_of(one) == 0
    folder = Path(one.folder_with_segs_from_previous_stage)
    folder.mkdir(parents=True)
    for number in (1, 2, 4, 5):
        (folder / f"case_{number}.b2nd").touch()
    with pytest.raises(UserError, match="but got none of case_3: train low"):
        one.run_training()


def test_a_term_that_calls_the_loss_of_nnunet_does_not_run_beside_it(trainer):
    found = {}
    for name in (TOPOLOGY, f"{TOPOLOGY}SCNP"):
        one = trainer(name)
        one.initialize()
        shared = {*one.loss.base.modules()} & {*one.loss.topology.modules()}
        found[name] = (bool(shared), one.loss.overlap)
    assert found == {TOPOLOGY: (False, None), f"{TOPOLOGY}SCNP": (True, False)}
