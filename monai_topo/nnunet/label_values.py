"""Check before the first epoch what the preprocessed cases hold: only the classes of `dataset.json`, and all stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from monai_topo._utils.errors import UserError

__all__ = ["check_label_values", "check_previous_stage"]

_OUTSIDE = -1  # nnU-Net's value where the image is cropped away


def check_label_values(dataset: Any, allowed: Collection[int]) -> None:
    """Check the labels of nnU-Net's preprocessed cases, which a network otherwise meets at some step of some epoch.

    Args:
        dataset: Data set of nnU-Net's data loaders.
        allowed: Values of the classes, with that of the ignore label.

    Raises:
        UserError: If a label has another value.

    Cost: each label is read and its values are counted, slice by slice.
    """
    from tqdm import tqdm

    for identifier in tqdm(dataset.identifiers, desc="checking labels", unit="case", delay=5):
        _, label, _, _ = dataset.load_case(identifier)
        found = {int(value) for piece in np.moveaxis(label[:], 1, 0) for value in np.unique(piece)}
        strays = sorted(found - {*allowed, _OUTSIDE})
        if strays:
            raise UserError(
                f"Expected the label of case {identifier} to hold the classes of dataset.json, "
                f"{sorted(map(int, allowed))}, but got {strays}: correct it, and preprocess again with "
                "--verify_dataset_integrity."
            )


def check_previous_stage(folder: Path, identifiers: Iterable[str], *, stage: str, trainer: str) -> None:
    """Check that a cascade finds the predictions of its previous stage, which nnU-Net otherwise misses in a worker.

    Args:
        folder: Folder of these predictions.
        identifiers: Cases of the training and of the validation.
        stage: Configuration that predicts them.
        trainer: Name of the trainer.

    Raises:
        UserError: If a case has none.
    """
    found = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
    missing = sorted({*identifiers} - found)
    if missing:
        raise UserError(
            f"Expected predictions of {stage} for all cases in {folder}, but got none of {', '.join(missing[:3])}"
            f"{' and others' if len(missing) > 3 else ''}: train {stage} with -tr {trainer} on all five folds first, "
            "or on the fold `all`."
        )
