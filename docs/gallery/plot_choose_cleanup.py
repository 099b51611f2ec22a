"""
Choose a clean-up
=================

Specks and pinholes are removed before a mask is used. How large may a speck be?
:py:func:`monai_topo.choose_cleanup` finds the sizes, persistences and reconnections on validation cases, and says
how sure the choice is.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from monai_topo import choose_cleanup, compute_betti_matching
from monai_topo.data import synthetic_vessels
from monai_topo.masks.structure_errors import classify_errors
from monai_topo.visualize import error_overlay

# %%
# Five cases stand for the predictions of a network on validation images. The fifth one is not used for the choice.

cases = []
for seed in range(5):
    image, label = synthetic_vessels((120, 160), seed=seed, num_trees=1, num_branches=8, gaps=0.15, noise=0.1)
    cases.append((torch.sigmoid(torch.from_numpy(14 * (image - 0.5))).numpy(), label))

choice = choose_cleanup(cases[:4], progress=False)
print(choice.table())

# %%
# The errors of the fifth case, before and after:

likelihood, label = cases[4]
masks = {"raw": likelihood > 0.5, "cleaned": np.asarray(choice.cleanup(likelihood[None]))[0] > 0}
figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for panel, (name, mask) in zip(panels, masks.items(), strict=True):
    both = [torch.from_numpy(array)[None, None].float() for array in (mask, label)]
    panel.imshow(error_overlay(mask, label > 0, classify_errors(mask, label > 0)))
    panel.set_title(f"{name}: Betti matching error {compute_betti_matching(*both).error.sum():g}")
    panel.set_axis_off()
plt.show()
