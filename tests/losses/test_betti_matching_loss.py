"""The Betti matching loss: its value against another derivation, its direction on hand-drawn errors, its settings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_topo import BettiMatchingLoss, betti_matching, persistence_pairs


def is_unique(image, **settings):
    """Whether no voxel is the birth, or the death, of two features of one dimension: then there is one matching."""
    pairs = persistence_pairs(image, **settings)
    return all(
        len(set(zip(pairs.dim.tolist(), ends.tolist(), strict=True))) == len(ends)
        for ends in (pairs.birth, pairs.death)
    )


def line(*spatial):
    """A label: one line along the last axis, and a likelihood of it that is not quite there."""
    label = torch.zeros(1, 1, *spatial)
    label[(0, 0, *(extent // 2 for extent in spatial[:-1]))] = 1
    return label, 0.8 * label + 0.1


@pytest.mark.parametrize("border", ["open", "foreground"])
@pytest.mark.parametrize("connectivity", ["full", "face"])
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(4, 5), (7, 9), (1, 6), (2, 3, 4), (4, 5, 3)]),
    without_loops_of_volumes=st.booleans(),
    reach=st.sampled_from([0, 1]),  # with 1 the likelihood has the values of the label, 0 and 1
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_value_is_that_of_the_matched_pairs(seed, shape, connectivity, border, without_loops_of_volumes, reach, dtype):
    # The pairs and their matching are compared with boundary matrices in tests/persistence/test_induced_matching.py.
    # The loss matches them without a gradient that image and label share, except in dimension 1 of volumes.
    generator = np.random.default_rng(seed)
    count = int(np.prod(shape))
    image = (generator.permutation(count).reshape(shape) + 1 - reach) / (count + 1 - 2 * reach)
    label = (generator.random(shape) < generator.choice([0.2, 0.6])).astype(float)
    batch = [torch.tensor(array, dtype=dtype)[None] for array in (image, label)]
    settings = {"connectivity": connectivity, "border": border}
    settings["dims"] = [0, len(shape) - 1] if without_loops_of_volumes else None
    if not (is_unique(batch[0], **settings) and is_unique(torch.maximum(*batch), **settings)):
        return  # too many cases for `assume`
    matching = betti_matching(*batch, **settings)

    def ends(array, pairs):
        return np.stack([array.flat[pairs.birth.numpy()], array.flat[pairs.death.numpy()]], axis=1)

    of_image, of_label = ends(image, matching.prediction), ends(label, matching.label)
    a, b = matching.matched.T.numpy()
    expected = 2 * ((of_image[a] - of_label[b]) ** 2).sum()
    expected += (np.ptp(np.delete(of_image, a, axis=0), axis=1) ** 2).sum()
    expected += (np.ptp(np.delete(of_label, b, axis=0), axis=1) ** 2).sum()
    extreme = np.max if border == "open" else np.min
    expected += 2 * (extreme(image) - extreme(label)) ** 2
    likelihood, target = (array[None] for array in batch)
    assert BettiMatchingLoss(**settings)(likelihood, target).item() == pytest.approx(expected, rel=1e-5)


def test_of_equal_features_that_of_the_label_is_matched():
    # Two saturated components: one is on the label's second component, the other where the label has nothing.
    label = torch.zeros(1, 1, 5, 13)
    label[..., 2, 1:3] = label[..., 2, 10:12] = 1
    likelihood = 0.2 * torch.ones_like(label)
    likelihood[..., 2, 2:4] = likelihood[..., 2, 6] = likelihood[..., 2, 11] = 1
    likelihood.requires_grad_()
    BettiMatchingLoss(dims=[0])(likelihood, label).backward()
    gradient = likelihood.grad[0, 0, 2]
    assert gradient[6] > 0  # erased
    assert gradient[2] <= 0
    assert gradient[11] <= 0


@pytest.mark.parametrize("spatial", [(5, 8), (3, 5, 8)])
def test_a_break_is_closed_and_a_speck_erased(spatial):
    label, likelihood = line(*spatial)
    row = (0, 0, *(extent // 2 for extent in spatial[:-1]))
    likelihood[(*row, 3)] = 0.3  # the break
    speck = (0, 0, *[0] * len(spatial))
    likelihood[speck] = 0.6
    likelihood.requires_grad_()
    BettiMatchingLoss()(likelihood, label).backward()
    assert likelihood.grad[(*row, 3)] < 0  # pulled up
    assert likelihood.grad[speck] > 0  # pulled down
    assert int((likelihood.grad != 0).sum()) <= 6


def test_a_hole_is_matched_with_the_one_around_it_not_with_the_stronger_one_elsewhere():
    label = torch.zeros(1, 1, 5, 11)
    label[..., 1:4, 1:4] = 1
    label[..., 2, 2] = 0
    likelihood = torch.zeros_like(label)
    likelihood[..., 1:4, 1:4] = 0.6  # weak, at the right place
    likelihood[..., 1:4, 7:10] = 0.9  # strong, where the label has nothing
    likelihood[..., 2, 2] = likelihood[..., 2, 8] = 0.2
    likelihood.requires_grad_()
    BettiMatchingLoss(dims=[1])(likelihood, label).backward()
    gradient = likelihood.grad[0, 0]
    assert gradient[2, 2] > 0  # the true hole is opened
    assert gradient[2, 8] < 0  # the false one is closed
    assert (gradient[1:4, 1:4] < 0).any()


@pytest.mark.parametrize("spatial", [(5, 8), (3, 5, 8)])
@pytest.mark.parametrize("border", ["open", "foreground"])
def test_zero_at_perfect_agreement_only(spatial, border):
    label, likelihood = line(*spatial)
    loss = BettiMatchingLoss(border=border)
    assert loss(label, label) == 0
    assert loss(likelihood, label) > 0
    assert loss(1 - label, label) > 0
    # What the frame, or the last component, has at its best already: nothing is left to pull.
    for constant in (0.0, 0.5) if border == "open" else (0.5, 1.0):
        image = torch.full_like(label, constant, requires_grad=True)
        value = loss(image, label)
        value.backward()
        assert value > 0
        assert (image.grad != 0).any()


def test_gradient_is_that_of_differences():
    generator = torch.Generator().manual_seed(0)
    image = (torch.randperm(40, generator=generator).view(1, 2, 4, 5) / 40.0).double().requires_grad_()
    label = (torch.rand(1, 2, 4, 5, generator=generator) > 0.5).double()
    for border in ("open", "foreground"):
        assert torch.autograd.gradcheck(BettiMatchingLoss(border=border), (image, label), eps=1e-4)


def test_dims_leave_out_the_essential_component():
    label, likelihood = line(5, 8)
    assert BettiMatchingLoss(dims=[1])(likelihood, label) == 0
    assert BettiMatchingLoss(dims=[0])(likelihood, label) == BettiMatchingLoss()(likelihood, label) > 0


def test_patches_are_losses_of_their_own():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 1, 6, 8, generator=generator)
    label = (torch.rand(2, 1, 6, 8, generator=generator) > 0.5).float()
    whole = BettiMatchingLoss(border="foreground", reduction="none")
    patches = [
        whole(image[..., y : y + 3, x : x + 4], label[..., y : y + 3, x : x + 4]) for y in (0, 3) for x in (0, 4)
    ]
    patched = BettiMatchingLoss(border="foreground", patch_size=(3, 4), reduction="none")
    torch.testing.assert_close(patched(image, label), torch.stack(patches).mean(0))


def test_wrong_settings_stop_at_once():
    with pytest.raises(ValueError, match="`connectivity`"):
        BettiMatchingLoss(connectivity="18")
    with pytest.raises(ValueError, match="`dims`"):
        BettiMatchingLoss(dims=[3])
    with pytest.raises(ValueError, match="`num_threads`"):
        BettiMatchingLoss(num_threads=0)
