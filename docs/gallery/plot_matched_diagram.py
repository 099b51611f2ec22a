"""
Which features of a prediction are right?
=========================================

A persistence diagram shows every component and loop of a likelihood map as a point: at which threshold it appears,
and at which it disappears. Matched with the label by location, the points tell right features from false ones.
"""

import matplotlib.pyplot as plt
import torch

from monai_topo.data import synthetic_membranes
from monai_topo.visualize import draw_diagram, match_diagrams

image, label = synthetic_membranes((96, 128), seed=3)
likelihood = torch.sigmoid(torch.from_numpy(12 * (0.5 - image)))
target = torch.from_numpy(label).float()

# %%
# Loops of a membrane are cells (dimension 1). A gray point is a cell of the label that the likelihood has too. A
# cross is a false cell, and a square is a cell of the label that is missing.

matched = match_diagrams(likelihood, target)[1]
figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained", width_ratios=(1.3, 1.3, 1))
for panel, picture, name in ((panels[0], likelihood, "likelihood"), (panels[1], target, "label")):
    panel.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1)
    panel.set_title(name)
    panel.set_axis_off()
draw_diagram(panels[2], matched, title="cells", threshold=0.5)
plt.show()
