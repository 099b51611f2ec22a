"""Shared by all tests: hypothesis profiles, markers, real data next to the checkout, one training run per bundle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from bundle_runs import BUNDLES, Training
from faults import small_disk  # noqa: F401 - a fixture
from hypothesis import settings

os.environ["MPLBACKEND"] = "agg"  # read when matplotlib is imported, here and in the processes that tests start

# Both profiles draw the same examples in every run. `.ci/run` selects the second by `--hypothesis-profile full`.
settings.register_profile("quick", max_examples=20, derandomize=True, deadline=None, database=None)
settings.register_profile("full", settings.get_profile("quick"), max_examples=100)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests of a shared training run as slow; group tests that share a training run or a file for pytest-xdist."""
    for item in items:
        shares = "trainings" in getattr(item, "fixturenames", ())
        if shares:
            item.add_marker(pytest.mark.slow)
        file = item.path.relative_to(config.rootpath / "tests").as_posix()
        item.add_marker(pytest.mark.xdist_group("trainings" if shares else file))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need a GPU where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images and published values, which lies next to the checkout and is not part of it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    """Return the shared training run of each bundle by the bundle's name; the first access starts it."""
    return {bundle.name: Training(bundle, tmp_path_factory.mktemp(bundle.name)) for bundle in BUNDLES}


@pytest.fixture(params=[bundle.name for bundle in BUNDLES])
def trained(request: pytest.FixtureRequest, trainings: dict[str, Training]) -> Training:
    """Return the shared training run of each bundle in turn."""
    return trainings[request.param]
