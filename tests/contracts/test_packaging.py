"""What installs and what is needed: minimum versions, which the bundles state too, and packages that load late."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


def minimum_versions() -> dict[str, Version]:
    tomllib: Any = pytest.importorskip("tomllib")  # part of Python 3.11 and later
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *project["optional-dependencies"]["bundle"]]
    found = [re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement) for requirement in stated]
    return {match[1]: Version(match[2]) for match in found if match}


@pytest.mark.parametrize("name", ["membrane_2d_segmentation", "vessel_3d_segmentation"])
def test_bundles_state_the_minimum_versions_that_were_tested(name: str) -> None:
    metadata = json.loads((ROOT / "bundles" / name / "configs" / "metadata.json").read_text())
    minimum = minimum_versions()
    own = {"torch": metadata["pytorch_version"], "numpy": metadata["numpy_version"]}
    required = dict(metadata["required_packages_version"])
    assert required.pop("monai_topo") == "0.1.0"
    assert {package: Version(text) for package, text in {**own, **required}.items()} == {
        package: minimum[package] for package in [*own, *required]
    }
    assert Version(metadata["monai_version"]) >= minimum["monai"]


def test_extras_state_one_minimum_for_a_package() -> None:
    tomllib: Any = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated: dict[str, set[str]] = {}
    for extra in ("bundle", "metrics", "volumes", "report"):
        for requirement in project["optional-dependencies"][extra]:
            package, _, bound = requirement.partition(">=")
            stated.setdefault(package, set()).add(bound)
    assert {package: bounds for package, bounds in stated.items() if len(bounds) > 1} == {}


@pytest.mark.slow
def test_gudhi_itk_and_nibabel_are_needed_by_what_uses_them_only() -> None:
    # MONAI itself imports itk and nibabel where they are installed; so they are hidden from it too.
    script = """
import sys
sys.modules.update(gudhi=None, itk=None, nibabel=None)  # importing them raises ImportError
import torch
import monai_topo, monai_topo.bundle, monai_topo.cleanup, monai_topo.data, monai_topo.handlers, monai_topo.report
import monai_topo.transforms, monai_topo.visualize
mask = torch.zeros(1, 1, 6, 9)
mask[..., 2:4, 2:7] = 1
print(monai_topo.PersistenceLoss()(0.5 * mask, mask) > 0, monai_topo.topology_report(mask[0], mask[0])["dice"])
"""
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
    assert (process.stdout, process.returncode) == ("tensor(True) 1.0\n", 0), process.stderr
