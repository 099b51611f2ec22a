"""The report of a case: each number equals that of its function, expensive results are computed once, settings work."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

import monai_topo.masks.skeletons
import monai_topo.metrics.all_metrics
import monai_topo.metrics.diagram_distance
import monai_topo.metrics.diu
from monai_topo.metrics import (
    BettiMatchingMetric,
    compute_adapted_rand,
    compute_betti_error,
    compute_betti_matching,
    compute_cldice,
    compute_component_detection,
    compute_diagram_distance,
    compute_diu,
    compute_euler_error,
    compute_skeleton_recall,
    compute_variation_of_information,
)
from monai_topo.metrics.all_metrics import topology_report


def case(shape):
    """A smooth likelihood, and its label with additional noise."""
    rng = np.random.default_rng(19)
    field = gaussian_filter(rng.standard_normal(shape), 2)
    other = gaussian_filter(rng.standard_normal(shape), 1)
    likelihood = 1 / (1 + np.exp(-12 * (field / field.std() + 0.7 * other / other.std()) / 3))
    return torch.from_numpy(likelihood), torch.from_numpy(field > 0)


def by_single_functions(likelihood, label, *, instances="foreground", connectivity="full", border="open"):
    setting = {"connectivity": connectivity, "border": border}
    of_instances = {"connectivity": connectivity, "instances": instances}
    pred, true, map_ = likelihood[None, None] > 0.5, label[None, None], likelihood[None, None]
    betti, diu = compute_betti_error(pred, true, **setting), compute_diu(pred, true, **setting)
    bottleneck = compute_diagram_distance(map_, true, order=math.inf, **setting)[0, 0]
    wasserstein = compute_diagram_distance(map_, true, order=2, **setting)[0, 0]
    by_dimension = {"betti_error": betti[0, 0], "diu": diu[0, 0], "bottleneck": bottleneck, "wasserstein": wasserstein}
    numbers = {f"{name}_{k}": value for name, values in by_dimension.items() for k, value in enumerate(values)}
    numbers |= {"betti_error": betti.sum(), "diu": diu.sum(), "euler_error": compute_euler_error(pred, true, **setting)}
    parts = ["betti_matching_error", "topology_matched", "topology_spurious", "topology_missing"]
    for name, values in zip(parts, compute_betti_matching(pred, true, **setting), strict=True):
        numbers |= {name: values.sum(), **{f"{name}_{k}": value for k, value in enumerate(values[0, 0])}}
    for k in (None, *range(likelihood.ndim)):
        f1 = BettiMatchingMetric(part="f1", dim=k, **setting)
        numbers["topology_f1" if k is None else f"topology_f1_{k}"] = f1(pred, true)
    names = ["cldice", "topology_precision", "topology_sensitivity"]
    numbers |= dict(zip(names, compute_cldice(pred, true), strict=True))
    numbers["skeleton_recall"] = compute_skeleton_recall(pred, true)
    voi = compute_variation_of_information(pred, true, **of_instances)
    numbers |= dict(zip(["voi_split", "voi_merge", "voi"], voi, strict=True))
    names = ["adapted_rand_error", "adapted_rand_precision", "adapted_rand_recall"]
    numbers |= dict(zip(names, compute_adapted_rand(pred, true, **of_instances), strict=True))
    names = ["true_positives", "false_positives", "false_negatives"]
    names += ["component_precision", "component_recall", "component_f1"]
    numbers |= dict(zip(names, compute_component_detection(pred, true, **of_instances), strict=True))
    return {name: value.item() for name, value in numbers.items()}


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"connectivity": "face", "border": "foreground", "instances": "background"},
        {"border": "foreground"},
        {"instances": "background"},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(40, 57), (16, 21, 26)], ids=str)
def test_every_number_is_that_of_its_function(shape, setting):
    likelihood, label = case(shape)
    report = topology_report(likelihood, label, **setting)
    expected = by_single_functions(likelihood, label, **setting)
    assert {name: report[name] for name in expected} == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert all(type(value) is float for value in report.values())
    rest = set(report) - set(expected) - {"dice", "voxel_precision", "voxel_recall"}
    assert rest == {f"b{k}_{of}" for k in range(len(shape)) for of in ("pred", "label")}


@given(
    mask=st.one_of(
        arrays(bool, st.tuples(*[st.integers(1, 7)] * 2)), arrays(bool, st.tuples(*[st.integers(1, 4)] * 3))
    ),
    noise=st.sampled_from([0, 0.2, 1]),
    connectivity=st.sampled_from(["full", "face"]),
    border=st.sampled_from(["open", "foreground"]),
)
@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_masks_have_the_diagram_distances_of_their_persistence_pairs(mask, noise, dtype, connectivity, border):
    label = mask ^ (np.random.default_rng(mask.size).random(mask.shape) < noise)
    report = topology_report(mask.astype(dtype), label, connectivity=connectivity, border=border)
    maps = [torch.from_numpy(image)[None, None] for image in (mask.astype(np.float64), label)]
    for name, order in (("bottleneck", math.inf), ("wasserstein", 2)):
        expected = compute_diagram_distance(*maps, order=order, connectivity=connectivity, border=border)[0, 0]
        assert [report[f"{name}_{k}"] for k in range(mask.ndim)] == pytest.approx(expected.tolist(), rel=1e-6)


def test_voxels_and_betti_numbers_of_a_drawing():
    label = np.zeros((9, 14), dtype=np.uint8)
    label[2:7, 2:12] = 1
    label[4, 4:10] = 0  # 44 voxels, one hole
    prediction = label.copy()
    prediction[2:7, 2:4] = 0  # 10 of them are missed, and the ring is open
    prediction[8, 13] = prediction[8, 12] = 1  # 2 false voxels, one component
    report = topology_report(prediction, label)
    assert [report[name] for name in ("b0_pred", "b1_pred", "b0_label", "b1_label")] == [2, 0, 1, 1]
    assert [report["betti_error"], report["euler_error"]] == [2, 2]
    assert report["voxel_precision"] == 34 / 36
    assert report["voxel_recall"] == 34 / 44
    assert report["dice"] == 68 / 80


def test_expensive_results_are_computed_once(monkeypatch):
    calls = []

    def counted(module, name):
        function = getattr(module, name)

        def count(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, count)

    counted(monai_topo.metrics.all_metrics, "components")
    counted(monai_topo.metrics.all_metrics, "betti_numbers")
    counted(monai_topo.metrics.diu, "persistence_pairs")
    counted(monai_topo.metrics.diagram_distance, "persistence_pairs")
    thinned = []
    require = monai_topo.masks.skeletons.require

    class Morphology:
        @staticmethod
        def skeletonize(mask):
            thinned.append(mask.tobytes())
            return require("skimage.morphology", "scikit-image").skeletonize(mask)

    monkeypatch.setattr(
        monai_topo.masks.skeletons,
        "require",
        lambda name, pip: Morphology if "morphology" in name else require(name, pip),
    )
    likelihood, label = case((40, 57))
    topology_report(likelihood, label)
    assert sorted(calls) == ["betti_numbers", "components", "components", "persistence_pairs", "persistence_pairs"]
    masks = [(likelihood > 0.5).numpy().tobytes(), label.numpy().tobytes()]
    assert sorted(thinned) == sorted(masks)
    topology_report(likelihood, label)  # no result is kept between two reports
    assert len(thinned) == 4


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"threshold": 0.7}, "dice"),
        ({"connectivity": "face"}, "b0_pred"),
        ({"border": "foreground"}, "b1_pred"),
        ({"instances": "background"}, "voi"),
        ({"tolerance_mm": 1.5}, "cldice"),
        ({"tolerance_mm": 1.5, "spacing_mm": (2.0, 0.5)}, "cldice"),
        ({"tube_vox": 0}, "skeleton_recall"),
        ({"min_iou": 0.05}, "true_positives"),
    ],
    ids=str,
)
def test_every_setting_has_an_effect(setting, name):
    likelihood, label = case((40, 57))
    former = {"tolerance_mm": 1.5} if "spacing_mm" in setting else {}
    assert topology_report(likelihood, label, **setting)[name] != topology_report(likelihood, label, **former)[name]


def test_arrays_and_tensors_of_every_kind_are_read():
    likelihood, label = case((12, 17, 14))
    expected = topology_report(likelihood, label)
    assert topology_report(likelihood.numpy(), label.numpy().astype(np.int16)) == pytest.approx(expected, nan_ok=True)
    mask = topology_report(likelihood > 0.5, label.float())
    same = [name for name in expected if "bottleneck" not in name and "wasserstein" not in name]
    assert {name: mask[name] for name in same} == pytest.approx({name: expected[name] for name in same}, nan_ok=True)
    assert mask["bottleneck_1"] <= 0.5


def test_empty_and_equal_masks():
    likelihood, label = case((40, 57))
    perfect = topology_report(label, label)
    assert {perfect[name] for name in perfect if "error" in name or "diu" in name or "voi" in name} == {0}
    assert {perfect[name] for name in perfect if "dice" in name or "recall" in name or "f1" in name} == {1}
    nothing = topology_report(torch.zeros_like(likelihood), torch.zeros_like(label))
    assert nothing["betti_error"] == nothing["diu"] == nothing["bottleneck_0"] == 0
    assert all(math.isnan(nothing[name]) for name in ("cldice", "dice", "voi", "component_f1", "skeleton_recall"))


@pytest.mark.parametrize(
    ("prediction", "label", "setting", "message"),
    [
        (np.ones((3, 4)), np.ones((4, 3)), {}, "`label`.*shape"),
        (np.ones((1, 1, 3, 4)), np.ones((1, 1, 3, 4)), {}, "one case"),
        (np.full((3, 4), 2.0), np.ones((3, 4)), {}, r"`prediction`.*\[0, 1\]"),
        (np.ones((3, 4)), np.full((3, 4), 255), {}, "`label`.*0 and 1"),
        (np.ones((3, 4)), np.ones((3, 4)), {"instances": "given"}, "instances"),
        (np.ones((3, 4)), np.ones((3, 4)), {"connectivity": "edge"}, "connectivity"),
        (np.ones((3, 4)), np.ones((3, 4)), {"border": "closed"}, "border"),
        (np.ones((3, 4)), np.ones((3, 4)), {"min_iou": 1.0}, "min_iou"),
        (np.ones((3, 4)), np.ones((3, 4)), {"tube_vox": -1}, "tube_vox"),
        (np.ones((3, 4)), np.ones((3, 4)), {"tolerance_mm": -1.0}, "tolerance_mm"),
        (np.ones((3, 4)), np.ones((3, 4)), {"spacing_mm": (1.0, 1.0, 1.0)}, "spacing_mm"),
        (np.ones((3, 4)), np.ones((3, 4)), {"threshold": math.nan}, "threshold"),
    ],
)
def test_impossible_cases_and_settings_are_refused(prediction, label, setting, message):
    with pytest.raises(ValueError, match=message):
        topology_report(prediction, label, **setting)
