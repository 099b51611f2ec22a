"""Checks of arguments: what passes, and the sentence that a wrong value gets."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from monai_topo import betti_numbers, label_components
from monai_topo._utils.optional import require
from monai_topo._utils.validation import (
    check_at_least,
    check_choice,
    check_images,
    check_masks,
    check_num_threads,
    check_shape,
    check_topology_settings,
)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_number_has_to_be_finite_and_at_least_the_limit(value):
    with pytest.raises(ValueError, match=rf"Expected `radius` to be finite and at least 0, but got {value}\."):
        check_at_least("radius", value)
    with pytest.raises(ValueError, match=r"at least 1, but got 0\.5"):
        check_at_least("radius", 0.5, least=1)
    assert check_at_least("radius", 0) == 0
    assert check_at_least("radius", 1.5, least=1.5) == 1.5


@pytest.mark.parametrize("extents", [(2**14, 2**15), (2**9, 2**9, 2**11)], ids=str)
def test_images_have_at_most_2_to_the_29_voxels_with_their_frame(extents):
    inside = [extent - 2 for extent in extents]  # one voxel of frame on each side
    check_shape("images", torch.zeros(1).expand(1, *inside))
    for axis in range(len(extents)):
        larger = [extent + (axis == k) for k, extent in enumerate(inside)]
        with pytest.raises(ValueError, match=f"at most {2**29} voxels each, their border included.*: work on patches"):
            check_shape("images", torch.zeros(1).expand(1, *larger))


def test_choice_is_one_of_those_named():
    check_choice("matching", "rank", ("rank", "spatial"))
    with pytest.raises(ValueError, match=r"Expected `matching` to be one of 'rank', 'spatial', but got 'other'\."):
        check_choice("matching", "other", ("rank", "spatial"))


def test_number_of_threads_is_that_of_torch_without_one():
    assert check_num_threads(None) == torch.get_num_threads()
    assert check_num_threads(3) == 3
    with pytest.raises(ValueError, match="`num_threads` to be at least 1"):
        check_num_threads(0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"connectivity": "18"}, "`connectivity` .* cubical complex has nothing between"),
        ({"border": "closed"}, "`border` to be one of 'open', 'foreground'"),
        ({"filtration": "lower"}, "`filtration` to be one of 'superlevel', 'sublevel'"),
        ({"dims": [0, 3]}, r"`dims` .* but got \[0, 3\]"),
        ({"min_persistence": -1.0}, "`min_persistence`"),
        ({"num_threads": 0}, "`num_threads`"),
    ],
)
def test_topology_settings_are_checked_together(wrong, words):
    right = {"connectivity": "face", "border": "foreground", "dims": [2, 0]}
    check_topology_settings(**right)
    with pytest.raises(ValueError, match=words):
        check_topology_settings(**{**right, **wrong})


def test_masks_become_bytes():
    bits = check_masks(torch.tensor([[[0.0, 1.0, 1.0]]]), "full", "open")
    assert bits.dtype == np.uint8
    assert bits.tolist() == [[[0, 1, 1]]]
    for masks, error, words in [
        ([[0, 1]], TypeError, "`masks` to be a torch.Tensor, but got list"),
        (torch.zeros(2, 3), ValueError, "the batch first"),
        (torch.zeros(1, 0, 3), ValueError, "to have voxels"),
        (torch.full((1, 2, 3), 0.5), ValueError, "only 0 and 1"),
    ]:
        with pytest.raises(error, match=words):
            check_masks(masks, "full", "open")


def test_images_are_floating_point_and_fit_the_kernel():
    check_images(torch.zeros(1, 2, 3, 4))
    with pytest.raises(TypeError, match=r"floating-point torch.Tensor, but got torch.int64"):
        check_images(torch.zeros(1, 2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="work on patches"):
        check_images(torch.zeros(1, 1, 1, 1).expand(1, 1000, 1000, 1000))


def test_missing_package_is_named_with_the_extra_that_installs_it():
    assert require("math", "math") is math
    with pytest.raises(ImportError, match=r"Expected Nothing to be installed.*'monai_topo\[volumes\]'"):
        require("nothing_of_that_name", "Nothing", extra="volumes")


def test_masks_of_one_bit_per_pixel_from_pillow_count_as_any_others():
    mask = np.zeros((6, 9), dtype=bool)
    mask[1:5, 1:6] = True
    mask[3, 3] = False
    read = np.array(Image.fromarray(255 * mask.astype(np.uint8)).convert("1"))
    assert read.dtype == bool
    assert read.view(np.uint8).max() == 255, "these bytes are the point of the test"
    masks = torch.from_numpy(read)[None]
    assert betti_numbers(masks).tolist() == [[1, 1]]
    assert label_components(masks).eq(torch.from_numpy(mask)[None].int()).all()
