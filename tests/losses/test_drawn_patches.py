"""A random subset of the patches: unbiased, seeded, resumable, and the same for all images."""

import copy
import itertools

import pytest
import torch

from monai_topo import BettiMatchingLoss, PersistenceLoss, TopologyAwareLoss
from monai_topo._utils.patches import drawn_patches, patch_slices

both = pytest.mark.parametrize("kind", [PersistenceLoss, BettiMatchingLoss])
SIZE = (4, 5)


def case(seed=0, *shape):
    generator = torch.Generator().manual_seed(seed)
    shape = shape or (2, 2, 8, 15)
    return torch.rand(shape, generator=generator), (torch.rand(shape, generator=generator) > 0.5).float()


def single_patches(kind, input, label, **settings):
    """The loss of every patch of the grid, each cut out by hand."""
    corners = itertools.product((0, 4), (0, 5, 10))
    windows = [(..., slice(y, y + 4), slice(x, x + 5)) for y, x in corners]
    return [kind(reduction="none", **settings)(input[window], label[window]) for window in windows]


@both
@pytest.mark.parametrize("penalty", ["squared", "cross_entropy"])
def test_value_is_the_mean_over_some_patches(kind, penalty):
    input, label = case()
    patches = single_patches(kind, input, label, penalty=penalty)
    subsets = {
        subset: torch.stack([patches[i] for i in subset]).mean(0) for subset in itertools.combinations(range(6), 2)
    }
    loss = kind(patch_size=SIZE, num_patches=2, reduction="none", penalty=penalty)
    drawn = set()
    for _ in range(8):
        value = loss(input, label)
        drawn |= {subset for subset, mean in subsets.items() if torch.allclose(value, mean, atol=1e-6)}
    assert len(drawn) > 1
    with torch.no_grad():  # an evaluation is exact, and draws nothing
        torch.testing.assert_close(loss(input, label), torch.stack(patches).mean(0))
    assert loss.draws == 8


@pytest.mark.parametrize(("num_patches", "seed"), [(1, 0), (4, 0), (2, 5)])
def test_every_patch_and_every_pair_is_drawn_as_often_as_the_others(num_patches, seed):
    grid = patch_slices((8, 15), patch_size=SIZE, num_patches=None, seed=0)
    together = torch.zeros(6, 6)
    draws = 6000
    for draw in range(draws):
        chosen = drawn_patches(grid, num_patches=num_patches, seed=seed, draw=draw)
        indices = [grid.index(patch) for patch in chosen]
        assert len(set(indices)) == num_patches
        assert indices == sorted(indices)
        together[torch.tensor(indices)[:, None], torch.tensor(indices)] += 1
    share = torch.full((6, 6), num_patches * (num_patches - 1) / 30)
    share.fill_diagonal_(num_patches / 6)
    deviation = (draws * share * (1 - share)).sqrt()
    assert ((together - draws * share).abs() <= 4.5 * deviation).all()


@both
def test_resumes_with_the_same_patches(kind):
    cases = [case(seed) for seed in range(6)]
    settings = {"patch_size": SIZE, "num_patches": 3, "seed": 7}
    whole = kind(**settings)
    values = [whole(*one) for one in cases]
    assert [kind(**settings)(*cases[0]) for _ in range(2)] == [values[0]] * 2
    other = kind(**{**settings, "seed": 8})
    assert [other(*one) for one in cases] != values
    first = kind(**settings)
    for one in cases[:3]:
        first(*one)
    state = copy.deepcopy(first.state_dict())
    assert list(state) == ["draws"]
    resumed = kind(**settings)
    resumed.load_state_dict(state)
    assert [resumed(*one) for one in cases[3:]] == values[3:]
    in_a_sum = TopologyAwareLoss(torch.nn.MSELoss(), kind(**settings))
    assert list(in_a_sum.state_dict()) == ["topology.draws"]


def test_as_many_patches_as_the_grid_has_are_all_of_them():
    input, label = case()
    whole = PersistenceLoss(patch_size=SIZE)(input, label)
    for num_patches in (6, 100):
        assert PersistenceLoss(patch_size=SIZE, num_patches=num_patches)(input, label) == whole
    assert list(PersistenceLoss(patch_size=SIZE).state_dict()) == []


def test_gradient_reaches_the_drawn_patches_only():
    input, label = case(3, 1, 1, 4, 5, 6)
    loss = PersistenceLoss(patch_size=(4, 5, 2), num_patches=1)
    seen = []
    for _ in range(12):
        leaf = input.clone().requires_grad_()
        loss(leaf, label).backward()
        touched = leaf.grad[0, 0].flatten(0, 1).any(0).nonzero()[:, 0] // 2
        assert len(touched.unique()) == 1
        seen.append(int(touched[0]))
    assert set(seen) == {0, 1, 2}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_patches": 2}, "`patch_size` to be given with `num_patches`"),
        ({"num_patches": 0, "patch_size": 4}, "`num_patches`"),
        ({"num_patches": 2, "patch_size": 4, "seed": -1}, "`seed`"),
        ({"num_patches": 2, "patch_size": 4, "seed": 2**32}, "`seed`"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        PersistenceLoss(**settings)
