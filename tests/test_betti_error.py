"""The Betti number error: hand-drawn cases, a scipy oracle, the patch protocols, the class's conventions."""

from __future__ import annotations

import doctest
import importlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor
from monai.utils import MetricReduction
from oracles.betti_by_labelling import betti_by_labelling
from PIL import Image

from monai_topo._patches import patch_slices
from monai_topo.metrics import BettiErrorMetric, compute_betti_error
from monai_topo.metrics import betti_error as betti_error_module


def oracle_error(pred: np.ndarray, true: np.ndarray, *, connectivity: str = "full", border: str = "open") -> list[int]:
    """The error by labelled components, their complement's, and the Euler characteristic."""
    counts = [betti_by_labelling(mask, connectivity=connectivity, border=border) for mask in (pred, true)]
    return [abs(p - t) for p, t in zip(*counts, strict=True)]


# ---------------------------------------------------------------- hand-drawn cases


def drawn(*rows: str) -> torch.Tensor:
    """A mask of one image and channel; `#` is foreground."""
    return torch.tensor([[c == "#" for c in row] for row in rows])[None, None]


RING = drawn(
    ".........",
    ".#######.",
    ".#.....#.",
    ".#######.",
    ".........",
)
BROKEN_RING = drawn(
    ".........",
    ".###.###.",
    ".#.....#.",
    ".#######.",
    ".........",
)
SPLIT_RING = drawn(
    ".........",
    ".###.###.",
    ".#.....#.",
    ".###.###.",
    ".........",
)
RING_AND_SPECK = drawn(
    ".........",
    ".#######.",
    ".#..#..#.",
    ".#######.",
    ".........",
)
BAR = drawn(
    ".......",
    "#######",
    ".......",
    ".......",
)
BROKEN_BAR = drawn(
    ".......",
    "###.###",
    ".......",
    ".......",
)
DIAGONAL = drawn(
    ".....",
    ".#...",
    "..#..",
    ".....",
)
TWO_BLOBS = drawn(
    "......",
    ".#..#.",
    ".#..#.",
)
BRIDGED = drawn(
    "......",
    ".####.",
    ".#..#.",
)
BLOB = drawn(
    "......",
    ".####.",
    ".####.",
    ".####.",
    "......",
)
BLOB_WITH_HOLES = drawn(
    "......",
    ".####.",
    ".#.#..",
    ".####.",
    "......",
)


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        pytest.param(BROKEN_RING, RING, [0, 1], id="broken ring"),
        pytest.param(SPLIT_RING, RING, [1, 1], id="ring in two halves"),
        pytest.param(RING_AND_SPECK, RING, [0, 1], id="a wall across the ring"),
        pytest.param(BRIDGED, TWO_BLOBS, [1, 0], id="bridge"),
        pytest.param(BLOB_WITH_HOLES, BLOB, [0, 1], id="hole"),
        pytest.param(RING, torch.zeros_like(RING), [1, 1], id="empty label"),
        pytest.param(torch.zeros_like(RING), RING, [1, 1], id="empty prediction"),
        pytest.param(torch.ones_like(RING), RING, [0, 1], id="full prediction"),
        pytest.param(torch.zeros_like(RING), torch.ones_like(RING), [1, 0], id="empty against full"),
        pytest.param(torch.zeros_like(RING), torch.zeros_like(RING), [0, 0], id="both empty"),
        pytest.param(torch.ones_like(RING), torch.ones_like(RING), [0, 0], id="both full"),
    ],
)
def test_hand_drawn_2d(pred: torch.Tensor, true: torch.Tensor, expected: list[int]) -> None:
    assert compute_betti_error(pred, true)[0, 0].tolist() == expected
    assert compute_betti_error(true, pred)[0, 0].tolist() == expected


def torus_shell_and_speck() -> dict[str, torch.Tensor]:
    """Small solids in a 5 x 7 x 8 volume, one image and channel."""
    shell = torch.zeros(1, 1, 5, 7, 8, dtype=torch.bool)
    shell[..., 1:4, 1:4, 1:4] = True
    shell[..., 2, 2, 2] = False
    torus = torch.zeros_like(shell)
    torus[..., 2, 1:6, 2:7] = True
    torus[..., 2, 3, 4] = False
    broken_torus = torus.clone()
    broken_torus[..., 2, 3, 5:] = False
    opened_shell = shell.clone()
    opened_shell[..., 1, 2, 2] = False
    speck = torch.zeros_like(shell)
    speck[..., 3, 5, 6] = True
    empty = torch.zeros_like(shell)
    return {
        "shell": shell,
        "opened shell": opened_shell,
        "pierced shell": opened_shell & ~torch.roll(opened_shell ^ shell, 2, dims=2),
        "torus": torus,
        "broken torus": broken_torus,
        "shell and speck": shell | speck,
        "empty": empty,
        "full": ~empty,
    }


@pytest.mark.parametrize(
    ("pred", "true", "expected"),
    [
        ("shell", "empty", [1, 0, 1]),
        ("opened shell", "shell", [0, 0, 1]),
        ("pierced shell", "shell", [0, 1, 1]),
        ("torus", "empty", [1, 1, 0]),
        ("broken torus", "torus", [0, 1, 0]),
        ("shell and speck", "shell", [1, 0, 0]),
        ("torus", "shell", [0, 1, 1]),
        ("full", "empty", [1, 0, 0]),
        ("empty", "empty", [0, 0, 0]),
        ("full", "full", [0, 0, 0]),
    ],
)
def test_hand_drawn_3d(pred: str, true: str, expected: list[int]) -> None:
    solids = torus_shell_and_speck()
    assert compute_betti_error(solids[pred], solids[true])[0, 0].tolist() == expected
    assert compute_betti_error(solids[true], solids[pred])[0, 0].tolist() == expected


def test_border_says_what_a_cut_structure_closes_with() -> None:
    # Open: the bar falls into two. Foreground: both halves belong to the frame, but the cells above and below merge.
    assert compute_betti_error(BROKEN_BAR, BAR)[0, 0].tolist() == [1, 0]
    assert compute_betti_error(BROKEN_BAR, BAR, border="foreground")[0, 0].tolist() == [0, 1]
    full = torch.ones_like(BAR)
    assert compute_betti_error(full, torch.zeros_like(BAR), border="foreground")[0, 0].tolist() == [0, 0]
    assert compute_betti_error(full, BAR, border="foreground")[0, 0].tolist() == [0, 1]


def test_connectivity_is_that_of_the_foreground() -> None:
    empty = torch.zeros_like(DIAGONAL)
    assert compute_betti_error(DIAGONAL, empty)[0, 0].tolist() == [1, 0]
    assert compute_betti_error(DIAGONAL, empty, connectivity="face")[0, 0].tolist() == [2, 0]


masks_2d = st.tuples(st.integers(1, 9), st.integers(1, 9))
masks_3d = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(data=st.data())
@settings(max_examples=40)
def test_equals_labelled_components(data: st.DataObject, connectivity: str, border: str) -> None:
    shape = data.draw(masks_2d | masks_3d)
    pred, true = (data.draw(arrays(bool, shape)) for _ in range(2))
    error = compute_betti_error(
        torch.from_numpy(pred)[None, None], torch.from_numpy(true)[None, None], connectivity=connectivity, border=border
    )
    assert error[0, 0].tolist() == oracle_error(pred, true, connectivity=connectivity, border=border)


# ---------------------------------------------------------------- patches


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
    # A drift of numpy's stream or of MONAI's draw would change published numbers in silence.
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
    torch.manual_seed(99)  # the global generators play no part
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


# ---------------------------------------------------------------- tensors in, tensors out


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


def test_inputs_stay_as_they_are_and_grow_no_graph() -> None:
    pred, true = BROKEN_RING.float().requires_grad_(), RING.float()
    error = compute_betti_error(pred, true)
    assert not error.requires_grad
    assert torch.equal(pred.detach().bool(), BROKEN_RING)
    assert torch.equal(true.bool(), RING)


def test_not_contiguous_views_are_read_in_order() -> None:
    pred, true = (random_masks(2, 11, 7, 3, seed=s).permute(0, 3, 1, 2) for s in (8, 9))
    assert torch.equal(compute_betti_error(pred, true), compute_betti_error(pred.contiguous(), true.contiguous()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_result_lies_beside_the_prediction_on_a_gpu() -> None:
    pred, true = (random_masks(2, 2, 24, 37, seed=s) for s in (4, 5))
    protocol = {"patch_size": (9, 8), "num_patches": 13}
    error = compute_betti_error(pred.cuda(), true, **protocol)
    assert error.is_cuda
    assert torch.equal(error.cpu(), compute_betti_error(pred, true, **protocol))
    metric = BettiErrorMetric()
    assert metric(pred.cuda(), true.cuda()).is_cuda
    assert metric.aggregate().is_cuda


def test_background_channel_may_be_left_out() -> None:
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
    assert metric.aggregate().tolist() == expected  # a second look finds the buffer unharmed


def test_counts_beside_the_error() -> None:
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


def test_class_passes_every_setting_on() -> None:
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


@pytest.mark.parametrize("module", ["monai_topo.metrics.betti_error", "monai_topo.handlers.betti_error"])
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
def test_bad_masks_are_refused_in_a_sentence(pred: torch.Tensor, true: torch.Tensor, message: str) -> None:
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


def test_class_refuses_what_it_cannot_report() -> None:
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
    # In a grid of 16 patches of 128 voxels the cut lies in one patch and opens a structure that its border cuts.
    assert compute_betti_error(cut, mortar, border="foreground", patch_size=128).tolist() == [[[0, 1 / 16]]]
