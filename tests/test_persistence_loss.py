"""PersistenceLoss: its value and gradient on hand-drawn images, and MONAI's loss contract."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from oracles.gudhi_diagrams import gudhi_diagram
from test_matching import hungarian_cost

from monai_topo import betti_numbers
from monai_topo.losses import PersistenceLoss

BAR = torch.zeros(1, 1, 5, 7)
BAR[..., 2, :] = 1


def ring(*shape):
    """A frame of ones, one voxel inside the border, around zeros."""
    label = torch.zeros(1, 1, *shape)
    inner = (..., *(slice(1, extent - 1) for extent in shape))
    core = (..., *(slice(2, extent - 2) for extent in shape))
    label[inner] = 1
    label[core] = 0
    return label


def likelihood(label, low=0.1, high=0.9):
    return (low + (high - low) * label).double()


def gradient(loss, input, target):
    input = input.clone().requires_grad_()
    loss(input, target).backward()
    return input.grad


def random_pair(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    input = torch.rand(shape, generator=generator, dtype=torch.float64)
    return input, (torch.rand(shape, generator=generator) > 0.5).float()


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@pytest.mark.parametrize("matching", ["wasserstein", "rank"])
@pytest.mark.parametrize("shape", [(7, 9), (7, 8, 9)])
def test_zero_at_perfect_agreement(shape, matching, connectivity, border):
    label = ring(*shape)
    loss = PersistenceLoss(matching=matching, connectivity=connectivity, border=border)
    assert loss(label, label) == 0
    assert loss(likelihood(label), label) > 0


@pytest.mark.parametrize("shape", [(6, 11), (5, 6, 7)])
@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_value_is_the_squared_wasserstein_distance_of_gudhi_diagrams(shape, connectivity):
    for seed in range(6):
        input, target = random_pair(seed, 1, 1, *shape)
        loss = PersistenceLoss(connectivity=connectivity)(input, target)
        image = input[0, 0].numpy()
        numbers = betti_numbers(target[0], connectivity=connectivity)[0].tolist()
        expected = (image.max() - 1) ** 2  # the component that never ends, in image and label
        for dim, number in enumerate(numbers):
            pairs = gudhi_diagram(image, filtration="superlevel", connectivity=connectivity, border="open")
            values = np.array([(b, d) for k, b, d in pairs if k == dim]).reshape(-1, 2)
            expected += hungarian_cost(values, number - (dim == 0))
        assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5)])
def test_gradcheck_in_double_precision(shape, border):
    input, target = random_pair(1, 2, 1, *shape)
    # Distinct values well apart, so that no finite difference changes the order of voxels.
    input = input.flatten().argsort().argsort().view_as(input).double() / input.numel()
    for matching in ("wasserstein", "rank"):
        loss = PersistenceLoss(matching=matching, border=border)
        assert torch.autograd.gradcheck(lambda x, f=loss: f(x, target), (input.clone().requires_grad_(),), eps=1e-5)


def test_break_of_a_bar_is_lifted_and_the_surplus_component_lowered():
    input = likelihood(BAR)
    input[..., 2, 3] = 0.3
    grad = gradient(PersistenceLoss(), input, BAR)[0, 0]
    assert grad[2, 3] == pytest.approx(-0.6)
    assert grad[2, 4] == pytest.approx(0.6)
    assert grad[2, 0] == pytest.approx(-0.2)  # the component that stays: its birth is pulled to 1
    assert grad.count_nonzero() == 3


def test_false_bridge_between_two_bars_is_lowered():
    label = torch.zeros(1, 1, 7, 6)
    label[..., 1, :] = 1
    label[..., 5, :] = 1
    input = likelihood(label)
    input[..., 2:5, 2] = 0.7
    grad = gradient(PersistenceLoss(), input, label)[0, 0]
    assert grad[2:5, 2].sum() == pytest.approx(2 * 0.7)  # the death of the second bar is pulled to 0
    assert (grad[2:5, 2] >= 0).all()


def test_hole_that_is_not_in_the_label_is_filled_and_a_missing_one_dug():
    solid = torch.zeros(1, 1, 7, 8)
    solid[..., 1:6, 1:7] = 1
    input = likelihood(solid)
    input[..., 3, 4] = 0.2
    assert gradient(PersistenceLoss(dims=[1]), input, solid)[0, 0, 3, 4] == pytest.approx(-0.7)
    label = solid.clone()
    label[..., 3, 4] = 0
    weak = likelihood(solid)
    weak[..., 3, 4] = 0.4
    assert gradient(PersistenceLoss(dims=[1]), weak, label)[0, 0, 3, 4] == pytest.approx(2 * 0.4)


def test_leak_in_a_shell_is_closed_in_3d():
    shell = ring(6, 7, 8)
    input = likelihood(shell)
    input[..., 1, 3, 4] = 0.5
    grad = gradient(PersistenceLoss(dims=[2]), input, shell)[0, 0]
    assert grad[1, 3, 4] == pytest.approx(2 * (0.5 - 1))  # birth of the cavity
    assert grad[2:4, 2:5, 2:6].sum() == pytest.approx(2 * 0.1)  # its death


def test_broken_torus_closes_in_3d():
    torus = torch.zeros(1, 1, 3, 7, 8)
    torus[:, :, 1] = ring(7, 8)[:, :]
    input = likelihood(torus)
    input[..., 1, 1, 4] = 0.5
    grad = gradient(PersistenceLoss(dims=[1]), input, torus)[0, 0]
    assert grad[1, 1, 4] == pytest.approx(2 * (0.5 - 1))


def test_structure_cut_by_the_patch_border_closes_at_a_foreground_border_only():
    wall = torch.zeros(1, 1, 6, 9)
    wall[..., 4] = 1
    input = likelihood(wall)
    input[..., 2, 4] = 0.3
    assert gradient(PersistenceLoss(dims=[1], border="open"), input, wall).count_nonzero() == 0
    grad = gradient(PersistenceLoss(dims=[1], border="foreground"), input, wall)[0, 0]
    assert grad[2, 4] == pytest.approx(2 * (0.3 - 1))


@pytest.mark.parametrize("shape", [(12, 10), (6, 9, 7)])
def test_patches_are_the_mean_over_single_patches(shape):
    input, target = random_pair(2, 2, 1, *shape)
    size = tuple(extent // 2 for extent in shape)
    loss = PersistenceLoss(border="foreground", reduction="none")
    starts = [
        [0, size_a] if extent == 2 * size_a else [0, size_a, extent - size_a]
        for extent, size_a in zip(shape, size, strict=True)
    ]
    patches = []
    for corner in np.ndindex(*[len(s) for s in starts]):
        window = tuple(slice(starts[a][i], starts[a][i] + size[a]) for a, i in enumerate(corner))
        patches.append(loss(input[(..., *window)], target[(..., *window)]))
    expected = torch.stack(patches).mean(0)
    patched = PersistenceLoss(border="foreground", patch_size=size, reduction="none")(input, target)
    torch.testing.assert_close(patched, expected)


@pytest.mark.parametrize("shape", [(6, 9), (4, 5, 6)])
def test_batch_and_channels_equal_one_by_one(shape):
    input, target = random_pair(5, 3, 2, *shape)
    loss = PersistenceLoss(reduction="none")
    together = loss(input, target)
    assert together.shape == (3, 2, *[1] * len(shape))
    for b in range(3):
        for c in range(2):
            alone = loss(input[b : b + 1, c : c + 1], target[b : b + 1, c : c + 1])
            assert together[b, c].item() == alone.item()
    assert PersistenceLoss()(input, target).item() == pytest.approx(together.mean().item())
    assert PersistenceLoss(reduction="sum")(input, target).item() == pytest.approx(together.sum().item())
    with pytest.raises(ValueError, match="bogus"):
        PersistenceLoss(reduction="bogus")


def test_number_of_threads_changes_nothing():
    input, target = random_pair(7, 4, 1, 9, 8, 7)
    one, five = (gradient(PersistenceLoss(num_threads=n), input, target) for n in (1, 5))
    assert torch.equal(one, five)


@given(st.integers(0, 2**16), st.sampled_from([(5, 7), (3, 4, 5)]))
def test_dims_and_min_persistence_leave_out_terms(seed, shape):
    input, target = random_pair(seed, 1, 1, *shape)
    whole = PersistenceLoss()(input, target)
    parts = [PersistenceLoss(dims=[k])(input, target) for k in range(len(shape))]
    torch.testing.assert_close(whole, sum(parts))
    # Above every persistence only the class that never ends, and the missing features, are left.
    numbers = betti_numbers(target[0])[0].sum().item()
    rest = PersistenceLoss(min_persistence=1.0)(input, target).item()
    if numbers:
        assert rest == pytest.approx((1 - input.max().item()) ** 2 + (numbers - 1) / 2)


@pytest.mark.parametrize("border", ["open", "foreground"])
def test_ignored_voxels_have_no_gradient_and_no_say(border):
    input, target = random_pair(11, 1, 1, 8, 9)
    target[..., 2:5, 3:6] = 255
    loss = PersistenceLoss(ignore_index=255, border=border)
    grad = gradient(loss, input, target)
    assert grad[target == 255].count_nonzero() == 0
    other = input.clone()
    other[target == 255] = torch.rand(9, dtype=torch.float64)
    assert loss(other, target) == loss(input, target)
    outside = 1.0 if border == "foreground" else 0.0
    filled = target.where(target != 255, torch.tensor(outside))
    assert loss(input, target) == PersistenceLoss(border=border)(input.where(target != 255, outside), filled)


def test_class_indices_softmax_and_background_follow_dice_loss():
    logits = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    indices = torch.randint(0, 3, (2, 1, 6, 7), generator=torch.Generator().manual_seed(1))
    one_hot = torch.nn.functional.one_hot(indices[:, 0], 3).movedim(-1, 1).float()
    by_index = PersistenceLoss(softmax=True, to_onehot_y=True, include_background=False, reduction="none")
    by_channel = PersistenceLoss(reduction="none")
    expected = by_channel(logits.softmax(1)[:, 1:], one_hot[:, 1:])
    assert torch.equal(by_index(logits, indices), expected)
    weighted = PersistenceLoss(reduction="none", weight=[2.0, 0.5])(logits.softmax(1)[:, 1:], one_hot[:, 1:])
    torch.testing.assert_close(weighted, expected * torch.tensor([2.0, 0.5])[None, :, None, None])
    custom = PersistenceLoss(other_act=lambda x: torch.softmax(x, 1), reduction="none")(logits, one_hot)
    assert torch.equal(custom[:, 1:], expected)
    ignored = indices.clone()
    ignored[..., :2] = 9
    masked = PersistenceLoss(softmax=True, to_onehot_y=True, ignore_index=9)
    assert torch.isfinite(masked(logits, ignored))


@pytest.mark.parametrize("option", ["softmax", "to_onehot_y", "include_background"])
def test_single_channel_ignores_options_with_a_warning_at_the_caller(option):
    loss = PersistenceLoss(**{option: option != "include_background"})
    with pytest.warns(UserWarning, match=rf"single channel prediction, `{option}=.*` ignored") as caught:
        value = loss(BAR * 0.8, BAR)
    assert value == PersistenceLoss()(BAR * 0.8, BAR)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_widened_before_the_activation(dtype):
    logits = torch.randn(1, 1, 7, 6, generator=torch.Generator().manual_seed(2)).to(dtype).requires_grad_()
    loss = PersistenceLoss(sigmoid=True)(logits, BAR[..., :6].new_ones(1, 1, 7, 6))
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    loss.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.count_nonzero() > 0


def test_autocast_changes_nothing():
    logits = torch.randn(2, 1, 8, 9, generator=torch.Generator().manual_seed(3))
    target = (logits > 0.3).float()
    outside = PersistenceLoss(sigmoid=True)(logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = PersistenceLoss(sigmoid=True)(logits, target)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_meta_tensor_gives_the_plain_result():
    input, target = random_pair(4, 1, 1, 6, 7)
    plain = PersistenceLoss()(input, target)
    meta = PersistenceLoss()(MetaTensor(input), MetaTensor(target))
    assert type(meta) is torch.Tensor
    assert torch.equal(meta, plain)


@pytest.mark.parametrize("target_dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_target_of_any_dtype(target_dtype):
    assert PersistenceLoss()(BAR * 0.7, BAR.to(target_dtype)) == PersistenceLoss()(BAR * 0.7, BAR)


def test_nothing_to_do_is_a_zero_connected_to_the_graph():
    input = torch.full((1, 1, 4, 5), 0.25, requires_grad=True)
    loss = PersistenceLoss(dims=[1])(input, torch.zeros(1, 1, 4, 5))
    assert loss == 0
    loss.backward()
    assert input.grad is not None
    assert input.grad.count_nonzero() == 0


def test_pickle_and_state_dict():
    loss = PersistenceLoss(matching="rank", weight=[1.0, 2.0], patch_size=(4, 5))
    copy = pickle.loads(pickle.dumps(loss))
    input, target = random_pair(6, 1, 2, 8, 10)
    assert copy(input, target) == loss(input, target)
    assert list(loss.state_dict()) == ["class_weight"]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"matching": "hungarian"}, ValueError, "matching"),
        ({"connectivity": 18}, ValueError, "18"),
        ({"border": "closed"}, ValueError, "border"),
        ({"dims": [3]}, ValueError, "dims"),
        ({"min_persistence": -0.1}, ValueError, "min_persistence"),
        ({"num_threads": 0}, ValueError, "num_threads"),
        ({"patch_size": 0}, ValueError, "patch_size"),
        ({"weight": [-1.0, 1.0]}, ValueError, "weight"),
        ({"sigmoid": True, "softmax": True}, ValueError, "more than 1"),
        ({"other_act": "relu"}, TypeError, "other_act"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
def test_wrong_settings_are_refused_when_the_loss_is_made(settings, error, words):
    with pytest.raises(error, match=words):
        PersistenceLoss(**settings)


@pytest.mark.parametrize(
    ("input", "target", "error", "words"),
    [
        (BAR * 3 - 1, BAR, ValueError, "sigmoid=True"),
        (BAR * float("nan"), BAR, ValueError, "diverged"),
        (BAR.masked_fill(BAR > 0, float("inf")), BAR, ValueError, r"from 0 to inf"),
        (BAR, BAR * 255, ValueError, "255"),
        (BAR, BAR * 0.5, ValueError, "0.5"),
        (BAR, BAR[..., 1:], AssertionError, "ground truth has different shape"),
        (BAR.expand(1, 3, 5, 7), BAR, AssertionError, "ground truth has different shape"),
        (BAR[0], BAR[0], ValueError, "spatial axes"),
        (BAR[..., None, None], BAR[..., None, None], ValueError, "spatial axes"),
    ],
)
def test_wrong_input_gets_a_sentence(input, target, error, words):
    with pytest.raises(error, match=words):
        PersistenceLoss()(input, target)


def test_patch_larger_than_the_image_and_bad_class_indices_get_a_sentence():
    with pytest.raises(ValueError, match="patch_size"):
        PersistenceLoss(patch_size=6)(BAR, BAR)
    with pytest.raises(ValueError, match="class indices from 0 to 1"):
        PersistenceLoss(softmax=True, to_onehot_y=True)(BAR.expand(1, 2, 5, 7), BAR * 7)
    with pytest.raises(ValueError, match="one for each of the 2 classes"):
        PersistenceLoss(weight=[1.0, 1.0, 1.0])(BAR.expand(1, 2, 5, 7), BAR.expand(1, 2, 5, 7))


@pytest.mark.parametrize("shape", [(10, 13), (7, 8, 9)])
def test_gradient_descent_repairs_a_broken_ring(shape):
    label = ring(*shape)
    hole = (0, 0, 1, 3, 4)[: 2 + len(shape)]  # a gap in the ring, a leak in the shell
    input = likelihood(label)
    input[hole] = 0.4  # weaker, and the exact matching would rather erase the ring
    logits = torch.logit(input).requires_grad_()
    loss = PersistenceLoss(sigmoid=True)
    wrong = betti_numbers(torch.sigmoid(logits[0]).detach() > 0.5)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, label).backward()
        optimizer.step()
    right = betti_numbers(label[0])
    assert not torch.equal(wrong, right)
    assert torch.equal(betti_numbers(torch.sigmoid(logits[0]).detach() > 0.5), right)
