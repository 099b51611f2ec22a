"""One test for each defect seen in other implementations of the persistence loss and of topology metrics.

Every test states the defect and fails on an implementation that has it.
"""

import pytest
import torch
from monai.losses import DiceCELoss

from monai_topo import betti_numbers, persistence_pairs
from monai_topo.losses import PersistenceLoss, TopologyAwareLoss
from monai_topo.metrics import compute_betti_error


def bars(*rows, shape=(7, 9)):
    label = torch.zeros(1, 1, *shape)
    for row in rows:
        label[..., row, :] = 1
    return label


def gradient(loss, input, target):
    input = input.clone().requires_grad_()
    loss(input, target).backward()
    return input.grad[0, 0]


def test_1_direction_of_the_repair_is_not_inverted():
    label = bars(1, 5)
    input = 0.8 * label + 0.1
    input[..., 2:5, 4] = 0.6  # a false bridge
    grad = gradient(PersistenceLoss(), input, label)
    step = input[0, 0] - grad
    assert step[1].max() > 0.9  # peaks of true components rise
    assert step[2:5, 4].min() < 0.6  # the bridge falls


def test_2_targets_are_those_of_the_probability_not_of_the_logit():
    label = bars(3)
    logits = 40.0 * label - 20.0  # sigmoid: 0 and 1 up to rounding
    assert PersistenceLoss(sigmoid=True)(logits, label) < 1e-12
    with pytest.raises(ValueError, match="sigmoid=True"):
        PersistenceLoss()(logits, label)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (2, 3, 7), (7, 2, 3)])
def test_3_images_that_are_not_square_are_not_scrambled(shape):
    line = torch.zeros(1, *shape)
    line[(0, *[extent // 2 for extent in shape[:-1]])] = 1
    assert len(persistence_pairs(line)) == 0  # one component, nothing else
    assert betti_numbers(line)[0].tolist() == [1] + [0] * (len(shape) - 1)


def test_4_the_essential_component_counts():
    one = bars(3)
    empty = torch.full_like(one, 0.01)
    assert PersistenceLoss()(empty, one) > 0.9
    assert gradient(PersistenceLoss(), empty, one).min() < -1  # something is lifted
    assert betti_numbers(one[0])[0, 0] == 1


def test_5_an_image_without_pairs_in_dimension_0_is_not_an_error():
    peak = torch.zeros(1, 1, 5, 6)
    peak[..., 2, 3] = 0.7
    value = PersistenceLoss(dims=[0])(peak, (peak > 0).float())
    assert value == pytest.approx(0.3**2)


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("shape", [(7, 9), (5, 6, 7)])
def test_6_false_features_cost_where_the_label_is_empty_or_full(shape, border):
    spot = (0, 0, *[extent // 2 for extent in shape])
    empty, full = torch.zeros(1, 1, *shape), torch.ones(1, 1, *shape)
    speck, pinhole = empty.clone(), full.clone()
    speck[spot] = 0.8
    pinhole[spot] = 0.2
    loss = PersistenceLoss(border=border)
    assert loss(empty, empty) == 0
    assert loss(full, full) == 0
    assert gradient(loss, speck, empty)[spot[2:]] > 0
    assert gradient(loss, pinhole, full)[spot[2:]] < 0


def test_7_loops_and_cavities_count():
    shell = torch.zeros(1, 1, 5, 6, 7)
    shell[..., 1:4, 1:5, 1:6] = 1
    cavity = shell.clone()
    cavity[..., 2, 2, 2] = 0
    assert PersistenceLoss(dims=[2])(shell, cavity) == pytest.approx(0.5)
    assert PersistenceLoss(dims=[2])(cavity, shell) == pytest.approx(0.5)
    tunnel = shell.clone()
    tunnel[..., :, 2, 2] = 0
    assert PersistenceLoss(dims=[1])(tunnel, shell) == pytest.approx(0.5)
    holed = bars(1, 2, 3)
    holed[..., 2, 4] = 0
    assert PersistenceLoss(dims=[1])(holed, bars(1, 2, 3)) == pytest.approx(0.5)


def test_8_any_batch_any_dimension_and_a_voxel_critical_for_two_pairs_adds_up():
    # One dip separates three peaks: it is the death of two components.
    image = torch.tensor([[0.1, 0.9, 0.1], [0.8, 0.3, 0.7], [0.1, 0.1, 0.1]])[None, None]
    input = image.double()
    grad = gradient(PersistenceLoss(dims=[0], connectivity="face"), input, torch.zeros_like(input))
    assert grad[1, 1] == pytest.approx(-(0.8 - 0.3) - (0.7 - 0.3))
    # The mean over batch and channels, not the sum over the image.
    batch = input.expand(4, 2, 3, 3)
    loss = PersistenceLoss(dims=[0])
    assert loss(batch, torch.zeros_like(batch)).item() == pytest.approx(loss(input, torch.zeros_like(input)).item())


def test_9_no_option_is_silently_ignored():
    images = torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(0))
    above, below = (persistence_pairs(images, filtration=f).values(images) for f in ("superlevel", "sublevel"))
    assert (above[:, 0] > above[:, 1]).all()
    assert (below[:, 0] < below[:, 1]).all()
    with pytest.raises(ValueError, match="filtration"):
        persistence_pairs(images, filtration="superlevels")
    input, label = images[None], bars(3, shape=(6, 7))
    for weight in (0.5, 1.0, 2.0):  # a weight of 1 or more drops no pixel loss
        combined = TopologyAwareLoss(DiceCELoss(), PersistenceLoss(), weight)(input, label)
        expected = DiceCELoss()(input, label) + weight * PersistenceLoss()(input, label)
        assert combined.item() == pytest.approx(expected.item())


def test_10_nan_is_refused_and_a_constant_prediction_has_a_gradient():
    label = bars(3)
    with pytest.raises(ValueError, match="diverged"):
        PersistenceLoss()(label * float("nan"), label)
    with pytest.raises(ValueError, match="finite"):
        persistence_pairs(label[0] * float("nan"))
    constant = torch.full_like(label, 0.5)
    for border in ("open", "foreground"):
        for target in (label, torch.zeros_like(label), torch.ones_like(label)):
            assert gradient(PersistenceLoss(border=border), constant, target).count_nonzero() > 0


@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_11_components_at_the_border_are_components(connectivity):
    label = torch.zeros(1, 1, 6, 8)
    label[..., 0, 0:2] = label[..., 0, 5:7] = label[..., 3, 3] = 1
    pred = torch.zeros_like(label)
    pred[..., 3, 3] = 1
    assert compute_betti_error(pred, label, connectivity=connectivity).tolist() == [[[2, 0]]]


def test_12_matching_many_features_needs_no_matrix_of_their_pairs():
    noise = torch.rand(1, 1, 300, 310, generator=torch.Generator().manual_seed(1))
    label = (torch.rand(noise.shape, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    assert len(persistence_pairs(noise[0])) > 10_000  # their matrix would hold 10^8 numbers
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        PersistenceLoss()(noise, label)
    largest = max(abs(event.cpu_memory_usage) for event in profiler.events())
    assert largest < 64 * noise.numel()
