"""The topology loss on its thread: equal results, errors, order, and a stand-in for the stream of a GPU."""

import contextlib
import contextvars
import copy
import threading
import time

import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceCELoss
from torch import nn

from monai_topo import BettiMatchingLoss, GradientRatio, PersistenceLoss, TopologyAwareLoss
from monai_topo.losses import _background

BASE = DiceCELoss(sigmoid=True)


def case(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = shape or (2, 1, 12, 15)
    return torch.randn(shape, generator=generator), (torch.rand(shape, generator=generator) > 0.5).float()


def mean(output, target):
    return output.mean()


CASES = {
    "weight": lambda **kw: TopologyAwareLoss(BASE, PersistenceLoss(sigmoid=True), 0.3, **kw),
    "logits": lambda **kw: TopologyAwareLoss(BASE, PersistenceLoss(sigmoid=True, penalty="cross_entropy"), **kw),
    "ratio": lambda **kw: TopologyAwareLoss(BASE, BettiMatchingLoss(sigmoid=True), ratio=GradientRatio(2.0), **kw),
    "drawn": lambda **kw: TopologyAwareLoss(
        BASE, PersistenceLoss(sigmoid=True, patch_size=5, num_patches=2), every=2, **kw
    ),
}
SURROUNDINGS = {
    "plain": contextlib.nullcontext,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no gradient": torch.no_grad,
    "inference": torch.inference_mode,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("surrounding", SURROUNDINGS)
@pytest.mark.parametrize("shape", [(2, 1, 12, 15), (1, 1, 9, 10, 11)])
def test_results_are_equal_bit_for_bit(name, surrounding, shape):
    found = []
    for overlap in (False, True):
        loss = CASES[name](overlap=overlap)
        torch.manual_seed(0)
        network = nn.Conv2d(1, 1, 3, padding=1) if len(shape) == 4 else nn.Conv3d(1, 1, 3, padding=1)
        values, parts = [], []
        for seed in range(4):
            image, label = case(*shape, seed=seed)
            with SURROUNDINGS[surrounding]():
                value = loss(network(image), label)
            if value.requires_grad:
                value.backward()
            values.append(value.detach().clone())
            parts.append({name: part.clone() for name, part in loss.last_components.items()})
        assert value.requires_grad == (surrounding in ("plain", "autocast"))
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        found.append((values, parts, grads, loss.state_dict()))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_thread_has_the_settings_of_the_caller(surrounding):
    number, found = contextvars.ContextVar("number", default=0), []

    def settings():
        autocast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
        return *autocast, torch.is_grad_enabled(), torch.is_inference_mode_enabled(), number.get()

    def topology(output, target):
        found.append(settings())
        return output.mean()

    number.set(3)
    with SURROUNDINGS[surrounding]():
        TopologyAwareLoss(mean, topology, overlap=True)(*case())
        assert found == [settings()]
    assert found[0][-1] == 3


def test_deep_supervision_and_float64():
    (finest, label), (coarse, _) = case(), case(2, 1, 6, 7)
    both = [
        TopologyAwareLoss(DeepSupervisionLoss(BASE), PersistenceLoss(sigmoid=True), overlap=overlap)(
            [finest.double(), coarse.double()], label
        )
        for overlap in (False, True)
    ]
    assert both[0] == both[1]


def test_the_two_losses_run_at_the_same_time():
    began, may_end = threading.Event(), threading.Event()
    threads = []

    def base(output, target):
        assert began.wait(60), "the topology loss did not begin before the base loss ended"
        may_end.set()
        return output.mean()

    def topology(output, target):
        threads.append(threading.current_thread())
        began.set()
        assert may_end.wait(60)
        return output.sum()

    output, target = case()
    loss = TopologyAwareLoss(base, topology, overlap=True)
    torch.testing.assert_close(loss(output, target), output.mean() + output.sum())
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize("settings", [{}, {"overlap": False}, {"overlap": True, "weight": 0.0}])
def test_no_thread_where_none_is_needed(settings, monkeypatch):
    monkeypatch.setattr(_background, "_the_executor", lambda: pytest.fail("a thread was started"))
    output, target = case()
    TopologyAwareLoss(mean, mean, **settings)(output, target)


def test_error_of_the_topology_loss_is_raised_in_the_caller_and_the_next_call_works():
    output, target = case()
    loss = TopologyAwareLoss(BASE, PersistenceLoss(), overlap=True)
    with pytest.raises(ValueError, match="sigmoid=True"):
        loss(5 * output, target)
    pending = loss.start(5 * output, target)
    for _ in range(2):
        with pytest.raises(ValueError, match="sigmoid=True"):
            pending.result()
    assert loss(output.sigmoid(), target) == TopologyAwareLoss(BASE, PersistenceLoss())(output.sigmoid(), target)


def test_error_of_the_base_loss_waits_for_the_thread():
    ended = threading.Event()

    def topology(output, target):
        time.sleep(0.3)
        ended.set()
        return output.sum()

    def base(output, target):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        TopologyAwareLoss(base, topology, overlap=True)(*case())
    assert ended.is_set()


def test_backward_twice_through_one_graph():
    output, target = case()
    output.requires_grad_()
    value = TopologyAwareLoss(BASE, PersistenceLoss(sigmoid=True), overlap=True)(output, target)
    (first,) = torch.autograd.grad(value, output, retain_graph=True)
    value.backward()
    assert torch.equal(output.grad, first)


@pytest.mark.parametrize("name", CASES)
def test_accumulated_micro_batches_overlap_with_equal_results(name):
    micro_batches, found = [case(seed=seed) for seed in range(5)], []
    for is_pipelined in (False, True):
        loss = CASES[name](overlap=is_pipelined)
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
        values, pending = [], None
        for image, label in micro_batches:
            following = loss.start(network(image), label)
            if not is_pipelined:
                values.append(following.result())
                (values[-1] / 5).backward()
                continue
            if pending is not None:
                values.append(pending.result())
                (values[-1] / 5).backward()
            pending = following
        if pending is not None:
            assert pending.result() is pending.result()
            values.append(pending.result())
            (values[-1] / 5).backward()
        found.append(([v.detach() for v in values], [p.grad for p in network.parameters()], loss.state_dict()))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_calls_run_in_their_order():
    order = []

    def topology(output, target):
        time.sleep(0.05 * (3 - len(order)))
        order.append(int(output[0, 0, 0, 0]))
        return output.sum()

    loss = TopologyAwareLoss(mean, topology, overlap=True)
    pending = [loss.start(torch.full((1, 1, 2, 2), float(i)), torch.zeros(1)) for i in range(3)]
    for one in reversed(pending):
        one.result()
    assert order == [0, 1, 2]


def test_weight_is_that_of_the_start():
    loss = TopologyAwareLoss(mean, mean, 2.0, overlap=True)
    output, target = case()
    pending = loss.start(output, target)
    loss.set_weight(5.0)
    torch.testing.assert_close(pending.result(), 3 * output.mean())


def test_a_loss_inside_a_loss_does_not_wait_for_itself():
    output, target = case()
    inner = [TopologyAwareLoss(mean, PersistenceLoss(sigmoid=True), overlap=o) for o in (True, False)]
    outer = [TopologyAwareLoss(BASE, one, overlap=one.overlap) for one in inner]
    assert outer[0](output, target) == outer[1](output, target)


def test_copies_work():
    output, target = case()
    loss = CASES["ratio"](overlap=True)
    value = loss(output.clone().requires_grad_(), target)
    assert copy.deepcopy(loss)(output, target) == loss(output, target)
    assert value.isfinite()


class StandIn:
    """Writes down what happens to the stream, and on which thread."""

    def __init__(self, tensors, events):
        self.events = events
        self.write("made", len(tensors))

    def write(self, *what):
        thread = "main" if threading.current_thread() is threading.main_thread() else "background"
        self.events.append((*what, thread))

    @contextlib.contextmanager
    def current(self):
        self.write("entered")
        yield
        self.write("left")

    def join(self, value):
        self.write("joined", value.item())


def test_a_stream_begins_before_the_base_loss_and_is_joined_before_the_sum(monkeypatch):
    events = []
    monkeypatch.setattr(_background, "side_stream", lambda tensors: StandIn(tensors, events))
    began = threading.Event()

    def base(output, target):
        began.wait(60)
        events.append(("base", "main"))
        return output.mean()

    def topology(output, target):
        events.append(("topology",))
        began.set()
        return output.sum() * 0 + 4

    TopologyAwareLoss(base, topology, overlap=True)(*case())
    of_stream = [event for event in events if event != ("base", "main")]
    expected = [("made", 2, "main"), ("entered", "background"), ("topology",), ("left", "background")]
    assert of_stream == [*expected, ("joined", 4.0, "main")]
    assert events[-1] == ("joined", 4.0, "main")
