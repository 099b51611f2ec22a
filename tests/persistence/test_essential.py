"""The essential class: its voxel by the boundary matrix, and the conventions for its birth and death."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import BORDERS, FILTRATIONS, IMAGE_KINDS, every_setting
from oracles.boundary_matrix import barcode_of_ranks, voxel_order

from monai_topo.persistence import essential_class, persistence_pairs
from monai_topo.persistence.essential import essential_dim, extreme_voxels

every_border = pytest.mark.parametrize("border", BORDERS)
every_filtration = pytest.mark.parametrize("filtration", FILTRATIONS)

# The greatest value, 0.8, and the least, 0.1, occur twice each.
IMAGE = torch.tensor([[[0.4, 0.8, 0.1], [0.8, 0.1, 0.3]]])


def essential_by_boundary_matrix(image, filtration, connectivity, border):
    """Dimension and voxel of the class without a pair; with a frame, of the class that the frame gives birth to."""
    order = voxel_order(image, filtration)
    rank = np.empty(image.size, dtype=np.int64)
    rank[order] = np.arange(image.size)
    rank = rank.reshape(image.shape)
    if border == "open":
        [(dim, birth)] = barcode_of_ranks(rank, connectivity).essential
        return dim, order[birth]
    barcode = barcode_of_ranks(np.pad(rank, 1, constant_values=-1), connectivity)
    [(dim, death)] = [(dim, death) for dim, birth, death in barcode.pairs if birth < 0]
    return dim, order[death]


@every_setting
@pytest.mark.parametrize("kind", ["distinct", "tied", "binary", "constant"])
@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (2, 3, 2)], ids=str)
def test_dimension_and_voxel_are_those_of_the_boundary_matrix(shape, kind, setting):
    rng = np.random.default_rng([len(shape), *map(ord, kind)])
    images = np.stack([IMAGE_KINDS[kind](rng, shape) for _ in range(3)])
    found = essential_class(
        torch.from_numpy(images), filtration=setting["filtration"], border=setting["border"], until="last"
    )
    expected = [essential_by_boundary_matrix(image, **setting) for image in images]
    assert [(found.dim, voxel) for voxel in found.voxel.tolist()] == expected
    assert found.voxel.dtype == torch.int64
    if setting["border"] == "open":
        assert persistence_pairs(torch.from_numpy(images), **setting).essential.tolist() == found.voxel.tolist()


@every_filtration
@pytest.mark.parametrize("until", ["zero", "last", "infinity"])
def test_component_is_born_at_the_first_value_and_dies_by_convention(until, filtration):
    first, last, infinity = (0.8, 0.1, -np.inf) if filtration == "superlevel" else (0.1, 0.8, np.inf)
    found = essential_class(IMAGE, filtration=filtration, until=until)
    assert found.voxel.tolist() == [1 if filtration == "superlevel" else 2]
    torch.testing.assert_close(
        found.values, torch.tensor([[first, {"zero": 0.0, "last": last, "infinity": infinity}[until]]])
    )


@every_filtration
@pytest.mark.parametrize("until", ["zero", "last", "infinity"])
def test_hole_of_the_frame_is_born_with_it_and_dies_at_the_last_value(until, filtration):
    found = essential_class(IMAGE, filtration=filtration, border="foreground", until=until)
    assert found.voxel.tolist() == [4 if filtration == "superlevel" else 3]
    torch.testing.assert_close(found.values, torch.tensor([[1.0, 0.1]] if filtration == "superlevel" else [[0.0, 0.8]]))


@every_border
@every_filtration
def test_gradient_reaches_the_critical_voxel_alone(filtration, border):
    images = torch.cat([IMAGE, IMAGE.flip(2)]).requires_grad_()
    found = essential_class(images, filtration=filtration, border=border)
    found.values.sum().backward()
    expected = torch.zeros(2, 6).scatter(1, found.voxel[:, None], 1.0).view_as(images)
    assert torch.equal(images.grad, expected)


def test_gradient_of_the_last_value_is_shared_by_its_voxels():
    images = IMAGE.clone().requires_grad_()
    essential_class(images, until="last").values[:, 1].sum().backward()
    assert torch.equal(images.grad, 0.5 * (IMAGE == 0.1))


def test_constant_image_prefers_a_voxel_of_the_label_or_of_its_background():
    labels = torch.tensor([[[0, 0, 1], [1, 0, 0]], [[1, 1, 1], [1, 0, 0]], [[0] * 3] * 2, [[1] * 3] * 2])
    images = torch.full((4, 2, 3), 0.5)
    assert essential_class(images, prefer=labels).voxel.tolist() == [2, 0, 0, 0]
    assert essential_class(images, border="foreground", prefer=labels).voxel.tolist() == [0, 4, 0, 5]
    assert essential_class(images).voxel.tolist() == [0] * 4
    assert essential_class(images, border="foreground").voxel.tolist() == [5] * 4
    assert essential_class(images, border="foreground", prefer=labels).values.tolist() == [[1.0, 0.5]] * 4


@every_border
def test_other_images_have_no_preference(border):
    images = IMAGE.expand(2, 2, 3)
    labels = torch.stack([IMAGE[0] == 0.3, IMAGE[0] != 0.3]).float()
    found = essential_class(images, border=border, prefer=labels)
    assert torch.equal(found.voxel, extreme_voxels(images, "superlevel", border))


@every_border
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_keep_the_dtype_and_a_batch_may_be_empty(dtype, border):
    found = essential_class(torch.zeros(0, 2, 3, dtype=dtype), border=border)
    assert found.dim == essential_dim(border, 2) == (0 if border == "open" else 1)
    assert found.voxel.shape == (0,)
    assert found.values.shape == (0, 2)
    assert found.values.dtype == dtype
