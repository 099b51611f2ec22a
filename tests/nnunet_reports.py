"""A data set in nnU-Net's layout, and the command `report` on it."""

from __future__ import annotations

import csv
import json

import numpy as np
from report_cases import broken, ladder

from monai_topo.__main__ import main

SHAPE = (10, 40, 60)
CLASSES = {"background": 0, "artery": 1, "vein": 2}
REGIONS = {"background": 0, "vessels": [1, 2], "vein": 2}


def two_classes(mask):
    """Make the right third of a mask veins, the rest arteries."""
    return np.where(np.arange(mask.shape[-1]) < 40, 1, 2) * mask


TRUE, PREDICTED = two_classes(ladder(SHAPE)), two_classes(broken(ladder(SHAPE)))


def write_dataset(folder, labels=CLASSES, ending=".nii.gz", **more):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"channel_names": {"0": "CT", "1": "PET"}, "labels": labels, "file_ending": ending, **more}
    (folder / "dataset.json").write_text(json.dumps(content))


def report(tmp_path, *options):
    return main(["report", *map(str, options), "--out", str(tmp_path / "out.html"), "--worst", "1"])


def rows_of(tmp_path):
    with (tmp_path / "out.csv").open() as file:
        return list(csv.DictReader(file))
