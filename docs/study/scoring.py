"""Predict every case of a split with sliding windows, and measure it as a whole and in patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from sets import Split, StudySet, load_cases
from torch import Tensor

from monai_topo._utils.io import atomic_write
from monai_topo.metrics import compute_betti_error
from monai_topo.metrics.all_metrics import topology_report

PATCHES = 100  # random patches per case, the same for every method


def score(
    network: UNet, study_set: StudySet, data: Path, split: Split, masks: Path | None = None
) -> list[dict[str, float | str]]:
    """Measure the masks at likelihood 0.5, one row per case; save them to `masks` if it is given."""
    network.eval()
    inferer = SlidingWindowInferer(study_set.crop, sw_batch_size=4, overlap=0.5, mode="gaussian")
    rows, kept = [], []
    for number, case in enumerate(load_cases(study_set, data, split)):
        with torch.inference_mode():
            mask = (inferer(case["image"][None], network) > 0).float()[0]
        if "mask" in case:  # ignore everything outside the field of view
            mask = mask * (case["mask"] > 0)
        rows.append(
            {"split": split, "case": study_set.splits[split][number], **_measures(study_set, mask, case["label"])}
        )
        kept.append(mask[0].bool().numpy())
    if masks:
        with atomic_write(masks) as file:
            np.savez_compressed(file, *kept)
    return rows


def _measures(study_set: StudySet, mask: Tensor, label: Tensor) -> dict[str, float]:
    report = topology_report(
        mask[0], label[0], connectivity=study_set.connectivity, border="open", instances=study_set.instances
    )
    names = {"dice": "dice", "cldice": "cldice", "voi": "voi", "adapted_rand_error": "adapted_rand_error"}
    names |= {f"betti_error_{k}": f"betti_error_{k}" for k in range(study_set.ndim)}
    names |= {"betti_matching_error": "betti_matching_error"}
    names |= {f"{kind}_{k}": f"topology_{kind}_{k}" for k in range(study_set.ndim) for kind in ("spurious", "missing")}
    patches = compute_betti_error(
        mask[None],
        label[None],
        connectivity=study_set.connectivity,
        border=study_set.border,
        patch_size=[min(sizes) for sizes in zip(study_set.patch, mask.shape[1:], strict=True)],
        num_patches=PATCHES,
    )
    return {
        **{name: report[key] for name, key in names.items()},
        **{f"patch_betti_error_{k}": float(error) for k, error in enumerate(patches[0, 0])},
    }
