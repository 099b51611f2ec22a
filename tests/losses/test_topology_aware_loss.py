"""TopologyAwareLoss: the sum, the warm-up and the pieces kept for logging."""

import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import ParamSchedulerHandler
from monai.losses import DeepSupervisionLoss, DiceCELoss

from monai_topo.losses import GradientRatio, PersistenceLoss, TopologyAwareLoss

LABEL = torch.zeros(2, 1, 6, 7)
LABEL[..., 2:4, :] = 1
LOGITS = torch.randn(2, 1, 6, 7, generator=torch.Generator().manual_seed(0))


def make(weight):
    return TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True), weight)


def test_value_is_base_plus_weighted_topology():
    loss = make(0.25)
    value = loss(LOGITS, LABEL)
    base, topology = loss.base(LOGITS, LABEL), loss.topology(LOGITS, LABEL)
    assert value.item() == pytest.approx((base + 0.25 * topology).item())
    assert {name: part.item() for name, part in loss.last_components.items()} == pytest.approx(
        {"base": base.item(), "topology": topology.item(), "total": value.item()}
    )
    assert not any(part.requires_grad for part in loss.last_components.values())


def test_weight_zero_does_not_compute_the_topology_loss():
    def never(input, target):
        raise AssertionError("computed during the warm-up")

    loss = TopologyAwareLoss(DiceCELoss(sigmoid=True), never, weight=0.0)
    assert loss(LOGITS, LABEL) == DiceCELoss(sigmoid=True)(LOGITS, LABEL)
    assert sorted(loss.last_components) == ["base", "total"]


def test_warm_up_by_a_param_scheduler_handler():
    loss, seen = make(0.0), []
    engine = Engine(lambda engine, batch: None)
    ParamSchedulerHandler(
        parameter_setter=loss.set_weight,
        value_calculator="step",
        vc_kwargs={"initial_value": 0.5, "gamma": 0.1, "step_size": 2},
        epoch_level=True,
        event=Events.EPOCH_STARTED,
    ).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: seen.append(loss.weight))
    engine.run([0], max_epochs=4)
    assert seen == pytest.approx([0.5, 0.05, 0.05, 0.005])


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_impossible_weight_is_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        make(weight)
    with pytest.raises(ValueError, match="weight"):
        make(1.0).set_weight(weight)


def test_every_third_call_counts_three_times():
    loss = TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True), 0.5, every=3)
    logits = LOGITS.clone().requires_grad_()
    base, topology = loss.base(logits, LABEL), loss.topology(logits, LABEL)
    with torch.no_grad():
        torch.testing.assert_close(loss(logits, LABEL), base + 0.5 * topology)
    loss.set_weight(0.0)
    assert loss(logits, LABEL) == base  # a warm-up is not counted
    loss.set_weight(0.5)
    values = [loss(logits, LABEL) for _ in range(5)]
    torch.testing.assert_close(torch.stack(values), base + 1.5 * topology * torch.tensor([1, 0, 0, 1, 0]))
    assert sorted(loss.last_components) == ["base", "total"]
    resumed = TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True), 0.5, every=3)
    resumed.load_state_dict(loss.state_dict())
    assert [resumed(logits, LABEL) == base for _ in range(3)] == [True, False, True]
    assert list(make(0.5).state_dict()) == []
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="every"):
            TopologyAwareLoss(DiceCELoss(), PersistenceLoss(), every=wrong)


def test_ratio_holds_on_average_over_every_n_calls():
    balance = GradientRatio(1.0, momentum=0.0, warmup_steps=0)
    loss = TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True), ratio=balance, every=2)
    total, base = (LOGITS.clone().requires_grad_() for _ in range(2))
    (loss(total, LABEL) + loss(total, LABEL)).backward()
    (2 * loss.base(base, LABEL)).backward()
    torch.testing.assert_close((total.grad - base.grad).norm(), base.grad.norm())


def test_loss_that_is_no_loss_is_refused():
    with pytest.raises(TypeError, match="topology"):
        TopologyAwareLoss(DiceCELoss(), "persistence")


def test_of_deep_supervision_levels_the_topology_loss_gets_the_finest():
    coarse = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    loss = TopologyAwareLoss(
        DeepSupervisionLoss(DiceCELoss(sigmoid=True)), PersistenceLoss(sigmoid=True, patch_size=3), weight=0.5
    )
    loss([LOGITS, coarse], LABEL)
    parts = loss.last_components
    assert parts["topology"].item() == loss.topology(LOGITS, LABEL).item()
    assert parts["base"].item() != DiceCELoss(sigmoid=True)(LOGITS, LABEL).item()
