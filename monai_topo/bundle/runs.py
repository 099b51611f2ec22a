"""A run's own folder, its log, and what is said about it at the end."""

from __future__ import annotations

import csv
import json
import logging
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_topo._files import whole_file
from monai_topo.bundle.errors import SettingsError
from monai_topo.bundle.settings import running_config

__all__ = ["new_run_dir", "report_evaluation", "report_inference", "report_training", "start_run"]

_HISTORY, _MODEL = "validation.csv", "model.pt"
Row = Mapping[str, str]


def new_run_dir(output_dir: str | os.PathLike[str]) -> str:
    """Make a folder for one run, named after the time, that no other run has.

    Raises:
        SettingsError: if it cannot be made.
    """
    name = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1, 1000):
        folder = Path(output_dir) / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise SettingsError(f"Expected `output_dir` to be a folder to write to, but got: {error}") from error
        return str(folder)
    raise SettingsError(
        f"Expected `output_dir` to have room for a run, but got {output_dir}, full of runs of this second."
    )


def start_run(run_dir: str | os.PathLike[str]) -> None:
    """Write the settings of a run into its folder (`config.json`), and its log from now on (`log.txt`).

    Raises:
        SettingsError: if another run's model lies there: no run overwrites one.
    """
    folder = Path(run_dir)
    if (folder / _MODEL).exists():
        raise SettingsError(
            f"Expected `run_dir` to be a new folder, but got {str(folder)!r}, which holds a {_MODEL}; name another one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "config.json") as unfinished:
        unfinished.write_text(json.dumps(running_config().get(), indent=4, default=str) + "\n", encoding="utf-8")
    log = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logging.getLogger().addHandler(log)
    print(f"Everything of this run goes to {_shown(folder)}.")


def report_training(
    run_dir: str | os.PathLike[str],
    *,
    bundle_root: str,
    dataset_dir: str,
    label_foreground: int | str,
    connectivity: str,
    border: str,
) -> None:
    """Print what a training came to: the metrics before and after the topology term, and where everything lies."""
    folder = Path(run_dir)
    rows = _read_rows(folder / _HISTORY)
    moments = [("end of training", rows[-1]), ("best score (model.pt)", max(rows, key=_score))]
    warm_up = [row for row in rows if float(row["topology_weight"]) == 0]
    if warm_up and warm_up[-1] is not rows[-1]:
        moments.insert(0, ("before the topology term", warm_up[-1]))
    _print_table(moments, connectivity=connectivity, border=border)
    print(f"\nModel        {_shown(folder / _MODEL)}")
    _print_places(folder)
    print(f"TensorBoard  tensorboard --logdir {_shown(folder)}")
    root, model = _shown(Path(bundle_root)), shlex.quote(_shown(folder / _MODEL))
    configs = f"['{root}/configs/train.json','{root}/configs/evaluate.json']"
    data = f"--dataset_dir {shlex.quote(_shown(Path(dataset_dir)))}"
    start = f"python -m monai.bundle run --bundle_root {shlex.quote(root)} --ckpt_path {model} {data} --config_file"
    print(f'Evaluate     {start} "{configs}" --label_foreground {shlex.quote(str(label_foreground))}')
    print(f"Infer        {start} {shlex.quote(root)}/configs/inference.json")


def report_evaluation(run_dir: str | os.PathLike[str], *, ckpt_path: str, connectivity: str, border: str) -> None:
    """Print what an evaluation came to, and where its files lie."""
    folder = Path(run_dir)
    rows = _read_rows(folder / _HISTORY)
    _print_table([(Path(ckpt_path).name, rows[-1])], connectivity=connectivity, border=border)
    print(f"\nModel        {_shown(Path(ckpt_path))}")
    _print_places(folder)


def report_inference(output_dir: str | os.PathLike[str], num_images: int) -> None:
    """Print where the predictions lie."""
    print(f"{num_images} predictions are in {_shown(Path(output_dir))}.")


def _score(row: Row) -> float:
    return float(row["val_score"])


def _read_rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _print_table(moments: list[tuple[str, Row]], *, connectivity: str, border: str) -> None:
    columns = [name for name in moments[0][1] if name.startswith("val_")]
    titles = [name.removeprefix("val_").replace("betti_error_", "betti ").replace("_", " ") for name in columns]
    widths = [max(8, len(title)) + 2 for title in titles]
    first = max(len(name) for name, _ in moments)
    print(
        f"\nMean over the validation cases (connectivity {connectivity}, border {border}; betti: error, per dimension)"
    )
    print(" " * first + "  epoch" + "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True)))
    for name, row in moments:
        values = (f"{float(row[column]):>{width}.3f}" for column, width in zip(columns, widths, strict=True))
        print(f"{name:<{first}}  {row['epoch']:>5}" + "".join(values))


def _print_places(folder: Path) -> None:
    places: dict[str, Any] = {
        "Metrics": (_HISTORY, "metrics"),
        "Pictures": ("validation.png",),
        "Log": ("log.txt", "config.json"),
    }
    for title, names in places.items():
        print(f"{title:<12} {', '.join(_shown(folder / name) for name in names)}")


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    absolute, here = path.resolve(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
