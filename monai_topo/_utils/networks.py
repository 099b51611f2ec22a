"""The settings that a network was trained with, stored with its weights, and whether weights fit a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from monai_topo._utils.formats import format_stamp

__all__ = ["SETTINGS", "Mismatch", "describe_mismatch", "store_settings", "stored_settings"]

#: Key of the settings of the network in what `stored_settings` returns.
SETTINGS = "settings"
_KEY = "monai_topo"


def store_settings(weights: Any, settings: Mapping[str, Any] | None) -> None:
    """Store the version of the format and settings with a `state_dict`, where torch has the versions of its modules."""
    if hasattr(weights, "_metadata"):
        weights._metadata[_KEY] = {**format_stamp(), SETTINGS: dict(settings or {})}


def stored_settings(weights: Any) -> dict[str, Any] | None:
    """Return what `store_settings` has stored; None if there is nothing."""
    found: dict[str, Any] | None = getattr(weights, "_metadata", {}).get(_KEY)
    return found


class Mismatch(NamedTuple):
    """The first difference between weights in a file and a network.

    Attributes:
        sentence: Part of a sentence, with both shapes.
        in_file: Shape of the parameter in the file; None if it has none.
        in_network: Shape of the parameter in the network; None if it has none.
        is_first: Whether it is the first parameter of both.
    """

    sentence: str
    in_file: tuple[int, ...] | None
    in_network: tuple[int, ...] | None
    is_first: bool


def describe_mismatch(network: torch.nn.Module, weights: Mapping[str, Any]) -> Mismatch | None:
    """Find the first parameter that the file and the network do not share, or that has two shapes; None if all fit."""
    own = network.state_dict()
    for place, name in enumerate(dict.fromkeys([*own, *weights])):
        in_file, in_network = (_shape(of.get(name)) for of in (weights, own))
        if in_file == in_network and in_file is not None:
            continue
        if in_network is None:
            sentence = f"it has a parameter {name!r} of shape {in_file}, which the network does not have"
        elif in_file is None:
            sentence = f"it has no parameter {name!r}, which has shape {in_network} in the network"
        else:
            sentence = f"{name!r} has shape {in_file} in the file and {in_network} in the network"
        return Mismatch(sentence, in_file, in_network, place == 0)
    return None


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
