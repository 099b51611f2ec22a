"""The summary that is printed at the end of a run."""

from __future__ import annotations

import csv
import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_topo._utils.distributed import rank
from monai_topo.bundle.cleanup import CLEANUP_FILE, CLEANUP_TABLE, REPLACED_SETTINGS
from monai_topo.bundle.folder_lock import unlock_folder
from monai_topo.bundle.report import write_report
from monai_topo.bundle.run_folder import relative_path, stored_warnings
from monai_topo.bundle.settings import changed_settings, running_config
from monai_topo.data.datalists import load_datalist

__all__ = ["report_evaluation", "report_inference", "report_training"]

_HISTORY, _MODEL = "validation.csv", "model.pt"
# Settings that the printed commands state themselves, or do not need.
_NOT_PRINTED = {"bundle_root", "dataset_dir", "output_dir", "run_dir", "resume"}
_NOT_PRINTED |= {"determine_cleanup", "cleanup_units", "cleanup_voxels"}
Row = Mapping[str, str]


def report_training(run_dir: str | os.PathLike[str], *, bundle_root: str, dataset_dir: str, datalist: str) -> None:
    """Print the results of a training run: metrics before and after the topology term, paths, and further commands.

    The printed inference command is for images like those of the datalist's validation section.
    """
    if rank() > 0:
        return
    folder = Path(run_dir)
    rows = _read_rows(folder / _HISTORY)
    moments = [("end of training", rows[-1]), ("best score (model.pt)", max(rows, key=_score))]
    warm_up = [row for row in rows if float(row["topology_weight"]) == 0]
    if warm_up and warm_up[-1] is not rows[-1]:
        moments.insert(0, ("before the topology term", warm_up[-1]))
    _print_table([(f"{name}, epoch {row['epoch']}", row) for name, row in moments])
    if (cleanup := folder / CLEANUP_TABLE).exists():
        print(
            f"\nClean-up chosen on the validation cases for the best model\n{cleanup.read_text(encoding='utf-8')}",
            end="",
        )
    page = write_report(folder, rows, ["training", "validation"])
    print(f"\nModel        {relative_path(folder / _MODEL)}")
    _print_paths(folder)
    print(f"Report       {relative_path(page)}")
    python, root, configs = _python(), relative_path(Path(bundle_root)), Path(bundle_root) / "configs"
    print(f"TensorBoard  {python} -m tensorboard.main --logdir {relative_path(folder)}")
    start = f"{python} -m monai.bundle run --bundle_root {shlex.quote(root)} --config_file"
    given = {"ckpt_path": relative_path(folder / _MODEL), "dataset_dir": relative_path(Path(dataset_dir))}
    changed = changed_settings(running_config().get(), configs / "train.json", without=_NOT_PRINTED)
    both = f"\"['{root}/configs/train.json','{root}/configs/evaluate.json']\""
    print(f"Evaluate     {start} {both} {_as_arguments({**changed, **given})}")
    known = json.loads((configs / "inference.json").read_text(encoding="utf-8"))
    given |= {"images": _pattern_of(dataset_dir, datalist), "output_dir": relative_path(folder / "predictions")}
    changed = {name: value for name, value in changed.items() if name in known}
    print(f"Infer        {start} {shlex.quote(root)}/configs/inference.json {_as_arguments({**changed, **given})}")
    if cleanup.exists():
        print(f"Clean-up     append to Evaluate or Infer: {_cleanup_arguments(folder)}")
    for record in stored_warnings.records:
        print(f"\nWarning: {record.getMessage()}")
    unlock_folder(folder)


def _cleanup_arguments(folder: Path) -> str:
    """Format the arguments that apply the clean-up, and turn off the settings of this run that it replaces."""
    running = running_config().get()
    off = {name: value for name, value in REPLACED_SETTINGS.items() if running.get(name, value) != value}
    return _as_arguments({"cleanup": relative_path(folder / CLEANUP_FILE), **off})


def report_evaluation(run_dir: str | os.PathLike[str], *, ckpt_path: str) -> None:
    """Print the results of an evaluation, and the paths of its files."""
    if rank() > 0:
        return
    folder = Path(run_dir)
    rows = _read_rows(folder / _HISTORY)
    _print_table([(Path(ckpt_path).name, rows[-1])])
    page = write_report(folder, rows, ["validation"])
    print(f"\nModel        {relative_path(Path(ckpt_path))}")
    _print_paths(folder)
    print(f"Report       {relative_path(page)}")
    unlock_folder(folder)


def report_inference(output_dir: str | os.PathLike[str], num_images: int) -> None:
    """Print the folder of the predictions."""
    if rank() > 0:
        return
    print(f"{num_images} predictions are in {relative_path(Path(output_dir))}.")


def _score(row: Row) -> float:
    return float(row["val_score"])


def _read_rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _pattern_of(dataset_dir: str, datalist: str) -> str:
    """Build the pattern, relative to the folder, of files like the first validation image."""
    cases = load_datalist(dataset_dir, "validation", datalist=datalist, file_keys=["image"], allow_outside=True)
    first = Path(cases[0]["image"])
    folder = Path(os.path.relpath(first.parent, Path(dataset_dir).expanduser()))
    return (folder / f"*{first.suffix}").as_posix()


def _as_arguments(settings: Mapping[str, Any]) -> str:
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in settings.items())


def _print_table(moments: list[tuple[str, Row]]) -> None:
    settings = running_config()
    names = {name: name.removeprefix("val_").replace("_", " ") for name in moments[0][1] if name.startswith("val_")}
    first = max(map(len, names.values()))
    widths = [max(8, len(moment)) + 3 for moment, _ in moments]
    print(
        f"\nMean over the validation cases (connectivity {settings['connectivity']}, border {settings['border']}; "
        "Betti errors per dimension)"
    )
    print(" " * first + "".join(f"{moment:>{width}}" for (moment, _), width in zip(moments, widths, strict=True)))
    for name, title in names.items():
        values = (f"{float(row[name]):>{width}.3f}" for (_, row), width in zip(moments, widths, strict=True))
        print(f"{title:<{first}}" + "".join(values))


def _print_paths(folder: Path) -> None:
    paths: dict[str, Any] = {
        "Metrics": (_HISTORY, "metrics"),
        "Pictures": ("validation.png",),
        "Log": ("log.txt", "config.json"),
    }
    for title, names in paths.items():
        print(f"{title:<12} {', '.join(relative_path(folder / name) for name in names)}")


def _python() -> str:
    """Format this interpreter for a command line; a virtual environment's is a link that must not be resolved."""
    executable = Path(sys.executable)
    here = Path.cwd()
    return shlex.quote(str(executable.relative_to(here) if executable.is_relative_to(here) else executable))
