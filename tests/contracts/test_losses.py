"""One contract for every loss of the package, on drawings in 2D and 3D. A new loss is one more line in `LOSSES`."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from loss_drawings import ERRORS, likelihood, random_case, ring, spot, wrong
from monai.losses import DiceLoss
from torch import Tensor, nn

from monai_topo import betti_numbers
from monai_topo.losses import (
    BettiMatchingLoss,
    BettiPriorLoss,
    ClDiceLoss,
    LikelihoodLoss,
    PersistenceLoss,
    SCNPLoss,
    SkeletonRecallLoss,
    WarpingLoss,
)


@dataclass(frozen=True)
class Case:
    """A loss, and what it cannot promise: names of checks, each with the reason."""

    make: Callable[..., nn.Module]
    cannot: dict[str, str] = field(default_factory=dict)
    needs_numbers: bool = False  # called with Betti numbers in place of a label


RECALL_ONLY = {
    **dict.fromkeys(["speck", "bridge"], "a recall asks for no background"),
    "false features of an empty label": "an empty skeleton asks for nothing",
}


class MeanSquares(LikelihoodLoss):
    """A plain pixel loss, for the losses that wrap one."""

    def per_class(self, likelihood: Tensor, target: Tensor) -> Tensor:
        return ((likelihood - target) ** 2).flatten(2).mean(2)


LOSSES = {
    "persistence": Case(PersistenceLoss),
    "persistence, rank, frame": Case(lambda **kw: PersistenceLoss(matching="rank", border="foreground", **kw)),
    "persistence, spatial": Case(lambda **kw: PersistenceLoss(matching="spatial", **kw)),
    "persistence, spatial, frame, face": Case(
        lambda **kw: PersistenceLoss(matching="spatial", border="foreground", connectivity="face", **kw)
    ),
    "persistence, saturated": Case(lambda **kw: PersistenceLoss(saturation=0.05, **kw)),
    "persistence, support": Case(lambda **kw: PersistenceLoss(support=0.05, **kw)),
    "betti matching": Case(BettiMatchingLoss),
    "betti matching, support": Case(lambda **kw: BettiMatchingLoss(support=0.05, **kw)),
    "betti matching, frame, face": Case(lambda **kw: BettiMatchingLoss(border="foreground", connectivity="face", **kw)),
    "persistence, cross-entropy": Case(lambda **kw: PersistenceLoss(penalty="cross_entropy", **kw)),
    "betti matching, cross-entropy": Case(lambda **kw: BettiMatchingLoss(penalty="cross_entropy", **kw)),
    "persistence, along structures": Case(
        lambda **kw: PersistenceLoss(gradient="structure_towards_label", **kw),
        cannot={"gradient": "it pulls voxels on which the value does not depend"},
    ),
    "warping": Case(
        lambda **kw: WarpingLoss(penalty="squared", **kw), cannot={"unsure": "it sees the mask at 0.5, right here"}
    ),
    "prior": Case(BettiPriorLoss, needs_numbers=True),
    "prior, frame": Case(lambda **kw: BettiPriorLoss(border="foreground", **kw), needs_numbers=True),
    "skeleton recall": Case(SkeletonRecallLoss, cannot=RECALL_ONLY),
    "clDice": Case(ClDiceLoss, cannot={"false features of an empty label": "nothing exceeds 0.5"}),
    "clDice, soft": Case(
        lambda **kw: ClDiceLoss(skeleton="soft", **kw), cannot={"constant": "a constant map has no soft skeleton"}
    ),
    "neighbor penalty": Case(lambda **kw: SCNPLoss(MeanSquares(**kw))),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
both_dims = pytest.mark.parametrize("ndim", [2, 3])


def target_of(name: str, label: Tensor, **kwargs: object) -> Tensor:
    """Return the second argument of the loss: the label, or for a prior its Betti numbers."""
    case = LOSSES[name]
    if not case.needs_numbers:
        return label
    loss = case.make(**kwargs)
    return betti_numbers(label.flatten(0, 1), border=loss.border).view(*label.shape[:2], label.ndim - 2)


@pytest.mark.parametrize(
    "kind", [PersistenceLoss, BettiMatchingLoss, WarpingLoss, SkeletonRecallLoss, BettiPriorLoss, ClDiceLoss]
)
def test_options_are_explicit_and_begin_as_those_of_dice_loss(kind):
    options = inspect.signature(kind).parameters.values()
    positional = [option.name for option in options if option.kind is option.POSITIONAL_OR_KEYWORD]
    first = list(inspect.signature(DiceLoss).parameters)[:5]
    assert positional == [name for name in first if kind is not BettiPriorLoss or name != "to_onehot_y"]
    assert {option.kind.name for option in options} == {"POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"}
    assert all(option.default is not option.empty and option.annotation is not option.empty for option in options)
    assert {"reduction", "weight"} < {option.name for option in options}
    with pytest.raises(TypeError, match="'conectivity'"):
        kind(conectivity="full")


def test_activation_may_be_a_module_with_parameters():
    slope = nn.PReLU()
    loss = PersistenceLoss(other_act=slope)
    assert list(loss.parameters()) == list(slope.parameters())
    assert [name for name, _ in loss.named_modules()] == ["", "other_act"]


@every_loss
@both_dims
def test_zero_at_perfect_agreement_and_positive_otherwise(name, ndim):
    for label in (ring(ndim), torch.zeros_like(ring(ndim)), torch.ones_like(ring(ndim))):
        target, loss = target_of(name, label), LOSSES[name].make()
        if not (LOSSES[name].needs_numbers and (label.all() or not label.any())):  # a full frame has no hole
            assert loss(label, target) == 0
        cannot = LOSSES[name].cannot
        is_constant = label.all() or not label.any()
        empty_only = "false features of an empty label" in cannot and not label.any()
        if "unsure" in cannot or empty_only or ("constant" in cannot and is_constant):
            assert loss(likelihood(label), target) == 0
        else:
            assert loss(likelihood(label), target) > 0


@every_loss
@both_dims
@pytest.mark.parametrize("error", ERRORS)
def test_errors_cost_and_a_step_reduces_them(name, ndim, error):
    label, loss = ring(ndim), LOSSES[name].make()
    target, input = target_of(name, label), wrong(ndim, error).requires_grad_()
    value, least = loss(input, target), loss(likelihood(label), target)
    if error in LOSSES[name].cannot:
        assert value == least
        return
    assert value > least
    value.backward()
    pull = -input.grad[spot(ndim, error)]
    toward_label = 1 if error in ("break", "hole") else -1
    assert (toward_label * pull).max() > 0
    assert (toward_label * pull).min() >= 0
    stepped = (input - 0.01 * input.grad / input.grad.abs().max()).detach()
    assert loss(stepped, target) < value


@every_loss
@pytest.mark.parametrize("ndim", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_gradcheck(name, ndim):
    input, label = random_case(2, 1, *((4, 5) if ndim == 2 else (3, 3, 4)))
    loss, target = LOSSES[name].make(), target_of(name, label)
    is_gradient = torch.autograd.gradcheck(
        lambda x: loss(x, target),
        (input.requires_grad_(),),
        eps=1e-6,
        raise_exception="gradient" not in LOSSES[name].cannot,
    )
    assert is_gradient == ("gradient" not in LOSSES[name].cannot)


@every_loss
@both_dims
def test_batch_and_classes_equal_single_ones_and_reductions_are_theirs(name, ndim):
    input, label = random_case(3, 2, *((6, 7) if ndim == 2 else (4, 5, 6)))
    target, make = target_of(name, label), LOSSES[name].make
    each = make(reduction="none")(input, target)
    assert each.shape == (3, 2, *[1] * ndim)
    for b, c in ((b, c) for b in range(3) for c in range(2)):
        torch.testing.assert_close(each[b, c].sum(), make()(input[b : b + 1, c : c + 1], target[b : b + 1, c : c + 1]))
    torch.testing.assert_close(make()(input, target), each.mean())
    torch.testing.assert_close(make(reduction="sum")(input, target), each.sum())
    torch.testing.assert_close(make(weight=[0.0, 2.0])(input, target), each[:, 1].mean())
    assert make(weight=0.0)(input.requires_grad_(), target).requires_grad


@every_loss
def test_class_of_weight_zero_is_not_computed(name, monkeypatch):
    input, label = random_case(2, 3, 5, 6)
    loss, seen = LOSSES[name].make(weight=[0.0, 1.0, 0.0]), []
    inner = loss.base if isinstance(loss, SCNPLoss) else loss
    per_class = inner.per_class
    monkeypatch.setattr(
        inner, "per_class", lambda *args: seen.append([x.shape[1] for x in args[:2]]) or per_class(*args)
    )
    loss(input.requires_grad_(), target_of(name, label)).backward()
    assert seen == [[1, 1]]
    assert input.grad[:, [0, 2]].count_nonzero() == 0


@every_loss
@both_dims
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_labels_give_finite_values_and_gradients(name, ndim, value):
    label = torch.full_like(ring(ndim), value)
    for fill in (0.0, 0.5, 1.0):
        input = torch.full_like(label, fill).requires_grad_()
        loss = LOSSES[name].make()(input, target_of(name, label))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(input.grad).all()


@every_loss
@both_dims
def test_constant_prediction_has_a_gradient_that_makes_a_first_sign_of_the_label(name, ndim):
    label = ring(ndim)
    input = torch.full_like(label, 0.5).requires_grad_()
    LOSSES[name].make()(input, target_of(name, label)).backward()
    assert input.grad.count_nonzero() > 0
    if not LOSSES[name].needs_numbers:
        assert (input.grad[label == 1] <= 0).all()
        assert (input.grad[label == 0] >= 0).all()


@every_loss
def test_empty_batch_is_a_zero_connected_to_the_graph(name):
    input = torch.rand(0, 2, 5, 6).requires_grad_()
    loss = LOSSES[name].make()(input, target_of(name, torch.zeros(0, 2, 5, 6)))
    assert loss == 0
    loss.backward()


@every_loss
def test_nothing_to_do_is_a_zero_connected_to_the_graph(name):
    label = torch.zeros(1, 1, 5, 6)
    input = label.clone().requires_grad_()
    loss = LOSSES[name].make()(input, target_of(name, label))
    loss.backward()  # a constant would raise
    assert input.grad is not None


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_and_autocast(name, dtype):
    label = ring(2)
    logits = torch.randn(label.shape, generator=torch.Generator().manual_seed(2)).to(dtype).requires_grad_()
    loss, target = LOSSES[name].make(sigmoid=True), target_of(name, label)
    value = loss(logits, target)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(logits, target), value)
    value.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.count_nonzero() > 0


@every_loss
@pytest.mark.gpu
def test_device(name):
    input, label = random_case(2, 2, 6, 7)
    loss, target = LOSSES[name].make(weight=[1.0, 2.0]), target_of(name, label)
    on_gpu = copy.deepcopy(loss).cuda()(input.cuda(), target.cuda())
    assert on_gpu.device.type == "cuda"
    torch.testing.assert_close(on_gpu.cpu(), loss(input, target))


@every_loss
def test_pickle_deepcopy_and_state_dict(name):
    input, label = random_case(2, 2, 5, 6)
    loss, target = LOSSES[name].make(weight=[1.0, 2.0]), target_of(name, label)
    value = LOSSES[name].make(weight=[1.0, 2.0])(input, target)
    assert pickle.loads(pickle.dumps(loss))(input, target) == loss(input, target) == value
    assert copy.deepcopy(loss)(input, target) == value
    assert [key.removeprefix("base.") for key in loss.state_dict()] == ["class_weight"]


@every_loss
def test_arguments_that_are_not_tensors_are_refused_with_a_sentence(name):
    input, label = random_case(1, 1, 5, 6)
    loss, target = LOSSES[name].make(), target_of(name, label)
    for bad_input, bad_target, words in [
        (input.numpy(), target, "`input` to be a torch.Tensor, but got ndarray"),
        (input, target.numpy(), "`target` to be a torch.Tensor, but got ndarray"),
        ([input, input], target, "finest level"),
    ]:
        with pytest.raises(TypeError, match=words):
            loss(bad_input, bad_target)
