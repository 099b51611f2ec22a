"""`monai-topo` and `python -m monai_topo`: one program, with help that says what it does and examples that parse."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from monai_topo.__main__ import main

COMMANDS = ["report", "labels", "cleanup", "nnunet", "export", "publish"]
ROOT = Path(__file__).resolve().parents[2]


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_console_script_is_the_program() -> None:
    tomllib: Any = pytest.importorskip("tomllib")  # part of Python 3.11 and later
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["monai-topo"].split(":")
    assert getattr(import_module(module), function) is main


@pytest.mark.parametrize(
    ("argv0", "program"), [("/env/bin/monai-topo", "monai-topo"), ("/x/monai_topo/__main__.py", "python -m monai_topo")]
)
def test_messages_name_the_program_as_it_was_called(
    argv0: str, program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [argv0])
    assert help_of(capsys).startswith(f"usage: {program} [-h]")
    assert f"Example: {program} report " in help_of(capsys, "report")
    with pytest.raises(SystemExit) as ended:
        main(["report", "only_predictions"])
    assert ended.value.code == 2
    assert f"{program} report: error: the following arguments are required: LABELS" in capsys.readouterr().err


def test_the_help_lists_every_command_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    for command in COMMANDS:
        assert re.search(rf"^    {command} +\w+", text, re.MULTILINE), command


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_a_command_parses(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^Example: monai-topo (.+)$", help_of(capsys, command), re.MULTILINE)
    parsed: list[argparse.Namespace] = []
    original = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> argparse.Namespace:
        parsed.append(original(self, *args, **kwargs))
        return argparse.Namespace(run=lambda options: 0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    assert main(shlex.split(example)) == 0
    assert parsed[0].run is not None


@pytest.mark.slow
def test_both_ways_to_start_it_print_the_version() -> None:
    run = subprocess.run([sys.executable, "-m", "monai_topo", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"monai_topo {version('monai_topo')}\n"
