"""
Errors in 3D Slicer
===================

``python -m monai_topo report --export FOLDER`` writes the breaks, bridges, specks and holes of every case as a label
volume and as a list of points, which 3D Slicer, ITK-SNAP and other viewers show on the image.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from matplotlib.colors import ListedColormap

from monai_topo.data import synthetic_vessels
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS
from monai_topo.visualize import ERROR_COLORS

# %%
# A small case in place of yours, with voxels of 0.7 x 0.5 x 1.5 mm. The prediction is the image above a threshold: it
# breaks where the vessel fades, and has specks of noise.

image, label = synthetic_vessels((96, 128, 24), seed=2, num_trees=1, num_branches=6, gaps=0.12, noise=0.03)
affine = np.array([[-0.7, 0, 0, 40], [0, -0.5, 0, 60], [0, 0, 1.5, -20], [0, 0, 0, 1]])
folder = tempfile.TemporaryDirectory()
home = Path(folder.name)
for name, voxels in {"predictions": image > 0.5, "labels": label > 0}.items():
    (home / name).mkdir()
    nib.save(nib.Nifti1Image(voxels.astype(np.uint8), affine), home / name / "case.nii.gz")

# %%
# The command is the one that you would type. Drag the image and the files ``errors/case_...`` into the window of
# 3D Slicer.

command = [sys.executable, "-m", "monai_topo", "report", "predictions", "labels", "--export", "errors"]
subprocess.run(command, cwd=home, check=True, capture_output=True)
print(*sorted(file.name for file in (home / "errors").iterdir()), sep="\n")

# %%
# The map has the affine of the label, and a number for each kind of error.

errors = nib.load(home / "errors" / "case_errors.nii.gz")
found = np.asarray(errors.dataobj)
assert np.allclose(errors.affine, affine)
for kind, name in STRUCTURE_ERRORS.items():
    print(f"{name:20} {np.count_nonzero(found == kind):5} voxels")

# %%
# The points are in millimeters (RAS). A click on one of them, in the module *Markups*, moves all slices there. Breaks
# come first. Here are the first five points, seen from below (the patient's right is on the left), with the numbers of
# the page of the report. The label is gray, breaks are yellow, specks blue, spurious ends light blue:

points = json.loads((home / "errors" / "case_errors.mrk.json").read_text())["markups"][0]["controlPoints"]
figure, panel = plt.subplots(figsize=(7, 4.6), layout="constrained")
right, anterior = affine[0, 3] + affine[0, 0] * np.array([0, 95]), affine[1, 3] + affine[1, 1] * np.array([0, 127])
extent = (right[0] + 0.35, right[1] - 0.35, anterior[1] - 0.25, anterior[0] + 0.25)
panel.imshow(label.max(2).T, extent=extent, cmap="Greys", vmax=3)
colors = ListedColormap(["#ffffff00", *(ERROR_COLORS[kind] for kind in sorted(STRUCTURE_ERRORS))])
panel.imshow(found.max(2).T, extent=extent, cmap=colors, vmin=0, vmax=max(STRUCTURE_ERRORS), interpolation="nearest")
for point in points[:5]:
    panel.annotate(
        point["label"], point["position"][:2], (14, 14), textcoords="offset points", arrowprops={"arrowstyle": "-"}
    )
panel.set(xlabel="right (mm)", ylabel="anterior (mm)", title=f"{len(points)} errors")
plt.show()
folder.cleanup()
