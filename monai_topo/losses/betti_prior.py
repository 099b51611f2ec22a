"""A topological prior: the Betti numbers are known, but there is no label."""

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
    r"""Penalize deviations from the Betti numbers that anatomy prescribes, in 2D and 3D, without a label.

    The likelihood is filtered by superlevel sets; a feature of dimension `k` has a persistence `p` in [0, 1], its birth
    minus its death value. If `n_k` features are wanted,

    .. math:: L = \sum_k \left[\sum_{i \le n_k} (1 - p_{k,i}^2) + \sum_{i > n_k} p_{k,i}^2\right]

    over the features in the order of persistence. A wanted feature without any counterpart in the map costs 1 and has
    no gradient. The loss constrains how many features there are, not where; on its own it reinforces existing features,
    correct or not.

    The essential class counts as in `PersistenceLoss`: with `border="open"` it is the component born at the greatest
    likelihood, and it dies at 0; with `border="foreground"` it is the hole that the frame surrounds, born at 1, and it
    dies at the least likelihood.

    Source: Clough, Byrne, Oksuz, Zimmer, Schnabel, King, "A Topological Loss Function for Deep-Learning based Image
    Segmentation using Persistent Homology", IEEE TPAMI 2020 (arXiv 1910.01877). There the numbers of some dimensions
    are given and the others left free, as here by None. Here also: numbers for every class and every image, both
    borders and connectivities, the essential class.

    Args:
        include_background: If False, channel 0 is excluded.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels of the input.
        other_act: Another activation; its result must be a likelihood in [0, 1].
        betti: Wanted numbers of dimensions 0 to d-1, for all classes (`(1, 0)`) or one such row per class
            (`[(1, 0), (2, None)]`, background not counted if it is excluded); None for an unknown number. If `betti`
            itself is None, numbers come with each call, see `forward`.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground). Numbers are counted as `monai_topo.betti_numbers` counts them with that border; the hole that
            the frame surrounds is wanted in addition to them.
        min_persistence: Surplus features of at most this persistence are ignored.
        num_threads: Number of images computed at the same time, `torch.get_num_threads()` by default.
        reduction: `"mean"` or `"sum"` over batch and classes, or `"none"`: `(B, C, 1, 1[, 1])`.
        weight: Weight of the classes, one number or one per class; a class of weight 0 is not computed.

    Raises:
        TypeError: If `other_act` is not callable, or an option is unknown.
        ValueError: If an option has a wrong value; at the call if the input is not finite, not in [0, 1], or not 2D or
            3D, or if the numbers do not fit its dimensions.

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
            input: Logits (with an activation) or likelihoods in [0, 1], `(B, C, H, W)` or `(B, C, D, H, W)`.
            target: If the loss was made without `betti`, the wanted numbers of these images: `(B, C, d)` integers for
                the classes that remain after `include_background`, -1 for an unknown number. Otherwise it is ignored,
                and may be the label of the pixel loss that this loss is combined with.

        Returns:
            A scalar, or `(B, C, 1, 1[, 1])` with `reduction="none"`, always connected to the graph of `input`.

        Raises:
            TypeError: If `input` is not a tensor, or numbers are given neither here nor in the constructor.
            ValueError: If `input` is not a likelihood, or the numbers do not fit its shape.
        """
        check_tensors(input=input)
        self._warn_of_ignored_options(input)
        with torch.autocast(device_type=input.device.type, enabled=False):
            likelihood = self._prepare_input(input.as_subclass(Tensor))
            wanted = self._wanted(likelihood, target)
            return self._reduce(self._weighted_classes(likelihood, wanted), likelihood.ndim)

    def _wanted(self, likelihood: Tensor, target: Tensor | None) -> Tensor:
        """Return the wanted numbers, `(B, C, d)` int64."""
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
                f"Expected `betti` to hold {shape[2]} numbers, one per dimension, for all or for each of {shape[1]} "
                f"classes, but got {self.betti.tolist()} for an input of shape {tuple(likelihood.shape)}."
            )
        return self.betti.expand(shape)

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of every image and class, `(B, C)`, for wanted numbers `(B, C, d)`."""
        images, wanted = likelihood.flatten(0, 1), target.flatten(0, 1).cpu()
        if self.border == "foreground":  # the hole that the frame surrounds
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
        """Return image, dimension and persistence of the essential class of every image, then of all pairs."""
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
    consistency_weight: float = 1.0,
) -> Tensor:
    r"""Adapt a trained network to one image so that its prediction has the known Betti numbers.

    A copy of the network minimizes `loss(f(x)) + consistency_weight * V * mean((f(x) - f_0(x))^2)` over likelihoods
    `f`, where `f_0` is the first prediction and `V` the number of voxels of an image and class. So the prediction
    changes only where the topology needs it. After Clough et al. (see `BettiPriorLoss`), who weight the topology
    instead and take the mean over the voxels; with the sum a feature has the same weight in an image of any size.

    Args:
        network: Trained network, not changed. Its copy runs in evaluation mode, so normalization keeps its statistics.
        image: `(B, C_in, *spatial)` on the device of the network. All images of the batch share one adapted network, so
            mostly `B = 1`.
        loss: The prior, made with `betti` and with the activation of the network.
        steps: Number of Adam steps.
        learning_rate: Learning rate of Adam; if it is too large, it creates a feature anywhere.
        consistency_weight: Weight of the squared change.

    Returns:
        Output of the adapted network for the image, `(B, C, *spatial)`, before the activation and detached.

    Raises:
        ValueError: If `steps` or `consistency_weight` is negative, or `learning_rate` is not positive.

    Cost: `steps` training steps.
    """
    if steps < 0 or learning_rate <= 0 or consistency_weight < 0:
        raise ValueError(
            "Expected `steps` and `consistency_weight` to be at least 0 and `learning_rate` to be positive, but got "
            f"steps={steps}, learning_rate={learning_rate} and consistency_weight={consistency_weight}."
        )
    adapted = copy.deepcopy(network).eval().requires_grad_()
    optimizer = torch.optim.Adam(adapted.parameters(), lr=learning_rate)
    with torch.no_grad():
        first = loss.likelihood(adapted(image))
    num_voxels = first[0, 0].numel()
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            output = adapted(image)
            change = (loss.likelihood(output) - first).square().mean()
            (loss(output) + consistency_weight * num_voxels * change).backward()
            optimizer.step()
    with torch.no_grad():
        result: Tensor = adapted(image).as_subclass(Tensor)
    return result


def _as_rows(betti: Sequence[int | None] | Sequence[Sequence[int | None]]) -> Tensor:
    """Convert wanted numbers to `(1 or C, d)` int64, `UNKNOWN` for None."""
    given: Any = betti if betti and isinstance(betti[0], Sequence) else [betti]
    rows: list[list[int]] = [[UNKNOWN if number is None else number for number in row] for row in given]
    numbers = [number for row in rows for number in row]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3) or any(n < UNKNOWN for n in numbers):
        raise ValueError(
            "Expected `betti` to hold Betti numbers of at least 0 (or None) for dimensions 0 and 1, in 3D also 2, "
            f"for all classes or one row per class, but got {betti!r}."
        )
    return torch.tensor(rows, dtype=torch.int64)
