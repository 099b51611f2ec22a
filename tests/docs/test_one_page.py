"""The page that explains everything on one drawing: picture and page show the same numbers, computed by hand here."""

import importlib
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from monai_topo import PersistenceLoss, compute_betti_error

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "one_page.md").read_text(encoding="utf-8")


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("figures.one_page")


def rows_of_the_page():
    rows = re.findall(r"^ +\[(\d(?:, \d){5})\],$", PAGE, re.MULTILINE)
    return [[int(digit) for digit in row.split(",")] for row in rows]


def test_pictures_show_the_map_of_the_page(pictures):
    assert [list(row) for row in pictures.TENTHS] == rows_of_the_page()
    ring = torch.zeros(6, 6)
    ring[1:5, 0:4] = 1
    ring[2:4, 1:3] = 0
    assert torch.equal(pictures.label()[0, 0].float(), ring)


def test_loss_and_gradient_are_those_of_the_tables(pictures):
    # By hand, in fractions: birth and death of each feature, and the position of each number in the map.
    first, second, loop = ([Fraction(tenths, 10) for tenths in pair] for pair in ((9, 0), (8, 2), (4, 1)))
    persistence = second[0] - second[1]
    loss = (first[0] - 1) ** 2 + first[1] ** 2 + persistence**2 / 2 + (loop[0] - 1) ** 2 + loop[1] ** 2
    by_hand = {
        (4, 1): 2 * (first[0] - 1),
        (5, 5): persistence,
        (3, 4): -persistence,
        (1, 2): 2 * (loop[0] - 1),
        (3, 1): 2 * loop[1],
    }
    slope = torch.zeros(6, 6, dtype=torch.float64)
    for place, value in by_hand.items():
        slope[place] = float(value)
    assert loss == Fraction(56, 100)

    values = pictures.likelihood().requires_grad_()
    found = PersistenceLoss()(values, pictures.label())
    found.backward()
    assert found.item() == pytest.approx(float(loss), abs=1e-12)
    torch.testing.assert_close(values.grad[0, 0], slope)


def test_mask_is_wrong_by_one_in_either_dimension_and_in_three_voxels(pictures):
    mask, label = pictures.likelihood() > 0.5, pictures.label() > 0
    assert (mask != label).sum() == 36 - 33
    assert compute_betti_error(mask, label).tolist() == [[[1, 1]]]


def test_thresholds_of_the_sweep_are_births_and_deaths(pictures):
    for threshold, (row, column), _, words in pictures.SWEEP:
        assert pictures.TENTHS[row][column] == round(10 * threshold)
        assert f"({row}, {column})" in words
        assert re.search(rf"^- {threshold}: .*\({row}, {column}\)", PAGE, re.MULTILINE)
