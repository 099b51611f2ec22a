"""A pixel loss and a topology loss, weighted and kept apart for logging."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn.modules.loss import _Loss

__all__ = ["TopologyAwareLoss"]


class TopologyAwareLoss(_Loss):
    """`base + weight * topology`.

    While the weight is 0 the topology loss is not computed: that is the warm-up, at no cost. A line of config with
    `monai.handlers.ParamSchedulerHandler(parameter_setter=loss.set_weight, ...)` changes it during training.

    Args:
        base: the pixel loss, such as `monai.losses.DiceCELoss`; called with `(input, target)`.
        topology: the topology loss, such as `PersistenceLoss`, called likewise. Both apply their own activation.
        weight: of the topology loss, finite and at least 0.

    Raises:
        TypeError: if `base` or `topology` is not callable.
        ValueError: for a weight that is negative or not finite.

    Attributes:
        weight: the present weight.
        last_components: detached values of the last call: `"base"`, `"topology"` (unweighted; absent while the weight
            is 0) and `"total"`.

    Example:
        >>> import torch
        >>> from monai.losses import DiceCELoss
        >>> from monai_topo.losses import PersistenceLoss
        >>> loss = TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True), weight=0.1)
        >>> value = loss(torch.zeros(2, 1, 5, 7), torch.ones(2, 1, 5, 7))
        >>> sorted(loss.last_components)
        ['base', 'topology', 'total']
    """

    def __init__(
        self,
        base: Callable[[Any, Tensor], Tensor],
        topology: Callable[[Tensor, Tensor], Tensor],
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, loss in (("base", base), ("topology", topology)):
            if not callable(loss):
                raise TypeError(f"Expected `{name}` to be a loss, called with (input, target), but got {loss!r}.")
        self.base = base
        self.topology = topology
        self.last_components: dict[str, Tensor] = {}
        self.set_weight(weight)

    def set_weight(self, weight: float) -> None:
        """Set the weight of the topology loss; made for `ParamSchedulerHandler(parameter_setter=...)`."""
        if not 0 <= weight < math.inf:
            raise ValueError(f"Expected `weight` to be finite and at least 0, but got {weight!r}.")
        self.weight = float(weight)

    def forward(self, input: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        """Compute both losses on `(B, C, *spatial)` input and target as the two losses define them, and add them.

        With deep supervision `input` is a list of a network's outputs, the finest first, as
        `monai.losses.DeepSupervisionLoss` takes it: that wraps the base, and the topology loss gets the finest alone.
        """
        base = self.base(input, target)
        components = {"base": base}
        total = base
        if self.weight > 0:
            finest: Any = input[0] if isinstance(input, list | tuple) else input
            components["topology"] = self.topology(finest, target)
            total = base + self.weight * components["topology"]
        components["total"] = total
        self.last_components = {name: value.detach() for name, value in components.items()}
        return total
