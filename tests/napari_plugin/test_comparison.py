"""What the plug-in of napari shows, computed without napari: on errors drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from napari_cases import tree

from monai_topo import persistence_pairs, topology_report
from monai_topo._utils.errors import UserError
from monai_topo.napari.comparison import GROUPS, compare, find_pairs, to_likelihood


def test_each_group_has_the_planted_error_and_the_largest_is_first():
    prediction, label = tree()
    found = compare(prediction, label)
    assert [found.count(group) for group in GROUPS] == [1, 1, 0, 1, 1, 0]
    assert np.argwhere(found.group_map("holes")).tolist() == [[3, 23, 9]]
    speck = found.group_map("specks") > 0
    assert speck.sum() == 8
    assert speck[2:4, 22:24, 38:40].all()
    broken = np.argwhere(found.group_map("breaks"))
    assert ((broken >= [2, 4, 20]) & (broken < [5, 7, 26])).all()
    sizes = [error.voxels for error in found.errors]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    total = sum(found.group_map(group).astype(int) for group in GROUPS)
    np.testing.assert_array_equal(total, found.error_map)


def test_the_report_is_that_of_the_layers_with_the_settings():
    prediction, label = tree()
    likelihood = np.float32(0.7) * prediction.astype(np.float32)
    for settings in ({}, {"connectivity": "face", "border": "foreground"}):
        found = compare(likelihood, label, threshold=0.6, **settings).report
        expected = topology_report(likelihood, label, threshold=0.6, **settings)
        np.testing.assert_equal(found, expected)
    assert compare(likelihood, label, threshold=0.75).report["b0_pred"] == 0


def test_pairs_lie_at_their_critical_voxels():
    likelihood = np.zeros((7, 11), dtype=np.float32)
    likelihood[1, 1:10] = [0.9, 0.8, 0.8, 0.8, 0.3, 0.6, 0.6, 0.7, 0.6]  # two bumps that merge at 0.3
    likelihood[5, 5] = 0.15  # a speck of persistence 0.149
    voxels, features = find_pairs(likelihood, min_persistence=0.2, connectivity="full", border="open")
    assert voxels.tolist() == [[1, 8], [1, 5]]
    assert features["event"].tolist() == ["birth", "death"]
    assert features["feature"].tolist() == ["components"] * 2
    np.testing.assert_allclose(features["persistence"], [0.4, 0.4], atol=1e-6)
    voxels, features = find_pairs(likelihood, min_persistence=0.1, connectivity="full", border="open")
    assert sorted(voxels[features["event"] == "birth"].tolist()) == [[1, 8], [5, 5]]
    empty, _ = find_pairs(np.zeros((4, 5), np.float32), min_persistence=0.1, connectivity="full", border="open")
    assert empty.shape == (0, 2)


def test_of_many_pairs_the_most_persistent_ones_are_kept():
    image = torch.rand(220, 240, generator=torch.Generator().manual_seed(0)).clamp(1e-3, 1 - 1e-3)
    _, features = find_pairs(image.numpy(), min_persistence=0.0, connectivity="full", border="open")
    kept = np.sort(features["persistence"][features["event"] == "death"])
    values = persistence_pairs(image[None]).values(image[None]).numpy()
    every = np.sort(values[:, 0] - values[:, 1])
    assert len(every) > 2 * 5000
    np.testing.assert_array_equal(kept, every[-5000:])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 3], [7, 0]], np.int32), [[0, 1], [1, 0]]),
        (np.array([[False, True]]), [[0, 1]]),
        (np.array([[0.0, 255.0]]), [[0, 1]]),
        (np.array([[0.25, 1.0]]), [[0.25, 1]]),
        (np.array([[0.0, 0.5]]), [[0, 0.5]]),
    ],
)
def test_values_become_likelihoods(values, expected):
    np.testing.assert_array_equal(to_likelihood(values), np.float32(expected))


@pytest.mark.parametrize("values", [[[-3.0, 2.0]], [[0.0, 1.5, 3.0]], [[np.nan, 0.5]]])
def test_other_values_are_refused_in_a_sentence(values):
    with pytest.raises(UserError, match="Expected the prediction to hold likelihoods from 0 to 1"):
        to_likelihood(np.array(values))


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4, 5)])
def test_images_of_other_shapes_are_refused(shape):
    with pytest.raises(UserError, match="of the same shape"):
        compare(np.zeros(shape), np.zeros((5, 7)) if len(shape) == 2 else np.zeros(shape))
