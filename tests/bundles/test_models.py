"""A model that does not fit is refused before it is loaded, with the setting to change in the sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import UNet

from monai_topo._utils.checkpoints import save_checkpoint
from monai_topo._utils.networks import store_settings
from monai_topo.bundle import UserError
from monai_topo.bundle.models import check_checkpoint

SETTINGS = {"spatial_dims": 2, "in_channels": 1, "channels": [4, 8], "strides": [2]}


def unet(**changed: Any) -> UNet:
    return UNet(**{**SETTINGS, "out_channels": 1, **changed})


def saved(folder: Path, network: torch.nn.Module, settings: dict[str, Any] | None = None) -> Path:
    """Save a network as a training run does; without settings as another version did."""
    weights = network.state_dict()
    if settings is not None:
        store_settings(weights, settings)
    save_checkpoint(weights, folder / "model.pt")
    return folder / "model.pt"


def test_a_model_of_the_network_is_accepted_with_and_without_its_settings(tmp_path: Path) -> None:
    network = unet()
    for settings in (None, SETTINGS):
        check_checkpoint(saved(tmp_path, network, settings), tmp_path, network, SETTINGS)
    torch.save({"model": network.state_dict()}, tmp_path / "one of several.pt")
    check_checkpoint(tmp_path / "one of several.pt", tmp_path, network, SETTINGS)


def test_a_missing_model_is_refused_with_the_newest_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"which does not exist; train first, then add --ckpt_path RUN/model\.pt"):
        check_checkpoint(tmp_path / "model.pt", tmp_path)
    (tmp_path / "run").mkdir()
    saved(tmp_path / "run", unet())
    with pytest.raises(UserError, match=r"add --ckpt_path .*run.model\.pt, the newest model"):
        check_checkpoint(tmp_path / "model.pt", tmp_path)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"in_channels": 3}, "set --in_channels '3'"),
        ({"channels": [4, 16]}, r"set --channels '\[4, 16\]'"),
        ({"spatial_dims": 3}, "take a model for such images, or the bundle for the model's"),
    ],
)
def test_other_settings_of_the_network_are_named(changed: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    file = saved(tmp_path, unet(**changed), {**SETTINGS, **changed})
    with pytest.raises(UserError, match=f"to have the `{next(iter(changed))}` of .*; {sentence}"):
        check_checkpoint(file, tmp_path, unet(), SETTINGS)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"in_channels": 3}, "set --in_channels 3"),
        ({"channels": [8, 16]}, "set --channels to those that the model was trained with"),
        ({"spatial_dims": 3}, "the model is for 3D images and the network for 2D"),
        ({"channels": [4, 8, 16], "strides": [2, 2]}, "another number of levels, set --channels and --strides"),
    ],
)
def test_without_settings_the_first_other_shape_tells_what_to_change(
    changed: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    file = saved(tmp_path, unet(**changed))
    with pytest.raises(UserError, match=f"to fit the network, but .*{sentence}"):
        check_checkpoint(file, tmp_path, unet(), SETTINGS)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"epoch_length": 4, "objects": {}}, r"it is the state of a training run; take the model\.pt next to it"),
        ([1, 2], "save the `state_dict` of a network"),
    ],
)
def test_a_file_of_something_else_is_refused(content: Any, sentence: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UserError, match=f"to hold the parameters of a network, but got something else: {sentence}"):
        check_checkpoint(tmp_path / "other.pt", tmp_path, unet(), SETTINGS)


def test_a_damaged_model_is_refused_with_the_one_before_it(tmp_path: Path) -> None:
    saved(tmp_path, unet())
    file = saved(tmp_path, unet())  # the first one is kept
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"The model before it is intact as far as known: --ckpt_path .*\.pt"):
        check_checkpoint(file, tmp_path, unet(), SETTINGS)


def test_a_model_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_topo._utils.formats.FORMAT_VERSION", 99)
    monkeypatch.setattr("monai_topo._utils.formats.package_version", lambda: "7.0")
    file = saved(tmp_path, unet(), SETTINGS)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"of version 2 or older, but got 99; use monai_topo 7\.0 or newer"):
        check_checkpoint(file, tmp_path, unet(), SETTINGS)
