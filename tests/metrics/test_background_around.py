"""Background around the structures changes no number and costs little: what is measured is the box around them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import monai_topo.masks.structure_errors
import monai_topo.metrics.all_metrics
from monai_topo._utils.typing import Mask
from monai_topo.masks.structure_errors import classify_errors, list_errors
from monai_topo.metrics.all_metrics import topology_report

Image = NDArray[np.float32]

_REFLECTED = 9  # voxels within which the border of the image has an effect on the classified errors


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Image, Mask]:
    """Draw a likelihood and a label: noise of any density in a box, and background on some of its sides."""
    ndim = draw(st.sampled_from([2, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inner = tuple(draw(st.lists(st.integers(1, 14 if ndim == 2 else 8), min_size=ndim, max_size=ndim)))
    label = rng.random(inner) < draw(st.sampled_from([0, 0.02, 0.2, 0.4, 0.6, 0.9, 1]))
    mask = label ^ (rng.random(inner) < draw(st.sampled_from([0, 0.05, 0.3])))
    likelihood = np.where(mask, rng.integers(3, 5, inner) / 4, rng.integers(0, 3, inner) / 4)
    likelihood = draw(st.sampled_from([mask, likelihood, np.zeros(inner)])).astype(np.float32)
    around = [draw(st.tuples(*[st.sampled_from([0, 0, 1, 2, 5, 12])] * 2)) for _ in inner]
    return np.pad(likelihood, around), np.pad(label, around)


def settings(ndim: int) -> st.SearchStrategy[dict[str, Any]]:
    """Draw settings of `topology_report`."""
    names: list[str | None] = [None, "pitfalls", "atm22"]
    return st.fixed_dictionaries(
        {
            "connectivity": st.sampled_from(["full", "face"]),
            "border": st.sampled_from(["open", "foreground"]),
            "instances": st.sampled_from(["foreground", "background"]),
            "tolerance_mm": st.sampled_from([0.0, 1.0, 1.5]),
            "spacing_mm": st.sampled_from([1.0, tuple([0.3, 0.7, 2.0][:ndim])]),
            "protocol": st.sampled_from(names),
        }
    ).filter(lambda chosen: chosen["protocol"] != "atm22" or (ndim == 3 and chosen["border"] == "open"))


def whole_image(mask: Mask, *, margin_vox: int) -> tuple[slice, ...]:
    return tuple(slice(0, length) for length in mask.shape)


@given(data=st.data())
def test_all_numbers_are_those_of_the_whole_image(data: st.DataObject) -> None:
    likelihood, label = data.draw(pairs())
    chosen = data.draw(settings(label.ndim))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monai_topo.metrics.all_metrics, "foreground_box", whole_image)
        patch.setattr(monai_topo.masks.structure_errors, "foreground_box", whole_image)
        expected = topology_report(likelihood, label, **chosen)
        topology = {name: chosen[name] for name in ("connectivity", "border")}
        error_map = classify_errors(likelihood > 0.5, label, **topology)
        errors = list_errors(error_map)
    np.testing.assert_equal(topology_report(likelihood, label, **chosen), expected)
    np.testing.assert_array_equal(classify_errors(likelihood > 0.5, label, **topology), error_map)
    assert list_errors(error_map) == errors


def test_likelihoods_far_from_the_masks_count_in_the_diagrams() -> None:
    likelihood, label = np.zeros((9, 40), dtype=np.float32), np.zeros((9, 40), dtype=bool)
    likelihood[2:4, 2:7] = label[2:4, 2:7] = 1
    likelihood[5, 30] = 0.25
    assert topology_report(likelihood, label)["bottleneck_0"] == 0.125


@pytest.mark.parametrize("protocol", ["hu2019", "cldice", "topomortar", "topomortar_128"])
def test_patches_of_a_protocol_lie_in_the_whole_image(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    label = np.zeros((131, 150), dtype=bool)
    label[20:90, 40:110] = gaussian_filter(rng.standard_normal((70, 70)), 1.5) > 0.05
    prediction = label & (rng.random(label.shape) > 0.05)
    found = topology_report(prediction, label, protocol=protocol)
    monkeypatch.setattr(monai_topo.metrics.all_metrics, "foreground_box", whole_image)
    np.testing.assert_equal(found, topology_report(prediction, label, protocol=protocol))


@given(data=st.data())
def test_a_larger_image_has_the_same_numbers_and_errors(data: st.DataObject) -> None:
    likelihood, label = (np.pad(image, _REFLECTED) for image in data.draw(pairs()))
    around = [data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4))) for _ in label.shape]
    # The size of the outer instance is the one thing that depends on the size of the image.
    chosen = {**data.draw(settings(label.ndim)), "instances": "foreground", "protocol": None}
    larger = np.pad(likelihood, around), np.pad(label, around)
    np.testing.assert_equal(topology_report(*larger, **chosen), topology_report(likelihood, label, **chosen))
    topology = {name: chosen[name] for name in ("connectivity", "border")}
    error_map = classify_errors(likelihood > 0.5, label, **topology)
    larger_map = classify_errors(larger[0] > 0.5, larger[1], **topology)
    np.testing.assert_array_equal(larger_map, np.pad(error_map, around))
    shift = np.array([before for before, _ in around])
    moved = [
        error._replace(**{name: tuple(np.array(getattr(error, name)) + shift) for name in ("at", "start", "stop")})
        for error in list_errors(error_map)
    ]
    assert list_errors(larger_map) == moved


def test_background_takes_a_few_bytes_per_voxel() -> None:
    rng = np.random.default_rng(5)
    label = gaussian_filter(rng.standard_normal((24, 30, 36)), 3) > 0.05
    prediction = label ^ (gaussian_filter(rng.standard_normal(label.shape), 2) > 0.2)
    around = ((90, 90), (70, 110), (100, 60))
    larger = np.pad(prediction, around), np.pad(label, around)
    peaks = []
    for images in ((prediction, label), larger):
        tracemalloc.start()
        topology_report(*images)
        list_errors(classify_errors(*images))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 4 * larger[1].size  # numpy's arrays
