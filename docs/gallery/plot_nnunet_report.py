"""
Errors per class of nnU-Net's predictions
=========================================

``python -m monai_topo report`` reads nnU-Net's folders as they are: the classes come from ``dataset.json``, and each
class of each case has a row. nnU-Net itself is not needed for that. :doc:`/nnunet` shows how to train inside nnU-Net.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

from monai_topo.data import synthetic_vessels

# %%
# A small data set in nnU-Net's layout in place of yours: arteries and veins. The predictions are thresholded images,
# in which the veins fade more often.

folder = tempfile.TemporaryDirectory()
home = Path(folder.name)
dataset, predictions = home / "Dataset501_Vessels", home / "predictions"
(dataset / "labelsTr").mkdir(parents=True)
predictions.mkdir()
classes = {"background": 0, "artery": 1, "vein": 2}
about = {"channel_names": {"0": "CT"}, "labels": classes, "numTraining": 3, "file_ending": ".nii.gz"}
(dataset / "dataset.json").write_text(json.dumps(about))
gaps = {"artery": 0.0, "vein": 0.25}
for case in range(3):
    truth, found = np.zeros((2, 64, 80, 20), np.uint8)
    for name, share in gaps.items():
        seed = 10 * case + classes[name]
        image, label = synthetic_vessels((64, 80, 20), seed=seed, num_trees=1, num_branches=4, gaps=share, noise=0.01)
        truth[label > 0], found[image > 0.5] = classes[name], classes[name]
    for file, voxels in (
        (dataset / "labelsTr" / f"v_{case:03}.nii.gz", truth),
        (predictions / f"v_{case:03}.nii.gz", found),
    ):
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), file)

# %%
# The command that you would type writes a page, and the same numbers as CSV and JSON files.

command = [sys.executable, "-m", "monai_topo", "report", "predictions", dataset.name]
subprocess.run(command, cwd=home, check=True, capture_output=True)
with (home / "report.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
for row in rows:
    print(f"{row['case']} {row['class']:8} Dice {float(row['dice']):.3f}", end="  ")
    print(f"Betti matching error {float(row['betti_matching_error']):g}")

# %%
# The last case, projected along its last axis, and the errors of all cases:

figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for panel, voxels, name in ((panels[0], truth, "label"), (panels[1], found, "prediction")):
    panel.imshow(np.ma.masked_equal(voxels.max(2), 0), cmap="tab10", vmin=1, vmax=10, interpolation="nearest")
    panel.set_title(name)
    panel.set_axis_off()
for name in gaps:
    errors = [float(row["betti_matching_error"]) for row in rows if row["class"] == name]
    panels[2].scatter([name] * len(errors), errors)
panels[2].set(ylabel="Betti matching error", ylim=(0, None))
plt.show()
folder.cleanup()
