"""What persistence_pairs takes and refuses: dtypes, strides, extreme values, threads, processes, wrong arguments."""

from __future__ import annotations

import dataclasses
import math
import pickle
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from oracles import SETTINGS, assert_same_pairs, pairs_of_image, setting_name, up_to_plateau
from oracles.boundary_matrix import critical_voxels
from torch.utils.data import DataLoader, Dataset

from monai_topo import PersistencePairs, persistence_pairs

every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=setting_name)

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
def test_values_one_ulp_apart_are_told_apart(dtype, step, setting):
    images = (1 + (LEVELS + 2) * step).to(dtype)
    assert len(images.unique()) == 5
    assert_same_pairs(persistence_pairs(images, **setting), persistence_pairs(LEVELS, **setting))


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
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


# Threads and processes ---------------------------------------------------------------------------------------------


def test_calls_from_several_python_threads_do_not_disturb_each_other():
    jobs = [(tied_integers(2, 24, 31, seed=seed), SETTINGS[seed % len(SETTINGS)]) for seed in range(12)]
    jobs += [(tied_integers(2, 9, 8, 11, seed=seed), SETTINGS[seed % len(SETTINGS)]) for seed in range(12)]
    expected = [persistence_pairs(images, num_threads=1, **setting) for images, setting in jobs]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda job: persistence_pairs(job[0], num_threads=2, **job[1]), jobs * 3))
    for result, reference in zip(results, expected * 3, strict=True):
        assert_same_pairs(result, reference)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_other_python_threads_run_during_a_call(num_threads):
    images = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 56, 56, 56)))
    span = []

    def call() -> None:
        span.append(time.perf_counter())
        persistence_pairs(images, num_threads=num_threads)
        span.append(time.perf_counter())

    caller = threading.Thread(target=call)
    ticks = []
    caller.start()
    while caller.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    caller.join()
    begin, end = span
    inside = [begin, *(tick for tick in ticks if begin < tick < end), end]
    # Were the lock held, this thread would stand still for nearly the whole call: one gap as long as the call.
    assert np.diff(inside).max() < 0.5 * (end - begin)


class PairsOfNoise(Dataset):
    """Persistence pairs as a transform of a data loader computes them: in a worker process."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> list[tuple[int, int, int]]:
        return pairs_of_image(persistence_pairs(tied_integers(1, 9, 14, seed=index), num_threads=2), 0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_works_in_worker_processes_forked_after_a_threaded_call():
    persistence_pairs(tied_integers(4, 32, 32), num_threads=2)
    dataset = PairsOfNoise()
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, timeout=60, collate_fn=list, multiprocessing_context="fork"
    )
    assert list(loader) == [dataset[index] for index in range(len(dataset))]


# Refusals ----------------------------------------------------------------------------------------------------------


def assert_one_sentence(message: str) -> None:
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("voxel", [0, 7, 24])
def test_values_that_are_not_finite_are_refused(voxel, dtype, bad):
    images = torch.zeros(2, 5, 5, dtype=dtype)
    images[1].view(-1)[voxel] = bad
    with pytest.raises(ValueError, match=r"(?i)finite|nan") as refusal:
        persistence_pairs(images)
    assert_one_sentence(str(refusal.value))


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (2, 3, 4, 5, 6)], ids=str)
def test_wrong_number_of_axes_is_refused_with_the_shape(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))) as refusal:
        persistence_pairs(torch.zeros(shape))
    assert_one_sentence(str(refusal.value))


@pytest.mark.parametrize("shape", [(2, 0, 5), (2, 5, 0), (1, 3, 0, 4), (0, 0, 4)], ids=str)
def test_empty_spatial_axes_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))) as refusal:
        persistence_pairs(torch.zeros(shape))
    assert_one_sentence(str(refusal.value))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64, torch.bool])
def test_images_that_are_not_of_a_float_dtype_are_refused(dtype):
    with pytest.raises(TypeError, match=str(dtype).removeprefix("torch.")) as refusal:
        persistence_pairs(torch.zeros(1, 4, 5, dtype=dtype))
    assert_one_sentence(str(refusal.value))


@pytest.mark.parametrize("connectivity", [18, "18", "edge"])
def test_connectivity_between_face_and_full_is_refused_with_the_reason(connectivity):
    with pytest.raises(ValueError, match="cubical complex") as refusal:
        persistence_pairs(torch.zeros(1, 3, 4, 5), connectivity=connectivity)
    assert "between" in str(refusal.value)
    assert_one_sentence(str(refusal.value))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("filtration", "upper"),
        ("filtration", None),
        ("filtration", "Superlevel"),
        ("border", "closed"),
        ("border", None),
        ("connectivity", "all"),
        ("connectivity", None),
        ("dims", (2,)),
        ("dims", (0, -1)),
        ("min_persistence", -0.5),
        ("min_persistence", math.nan),
        ("num_threads", 0),
        ("num_threads", -1),
    ],
)
def test_options_outside_their_choices_are_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument) as refusal:
        persistence_pairs(torch.zeros(1, 4, 5), **{argument: value})
    assert_one_sentence(str(refusal.value))


def test_dimension_two_exists_in_volumes_only():
    assert persistence_pairs(torch.zeros(1, 3, 4, 5), dims=(2,)).birth.shape == (0,)
    with pytest.raises(ValueError, match="dims"):
        persistence_pairs(torch.zeros(1, 3, 4, 5), dims=(3,))


def test_options_are_keyword_only():
    with pytest.raises(TypeError):
        persistence_pairs(torch.zeros(1, 4, 5), "superlevel")


def test_single_voxel_has_only_the_endless_component():
    for setting in SETTINGS:
        for shape in [(2, 1, 1), (2, 1, 1, 1)]:
            pairs = persistence_pairs(torch.arange(2.0).reshape(shape), **setting)
            assert pairs.birth.shape == (0,)
            assert pairs.essential.tolist() == ([0, 0] if setting["border"] == "open" else [1, 1])


def test_profile_gives_its_pairs_along_whichever_axis_it_lies():
    profile = torch.tensor([5.0, 1.0, 4.0])
    for shape in [(1, 3, 1), (1, 1, 3), (1, 1, 1, 3), (1, 1, 3, 1), (1, 3, 1, 1)]:
        images = profile.reshape(shape)
        for connectivity in ("full", "face"):
            superlevel = persistence_pairs(images, connectivity=connectivity)
            sublevel = persistence_pairs(images, connectivity=connectivity, filtration="sublevel")
            assert pairs_of_image(superlevel, 0) == [(0, 2, 1)]
            assert superlevel.essential.tolist() == [0]
            assert pairs_of_image(sublevel, 0) == []
            assert sublevel.essential.tolist() == [1]
