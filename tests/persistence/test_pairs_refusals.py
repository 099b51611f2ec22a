"""What persistence_pairs refuses, in one sentence each, and the smallest images."""

from __future__ import annotations

import math
import re

import pytest
import torch
from oracles import SETTINGS, pairs_of_image

from monai_topo import persistence_pairs


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


def test_single_voxel_has_only_the_essential_component():
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
