"""Settings of the topology term: where they come from, and what is refused before a training begins."""

from __future__ import annotations

import json

import pytest

from monai_topo._utils.errors import UserError
from monai_topo.losses import PersistenceLoss, SCNPLoss
from monai_topo.nnunet.settings import Plan, loss_options, read_settings

PLAN = Plan(classes=("artery", "vein"), patch_size=(20, 64, 96), num_epochs=1000)


def read(folder=None, environment=(), defaults=None, plan=PLAN):
    return read_settings(
        folder,
        options=loss_options(PersistenceLoss),
        defaults={"weight": 0.1, "patch_size": 32, **(defaults or {})},
        plan=plan,
        environment=dict(environment),
    )


def variables(**settings):
    return {f"nnUNet_topology_{name}": text for name, text in settings.items()}


def test_without_settings_there_are_defaults():
    settings = read()
    assert settings.weight == 0.1
    assert settings.warm_up_epochs == 500
    assert settings.classes == ("artery", "vein")
    assert settings.options == {"patch_size": [20, 32, 32]}  # one number is cut to the patch of the network
    assert settings.sources == {}
    assert settings.places() == "defaults"


def test_the_environment_takes_precedence_over_the_file_and_the_file_over_the_defaults(tmp_path):
    (tmp_path / "topology.json").write_text(json.dumps({"weight": 0.2, "dims": [0, 1], "classes": ["vein"]}))
    settings = read(tmp_path, variables(weight="0.3", connectivity="face"))
    assert settings.weight == 0.3
    assert settings.options == {"dims": [0, 1], "connectivity": "face", "patch_size": [20, 32, 32]}
    assert settings.classes == ("vein",)
    assert settings.sources == {
        "weight": "nnUNet_topology_weight",
        "dims": str(tmp_path / "topology.json"),
        "classes": str(tmp_path / "topology.json"),
        "connectivity": "nnUNet_topology_connectivity",
    }


def test_another_file_can_be_named(tmp_path):
    (tmp_path / "topology.json").write_text(json.dumps({"weight": 0.2}))
    (tmp_path / "other.json").write_text(json.dumps({"weight": 0.7}))
    assert read(tmp_path, variables(file=str(tmp_path / "other.json"))).weight == 0.7


def test_values_of_the_environment_are_json_or_text():
    settings = read(environment=variables(patch_size="[20, 16, 16]", border="foreground", classes="artery"))
    assert settings.options["patch_size"] == [20, 16, 16]
    assert settings.options["border"] == "foreground"
    assert settings.classes == ("artery",)
    assert (
        read(environment=variables(patch_size="null")).options["patch_size"] is None
    )  # the whole patch of the network


def test_a_weight_replaces_a_ratio_and_a_ratio_a_weight():
    assert (read().weight, read().ratio) == (0.1, None)
    settings = read(environment=variables(ratio="2"))
    assert (settings.weight, settings.ratio) == (None, 2.0)
    settings = read(environment=variables(weight="3"), defaults={"weight": None, "ratio": 1.0})
    assert (settings.weight, settings.ratio) == (3.0, None)


def test_the_trainer_can_be_shortened_and_the_warm_up_follows():
    settings = read(environment=variables(num_epochs="60", save_every="5"))
    assert settings.training == {"num_epochs": 60, "save_every": 5}
    assert settings.warm_up_epochs == 30
    assert read(environment=variables(warm_up_epochs="0")).warm_up_epochs == 0


def test_options_that_follow_from_the_labels_are_no_settings():
    assert {"dims", "matching", "patch_size", "support", "num_threads"} <= {*loss_options(PersistenceLoss)}
    assert not {"softmax", "weight", "include_background", "ignore_index"} & {*loss_options(PersistenceLoss)}
    assert loss_options(SCNPLoss) == ["kernel_size"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights": "1"}, r"among weight, .*, but got 'weights' in nnUNet_topology_weights"),
        ({"softmax": "true"}, "but got 'softmax' in nnUNet_topology_softmax"),
        ({"weight": "much"}, r"\(nnUNet_topology_weight\): Expected `weight` to be a number, but got 'much'"),
        ({"weight": "-1"}, "Expected `weight` to be finite and at least 0, but got -1"),
        ({"weight": "1", "ratio": "1"}, "Expected `weight` or `ratio`, but got both, in nnUNet_topology_weight and"),
        ({"ratio": "0"}, "Expected `ratio` to be greater than 0, but got 0"),
        ({"weight": "true"}, "Expected `weight` to be a number, but got True"),
        ({"warm_up_epochs": "1000"}, "below the number of epochs, 1000, but got 1000: the term would never be used"),
        ({"warm_up_epochs": "2.5"}, "Expected `warm_up_epochs` to be a whole number"),
        ({"num_epochs": "0"}, "Expected `num_epochs` to be a whole number of at least 1"),
        ({"classes": '["bone"]'}, r"among those of dataset.json, artery, vein, but got \['bone'\]"),
        ({"classes": "[]"}, r"among those of dataset.json, artery, vein, but got \[\]"),
        ({"classes": "3"}, "among those of dataset.json, artery, vein, but got 3"),
        ({"patch_size": "[32, 32, 32]"}, r"at most nnU-Net's patch \(20, 64, 96\), but got \[32, 32, 32\]"),
        ({"patch_size": "[16, 16]"}, r"one number per axis, .*but got \[16, 16\]"),
        ({"file": "/nowhere/topology.json"}, "Expected /nowhere/topology.json to hold the settings"),
    ],
)
def test_wrong_settings_end_with_a_sentence(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        read(environment=variables(**settings))


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "in JSON, but got"), ("[1]", r"settings by name, .*but got \[1\]")]
)
def test_a_broken_file_is_named(tmp_path, text, sentence):
    (tmp_path / "topology.json").write_text(text)
    with pytest.raises(UserError, match=f"topology.json to hold .*{sentence}"):
        read(tmp_path)
