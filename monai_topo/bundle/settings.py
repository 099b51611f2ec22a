"""The settings of a run, checked before any work begins."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from monai.bundle import ConfigParser

from monai_topo._utils.errors import UserError
from monai_topo._utils.typing import Border, Connectivity
from monai_topo.persistence.feature_matching import Matching

__all__ = ["check_checkpoint", "check_known_settings", "check_sizes", "check_training_settings", "running_config"]

_ALL_RUNS: Any = {"imports", "_meta_", "_requirements_", "initialize", "run", "finalize"}


def running_config() -> ConfigParser:
    """Return the parser of the bundle run that this call belongs to.

    MONAI gives configuration items no handle on their parser, and accepts unknown top-level settings without a word. So
    it is looked up among the callers, where it works on this very item.

    Raises:
        RuntimeError: when called from elsewhere than a bundle's configuration.
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
    """Stop at a top-level setting that is in none of the bundle's files and that nothing refers to.

    Args:
        bundle_root: the bundle's folder.
        files: the configuration files that the run is made of, such as `["train.json"]`.
        overrides: files for several kinds of runs, which may hold settings that this one has no use for; as long as
            they have the value of the file, they are let through.

    Raises:
        UserError: with the setting, and the known one that is most like it.
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
    referred = set(re.findall(r"[@%](\w+)", json.dumps(config, default=str)))
    let_through = {
        item: value
        for name in overrides
        if (folder / name).is_file()
        for item, value in json.loads((folder / name).read_text(encoding="utf-8")).items()
    }
    for key, value in config.items():
        if key not in known and key not in referred and (key not in let_through or let_through[key] != value):
            raise UserError(_unknown(key, known, files))


def _unknown(key: str, known: Iterable[str], files: Sequence[str]) -> str:
    alike = difflib.get_close_matches(key, [name for name in known if not name.startswith("_")], n=1)
    cure = f"did you mean {alike[0]!r}?" if alike else "see the first lines of the file for the settings there are."
    return f"Expected every setting to be one of {' and '.join(files)}, but got {key!r}, which nothing reads; {cure}"


def check_training_settings(
    *,
    epochs: int,
    warmup_epochs: int,
    val_interval: int,
    batch_size: int,
    topology_weight: float,
    learning_rate: float,
    lr_warmup_epochs: int,
    accumulation_steps: int,
    patience: int | None,
    matching: str,
    connectivity: str,
    border: str,
) -> None:
    """Stop at a number or a choice that no training can be made with.

    Raises:
        UserError: naming the setting, what it may be, and what it is.
    """
    _check_whole("epochs", epochs, 1)
    _check_whole("warmup_epochs", warmup_epochs, 0)
    _check_whole("val_interval", val_interval, 1)
    _check_whole("batch_size", batch_size, 1)
    _check_whole("accumulation_steps", accumulation_steps, 1)
    _check_whole("lr_warmup_epochs", lr_warmup_epochs, 0)
    if patience is not None:
        _check_whole("patience", patience, 1)
    if warmup_epochs > epochs:
        raise UserError(
            f"Expected `warmup_epochs` to be at most `epochs`, {epochs}, but got {warmup_epochs}; "
            "the topology term would never be on (for that, set --topology_weight 0)."
        )
    _check_real("topology_weight", topology_weight, 0, or_equal=True)
    _check_real("learning_rate", learning_rate, 0, or_equal=False)
    for name, value, choices in (
        ("matching", matching, Matching),
        ("connectivity", connectivity, Connectivity),
        ("border", border, Border),
    ):
        _check_choice(name, value, choices)


def check_sizes(
    *,
    patch_size: Sequence[int],
    topology_patch_size: int | Sequence[int] | None,
    strides: Sequence[int | Sequence[int]],
    spatial_dims: int,
    sliding_window_overlap: float = 0.5,
) -> None:
    """Stop at patch sizes that do not fit each other or the network.

    Raises:
        UserError: naming the setting and one that would do.
    """
    example = [128] * spatial_dims
    if not _are_sizes(patch_size, spatial_dims):
        raise UserError(
            f"Expected `patch_size` to be {spatial_dims} whole numbers such as {example}, but got {patch_size!r}."
        )
    factors = _products(strides, spatial_dims)
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
            f"{topology_patch_size}; make the one smaller or the other larger."
        )


def check_checkpoint(ckpt_path: str | os.PathLike[str], output_dir: str | os.PathLike[str]) -> None:
    """Stop if there is no model to load.

    Args:
        ckpt_path: the model's file.
        output_dir: where runs lie; the sentence names the newest model among them.

    Raises:
        UserError: if `ckpt_path` is no file.
    """
    if Path(ckpt_path).is_file():
        return
    models = sorted(Path(output_dir).glob("*/model.pt"), key=lambda file: file.stat().st_mtime)
    cure = (
        f"add --ckpt_path {models[-1]}, the newest there is"
        if models
        else "train first, then add --ckpt_path RUN/model.pt"
    )
    raise UserError(
        f"Expected `ckpt_path` to be a trained model, but got {str(ckpt_path)!r}, which does not exist; {cure}."
    )


def _products(strides: Sequence[int | Sequence[int]], spatial_dims: int) -> list[int]:
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


def _check_whole(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise UserError(f"Expected `{name}` to be a whole number of at least {low}, but got {value!r}.")


def _check_real(name: str, value: Any, low: float, *, or_equal: bool) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < low or (value == low and not or_equal):
        limits = f"at least {low}" if or_equal else f"above {low}"
        raise UserError(f"Expected `{name}` to be a number {limits}, but got {value!r}.")


def _check_choice(name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise UserError(f"Expected `{name}` to be one of {get_args(choices)}, but got {value!r}.")
