"""Settings of the topology term: defaults of a trainer, `topology.json` beside the plans, environment variables."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.validation import check_at_least, check_whole_number
from monai_topo.losses._base import LikelihoodLoss

__all__ = ["FILE", "PREFIX", "Plan", "TopologySettings", "read_settings"]

FILE = "topology.json"
PREFIX = "nnUNet_topology_"

_OWN = ("weight", "ratio", "warm_up_epochs", "classes")
#: Attributes of nnU-Net's trainer that a setting of the same name replaces.
_OF_TRAINER = ("num_epochs", "num_iterations_per_epoch", "num_val_iterations_per_epoch", "save_every")
#: Options of the losses that follow from nnU-Net's labels.
_OF_LABELS = {"input", "base", *(one.name for one in fields(LikelihoodLoss))}


class Plan(NamedTuple):
    """What the settings are checked against.

    Attributes:
        classes: Names of the foreground classes or regions in `dataset.json`.
        patch_size: Patch size of the configuration.
        num_epochs: Length of the training, unless a setting replaces it.
    """

    classes: tuple[str, ...]
    patch_size: tuple[int, ...]
    num_epochs: int


@dataclass(frozen=True, kw_only=True)
class TopologySettings:
    """Checked settings of the topology term.

    Attributes:
        weight: Weight of the term after the warm-up; None if it follows from the ratio.
        ratio: Gradient of the term as a multiple of that of nnU-Net's own loss; None if there is a weight.
        warm_up_epochs: Number of epochs without the term, at the beginning of the training.
        classes: Names of the classes or regions that the term counts.
        options: Options of the loss.
        training: Attributes of nnU-Net's trainer to replace.
        sources: Where the settings that are not defaults come from.
    """

    weight: float | None
    ratio: float | None
    warm_up_epochs: int
    classes: tuple[str, ...]
    options: dict[str, Any]
    training: dict[str, int]
    sources: dict[str, str]

    def places(self) -> str:
        """Return where the settings come from, in words."""
        return _places(self.sources)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as they are recorded in the output folder."""
        return asdict(self)


def loss_options(loss: type) -> list[str]:
    """Return the options of a loss that are settings."""
    return [name for name in inspect.signature(loss).parameters if name not in _OF_LABELS]


def read_settings(
    folder: Path | None,
    *,
    options: Sequence[str],
    defaults: Mapping[str, Any],
    plan: Plan,
    environment: Mapping[str, str] | None = None,
) -> TopologySettings:
    """Read and check the settings of a trainer.

    Args:
        folder: Folder of the plans, in which `topology.json` may lie.
        options: Names of the options of the trainer's loss.
        defaults: Values of the settings that are not given.
        plan: Classes, patch size and length of the training.
        environment: Environment variables. `nnUNet_topology_NAME` takes precedence over `NAME` in the file, and
            `nnUNet_topology_file` names another file.

    Raises:
        UserError: If a setting is unknown or wrong; the sentence names where it comes from. The options of the loss are
            checked by the loss.
    """
    environment = os.environ if environment is None else environment
    given, sources = _read_file(folder, environment)
    for name, text in _from_environment(environment):
        given[name], sources[name] = text, PREFIX + name
    _check_names(given, (*_OWN, *options, *_OF_TRAINER), sources)
    values = {**_without_other_weight(defaults, given, sources), **given}
    training = {name: values[name] for name in _OF_TRAINER if name in values}
    with _naming(sources):
        for name, number in training.items():
            check_whole_number(name, number, least=1)
        settings = TopologySettings(
            weight=_check_number("weight", values.get("weight")),
            ratio=_check_number("ratio", values.get("ratio")),
            warm_up_epochs=_check_warm_up(values.get("warm_up_epochs"), training.get("num_epochs", plan.num_epochs)),
            classes=_check_classes(values.get("classes"), plan.classes),
            options={name: values[name] for name in options if name in values},
            training=training,
            sources=sources,
        )
        if settings.options.get("patch_size") is not None:
            settings.options["patch_size"] = _check_patch_size(settings.options["patch_size"], plan.patch_size)
    return settings


def _read_file(folder: Path | None, environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of the file, and the source of each; none if there is no file."""
    named = environment.get(PREFIX + "file")
    path = Path(named) if named else folder and folder / FILE
    if path is None or not (named or path.exists()):
        return {}, {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"Expected {path} to hold the settings of the topology term in JSON, but got: {error}."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f'Expected {path} to hold settings by name, {{"weight": 0.1}}, but got {content!r}.')
    return content, dict.fromkeys(content, str(path))


def _from_environment(environment: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    """Yield the settings of the environment: JSON, or plain text where that is not JSON."""
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and variable != PREFIX + "file":
            try:
                value = json.loads(text)
            except ValueError:
                value = text
            yield variable.removeprefix(PREFIX), value


def _check_names(given: Mapping[str, Any], known: Sequence[str], sources: Mapping[str, str]) -> None:
    for name in given:
        if name not in known:
            raise UserError(
                f"Expected the settings of this trainer to be among {', '.join(known)}, but got {name!r} in "
                f"{sources[name]}."
            )


def _naming(sources: Mapping[str, str]) -> Any:
    """Convert an error to one that names where the settings come from."""
    return as_user_error(TypeError, ValueError, prefix=f"Topology settings ({_places(sources)}): ")


def _places(sources: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(sources.values())) or "defaults"


def _without_other_weight(
    defaults: Mapping[str, Any], given: Mapping[str, Any], sources: Mapping[str, str]
) -> dict[str, Any]:
    """Return the defaults without a weight or ratio if the other one is given."""
    chosen = {"weight", "ratio"} & given.keys()
    if len(chosen) == 2:
        raise UserError(
            f"Expected `weight` or `ratio`, but got both, in {sources['weight']} and {sources['ratio']}: a ratio finds "
            "the weight."
        )
    return {name: value for name, value in defaults.items() if not chosen or name not in ("weight", "ratio")}


def _check_number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"Expected `{name}` to be a number, but got {value!r}.")
    if name == "ratio" and value == 0:
        raise ValueError("Expected `ratio` to be greater than 0, but got 0: for no term use nnUNetTrainer.")
    return float(check_at_least(name, value))


def _check_warm_up(epochs: Any, num_epochs: int) -> int:
    if epochs is None:
        return num_epochs // 2
    check_whole_number("warm_up_epochs", epochs)
    if epochs >= num_epochs:
        raise ValueError(
            f"Expected `warm_up_epochs` to be below the number of epochs, {num_epochs}, but got {epochs}: the term "
            "would never be used."
        )
    return int(epochs)


def _check_classes(chosen: Any, classes: Sequence[str]) -> tuple[str, ...]:
    if chosen is None:
        return tuple(classes)
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list | tuple) or not names or (unknown := [name for name in names if name not in classes]):
        wrong = unknown if isinstance(names, list | tuple) and names else chosen
        raise ValueError(
            f"Expected `classes` to be among those of dataset.json, {', '.join(classes)}, but got {wrong!r}."
        )
    return tuple(name for name in classes if name in names)


def _check_patch_size(size: Any, largest: Sequence[int]) -> Any:
    """Return the patch size per axis; one number is cut to the patch of the network where that is smaller."""
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return [min(size, extent) for extent in largest]
    if isinstance(size, list | tuple) and (
        len(size) != len(largest)
        or any(isinstance(one, int) and one > extent for one, extent in zip(size, largest, strict=True))
    ):
        raise ValueError(
            f"Expected `patch_size` to have one number per axis, at most nnU-Net's patch {tuple(largest)}, but got "
            f"{size}: one number for all axes is cut to it."
        )
    return size
