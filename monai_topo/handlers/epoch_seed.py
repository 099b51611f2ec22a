"""Random numbers that depend on the seed, the epoch and the process only."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from monai.data.utils import set_rnd
from monai.utils import IgniteInfo, min_version, optional_import

from monai_topo._utils.distributed import rank

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["EpochSeedHandler"]


class EpochSeedHandler:
    """Seed all random number generators at the start of each epoch, from the seed, the epoch and the process only.

    An epoch that is repeated after a kill therefore gives the same result, whatever was drawn before. The handler seeds
    Python, NumPy, torch and the random transforms of a data set; MONAI's DataLoader seeds the transforms of its workers
    from torch.

    Args:
        seed: Seed of the training run, at least 0; None seeds nothing.
        dataset: Data set of the training run.
    """

    def __init__(self, seed: int | None, dataset: Any) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Seed everything for this epoch."""
        if self.seed is None:
            return
        seed = int(np.random.SeedSequence((self.seed, engine.state.epoch, rank())).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - other libraries draw from the global generator
        torch.manual_seed(seed)
        set_rnd(self.dataset, seed)
