"""Skeletons and tubes: the label's topology, the middle in millimeters, classes, hand-drawn cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor
from oracles.betti_by_labeling import betti_by_labeling
from scipy.ndimage import distance_transform_edt

from monai_topo.data import synthetic_vessels
from monai_topo.transforms import Skeletonize, Skeletonized, TubedSkeleton

SHAPES = st.sampled_from([(7, 9), (4, 5, 6)])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))


def betti(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(betti_by_labeling(mask, connectivity="full", border="open"))


@given(mask=MASKS, spacing=st.sampled_from([None, 0.5, "coarse"]), per_class=st.booleans())
def test_a_skeleton_lies_inside_with_the_topology_of_the_label(mask, spacing, per_class):
    millimeters = [3.0, 1.0, 1.2][: mask.ndim] if spacing == "coarse" else spacing
    lines = Skeletonize(spacing=millimeters, per_class=per_class)(mask[None]).numpy()[0]
    assert not (lines & ~mask).any()
    assert betti(lines) == betti(mask)


@given(mask=MASKS)
def test_thinning_once_more_changes_nothing(mask):
    thin = Skeletonize()
    once = thin(mask[None])
    assert torch.equal(thin(once), once)


def test_blocks_that_scikit_image_loses_keep_a_voxel():
    blocks = np.zeros((1, 5, 6, 8), dtype=np.uint8)
    blocks[0, 1:3, 1:3, 1:3] = 3
    blocks[0, 2:4, 3:5, 5:7] = 4
    lines = Skeletonize()(blocks)
    assert sorted(lines[lines > 0].tolist()) == [3, 4]


def test_a_plate_of_thick_slices_is_thinned_across_and_not_along():
    bar = np.zeros((1, 8, 4, 16), dtype=bool)
    bar[0, :, :, 5:8] = True  # 8 slices of 3 mm: 24 mm long, 4 mm high, 3 mm wide
    lines = Skeletonize(spacing=[3.0, 1.0, 1.0])(bar).numpy()[0]
    slices, rows, columns = np.nonzero(lines)
    assert len(slices) >= 6
    assert len(set(slices)) == len(slices)
    assert set(rows) <= {1, 2}
    assert set(columns) == {6}


def test_spacing_comes_from_the_affine(monkeypatch):
    mask = np.zeros((1, 3, 19, 24), dtype=np.uint8)
    mask[0, :, 4:15, 2:22] = 1
    label = MetaTensor(torch.from_numpy(mask), affine=torch.diag(torch.tensor([4.0, 1.0, 1.0, 1.0])))
    assert torch.equal(Skeletonize(spacing="affine")(label), Skeletonize(spacing=[4.0, 1.0, 1.0])(label))
    assert not torch.equal(Skeletonize(spacing="affine")(label), Skeletonize()(label))
    monkeypatch.setattr("monai.data.meta_obj._TRACK_META", False)
    with pytest.raises(ValueError, match=r"Expected a MetaTensor for `spacing='affine'`"):
        Skeletonize(spacing="affine")(torch.from_numpy(mask))


@given(mask=MASKS, radius=st.sampled_from([0.0, 1.0, 1.5, 2.3]), coarse=st.sampled_from([1.0, 2.5]))
def test_a_tube_is_all_of_the_label_within_its_radius(mask, radius, coarse):
    spacing = [coarse, 1.0, 0.7][: mask.ndim]
    lines = Skeletonize(spacing=spacing)(mask[None]).numpy()[0]
    tube = TubedSkeleton(radius=radius, spacing=spacing)(mask[None]).numpy()[0]
    far = distance_transform_edt(~lines, sampling=spacing) if lines.any() else np.full(mask.shape, np.inf)
    assert tube.tolist() == (mask & (far <= radius + 1e-6)).tolist()


def test_tubes_keep_class_ids_and_classes_side_by_side_keep_their_own_lines():
    label = np.zeros((1, 12, 30), dtype=np.int64)
    label[0, 1:6, 1:29] = 2  # touches the class below it
    label[0, 6:11, 1:29] = 5
    union = Skeletonize()(label)
    own = Skeletonize(per_class=True)(label)
    tubes = TubedSkeleton(radius=1, per_class=True)(label)
    assert len(union[..., 8:22].unique()) == 2  # the middle of both lies in one of them
    assert own.unique().tolist() == tubes.unique().tolist() == [0, 2, 5]
    assert betti(own.numpy()[0] == 2) == betti(own.numpy()[0] == 5) == (1, 0)
    assert ((tubes == label) | (tubes == 0)).all()
    assert tubes.dtype == torch.int64


@pytest.mark.parametrize("shape", [(90, 70), (40, 44, 36)])
def test_vessels_keep_components_and_loops_and_lose_their_width(shape):
    _, label = synthetic_vessels(shape, seed=5)
    lines = Skeletonized("label", new_key_prefix="skeleton_")({"label": label[None]})["skeleton_label"].numpy()[0]
    assert betti(lines) == betti(label)
    assert lines.sum() < 0.35 * label.sum()


@pytest.mark.parametrize("spacing", ["mm", 0, [1, -1], "nifti"])
def test_impossible_spacings_are_refused_at_once(spacing):
    with pytest.raises(ValueError, match=r"Expected `spacing` to be None for voxels, 'affine'"):
        Skeletonize(spacing=spacing)


def test_a_spacing_for_another_number_of_axes_and_a_negative_radius_are_refused():
    with pytest.raises(ValueError, match=r"Expected `spacing` to hold 2 numbers, one per spatial axis"):
        Skeletonize(spacing=[1, 1, 1])(np.zeros((1, 4, 5)))
    with pytest.raises(ValueError, match=r"Expected `radius` to be finite and at least 0, but got -1"):
        TubedSkeleton(radius=-1)


def test_lines_that_meet_in_one_thick_slice_do_not_change_the_topology():
    rng = np.random.default_rng(0)
    for _ in range(40):  # in about 8 of these the lines, thinned in millimeters, close a loop in a slice
        mask = rng.random((1, 4, 6, 7)) < 0.6
        assert betti(Skeletonize(spacing=[4, 1, 1])(mask).numpy()[0]) == betti(mask[0])
