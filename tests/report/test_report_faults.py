"""Reports on a full disk: the files are whole, and the finished cases are kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from faults import Disk, fill
from report_cases import broken, ladder, save_picture

from monai_topo.__main__ import main


@pytest.mark.parametrize("left", [0, 4096, 40_000])  # nothing, the finished cases, and the tables too
def test_a_full_disk_leaves_whole_files_and_the_finished_cases(
    left: int, small_disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in "ab":
        save_picture(tmp_path / "label" / f"{case}.png", ladder())
        save_picture(tmp_path / "pred" / f"{case}.png", broken(ladder()) if case == "b" else ladder())
    disk = small_disk(1024)
    command = ["report", str(tmp_path / "pred"), str(tmp_path / "label"), "--out", str(disk / "report.html")]
    assert main(command) == 0
    before = {file.name: file.read_bytes() for file in disk.iterdir()}
    filler = fill(disk, leave_bytes=left)
    assert main([*command, "--threshold", "0.4"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in last
    assert last.endswith("Free some space, or allow writing there, and repeat the command.")
    after = {file.name: file.read_bytes() for file in disk.iterdir()}
    assert after["report.html"] == before["report.html"]
    assert after.keys() <= {*before, "filler", "report.unfinished.jsonl"}
    with (disk / "report.csv").open() as file:
        assert [row["case"] for row in csv.DictReader(file)] == ["b", "a"]
    assert len(json.loads((disk / "report.json").read_text())["cases"]) == 2
    filler.unlink()
    assert main([*command, "--threshold", "0.4"]) == 0
    assert {file.name for file in disk.iterdir()} == {*before}
