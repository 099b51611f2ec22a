"""The Betti error as users call it: tensors, the class with its reductions, refusals, a real label."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.utils import MetricReduction
from PIL import Image
from test_betti_error import BAR, BROKEN_RING, DIAGONAL, RING, SPLIT_RING
from test_betti_error_patches import random_masks

from monai_topo.metrics import BettiErrorMetric, compute_betti_error


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_means_the_same(dtype: torch.dtype) -> None:
    error = compute_betti_error(BROKEN_RING.to(dtype), RING)
    assert error.tolist() == [[[0, 1]]]
    assert error.dtype == torch.float32


def test_metatensor_in_plain_tensor_out() -> None:
    pred, true = MetaTensor(BROKEN_RING.float()), MetaTensor(RING.float())
    for result in (compute_betti_error(pred, true), BettiErrorMetric()(pred, true)):
        assert type(result) is torch.Tensor
        assert result.sum() == 1


def test_inputs_are_not_changed_and_get_no_graph() -> None:
    pred, true = BROKEN_RING.float().requires_grad_(), RING.float()
    error = compute_betti_error(pred, true)
    assert not error.requires_grad
    assert torch.equal(pred.detach().bool(), BROKEN_RING)
    assert torch.equal(true.bool(), RING)


def test_not_contiguous_views_are_read_in_order() -> None:
    pred, true = (random_masks(2, 11, 7, 3, seed=s).permute(0, 3, 1, 2) for s in (8, 9))
    assert torch.equal(compute_betti_error(pred, true), compute_betti_error(pred.contiguous(), true.contiguous()))


@pytest.mark.gpu
def test_result_is_on_the_gpu_of_the_prediction() -> None:
    pred, true = (random_masks(2, 2, 24, 37, seed=s) for s in (4, 5))
    protocol = {"patch_size": (9, 8), "num_patches": 13}
    error = compute_betti_error(pred.cuda(), true, **protocol)
    assert error.is_cuda
    assert torch.equal(error.cpu(), compute_betti_error(pred, true, **protocol))
    metric = BettiErrorMetric()
    assert metric(pred.cuda(), true.cuda()).is_cuda
    assert metric.aggregate().is_cuda


def test_background_channel_can_be_excluded() -> None:
    foreground = torch.cat([BROKEN_RING, RING])
    label_ = torch.cat([RING, RING])
    pred, true = (torch.cat([~mask, mask], dim=1) for mask in (foreground, label_))
    # Background channel: outside and inside of the ring are two components, one after the break; one hole, the ring.
    assert compute_betti_error(pred, true).tolist() == [[[1, 0], [0, 1]], [[0, 0], [0, 0]]]
    assert compute_betti_error(pred, true, include_background=False).tolist() == [[[0, 1]], [[0, 0]]]
    assert compute_betti_error(BROKEN_RING, RING, include_background=False).tolist() == [[[0, 1]]]


# ---------------------------------------------------------------- the class


def two_cases() -> tuple[torch.Tensor, torch.Tensor]:
    """Errors summed over dimensions: [[1, 0], [2, 1]]."""
    pred = torch.cat([torch.cat([BROKEN_RING, RING], 1), torch.cat([SPLIT_RING, BROKEN_RING], 1)])
    return pred, RING.expand(2, 2, -1, -1)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("mean", [1.0]),
        ("sum", 4.0),
        ("mean_batch", [1.5, 0.5]),
        ("sum_batch", [3.0, 1.0]),
        ("mean_channel", [0.5, 1.5]),
        ("sum_channel", [1.0, 3.0]),
        ("none", [[1.0, 0.0], [2.0, 1.0]]),
        (MetricReduction.MEAN_BATCH, [1.5, 0.5]),
    ],
)
def test_reductions(reduction: MetricReduction | str, expected: object) -> None:
    metric = BettiErrorMetric(reduction=reduction)
    assert metric(*two_cases()).tolist() == [[1, 0], [2, 1]]
    assert metric.aggregate().tolist() == expected
    assert BettiErrorMetric.aggregate(metric, reduction="none").tolist() == [[1, 0], [2, 1]]
    assert metric.aggregate().tolist() == expected  # a second call finds the buffer unchanged


def test_counts_next_to_the_error() -> None:
    metric = BettiErrorMetric(reduction="mean_batch", get_not_nans=True)
    metric(*two_cases())
    error, not_nans = metric.aggregate()
    assert error.tolist() == [1.5, 0.5]
    assert not_nans.tolist() == [2, 2]


def test_one_dimension_or_their_sum() -> None:
    pred, true = two_cases()
    by_dim = [BettiErrorMetric(dim=dim)(pred, true) for dim in (0, 1)]
    assert [error.tolist() for error in by_dim] == [[[0, 0], [1, 0]], [[1, 0], [1, 1]]]
    assert torch.equal(BettiErrorMetric()(pred, true), by_dim[0] + by_dim[1])


def test_class_passes_on_every_setting() -> None:
    pred, true = (random_masks(2, 3, 24, 37, seed=s) for s in (4, 5))
    setting = {
        "include_background": False,
        "connectivity": "face",
        "border": "foreground",
        "patch_size": [9, 8],
        "num_patches": 13,
        "seed": 5,
    }
    error = BettiErrorMetric(**setting)(pred, true)
    assert error.shape == (2, 2)
    assert error.dtype == torch.float32
    assert torch.equal(error, compute_betti_error(pred, true, **setting).sum(-1))
    for name, other in [("connectivity", "full"), ("border", "open"), ("seed", 6), ("num_patches", None)]:
        assert not torch.equal(error, BettiErrorMetric(**{**setting, name: other})(pred, true))


def test_lists_may_mix_sizes() -> None:
    metric = BettiErrorMetric()
    error = metric([BROKEN_RING[0], DIAGONAL[0]], [RING[0], torch.zeros_like(DIAGONAL[0])])
    assert error.tolist() == [[1], [1]]
    metric(SPLIT_RING, RING)
    assert metric.aggregate("none").tolist() == [[1], [1], [2]]
    metric.reset()
    metric(RING, RING)
    assert metric.aggregate().tolist() == [0]


def test_lists_equal_batches() -> None:
    pred, true = (random_masks(3, 2, 24, 37, seed=s) for s in (4, 5))
    assert torch.equal(BettiErrorMetric()(list(pred), list(true)), BettiErrorMetric()(pred, true))


@pytest.mark.parametrize("module", ["monai_topo.metrics.betti_error", "monai_topo.handlers.metric_handlers"])
def test_docstring_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


# ---------------------------------------------------------------- errors


def likelihood() -> torch.Tensor:
    return torch.where(RING, 0.75, 0.25)


@pytest.mark.parametrize(
    ("pred", "true", "message"),
    [
        pytest.param(likelihood(), RING, r"Expected `y_pred` to hold only 0 and 1, but got 45 .*0\.25, 0\.75", id="p"),
        pytest.param(
            RING, RING.int() * 255, r"Expected `y` to hold only 0 and 1, but got 16 .*255.*AsDiscrete", id="8b"
        ),
        pytest.param(RING, RING.to(torch.uint16) * 2, "Expected `y` to hold only 0 and 1", id="uint16"),
        pytest.param(RING / 0, RING, "Expected `y_pred` to hold only 0 and 1, .*(inf|nan)", id="nan and inf"),
        pytest.param(RING, -RING.float(), r"Expected `y` to hold only 0 and 1, .*-1", id="negative"),
        pytest.param(RING, BAR, r"Expected `y` to have the shape .*\(1, 1, 5, 9\), but got \(1, 1, 4, 7\)", id="shape"),
        pytest.param(RING, RING.expand(2, 1, 5, 9), "Expected `y` to have the shape", id="no broadcast"),
        pytest.param(RING[0], RING[0], r"Expected `y_pred` to have shape .*but got shape \(1, 5, 9\)", id="3 axes"),
        pytest.param(RING[None, None], RING, r"Expected `y_pred` to have shape", id="6 axes"),
        pytest.param(RING[:0], RING[:0], r"at least one voxel", id="no image"),
        pytest.param(RING[..., :0], RING[..., :0], r"at least one voxel", id="no voxel"),
    ],
)
def test_bad_masks_are_refused_with_a_message(pred: torch.Tensor, true: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_betti_error(pred, true)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"patch_size": 0}, "Expected `patch_size` to be positive"),
        ({"patch_size": []}, "Expected `patch_size` to be positive"),
        ({"patch_size": (3, 2.5)}, "Expected `patch_size` to be positive"),
        ({"patch_size": True}, "Expected `patch_size` to be positive"),
        ({"patch_size": 3, "num_patches": 0}, "Expected `num_patches` to be a positive"),
        ({"num_patches": 4}, "Expected `patch_size` to be given with `num_patches`"),
    ],
)
def test_impossible_patch_settings_are_refused_at_once(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_betti_error(RING, RING, **setting)
    with pytest.raises(ValueError, match=message):
        BettiErrorMetric(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"patch_size": (3, 3, 3)}, r"Expected `patch_size` to have 2 numbers.*got \(3, 3, 3\)"),
        ({"patch_size": 6}, r"Expected `patch_size` to fit into the image of size \(5, 9\), but got \(6, 6\)"),
        ({"patch_size": (5, 10), "num_patches": 2}, r"Expected `patch_size` to fit"),
        ({"patch_size": 3, "num_patches": 2, "seed": -1}, "[Ss]eed"),
    ],
)
def test_patches_that_do_not_suit_the_image_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compute_betti_error(RING, RING, **setting)


@pytest.mark.parametrize(("name", "value"), [("connectivity", "18"), ("border", "closed")])
def test_unknown_choices_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"Expected `{name}`"):
        compute_betti_error(RING, RING, **{name: value})
    with pytest.raises(ValueError, match=f"Expected `{name}`"):
        BettiErrorMetric(**{name: value})


def test_class_refuses_impossible_settings() -> None:
    with pytest.raises(ValueError, match=r"Expected `dim` to be 0, 1, 2 or None, but got -1"):
        BettiErrorMetric(dim=-1)
    with pytest.raises(ValueError, match="median"):
        BettiErrorMetric(reduction="median")
    with pytest.raises(ValueError, match=r"Expected `dim` to be below the number of spatial axes, 2, but got 2"):
        BettiErrorMetric(dim=2)(RING, RING)
    with pytest.raises(ValueError, match="Expected at least one case before `aggregate`"):
        BettiErrorMetric().aggregate()
    with pytest.raises(ValueError, match=r"Expected as many labels .* got 2 predictions and 1 labels"):
        BettiErrorMetric()([RING[0], RING[0]], [RING[0]])
    with pytest.raises(TypeError, match=r"Expected `y` to be a torch.Tensor, but got NoneType"):
        BettiErrorMetric()(RING)


# ---------------------------------------------------------------- real labels


def test_one_cut_through_real_mortar_is_one_loop_less(shared_data: Path) -> None:
    pixels = np.array(Image.open(shared_data / "topomortar" / "test" / "accurate" / "078.png"))
    mortar = torch.from_numpy(pixels > 127)[None, None]
    assert compute_betti_error(mortar, mortar).tolist() == [[[0, 0]]]
    # Published Betti numbers of this label (betti_numbers.csv): 1 and 68.
    assert compute_betti_error(mortar, torch.zeros_like(mortar)).tolist() == [[[1, 68]]]
    cut = mortar.clone()
    cut[..., 36:42, 150:153] = False  # across one horizontal joint: the bricks above and below become one
    assert compute_betti_error(cut, mortar).tolist() == [[[0, 1]]]
    # In a grid of 16 patches of 128 voxels the cut lies in one patch and opens a structure at the border of the patch.
    assert compute_betti_error(cut, mortar, border="foreground", patch_size=128).tolist() == [[[0, 1 / 16]]]
