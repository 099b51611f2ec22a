"""The folder of a run that is resumed: its version, settings of another machine, and what a kill left in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_topo._utils.errors import UserError, causes
from monai_topo._utils.formats import FORMAT_VERSION
from monai_topo.bundle.folder_lock import unlock_folder
from monai_topo.bundle.run_folder import stored_warnings
from monai_topo.bundle.settings import FORMAT

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*resolved to an importable callable")
SETTINGS = {"learning_rate": 0.1, "num_workers": 0, "cpu_threads": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    yield tmp_path / "run"
    unlock_folder(tmp_path / "run")
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    stored_warnings.records.clear()


def start(folder: Path, resume: bool, **changed: Any) -> None:
    """Start or resume a run, as the configuration of a bundle does."""
    places = {"run_dir": str(folder), "resume": str(folder) if resume else None}
    begin = {"_target_": "monai_topo.bundle.start_run", "run_dir": "@run_dir", "resume": "@resume"}
    ConfigParser({**SETTINGS, **places, **changed, "begin": begin}).get_parsed_content("begin")


def refused(folder: Path, **changed: Any) -> str:
    """Return the sentence with which a run is not resumed; MONAI wraps the error."""
    with pytest.raises(RuntimeError) as caught:
        start(folder, resume=True, **changed)
    *_, error = (cause for cause in causes(caught.value) if isinstance(cause, UserError))
    return str(error)


def test_a_folder_of_an_older_version_is_read_and_of_a_newer_one_refused(folder: Path) -> None:
    start(folder, resume=False)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    assert config[FORMAT]["version"] == FORMAT_VERSION
    del config[FORMAT]  # before there were versions
    file.write_text(json.dumps(config))
    start(folder, resume=True)
    file.write_text(json.dumps({**config, FORMAT: {"version": 99, "monai_topo": "7.0"}}))
    assert "of version 2 or older, but got 99; use monai_topo 7.0 or newer" in refused(folder)


def test_settings_of_another_machine_are_told_and_others_refused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(folder, resume=False)
    start(folder, resume=True)
    assert "bit for bit" not in caplog.text
    start(folder, resume=True, num_workers=3, cpu_threads=1)
    assert "with another `num_workers` and `cpu_threads` than it began with" in caplog.text
    assert "is not bit for bit that of a run without interruption" in caplog.text
    assert "another `learning_rate`, 0.2 for 0.1" in refused(folder, learning_rate=0.2)


def test_what_a_kill_left_is_removed_and_nothing_else(folder: Path) -> None:
    start(folder, resume=False)
    (folder / "metrics" / ".unfinished-abc").mkdir(parents=True)
    (folder / "metrics" / ".unfinished-abc" / "val_dice.csv").write_text("half")
    name = "0123456789abcdef" * 2
    for left in (f".validation.{name}.csv", f".model.previous.{name}.pt", f"metrics/.raw.{name}.csv"):
        (folder / left).write_text("half")
    kept = ["metrics/val_dice.csv", ".hidden", f".a.{name[1:]}.csv", f"b.{name}.csv"]
    for file in kept:
        (folder / file).write_text("whole")
    start(folder, resume=True)
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert found == {*kept, ".lock", ".lock.json", "config.json", "log.txt"}


@pytest.mark.parametrize("file", ["model.pt", "checkpoint.pt"])
def test_a_model_of_another_run_is_never_overwritten(folder: Path, file: str) -> None:
    folder.mkdir()
    (folder / file).write_bytes(b"weights")
    with pytest.raises(RuntimeError) as caught:
        start(folder, resume=False)
    *_, error = (cause for cause in causes(caught.value) if isinstance(cause, UserError))
    assert "to be a new folder, but got" in str(error)
    assert f"--resume {folder}" in str(error)
    assert [path.name for path in folder.iterdir()] == [file]
