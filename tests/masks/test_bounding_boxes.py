"""The box around the foreground: its size, its margin at the faces of the image, and what cropping to it keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_topo._utils.typing import Border, Connectivity, Mask
from monai_topo.masks.bounding_boxes import foreground_box
from monai_topo.masks.components import betti_of_mask


@pytest.mark.parametrize("margin", [0, 1, 4])
def test_the_box_has_the_margin_or_ends_with_the_image(margin: int) -> None:
    mask = np.zeros((9, 14, 30), dtype=bool)
    mask[3, 0, 12] = mask[5, 8, 20] = True
    box = foreground_box(mask, margin_vox=margin)
    assert box == (
        slice(max(3 - margin, 0), min(6 + margin, 9)),
        slice(0, 9 + margin),
        slice(12 - margin, 21 + margin),
    )


@pytest.mark.parametrize("shape", [(5, 7), (5, 1, 7)])
def test_full_and_empty_masks(shape: tuple[int, ...]) -> None:
    assert np.ones(shape)[foreground_box(np.ones(shape, dtype=bool), margin_vox=2)].shape == shape
    for margin in (0, 3):
        size = np.zeros(shape)[foreground_box(np.zeros(shape, dtype=bool), margin_vox=margin)].shape
        assert size == tuple(min(1 + margin, length) for length in shape)


def test_one_voxel_in_a_corner() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[-1, 0] = True
    assert foreground_box(mask, margin_vox=1) == (slice(4, 6), slice(0, 2))


@given(
    mask=st.one_of(
        arrays(bool, st.tuples(*[st.integers(1, 6)] * 2)), arrays(bool, st.tuples(*[st.integers(1, 5)] * 3))
    ),
    data=st.data(),
    connectivity=st.sampled_from(["full", "face"]),
    border=st.sampled_from(["open", "foreground"]),
)
def test_a_margin_of_one_voxel_keeps_the_betti_numbers(
    mask: Mask, data: st.DataObject, connectivity: Connectivity, border: Border
) -> None:
    whole = np.pad(mask, [data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in mask.shape])
    cropped = whole[foreground_box(whole, margin_vox=1)]
    assert betti_of_mask(cropped, connectivity, border) == betti_of_mask(whole, connectivity, border)
