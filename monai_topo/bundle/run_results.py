"""What a finished training run says about itself, read from the files in its folder."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_topo._utils.errors import UserError

__all__ = ["RunResults", "read_run"]


@dataclass(frozen=True)
class RunResults:
    """Settings and numbers of a run.

    Attributes:
        folder: Folder of the run.
        config: Its settings, `config.json`.
        epoch: Epoch of `model.pt`, the validation with the best score.
        metrics: Mean of each metric over the validation cases at this epoch, in the order of `validation.csv`.
        num_cases: Number of validation cases.
        cleanup_table: Table of the clean-up that was chosen, or an empty text.
        made_with: The section of `report.md` on data, seed, device, memory and versions, or an empty text.
    """

    folder: Path
    config: Mapping[str, Any]
    epoch: int
    metrics: Mapping[str, float]
    num_cases: int
    cleanup_table: str
    made_with: str

    @property
    def trained_on_synthetic_data(self) -> bool:
        """Return whether the bundle generated the data of the run."""
        return bool(self.config["dataset_dir"] == "@synthetic_dir")


def read_run(run_dir: str | os.PathLike[str]) -> RunResults:
    """Read the folder of a finished training run.

    Raises:
        UserError: If it is not one; the message names the file that is missing or cannot be read.
    """
    folder = Path(run_dir)
    for name in ("config.json", "model.pt", "validation.csv"):
        if not (folder / name).is_file():
            raise UserError(
                f"Expected the folder of a finished training run, but got {str(folder)!r}, which has no {name}."
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with (folder / "validation.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        best = max(rows, key=lambda row: float(row["val_score"]))
        epoch = int(best["epoch"])
        metrics = {name[4:]: float(value) for name, value in best.items() if name.startswith("val_")}
        _ = config["dataset_dir"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"Expected the files of a finished training run in {str(folder)!r}, but got: {error!r}"
        ) from error
    return RunResults(
        folder=folder,
        config=config,
        epoch=epoch,
        metrics=metrics,
        num_cases=_count_rows(folder / "metrics" / "val_dice_raw.csv"),
        cleanup_table=_text(folder / "cleanup.txt"),
        made_with=_text(folder / "report.md").partition("\n## Made with\n")[2].strip(),
    )


def _count_rows(file: Path) -> int:
    return max(0, len(_text(file).splitlines()) - 1)  # without the heading


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""
