"""The term beside nnU-Net's own loss: with a compiled Dice, and in two processes with a Dice over the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nnunet_runs import has_nnunet, needs_nnunet

from monai_topo import GradientRatio, PersistenceLoss, TopologyAwareLoss
from monai_topo.nnunet.term import TopologyTerm, loss_settings, read_channels

pytestmark = [pytest.mark.slow, needs_nnunet]
LABELS = {"background": 0, "vessel": 1}


def make(*, ddp=False, ratio=1.0):
    """Return the loss of the trainer: Dice over the whole batch + CE, deep supervision, persistence with a ratio."""
    assert has_nnunet()
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": ddp}
    base = DC_and_CE_loss(dice, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)
    channels = read_channels(LABELS, are_regions=False, ignore_label=None)
    term = TopologyTerm(PersistenceLoss(matching="spatial", **loss_settings(channels, ["vessel"])), channels)
    balance = GradientRatio(ratio, momentum=0.5, warmup_steps=0)
    return TopologyAwareLoss(DeepSupervisionWrapper(base, [0.75, 0.25]), term, ratio=balance)


def batch(seed, shape=(10, 12, 14)):
    generator = torch.Generator().manual_seed(seed)
    label = torch.zeros(2, 1, *shape, dtype=torch.int16)
    label[0, :, 3:5] = 1
    label[1, :, :, 4:6, 5:8] = 1
    coarse = tuple(extent // 2 for extent in shape)
    levels = [torch.randn(2, 2, *size, generator=generator) for size in (shape, coarse)]
    return levels, [label, label[..., ::2, ::2, ::2].contiguous()]


def test_a_compiled_dice_gives_the_same_gradients():
    loss, compiled = make(), make()
    dice = compiled.base.loss.dc = torch.compile(compiled.base.loss.dc)
    found = []
    for one in (loss, compiled):
        levels, targets = batch(0)
        levels = [level.requires_grad_() for level in levels]
        network = [level * 1 for level in levels]
        one(network, targets).backward()
        found.append([level.grad for level in levels])
    assert compiled.base.loss.dc is dice
    torch.testing.assert_close(*found)
    assert compiled.last_components["factor"] > 0


def factors_of_rank(rank, folder, world_size):
    if world_size > 1:
        init = f"file://{folder}/rendezvous"
        torch.distributed.init_process_group("gloo", init_method=init, rank=rank, world_size=world_size)
    torch.set_num_threads(1)
    loss, found = make(ddp=world_size > 1), []
    part = slice(None) if world_size == 1 else slice(rank, rank + 1)
    network = torch.nn.ModuleList([torch.nn.Conv3d(2, 2, 1) for _ in range(2)])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    for seed in range(3):
        levels, targets = batch(seed)
        output = [convolution(level[part]) for convolution, level in zip(network, levels, strict=True)]
        loss(output, [target[part] for target in targets]).backward()
        found.append(loss.last_components["factor"])
    gradients = [parameter.grad for parameter in network.parameters()]
    if world_size > 1:
        for gradient in gradients:  # as DistributedDataParallel does it
            torch.distributed.all_reduce(gradient)
            gradient /= world_size
        torch.distributed.destroy_process_group()
    torch.save({"factors": found, "gradients": gradients}, Path(folder) / f"{world_size}_{rank}.pt")


def test_two_processes_have_the_factor_and_the_gradients_of_one(tmp_path):
    torch.multiprocessing.spawn(factors_of_rank, args=(str(tmp_path), 2), nprocs=2)
    threads = torch.get_num_threads()
    factors_of_rank(0, tmp_path, 1)
    torch.set_num_threads(threads)
    first, second, alone = (torch.load(tmp_path / name) for name in ("2_0.pt", "2_1.pt", "1_0.pt"))
    assert first["factors"] == second["factors"]
    torch.testing.assert_close(first, alone)
