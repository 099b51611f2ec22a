"""The folder of a run, its log, and the summary printed at its end."""

from __future__ import annotations

import csv
import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_topo._utils.distributed import broadcast_from_rank0, rank
from monai_topo._utils.errors import UserError
from monai_topo._utils.io import atomic_write
from monai_topo.bundle.cleanup import CLEANUP_FILE, CLEANUP_TABLE, REPLACED_SETTINGS
from monai_topo.bundle.report import write_report
from monai_topo.bundle.settings import running_config
from monai_topo.data.datalists import load_datalist

__all__ = ["new_run_dir", "report_evaluation", "report_inference", "report_training", "start_run"]

_HISTORY, _MODEL, _STATE, _CONFIG = "validation.csv", "model.pt", "checkpoint.pt", "config.json"
# Settings that may differ in a resumed run, since they change no result: paths, machine, and what MONAI adds.
_MAY_DIFFER_ON_RESUMING = {
    *("resume", "run_dir", "output_dir", "bundle_root", "dataset_dir", "synthetic_dir", "ckpt_path"),
    *("num_workers", "cpu_threads", "device", "checkpoint_interval", "determine_cleanup", "_meta_", "_requirements_"),
}
Row = Mapping[str, str]


class _RecordStore(logging.Handler):
    """Store warnings, to repeat them where they are not overlooked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


_stored_warnings = _RecordStore()
logging.getLogger("monai_topo.bundle").addHandler(_stored_warnings)


def new_run_dir(output_dir: str | os.PathLike[str], resume: str | os.PathLike[str] | None = None) -> str:
    """Create a new folder for a run, named after the time; of several processes, the first one creates it.

    Args:
        output_dir: Folder of the runs.
        resume: Folder of a run to resume; then no folder is created.

    Returns:
        The path of the new folder, or `resume`.

    Raises:
        UserError: If the folder cannot be created.
    """
    if resume is not None:
        return str(resume)
    try:
        result: str | UserError = _create_run_dir(output_dir) if rank() == 0 else ""
    except UserError as error:
        result = error
    result = broadcast_from_rank0(result)  # an error too, or the other processes would wait forever
    if isinstance(result, UserError):
        raise result
    return result


def _create_run_dir(output_dir: str | os.PathLike[str]) -> str:
    name = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1, 1000):
        folder = Path(output_dir) / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"Expected `output_dir` to be a folder to write to, but got: {error}") from error
        return str(folder)
    raise UserError(
        f"Expected `output_dir` to have a free name for a run, but got {output_dir} with 999 of this second."
    )


def start_run(run_dir: str | os.PathLike[str], resume: str | os.PathLike[str] | None = None) -> None:
    """Write the settings of a run to its folder (`config.json`), and start its log there (`log.txt`).

    Args:
        run_dir: Folder of the run.
        resume: The same folder if the run is resumed, for which its settings must be unchanged; otherwise None.

    Raises:
        UserError: If the folder holds another run's model, which is never overwritten; if there is no run to resume, or
            its settings differ.
    """
    folder, config = Path(run_dir), running_config().get()
    if resume is not None:
        if Path(resume).resolve() != folder.resolve():
            raise UserError(f"Expected `resume` and `run_dir` to be one folder, but got {resume} and {folder}.")
        _check_resumed(folder, config)
    elif (folder / _MODEL).exists() or (folder / _STATE).exists():
        raise UserError(
            f"Expected `run_dir` to be a new folder, but got {str(folder)!r}, which holds a model; name another one, "
            f"or pass --resume {shlex.quote(str(folder))} to continue that run."
        )
    if rank() > 0:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if resume is None:
        with atomic_write(folder / _CONFIG) as unfinished:
            unfinished.write_text(json.dumps(config, indent=4, default=str) + "\n", encoding="utf-8")
    log = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logging.getLogger().addHandler(log)
    for record in _stored_warnings.records:  # logged before there was a file
        log.handle(record)
    if resume is not None:
        print("Resuming after the last finished epoch." if (folder / _STATE).exists() else "No epoch was finished yet.")
    print(f"All results of this run are written to {_relative(folder)}.")


def _check_resumed(folder: Path, config: Mapping[str, Any]) -> None:
    try:
        former = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Expected `resume` to be the folder of a run, but got {str(folder)!r}: {error}.") from error
    now = json.loads(json.dumps(dict(config), default=str))
    for name in sorted(former.keys() | now.keys()):
        if name not in _MAY_DIFFER_ON_RESUMING and former.get(name) != now.get(name):
            raise UserError(
                f"Expected a resumed run to keep its settings, but got another `{name}`, {_shorten(now.get(name))} for "
                f"{_shorten(former.get(name))}; use its own: --config_file {_relative(folder / _CONFIG)}."
            )


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
    print(f"\nModel        {_relative(folder / _MODEL)}")
    _print_paths(folder)
    print(f"Report       {_relative(page)}")
    python, root, configs = _python(), _relative(Path(bundle_root)), Path(bundle_root) / "configs"
    print(f"TensorBoard  {python} -m tensorboard.main --logdir {_relative(folder)}")
    start = f"{python} -m monai.bundle run --bundle_root {shlex.quote(root)} --config_file"
    given = {"ckpt_path": _relative(folder / _MODEL), "dataset_dir": _relative(Path(dataset_dir))}
    changed = _changed_settings(configs / "train.json")
    both = f"\"['{root}/configs/train.json','{root}/configs/evaluate.json']\""
    print(f"Evaluate     {start} {both} {_as_arguments({**changed, **given})}")
    known = json.loads((configs / "inference.json").read_text(encoding="utf-8"))
    given |= {"images": _pattern_of(dataset_dir, datalist), "output_dir": _relative(folder / "predictions")}
    changed = {name: value for name, value in changed.items() if name in known}
    print(f"Infer        {start} {shlex.quote(root)}/configs/inference.json {_as_arguments({**changed, **given})}")
    if cleanup.exists():
        print(f"Clean-up     append to Evaluate or Infer: {_cleanup_arguments(folder)}")
    for record in _stored_warnings.records:
        print(f"\nWarning: {record.getMessage()}")


def _cleanup_arguments(folder: Path) -> str:
    """Format the arguments that apply the clean-up, and turn off the settings of this run that it replaces."""
    running = running_config().get()
    off = {name: value for name, value in REPLACED_SETTINGS.items() if running.get(name, value) != value}
    return _as_arguments({"cleanup": _relative(folder / CLEANUP_FILE), **off})


def report_evaluation(run_dir: str | os.PathLike[str], *, ckpt_path: str) -> None:
    """Print the results of an evaluation, and the paths of its files."""
    if rank() > 0:
        return
    folder = Path(run_dir)
    rows = _read_rows(folder / _HISTORY)
    _print_table([(Path(ckpt_path).name, rows[-1])])
    page = write_report(folder, rows, ["validation"])
    print(f"\nModel        {_relative(Path(ckpt_path))}")
    _print_paths(folder)
    print(f"Report       {_relative(page)}")


def report_inference(output_dir: str | os.PathLike[str], num_images: int) -> None:
    """Print the folder of the predictions."""
    if rank() > 0:
        return
    print(f"{num_images} predictions are in {_relative(Path(output_dir))}.")


def _score(row: Row) -> float:
    return float(row["val_score"])


def _read_rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _changed_settings(file: Path) -> dict[str, Any]:
    """Collect the settings of this run that differ from the file's, except for paths of the results."""
    known = json.loads(file.read_text(encoding="utf-8"))
    running = running_config().get()
    paths = {"bundle_root", "dataset_dir", "output_dir", "run_dir", "resume", "determine_cleanup"}
    return {
        name: running[name]
        for name in known
        if name not in paths and running[name] != known[name] and _is_plain(running[name])
    }


def _pattern_of(dataset_dir: str, datalist: str) -> str:
    """Build the pattern, relative to the folder, of files like the first validation image."""
    first = Path(load_datalist(dataset_dir, "validation", datalist=datalist, file_keys=["image"])[0]["image"])
    folder = Path(os.path.relpath(first.parent, Path(dataset_dir).expanduser()))
    return (folder / f"*{first.suffix}").as_posix()


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" not in value and all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, (str, int, float, type(None)))


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
        print(f"{title:<12} {', '.join(_relative(folder / name) for name in names)}")


def _python() -> str:
    """Format this interpreter for a command line; a virtual environment's is a link that must not be resolved."""
    executable = Path(sys.executable)
    here = Path.cwd()
    return shlex.quote(str(executable.relative_to(here) if executable.is_relative_to(here) else executable))


def _relative(path: Path) -> str:
    """Format a path relative to the current folder if it is inside."""
    absolute, here = path.resolve(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
