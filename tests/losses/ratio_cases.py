"""Outputs, a label and a loss with a ratio, for the tests of `GradientRatio`."""

import torch
from monai.losses import DiceCELoss

from monai_topo import GradientRatio, PersistenceLoss, TopologyAwareLoss

SHAPE = (2, 1, 9, 12)


def outputs(steps, seed=0, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(steps)]


def bar():
    label = torch.zeros(SHAPE)
    label[..., 4:6, :] = 1
    return label


def make(ratio=1.0, weight=1.0, **settings):
    balance = GradientRatio(ratio, **{"warmup_steps": 0, **settings})
    return TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True), weight, ratio=balance)
