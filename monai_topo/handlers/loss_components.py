"""The parts of a topology-aware loss, for logs and progress bars."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

__all__ = ["LossComponentLogger", "WeightedLoss"]


class WeightedLoss(Protocol):
    """What the handlers want of a `monai_topo.losses.TopologyAwareLoss`."""

    weight: float
    last_components: dict[str, Tensor]


class LossComponentLogger:
    """The parts of the last loss as scalars: an `output_transform` for MONAI's Stats- and TensorBoardStatsHandler.

    Gives `loss/total`, `loss/base`, `loss/topology` (unweighted; absent while it is not computed) and `loss/weight`,
    the topology term's present weight.

    Args:
        loss: the loss of the trainer, a `monai_topo.losses.TopologyAwareLoss`.
    """

    def __init__(self, loss: WeightedLoss) -> None:
        self.loss = loss

    def __call__(self, output: object) -> dict[str, float]:
        """Return the parts; the engine's output is not looked at, as only the sum is in it."""
        parts = {f"loss/{name}": float(value) for name, value in self.loss.last_components.items()}
        return {**parts, "loss/weight": self.loss.weight}
