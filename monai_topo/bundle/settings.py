"""The settings of a run: checks before it begins, and those that differ from the defaults."""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, get_args

from monai.bundle import ConfigParser

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.validation import check_choice, check_topology_settings, check_whole_number
from monai_topo.persistence.feature_matching import Matching

__all__ = [
    "FORMAT",
    "changed_settings",
    "check_known_settings",
    "check_sizes",
    "check_training_settings",
    "running_config",
    "stride_products",
]

#: Key of the format of a run in its `config.json`.
FORMAT = "_format_"

_ALL_RUNS: Any = {"imports", "_meta_", "_requirements_", FORMAT, "initialize", "run", "finalize"}


def running_config() -> ConfigParser:
    """Return the configuration parser of the bundle run that calls this function.

    MONAI does not give configuration items access to their parser. It is therefore searched for among the callers,
    where it is evaluating the item that calls this function.

    Raises:
        RuntimeError: If the caller is not a bundle's configuration.
    """
    frame = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigParser):
            return caller
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError(
        "Expected to be called from a bundle's configuration, but found no ConfigParser among the callers."
    )


def check_known_settings(bundle_root: str, files: Sequence[str], overrides: Sequence[str] = ("smoke.json",)) -> None:
    """Check that every top-level setting is in one of the bundle's files, or that another setting refers to it.

    MONAI accepts unknown settings without a message, so that a misspelled one would have no effect.

    Args:
        bundle_root: Folder of the bundle.
        files: Configuration files of the run, such as `["train.json"]`.
        overrides: Files for several kinds of runs, which may hold settings that this run does not use; those are
            accepted if they have the value in the file.

    Raises:
        UserError: If a setting is unknown; the message names the most similar known one.
    """
    folder = Path(bundle_root) / "configs"
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"Expected `bundle_root` to be the bundle's folder, but got {str(bundle_root)!r}, which has no "
            f"configs/{missing[0]}; start from the bundle's folder, or add --bundle_root with its path."
        )
    config = running_config().get()
    items = [item for name in files for item in json.loads((folder / name).read_text(encoding="utf-8"))]
    known = {re.split("::|#", item)[0].lstrip("+") for item in items} | _ALL_RUNS
    referenced = set(re.findall(r"[@%](\w+)", json.dumps(config, default=str)))
    accepted = {
        item: value
        for name in overrides
        if (folder / name).is_file()
        for item, value in json.loads((folder / name).read_text(encoding="utf-8")).items()
    }
    for key, value in config.items():
        if key not in known and key not in referenced and (key not in accepted or accepted[key] != value):
            raise UserError(_unknown(key, known, files))


def _unknown(key: str, known: Iterable[str], files: Sequence[str]) -> str:
    similar = difflib.get_close_matches(key, [name for name in known if not name.startswith("_")], n=1)
    hint = f"did you mean {similar[0]!r}?" if similar else "see the first lines of the file for all settings."
    return f"Expected every setting to be one of {' and '.join(files)}, but got {key!r}, which nothing reads; {hint}"


def changed_settings(config: Mapping[str, Any], file: Path, *, without: AbstractSet[str]) -> dict[str, Any]:
    """Collect the settings of a run that differ from those in a configuration file of the bundle.

    Args:
        config: Settings of the run.
        file: Configuration file; only its top-level settings count.
        without: Names of settings to leave out.

    Returns:
        Numbers, texts, lists and plain dictionaries by name.
    """
    known = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: config[name]
        for name, value in known.items()
        if name in config and name not in without and config[name] != value and _is_plain(config[name])
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" not in value and all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, (str, int, float, type(None)))


def check_training_settings(
    *,
    epochs: int,
    warmup_epochs: int,
    val_interval: int,
    batch_size: int,
    topology_weight: float,
    topology_ratio: float | None,
    learning_rate: float,
    lr_warmup_epochs: int,
    accumulation_steps: int,
    patience: int | None,
    matching: str,
    support: float,
    connectivity: str,
    border: str,
) -> None:
    """Check the numbers and choices of a training run.

    Raises:
        UserError: If a setting is out of its range; the message names it, its range and its value.
    """
    with as_user_error(ValueError):
        check_whole_number("epochs", epochs, 1)
        check_whole_number("warmup_epochs", warmup_epochs)
        check_whole_number("val_interval", val_interval, 1)
        check_whole_number("batch_size", batch_size, 1)
        check_whole_number("accumulation_steps", accumulation_steps, 1)
        check_whole_number("lr_warmup_epochs", lr_warmup_epochs)
        if patience is not None:
            check_whole_number("patience", patience, 1)
        check_choice("matching", matching, get_args(Matching))
        check_topology_settings(connectivity=connectivity, border=border)
    _check_number("support", support, or_equal=True, below=1)
    _check_number("topology_weight", topology_weight, or_equal=True)
    if topology_ratio is not None:
        _check_number("topology_ratio", topology_ratio, or_equal=False)
        if topology_weight == 0:
            raise UserError(
                f"Expected `topology_ratio` to be null with topology_weight 0, but got {topology_ratio}: a ratio takes "
                "the place of the weight, and 0 turns the topology term off."
            )
    _check_number("learning_rate", learning_rate, or_equal=False)
    if warmup_epochs > epochs:
        raise UserError(
            f"Expected `warmup_epochs` to be at most `epochs`, {epochs}, but got {warmup_epochs}; "
            "the topology term would never be on (for that, set --topology_weight 0)."
        )


def check_sizes(
    *,
    patch_size: Sequence[int],
    topology_patch_size: int | Sequence[int] | None,
    strides: Sequence[int | Sequence[int]],
    spatial_dims: int,
    sliding_window_overlap: float = 0.5,
) -> None:
    """Check that the patch sizes fit each other and the network.

    Raises:
        UserError: If they do not; the message suggests a size that fits.
    """
    example = [128] * spatial_dims
    if not _are_sizes(patch_size, spatial_dims):
        raise UserError(
            f"Expected `patch_size` to be {spatial_dims} whole numbers such as {example}, but got {patch_size!r}."
        )
    factors = stride_products(strides, spatial_dims)
    if any(size % factor for size, factor in zip(patch_size, factors, strict=True)):
        fitting = [max(by, round(size / by) * by) for size, by in zip(patch_size, factors, strict=True)]
        by = factors[0] if len(set(factors)) == 1 else factors
        raise UserError(
            f"Expected `patch_size` to be multiples of {by}, the product of the network's `strides`, but got "
            f"{list(patch_size)}; set --patch_size '{fitting}'."
        )
    if not 0 <= sliding_window_overlap < 1:
        raise UserError(
            f"Expected `sliding_window_overlap` to be a fraction from 0 to below 1, but got {sliding_window_overlap!r}."
        )
    if topology_patch_size is None:
        return
    per_axis = [topology_patch_size] * spatial_dims if isinstance(topology_patch_size, int) else topology_patch_size
    if not _are_sizes(per_axis, spatial_dims):
        raise UserError(
            f"Expected `topology_patch_size` to be a whole number, {spatial_dims} of them, or null, but got "
            f"{topology_patch_size!r}."
        )
    if any(small > large for small, large in zip(per_axis, patch_size, strict=True)):
        raise UserError(
            f"Expected `topology_patch_size` to be at most `patch_size`, {list(patch_size)}, but got "
            f"{topology_patch_size}; decrease the former or increase the latter."
        )


def stride_products(strides: Sequence[int | Sequence[int]], spatial_dims: int) -> list[int]:
    """Return the factor by which the network shrinks an image along each axis."""
    per_level = [[stride] * spatial_dims if isinstance(stride, int) else list(stride) for stride in strides]
    if any(len(level) != spatial_dims for level in per_level):
        raise UserError(
            f"Expected each of the `strides` to be a whole number or {spatial_dims} of them, but got {list(strides)}."
        )
    return [math.prod(level[axis] for level in per_level) for axis in range(spatial_dims)]


def _are_sizes(value: Any, count: int) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == count
        and all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in value)
    )


def _check_number(name: str, value: Any, *, or_equal: bool, below: float = math.inf) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not 0 <= value < below or (value == 0 and not or_equal):
        limits = ("at least 0" if or_equal else "above 0") + (f" and below {below:g}" if below < math.inf else "")
        raise UserError(f"Expected `{name}` to be a number {limits}, but got {value!r}.")
