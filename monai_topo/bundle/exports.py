"""Export of a bundle's network for use without its Python code: `.pt2` by `torch.export`, `.ts` by TorchScript."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import save_net_with_metadata
from monai.networks import convert_to_torchscript

from monai_topo._utils.checkpoints import DamagedFileError, load_checkpoint
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.io import atomic_write
from monai_topo._utils.networks import SETTINGS, stored_settings
from monai_topo.bundle.cleanup import CLEANUP_FILE
from monai_topo.bundle.models import check_checkpoint
from monai_topo.bundle.settings import stride_products
from monai_topo.transforms.clean_up import CleanUp

__all__ = ["EXPORT_FORMATS", "export_network", "load_network", "network_settings"]

EXPORT_FORMATS = {".pt2": "torch.export", ".ts": "TorchScript"}


def network_settings(ckpt_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings that a model of a run was trained with, such as `channels`; {} if it does not state any.

    Raises:
        UserError: If there is no such file, or it is damaged.
    """
    if not Path(ckpt_path).is_file():
        raise UserError(f"Expected a trained model, but got {os.fspath(ckpt_path)!r}, which does not exist.")
    with as_user_error(DamagedFileError):
        stored = stored_settings(load_checkpoint(ckpt_path, map_location="cpu")) or {}
    return {name: value for name, value in (stored.get(SETTINGS) or {}).items() if name != "spatial_dims"}


def load_network(
    bundle_root: str | os.PathLike[str], ckpt_path: str | os.PathLike[str], settings: Mapping[str, Any] | None = None
) -> torch.nn.Module:
    """Load the network of a bundle's `inference.json` with trained weights, on the CPU and in evaluation mode.

    Args:
        bundle_root: Folder of the bundle.
        ckpt_path: Weights, a plain state dict as in a run's `model.pt`.
        settings: Settings that differ from the file's, such as `channels` of the training run.

    Raises:
        UserError: If there is no bundle or no model, or if the weights do not fit the network.
    """
    parser = _read_bundle(bundle_root, settings or {})
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    fitting = parser.get_parsed_content("network_settings")
    check_checkpoint(ckpt_path, Path(bundle_root) / "runs", network, fitting)
    weights = load_checkpoint(ckpt_path, map_location="cpu")
    network.load_state_dict(weights["model"] if list(weights) == ["model"] else weights)
    return network.eval()


def export_network(
    path: str | os.PathLike[str],
    *,
    bundle_root: str | os.PathLike[str],
    ckpt_path: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    cleanup: str | os.PathLike[str] | None = None,
) -> None:
    """Export the network of a bundle, with its `metadata.json` and `inference.json` as extra files.

    The suffix of `path` decides: `.pt2` is a program of `torch.export`, read by `torch.export.load`; `.ts` is
    TorchScript, read by `torch.jit.load`, with the content of MONAI's `ckpt_export`. Both hold the network only: their
    input is normalized intensities, `(B, C, *spatial)` float32, their output a logit of the same spatial shape.

    A program accepts every batch size, and every spatial size that is a multiple of the strides and at least twice
    their product along each axis. It is exported on the CPU; `torch.export.passes.move_to_device_pass` moves it.

    Args:
        path: File to write; an existing one is replaced.
        bundle_root: Folder of the bundle.
        ckpt_path: Weights, a plain state dict.
        settings: Settings that differ from those in `inference.json`, such as `channels` of the training run; those
            that a model of a run states itself need not be given.
        cleanup: File of a clean-up to store as the extra file `cleanup.json`, for whoever turns logits into masks.

    Raises:
        UserError: As for :py:func:`load_network`, if the suffix is another one, or if the file holds no clean-up for
            images of this dimension.

    Cost: half a minute for `.pt2`, seconds for `.ts`.
    """
    path = Path(path)
    if path.suffix not in EXPORT_FORMATS:
        raise UserError(f"Expected a file that ends in {' or '.join(EXPORT_FORMATS)}, but got {str(path)!r}.")
    settings = {**network_settings(ckpt_path), **(settings or {})}
    network = load_network(bundle_root, ckpt_path, settings)
    parser = _read_bundle(bundle_root, settings)
    extra = {} if cleanup is None else {CLEANUP_FILE: _read_cleanup(cleanup, _spatial_dims(network))}
    metadata = {name: value for name, value in parser["_meta_"].items() if not name.startswith("_")}
    known = json.loads((Path(bundle_root) / "configs" / "inference.json").read_text(encoding="utf-8"))
    extra["inference.json"] = json.dumps({**known, **settings})  # describes the network, also if the settings differ
    with atomic_write(path) as unfinished:
        if path.suffix == ".ts":
            script = convert_to_torchscript(network)
            contents = {name: text.encode() for name, text in extra.items()}
            save_net_with_metadata(
                script, str(unfinished), False, False, meta_values=metadata, more_extra_files=contents
            )
        else:
            program = _program(network, int(parser["in_channels"]), parser["strides"])
            torch.export.save(program, unfinished, extra_files={"metadata.json": json.dumps(metadata), **extra})


def _read_cleanup(path: str | os.PathLike[str], spatial_dims: int) -> str:
    CleanUp.load(path, spatial_dims=spatial_dims)
    return Path(path).read_text(encoding="utf-8")


def _spatial_dims(network: torch.nn.Module) -> int:
    return next(weights.ndim for weights in network.parameters() if weights.ndim > 2) - 2


def _program(
    network: torch.nn.Module, in_channels: int, strides: Sequence[int | Sequence[int]]
) -> torch.export.ExportedProgram:
    factors = stride_products(strides, _spatial_dims(network))
    # The example has no size of 1, which would become a constant.
    example = torch.zeros(2, in_channels, *(2 * factor for factor in factors))
    shape: dict[int, Any] = {0: torch.export.Dim("batch")}
    for axis, factor in enumerate(factors):
        steps = torch.export.Dim(f"steps_{axis}", min=2)
        shape[2 + axis] = steps if factor == 1 else steps * factor
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=(shape,))


def _read_bundle(bundle_root: str | os.PathLike[str], settings: Mapping[str, Any]) -> ConfigParser:
    config = Path(bundle_root) / "configs"
    for name in ("metadata.json", "inference.json"):
        if not (config / name).is_file():
            raise UserError(
                f"Expected the folder of a bundle, but got {os.fspath(bundle_root)!r}, which has no configs/{name}."
            )
    parser = ConfigParser()
    parser.read_meta(str(config / "metadata.json"))
    parser.read_config(str(config / "inference.json"))
    parser.update(dict(settings))
    return parser
