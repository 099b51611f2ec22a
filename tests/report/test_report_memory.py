"""A case that takes more memory than there is, by estimate or in truth, is named, and the others are measured."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from report_cases import broken, ladder, save_picture, save_volume
from scipy.ndimage import gaussian_filter

from monai_topo.__main__ import main
from monai_topo._utils.errors import UserError
from monai_topo.report import memory
from monai_topo.report.files import Case

SIDE = 96
NEEDS_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and its limits")


def tissue(side: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Draw structures through the whole volume."""
    return gaussian_filter(np.random.default_rng(3).standard_normal((side, side + 1, side + 2)), 2) > 0.02


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two cases of equal size: structures in a small part of the volume, and everywhere."""
    sparse = np.zeros((SIDE, SIDE + 1, SIDE + 2), dtype=bool)
    sparse[10:20, 10:50, 12:72] = ladder((10, 40, 60))
    for name, label in (("sparse", sparse), ("dense", tissue(SIDE))):
        save_volume(tmp_path / "label" / f"{name}.nii.gz", label)
        prediction = label.copy()
        prediction[15] = False
        save_volume(tmp_path / "pred" / f"{name}.nii.gz", prediction)
    return tmp_path


def report(folder: Path, *options: str) -> int:
    files = str(folder / "pred"), str(folder / "label")
    return main(["report", *files, "--out", str(folder / "report.html"), "--worst", "0", *options])


def cases(folder: Path, table: str = "report.csv") -> list[str]:
    with (folder / table).open(newline="") as file:
        return sorted(row["case"] for row in csv.DictReader(file))


def test_a_case_of_too_many_voxels_with_structures_is_left_out(
    volumes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(volumes, "--max-memory", "0.55") == 1
    assert cases(volumes) == ["sparse"]
    sentence = (
        "dense.nii.gz to take at most 563.2 MiB of memory, but got 98 x 97 x 96 voxels, with structures in "
        "98 x 97 x 96, which take about 607.7 MiB: use fewer --jobs, or a larger --max-memory."
    )
    assert sentence in capsys.readouterr().err
    assert sentence in (volumes / "report.html").read_text()
    assert report(volumes, "--max-memory", "0.6") == 0
    assert cases(volumes) == ["dense", "sparse"]


def test_what_needs_the_whole_image_is_counted_with_it(volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(volumes, "--max-memory", "0.55", "--instances", "background") == 2
    assert "sparse.nii.gz to take at most 563.2 MiB of memory, but got 98 x 97 x 96" in capsys.readouterr().err
    assert report(volumes, "--max-memory", "0.6", "--instances", "background") == 0


def test_small_likelihoods_count(tmp_path: Path) -> None:
    label = np.zeros((SIDE, SIDE + 1, SIDE + 2), dtype=bool)
    label[10:20, 10:50, 12:72] = ladder((10, 40, 60))
    save_volume(tmp_path / "label" / "a.nii.gz", label)
    for least, status in ((1e-5, 2), (0, 0)):  # status 2: no case can be measured
        save_volume(tmp_path / "pred" / "a.nii.gz", np.maximum(0.9 * label, least))
        assert report(tmp_path, "--max-memory", "0.55") == status


def test_the_default_is_the_free_memory_of_each_process(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: int(0.15 * 2**30))
    assert report(volumes) == 0
    assert report(volumes, "--jobs", "2") == 1
    assert cases(volumes) == ["sparse"]
    for kind in ("pred", "label"):
        (volumes / kind / "sparse.nii.gz").unlink()
    assert report(volumes, "--jobs", "2") == 0  # a single process


def test_a_header_suffices_to_leave_a_volume_out(tmp_path: Path) -> None:
    header: Any = nibabel.Nifti1Header()
    header.set_data_shape((1500, 1500, 1000))
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4))
    with pytest.raises(UserError, match=r"a\.nii to take at most 4 GiB of memory, but got 2250000000 voxels"):
        memory.check_size(Case("a", tmp_path / "a.nii", tmp_path / "a.nii"), 2**32)


def test_a_second_label_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_picture(tmp_path / "label" / "a.png", ladder())
    save_picture(tmp_path / "pred" / "a.png", broken(ladder()))
    save_picture(tmp_path / "second" / "a.png", np.ones((40, 60)))
    second = "--second-labels", str(tmp_path / "second")
    bound = "--max-memory", str((2**29 + 10 * 2400 + 100 * 2000) / 2**30)
    assert report(tmp_path, *bound) == 0
    assert report(tmp_path, *bound, *second) == 2
    assert "structures in 60 x 40, which take about" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_the_limit_is_positive(value: str, volumes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(volumes, f"--max-memory={value}") == 2
    assert f"Expected --max-memory to be positive, in GiB, but got {value}." in capsys.readouterr().err


MEASURED = """
import resource, sys
from pathlib import Path
from monai_topo.__main__ import main
from monai_topo.report import memory
small, large = map(Path, sys.argv[1:3])
def report(folder):
    return main(["report", str(folder / "pred"), str(folder / "label"), "--out", str(folder / "r.html"),
                 "--max-memory", "1000", *sys.argv[3:]])
def statm(field):
    return int(open("/proc/self/statm").read().split()[field]) * resource.getpagesize()
assert report(small) == 0  # the libraries are loaded
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MEASURED + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    for kind in ("label", "pred"):
        save_volume(folder / kind / "a.nii.gz", ladder((9, 40, 60)))
    return folder


@pytest.mark.slow
@NEEDS_LINUX
def test_memory_that_is_really_exceeded_stops_one_case_only(small: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    for folder, label in ((large / "label", tissue(150)), (large / "pred", tissue(150))):
        save_volume(folder / "dense.nii.gz", label)
        save_volume(folder / "small.nii.gz", ladder((9, 40, 60)))
    script = """
resource.setrlimit(resource.RLIMIT_AS, (statm(0) + 120 * 2**20,) * 2)  # the estimate is 380 MiB
print("status", report(large))
"""
    done = run(script, small, large, "--worst", "0")
    assert "status 1" in done.stdout, done.stdout + done.stderr
    assert "dense.nii.gz: " in done.stderr
    assert cases(large, "r.csv") == ["small"]


@pytest.mark.slow
@NEEDS_LINUX
@pytest.mark.parametrize("kind", ["mask", "likelihood"])
def test_the_estimate_is_an_upper_bound(kind: str, small: Path, tmp_path: Path) -> None:
    label = tissue(150)
    large = tmp_path / "large"
    save_volume(large / "label" / "a.nii.gz", label)
    moved = np.roll(label, 1, axis=0)
    likelihood = gaussian_filter(moved.astype(np.float32), 1) if kind == "likelihood" else moved
    save_volume(large / "pred" / "a.nii.gz", likelihood)
    script = """
before = statm(1)
assert report(large) == 0
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # getrusage has the peak of the parent too
print("taken", int(status["VmHWM"].split()[0]) * 1024 - before)
"""
    done = run(script, small, large)
    assert done.returncode == 0, done.stdout + done.stderr
    taken = int(done.stdout.rsplit("taken", 1)[1])
    estimate = (memory._PER_VOXEL + memory._PER_VOXEL_OF_BOX) * label.size
    assert 0.4 * estimate < taken < estimate  # white noise takes twice as much
