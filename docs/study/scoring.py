"""Measure the predictions of a run twice: raw, and after the clean-up that is chosen for it on the tuning cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.networks.nets import UNet
from numpy.typing import NDArray
from sets import Case, Split, StudySet, load_cases
from training import predict

from monai_topo import CleanUpChoice, choose_cleanup
from monai_topo._utils.io import atomic_write
from monai_topo.metrics.all_metrics import topology_report
from monai_topo.transforms import CleanUp

METRIC = "betti_matching_error"
MEASURES = ("dice", "cldice", "voi", "adapted_rand_error", METRIC)
Likelihood = NDArray[np.float32]


def predict_cases(network: UNet, study_set: StudySet, data: Path, file: Path) -> None:
    """Keep the likelihoods of the tuning and test cases in half precision, so that they can be measured again."""
    arrays = {
        f"{split} {number}": predict(network, study_set, case)
        for split in ("tune", "test")
        for number, case in enumerate(load_cases(study_set, data, split))
    }
    with atomic_write(file) as unfinished:
        np.savez_compressed(unfinished, **arrays)


def read_likelihoods(file: Path, split: Split) -> list[Likelihood]:
    """Read the likelihoods of a split, float32."""
    with np.load(file) as arrays:
        names = [name for name in arrays.files if name.startswith(split)]
        return [arrays[name].astype(np.float32) for name in names]


def measure(study_set: StudySet, data: Path, file: Path) -> tuple[list[dict[str, Any]], CleanUpChoice]:
    """Choose a clean-up on the tuning cases; measure both splits raw and cleaned, one row per case.

    The cleaned tuning cases are cross-validated: each is cleaned by a setting that was chosen without it.
    """
    choice = choose(study_set, data, file)
    validated = choice.cross_validated
    rows: list[dict[str, Any]] = []
    for cleaned, dice, errors in (
        (False, validated.dice_raw, validated.raw),
        (True, validated.dice_chosen, validated.chosen),
    ):
        for case, values in enumerate(zip(dice, errors, strict=True)):
            rows.append({"split": "tune", "case": case, "cleaned": cleaned, "dice": values[0], METRIC: values[1]})
    tests = zip(read_likelihoods(file, "test"), _labels(load_cases(study_set, data, "test")), strict=True)
    for case, (likelihood, label) in enumerate(tests):
        for cleaned, step in enumerate((CleanUp(connectivity=study_set.connectivity), choice.cleanup)):
            mask = np.asarray(step(likelihood[None]))[0]
            numbers = dict(_measures(topology_report(mask, label, border="open", **_shared(study_set)), label.ndim))
            rows.append({"split": "test", "case": case, "cleaned": bool(cleaned), **numbers})
    return rows, choice


def choose(study_set: StudySet, data: Path, file: Path) -> CleanUpChoice:
    """Choose the clean-up of a run on the tuning cases."""
    tuning, labels = read_likelihoods(file, "tune"), _labels(load_cases(study_set, data, "tune"))
    if len(tuning) == 1:  # cut into quarters, since the choice is cross-validated over cases
        tuning, labels = (_quarters(arrays[0]) for arrays in (tuning, labels))
    return choose_cleanup(zip(tuning, labels, strict=True), progress=False, **_shared(study_set))


def _quarters(image: Likelihood) -> list[Likelihood]:
    return [quarter for half in np.array_split(image, 2) for quarter in np.array_split(half, 2, axis=1)]


def _shared(study_set: StudySet) -> dict[str, Any]:
    return {"connectivity": study_set.connectivity, "instances": study_set.instances}


def _labels(cases: Sequence[Case]) -> list[NDArray[np.float32]]:
    return [case["label"][0].numpy() for case in cases]


def _measures(report: dict[str, Any], ndim: int) -> Iterator[tuple[str, float]]:
    for name in MEASURES:
        yield name, report[name]
    for dim in range(ndim):
        yield f"betti_error_{dim}", report[f"betti_error_{dim}"]
        for kind in ("spurious", "missing"):
            yield f"{kind}_{dim}", report[f"topology_{kind}_{dim}"]
