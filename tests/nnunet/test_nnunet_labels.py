"""Real trainings in 2D and 3D on regions and with an ignore label, and what the term sees of the ignored voxels."""

from __future__ import annotations

import numpy as np
import pytest
from nnunet_runs import NnunetProject, needs_nnunet, record_of, rows_of_report, terms_of, vessels

from monai_topo.nnunet.nnunet_command import TRAINERS

pytestmark = [pytest.mark.slow, needs_nnunet]
TOPOLOGY = "nnUNetTrainerTopology"
IN_2D, IN_3D = ("2d", ".png", (40, 56)), ("3d_fullres", ".nii.gz", (16, 28, 36))


def make_project(home, place, labels, make_label):
    configuration, ending, shape = place
    cases = vessels(shape, 6, make_label)
    project = NnunetProject(home, labels, ending, configuration).write(cases[:5], cases[5][0])
    project.succeed(project.plan())
    project.shrink()
    return project


def core(label):
    """Return the vessels as 1 and pieces of them as 2."""
    return label + (label > 0) * (np.arange(label.shape[-1]) % 16 < 8)


def ignored(label, value):
    """Ignore bands across the image, as if only the others had been annotated."""
    return np.where(np.arange(label.shape[-2])[:, None] % 10 < 5, label, value)


@pytest.fixture(scope="module", params=[IN_2D, IN_3D], ids=["2d", "3d"])
def scribbles(request, tmp_path_factory):
    """One class and an ignore label."""
    labels = {"background": 0, "vessel": 1, "ignore": 2}
    return make_project(tmp_path_factory.mktemp("scribbles"), request.param, labels, lambda label: ignored(label, 2))


@pytest.fixture(scope="module", params=[IN_2D, IN_3D], ids=["2d", "3d_ignore"])
def regions(request, tmp_path_factory):
    """Regions, of which one lies within the other; in 3D with an ignore label."""
    labels = {"background": 0, "vessels": [1, 2], "core": [2]}
    make_label = core
    if request.param is IN_3D:
        labels |= {"ignore": 3}

        def make_label(label):
            return ignored(core(label), 3)

    return make_project(tmp_path_factory.mktemp("regions"), request.param, labels, make_label)


def test_regions_train_with_skeleton_recall(regions, tmp_path):
    trainer = f"{TOPOLOGY}SkeletonRecall"
    output = regions.succeed(regions.train(trainer), regions.predict(trainer))
    assert len(terms_of(output)) == 2  # from the start
    assert all(0 < value < 1 for value in terms_of(output))
    whole_batch = regions.configuration == "2d"  # nnU-Net's Dice is over the batch in 2D and at low resolution
    assert record_of(regions.model(trainer))["options"] == {"batch": whole_batch, "radius": 2.0}
    rows = rows_of_report(tmp_path, regions.model(trainer), regions.raw)
    assert {row["class"] for row in rows} == {"vessels", "core"}


def test_an_ignore_label_trains_with_cldice_and_with_scnp(scribbles, tmp_path):
    trainers = [f"{TOPOLOGY}ClDice", f"{TOPOLOGY}SCNP"]
    output = scribbles.succeed(*map(scribbles.train, trainers), scribbles.predict(trainers[1]))
    assert len(terms_of(output)) == 1 + 2  # clDice has a warm-up
    for trainer in trainers:
        assert rows_of_report(tmp_path, scribbles.model(trainer), scribbles.raw)


@pytest.mark.parametrize("name", TRAINERS)
def test_ignored_voxels_have_no_gradient_of_the_term(scribbles, trainer_of, name):
    check_gradient(trainer_of(scribbles)(name), lambda target: target == 2)


@pytest.mark.parametrize("name", TRAINERS)
def test_ignored_voxels_of_regions_have_no_gradient_of_the_term(regions, trainer_of, name):
    has_ignored = "ignore" in regions.labels
    check_gradient(trainer_of(regions)(name), lambda target: target[:, -1:] if has_ignored else None)


def check_gradient(trainer, ignored_in):
    """Check the gradient of the term for the finest output of the network, on a batch of nnU-Net's own data loader."""
    trainer.initialize()
    batch = next(trainer.get_dataloaders()[0])
    output = trainer.network(batch["data"])[0].detach().requires_grad_()
    trainer.loss.topology(output, batch["target"]).backward()
    per_channel = output.grad.abs().flatten(2).sum(2).sum(0)
    assert (per_channel > 0).all()
    ignored = ignored_in(batch["target"][0])
    if ignored is not None:
        assert 0 < ignored.sum() < ignored.numel()
        assert output.grad[ignored.expand_as(output)].eq(0).all()
