"""Files are written atomically."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_topo._utils.io import atomic_write


def test_a_failed_write_keeps_the_previous_file(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "file.txt"
    with atomic_write(file) as unfinished:
        unfinished.write_text("first")
        assert not file.exists()
    with pytest.raises(UnicodeEncodeError), atomic_write(file) as unfinished:
        unfinished.write_text("second \ud800", encoding="utf-8")
    assert file.read_text() == "first"
    assert [entry.name for entry in file.parent.iterdir()] == ["file.txt"]
