"""Inference over many images: broken ones, kills, full disks; finished predictions are whole and not repeated."""

from __future__ import annotations

import csv
import gc
import itertools
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from bundle_runs import MEMBRANES, VESSELS, Training, in_process, started
from faults import Disk, fill, protect
from monai.data import MetaTensor
from PIL import Image

from monai_topo.bundle import AtomicSaveImaged, InferenceEvaluator, UserError
from monai_topo.bundle.folder_lock import lock_folder

SETTINGS = {"network_def": {"_target_": "torch.nn.Identity"}, "handlers": [], "patch_size": [16, 16], "strides": [2]}


def save_pictures(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number:04d}.png" for number in range(count)]
    for number, file in enumerate(files):
        picture = np.zeros((18, 24), dtype=np.uint8)
        picture[3:9, 2 + number % 10 : 20] = 200
        Image.fromarray(picture).save(file)
    return files


def infer(folder: Path, **settings: Any) -> InferenceEvaluator:
    places = {"dataset_dir": str(folder), "images": "*.png", "output_dir": str(folder / "out")}
    run = MEMBRANES.workflow("inference.json", "infer", **{**places, **SETTINGS, **settings})
    run.initialize()
    evaluator: InferenceEvaluator = run.evaluator
    evaluator.run()
    return evaluator


def masks(folder: Path) -> dict[str, int]:
    """Return the predictions, which can all be read, with the times at which they were made."""
    for file in (folder / "out").glob("*.png"):
        assert np.asarray(Image.open(file)).shape == (18, 24)
    return {file.name: file.stat().st_mtime_ns for file in sorted((folder / "out").glob("*.png"))}


# MONAI's LoadImage leaves broken files open when it tries other readers.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@in_process
@pytest.mark.parametrize("workers", [0, 1])
def test_broken_images_are_named_and_the_others_predicted(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = save_pictures(tmp_path, 7)
    files[1].write_bytes(b"no picture")
    Image.fromarray(np.zeros((18, 24, 3), dtype=np.uint8)).save(files[4])
    files[5].write_bytes(files[5].read_bytes()[:60])
    with pytest.raises(UserError, match=r"a prediction of each of 7 images, but got none of 3; .*failed\.csv"):
        infer(tmp_path, num_workers=workers)
    made = masks(tmp_path)
    assert list(made) == [f"{number:04d}_mask.png" for number in (0, 2, 3, 6)]
    with (tmp_path / "out" / "failed.csv").open(newline="") as opened:
        rows = dict(csv.reader(opened))
    assert list(rows) == ["image", *(str(files[number]) for number in (1, 4, 5))]
    assert "UnidentifiedImageError" in rows[str(files[1])]
    assert "`in_channels`, 1, channels, but got 3; set --in_channels 3" in rows[str(files[4])]
    table = capsys.readouterr().out
    assert "Images without a prediction (3 of 7)" in table
    assert all(f"{file}  {reason}" in table for file, reason in list(rows.items())[1:])
    save_pictures(tmp_path / "new", 7)
    for number in (1, 4, 5):
        shutil.copy(tmp_path / "new" / files[number].name, files[number])
    infer(tmp_path, num_workers=workers)
    again = masks(tmp_path)
    assert len(again) == 7
    assert {name: again[name] for name in made} == made, "finished ones are not repeated"
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [".lock", *again]
    infer(tmp_path)
    assert not set(masks(tmp_path).values()) & set(again.values()), "all were finished: the command starts anew"


class Moody(torch.nn.Identity):
    """A network that fails on some images."""

    fails_on = -1
    calls = itertools.count()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if next(Moody.calls) == Moody.fails_on:
            raise torch.OutOfMemoryError("out of memory, tried to allocate 3 TiB")
        return image


@in_process
def test_a_prediction_that_fails_stops_none_of_the_others(tmp_path: Path) -> None:
    files = save_pictures(tmp_path, 4)
    Moody.fails_on, Moody.calls = 2 * 4, itertools.count()  # of the third image, each has four windows
    settings = {"network_def": {"_target_": f"{__name__}.Moody"}, "sliding_window_batch_size": 1}
    with pytest.raises(UserError, match="got none of 1;"):
        infer(tmp_path, **settings)
    assert len(masks(tmp_path)) == 3
    assert f'{files[2]},"OutOfMemoryError: out of memory, tried' in (tmp_path / "out" / "failed.csv").read_text()


@in_process
@pytest.mark.parametrize("change", ["threshold", "model", "image", "mask", "nothing"])
def test_what_has_changed_is_predicted_again(change: str, tmp_path: Path) -> None:
    files = save_pictures(tmp_path, 3)
    files[2].write_bytes(b"no picture")
    settings = {"ckpt_path": str(tmp_path / "model.pt"), "threshold": 0.5}
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(UserError):
        infer(tmp_path, **settings)
    before = masks(tmp_path)
    if change == "threshold":
        settings["threshold"] = 0.6
    elif change == "model":
        torch.save({"weight": torch.ones(2)}, tmp_path / "model.pt")
    elif change == "image":
        shutil.copy(files[1], files[0])
    elif change == "mask":
        (tmp_path / "out" / "0000_mask.png").unlink()
    with pytest.raises(UserError):
        infer(tmp_path, **settings, num_workers=0, cpu_threads=1)
    assert list(masks(tmp_path)) == list(before) == ["0000_mask.png", "0001_mask.png"]
    kept = [name for name, time in masks(tmp_path).items() if before.get(name) == time]
    number = {"nothing": 2, "image": 1, "mask": 1}.get(change, 0)
    assert len(kept) == number


@in_process
def test_a_full_disk_ends_inference_at_once_and_keeps_what_is_finished(small_disk: Disk, tmp_path: Path) -> None:
    save_pictures(tmp_path, 40)
    disk = small_disk(64)
    fill(disk, leave_bytes=40_000)
    with pytest.raises(UserError, match=r"Expected to save the predictions, but got: \[Errno 28\] No space left"):
        infer(tmp_path, output_dir=str(disk))
    finished = list(disk.glob("*_mask.png"))
    assert 0 < len(finished) < 40
    for file in finished:
        assert np.asarray(Image.open(file)).shape == (18, 24)
    assert not list(disk.glob(".unfinished-*"))
    (disk / "filler").unlink()
    times = {file: file.stat().st_mtime_ns for file in finished}
    bigger = small_disk(1024, "bigger")
    shutil.copytree(disk, bigger / "out")
    infer(tmp_path, output_dir=str(bigger / "out"))
    assert len(list((bigger / "out").glob("*_mask.png"))) == 40
    assert times == {file: file.stat().st_mtime_ns for file in finished}


@in_process
def test_a_protected_folder_is_named_before_anything_is_predicted(small_disk: Disk, tmp_path: Path) -> None:
    save_pictures(tmp_path, 2)
    disk = small_disk(64)
    protect(disk)
    Moody.fails_on, Moody.calls = -1, itertools.count()
    with pytest.raises(UserError, match=r"to be a folder to write to, but got: .*Read-only file system"):
        infer(tmp_path, output_dir=str(disk / "out"), network_def={"_target_": f"{__name__}.Moody"})
    assert next(Moody.calls) == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from PIL import Image
sys.path.insert(0, {tests!r})
from test_inference_faults import infer
save, calls = Image.Image.save, 0
def half(self, file, *arguments, **settings):
    global calls
    calls += 1
    save(self, file, *arguments, **settings)
    if calls == {count}:
        os.truncate(file, os.path.getsize(file) // 2)
        os.kill(os.getpid(), signal.{signal})
Image.Image.save = half
infer(Path({folder!r}))
"""


@pytest.mark.slow
@in_process
@pytest.mark.parametrize(("name", "status"), [("SIGKILL", -9), ("SIGTERM", 75)])
def test_a_thousand_images_one_of_them_broken_and_a_kill(name: str, status: int, tmp_path: Path) -> None:
    files = save_pictures(tmp_path, 1000)
    files[500].write_bytes(b"no picture")
    tests = str(Path(__file__).parent)
    script = KILLED.format(tests=tests, count=700, folder=str(tmp_path), signal=name)
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, cwd=Path(tests).parent, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stderr
    made = masks(tmp_path)
    assert len(made) == 699, "the one that was being written is absent"
    with pytest.raises(UserError, match="a prediction of each of 1000 images, but got none of 1;"):
        infer(tmp_path)
    again = masks(tmp_path)
    assert len(again) == 999
    assert {key: again[key] for key in made} == made
    assert not list((tmp_path / "out").glob(".unfinished-*"))


def test_the_command_ends_with_the_table_and_a_status(trainings: dict[str, Training]) -> None:
    shared = trainings[MEMBRANES.name]
    command = shared.printed("Infer")
    folder = shared.home / "some"
    shutil.copytree(shared.home / "data" / "images", folder / "images")
    (folder / "images" / "001.png").write_bytes(b"no picture")
    places = ["--dataset_dir", str(folder), "--images", "images/*.png", "--output_dir", "some/out"]
    run = started([*command, *places], shared.home)
    assert run.returncode == 1
    assert "Images without a prediction (1 of 4)" in run.stdout
    assert run.stderr.strip().splitlines()[-1].startswith("Error: Expected a prediction of each of 4 images")
    shutil.copy(folder / "images" / "002.png", folder / "images" / "001.png")
    run = started([*command, *places], shared.home)
    assert run.returncode == 0, run.stderr
    assert "3 of 4 predictions are there from an interrupted run." in run.stdout
    assert "4 predictions are in some/out." in run.stdout


@pytest.mark.slow
@in_process
def test_two_inferences_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pictures(tmp_path, 2)
    script = f"from monai_topo.bundle.folder_lock import lock_folder; lock_folder({str(tmp_path / 'out')!r}); input()"
    with subprocess.Popen([sys.executable, "-c", f"{script}"], stdin=subprocess.PIPE) as process:
        while not (tmp_path / "out" / ".lock.json").exists():
            assert process.poll() is None
        monkeypatch.setattr("monai_topo.bundle.folder_lock._WAIT_SECONDS", 0.2)
        with pytest.raises(UserError, match=f"process {process.pid} on"):
            infer(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        infer(tmp_path)
    assert len(masks(tmp_path)) == 2
    lock_folder(tmp_path / "out")  # it was freed


FORMATS = [".png", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".tif"]


def test_a_volume_of_which_a_tiff_file_would_lose_slices_is_refused(tmp_path: Path) -> None:
    image = MetaTensor(torch.zeros(1, 5, 6, 7, dtype=torch.uint8), affine=torch.eye(4), meta={"filename_or_obj": "a"})
    saver = AtomicSaveImaged(keys="pred", output_dir=str(tmp_path), output_ext=".tif", print_log=False)
    with pytest.raises(OSError, match=r"to hold 210 voxels, but got \d+: save volumes as \.nii\.gz"):
        saver({"pred": image})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("suffix", FORMATS)
def test_images_of_all_formats_are_whole_or_absent(suffix: str, small_disk: Disk) -> None:
    disk = small_disk(160)
    shape = (1, 100, 120) if suffix in (".png", ".tif") else (1, 20, 30, 40)
    noise = torch.randint(0, 255, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = MetaTensor(noise, affine=torch.eye(4), meta={"filename_or_obj": "case.png"})
    settings = {"output_dir": str(disk), "output_postfix": "mask", "output_ext": suffix, "separate_folder": False}
    saver = AtomicSaveImaged(keys="pred", output_dtype=np.uint8, print_log=False, **settings)
    for left in (0, 3_000, 9_000):
        filler = fill(disk, leave_bytes=left)
        with pytest.raises(OSError, match="No space left on device"):
            saver({"pred": image})
        assert [file.name for file in disk.iterdir()] == ["filler"]
        filler.unlink()
    assert saver({"pred": image})["pred"].meta["saved_files"] == [str(disk / f"case_mask{suffix}")]
    raw = ["case_mask.raw"] if suffix == ".mhd" else []
    assert {file.name for file in disk.iterdir()} == {f"case_mask{suffix}", *raw}
    gc.collect()  # files that the libraries left open are warned about here, where the warning is ignored


@in_process
def test_volumes_and_likelihoods_too(tmp_path: Path) -> None:
    volume = np.zeros((20, 24, 16), dtype=np.uint8)
    volume[2:5, 15:22, 3:11] = 200
    for name in "ab":
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / f"{name}.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"no volume")
    settings = {**SETTINGS, "patch_size": [16, 16, 16], "images": "*.nii.gz", "save_likelihood": True}
    run = VESSELS.workflow(
        "inference.json", "infer", dataset_dir=str(tmp_path), output_dir=str(tmp_path / "out"), **settings
    )
    run.initialize()
    with pytest.raises(UserError, match="got none of 1;"):
        run.evaluator.run()
    assert {file.name for file in (tmp_path / "out").glob("*.nii.gz")} == {"a_mask.nii.gz", "a_likelihood.nii.gz"}
    (tmp_path / "out" / "a_likelihood.nii.gz").unlink()
    run = VESSELS.workflow(
        "inference.json", "infer", dataset_dir=str(tmp_path), output_dir=str(tmp_path / "out"), **settings
    )
    run.initialize()
    assert len(run.dataset) == 2, "one of its predictions is gone"
