"""Published protocols: their numbers against computations of their own, and refusals."""

from __future__ import annotations

import math
from itertools import product

import gudhi
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import skeletonize

from monai_topo import PROTOCOLS, protocol_metrics, topology_report
from monai_topo.metrics.protocols import describe_protocol


def blocks(shape, seed, share=0.5, side=4):
    """Random blocks of `side` voxels, so that components and holes have some size."""
    coarse = np.random.default_rng(seed).random([-(-length // side) for length in shape]) < share
    return np.kron(coarse, np.ones([side] * len(shape), dtype=bool))[tuple(map(slice, shape))]


def as_batch(mask):
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


def measure(name, pred, true, **settings):
    metrics = protocol_metrics(name, spatial_dims=pred.ndim, **settings)
    return {key: metric(as_batch(pred), as_batch(true)).item() for key, metric in metrics.items()}


def holes(patch):
    """Count the 4-connected components of the background that do not touch the border of the patch."""
    ids, count = ndimage.label(~patch)
    outer = np.concatenate([ids[0], ids[-1], ids[:, 0], ids[:, -1]])
    return count - len(np.unique(outer[outer > 0]))


def components(mask):
    return ndimage.label(mask, np.ones([3] * mask.ndim))[1]


def gudhi_betti_numbers(patch):
    """Count as TopoMortar does: the intervals of the sublevel filtration of the inverted mask."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=1 - patch.astype(float))
    complex_.compute_persistence()
    return np.array(complex_.persistent_betti_numbers(np.inf, -np.inf)[:2])


def overlap(skeleton, mask):
    return (skeleton & mask).sum() / skeleton.sum()


def cldice(pred, true):
    precision, sensitivity = overlap(skeletonize(pred), true), overlap(skeletonize(true), pred)
    return 2 * precision * sensitivity / (precision + sensitivity)


def test_hu_2019_is_the_mean_error_of_handles_over_random_patches():
    pred, true = blocks((90, 133), 1), blocks((90, 133), 2)
    state, errors = np.random.RandomState(3), []
    for _ in range(7):
        row, column = state.randint(0, 90 - 65 + 1), state.randint(0, 133 - 65 + 1)
        patch = slice(row, row + 65), slice(column, column + 65)
        errors.append(abs(holes(pred[patch]) - holes(true[patch])))
    found = measure("hu2019", pred, true, num_patches=7, seed=3)
    assert found == {"betti_error_1": pytest.approx(np.mean(errors))}
    assert found["betti_error_1"] > 0


def test_cldice_paper():
    pred, true = blocks((70, 101), 4), blocks((70, 101), 5)
    state, errors = np.random.RandomState(0), []
    for _ in range(100):
        row, column = state.randint(0, 70 - 64 + 1), state.randint(0, 101 - 64 + 1)
        one, other = (mask[row : row + 64, column : column + 64] for mask in (pred, true))
        errors.append([abs(components(one) - components(other)), abs(holes(one) - holes(other))])
    whole = abs(components(pred) - holes(pred) - components(true) + holes(true))
    assert measure("cldice", pred, true) == pytest.approx(
        {
            "cldice": cldice(pred, true),
            "betti_error_0": np.mean(errors, axis=0)[0],
            "betti_error_1": np.mean(errors, axis=0)[1],
            "euler_error": whole,
        }
    )


def test_topomortar_counts_as_its_own_code():
    pred, true = blocks((256, 384), 6, side=9), blocks((256, 384), 7, side=9)
    whole = np.abs(gudhi_betti_numbers(pred) - gudhi_betti_numbers(true))
    assert [*measure("topomortar", pred, true).values()] == whole.tolist()
    patches = [
        (slice(row, row + 128), slice(column, column + 128))
        for row, column in product(range(0, 256, 128), (0, 128, 256))
    ]
    local = np.mean([np.abs(gudhi_betti_numbers(pred[p]) - gudhi_betti_numbers(true[p])) for p in patches], axis=0)
    assert measure("topomortar_128", pred, true) == pytest.approx(
        {"betti_error_0": local[0], "betti_error_1": local[1], "cldice": cldice(pred, true)}
    )
    assert local.tolist() != whole.tolist()


def test_topomortar_differs_in_an_empty_mask_as_its_source_says():
    true = blocks((130, 150), 8)
    empty = np.zeros_like(true)
    assert gudhi_betti_numbers(empty).tolist() == [1, 0]
    assert measure("topomortar", empty, true)["betti_error_0"] == components(true)
    assert "empty mask or patch counts as one component" in PROTOCOLS["topomortar"].source


def one_hot(ids, classes):
    return torch.from_numpy(np.stack([ids == value for value in range(classes)]))[None]


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_topcow_averages_over_the_classes_that_are_present(seed, classes):
    random = np.random.default_rng(seed)
    pred, true = (random.integers(0, classes, (4, 5, 7)) * (random.random((4, 5, 7)) < 0.3) for _ in range(2))
    present = [value for value in range(1, classes) if (pred == value).any() or (true == value).any()]
    errors = [abs(components(pred == value) - components(true == value)) for value in present]
    metric = protocol_metrics("topcow", spatial_dims=3)["betti_error_0"]
    metric(one_hot(pred, classes + 2), one_hot(true, classes + 2))  # two classes are absent from both
    assert metric.aggregate().item() == pytest.approx(np.mean(errors) if errors else math.nan, nan_ok=True)


def test_topcow_measures_cldice_of_the_union_and_gives_0_for_nothing():
    pred, true = (blocks((12, 16, 21), seed, 0.4) * (1 + blocks((12, 16, 21), seed + 50)) for seed in (9, 10))
    metric = protocol_metrics("topcow", spatial_dims=3)["cldice"]
    found = metric(one_hot(pred, 3), one_hot(true, 3))
    assert found.shape == (1, 1)
    assert found.item() == pytest.approx(cldice(pred > 0, true > 0), abs=1e-6)
    assert metric(one_hot(0 * pred, 3), one_hot(0 * true, 3)).item() == 0
    assert measure("topcow", pred > 0, true > 0)["cldice"] == pytest.approx(found.item())


def test_atm_2022_counts_branches_of_the_largest_component():
    label = np.zeros((5, 16, 30), dtype=bool)
    label[2, 12, 1:29] = label[2, 3:12, 10] = label[2, 3:12, 20] = True  # five branches
    pred = label.copy()
    pred[2, 3:6, 20] = False  # a third of one of them
    found = measure("atm22", pred, label)
    assert found == pytest.approx({"tree_length": overlap(skeletonize(label), pred), "branches": 4 / 5})
    pred[2, 12, 14] = False  # what lies right of it is another component, the smaller one
    assert measure("atm22", pred, label)["branches"] == pytest.approx(2 / 5)


@pytest.mark.parametrize("connectivity", ["full", "face"])
def test_pitfalls_separates_dimensions_and_keeps_the_chosen_connectivity(connectivity):
    true = np.zeros((9, 18), dtype=bool)
    true[2:7, 2:7] = True
    true[4, 4] = False  # a ring
    pred = np.zeros_like(true)
    pred[2:7, 9:14] = True
    pred[4, 11] = False  # the same ring elsewhere
    pred[0, 17] = pred[1, 16] = True  # two voxels that touch at a corner
    found = measure("pitfalls", pred, true, connectivity=connectivity)
    specks = 1 if connectivity == "full" else 2
    assert found == {
        "betti_error_0": specks,
        "betti_error_1": 0,
        "betti_matching_error_0": specks,
        "betti_matching_error_1": 2,
    }
    assert [*protocol_metrics("pitfalls", spatial_dims=3)] == [
        f"{error}_error_{k}" for error in ("betti", "betti_matching") for k in range(3)
    ]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_report_of_a_case_has_the_numbers_of_its_protocol(name):
    shape = (129, 140) if 2 in PROTOCOLS[name].spatial_dims else (9, 12, 14)
    pred, true = blocks(shape, 11, side=5), blocks(shape, 12, side=5)
    report = topology_report(pred, true, protocol=name)
    expected = {f"protocol_{key}": value for key, value in measure(name, pred, true).items()}
    assert {key: value for key, value in report.items() if key.startswith("protocol_")} == pytest.approx(expected)
    assert len(report) == len(topology_report(pred, true)) + len(expected)
    assert all(PROTOCOLS[name].spatial_dims)
    assert len(PROTOCOLS[name].source) > 100


def test_protocols_that_leave_the_connectivity_open_use_the_one_of_the_report():
    pred, true = (np.random.default_rng(seed).random((80, 90)) < 0.5 for seed in (13, 14))
    numbers = [topology_report(pred, true, protocol="hu2019", connectivity=one) for one in ("full", "face")]
    full, face = (row["protocol_betti_error_1"] for row in numbers)
    assert full != face
    assert face == measure("hu2019", pred, true, connectivity="face")["betti_error_1"]


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("hu", {}, "Expected `protocol` to be one of 'hu2019', 'cldice', 'topomortar', .* but got 'hu'"),
        ("topomortar", {"connectivity": "face"}, "Expected `connectivity` to be 'full', as .* 'topomortar' states"),
        ("topomortar_128", {"patch_size": 64}, "Expected `patch_size` to be 128"),
        ("topcow", {"spatial_dims": 2}, "Expected images with 3 spatial axes"),
        ("hu2019", {"num_patches": None}, "Expected `num_patches` to be a number"),
        ("hu2019", {"dim": 0}, r"leaves open \(patch_size, num_patches, seed, connectivity, border\), not `dim`"),
        ("pitfalls", {"connectivity": "18"}, "Expected `connectivity` to be 'full'"),
    ],
)
def test_what_contradicts_a_protocol_is_refused(name, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        protocol_metrics(name, **settings)


def test_a_description_separates_stated_and_open_settings():
    found = describe_protocol("hu2019", connectivity="face", border="open")
    assert found["stated"] == {}
    assert found["left_open"] == {
        "patch_size": 65,
        "num_patches": 100,
        "seed": 0,
        "connectivity": "face",
        "border": "open",
    }
    assert describe_protocol("topomortar_128")["stated"]["patch_size"] == 128
