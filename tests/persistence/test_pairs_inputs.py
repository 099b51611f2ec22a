"""What persistence_pairs takes and refuses: dtypes, strides, extreme values, threads, processes, wrong arguments."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from oracles import SETTINGS, assert_same_pairs, every_setting, pairs_of_image, up_to_plateau
from oracles.boundary_matrix import critical_voxels

from monai_topo import PersistencePairs, persistence_pairs

LEVELS = torch.from_numpy(np.random.default_rng(0).integers(-2, 3, (3, 11, 14))).double()
LEVELS_3D = torch.from_numpy(np.random.default_rng(1).integers(-2, 3, (2, 5, 7, 6))).double()


def tied_integers(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random integers from -2 to 2 as float32."""
    return torch.from_numpy(np.random.default_rng(seed).integers(-2, 3, shape)).float()


# Dtypes and values -------------------------------------------------------------------------------------------------


@every_setting
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_pairs_are_the_same_in_every_float_dtype(dtype, setting):
    for levels in (LEVELS, LEVELS_3D):
        pairs = persistence_pairs(levels.to(dtype), **setting)
        assert_same_pairs(pairs, persistence_pairs(levels, **setting))
        assert pairs.values(levels.to(dtype)).dtype == dtype


@every_setting
@pytest.mark.parametrize(
    ("dtype", "step"),
    [(torch.float64, 2.0**-52), (torch.float32, 2.0**-23), (torch.float16, 2.0**-10), (torch.bfloat16, 2.0**-7)],
    ids=str,
)
def test_values_one_ulp_apart_are_distinguished(dtype, step, setting):
    images = (1 + (LEVELS + 2) * step).to(dtype)
    assert len(images.unique()) == 5
    assert_same_pairs(persistence_pairs(images, **setting), persistence_pairs(LEVELS, **setting))


@every_setting
@pytest.mark.parametrize("levels", [2, 5, 300], ids="{} levels".format)
@pytest.mark.parametrize("scale", [1e-12, 0.1, 1.0, 1e30, 1e300])
def test_doubles_that_round_to_one_float_are_distinguished(levels, scale, setting):
    generator = np.random.default_rng(levels)
    for shape in ((2, 14, 19), (1, 6, 7, 9)):
        coarse, fine = torch.from_numpy(generator.integers(0, levels, (2, *shape))).double()
        images = scale * (coarse + 1e-12 * fine)
        ranks = images.unique(return_inverse=True)[1].view(shape)
        assert_same_pairs(persistence_pairs(images, **setting), persistence_pairs(ranks.float(), **setting))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_finite_values_whose_sum_is_not_are_taken(dtype):
    images = (LEVELS / 2 * torch.finfo(dtype).max).to(dtype).abs()
    assert images.sum().isinf()
    assert_same_pairs(persistence_pairs(images), persistence_pairs(LEVELS.abs()))


@every_setting
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=lambda dtype: str(dtype)[6:]
)
def test_denormals_are_not_flushed_to_zero(dtype, setting):
    smallest = torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    images = (LEVELS * smallest).to(dtype)
    assert len(images.unique()) == 5
    assert_same_pairs(persistence_pairs(images, **setting), persistence_pairs(LEVELS, **setting))


@every_setting
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_largest_finite_values_do_not_overflow(dtype, setting):
    signs = LEVELS.clip(-1, 1)
    images = (signs * torch.finfo(dtype).max).to(dtype)
    assert torch.isfinite(images).all()
    assert_same_pairs(persistence_pairs(images, **setting), persistence_pairs(signs, **setting))
    assert_same_pairs(
        persistence_pairs(images, min_persistence=1.0, **setting),
        persistence_pairs(signs, min_persistence=0.5, **setting),
    )


@every_setting
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_negative_zero_equals_zero(dtype, setting):
    zeros = torch.tensor([0.0, -0.0, 1.0, -1.0], dtype=dtype)
    images = zeros[torch.from_numpy(np.random.default_rng(2).integers(0, 4, (4, 8, 13)))]
    assert (torch.signbit(images) & (images == 0)).any()
    assert_same_pairs(persistence_pairs(images, **setting), persistence_pairs(images + 0.0, **setting))


# Memory layout -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        tied_integers(2, 9, 14).transpose(1, 2),
        tied_integers(9, 14, 2).permute(2, 0, 1),
        tied_integers(4, 20, 33)[::2, 3:19:2, 1::3],
        tied_integers(9, 14).expand(3, 9, 14),
        tied_integers(2, 9, 1).expand(2, 9, 14),
        tied_integers(30, 8).unfold(0, 9, 7),
        tied_integers(2, 5, 9, 4).transpose(1, 3),
        tied_integers(2, 4, 5, 9).permute(0, 2, 3, 1),
        tied_integers(2, 8, 11, 10)[:, 1::2, ::3, 2:9],
        tied_integers(4, 5, 6, 3)[..., 1],
    ],
    ids=lambda view: f"{tuple(view.shape)}-strides-{view.stride()}",
)
def test_indices_are_of_the_logical_shape_whatever_the_strides(view):
    for setting in SETTINGS:
        pairs = persistence_pairs(view, **setting)
        assert_same_pairs(pairs, persistence_pairs(view.clone(memory_format=torch.contiguous_format), **setting))
        image = view[1].numpy()
        assert up_to_plateau(pairs_of_image(pairs, 1), image) == up_to_plateau(
            critical_voxels(image, **setting).pairs, image
        )
        assert pairs.values(view).tolist() == pairs.values(view.contiguous()).tolist()


def test_input_is_left_as_it_was():
    images = LEVELS.clone()
    persistence_pairs(images, filtration="superlevel")
    persistence_pairs(images, filtration="sublevel", border="foreground")
    assert images.tolist() == LEVELS.tolist()


# What torch adds to arrays -----------------------------------------------------------------------------------------


def test_input_that_requires_grad_gives_the_same_indices_and_differentiable_values():
    logits = LEVELS.clone().requires_grad_()
    likelihood = logits.sigmoid()
    pairs = persistence_pairs(likelihood)
    assert_same_pairs(pairs, persistence_pairs(likelihood.detach()))
    values = pairs.values(likelihood)
    assert values.requires_grad
    values.sum().backward()
    assert logits.grad is not None
    critical = torch.zeros(3, 11 * 14, dtype=torch.bool)
    critical[pairs.image, pairs.birth] = True
    critical[pairs.image, pairs.death] = True
    assert ((logits.grad.flatten(1) != 0) == critical).all()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_torch_records_no_gradient(mode):
    expected = persistence_pairs(LEVELS)
    with mode():
        assert_same_pairs(persistence_pairs(LEVELS * 1.0), expected)


class TaggedTensor(torch.Tensor):
    """Stands for MONAI's MetaTensor, which is what a pipeline really passes."""


def test_subclass_of_tensor_gives_plain_index_tensors():
    pairs = persistence_pairs(LEVELS.as_subclass(TaggedTensor))
    assert_same_pairs(pairs, persistence_pairs(LEVELS))
    for field in (pairs.image, pairs.dim, pairs.birth, pairs.death, pairs.essential):
        assert type(field) is torch.Tensor


@pytest.mark.gpu
def test_images_on_a_gpu_give_the_same_pairs_and_values_there():
    images = LEVELS.float().cuda().requires_grad_()
    pairs = persistence_pairs(images)
    expected = persistence_pairs(LEVELS)
    assert pairs_of_image(pairs, 1) == pairs_of_image(expected, 1)
    values = pairs.values(images)
    assert values.device == images.device
    assert values.tolist() == expected.values(LEVELS).tolist()


# The result as an object -------------------------------------------------------------------------------------------


def test_pairs_survive_pickling():
    pairs = persistence_pairs(LEVELS)
    loaded = pickle.loads(pickle.dumps(pairs))
    assert isinstance(loaded, PersistencePairs)
    assert_same_pairs(loaded, pairs)
    assert loaded.values(LEVELS).tolist() == pairs.values(LEVELS).tolist()


def test_pairs_are_frozen():
    pairs = persistence_pairs(LEVELS)
    assert dataclasses.is_dataclass(pairs)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pairs.birth = pairs.death
