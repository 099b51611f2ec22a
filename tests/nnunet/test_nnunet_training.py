"""Real trainings with the real nnU-Net: plan, preprocess, train two epochs, predict and report, on tiny images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nnunet_runs import NnunetProject, needs_nnunet, record_of, rows_of_report, terms_of, vessels
from PIL import Image

from monai_topo.__main__ import main

pytestmark = [pytest.mark.slow, needs_nnunet]
TOPOLOGY = "nnUNetTrainerTopology"


def real_membranes(shared_data: Path, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return cuttings of electron micrographs; membranes are 1."""
    folder = shared_data / "isbi2012"
    entries = json.loads((folder / "datalist.json").read_text())["training"][:number]
    cut = np.s_[100:148, 200:256]
    pairs = [[np.array(Image.open(folder / entry[key]))[cut] for key in ("image", "label")] for entry in entries]
    return [(image, label == 0) for image, label in pairs]


@pytest.fixture(scope="module")
def membranes(shared_data, tmp_path_factory):
    """Real membranes, the basic trainer."""
    cases = real_membranes(shared_data, 6)
    labels = {"background": 0, "membrane": 1}
    project = NnunetProject(tmp_path_factory.mktemp("membranes"), labels, ".png", "2d")
    project.write(cases[:5], cases[5][0])
    project.output = project.succeed(
        project.plan(), project.train(TOPOLOGY, "--npz"), project.predict(TOPOLOGY, "--save_probabilities")
    )
    return project


def test_the_term_is_on_after_the_warm_up_and_recorded(membranes):
    epochs = re.split(r": Epoch (?=\d)", membranes.output)
    assert len(terms_of(epochs[1])) == 0  # half of two epochs
    (value,) = terms_of(epochs[2])
    assert value > 0
    record = record_of(membranes.model(TOPOLOGY))
    assert record["trainer"] == TOPOLOGY
    assert record["loss"] == "PersistenceLoss"
    assert record["warm_up_epochs"] == 1
    assert record["classes"] == ["membrane"]
    assert record["options"] == {"matching": "spatial", "border": "foreground", "patch_size": [48, 56]}
    assert record["sources"]["num_epochs"] == "nnUNet_topology_num_epochs"


def test_the_report_understands_the_results_of_a_real_training(membranes, tmp_path):
    model, raw = membranes.model(TOPOLOGY), membranes.raw
    rows = rows_of_report(tmp_path, model, raw, "--images", raw / "imagesTr", "--probabilities")
    assert {(row["class"], row["fold"], row["prediction"]) for row in rows} == {("membrane", "0", "probabilities")}
    summary = json.loads((model / "fold_0" / "validation" / "summary.json").read_text())
    expected = {Path(case["prediction_file"]).stem: case["metrics"]["1"]["Dice"] for case in summary["metric_per_case"]}
    assert {row["case"]: float(row["dice"]) for row in rows} == pytest.approx(expected)
    cleanup = tmp_path / "cleanup.json"
    assert main(["cleanup", str(model), str(raw), "--probabilities", "--out", str(cleanup)]) == 0


def test_the_test_case_is_predicted(membranes):
    prediction = np.array(Image.open(membranes.predictions(TOPOLOGY) / "test.png"))
    assert prediction.shape == (48, 56)
    assert set(np.unique(prediction)) <= {0, 1}
    assert (membranes.predictions(TOPOLOGY) / "test.npz").is_file()


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Arteries and veins in volumes; only the arteries have a topology, as a file beside the plans says."""

    def split(label):
        return label * np.where(np.arange(label.shape[-1]) < 20, 1, 2)

    cases = vessels((16, 28, 36), 6, split)
    labels = {"background": 0, "artery": 1, "vein": 2}
    project = NnunetProject(tmp_path_factory.mktemp("classes"), labels, ".nii.gz", "3d_fullres")
    project.write(cases[:5], cases[5][0])
    project.succeed(project.plan())
    project.shrink()
    (project.preprocessed / "topology.json").write_text(json.dumps({"classes": ["artery"], "weight": 5}))
    project.output = project.succeed(project.train(TOPOLOGY), project.predict(TOPOLOGY))
    return project


def test_a_class_can_be_left_out(classes, tmp_path):
    record = record_of(classes.model(TOPOLOGY))
    assert (record["classes"], record["weight"], record["ratio"]) == (["artery"], 5, None)
    assert {record["sources"][name] for name in ("classes", "weight")} == {str(classes.preprocessed / "topology.json")}
    assert len(terms_of(classes.output)) == 1
    rows = rows_of_report(tmp_path, classes.model(TOPOLOGY), classes.preprocessed)
    assert {row["class"] for row in rows} == {"artery", "vein"}


def test_the_training_loss_has_the_term_and_the_validation_loss_has_not(classes):
    training, validation = (
        [float(value) for value in re.findall(rf"{kind}_loss (\S+)", classes.output)] for kind in ("train", "val")
    )
    (value,) = terms_of(classes.output)
    assert 5 * value > 6
    own = [training[0], training[1] - 5 * value, *validation]  # Dice + CE, with a network that hardly learns
    assert all(-1 < one < 3 for one in own)


def test_a_cascade_trains_and_predicts(classes):
    classes.add_cascade()
    low, high = "3d_lowres", "3d_cascade_fullres"
    output = classes.succeed(
        ["nnUNetv2_preprocess", "-d", classes.number, "-c", low, "-np", 1],
        classes.train(TOPOLOGY, fold="all", configuration=low),
        classes.predict(TOPOLOGY, fold="all", configuration=low),
        classes.train(TOPOLOGY, configuration=high),
        classes.predict(TOPOLOGY, "-prev_stage_predictions", classes.predictions(TOPOLOGY, low), configuration=high),
    )
    assert len(terms_of(output)) == 2  # one epoch of each stage
    assert record_of(classes.model(TOPOLOGY, low), "all")["options"]["patch_size"] == [16, 28, 32]
    assert record_of(classes.model(TOPOLOGY, high))["classes"] == ["artery"]
    prediction = nibabel.load(classes.predictions(TOPOLOGY, high) / "test.nii.gz")
    assert prediction.shape == (36, 28, 16)
