"""The same input gives the same bits, however many threads work on it and however often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from monai_topo.losses import (
    BettiMatchingLoss,
    BettiPriorLoss,
    ClDiceLoss,
    PersistenceLoss,
    SkeletonRecallLoss,
    WarpingLoss,
)
from monai_topo.masks import betti_numbers, homotopy_warping_errors, label_components
from monai_topo.metrics import compute_betti_error, compute_betti_matching
from monai_topo.persistence import betti_matching, merge_tree, persistence_pairs
from monai_topo.transforms import PersistenceSimplify, ReconnectComponents

SHAPES = [(3, 70, 93), (1, 33, 40, 45)]  # the second one has more voxels than torch sums on one thread


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def draw(shape: tuple[int, ...], seed: int, levels: int = 40) -> Tensor:
    """Return likelihoods with many ties."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, levels, shape, generator=generator) / levels


def all_tensors(found: Any) -> list[Tensor]:
    """List all tensors in a result."""
    if isinstance(found, Tensor):
        return [found]
    parts = found if isinstance(found, (list, tuple)) else getattr(found, "__dict__", {}).values()
    return [tensor for part in parts for tensor in all_tensors(part)]


def bits(found: Any) -> list[bytes]:
    tensors = [tensor.detach().numpy().tobytes() for tensor in all_tensors(found)]
    assert tensors
    return tensors


Function = Callable[[Tensor, Tensor], Any]
FUNCTIONS: dict[str, Function] = {
    "persistence_pairs": lambda x, y: persistence_pairs(x),
    "persistence_pairs, face": lambda x, y: persistence_pairs(x, connectivity="face", border="foreground"),
    "betti_matching": betti_matching,
    "merge_tree": lambda x, y: merge_tree(x),
    "betti_numbers": lambda x, y: betti_numbers(x > 0.5),
    "label_components": lambda x, y: label_components(x > 0.5),
    "homotopy_warping_errors": lambda x, y: homotopy_warping_errors(x > 0.5, y > 0.5),
    "compute_betti_error": lambda x, y: compute_betti_error((x > 0.5)[:, None], (y > 0.5)[:, None], patch_size=None),
    "compute_betti_matching": lambda x, y: compute_betti_matching((x > 0.5)[:, None], (y > 0.5)[:, None]),
    "PersistenceSimplify": lambda x, y: PersistenceSimplify(min_persistence=0.2)(x[:1]),
    "ReconnectComponents": lambda x, y: ReconnectComponents()(x[:1]),
}
Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "persistence": PersistenceLoss(),
    "persistence, structure": PersistenceLoss(gradient="structure"),
    "persistence, spatial": PersistenceLoss(matching="spatial"),
    "Betti matching": BettiMatchingLoss(),
    "Betti prior": lambda x, y: BettiPriorLoss(betti=[2, 1, 0][: x.ndim - 2])(x),
}
SUMS_OF_TORCH: dict[str, Loss] = {
    "clDice": ClDiceLoss(),
    "skeleton recall": SkeletonRecallLoss(),
    "warping": WarpingLoss(),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_give_equal_bits_for_every_number_of_threads(name: str, shape: tuple[int, ...]) -> None:
    inputs = draw(shape, 0), draw(shape, 1)
    found = []
    for threads in (1, 2, 3, 4, 1):
        torch.set_num_threads(threads)
        found.append(bits(FUNCTIONS[name](*inputs)))
    assert found[1:] == found[:-1]


def loss_and_gradient(loss: Loss, shape: tuple[int, ...]) -> list[bytes]:
    likelihood = draw(shape, 0)[:, None].requires_grad_()
    value = loss(likelihood, (draw(shape, 1)[:, None] > 0.5).float())
    value.backward()
    assert likelihood.grad is not None
    assert likelihood.grad.abs().sum() > 0
    return bits([value, likelihood.grad])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_have_equal_bits_for_every_number_of_threads(name: str, shape: tuple[int, ...]) -> None:
    found = []
    for threads in (1, 2, 3, 4, 1):
        torch.set_num_threads(threads)
        found.append(loss_and_gradient(LOSSES[name], shape))
    assert found[1:] == found[:-1]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SUMS_OF_TORCH)
def test_losses_that_are_sums_of_torch_have_equal_bits_for_one_number_of_threads(
    name: str, shape: tuple[int, ...]
) -> None:
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        first, again = (loss_and_gradient(SUMS_OF_TORCH[name], shape) for _ in range(2))
        assert first == again
