"""What PersistenceLoss takes and refuses: ignored voxels, classes, dtypes, settings."""

import pickle

import pytest
import torch
from monai.data import MetaTensor
from test_persistence_loss import BAR, gradient, random_pair

from monai_topo.losses import PersistenceLoss


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
        ({"saturation": 0.5}, ValueError, "saturation"),
        ({"saturation": -0.1}, ValueError, "saturation"),
        ({"support": 1.0}, ValueError, "support"),
        ({"support": 0.9, "saturation": 0.1}, ValueError, "support"),
        ({"support": float("nan")}, ValueError, "support"),
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
