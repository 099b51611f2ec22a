"""Checkpoints and tables of metrics in files that are replaced atomically: complete, or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.handlers.checkpoint_saver import CheckpointSaver
from monai.handlers.metrics_saver import MetricsSaver

from monai_topo._utils.checkpoints import save_checkpoint
from monai_topo._utils.distributed import rank
from monai_topo._utils.io import UNFINISHED
from monai_topo._utils.networks import store_settings

__all__ = ["AtomicCheckpointSaver", "AtomicMetricsSaver"]


class AtomicCheckpointSaver(CheckpointSaver):
    """Save checkpoints as MONAI's CheckpointSaver does, but replace files of a fixed name atomically.

    A new checkpoint is written to a temporary file, which then replaces the previous one, so that a complete checkpoint
    exists at any moment. MONAI's own saver deletes the previous file first and writes in place, so that a process
    killed meanwhile leaves no checkpoint, or an incomplete one. (MONAI does so because temporary files used to be
    readable by their owner only; ignite has since made them readable by group and others.)

    A file has a checksum, and the one before is kept next to it: `model.previous.pt` for `model.pt`. With the weights
    of a single network, the version of the format and the settings of the network are stored, in the metadata of its
    `state_dict`, which `load_state_dict` ignores.

    The state of the saver is the score and the name of the best model, so that a resumed training run does not replace
    the model by a worse one.

    Args:
        network_settings: Settings that the network depends on, by name, in plain numbers, strings and lists.
        **settings: Settings of `monai.handlers.CheckpointSaver`.
    """

    def __init__(self, *, network_settings: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.network_settings = network_settings
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                disk: Any = checkpoint.save_handler
                disk._save_func = self._save
                if disk.filename is not None:
                    disk.remove = _keep_until_replaced

    def _save(self, checkpoint: Any, path: Path, func: Any) -> None:
        store_settings(checkpoint, self.network_settings)
        save_checkpoint(checkpoint, path)

    def state_dict(self) -> dict[str, Any]:
        """Return the scores and names of the best models; `load_state_dict` is MONAI's."""
        best = self._key_metric_checkpoint
        return {} if best is None else {"_saved": [(float(score), name) for score, name in best.state_dict()["_saved"]]}


def _keep_until_replaced(filename: str) -> None:
    """Remove nothing: the next checkpoint has the same name."""


class AtomicMetricsSaver(MetricsSaver):
    """Save metrics as MONAI's MetricsSaver does, but replace the files atomically.

    The files are written to a temporary folder in `save_dir`, and then replace the previous ones. A reader never sees
    half a table, and a killed process does not leave one.

    Args:
        **settings: Settings of `monai.handlers.MetricsSaver`.
    """

    def __call__(self, engine: Any) -> None:
        """Write the tables; all processes have to call it, one process writes."""
        if rank() != self.save_rank:
            super().__call__(engine)
            return
        folder = Path(self.save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as unfinished:
            self.save_dir = unfinished
            try:
                super().__call__(engine)
            finally:
                self.save_dir = str(folder)
            for file in Path(unfinished).iterdir():
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
                os.replace(file, folder / file.name)
