"""The Betti error over patches: grid, random draw, chunks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from test_betti_error import oracle_error

from monai_topo._utils.patches import patch_slices
from monai_topo.metrics import betti_error as betti_error_module
from monai_topo.metrics import compute_betti_error


def random_masks(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def mean_over_patches(pred: torch.Tensor, true: torch.Tensor, corners: list[tuple[int, ...]], size: tuple[int, ...]):
    """The slow loop: one patch of one channel of one image at a time, counted by the oracle."""
    batch, channels = pred.shape[:2]
    error = np.zeros((batch, channels, len(size)))
    for image, channel in np.ndindex(batch, channels):
        for corner in corners:
            patch = tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))
            p, t = pred[image, channel][patch].numpy(), true[image, channel][patch].numpy()
            error[image, channel] += np.array(oracle_error(p, t)) / len(corners)
    return torch.tensor(error, dtype=torch.float32)


@pytest.mark.parametrize(
    ("image_size", "patch_size", "starts"),
    [
        pytest.param((12, 15), (6, 5), ([0, 6], [0, 5, 10]), id="divides"),
        pytest.param((13, 17), (6, 5), ([0, 6, 7], [0, 5, 10, 12]), id="last patch shifted inwards"),
        pytest.param((9, 11), 9, ([0], [0, 2]), id="one number"),
        pytest.param((5, 8, 7), (2, 8, 4), ([0, 2, 3], [0], [0, 3]), id="3d"),
    ],
)
def test_grid_covers_the_image_with_full_patches(image_size, patch_size, starts) -> None:
    pred, true = (random_masks(2, 3, *image_size, seed=s) for s in (0, 1))
    size = patch_size if isinstance(patch_size, tuple) else (patch_size,) * len(image_size)
    expected = mean_over_patches(pred, true, list(itertools.product(*starts)), size)
    error = compute_betti_error(pred, true, patch_size=patch_size)
    torch.testing.assert_close(error, expected)
    covered = torch.zeros(image_size)
    for corner in itertools.product(*starts):
        covered[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))] = 1
    assert covered.all()


@pytest.mark.parametrize(
    ("image_size", "size"), [((20, 31), (7, 6)), ((6, 31), (6, 5)), ((7, 9, 8), (4, 3, 5))], ids=str
)
def test_random_patches_follow_the_documented_draw(image_size: tuple[int, ...], size: tuple[int, ...]) -> None:
    pred, true = (random_masks(2, 2, *image_size, seed=s) for s in (2, 3))
    state = np.random.RandomState(17)
    corners = [
        tuple(state.randint(0, e - s + 1) if e > s else 0 for e, s in zip(image_size, size, strict=True))
        for _ in range(11)
    ]
    error = compute_betti_error(pred, true, patch_size=size, num_patches=11, seed=17)
    torch.testing.assert_close(error, mean_over_patches(pred, true, corners, size))


def test_random_corners_are_pinned_across_releases_and_machines() -> None:
    # A change of numpy's stream or of MONAI's draw would silently change published numbers.
    patches = patch_slices((20, 31), patch_size=(5, 7), num_patches=3, seed=0)
    assert patches == [
        (slice(12, 17), slice(15, 22)),
        (slice(5, 10), slice(0, 7)),
        (slice(3, 8), slice(3, 10)),
    ]


def test_seed_decides_and_batch_does_not() -> None:
    pred, true = (random_masks(3, 2, 24, 37, seed=s) for s in (4, 5))
    protocol = {"patch_size": (9, 8), "num_patches": 13}
    batch = compute_betti_error(pred, true, **protocol)
    singles = [compute_betti_error(pred[i : i + 1], true[i : i + 1], **protocol) for i in range(3)]
    assert torch.equal(batch, torch.cat(singles))
    torch.manual_seed(99)  # the global generators have no effect
    np.random.seed(99)  # noqa: NPY002
    assert torch.equal(batch, compute_betti_error(pred, true, seed=0, **protocol))
    assert not torch.equal(batch, compute_betti_error(pred, true, seed=1, **protocol))


def test_chunks_of_patches_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, true = (random_masks(2, 3, 19, 22, seed=s) for s in (6, 7))
    whole = compute_betti_error(pred, true, patch_size=5)
    sizes = []

    def spy(masks: torch.Tensor, **setting: str) -> torch.Tensor:
        sizes.append(len(masks))
        return betti_numbers(masks, **setting)

    betti_numbers = betti_error_module.betti_numbers
    monkeypatch.setattr(betti_error_module, "betti_numbers", spy)
    monkeypatch.setattr(betti_error_module, "_VOXELS_PER_CALL", 7 * 2 * 6 * 25 + 3)
    assert torch.equal(compute_betti_error(pred, true, patch_size=5), whole)
    assert sizes == [7 * 12, 7 * 12, 6 * 12]
