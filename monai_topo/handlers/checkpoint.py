"""Checkpoints that are whole or not there."""

from __future__ import annotations

from typing import Any

from monai.handlers.checkpoint_saver import CheckpointSaver

__all__ = ["AtomicCheckpointSaver"]


class AtomicCheckpointSaver(CheckpointSaver):
    """MONAI's CheckpointSaver, whose files of a fixed name are replaced whole: at any moment one of them is there.

    A new checkpoint is written to a temporary file, which then takes the place of the former. MONAI's own deletes the
    former one first and writes in place, so that a process killed meanwhile leaves none, or half of one. (It does so
    because temporary files once were readable by their owner only; ignite has since let group and others read them.)

    Its state is the best model's score and name, so that a resumed training does not replace the model by a worse one.

    Args:
        **settings: those of `monai.handlers.CheckpointSaver`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for checkpoint in (self._final_checkpoint, self._key_metric_checkpoint, self._interval_checkpoint):
            if checkpoint is not None:
                disk: Any = checkpoint.save_handler
                disk._atomic = True
                if disk.filename is not None:
                    disk.remove = _leave_to_be_replaced

    def state_dict(self) -> dict[str, Any]:
        """Return the scores and names of the best models; `load_state_dict` is MONAI's."""
        best = self._key_metric_checkpoint
        return {} if best is None else {"_saved": [(float(score), name) for score, name in best.state_dict()["_saved"]]}


def _leave_to_be_replaced(filename: str) -> None:
    """Remove nothing: the next checkpoint has the same name."""
