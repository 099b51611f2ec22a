"""The weighted sum of a pixel loss and a topology loss, with both parts kept for logging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_topo._utils.validation import check_at_least

__all__ = ["TopologyAwareLoss"]


class TopologyAwareLoss(_Loss):
    """Add a weighted topology loss to a pixel loss: `base + weight * topology`.

    While the weight is 0 the topology loss is not computed, so a warm-up costs nothing. One line of a bundle's
    configuration, `monai.handlers.ParamSchedulerHandler(parameter_setter=loss.set_weight, ...)`, changes the weight
    during training.

    Args:
        base: Pixel loss, such as `monai.losses.DiceCELoss`, called with `(input, target)`.
        topology: Topology loss, such as `PersistenceLoss`, called with `(input, target)`. Both losses apply their own
            activation.
        weight: Weight of the topology loss, finite and at least 0.

    Raises:
        TypeError: If `base` or `topology` is not callable.
        ValueError: If the weight is negative or not finite.

    Attributes:
        weight: Current weight.
        last_components: Detached values of the last call: `"base"`, `"topology"` (unweighted; absent while the weight
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
        """Set the weight of the topology loss, for example by `ParamSchedulerHandler(parameter_setter=...)`."""
        self.weight = float(check_at_least("weight", weight))

    def forward(self, input: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        """Compute both losses and their weighted sum.

        Args:
            input: Output of a network, `(B, C, *spatial)`, as the two losses expect it. With deep supervision a list of
                outputs, the finest level first, as for `monai.losses.DeepSupervisionLoss`, which then wraps the base;
                the topology loss gets the finest level only.
            target: Target of both losses.

        Returns:
            `base + weight * topology`.
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
