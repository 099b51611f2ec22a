"""
A loss on a broken vessel
=========================

The persistence loss alone closes the breaks of a likelihood map and removes its specks. A network is left out here:
gradient descent changes the logits of a single map, so one can see what the loss pulls at.
"""

import matplotlib.pyplot as plt
import torch

from monai_topo import PersistenceLoss, betti_numbers
from monai_topo.data import synthetic_vessels

image, label = synthetic_vessels((96, 128), seed=7, num_trees=1, num_branches=7, loops=1, gaps=0.1, noise=0.04)
target = torch.from_numpy(label)[None, None].float()

# %%
# The logits of a network that is nearly right: the intensity of the image, which fades in the gaps.

logits = torch.from_numpy(16 * (image - 0.45))[None, None].requires_grad_()
before = torch.sigmoid(logits).detach()

# %%
# ``matching="spatial"`` matches each component and each loop with the one of the label at the same place. The loss of
# a patch is 0 if all features of the label have persistence 1, and no others exist.

loss = PersistenceLoss(sigmoid=True, matching="spatial", patch_size=32)
optimizer = torch.optim.Adam([logits], lr=0.1)
for _ in range(60):
    optimizer.zero_grad()
    loss(logits, target).backward()
    optimizer.step()
after = torch.sigmoid(logits).detach()

# %%
# Components and loops, before, after, and in the label:

figure, panels = plt.subplots(1, 4, figsize=(12, 2.8), layout="constrained")
pictures = {"likelihood": before, "before": before > 0.5, "after": after > 0.5, "label": target > 0.5}
for panel, (name, picture) in zip(panels, pictures.items(), strict=True):
    panel.imshow(picture[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
    panel.set_axis_off()
    counts = "" if name == "likelihood" else " {}, {}".format(*betti_numbers(picture[0])[0].tolist())
    panel.set_title(name + counts)
plt.show()
