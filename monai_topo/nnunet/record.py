"""The record of a training in nnU-Net's output folder: which settings the topology term had, and its state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_topo._utils.errors import UserError
from monai_topo._utils.io import atomic_write

__all__ = ["check_unchanged", "read_state", "training_state", "write_record", "write_state"]

_MAY_CHANGE = {"sources", "num_threads", "monai_topo"}  # nothing that the network depends on


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write the settings as JSON."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def check_unchanged(path: Path, content: Mapping[str, Any]) -> None:
    """Check that a training continues with the settings it began with; without a record nothing is checked.

    Raises:
        UserError: If a setting differs; the sentence names the first one.
    """
    if not path.exists():
        return
    before, now = _flat(json.loads(path.read_text(encoding="utf-8"))), _flat(json.loads(json.dumps(content)))
    for name in [*before, *now]:
        if before.get(name) != now.get(name):
            raise UserError(
                f"Expected this training to continue with {name} = {before.get(name)}, as it began, but got "
                f"{now.get(name)}: set it as before, or delete {path} to change it on purpose."
            )


def training_state(loss: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that change during a training run: those of the gradient ratio, and the number of draws."""
    buffers = loss.state_dict()
    return {name: value for name, value in buffers.items() if {"gradient_ratio", "draws"} & set(name.split("."))}


def write_state(checkpoint: Path, state: Mapping[str, Tensor]) -> None:
    """Write the training state of a loss beside the checkpoint of the same time."""
    write_record(_state_file(checkpoint), {name: value.tolist() for name, value in state.items()})


def read_state(checkpoint: Path) -> dict[str, Tensor] | None:
    """Read the buffers that belong to a checkpoint; None if there are none."""
    path = _state_file(checkpoint)
    if not path.exists():
        return None
    return {name: torch.tensor(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}


def _state_file(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".topology.json")


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings by their own names."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if name not in _MAY_CHANGE:
            flat |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return flat
