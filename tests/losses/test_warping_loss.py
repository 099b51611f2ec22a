"""The warping loss: value by hand, direction, and what MONAI expects of a loss."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from monai_topo import WarpingLoss


def line(shape=(1, 1, 5, 9)):
    label = torch.zeros(shape)
    label[..., 2, :] = 1
    return label


def with_gap(label, low=0.2):
    likelihood = (0.8 * label + 0.1).double()
    likelihood[..., 2, 3:6] = low
    return likelihood.requires_grad_()


@pytest.mark.parametrize("shape", [(1, 1, 5, 9), (1, 1, 4, 5, 9)], ids=str)
@pytest.mark.parametrize("penalty", ["cross_entropy", "squared"])
def test_break_of_three_voxels(shape, penalty):
    label = line(shape)
    if len(shape) == 5:
        label[:, :, 1:] = 0
    broken = with_gap(label)
    if len(shape) == 5:
        with torch.no_grad():
            broken[:, :, 1:] = 0.1
    loss = WarpingLoss(penalty=penalty)(broken, label)
    one = 0.8**2 if penalty == "squared" else math.log(1.001) - math.log(0.201)
    assert loss.item() == pytest.approx(3 * one)
    loss.backward()
    pulled_up = torch.zeros_like(label)
    pulled_up[(*[0] * (len(shape) - 2), 2, slice(3, 6))] = 1
    assert torch.equal((broken.grad < 0).to(label), pulled_up)
    assert not (broken.grad > 0).any()


@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_bridge_speck_and_hole_are_pulled_the_right_way(connectivity):
    label = torch.zeros(1, 1, 11, 13)
    label[..., 1:4, :] = 1
    label[..., 7:10, :] = 1
    wrong = 0.8 * label + 0.1
    wrong[..., 4:7, 6] = 0.7  # a bridge of three
    wrong[..., 5, 1] = 0.6  # a speck
    wrong[..., 2, 10] = 0.4  # a hole
    wrong.requires_grad_()
    WarpingLoss(connectivity=connectivity)(wrong, label).backward()
    down, up = (wrong.grad > 0)[0, 0], (wrong.grad < 0)[0, 0]
    assert down[5, 1]
    assert down[4:7, 6].all()
    assert down.sum() == 4
    assert up[2, 10]
    assert up.sum() == 1


def test_zero_at_agreement_is_connected_to_the_graph():
    label = line()
    for likelihood in (label.clone(), 0.2 * label + 0.4):
        likelihood.requires_grad_()
        loss = WarpingLoss()(likelihood, label)
        loss.backward()
        assert loss.item() == 0
        assert torch.equal(likelihood.grad, torch.zeros_like(label))


def test_gradient_is_that_of_the_value():
    label = line().double()
    assert torch.autograd.gradcheck(WarpingLoss(penalty="cross_entropy"), (with_gap(label), label))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_slope_is_bounded_where_the_prediction_is_saturated(value):
    likelihood = torch.full((1, 1, 4, 5), value, requires_grad=True)
    WarpingLoss()(likelihood, torch.full((1, 1, 4, 5), 1 - value)).backward()
    assert likelihood.grad.abs().max().item() == pytest.approx(1000, rel=1e-3)


def test_classes_reductions_and_weights():
    labels = torch.randint(3, (2, 1, 7, 8), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(1))
    none = WarpingLoss(softmax=True, to_onehot_y=True, reduction="none")(logits, labels)
    assert none.shape == (2, 3, 1, 1)
    onehot = torch.nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1).float()
    for image in range(2):
        for channel in range(3):
            single = WarpingLoss()(logits.softmax(1)[image, channel][None, None], onehot[image, channel][None, None])
            assert none[image, channel].item() == pytest.approx(single.item(), rel=1e-5)
    weighted = WarpingLoss(softmax=True, to_onehot_y=True, weight=[0, 1, 2.0], reduction="sum")(logits, labels)
    assert weighted.item() == pytest.approx((none[:, 1].sum() + 2 * none[:, 2].sum()).item(), rel=1e-5)


def test_ignored_voxels_are_no_error():
    label = line()
    broken = with_gap(label)
    label[..., 2, 3:6] = 255
    loss = WarpingLoss(ignore_index=255)(broken, label)
    loss.backward()
    assert loss.item() == 0
    assert not broken.grad.any()


def test_threshold_moves_what_counts_as_foreground():
    label = line()
    assert WarpingLoss(threshold=0.1)(with_gap(label), label) == 0
    assert WarpingLoss(threshold=0.95)(with_gap(label), label) > 0


def test_pickled_loss_is_the_same():
    loss = WarpingLoss(penalty="squared", threshold=0.3, border="foreground", weight=[1.0, 2.0])
    copy = pickle.loads(pickle.dumps(loss))
    likelihood = torch.rand(2, 2, 6, 7, generator=torch.Generator().manual_seed(2))
    label = (likelihood.flip(3) > 0.5).float()
    assert copy(likelihood, label) == loss(likelihood, label) > 0


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"penalty": "dice"}, "`penalty` to be one of"),
        ({"threshold": 1.0}, "`threshold` to be at least 0 and less than 1"),
        ({"connectivity": "18"}, "`connectivity` to be"),
        ({"border": "mirror"}, "`border` to be"),
        ({"num_threads": 0}, "`num_threads` to be"),
    ],
)
def test_wrong_settings_stop_when_the_loss_is_made(setting, match):
    with pytest.raises(ValueError, match=match):
        WarpingLoss(**setting)
