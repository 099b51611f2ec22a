"""With a structure at its target the feature is there: checked by the diagram of the changed image, by GUDHI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import MASK_SETTINGS, every_mask_setting, smooth_image
from oracles.gudhi_diagrams import gudhi_diagram

from monai_topo import PersistenceLoss, PersistencePairs, betti_numbers, persistence_pairs
from monai_topo.persistence.critical_sets import critical_set_loss, critical_set_targets

every_shape = pytest.mark.parametrize("shape", [(13, 18), (6, 7, 9)], ids=str)


def smooth(shape, seed=0):
    return torch.sigmoid(3 * torch.from_numpy(smooth_image(np.random.default_rng([seed, *shape]), shape, 0.9)))[None]


def only(pairs, index):
    one = [column[index : index + 1] for column in (pairs.image, pairs.dim, pairs.birth, pairs.death)]
    return PersistencePairs(*one, pairs.essential, pairs.num_voxels)


def moved(images, pairs, targets, **setting):
    rise, fall = critical_set_targets(images, pairs, targets, **setting)
    assert (rise >= images).all()
    assert (fall <= images).all()
    assert not ((rise > images) & (fall < images)).any()
    return torch.where(rise > images, rise, fall)


@every_mask_setting
@every_shape
def test_either_end_of_a_component_or_hole_moves_to_the_diagonal_and_no_other_of_its_dimension_does(shape, setting):
    images = smooth(shape)
    last = len(shape) - 1
    pairs = persistence_pairs(images, dims=[0, last], **setting)
    values = pairs.values(images)
    expected = gudhi_diagram(images[0].numpy(), filtration="superlevel", **setting)
    checked = 0
    for index in range(0, len(pairs), 2):
        dim = pairs.dim[index].item()
        for end in (0, 1):
            target = values[index].clone()
            target[end] = values[index].mean()
            changed = moved(images, only(pairs, index), target[None], **setting)
            diagram = gudhi_diagram(changed[0].numpy(), filtration="superlevel", **setting)
            assert any(point[0] == dim and np.allclose(point[1:], target, atol=1e-12) for point in diagram)
            assert len([point for point in diagram if point[0] == dim]) <= len([p for p in expected if p[0] == dim])
            checked += 1
    assert checked >= 4


@every_mask_setting
@every_shape
def test_both_ends_at_the_middle_remove_a_component_or_hole(shape, setting):
    images = smooth(shape, seed=1)
    pairs = persistence_pairs(images, dims=[0, len(shape) - 1], **setting)
    values = pairs.values(images)
    for index in range(0, len(pairs), 5):
        dim = pairs.dim[index].item()
        middle = values[index].mean().expand(1, 2)
        changed = moved(images, only(pairs, index), middle, **setting)
        crossing = [
            sum(point[0] == dim and point[1] > middle[0, 0] > point[2] for point in gudhi_diagram(x, **full))
            for full in [{"filtration": "superlevel", **setting}]
            for x in (images[0].numpy(), changed[0].numpy())
        ]
        assert crossing[1] < crossing[0]


@pytest.mark.parametrize("shape", [(9, 15), (7, 9, 15)], ids=str)
def test_drawn_break_and_weak_ring(shape):
    middle = (slice(None),) if len(shape) == 2 else (3, slice(None))
    label = torch.zeros(shape)
    label[middle][4] = 1
    images = (0.8 * label + 0.1)[None]
    images[(0, *middle[:-1], 4, slice(5, 10))] = 0.3
    pairs = persistence_pairs(images, dims=[0])
    changed = moved(images, pairs, torch.full((1, 2), 0.6))
    path = torch.zeros(shape)
    path[(*middle[:-1], 4, slice(5, 10))] = 1
    assert torch.equal((changed > images)[0], path.bool())
    assert (changed < images).sum() == 5  # the piece that is joined falls as well

    ring = torch.zeros(shape)
    ring[middle][2:7, 3:10] = 1
    ring[middle][3:6, 4:9] = 0
    weak = torch.where(ring > 0, 0.9, 0.1)[None]
    weak[(0, *middle[:-1], 2, slice(4, 8))] = 0.4
    loop = persistence_pairs(weak, dims=[1])
    assert len(loop) == 1
    changed = moved(weak, loop, torch.tensor([[1.0, loop.values(weak)[0, 1].item()]]))
    risen = (changed > weak)[0]
    assert not risen[ring == 0].any()
    assert betti_numbers(changed >= 1)[0, 1] == 1


def test_outermost_target_holds_where_regions_are_nested():
    images = torch.tensor([[[0.1, 0.5, 0.3, 0.4, 0.0, 0.9]]])
    pairs = persistence_pairs(images)
    assert len(pairs) == 2
    rise, fall = critical_set_targets(images, pairs, pairs.values(images).mean(1, keepdim=True).expand(-1, 2))
    assert fall.tolist()[0][0] == pytest.approx([0.1, 0.25, 0.25, 0.25, 0.0, 0.9])
    assert rise.tolist()[0][0] == pytest.approx([0.1, 0.5, 0.35, 0.4, 0.25, 0.9])


@pytest.mark.parametrize("min_persistence", [0.0, 0.05])
@pytest.mark.parametrize("setting", [*MASK_SETTINGS, {"dims": [0]}, {"matching": "rank", "patch_size": 6}], ids=str)
@every_shape
def test_loss_has_the_same_value_and_pulls_at_critical_voxels_too(shape, setting, min_persistence):
    images = torch.stack([smooth(shape), smooth(shape, seed=2)])
    labels = (images.flip(2) > 0.5).double()
    grads, values = {}, {}
    for gradient in ("critical", "structure"):
        likelihood = images.clone().requires_grad_()
        loss = PersistenceLoss(gradient=gradient, min_persistence=min_persistence, reduction="none", **setting)
        values[gradient] = loss(likelihood, labels)
        values[gradient].sum().backward()
        grads[gradient] = likelihood.grad
    torch.testing.assert_close(values["structure"], values["critical"], rtol=0, atol=0)
    critical = grads["critical"] != 0
    assert critical.any()
    assert (grads["structure"][critical] != 0).double().mean() > 0.95  # two pulls may cancel
    assert (grads["structure"] != 0).sum() > critical.sum()


def test_towards_label_no_voxel_is_pulled_away_from_it():
    images = smooth((13, 18))[None]
    labels = (images.flip(2) > 0.5).double()
    grads = []
    for gradient in ("structure", "structure_towards_label"):
        likelihood = images.clone().requires_grad_()
        PersistenceLoss(gradient=gradient, dims=[1])(likelihood, labels).backward()
        grads.append(likelihood.grad)
    away = [((grad < 0) & (labels == 0)) | ((grad > 0) & (labels == 1)) for grad in grads]
    assert away[0].any()
    assert not away[1].any()
    assert (grads[1] != 0).sum() > 0.9 * ((grads[0] != 0) & ~away[0]).sum()


def test_cost_is_the_squared_distance():
    images = torch.tensor([[[0.5, 0.2]], [[0.1, 0.9]]], requires_grad=True)
    cost = critical_set_loss(
        images, torch.tensor([[[0.8, 0.2]], [[0.0, 0.0]]]), torch.tensor([[[1.0, 0.1]], [[1.0, 1.0]]])
    )
    torch.testing.assert_close(cost, torch.tensor([0.09 + 0.01, 0.0]))
    cost.sum().backward()
    torch.testing.assert_close(images.grad, torch.tensor([[[-0.6, 0.2]], [[0.0, 0.0]]]))


def test_threads_and_batches_change_nothing():
    images = torch.cat([smooth((6, 7, 9), seed) for seed in range(3)])
    pairs = persistence_pairs(images)
    targets = pairs.values(images).mean(1, keepdim=True).expand(-1, 2)
    together = critical_set_targets(images, pairs, targets, num_threads=3)
    for index in range(3):
        own = persistence_pairs(images[index : index + 1])
        single = critical_set_targets(images[index : index + 1], own, targets[pairs.image == index], num_threads=1)
        assert torch.equal(single[0][0], together[0][index])
        assert torch.equal(single[1][0], together[1][index])


def test_no_pair_and_no_image():
    for images in (torch.full((2, 3, 4), 0.5), torch.zeros(0, 3, 4)):
        rise, fall = critical_set_targets(images, persistence_pairs(images), torch.zeros(0, 2))
        assert torch.equal(rise, images)
        assert torch.equal(fall, images)


def test_wrong_gradient_is_named():
    with pytest.raises(ValueError, match="`gradient` to be one of"):
        PersistenceLoss(gradient="dense")
