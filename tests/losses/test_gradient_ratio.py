"""The weight by gradient: its factor against sums by hand, steps that do not count, resuming, half precision, ranks."""

import copy
import math
import pickle
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss, DiceCELoss
from ratio_cases import SHAPE, bar, make, outputs

from monai_topo import GradientRatio, PersistenceLoss, TopologyAwareLoss


def norms_of(loss, output, label):
    """Norms of the gradients of both parts, each from a graph of its own."""
    norms = []
    for part in (loss.base, loss.topology):
        leaf = output.clone().requires_grad_()
        part(leaf, label).backward()
        norms.append(math.sqrt(float((leaf.grad.double() ** 2).sum())))
    return norms


def test_gradient_of_the_topology_loss_has_the_ratio_of_that_of_the_base():
    for ratio in (0.5, 1.0, 2.0):
        loss, output = make(ratio, momentum=0.0), outputs(1)[0].requires_grad_()
        loss(output, bar()).backward()
        base, topology = (torch.zeros(SHAPE).requires_grad_() for _ in range(2))
        with torch.no_grad():
            base.copy_(output)
            topology.copy_(output)
        loss.base(base, bar()).backward()
        loss.topology(topology, bar()).backward()
        of_topology = output.grad - base.grad
        assert of_topology.norm().item() == pytest.approx(ratio * base.grad.norm().item(), rel=1e-5)
        parts = loss.last_components
        torch.testing.assert_close(of_topology, parts["factor"] * topology.grad, rtol=1e-4, atol=1e-7)
        assert parts["base_gradient"].item() == pytest.approx(base.grad.norm().item())
        assert parts["topology_gradient"].item() == pytest.approx(topology.grad.norm().item())
        torch.testing.assert_close(parts["total"], parts["base"] + parts["factor"] * parts["topology"])


@pytest.mark.parametrize(("momentum", "warmup_steps"), [(0.0, 0), (0.8, 0), (0.8, 3), (0.99, 20)])
def test_factor_follows_running_means(momentum, warmup_steps):
    loss = make(1.5, momentum=momentum, warmup_steps=warmup_steps)
    means = [0.0, 0.0]
    for n, output in enumerate(outputs(6), start=1):
        loss(output.requires_grad_(), bar())
        norms = norms_of(loss, output.detach(), bar())
        means = [momentum * mean + (1 - momentum) * norm for mean, norm in zip(means, norms, strict=True)]
        expected = 1.5 * means[0] / means[1] * (min(1, n / warmup_steps) if warmup_steps else 1)
        assert loss.last_components["factor"].item() == pytest.approx(expected, rel=1e-5)
    assert loss.gradient_ratio.steps == 6


def test_bounds():
    measured = make(momentum=0.0)
    measured(outputs(1)[0].requires_grad_(), bar())
    factor = measured.last_components["factor"].item()
    for bounds in ((factor * 2, factor * 3), (factor / 3, factor / 2)):
        loss = make(bounds=bounds, momentum=0.0)
        loss(outputs(1)[0].requires_grad_(), bar())
        assert loss.last_components["factor"].item() == pytest.approx(min(max(factor, bounds[0]), bounds[1]))


def nothing(output, target):
    return output.sum() * 0


def constant(output, target):
    return torch.ones(())


def infinite(output, target):
    return (output.abs() * math.inf).sum()


def nan(output, target):
    return (output * float("nan")).sum()


@pytest.mark.parametrize("broken", [nothing, constant, infinite, nan])
@pytest.mark.parametrize("part", ["base", "topology"])
def test_steps_without_a_gradient_or_with_nan_do_not_count(part, broken):
    parts = {"base": DiceCELoss(sigmoid=True), "topology": PersistenceLoss(sigmoid=True)}
    sound = parts[part]
    loss = TopologyAwareLoss(
        lambda *args: parts["base"](*args),
        lambda *args: parts["topology"](*args),
        ratio=GradientRatio(momentum=0.5, warmup_steps=0),
    )
    first, second, third = outputs(3)
    parts[part] = broken
    loss(first.requires_grad_(), bar())
    assert loss.last_components["factor"].item() == pytest.approx(1e-4)  # nothing was measured yet
    parts[part] = sound
    loss(second.requires_grad_(), bar())
    state, factor = copy.deepcopy(loss.state_dict()), loss.last_components["factor"]
    parts[part] = broken
    loss(third.requires_grad_(), bar())
    assert loss.last_components["factor"] == factor
    assert loss.gradient_ratio.steps == 1
    assert all(torch.equal(loss.state_dict()[name], value) for name, value in state.items())


def test_weight_is_a_schedule_that_multiplies_the_ratio():
    loss, output = make(momentum=0.0, weight=0.0), outputs(1)[0].requires_grad_()
    assert loss(output, bar()) == loss.base(output, bar())
    assert sorted(loss.last_components) == ["base", "total"]
    assert loss.gradient_ratio.steps == 0  # the warm-up with the pixel loss is not measured
    loss.set_weight(1.0)
    whole = loss(output, bar())
    loss.set_weight(0.5)
    base = loss.base(output, bar())
    torch.testing.assert_close(loss(output, bar()) - base, (whole - base) / 2)


def test_evaluation_uses_the_factor_and_leaves_it():
    loss, (first, second) = make(momentum=0.5), outputs(2)
    loss(first.requires_grad_(), bar())
    factor, state = loss.last_components["factor"], copy.deepcopy(loss.state_dict())
    with torch.no_grad():
        value = loss(second.requires_grad_(), bar())
    assert "base_gradient" not in loss.last_components
    torch.testing.assert_close(value, loss.base(second, bar()) + factor * loss.topology(second, bar()))
    loss(second.detach(), bar())  # without a gradient either
    assert "base_gradient" not in loss.last_components
    assert all(torch.equal(loss.state_dict()[name], value) for name, value in state.items())


def test_resumes_bit_for_bit():
    whole, halves = make(warmup_steps=2), make(warmup_steps=2)
    values = [whole(output.requires_grad_(), bar()) for output in outputs(5)]
    for output in outputs(5)[:3]:
        halves(output.requires_grad_(), bar())
    state = pickle.loads(pickle.dumps(halves.state_dict()))
    assert sorted(state) == ["gradient_ratio.norms", "gradient_ratio.steps"]
    resumed = make(warmup_steps=2)
    resumed.load_state_dict(state)
    for output, value in zip(outputs(5)[3:], values[3:], strict=True):
        assert resumed(output.requires_grad_(), bar()) == value
    assert pickle.loads(pickle.dumps(resumed))(outputs(1)[0], bar()) == resumed(outputs(1)[0], bar())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_underflow(dtype):
    def tiny(output, target):
        return 1e-9 * DiceCELoss(sigmoid=True)(output, target)

    loss = TopologyAwareLoss(
        tiny, PersistenceLoss(sigmoid=True), ratio=GradientRatio(warmup_steps=0, bounds=(1e-20, 1))
    )
    weight = torch.ones(1, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        output = (outputs(1)[0] * weight).to(dtype)
        value = loss(output, bar())
    exact = copy.deepcopy(loss)
    exact(output.detach().float().requires_grad_(), bar())
    for name in ("base_gradient", "topology_gradient", "factor"):
        assert loss.last_components[name] == exact.last_components[name] > 0
    (2.0**16 * value).backward()  # as a GradScaler does
    assert weight.grad.isfinite().all()
    assert weight.grad.count_nonzero() == 1


def test_deep_supervision_measures_the_finest_level():
    coarse = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(9)).requires_grad_()
    finest = outputs(1)[0].requires_grad_()
    loss = make(momentum=0.0)
    loss.base = DeepSupervisionLoss(DiceCELoss(sigmoid=True))
    loss([finest, coarse], bar())
    leaf = finest.detach().clone().requires_grad_()
    loss.base([leaf, coarse], bar()).backward()
    assert loss.last_components["base_gradient"].item() == pytest.approx(leaf.grad.norm().item())


def test_accumulated_micro_batches_count_one_by_one_and_meta_tensors_are_plain():
    loss, network = make(), torch.nn.Conv2d(1, 1, 3, padding=1)
    for image in outputs(3):
        (loss(network(MetaTensor(image)), MetaTensor(bar())) / 3).backward()
    assert loss.gradient_ratio.steps == 3
    assert type(loss.gradient_ratio.norms) is torch.Tensor
    assert network.weight.grad.isfinite().all()


def test_contradictions_and_wrong_settings_are_refused():
    parts = DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True)
    with pytest.raises(ValueError, match="either a weight or a ratio"):
        TopologyAwareLoss(*parts, weight=0.3, ratio=1.0)
    assert TopologyAwareLoss(*parts).gradient_ratio is None
    assert TopologyAwareLoss(*parts, ratio=2).gradient_ratio.ratio == 2
    assert list(TopologyAwareLoss(*parts, 0.3).state_dict()) == []
    for settings, words in [
        ({"ratio": 0}, "`ratio`"),
        ({"ratio": -1.0}, "`ratio`"),
        ({"ratio": math.nan}, "`ratio`"),
        ({"momentum": 1.0}, "`momentum`"),
        ({"warmup_steps": 1.5}, "`warmup_steps`"),
        ({"bounds": (0.0, 1.0)}, "`bounds`"),
        ({"bounds": (2.0, 1.0)}, "`bounds`"),
        ({"bounds": (1.0, math.inf)}, "`bounds`"),
    ]:
        with pytest.raises(ValueError, match=words):
            GradientRatio(**settings)
    many = TopologyAwareLoss(parts[0], PersistenceLoss(sigmoid=True, reduction="none"), ratio=1.0)
    with pytest.raises(ValueError, match="`topology` to be a scalar with `ratio`"):
        many(outputs(1)[0].requires_grad_(), bar())


def factors_of_rank(rank, folder, world_size):
    if world_size > 1:
        init = f"file://{folder}/rendezvous"
        torch.distributed.init_process_group("gloo", init_method=init, rank=rank, world_size=world_size)
    torch.set_num_threads(1)
    loss, found = make(0.7, momentum=0.5), []
    loss.overlap = world_size > 1  # the sums over processes are taken on the calling thread
    part = slice(None) if world_size == 1 else slice(rank, rank + 1)
    for output in outputs(4):
        loss(output[part].clone().requires_grad_(), bar()[part])
        found.append(loss.last_components["factor"])
    torch.save(torch.stack(found), Path(folder) / f"{world_size}_{rank}.pt")
    if world_size > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_factor_of_one(tmp_path):
    torch.multiprocessing.spawn(factors_of_rank, args=(str(tmp_path), 2), nprocs=2)
    threads = torch.get_num_threads()
    factors_of_rank(0, tmp_path, 1)
    torch.set_num_threads(threads)
    first, second, alone = (torch.load(tmp_path / name) for name in ("2_0.pt", "2_1.pt", "1_0.pt"))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, alone)
