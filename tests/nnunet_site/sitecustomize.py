"""Let torchvision be imported beside a torch that it was not built for; a new Python process runs this file by itself.

PyPI's torchvision belongs to PyPI's torch. Beside a CPU build of torch its compiled part does not load, and its import,
a part of nnU-Net's and of Lightning's, ends at operators that are missing then. Neither calls them.
"""

import torch

for _name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
