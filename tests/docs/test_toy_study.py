"""The toy study of the docs: it runs, and the statements of the page about it hold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "study"))
toy_study = pytest.importorskip("toy_study")


@pytest.mark.slow
def test_study_prints_a_row_for_every_loss_and_draws(tmp_path, capsys):
    toy_study.main(["--steps", "2", "--picture", str(tmp_path / "toy.png")])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == ["loss", *toy_study.LOSSES]
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")


def test_errors_that_cancel_are_mended_by_place_and_not_by_value():
    case = toy_study.toy(2)
    assert toy_study.betti_error(case.logits, case.label) == 4
    blind, spatial = (toy_study.descend(f"PersistenceLoss, {name}", case, 40) for name in ("wasserstein", "spatial"))
    assert spatial.betti_error == 0
    assert spatial.elsewhere <= 2
    assert blind.betti_error == 4
