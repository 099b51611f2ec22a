"""Metrics case by case, in files that are whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from monai.handlers.metrics_saver import MetricsSaver

from monai_topo._utils.distributed import rank

__all__ = ["AtomicMetricsSaver"]


class AtomicMetricsSaver(MetricsSaver):
    """MONAI's MetricsSaver, whose files are replaced whole: a reader never meets half a table, nor a kill leaves one.

    The files are written to a temporary folder in `save_dir`, from where they take the places of the former ones.

    Args:
        **settings: those of `monai.handlers.MetricsSaver`.
    """

    def __call__(self, engine: Any) -> None:
        """Write the tables; all processes have to call it, one writes."""
        if rank() != self.save_rank:
            super().__call__(engine)
            return
        folder = Path(self.save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            self.save_dir = unfinished
            try:
                super().__call__(engine)
            finally:
                self.save_dir = str(folder)
            for file in Path(unfinished).iterdir():
                os.replace(file, folder / file.name)
