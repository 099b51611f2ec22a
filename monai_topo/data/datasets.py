"""Data sets on disk: write a synthetic one, and read a datalist with every mistake told at once and early."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from monai.utils.module import optional_import
from numpy.typing import NDArray

from monai_topo.data._imaging import checked_shape
from monai_topo.data.membranes import synthetic_membranes
from monai_topo.data.vessels import synthetic_vessels

__all__ = ["load_datalist", "write_synthetic_dataset"]

_Generator = Callable[..., tuple[NDArray[np.float32], NDArray[np.uint8]]]
_GENERATORS: dict[str, _Generator] = {"membranes": synthetic_membranes, "vessels": synthetic_vessels}
# Raise when a generator or the files' layout changes, so that a folder made by an older version is not taken for ours.
_LAYOUT_VERSION = 1
_DATALIST = "datalist.json"
_SHOWN = 10


def write_synthetic_dataset(
    folder: str | os.PathLike[str],
    *,
    kind: Literal["membranes", "vessels"],
    shape: Sequence[int],
    num_training: int,
    num_validation: int,
    seed: int = 0,
) -> Path:
    """Write a synthetic data set with a Decathlon-style datalist, once.

    2D cases are PNG files (uint8; image 0 to 255, label 0 and 255; rows and columns as in the array, so MONAI's
    PILReader gives image and label transposed alike). 3D cases are compressed NIfTI files (uint8; image 0 to 255,
    label 0 and 1; axes in the array's order, identity affine, spacing 1 mm). They lie in `images/` and `labels/` beside
    `datalist.json`, whose entries are paths relative to it: `{"image": "images/000.png", "label": "labels/000.png"}`.

    The folder appears whole or not at all: the files are written to a hidden folder beside it, which is then renamed.
    A folder made with the same settings is left as it is, also when another process makes it meanwhile. (A process that
    is killed leaves the hidden folder, named `.FOLDER.*.part`, behind.)

    Args:
        folder: where to; its parents are made. It must not exist, be empty, or hold this very data set.
        kind: `"membranes"` or `"vessels"`: `synthetic_membranes` or `synthetic_vessels` with their defaults.
        shape: `(H, W)` or `(D, H, W)` of every case.
        num_training: number of training cases, the first ones.
        num_validation: number of validation cases, numbered on from there.
        seed: case `i` is drawn from the pair of this seed and `i`: equal settings give equal files on one machine.

    Returns:
        The path of `datalist.json`.

    Raises:
        ValueError: if a setting is out of its range, or the folder holds a data set made with other settings.
        FileExistsError: if `folder` is a file, or a folder that holds something else. Nothing is overwritten.

    Needs pillow for 2D. With tqdm installed, a progress bar appears after two seconds.
    """
    folder = Path(folder).expanduser().absolute()
    settings = _checked_settings(kind, shape, num_training, num_validation, seed)
    if _is_made(folder, settings):
        return folder / _DATALIST
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.part"
    try:
        _write_all(unfinished, settings)
        _publish(unfinished, folder, settings)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder / _DATALIST


def load_datalist(
    dataset_dir: str | os.PathLike[str],
    section: str,
    *,
    datalist: str = _DATALIST,
    file_keys: Sequence[str] = ("image", "label"),
) -> list[dict[str, str]]:
    """Read one section of a Decathlon-style datalist, with absolute paths, and check it before any work begins.

    Args:
        dataset_dir: the folder that holds the data; relative paths of the datalist start here.
        section: key of the section, such as `"training"` or `"validation"`.
        datalist: the datalist's path, relative to `dataset_dir` or absolute.
        file_keys: what every entry has to name a file (or a folder with a DICOM series) for, such as a `"mask"` beside
            image and label.

    Returns:
        One dictionary an entry, in the datalist's order: each of `file_keys` as the absolute path of a file or folder
        that exists. Other keys (a subject's name) are left out, as nothing is known about them.

    Raises:
        FileNotFoundError: if the folder, the datalist, or files that it names do not exist (the first ten are named).
        ValueError: if the datalist is not JSON, has no such section, or the section is empty or has an entry without a
            file name for one of `file_keys`.

    Costs one look at the disk a file; no image is read.
    """
    folder = Path(dataset_dir).expanduser().absolute()
    path = folder / datalist
    if not folder.is_dir():
        raise FileNotFoundError(f"Expected `dataset_dir` to be a folder, but got {folder}, which does not exist.")
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected `dataset_dir` to hold the datalist {datalist!r}, but got {folder} without it; "
            "write one with write_synthetic_dataset, or name yours with `datalist`."
        )
    entries = [
        _files_of(entry, file_keys, number, section, path) for number, entry in enumerate(_section(path, section))
    ]
    cases = [{key: str(folder / file) for key, file in entry.items()} for entry in entries]
    missing = [file for case in cases for file in case.values() if not Path(file).exists()]
    if missing:
        more = f", ... ({len(missing)} files)" if len(missing) > _SHOWN else ""
        raise FileNotFoundError(
            f"Expected the files of section {section!r} of {path} to exist, but got none at "
            f"{', '.join(missing[:_SHOWN])}{more}."
        )
    return cases


def _section(path: Path, section: str) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # both a JSONDecodeError and a UnicodeDecodeError
        raise ValueError(f"Expected {path} to be a JSON file, but got: {error}.") from error
    sections = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
    if section not in sections:
        raise ValueError(
            f"Expected {path} to hold a list {section!r}, but got only {sections}; add one, or rename one."
        )
    entries: list[Any] = content[section]
    if not entries:
        raise ValueError(f"Expected section {section!r} of {path} to hold cases, but got an empty list.")
    return entries


def _files_of(entry: Any, keys: Sequence[str], number: int, section: str, path: Path) -> dict[str, str]:
    files = {key: entry[key] for key in keys if isinstance(entry, dict) and entry.get(key)}
    if len(files) != len(keys) or not all(isinstance(file, str) for file in files.values()):
        raise ValueError(
            f"Expected entry {number} of section {section!r} of {path} to name a file for "
            f"{' and for '.join(map(repr, keys))}, but got {entry!r}."
        )
    return files


def _checked_settings(
    kind: str, shape: Sequence[int], num_training: int, num_validation: int, seed: int
) -> dict[str, Any]:
    if kind not in _GENERATORS:
        raise ValueError(f"Expected `kind` to be one of {sorted(_GENERATORS)}, but got {kind!r}.")
    for name, number in (("num_training", num_training), ("num_validation", num_validation), ("seed", seed)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"Expected `{name}` to be a whole number of at least 0, but got {number!r}.")
    return {
        "name": "monai_topo.data.write_synthetic_dataset",
        "layout_version": _LAYOUT_VERSION,
        "kind": kind,
        "shape": list(checked_shape(shape)),
        "num_training": num_training,
        "num_validation": num_validation,
        "seed": seed,
    }


def _is_made(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether `folder` holds this data set already; an error if it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        made_with = json.loads((folder / _DATALIST).read_text(encoding="utf-8"))["generator"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f"Expected `folder` to be new, empty or a synthetic data set, but got {folder}, which is something else; "
            "choose another folder."
        ) from None
    if made_with != settings:
        raise ValueError(
            f"Expected `folder` to hold a data set made with {dict(settings)}, but got {folder}, made with "
            f"{made_with}; choose another folder or remove this one."
        )
    return True


def _publish(unfinished: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        if folder.is_dir():
            folder.rmdir()  # an empty one; some systems do not rename onto it
        unfinished.rename(folder)
    except OSError:  # another process was first: fine if it made the same
        if not _is_made(folder, settings):
            raise


def _write_all(folder: Path, settings: Mapping[str, Any]) -> None:
    is_picture = len(settings["shape"]) == 2
    suffix, foreground, write = (".png", 255, _write_png) if is_picture else (".nii.gz", 1, _write_nifti)
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
    (folder / _DATALIST).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


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
    nifti = nibabel.Nifti1Image(voxels, affine=np.eye(4))  # type: ignore[no-untyped-call]
    nifti.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nibabel.save(nifti, path)
