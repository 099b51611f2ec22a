"""The weighted sum of a pixel loss and a topology loss, with both parts kept for logging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_topo._utils.validation import check_at_least, check_whole_number
from monai_topo.losses._background import BackgroundCall
from monai_topo.losses.gradient_ratio import GradientRatio, gradients_at, with_gradients

__all__ = ["TopologyAwareLoss"]


class PendingLoss:
    """A loss whose topology part may still be computed, see `TopologyAwareLoss.start`."""

    def __init__(self, topology: BackgroundCall | Tensor | None, finish: Callable[[Any], Tensor]) -> None:
        self._topology, self._finish = topology, finish
        self._total: Tensor | None = None

    def result(self) -> Tensor:
        """Wait for the topology loss and return the sum; an error of the topology loss is raised here."""
        if self._total is None:
            topology = self._topology
            self._total = self._finish(topology.result() if isinstance(topology, BackgroundCall) else topology)
        return self._total


class TopologyAwareLoss(_Loss):
    """Add a weighted topology loss to a pixel loss: `base + weight * topology`.

    While the weight is 0 the topology loss is not computed, so a warm-up costs nothing. One line of a bundle's
    configuration, `monai.handlers.ParamSchedulerHandler(parameter_setter=loss.set_weight, ...)`, changes the weight
    during training.

    The best weight depends on the data: on their errors, on the size and number of the features, on the reduction of
    the pixel loss. With `ratio` the loss is `base + weight * factor * topology`, and the factor follows the gradients,
    see :py:class:`GradientRatio`: the gradient of the topology loss at the output of the network has `ratio` times the
    norm of that of the pixel loss. A ratio of 1 is a good start. The weight is then a schedule that multiplies the
    ratio: 0 during a warm-up, 1 after it.

    Args:
        base: Pixel loss, such as `monai.losses.DiceCELoss`, called with `(input, target)`.
        topology: Topology loss, such as `PersistenceLoss`, called with `(input, target)`. Both losses apply their own
            activation.
        weight: Weight of the topology loss, finite and at least 0; with `ratio` 0 or 1 at the beginning.
        every: Compute the topology loss in every n-th call with a gradient only, beginning with the first one of a
            weight above 0, and multiply it by n: on average over n calls, the gradient is that of `every=1` at an n-th
            of the cost. The number of calls is in the `state_dict`. Calls without a gradient compute it each time,
            without the multiple.
        ratio: Ratio of the gradients, a number or a `GradientRatio` with further settings. None leaves the weight as it
            is. It is measured in every call with a gradient (with gradient accumulation: for every micro-batch), at
            copies of the output: both losses run backward in the call, once, and only the network runs backward later.
            The gradient reaches the output and the parameters of both losses, and has no second derivative. Autocast
            and a GradScaler change nothing: both losses get a float32 copy of a float16 or bfloat16 output, in which a
            gradient does not underflow. With deep supervision the ratio is that of the gradients at the finest level.
        overlap: Compute the topology loss on a thread of its own, and on a GPU on a stream of its own, while the base
            loss runs: the transfer begins as soon as the output exists. The results are the same, bit for bit. None:
            if the output is on a CUDA device. With gradient accumulation, `start` lets it overlap with the next
            micro-batch too. The topology loss must not depend on what the base loss or the network changes meanwhile,
            and must not communicate with other processes. Ctrl-C is raised at once; the persistence of the current
            call ends on its thread first when the process exits.

    Raises:
        TypeError: If `base` or `topology` is not callable.
        ValueError: If the weight is negative or not finite, both a weight and a ratio are given, or `every` is not a
            positive whole number; at the call with a ratio, if a loss is not a scalar.

    Attributes:
        weight: Current weight.
        gradient_ratio: The `GradientRatio`, or None.
        last_components: Detached values of the last call: `"base"`, `"topology"` (unweighted; absent while the weight
            is 0, and between the calls that `every` selects) and `"total"`; with a ratio also `"factor"`, and if it was
            measured, the norms `"base_gradient"` and `"topology_gradient"`.

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
        *,
        ratio: float | GradientRatio | None = None,
        every: int = 1,
        overlap: bool | None = None,
    ) -> None:
        super().__init__()
        for name, loss in (("base", base), ("topology", topology)):
            if not callable(loss):
                raise TypeError(f"Expected `{name}` to be a loss, called with (input, target), but got {loss!r}.")
        self.base = base
        self.topology = topology
        self.last_components: dict[str, Tensor] = {}
        self.set_weight(weight)
        if ratio is not None and self.weight not in (0, 1):
            raise ValueError(
                f"Expected `weight` to be 0 or 1 with `ratio`, which it multiplies, but got {weight!r}: give either "
                "a weight or a ratio."
            )
        check_whole_number("every", every, 1)
        self.every = every
        self.overlap = overlap
        if every > 1:
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))
            self.calls: Tensor
        self.gradient_ratio = ratio if isinstance(ratio, GradientRatio | None) else GradientRatio(ratio)

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
            `base + weight * topology`, with a ratio `base + weight * factor * topology`.
        """
        return self.start(input, target).result()

    def start(self, input: Tensor | Sequence[Tensor], target: Tensor) -> PendingLoss:
        """Start the computation of both losses, and return without waiting for a topology loss on its thread.

        With gradient accumulation the persistence of one micro-batch then overlaps with the forward pass of the next,
        at the price of two graphs in memory:

        .. code-block:: python

            pending = None
            for image, label in micro_batches:
                following = loss.start(network(image), label)
                if pending is not None:
                    (pending.result() / len(micro_batches)).backward()
                pending = following
            (pending.result() / len(micro_batches)).backward()
            optimizer.step()

        This order of forward and backward passes is not for DistributedDataParallel, which expects the backward pass of
        a micro-batch before the next forward pass: call the loss as usual there.

        Args:
            input: As for `forward`.
            target: Target of both losses.

        Returns:
            The pending loss. Take the results in the order of the calls: each one updates the `gradient_ratio`.
        """
        levels: list[Tensor] = [input] if isinstance(input, Tensor) else list(input)
        if self.gradient_ratio is not None:
            levels = [_in_full_precision(level) for level in levels]
        weight, multiple = self.weight, self._multiple(levels[0])
        balance = self.gradient_ratio if multiple and _has_gradient(levels[0]) else None
        seen, for_topology = _aliases(levels) if balance is None else _copies(levels)
        overlap = levels[0].is_cuda if self.overlap is None else self.overlap
        topology: BackgroundCall | Tensor | None = None
        if multiple and overlap:
            topology = BackgroundCall(self.topology, for_topology, target)
        try:
            base = self.base(seen[0] if isinstance(input, Tensor) else seen, target)
        except Exception:
            if isinstance(topology, BackgroundCall):
                topology.wait()  # no thread is left behind that still uses the tensors
            raise
        if multiple and not overlap:
            topology = self.topology(for_topology, target)
        if balance is None:
            return PendingLoss(topology, partial(self._sum, base, weight * multiple))
        return PendingLoss(topology, partial(self._balanced, balance, levels, seen, base, weight * multiple))

    def _sum(self, base: Tensor, weight: float, topology: Tensor | None) -> Tensor:
        components, total = {"base": base}, base
        if topology is not None:
            components["topology"] = topology
            if self.gradient_ratio is not None:
                components["factor"] = self.gradient_ratio.factor().to(topology.device)
            total = base + weight * components.get("factor", 1.0) * topology
        self._keep(total=total, **components)
        return total

    def _balanced(
        self,
        balance: GradientRatio,
        levels: Sequence[Tensor],
        copies: Sequence[Tensor],
        base: Tensor,
        weight: float,
        topology: Tensor,
    ) -> Tensor:
        """Return the sum with the factor of the gradients, which are taken at copies of the output.

        So each loss runs backward here, once, and the network alone runs backward later. A compiled pixel loss would
        refuse a second time.
        """
        learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
        of_base = gradients_at(_checked_scalar("base", base), [*copies, *learned])
        of_topology = gradients_at(_checked_scalar("topology", topology), [*copies, *learned])
        of_both = balance.measure(of_base[0], of_topology[0])
        factor = balance.factor().to(topology.device)
        scale = weight * factor
        total = base + scale * topology
        self._keep(
            **{"base": base, "topology": topology, "total": total, "factor": factor},
            **{"base_gradient": of_both[0], "topology_gradient": of_both[1]},
        )
        return with_gradients(
            total,
            [*levels, *learned],
            [_sum(one, other, scale) for one, other in zip(of_base, of_topology, strict=True)],
        )

    def _keep(self, **components: Tensor) -> None:
        self.last_components = {name: value.detach() for name, value in components.items()}

    def _multiple(self, output: Tensor) -> int:
        """Return how many times the topology loss counts in this call, 0 if it is not due."""
        if self.weight == 0:
            return 0
        if self.every == 1 or not _has_gradient(output):
            return 1
        is_due = int(self.calls) % self.every == 0
        self.calls += 1
        return self.every if is_due else 0


def _aliases(levels: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Return the output for the base and for the topology loss.

    Each gets an alias, where its parts of the gradient are added before those of the other loss: the order of the sum,
    and so its rounding, then does not depend on the thread.
    """
    finest = levels[0]
    return [finest.view_as(finest), *levels[1:]], finest.view_as(finest)


def _copies(levels: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Return copies of the output, without its graph, for the base and for the topology loss."""
    copies = [level.detach().requires_grad_() for level in levels]
    return copies, copies[0]


def _has_gradient(output: Tensor) -> bool:
    return torch.is_grad_enabled() and output.requires_grad


def _in_full_precision(output: Tensor) -> Tensor:
    return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output


def _checked_scalar(name: str, loss: Tensor) -> Tensor:
    if loss.numel() != 1:
        raise ValueError(
            f"Expected `{name}` to be a scalar with `ratio`, but got shape {tuple(loss.shape)}: "
            "set its reduction to 'mean' or 'sum'."
        )
    return loss


def _sum(one: Tensor | None, other: Tensor | None, scale: Tensor) -> Tensor | None:
    """Return `one + scale * other`, where None is the gradient of what is not used."""
    if other is None:
        return one
    return scale * other if one is None else one + scale * other
