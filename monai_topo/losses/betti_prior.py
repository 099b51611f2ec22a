"""A topological prior: the Betti numbers are known, a label is not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.utils import LossReduction
from torch import Tensor, nn

from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_topology_settings
from monai_topo.losses._base import LikelihoodLoss, check_tensors
from monai_topo.persistence.essential import essential_class
from monai_topo.persistence.feature_matching import top_k_per_group
from monai_topo.persistence.pairs import persistence_pairs

__all__ = ["BettiPriorLoss", "adapt_to_prior"]

UNKNOWN = -1


class BettiPriorLoss(LikelihoodLoss):
    r"""Give a foreground likelihood the Betti numbers that anatomy prescribes, in 2D and 3D, without a label.

    The likelihood is filtered by superlevel sets; a feature of dimension `k` has a persistence `p` in [0, 1], its birth
    less its death value. With `n_k` features wanted,

    .. math:: L = \sum_k \left[\sum_{i \le n_k} (1 - p_{k,i}^2) + \sum_{i > n_k} p_{k,i}^2\right]

    over the features in the order of persistence; a wanted feature of which the map shows no sign costs 1 and has no
    gradient. It says how many features there are and not where: alone it sharpens what is there already, true or not.

    The class that never ends counts as in `PersistenceLoss`: with `border="open"` the last component, born at the
    greatest likelihood and dead at 0, and with `border="foreground"` the hole of the frame, born at 1 and dead at the
    least.

    Source: Clough, Byrne, Oksuz, Zimmer, Schnabel, King, "A Topological Loss Function for Deep-Learning based Image
    Segmentation using Persistent Homology", IEEE TPAMI 2020 (arXiv 1910.01877). There the numbers of some dimensions
    are given and the others left free, as here by None. Here also: numbers for every class and every image, both
    borders and connectivities, the class that never ends.

    Args:
        include_background: if False, channel 0 is left out.
        sigmoid: apply a sigmoid to the input.
        softmax: apply a softmax over the channels of the input.
        other_act: another activation; the result must be a likelihood in [0, 1].
        betti: the wanted numbers of dimension 0 to d-1, for all classes (`(1, 0)`) or one such row a class
            (`[(1, 0), (2, None)]`, background not counted if it is left out); None for a number that is not known.
            None altogether: numbers come with each call, see `forward`.
        connectivity: of the foreground, `"full"` (8, 26) or `"face"` (4, 6); the background has the other one.
        border: `"open"` or `"foreground"`, as in `PersistenceLoss`. Numbers are counted as `monai_topo.betti_numbers`
            does with that border; the hole of the frame is wanted on top of them.
        min_persistence: surplus features of at most this persistence are left alone.
        num_threads: images computed at the same time, `torch.get_num_threads()` by default.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: of the classes, one number or one a class; a class of weight 0 is not computed.

    Raises:
        TypeError: if `other_act` is not callable.
        ValueError: for a setting that is not one of the above; at the call for an input that is not finite, not in
            [0, 1], or not 2D or 3D, and for numbers that do not fit its dimensions.

    Cost: as `PersistenceLoss`. Of equally persistent features the first count as wanted.

    Example:
        >>> import torch
        >>> two_specks = torch.tensor([[[[0.9, 0.2, 0.1], [0.1, 0.2, 0.6]]]])
        >>> one_component = BettiPriorLoss(betti=(1, 0), connectivity="face")
        >>> one_component(two_specks)  # (1 - 0.9^2) for the peak that stays, (0.6 - 0.2)^2 for the other
        tensor(0.3500)
    """

    def __init__(
        self,
        include_background: bool = True,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        *,
        betti: Sequence[int | None] | Sequence[Sequence[int | None]] | None = None,
        connectivity: Connectivity = "full",
        border: Border = "open",
        min_persistence: float = 0.0,
        num_threads: int | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        weight: Sequence[float] | float | Tensor | None = None,
    ) -> None:
        super().__init__(include_background, False, sigmoid, softmax, other_act, reduction=reduction, weight=weight)
        check_topology_settings(
            connectivity=connectivity, border=border, min_persistence=min_persistence, num_threads=num_threads
        )
        self.betti = None if betti is None else _as_rows(betti)
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.min_persistence = min_persistence
        self.num_threads = num_threads

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            input: `(B, C, H, W)` or `(B, C, D, H, W)`, logits (with an activation set) or likelihoods in [0, 1].
            target: if the loss was made without `betti`: the wanted numbers of these images, `(B, C, d)` integers with
                the classes that are left after `include_background`, -1 for a number that is not known. Else it is not
                looked at, and may be the label that a pixel loss beside this one is called with.

        Returns:
            A scalar, or `(B, C, 1, 1[, 1])` with `reduction="none"`, always connected to the graph of `input`.

        Raises:
            TypeError: if `input` is no tensor, or there are numbers neither here nor in the settings.
            ValueError: if `input` is no likelihood, or the numbers do not fit its shape.
        """
        check_tensors(input=input)
        self._warn_of_ignored_options(input)
        with torch.autocast(device_type=input.device.type, enabled=False):
            likelihood = self._prepare_input(input.as_subclass(Tensor))
            wanted = self._wanted(likelihood, target)
            return self._reduce(self._of_weighted_classes(likelihood, wanted), likelihood.ndim)

    def _wanted(self, likelihood: Tensor, target: Tensor | None) -> Tensor:
        """Wanted numbers, `(B, C, d)` int64."""
        shape = (*likelihood.shape[:2], likelihood.ndim - 2)
        if self.betti is None:
            check_tensors(target=target)
            assert target is not None  # for mypy
            if tuple(target.shape) != shape or target.is_floating_point() or bool((target < UNKNOWN).any()):
                raise ValueError(
                    f"Expected `target` to hold Betti numbers, integers of shape {shape} (batch, class, dimension), at "
                    f"least 0 or -1 if unknown, but got {target.dtype} of shape {tuple(target.shape)}: a loss that is "
                    "called with a label needs the numbers in its setting `betti`."
                )
            return target.as_subclass(Tensor).long()
        if self.betti.shape[0] not in (1, shape[1]) or self.betti.shape[1] != shape[2]:
            raise ValueError(
                f"Expected `betti` to hold {shape[2]} numbers, one a dimension, for all or for each of {shape[1]} "
                f"classes, but got {self.betti.tolist()} for an input of shape {tuple(likelihood.shape)}."
            )
        return self.betti.expand(shape)

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Loss of every image and class, `(B, C)`, for wanted numbers `(B, C, d)`."""
        images, wanted = likelihood.flatten(0, 1), target.flatten(0, 1).cpu()
        if self.border == "foreground":  # the hole of the frame
            wanted = wanted + torch.tensor([0] * (wanted.shape[1] - 1) + [1]) * (wanted != UNKNOWN)
        known = (wanted != UNKNOWN).any(0).nonzero()[:, 0].tolist()
        image, dim, persistence = self._features(images, known)
        group = image * wanted.shape[1] + dim
        number = wanted.flatten()
        kept = top_k_per_group(persistence.detach().cpu(), group, number)
        missing = (number.clamp(min=0) - torch.bincount(group[kept], minlength=len(number))).view_as(wanted).sum(1)

        ignored = (number[group] == UNKNOWN).to(images.device)
        cost = torch.where(kept.to(images.device), 1 - persistence**2, persistence**2).masked_fill(ignored, 0)
        loss = missing.to(images).index_add(0, image.to(images.device), cost)
        return loss.view(likelihood.shape[:2])

    def _features(self, images: Tensor, dims: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Image, dimension and persistence of the essential class of every image, then of all pairs."""
        pairs = persistence_pairs(
            images,
            connectivity=self.connectivity,
            border=self.border,
            dims=dims,
            min_persistence=self.min_persistence,
            num_threads=self.num_threads,
        )
        essential = essential_class(images, border=self.border)
        birth, death = torch.cat((essential.values, pairs.values(images))).unbind(1)
        image = torch.arange(len(images))
        return (
            torch.cat((image, pairs.image)),
            torch.cat((torch.full_like(image, essential.dim), pairs.dim)),
            birth - death,
        )


def adapt_to_prior(
    network: nn.Module,
    image: Tensor,
    loss: BettiPriorLoss,
    *,
    steps: int = 50,
    learning_rate: float = 1e-4,
    tether: float = 1.0,
) -> Tensor:
    r"""Adapt a trained network to one image so that its prediction gets the Betti numbers that are known.

    A copy of the network descends on `loss(f(x)) + tether * V * mean((f(x) - f_0(x))^2)` over likelihoods `f`, where
    `f_0` is the first prediction and `V` the voxels of an image and class: what is not needed for the topology stays
    put. After Clough et al. (see `BettiPriorLoss`), who weight the topology instead and take the mean over the voxels;
    with the sum a feature weighs the same in an image of any size.

    Args:
        network: the trained network; left as it is. Its copy runs in evaluation mode, so normalization keeps its
            statistics.
        image: `(B, C_in, *spatial)`, on the network's device; adapted to together, so mostly `B = 1`.
        loss: the prior, made with `betti` and with the activation that belongs to the network.
        steps: of Adam.
        learning_rate: of Adam; too large a one finds a feature anywhere.
        tether: weight of the squared change.

    Returns:
        The adapted network's output for the image, `(B, C, *spatial)`, before the activation and detached.

    Raises:
        ValueError: if `steps` is negative, `learning_rate` is not positive or `tether` is negative.

    Cost: `steps` training steps.
    """
    if steps < 0 or learning_rate <= 0 or tether < 0:
        raise ValueError(
            "Expected `steps` and `tether` to be at least 0 and `learning_rate` to be positive, but got "
            f"steps={steps}, learning_rate={learning_rate} and tether={tether}."
        )
    adapted = copy.deepcopy(network).eval().requires_grad_()
    optimizer = torch.optim.Adam(adapted.parameters(), lr=learning_rate)
    with torch.no_grad():
        first = loss.likelihood(adapted(image))
    voxels = first[0, 0].numel()
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            output = adapted(image)
            change = (loss.likelihood(output) - first).square().mean()
            (loss(output) + tether * voxels * change).backward()
            optimizer.step()
    with torch.no_grad():
        result: Tensor = adapted(image).as_subclass(Tensor)
    return result


def _as_rows(betti: Sequence[int | None] | Sequence[Sequence[int | None]]) -> Tensor:
    """Wanted numbers as `(1 or C, d)` int64, `UNKNOWN` for None."""
    given: Any = betti if betti and isinstance(betti[0], Sequence) else [betti]
    rows: list[list[int]] = [[UNKNOWN if number is None else number for number in row] for row in given]
    numbers = [number for row in rows for number in row]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3) or any(n < UNKNOWN for n in numbers):
        raise ValueError(
            "Expected `betti` to hold Betti numbers of at least 0 (or None) for dimensions 0 and 1, in 3D also 2, "
            f"for all classes or a row for each, but got {betti!r}."
        )
    return torch.tensor(rows, dtype=torch.int64)
