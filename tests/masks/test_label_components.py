"""label_components against scipy's labeling, masks drawn by hand and the Betti numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import BORDERS, CONNECTIVITIES
from oracles.component_labels import labels_by_scipy

from monai_topo import betti_numbers, label_components

SHAPES = [(1, 1), (1, 9), (9, 1), (13, 17), (1, 1, 1), (5, 1, 4), (1, 6, 7), (7, 8, 11)]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers_equal_those_of_scipy(shape, connectivity, border):
    rng = np.random.default_rng(len(shape))
    masks = np.stack([rng.random(shape) < density for density in (0.0, 0.1, 0.3, 0.5, 0.7, 0.95, 1.0)])
    labels = label_components(torch.from_numpy(masks), connectivity=connectivity, border=border)
    assert labels.dtype == torch.int32
    assert labels.shape == masks.shape
    for mask, found in zip(masks, labels, strict=True):
        np.testing.assert_array_equal(found.numpy(), labels_by_scipy(mask, connectivity, border))


@given(st.integers(0, 2**16), st.sampled_from(SHAPES), st.sampled_from(CONNECTIVITIES), st.sampled_from(BORDERS))
def test_components_and_holes_are_as_many_as_betti_numbers_say(seed, shape, connectivity, border):
    masks = torch.rand((3, *shape), generator=torch.Generator().manual_seed(seed)) < 0.5
    numbers = betti_numbers(masks, connectivity=connectivity, border=border)
    components = label_components(masks, connectivity=connectivity, border=border)
    assert components.flatten(1).amax(1).clamp(min=0).tolist() == numbers[:, 0].tolist()
    other = {"full": "face", "face": "full"}[connectivity]
    holes = label_components(~masks, connectivity=other, border={"open": "foreground", "foreground": "open"}[border])
    count = holes.flatten(1).amax(1) - int(border == "foreground")
    assert count.clamp(min=0).tolist() == numbers[:, -1].tolist()


def test_components_drawn_by_hand():
    mask = torch.tensor([[[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]])
    for connectivity, border, expected in [
        ("full", "open", [1, 2, 1, 3]),
        ("face", "open", [1, 2, 3, 4]),
        ("full", "foreground", [-1, -1, -1, 1]),
        ("face", "foreground", [-1, -1, 1, 2]),
    ]:
        labels = label_components(mask, connectivity=connectivity, border=border)
        assert labels[mask == 1].tolist() == expected
        assert (labels[mask == 0] == 0).all()


def test_strides_dtypes_and_an_empty_batch():
    masks = torch.rand(2, 6, 9, 5, generator=torch.Generator().manual_seed(0)) > 0.6
    view = masks.permute(0, 3, 1, 2)[..., ::2]
    expected = label_components(view.contiguous())
    for dtype in (torch.uint8, torch.float32, torch.int64):
        assert torch.equal(label_components(view.to(dtype)), expected)
    assert torch.equal(label_components(view), expected)
    assert label_components(torch.zeros(0, 4, 5)).shape == (0, 4, 5)


@pytest.mark.parametrize(
    ("masks", "settings", "words"),
    [
        (torch.zeros(4, 5), {}, "batch first"),
        (torch.full((1, 4, 5), 2), {}, "0 and 1"),
        (torch.zeros(1, 4, 5), {"connectivity": 18}, "18"),
        (torch.zeros(1, 4, 5), {"border": "closed"}, "border"),
    ],
)
def test_wrong_input_gets_a_sentence(masks, settings, words):
    with pytest.raises(ValueError, match=words):
        label_components(masks, **settings)
