"""Bootstrap intervals of a report: another BCa, invariances, cases of several classes, few and equal cases."""

from __future__ import annotations

import json
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from report_cases import broken, ladder, save_picture

from monai_topo.__main__ import main
from monai_topo.report.intervals import INTERVALS, mean_interval

NORMAL = NormalDist()


def rows(values, **more):
    return [{"case": str(number), "x": float(value), **more} for number, value in enumerate(values)]


def bca(values, resamples=40_000):
    """Efron's formulas (1987), written out, with other random numbers."""
    values = np.asarray(values, dtype=float)
    random = np.random.RandomState(7)
    means = np.array([values[random.randint(0, len(values), len(values))].mean() for _ in range(resamples)])
    bias = NORMAL.inv_cdf(((means < values.mean()).mean() + (means <= values.mean()).mean()) / 2)
    left_out = (values.sum() - values) / (len(values) - 1)
    away = left_out.mean() - left_out
    acceleration = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    ends = []
    for share in (0.025, 0.975):
        z = bias + NORMAL.inv_cdf(share)
        ends.append(np.quantile(means, NORMAL.cdf(bias + z / (1 - acceleration * z))))
    return ends


@pytest.mark.parametrize("values", [[0, 0, 1, 0, 3, 9, 0, 2], list(np.random.RandomState(0).lognormal(size=31))])
def test_another_bca_agrees(values):
    found = mean_interval(rows(values), "x")
    assert found == pytest.approx(bca(values), rel=0.05, abs=0.03)
    normal = np.mean(values) + np.array([-1.96, 1.96]) * np.std(values) / math.sqrt(len(values))
    assert found[1] > normal[1]  # both are skewed to the right, which a symmetric interval ignores


FEW = st.lists(st.integers(0, 9), min_size=5, max_size=9)


@given(FEW, st.sampled_from([0.5, 3.0]), st.integers(-4, 4))
def test_the_interval_moves_and_stretches_with_the_values(values, factor, offset):
    assume(len(set(values)) > 1)
    low, high = mean_interval(rows(values), "x")
    assert min(values) <= low < high <= max(values)
    moved = mean_interval(rows(np.multiply(values, factor) + offset), "x")
    assert moved == pytest.approx((low * factor + offset, high * factor + offset))
    assert mean_interval(rows(values), "x") == (low, high)  # the seed is fixed


def test_rows_of_one_case_stay_together():
    values = [0, 2, 1, 5, 3, 8]
    twice = [row for row in rows(values) for _ in range(2)]
    assert mean_interval(twice, "x") == mean_interval(rows(values), "x")
    independent = [{"case": str(number), "x": row["x"]} for number, row in enumerate(twice)]
    low, high = mean_interval(independent, "x")
    assert high - low < 0.8 * np.ptp(mean_interval(twice, "x"))


def test_there_is_none_for_few_or_equal_cases():
    assert mean_interval(rows([0, 1, 2, 3]), "x") is None
    assert mean_interval(rows([0, 1, 2, 3, math.nan]), "x") is None
    assert mean_interval(rows([0, 1, 2, 3, 4]), "x") is not None
    assert mean_interval(rows([2] * 9), "x") is None
    assert mean_interval(rows([math.nan] * 9), "x") is None
    assert mean_interval(rows([0, 1, 2, 3, 4, math.nan]), "x") == mean_interval(rows([0, 1, 2, 3, 4]), "x")


@pytest.mark.parametrize("count", [4, 6])
def test_the_page_and_its_json_state_the_intervals(tmp_path, count):
    for number in range(count):
        label = ladder()
        save_picture(tmp_path / "label" / f"{number}.png", label)
        save_picture(tmp_path / "pred" / f"{number}.png", broken(label) if number % 2 else label)
    command = ["report", str(tmp_path / "pred"), str(tmp_path / "label"), "--out", str(tmp_path / "r.html")]
    assert main([*command, "--worst", "0"]) == 0
    content = json.loads((tmp_path / "r.json").read_text())
    page = (tmp_path / "r.html").read_text()
    assert content["intervals"] == INTERVALS
    dice = [{"case": case["case"], "x": case["dice"]} for case in content["cases"]]
    expected = mean_interval(dice, "x")
    assert (expected is None) == (count < 5)
    found = content["summary"]["dice"]["interval"]
    assert found is None if expected is None else found == pytest.approx(expected)
    assert ("mean; 95 % interval" in page) == (count >= 5)
    assert "9999 times, as many cases are drawn" in page
