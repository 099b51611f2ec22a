"""Whether a model can be loaded: it is there, intact, and of the network that the settings describe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_topo._utils.checkpoints import DamagedFileError, load_checkpoint, previous_version
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.formats import check_format
from monai_topo._utils.networks import SETTINGS, Mismatch, describe_mismatch, stored_settings

__all__ = ["check_checkpoint"]


def check_checkpoint(
    ckpt_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    network: torch.nn.Module | None = None,
    network_settings: Mapping[str, Any] | None = None,
) -> None:
    """Check that the model to load exists, is intact, and fits the network.

    Args:
        ckpt_path: File of the model.
        output_dir: Folder of the runs; the error message names the newest model in it.
        network: Network that the model is for; None to check only that the file exists.
        network_settings: Settings that the network depends on, by name. They are compared with those that the model was
            trained with; models of other versions do not have any, and only shapes are compared.

    Raises:
        UserError: If `ckpt_path` is not a file, damaged, or not a model; if it is of another network, with the setting
            to change, or with the first parameter that differs and both shapes.

    Cost: The file is read twice.
    """
    _check_exists(ckpt_path, output_dir)
    if network is None:
        return
    weights = _load(Path(ckpt_path))
    stored = stored_settings(weights)
    with as_user_error(ValueError):
        check_format(ckpt_path, stored)
    for name, value in ((stored or {}).get(SETTINGS) or {}).items():
        _compare(name, value, network_settings or {}, ckpt_path)
    if (mismatch := describe_mismatch(network, weights)) is not None:
        raise UserError(f"Expected {ckpt_path} to fit the network, but {mismatch.sentence}; {_advise(mismatch)}.")


def _check_exists(ckpt_path: str | os.PathLike[str], output_dir: str | os.PathLike[str]) -> None:
    if Path(ckpt_path).is_file():
        return
    models = sorted(Path(output_dir).glob("*/model.pt"), key=lambda file: file.stat().st_mtime)
    hint = (
        f"add --ckpt_path {models[-1]}, the newest model"
        if models
        else "train first, then add --ckpt_path RUN/model.pt"
    )
    raise UserError(
        f"Expected `ckpt_path` to be a trained model, but got {str(ckpt_path)!r}, which does not exist; {hint}."
    )


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = load_checkpoint(path, map_location="cpu")
    except DamagedFileError as error:
        previous = previous_version(path)
        hint = f" The model before it is intact as far as known: --ckpt_path {previous}." if previous.is_file() else ""
        raise UserError(f"{error} Copy it again from where it came.{hint}") from error
    if isinstance(content, Mapping) and list(content) == ["model"]:  # as MONAI saves one of several objects
        content = content["model"]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        hint = (
            "it is the state of a training run; take the model.pt next to it"
            if isinstance(content, Mapping) and "epoch_length" in content
            else "save the `state_dict` of a network"
        )
        raise UserError(f"Expected {path} to hold the parameters of a network, but got something else: {hint}.")
    return content


def _compare(name: str, trained: Any, settings: Mapping[str, Any], ckpt_path: str | os.PathLike[str]) -> None:
    if name not in settings or settings[name] == trained:
        return
    hint = (
        "take a model for such images, or the bundle for the model's"
        if name == "spatial_dims"
        else f"set --{name} '{trained}'"
    )
    raise UserError(
        f"Expected the network to have the `{name}` of {ckpt_path}, {trained}, but got {settings[name]}; {hint}."
    )


def _advise(mismatch: Mismatch) -> str:
    """Name the setting that is probably wrong; models of other versions do not state theirs."""
    in_file, in_network = mismatch.in_file, mismatch.in_network
    if in_file is None or in_network is None:
        return "the network has another number of levels, set --channels and --strides, or is of another kind"
    if len(in_file) != len(in_network):
        return f"the model is for {len(in_file) - 2}D images and the network for {len(in_network) - 2}D"
    if mismatch.is_first and in_file[0] == in_network[0] and in_file[1] != in_network[1]:
        return f"set --in_channels {in_file[1]}"
    return "set --channels to those that the model was trained with"
