"""The parts of a topology-aware loss, for logs and progress bars."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

__all__ = ["LossComponentLogger"]


class WeightedLoss(Protocol):
    """What the handlers need of a `monai_topo.losses.TopologyAwareLoss`."""

    weight: float
    last_components: dict[str, Tensor]


class LossComponentLogger:
    """Return the parts of the last loss as scalars.

    An `output_transform` for MONAI's StatsHandler and TensorBoardStatsHandler. The parts are `loss/total`, `loss/base`,
    `loss/topology` (unweighted; absent while it is not computed) and `loss/weight`, the current weight of the topology
    term. With a ratio of gradients also `loss/factor`, which multiplies the weight, and the norms `loss/base_gradient`
    and `loss/topology_gradient`.

    Args:
        loss: Loss of the trainer, a `monai_topo.losses.TopologyAwareLoss`.
    """

    def __init__(self, loss: WeightedLoss) -> None:
        self.loss = loss

    def __call__(self, output: object) -> dict[str, float]:
        """Return the parts; the engine's output is ignored, since it contains only the sum."""
        parts = {f"loss/{name}": float(value) for name, value in self.loss.last_components.items()}
        return {**parts, "loss/weight": self.loss.weight}
