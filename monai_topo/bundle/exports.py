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

from monai_topo._utils.errors import UserError
from monai_topo._utils.io import atomic_write
from monai_topo.bundle.settings import stride_products

__all__ = ["EXPORT_FORMATS", "export_network", "load_network"]

EXPORT_FORMATS = {".pt2": "torch.export", ".ts": "TorchScript"}
_FILES = ("metadata", "inference")


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
    try:
        weights = torch.load(ckpt_path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"Expected the model to be a state dict such as RUN/model.pt, but got {os.fspath(ckpt_path)!r}: "
            f"{_first_line(error)}"
        ) from error
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"Expected the weights to fit the network of {os.fspath(bundle_root)!r}, but got {os.fspath(ckpt_path)!r} "
            f"of another one (do `channels`, `strides` and `in_channels` agree?): {_first_line(error)}"
        ) from error
    return network.eval()


def export_network(
    path: str | os.PathLike[str],
    *,
    bundle_root: str | os.PathLike[str],
    ckpt_path: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
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
        settings: Settings that differ from those in `inference.json`, such as `channels` of the training run.

    Raises:
        UserError: As for :py:func:`load_network`, and if the suffix is another one.

    Cost: half a minute for `.pt2`, seconds for `.ts`.
    """
    path, settings = Path(path), dict(settings or {})
    if path.suffix not in EXPORT_FORMATS:
        raise UserError(f"Expected a file that ends in {' or '.join(EXPORT_FORMATS)}, but got {str(path)!r}.")
    network = load_network(bundle_root, ckpt_path, settings)
    parser = _read_bundle(bundle_root, settings)
    config = Path(bundle_root) / "configs"
    texts = {f"{name}.json": (config / f"{name}.json").read_text(encoding="utf-8") for name in _FILES}
    inference = {**json.loads(texts["inference.json"]), **settings}  # with these, the file describes the network
    texts["inference.json"] = json.dumps(inference)
    with atomic_write(path) as unfinished:
        if path.suffix == ".ts":
            extra = {"inference.json": texts["inference.json"].encode()}
            save_net_with_metadata(
                convert_to_torchscript(network),
                str(unfinished),
                include_config_vals=False,
                append_timestamp=False,
                meta_values=json.loads(texts["metadata.json"]),
                more_extra_files=extra,
            )
        else:
            program = _program(network, int(parser["in_channels"]), parser["strides"])
            torch.export.save(program, unfinished, extra_files=texts)


def _program(
    network: torch.nn.Module, in_channels: int, strides: Sequence[int | Sequence[int]]
) -> torch.export.ExportedProgram:
    spatial_dims = next(weights.ndim for weights in network.parameters() if weights.ndim > 2) - 2
    factors = stride_products(strides, spatial_dims)
    # The example has no size of 1, which would become a constant.
    example = torch.zeros(2, in_channels, *(2 * factor for factor in factors))
    sizes: dict[int, Any] = {
        2 + axis: torch.export.Dim(f"steps_{axis}", min=2) * factor if factor > 1 else torch.export.Dim(f"steps_{axis}")
        for axis, factor in enumerate(factors)
    }
    with torch.no_grad():
        return torch.export.export(
            network, (example,), dynamic_shapes=({0: torch.export.Dim("batch"), **sizes},), strict=False
        )


def _read_bundle(bundle_root: str | os.PathLike[str], settings: Mapping[str, Any]) -> ConfigParser:
    config = Path(bundle_root) / "configs"
    parser = ConfigParser()
    try:
        parser.read_meta(str(config / "metadata.json"))
        parser.read_config(str(config / "inference.json"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"Expected the folder of a bundle, but got {os.fspath(bundle_root)!r}: {_first_line(error)}"
        ) from error
    parser.update(dict(settings))
    return parser


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
