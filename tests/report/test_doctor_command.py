"""`python -m monai_topo doctor`: versions, machine, optional packages, and a self-check that can fail."""

from __future__ import annotations

import getpass
import platform
import shlex
from importlib.metadata import metadata, requires, version
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from monai_topo.__main__ import main
from monai_topo.fuzz import Failure
from monai_topo.fuzz.__main__ import main as fuzz
from monai_topo.report import doctor_command


def test_it_says_what_a_report_of_an_error_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--seconds", "0.5", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line for line in printed.splitlines() if line.startswith("  ")}
    for package in ("monai", "torch", "gudhi", "nibabel", "itk", "numpy", "dask", "scipy"):
        assert version(package) in lines[package]
    assert platform.python_version() in lines["Python"]
    assert "compiler" in lines["kernel"]
    assert "sanitizers none" in lines["kernel"]
    assert torch.backends.cpu.get_cpu_capability() in lines["processor"]
    assert lines["threads"].split()[1] == str(torch.get_num_threads())
    assert "masks larger than memory" in lines["dask"]
    assert "batches of images have GUDHI's pairs (seed 7)." in printed
    for private in (str(Path.home()), str(Path.cwd()), platform.node()):
        assert private not in printed
    assert getpass.getuser() not in printed.replace("root", "") or getpass.getuser() == "root"


def test_every_optional_package_is_explained() -> None:
    extras = set(metadata("monai_topo").get_all("Provides-Extra")) - {"benchmark", "dev", "docs", "slow"}
    assert len(extras) > 4
    found = [Requirement(line) for line in requires("monai_topo") or []]
    optional = {
        requirement.name
        for requirement in found
        if requirement.marker is not None and any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
    }
    assert optional - {"monai_topo"} <= set(doctor_command.OPTIONAL)
    for name, (extra, _) in doctor_command.OPTIONAL.items():
        assert (name in optional) == bool(extra)
        if extra:
            assert any(one.name == name and one.marker and one.marker.evaluate({"extra": extra}) for one in found)


def test_a_wrong_result_a_missing_package_and_an_old_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        doctor_command, "run_cases", lambda *arguments: iter([(0, None), (1, Failure(1, "x", "other pairs"))])
    )
    versions = {"torch": "1.0", "scipy": "not installed"}
    monkeypatch.setattr(doctor_command, "package_version", lambda name="monai_topo": versions.get(name, "99.0"))
    assert main(["doctor", "--seed", "5"]) == 1
    printed = capsys.readouterr().out
    assert "1.0, but needed is >=" in printed
    assert (
        "not installed: matching of objects, distances, joining of blocks; pip install 'monai_topo[metrics]'" in printed
    )
    assert "A result is wrong: other pairs" in printed
    command = shlex.split(printed.partition("Repeat it by:")[2])
    assert fuzz(command[3:]) == 0, "the real kernel is well"
    monkeypatch.setattr(doctor_command, "run_cases", lambda *arguments: iter([(0, None)]))
    assert main(["doctor", "--seed", "5"]) == 1
    assert "A result is wrong" not in capsys.readouterr().out
