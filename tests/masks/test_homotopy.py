"""Simple points against Betti numbers before and after the flip, and what warping leaves."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import BORDERS, CONNECTIVITIES
from oracles.betti_by_labeling import betti_by_labeling

from monai_topo.masks.homotopy import homotopy_warping_errors, simple_points

every_connectivity = pytest.mark.parametrize("connectivity", CONNECTIVITIES)
every_border = pytest.mark.parametrize("border", BORDERS)


def keeps_topology(mask, voxel, **setting):
    flipped = mask.copy()
    flipped[voxel] ^= True
    return betti_by_labeling(mask, **setting) == betti_by_labeling(flipped, **setting)


@every_connectivity
def test_all_neighborhoods_of_the_plane(connectivity):
    patches = np.array(list(itertools.product([False, True], repeat=9))).reshape(-1, 3, 3)
    simple = simple_points(torch.from_numpy(patches), connectivity=connectivity)[:, 1, 1]
    expected = [keeps_topology(patch, (1, 1), connectivity=connectivity, border="open") for patch in patches]
    assert simple.tolist() == expected
    assert 100 < sum(expected) < 300


@every_connectivity
@pytest.mark.parametrize("density", [0.15, 0.5, 0.85])
def test_random_neighborhoods_of_space(connectivity, density):
    # Where the side of full connectivity is alone in its patch, a flip changes a Betti number unless it is simple.
    rng = np.random.default_rng(int(density * 100))
    patches = rng.random((250, 3, 3, 3)) < density
    border = "open" if connectivity == "full" else "foreground"
    simple = simple_points(torch.from_numpy(patches), connectivity=connectivity, border=border)[:, 1, 1, 1]
    padded = [np.pad(patch, 1, constant_values=border == "foreground") for patch in patches]
    expected = [keeps_topology(patch, (2, 2, 2), connectivity=connectivity, border="open") for patch in padded]
    assert simple.tolist() == expected
    assert 10 < sum(expected) < 240


@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, max_side=4)),
    connectivity=st.sampled_from(CONNECTIVITIES),
    border=st.sampled_from(BORDERS),
)
def test_the_flip_of_a_simple_point_changes_no_betti_number(mask, connectivity, border):
    setting = {"connectivity": connectivity, "border": border}
    for voxel in simple_points(torch.from_numpy(mask)[None], **setting)[0].nonzero().tolist():
        assert keeps_topology(mask, tuple(voxel), **setting)


@given(
    masks=hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=5).flatmap(
        lambda shape: hnp.arrays(bool, (2, *shape))
    ),
    connectivity=st.sampled_from(CONNECTIVITIES),
    border=st.sampled_from(BORDERS),
)
def test_masks_of_other_betti_numbers_leave_something_and_only_errors(masks, connectivity, border):
    setting = {"connectivity": connectivity, "border": border}
    prediction, label = torch.from_numpy(masks)[:, None]
    critical = homotopy_warping_errors(prediction.float(), label, **setting)
    assert not critical[prediction == label].any()
    if betti_by_labeling(masks[0], **setting) != betti_by_labeling(masks[1], **setting):
        assert critical.any()


def drawing(text):
    return torch.tensor([[[int(c) for c in row] for row in text.split()]])


@pytest.mark.parametrize(
    ("prediction", "label"),
    [
        ("0000000 0111000 0111000 0000000", "0000000 0000011 0000011 0000000"),
        ("1111111 1000001 1111111 0000000", "0000000 1111100 1000100 1111100"),
    ],
    ids=["moved away", "ring of another place"],
)
def test_what_lies_elsewhere_is_critical_though_betti_numbers_agree(prediction, label):
    assert homotopy_warping_errors(drawing(prediction).float(), drawing(label)).any()


@every_connectivity
def test_swollen_and_shifted_shapes_are_no_error(connectivity):
    label = torch.zeros(1, 14, 19, dtype=torch.bool)
    label[:, 3:11, 4:14] = True
    label[:, 6:8, 7:11] = False
    prediction = torch.zeros_like(label)
    prediction[:, 2:12, 3:17] = True
    prediction[:, 5:7, 8:12] = False
    volumes = [
        torch.stack([torch.zeros_like(mask), mask, mask, torch.zeros_like(mask)], 1) for mask in (prediction, label)
    ]
    assert not homotopy_warping_errors(prediction.float(), label, connectivity=connectivity).any()
    assert not homotopy_warping_errors(volumes[0].float(), volumes[1], connectivity=connectivity).any()


@pytest.mark.parametrize("volume", [False, True])
@every_connectivity
def test_break_is_crossed_along_its_ridge(volume, connectivity):
    label = torch.zeros(1, 7, 12)
    label[:, 2:5] = 1
    likelihood = 0.8 * label + 0.1
    likelihood[:, 2:5, 5:9] = 0.3
    likelihood[:, 3, 5:9] = 0.4  # where the prediction nearly holds
    likelihood[:, 3, 6] = 0.2  # except at its bottom
    if volume:
        label, likelihood = (torch.stack([0 * x + 0.1 * (x.max() < 1), x, x, 0 * x], 1) for x in (label, likelihood))
    critical = homotopy_warping_errors(likelihood, label, connectivity=connectivity)
    assert critical.any()
    columns = critical.flatten(0, -2).any(0)
    assert columns.nonzero()[:, 0].tolist() == [5, 6, 7, 8]
    assert volume or critical[0, 3, 5:9].all()


@every_border
def test_what_lies_outside_decides_whether_a_cut_at_the_border_is_an_error(border):
    label, prediction = torch.ones(1, 5, 6), torch.ones(1, 5, 6)
    prediction[:, 2, 2:] = 0  # a cleft that is open to the border
    critical = homotopy_warping_errors(prediction, label, border=border)
    assert critical.any() == (border == "foreground")


@every_border
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)], ids=str)
def test_empty_and_full_masks(shape, border):
    empty, full = torch.zeros(1, *shape), torch.ones(1, *shape)
    assert not homotopy_warping_errors(empty, empty, border=border).any()
    assert not homotopy_warping_errors(full, full, border=border).any()
    assert homotopy_warping_errors(empty, full, border=border).all()
    assert homotopy_warping_errors(full, empty, border=border).all()


@pytest.mark.parametrize("shape", [(3, 40, 31), (3, 9, 12, 11)], ids=str)
def test_threads_batches_and_strides_change_nothing(shape):
    generator = torch.Generator().manual_seed(5)
    likelihood = torch.rand(shape, generator=generator)
    labels = torch.rand(shape, generator=generator) > 0.5
    critical = homotopy_warping_errors(likelihood, labels, num_threads=1)
    assert torch.equal(homotopy_warping_errors(likelihood, labels, num_threads=3), critical)
    for index in range(3):
        one = homotopy_warping_errors(likelihood[index : index + 1].double(), labels[index : index + 1])
        assert torch.equal(one[0], critical[index])
    strided = homotopy_warping_errors(likelihood.transpose(1, 2), labels.transpose(1, 2).contiguous())
    assert torch.equal(
        strided, homotopy_warping_errors(*(x.transpose(1, 2).contiguous() for x in (likelihood, labels)))
    )


@pytest.mark.slow
def test_ctrl_c_stops_a_long_warp():
    script = """
import os, signal, threading, torch
from monai_topo.masks.homotopy import homotopy_warping_errors
noise = torch.rand(1, 128, 128, 128, generator=torch.Generator().manual_seed(0))
labels = noise.flip(1) > 0.5
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells that run things in the background ignore it
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    homotopy_warping_errors(noise, labels)
except KeyboardInterrupt:
    print("stopped")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["stopped"], run.stderr


def test_wrong_arguments_are_named():
    masks = torch.zeros(1, 3, 4)
    with pytest.raises(ValueError, match="to hold only 0 and 1"):
        simple_points(masks + 0.5)
    with pytest.raises(ValueError, match="`connectivity`"):
        simple_points(masks, connectivity="18")
    with pytest.raises(ValueError, match="of the shape of `likelihood`"):
        homotopy_warping_errors(masks, masks.transpose(1, 2))
