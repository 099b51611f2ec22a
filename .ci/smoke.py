"""Check an installed package: `python .ci/smoke.py`, from any folder, without compiler and checkout.

The release tests every wheel with it. The numbers are worked out by hand: an 8 x 12 mask of two components, one of
which has a hole.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

import monai_topo
from monai_topo import PersistenceLoss, betti_numbers, persistence_pairs

mask = torch.zeros(8, 12)
mask[1:6, 1:6] = 1
mask[3, 3] = 0
mask[2:4, 8:11] = 1

assert betti_numbers(mask[None] > 0).tolist() == [[2, 1]]
assert betti_numbers((mask[None] > 0)[:, None].expand(-1, 3, -1, -1)).tolist() == [[2, 1, 0]], "the same in 3D"
assert sorted(persistence_pairs(mask[None]).dim.tolist()) == [0, 1], "the first component is the essential class"

image = (0.5 * mask[None, None] + 0.25).requires_grad_()
loss = PersistenceLoss()(image, mask[None, None])
loss.backward()
assert loss.item() > 0
assert image.grad is not None
assert image.grad.count_nonzero() > 0

command = [str(Path(sys.executable).with_name("monai-topo")), "--help"]
usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
assert usage.startswith("usage: monai-topo"), usage
assert monai_topo.__version__ == version("monai_topo")

compiler = next(filter(None, map(shutil.which, ("cc", "c++", "gcc", "g++", "clang", "cl"))), "no compiler")
print(f"monai_topo {monai_topo.__version__} in {Path(monai_topo.__file__).parent} works; on the path: {compiler}")
