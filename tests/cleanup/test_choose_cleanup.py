"""The choice of a clean-up on cases whose right answer is known."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_topo import choose_cleanup
from monai_topo.transforms import CleanUp


def choose(cases, **settings):
    return choose_cleanup(cases, progress=False, **settings)


def bars(number=3):
    """Draw horizontal bars of 3 x 20 pixels."""
    label = np.zeros((8 * number, 30), dtype=bool)
    for row in range(2, 8 * number, 8):
        label[row : row + 3, 5:25] = True
    return label


def with_specks(label, seed, size=3):
    """Add two specks of the given length outside of the label."""
    mask = label.copy()
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(~label.any(1)))
    far = [row for row in rows if not label[max(row - 1, 0) : row + 2].any()]
    mask[far[0], 4 : 4 + size] = True
    mask[far[0], 15 : 15 + size] = True
    return mask


def valley(label, depth=0.3, gap=4):
    """Draw a likelihood of 0.9 in the label with a valley in each bar."""
    likelihood = 0.9 * label
    likelihood[:, 13 : 13 + gap] = np.minimum(likelihood[:, 13 : 13 + gap], depth)
    return likelihood


def test_a_size_between_specks_and_components():
    label = bars()
    choice = choose([(with_specks(label, seed), label) for seed in range(5)])
    assert 3 < choice.cleanup.min_component_size <= 60
    assert choice.cleanup.num_components is None
    by_name = {row["name"]: row for row in choice.rows}
    assert list(by_name) == ["raw", "sizes", "count", "chosen"]
    assert (by_name["raw"]["betti_matching_error"], by_name["chosen"]["betti_matching_error"]) == (2, 0)
    assert (by_name["raw"]["betti_error_0"], by_name["chosen"]["betti_error_0"]) == (2, 0)
    assert by_name["chosen"]["dice"] == 1
    assert choice.is_better_than_raw
    assert choice.cross_validated.p_value == 1 / 32
    assert choice.cross_validated.chosen == [0] * 5


def test_a_size_of_holes_between_pinholes_and_holes():
    label = np.ones((20, 20), dtype=bool)
    label[3:9, 3:9] = False
    prediction = label.copy()
    prediction[14, 14:16] = False
    choice = choose([(prediction, label)] * 5)
    assert (choice.cleanup.min_component_size, choice.cleanup.min_hole_size) == (0, 3)


def test_a_break_with_a_valley_is_reconnected():
    label = bars()
    choice = choose([(valley(label), label)] * 5)
    assert choice.cleanup.reconnect["min_likelihood"] <= 0.3
    assert choice.cleanup.reconnect["max_path_length"] >= 4
    assert choice.rows[-1]["betti_matching_error"] == 0
    assert np.asarray(choice.cleanup(valley(label)[None])).astype(bool)[0, ::4].any()
    assert choice.is_better_than_raw


def test_kinds_are_combined():
    label = bars()
    specks = np.zeros_like(label)
    for row, start, length in [
        (0, 0, 1),
        (0, 4, 1),
        (0, 8, 1),
        (0, 12, 3),
        (7, 0, 4),
        (7, 8, 6),
        (7, 18, 8),
        (15, 0, 12),
    ]:
        specks[row, start : start + length] = True
    choice = choose([(np.maximum(valley(label), 0.8 * specks), label)] * 5)
    by_name = {row["name"]: row for row in choice.rows}
    assert by_name["chosen"]["betti_matching_error"] == 0
    assert all(by_name[kind]["betti_matching_error"] > 0 for kind in ("sizes", "reconnection"))
    assert choice.cleanup.reconnect["min_component_size"] == choice.cleanup.min_component_size > 12


def test_persistence_tells_faint_large_specks_from_small_components():
    label = np.zeros((30, 30), dtype=bool)
    label[4:6, 4:6] = label[4:6, 14:16] = True
    likelihood = 0.95 * label
    likelihood[16:26, 4:14] = 0.6
    other = label.copy()
    other[10:12, 24:26] = True
    choice = choose([(np.maximum(likelihood, 0.95 * one), one) for one in (label, other) * 3])
    # The essential component, which has no pair, is a true one here.
    assert choice.cleanup.min_persistence >= 0.6
    assert choice.rows[-1]["betti_matching_error"] == 0


def test_no_more_dice_is_lost_than_allowed():
    """The removal of either part of a broken component improves Betti matching and costs much Dice."""
    label = np.zeros((20, 40), dtype=bool)
    label[4:8, 4:36] = True
    prediction = label.copy()
    prediction[4:8, 20] = False
    strict, loose = (choose([(prediction, label)] * 5, dice_lost=lost) for lost in (0.5, 60))
    assert strict.cleanup.to_dict() == CleanUp(spatial_dims=2).to_dict()
    assert loose.cleanup.num_components == 1
    assert loose.rows[0]["dice"] - loose.rows[-1]["dice"] > 0.3


def test_noise_is_not_better_than_chance():
    generator = np.random.default_rng(0)
    # Predictions that do not depend on the labels, of one number of components.
    cases = []
    for _ in range(8):
        masks = [np.kron(generator.random((8, 8)) < 0.3, np.ones((3, 3))) > 0 for _ in range(2)]
        cases.append((masks[0], masks[1]))
    choice = choose(cases, metric="betti_error_1")
    assert not choice.is_better_than_raw
    assert "not better than chance over the 8 cases" in choice.table()


def test_nothing_to_clean():
    label = bars()
    choice = choose([(label, label)] * 6)
    assert choice.cleanup.to_dict() == CleanUp(spatial_dims=2).to_dict()
    assert choice.rows[-1]["settings"] == "threshold only"
    assert not choice.is_better_than_raw
    assert choice.cross_validated.p_value == 1


@pytest.mark.parametrize("number", [1, 4])
def test_few_cases_cannot_tell(number):
    label = bars()
    choice = choose([(with_specks(label, seed), label) for seed in range(number)])
    assert choice.cleanup.min_component_size > 3
    assert choice.cross_validated.p_value is None
    assert not choice.is_better_than_raw
    assert "is unknown" in choice.table()


def test_many_cases_are_divided_into_folds():
    label = bars(1)
    speck = label.copy()
    speck[7, 28] = True
    choice = choose([(speck, label)] * 14)
    assert (choice.cross_validated.num_folds, choice.cross_validated.test) == (10, "Wilcoxon")
    assert len(choice.cross_validated.chosen) == 14
    assert choice.is_better_than_raw


def test_a_fold_does_not_see_its_case():
    """The only case with specks has no candidates from other cases: it is not improved in cross-validation."""
    label = bars()
    choice = choose([(with_specks(label, 0), label), *[(label, label)] * 5], metric="betti_error_0")
    assert choice.rows[-1]["betti_error_0"] == 0
    assert choice.cross_validated.chosen == choice.cross_validated.raw == [2, 0, 0, 0, 0, 0]
    assert not choice.is_better_than_raw


def test_deterministic_on_any_number_of_threads():
    label = bars(2)
    generator = np.random.default_rng(3)
    cases = [(np.clip(valley(label) + 0.25 * generator.normal(size=label.shape), 0, 1), label) for _ in range(4)]
    threads = torch.get_num_threads()
    results = []
    for number in (1, 3):
        torch.set_num_threads(number)
        choice = choose(iter(cases))
        results.append((choice.cleanup.to_dict(), choice.rows, choice.cross_validated))
    torch.set_num_threads(threads)
    assert results[0] == results[1]


def test_volumes_and_tensors():
    label = torch.zeros(8, 12, 12)
    label[2:6, 2:6, 2:10] = 1
    prediction = label.clone()
    prediction[6, 10, 10] = 1
    prediction[4, 4, 4] = 0
    choice = choose([(prediction, label)] * 5, border="open", connectivity="face")
    assert (choice.cleanup.spatial_dims, choice.cleanup.connectivity) == (3, "face")
    assert (choice.cleanup.min_component_size, choice.cleanup.min_hole_size) == (2, 2)
    assert [name for name in choice.rows[0] if name.startswith("betti_error")] == [f"betti_error_{k}" for k in range(3)]


def test_sizes_in_millimeters():
    label = bars()
    cases = [(with_specks(label, seed), label) for seed in range(3)]
    cases = [tuple(MetaTensor(torch.tensor(image), affine=np.diag([2.0, 0.5, 1])) for image in case) for case in cases]
    numbers = choose(cases, spacing=[2.0, 0.5]).cleanup
    affine = choose(cases, spacing="affine").cleanup
    assert 3 < numbers.min_component_size == affine.min_component_size <= 60
    assert affine.spacing == "affine"
    coarse = choose(cases, spacing=2.0)
    assert 3 * 4 < coarse.cleanup.min_component_size <= 20  # the next number of the series is 15
    assert "mm^2" in coarse.table()


def test_higher_is_better_and_cases_without_the_metric():
    label = bars()
    empty = np.zeros_like(label)
    cases = [(with_specks(label, seed), label) for seed in range(5)] + [(empty, empty)]
    choice = choose(cases, metric="component_precision")
    assert choice.cleanup.min_component_size > 3
    assert choice.rows[-1]["component_precision"] == 1 > choice.rows[0]["component_precision"]
    assert choice.cross_validated.mean_difference > 0
    assert choice.is_better_than_raw


def test_a_setting_must_not_make_the_metric_undefined():
    """Without any component there is no precision; of the second case Dice alone would improve."""
    label = bars()
    speck = np.zeros_like(label)
    speck[7, 3:9] = True
    choice = choose([(speck, label), (speck, 0 * label)] * 3, metric="component_precision")
    assert choice.rows[-1]["component_precision"] == 0
    assert choice.cleanup.to_dict() == CleanUp(spatial_dims=2).to_dict()


def test_masks_are_not_reconnected_and_that_is_said_once():
    label = bars()
    cases = [(valley(label), label), (with_specks(label, 1).astype(np.uint8), label)]
    choice = choose(cases)
    assert choice.table().count("are masks") == 1
    assert {row["name"] for row in choice.rows} <= {"raw", "sizes", "count", "chosen"}


def test_file_is_a_clean_up_with_a_record(tmp_path):
    label = bars()
    choice = choose([(with_specks(label, seed), label) for seed in range(5)])
    choice.save(tmp_path / "runs" / "cleanup.json")
    assert CleanUp.load(tmp_path / "runs" / "cleanup.json").to_dict() == choice.cleanup.to_dict()
    record = json.loads((tmp_path / "runs" / "cleanup.json").read_text())["chosen_by"]
    assert (record["metric"], record["dice_lost"], record["num_cases"]) == ("betti_matching_error", 0.5, 5)
    assert record["is_better_than_raw"] is True
    assert record["cross_validated"]["p_value"] == 1 / 32


LABEL = bars()


@pytest.mark.parametrize(
    ("cases", "settings", "sentence"),
    [
        ([], {}, "at least one case to choose a clean-up on, but got none"),
        ([(LABEL, LABEL), (LABEL, LABEL[1:])], {}, "label of case 1 to have the shape"),
        ([(LABEL, LABEL), (np.ones((4, 4, 4)),) * 2], {}, "all cases the same number of axes"),
        ([(LABEL[None, None], LABEL[None, None])], {}, "shape (H, W) or (D, H, W)"),
        ([(np.where(LABEL, np.nan, 0.2), LABEL)], {}, "got others or NaN"),
        ([(LABEL, 255 * LABEL.astype(np.uint8))], {}, "hold only 0 and 1"),
        ([(LABEL, 0 * LABEL)] * 3, {}, "label with foreground, but got 3 empty ones"),
        ([(LABEL, LABEL)], {"metric": "beti"}, "`metric` to be one of betti_matching_error,"),
        ([(LABEL, LABEL)], {"metric": "bottleneck_0"}, "`metric` to be one of"),
        ([(LABEL, LABEL)], {"metric": "voi_0"}, "`metric` to be one of"),
        ([(LABEL, LABEL)], {"metric": "diu_2"}, "dimension below 2"),
        ([(0 * LABEL, LABEL)], {"metric": "component_precision"}, "apply to at least one case"),
        ([(LABEL, LABEL)], {"dice_lost": -1}, "`dice_lost` to be finite and at least 0"),
        ([(LABEL, LABEL)], {"threshold": 1.0}, "`threshold` to be at least 0 and less than 1"),
        ([(LABEL, LABEL)], {"connectivity": "none"}, "`connectivity`"),
        ([(LABEL, LABEL)], {"instances": "cells"}, "`instances`"),
        ([(LABEL, LABEL)], {"spacing": "affine"}, "a MetaTensor"),
        ([(LABEL, LABEL)], {"spacing": [1.0, 1.0, 1.0]}, "one per spatial axis"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(cases, settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        choose(cases, **settings)
