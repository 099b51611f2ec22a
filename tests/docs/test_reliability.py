"""Every row of the page about reliability names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
FAULTS = [row for row in ROWS if not row.startswith(("| fault ", "| what varies "))]


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[2:40])
def test_each_row_names_a_test_that_exists(row: str) -> None:
    tests = re.findall(r"\[(test_\w+)\]\((\.\./tests/[\w/]+\.py)\)", row)
    assert tests or row.startswith(("| A GPU ", "| Another machine "))
    for name, file in tests:
        assert f"\ndef {name}(" in (PAGE.parent / file).read_text(encoding="utf-8"), f"{name} is not in {file}"


def test_there_are_rows() -> None:
    assert len(FAULTS) > 40
