"""Write synthetic data sets to disk."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from monai.utils.module import optional_import
from numpy.typing import NDArray

from monai_topo._utils.validation import check_choice, check_whole_number
from monai_topo.data._imaging import check_image_shape
from monai_topo.data.datalists import DATALIST
from monai_topo.data.membranes import synthetic_membranes
from monai_topo.data.vessels import synthetic_vessels

__all__ = ["write_synthetic_dataset"]

_Generator = Callable[..., tuple[NDArray[np.float32], NDArray[np.uint8]]]
_GENERATORS: dict[str, _Generator] = {"membranes": synthetic_membranes, "vessels": synthetic_vessels}
# Increase when a generator or the layout of the files changes, so that folders written by older versions are refused.
_LAYOUT_VERSION = 1


def write_synthetic_dataset(
    folder: str | os.PathLike[str],
    *,
    kind: Literal["membranes", "vessels"],
    shape: Sequence[int],
    num_training: int,
    num_validation: int,
    seed: int = 0,
) -> Path:
    """Write a synthetic data set with a Decathlon-style datalist, if it does not exist yet.

    2D cases are PNG files (uint8; image 0 to 255, label 0 and 255; rows and columns as in the array, so that MONAI's
    PILReader transposes image and label alike). 3D cases are compressed NIfTI files (uint8; image 0 to 255, label 0 and
    1; axes in the array's order, identity affine, spacing 1 mm). The files are in `images/` and `labels/`, next to
    `datalist.json`, whose paths are relative to it: `{"image": "images/000.png", "label": "labels/000.png"}`.

    The folder is created atomically: the files are written to a hidden folder next to it, which is then renamed. A
    folder that was written with the same settings does not change, even if another process writes it at the same time.
    (A process that is killed leaves the hidden folder, named `.FOLDER.*.part`, behind.)

    Args:
        folder: Folder to write; its parents are created. It must not exist, be empty, or hold this same data set.
        kind: `"membranes"` or `"vessels"`: `synthetic_membranes` or `synthetic_vessels` with their defaults.
        shape: Shape of every case, `(H, W)` or `(D, H, W)`.
        num_training: Number of training cases, which come first.
        num_validation: Number of validation cases, numbered from there on.
        seed: Random seed. Case `i` is drawn from this seed and `i`; equal settings give equal files on one machine.

    Returns:
        The path of `datalist.json`.

    Raises:
        ValueError: If a setting is out of its range, or the folder holds a data set written with other settings.
        FileExistsError: If `folder` is a file, or a folder that holds something else. Nothing is overwritten.

    Requires pillow for 2D. If tqdm is installed, a progress bar appears after two seconds.
    """
    folder = Path(folder).expanduser().absolute()
    settings = _check_settings(kind, shape, num_training, num_validation, seed)
    if _is_complete(folder, settings):
        return folder / DATALIST
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.part"
    try:
        _write_all(partial, settings)
        _publish(partial, folder, settings)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / DATALIST


def _check_settings(
    kind: str, shape: Sequence[int], num_training: int, num_validation: int, seed: int
) -> dict[str, Any]:
    check_choice("kind", kind, list(_GENERATORS))
    check_whole_number("num_training", num_training)
    check_whole_number("num_validation", num_validation)
    check_whole_number("seed", seed)
    return {
        "name": "monai_topo.data.write_synthetic_dataset",
        "layout_version": _LAYOUT_VERSION,
        "kind": kind,
        "shape": list(check_image_shape(shape)),
        "num_training": num_training,
        "num_validation": num_validation,
        "seed": seed,
    }


def _is_complete(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Check whether `folder` holds this data set already; raise an error if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        written_with = json.loads((folder / DATALIST).read_text(encoding="utf-8"))["generator"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f"Expected `folder` to be new, empty or a synthetic data set, but got {folder}, which is something else; "
            "choose another folder."
        ) from None
    if written_with != settings:
        raise ValueError(
            f"Expected `folder` to hold a data set written with {dict(settings)}, but got {folder}, written with "
            f"{written_with}; choose another folder or remove this one."
        )
    return True


def _publish(partial: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        if folder.is_dir():
            folder.rmdir()  # an empty one; some systems do not rename onto it
        partial.rename(folder)
    except OSError:  # another process was first: fine if it made the same
        if not _is_complete(folder, settings):
            raise


def _write_all(folder: Path, settings: Mapping[str, Any]) -> None:
    is_2d = len(settings["shape"]) == 2
    suffix, foreground, write = (".png", 255, _write_png) if is_2d else (".nii.gz", 1, _write_nifti)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    kind, cases = settings["kind"], []
    for case in _with_progress(range(settings["num_training"] + settings["num_validation"]), f"writing {kind}"):
        files = {"image": f"images/{case:03d}{suffix}", "label": f"labels/{case:03d}{suffix}"}
        case_seed = int(np.random.SeedSequence((settings["seed"], case)).generate_state(1, np.uint64)[0])
        image, label = _GENERATORS[kind](settings["shape"], seed=case_seed)
        write(folder / files["image"], np.rint(255 * image).astype(np.uint8))
        write(folder / files["label"], foreground * label)
        cases.append(files)
    description = {
        "name": f"synthetic {kind}",
        "description": f"Synthetic {kind} and their labels, made by monai_topo: no patient data.",
        "labels": {"0": "background", str(foreground): kind},
        "generator": dict(settings),
        "training": cases[: settings["num_training"]],
        "validation": cases[settings["num_training"] :],
    }
    (folder / DATALIST).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def _with_progress(cases: range, title: str) -> Iterable[int]:
    tqdm: Any
    tqdm, has_tqdm = optional_import("tqdm", name="tqdm")
    return tqdm(cases, desc=title, unit="case", delay=2) if has_tqdm else cases


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    picture, has_pillow = optional_import("PIL.Image")
    if not has_pillow:
        raise ImportError("Expected pillow to be installed to write PNG files, but got none; pip install pillow.")
    picture.fromarray(pixels).save(path)


def _write_nifti(path: Path, voxels: NDArray[np.uint8]) -> None:
    import nibabel  # here, because only this function needs it

    nifti = nibabel.Nifti1Image(voxels, affine=np.eye(4))  # type: ignore[no-untyped-call]
    nifti.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nibabel.save(nifti, path)
