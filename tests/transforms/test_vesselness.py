"""Vesselness on drawn tubes, sheets and blobs: orientation, spacing, contrast, selectivity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_topo.transforms import Vesselness


def bell(shape, axes, width=2.0, spacing=None):
    """A Gaussian around the middle of the image that falls off along some axes, in millimeters."""
    spacing = spacing or (1.0,) * len(shape)
    grid = np.indices(shape).astype(np.float32)
    squared = sum(((grid[axis] - shape[axis] // 2) * spacing[axis]) ** 2 for axis in axes)
    return np.exp(-squared / (2 * width**2)).astype(np.float32)


def middle(response):
    channel = response[-1]
    return channel[tuple(extent // 2 for extent in channel.shape)].item()


@pytest.mark.parametrize("shape", [(33, 45), (25, 31, 28)])
def test_each_measure_responds_to_its_own_shape_and_not_to_the_others(shape):
    axes = range(len(shape))
    shapes = {dim: bell(shape, list(axes)[dim:])[None] for dim in range(len(shape))}  # constant along `dim` axes
    for object_dimension in range(len(shape)):
        measure = Vesselness(object_dimension=object_dimension, sigmas=[2.0], append=False)
        own = middle(measure(shapes[object_dimension]))
        assert own > 0.5
        assert all(middle(measure(shapes[dim])) < 0.5 * own for dim in shapes if dim != object_dimension)


@pytest.mark.parametrize("direction", [(1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)], ids=str)
def test_a_diagonal_tube_responds_like_one_along_an_axis(direction):
    shape = (41, 45) if len(direction) == 2 else (25, 28, 31)
    offsets = np.moveaxis(np.indices(shape), 0, -1) - [extent // 2 for extent in shape]
    along = np.array(direction) / np.linalg.norm(direction)
    squared = (offsets**2).sum(axis=-1) - (offsets @ along) ** 2
    diagonal = np.exp(-squared / (2 * 2.0**2)).astype(np.float32)
    straight = bell(shape, list(range(len(shape)))[1:])
    measure = Vesselness(sigmas=[2.0], append=False)
    assert middle(measure(diagonal[None])) == pytest.approx(middle(measure(straight[None])), abs=0.02)


@pytest.mark.parametrize("shape", [(21, 34), (14, 19, 24)])
def test_axes_may_be_permuted_together_with_their_spacing(shape):
    rng = np.random.default_rng(0)
    image = rng.random((1, *shape)).astype(np.float32)
    spacing = [1.0, 2.5, 0.7][: len(shape)]
    straight = Vesselness(spacing=spacing, append=False)(image).numpy()
    turned = Vesselness(spacing=spacing[::-1], append=False)(
        np.moveaxis(image[0], range(len(shape)), range(len(shape))[::-1])[None]
    )
    assert np.allclose(turned.numpy()[0].T, straight[0], atol=1e-3)


def test_a_tube_of_one_size_in_millimeters_responds_equally_at_every_sampling():
    coarse = Vesselness(spacing=[1.0, 1.0, 2.0], append=False)(bell((20, 41, 21), [1, 2], 3.0, (1, 1, 2))[None])
    fine = Vesselness(append=False)(bell((20, 41, 41), [1, 2], 3.0)[None])
    as_voxels = Vesselness(append=False)(bell((20, 41, 21), [1, 2], 3.0, (1, 1, 2))[None])
    assert middle(coarse) == pytest.approx(middle(fine), abs=0.02)
    assert abs(middle(as_voxels) - middle(fine)) > 0.03


def test_dark_structures_and_contrast():
    image = bell((30, 37), [0])[None]
    bright = Vesselness(append=False)(image)
    assert torch.allclose(Vesselness(append=False, bright=False)(1 - image), bright, atol=1e-4)
    assert torch.allclose(Vesselness(append=False)(image * 1000), bright, atol=1e-4)
    assert middle(Vesselness(append=False, bright=False)(image)) == 0
    assert middle(Vesselness(append=False, gamma=100.0)(image)) < 0.01 < 0.5 < middle(bright)


def test_the_response_is_greatest_at_the_scale_of_the_tube():
    image = bell((24, 50, 50), [1, 2], width=4.0)[None]
    answers = [middle(Vesselness(sigmas=[sigma], gamma=0.5, append=False)(image)) for sigma in (1.0, 4.0, 12.0)]
    assert answers[1] > max(answers[0], answers[2])
    assert middle(Vesselness(sigmas=[1.0, 4.0, 12.0], gamma=0.5, append=False)(image)) == pytest.approx(max(answers))


def test_channels_are_appended_and_the_affine_gives_millimeters():
    image = MetaTensor(torch.rand(2, 12, 15), affine=torch.diag(torch.tensor([1.0, 3.0, 1.0, 1.0])))
    both = Vesselness(spacing="affine")(image)
    assert both.shape == (4, 12, 15)
    assert torch.equal(both[:2], image)
    assert torch.equal(both[2:], Vesselness(spacing=[1.0, 3.0], append=False)(image))
    assert not torch.equal(both[2:], Vesselness(append=False)(image))


def test_a_constant_image_has_no_vessels():
    assert Vesselness(append=False)(np.full((1, 9, 11), 0.3)).max() == 0


@pytest.mark.parametrize(
    ("settings", "image", "sentence"),
    [
        ({"sigmas": []}, None, "Expected `sigmas` to be finite and greater than 0"),
        ({"gamma": 0.0}, None, "Expected `gamma` to be finite and greater than 0"),
        ({"object_dimension": 3}, None, "Expected `object_dimension` to be 0, 1 or 2"),
        ({"object_dimension": 2}, np.zeros((1, 9, 9)), "for a 2D image, but got 2: it has no sheets"),
        ({}, np.zeros((1, 9, 3)), "at least 4 voxels along each axis"),
        ({}, np.full((1, 9, 9), np.inf), "Expected an image of finite values"),
    ],
)
def test_impossible_settings_and_images_are_refused(settings, image, sentence):
    with pytest.raises(ValueError, match=sentence):
        Vesselness(**settings)(np.zeros((1, 9, 9)) if image is None else image)
