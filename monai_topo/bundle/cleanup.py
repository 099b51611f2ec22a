"""Clean-up of predictions: chosen at the end of a training run, and applied by evaluation and inference."""

from __future__ import annotations

import copy
import datetime
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from monai.data import Dataset
from monai.inferers import Inferer
from monai.transforms import AsDiscreted, CastToTyped, Compose

from monai_topo._utils.checkpoints import DamagedFileError, load_checkpoint
from monai_topo._utils.distributed import rank, world_size
from monai_topo._utils.errors import UserError, as_user_error
from monai_topo._utils.io import atomic_write
from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_choice
from monai_topo.bundle.validation_cases import PredictedCase, have_different_spacings, predict_cases
from monai_topo.cleanup import choose_cleanup
from monai_topo.data.case_files import has_spacing
from monai_topo.data.datalists import load_datalist
from monai_topo.transforms.clean_up import CleanUp, CleanUpd

__all__ = [
    "CLEANUP_FILE",
    "CLEANUP_TABLE",
    "REPLACED_SETTINGS",
    "check_cleanup_settings",
    "determine_cleanup",
    "load_cleanup",
]

#: Units of sizes and lengths; `"auto"` is mm if the voxel size differs between the cases.
Units = Literal["auto", "voxels", "mm"]
CLEANUP_FILE, CLEANUP_TABLE = "cleanup.json", "cleanup.txt"

_logger = logging.getLogger(__name__)
_CROPPED = (
    "Chosen on the centers of large cases, at most {:.3g} voxels of each, which saves time; see `cleanup_voxels`.\n"
)
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


def check_cleanup_settings(
    *,
    units: str,
    max_voxels: float,
    dataset_dir: str | os.PathLike[str],
    datalist: str,
    file_keys: Sequence[str],
) -> None:
    """Check the settings of `determine_cleanup` before the training that it ends.

    Raises:
        UserError: If a setting is not one of those, or if sizes are to be in mm and a label's format has no voxel size.
    """
    with as_user_error(ValueError, rename=("`units`", "`cleanup_units`")):
        check_choice("units", units, get_args(Units))
    if not isinstance(max_voxels, (int, float)) or not 1 <= max_voxels < math.inf:
        raise UserError(f"Expected `cleanup_voxels` to be a number of at least 1, but got {max_voxels!r}.")
    if units != "mm":
        return
    for case in load_datalist(dataset_dir, "validation", datalist=datalist, file_keys=file_keys):
        if not has_spacing(case["label"]):
            raise UserError(
                f"Expected labels in a format with a voxel size for `cleanup_units` mm, but got {case['label']}; set "
                "--cleanup_units voxels, or convert them to NIfTI."
            )


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
    units: Units = "auto",
    max_voxels: float = 2e7,
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
        units: Units of sizes and lengths, `"voxels"`, `"mm"`, or `"auto"`: mm if the labels' files state voxel sizes
            that differ between the cases.
        max_voxels: Voxels of all cases together at most. Of larger cases the centers are used, and the table says so.

    Cost: one prediction per case, and that of :py:func:`monai_topo.choose_cleanup`, which `max_voxels` limits: about
    10 microseconds of processor time per voxel in 3D, 4 in 2D. Memory: 5 bytes per voxel that is used.
    """
    if not enabled:
        return
    # The default time limit of NCCL, ten minutes, is short for large volumes.
    waiting = dist.new_group(backend="gloo", timeout=datetime.timedelta(days=2)) if world_size() > 1 else None
    if rank() == 0:
        model = copy.deepcopy(network).to(device)
        with as_user_error(DamagedFileError):
            model.load_state_dict(load_checkpoint(Path(run_dir) / "model.pt", map_location=device))
        model.eval()

        @torch.no_grad()
        def predict(case: dict[str, Any]) -> Any:
            with torch.autocast(device.type, enabled=amp):
                output = inferer(case["image"][None].to(device), model)
            return postprocessing({**case, "pred": output[0]})

        cases, cropped = predict_cases(dataset, predict, max_voxels=max_voxels)
        in_mm = units == "mm" or (units == "auto" and have_different_spacings(cases))
        note = _CROPPED.format(max_voxels / max(len(cases), 1)) if cropped else ""
        _choose(
            Path(run_dir), cases, note, connectivity=connectivity, border=border, spacing="affine" if in_mm else None
        )
    if waiting is not None:
        dist.barrier(group=waiting)


def _choose(folder: Path, cases: Sequence[PredictedCase], note: str, **settings: Any) -> None:
    try:
        choice = choose_cleanup(cases, **settings)
    except UserError as error:
        _logger.warning("No clean-up was chosen: %s", error)
        return
    choice.save(folder / CLEANUP_FILE)
    with atomic_write(folder / CLEANUP_TABLE) as unfinished:
        unfinished.write_text(f"{choice.table()}\n{note}", encoding="utf-8")
