"""Time losses, forward and backward, next to soft clDice, topolosses and a small UNet on the same batch."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import torch
from monai.losses import DiceCELoss, SoftclDiceLoss
from monai.networks.nets import UNet
from torch import Tensor

from monai_topo.benchmark.images import smoothed_noise
from monai_topo.benchmark.timing import median_ms, torch_threads
from monai_topo.losses import (
    BettiMatchingLoss,
    BettiPriorLoss,
    ClDiceLoss,
    PersistenceLoss,
    SCNPLoss,
    SkeletonRecallLoss,
    WarpingLoss,
)

BATCHES = {"4 x 256^2": (4, 256, 256), "2 x 64^3": (2, 64, 64, 64)}
Loss = Callable[[Tensor, Tensor], Tensor]


def own_losses(ndim: int) -> dict[str, Loss]:
    """Make the losses of this package and of MONAI, as functions of logits and label."""
    prior, cldice = BettiPriorLoss(sigmoid=True, betti=(10,) * ndim), SoftclDiceLoss()
    return {
        "PersistenceLoss": PersistenceLoss(sigmoid=True),
        "PersistenceLoss, spatial": PersistenceLoss(sigmoid=True, matching="spatial"),
        "PersistenceLoss, along structures": PersistenceLoss(sigmoid=True, gradient="structure"),
        "BettiMatchingLoss": BettiMatchingLoss(sigmoid=True),
        "WarpingLoss": WarpingLoss(sigmoid=True),
        "BettiPriorLoss": lambda logits, _: prior(logits),
        "SkeletonRecallLoss": SkeletonRecallLoss(sigmoid=True),
        "ClDiceLoss": ClDiceLoss(sigmoid=True),
        "SCNPLoss, with DiceCELoss": SCNPLoss(DiceCELoss(sigmoid=True)),
        "MONAI DiceCELoss": DiceCELoss(sigmoid=True),
        "MONAI SoftclDiceLoss": lambda logits, label: cldice(label, torch.sigmoid(logits)),
    }


def peer_losses(ndim: int) -> dict[str, Loss]:
    """Make the losses of topolosses, if it and its requirements (OpenCV, torchvision) can be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            topolosses = import_module("topolosses.losses")
    except ImportError:
        return {}
    names = ["HutopoLoss", "BettiMatchingLoss", *(["TopographLoss", "WarpingLoss"] if ndim == 2 else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kinds: dict[str, Any] = {name: getattr(topolosses, name) for name in names}
        return {
            f"topolosses {name}": _two_classes(kind(softmax=True, use_base_loss=False, alpha=1.0))
            for name, kind in kinds.items()
        }


def _two_classes(loss: Loss) -> Loss:
    """Adapt a loss that expects background and foreground and ignores the background."""

    def adapted(logits: Tensor, label: Tensor) -> Tensor:
        return loss(torch.cat((torch.zeros_like(logits), logits), 1), torch.cat((1 - label, label), 1))

    return adapted


def loss_rows(quick: bool) -> Iterable[list[str]]:
    """Yield the times of every loss on both batches, and as multiples of PersistenceLoss's."""
    times = {name: _loss_times(shape, quick) for name, shape in BATCHES.items()}
    for loss in dict.fromkeys(loss for by_loss in times.values() for loss in by_loss):
        row = [loss]
        for by_loss in times.values():
            known = loss in by_loss
            row.append(f"{by_loss[loss]:.1f}" if known else "")
            row.append(f"{by_loss[loss] / by_loss['PersistenceLoss']:.1f}" if known else "")
        yield row


def _loss_times(shape: tuple[int, ...], quick: bool) -> dict[str, float]:
    spatial, ndim = shape[1:], len(shape) - 1
    maps = [torch.from_numpy(smoothed_noise(spatial, 2, seed)) for seed in range(2 * shape[0])]
    logits = torch.stack(maps[: shape[0]]).logit()[:, None].requires_grad_()
    label = (torch.stack(maps[shape[0] :]) > 0.5)[:, None].float()
    network = UNet(ndim, 1, 1, channels=(16, 32, 64), strides=(2, 2), num_res_units=1, norm="INSTANCE")
    dice_ce = DiceCELoss(sigmoid=True)
    own = own_losses(ndim) | {"small UNet + DiceCELoss": lambda logits, label: dice_ce(network(logits.detach()), label)}

    def time_all(losses: dict[str, Loss], repeats: int) -> dict[str, float]:
        tasks = {name: _make_step(loss, logits, label) for name, loss in losses.items()}
        with torch_threads(1):  # then CPU time is the wall time of an idle machine
            for task in tasks.values():
                task()
            return median_ms(tasks, repeats, time.process_time)

    return time_all(own, 1 if quick else 5) | ({} if quick else time_all(peer_losses(ndim), 1))


def _make_step(loss: Loss, logits: Tensor, label: Tensor) -> Callable[[], None]:
    def step() -> None:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss(logits, label).backward()

    return step
