"""Clean-up of predictions: chosen at the end of a training run, and applied by evaluation and inference."""

from __future__ import annotations

import copy
import datetime
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from monai.data import Dataset
from monai.inferers import Inferer
from monai.transforms import AsDiscreted, CastToTyped, Compose

from monai_topo._utils.checkpoints import DamagedFileError, load_checkpoint
from monai_topo._utils.distributed import rank, world_size
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.io import atomic_write
from monai_topo._utils.typing import Array, Border, Connectivity
from monai_topo.cleanup import choose_cleanup
from monai_topo.transforms.clean_up import CleanUp, CleanUpd

__all__ = ["CLEANUP_FILE", "CLEANUP_TABLE", "REPLACED_SETTINGS", "determine_cleanup", "load_cleanup"]

CLEANUP_FILE, CLEANUP_TABLE = "cleanup.json", "cleanup.txt"

_logger = logging.getLogger(__name__)
# Settings that a clean-up replaces, and the values with which they do nothing.
REPLACED_SETTINGS = {
    "threshold": 0.5,
    "simplify_min_persistence": 0,
    "simplify_num_components": None,
    "simplify_num_holes": None,
    "min_object_size": 0,
}


def load_cleanup(
    path: str | os.PathLike[str] | None,
    *,
    keys: str,
    spatial_dims: int,
    connectivity: Connectivity,
    threshold: float = 0.5,
    replaced: Mapping[str, Any] | None = None,
) -> Callable[[Any], Any]:
    """Make the step that converts likelihoods to masks: a clean-up, or the threshold alone.

    Args:
        path: File of :py:class:`monai_topo.transforms.CleanUp`; None for the threshold alone.
        keys: Key of the likelihoods.
        spatial_dims: Number of spatial axes of the images.
        connectivity: Connectivity of the run, which must be that of the clean-up.
        threshold: Threshold on the likelihood without a clean-up.
        replaced: Other settings of the run that a clean-up replaces, by name.

    Returns:
        A dictionary transform. The masks are float32 in both cases.

    Raises:
        UserError: If the file is not that of a clean-up, if it was chosen for other images, or if a setting that it
            replaces is set too.
    """
    if path is None:
        return AsDiscreted(keys=keys, threshold=threshold)
    for name, value in {"threshold": threshold, **(replaced or {})}.items():
        if value != REPLACED_SETTINGS[name]:
            raise UserError(
                f"Expected `cleanup` without `{name}`, which it replaces, but got both; leave out --cleanup, or set "
                f"--{name} {REPLACED_SETTINGS[name]}."
            )
    settings = CleanUp.load(path, spatial_dims=spatial_dims, connectivity=connectivity).to_dict()
    arguments = {name: value for name, value in settings.items() if name not in ("format", "version")}
    return Compose([CleanUpd(keys=keys, **arguments), CastToTyped(keys=keys, dtype=torch.float32)])


def determine_cleanup(
    run_dir: str | os.PathLike[str],
    *,
    enabled: bool,
    network: torch.nn.Module,
    dataset: Dataset,
    inferer: Inferer,
    postprocessing: Callable[[Any], Any],
    device: torch.device,
    amp: bool,
    connectivity: Connectivity,
    border: Border,
) -> None:
    """Choose a clean-up of the best model's predictions on the validation cases, and write it to the run's folder.

    The first of several processes predicts all cases and chooses; the others wait. If no clean-up can be chosen, such
    as for empty labels, a warning states why, and the run goes on.

    Args:
        run_dir: Folder of the run, with `model.pt`; `cleanup.json` and `cleanup.txt`, the table of the choice, are
            written to it.
        enabled: Whether to do so.
        network: Network of the run, without a wrapper for several processes; its weights do not change.
        dataset: Validation cases with `"image"` and `"label"`.
        inferer: Inferer of the validation.
        postprocessing: Transform from the network's output to likelihoods on the grid of the labels.
        device: Device of the network.
        amp: Whether the network runs in mixed precision.
        connectivity: Connectivity of the foreground, `"full"` or `"face"`; the background has the dual one.
        border: Boundary condition, `"open"` or `"foreground"`.

    Cost: one prediction per case, and that of :py:func:`monai_topo.choose_cleanup`, which tries about 100 settings.
    """
    if not enabled:
        return
    # The default time limit of NCCL, ten minutes, is short for large volumes.
    waiting = dist.new_group(backend="gloo", timeout=datetime.timedelta(days=2)) if world_size() > 1 else None
    if rank() == 0:
        model = copy.deepcopy(network).to(device)
        with as_user_error(DamagedFileError):
            model.load_state_dict(load_checkpoint(Path(run_dir) / "model.pt", map_location=device))
        cases = _predict_cases(model, dataset, inferer, postprocessing, device, amp)
        _choose(Path(run_dir), cases, connectivity, border)
    if waiting is not None:
        dist.barrier(group=waiting)


def _choose(folder: Path, cases: Iterator[tuple[Array, Array]], connectivity: Connectivity, border: Border) -> None:
    try:
        choice = choose_cleanup(cases, connectivity=connectivity, border=border)
    except UserError as error:
        _logger.warning("No clean-up was chosen: %s", error)
        return
    choice.save(folder / CLEANUP_FILE)
    with atomic_write(folder / CLEANUP_TABLE) as unfinished:
        unfinished.write_text(choice.table() + "\n", encoding="utf-8")


@torch.no_grad()
def _predict_cases(
    network: torch.nn.Module,
    dataset: Dataset,
    inferer: Inferer,
    postprocessing: Callable[[Any], Any],
    device: torch.device,
    amp: bool,
) -> Iterator[tuple[Array, Array]]:
    """Yield likelihood and label of each case, without their channel axis."""
    network.eval()
    for index in range(len(dataset)):
        case = dataset[index]
        with torch.autocast(device.type, enabled=amp):
            output = inferer(case["image"][None].to(device), network)
        done = postprocessing({**case, "pred": output[0]})
        likelihood, label = (np.asarray(done[name][0].float().cpu()) for name in ("pred", "label"))
        yield likelihood, label
