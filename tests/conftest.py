"""What all tests share: real data beside the checkout, a training of each bundle, hypothesis made deterministic."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_runs import BUNDLES, Training
from hypothesis import settings

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a training run in one process, the others of a file too: fixtures are made once."""
    for item in items:
        shares = "trainings" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("trainings" if shares else item.path.stem))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and published values; it lies beside the checkout and is not part of it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    """The shared training of each bundle by the bundle's name, made when it is first looked at."""
    return {bundle.name: Training(bundle, tmp_path_factory.mktemp(bundle.name)) for bundle in BUNDLES}


@pytest.fixture(params=[bundle.name for bundle in BUNDLES])
def trained(request: pytest.FixtureRequest, trainings: dict[str, Training]) -> Training:
    """The shared training of one bundle after the other."""
    return trainings[request.param]
