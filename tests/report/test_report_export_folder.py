"""`report --export`: the names in the folder, files of others, missing cases, full disks, processes, clean-ups."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from export_cases import (
    SHAPE,
    report,
    rows_of,
    save_case,
    save_nifti,
    turned_affine,
)
from faults import Disk, fill
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo.__main__ import main
from monai_topo.report import exports
from monai_topo.report.files import Case
from monai_topo.transforms import CleanUp


def test_names_stay_in_the_folder_and_differ_also_without_upper_case(tmp_path):
    names = [
        "../../up",
        "/root/x",
        "a_b",
        "A b",
        "a;b",
        "sub/a",
        "...",
        "",
        "\u00e9" * 90,
        "C:\\x",
        ".hidden",
        "-o",
        "x\n\0y",
    ]
    cases = [Case(name, tmp_path / f"{number}.png", tmp_path / "l.png") for number, name in enumerate(names)]
    files = list(exports.ErrorExport(tmp_path / "errors", cases).names.values())
    assert len({name.casefold() for name in files}) == len(names)
    assert files[2:5] == ["a_b", "A_b_2", "a_b_3"]
    for name in files:
        assert Path(name).name == name
        assert name[0] not in ".-"
        assert not set(name) & set(":\\/ ;\n\0")
        assert len(name.encode()) < 150


def test_cases_of_equal_file_names_in_several_folders_and_of_a_datalist_have_files_of_their_own(tmp_path):
    for name, mask in (("label", ladder()), ("pred", broken(ladder()))):
        for folder in ("one", "two"):
            save_picture(tmp_path / name / folder / "a.png", mask)
    status, out = report(tmp_path)
    assert status == 0
    assert {file.name for file in out.glob("*.nii.gz")} == {"one_a_errors.nii.gz", "two_a_errors.nii.gz"}
    assert {row["case"] for row in rows_of(out)} == {"one/a", "two/a"}

    entries = [
        {"image": f"{name}.png", "label": f"label/{folder}/a.png", "pred": f"pred/{folder}/a.png"}
        for folder, name in (("one", "x;y"), ("two", "X y"))
    ]
    (tmp_path / "list.json").write_text(json.dumps({"validation": entries}))
    command = ["report", str(tmp_path / "list.json"), str(tmp_path / "list.json"), "--out", str(tmp_path / "r.html")]
    before = {file for file in tmp_path.rglob("*") if file.is_file()}
    assert main([*command, "--export", str(tmp_path / "deep" / "er")]) == 0
    added = {file for file in tmp_path.rglob("*") if file.is_file()} - before
    outside = {file.name for file in added if file.parent != tmp_path / "deep" / "er"}
    assert outside == {"r.html", "r.csv", "r.json"}


def test_files_of_others_are_refused_before_any_case_is_measured(tmp_path, capsys):
    save_case(tmp_path)
    out = tmp_path / "errors"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "a_errors.mrk.json").write_text("mine too")
    assert report(tmp_path)[0] == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith(f"Error: Expected to write {out / 'a_errors.mrk.json'}, but got such a file")
    assert sorted(file.name for file in out.iterdir()) == ["a_errors.mrk.json", "notes.txt"]
    assert (out / "a_errors.mrk.json").read_text() == "mine too"
    assert not (tmp_path / "report.csv").exists()
    (out / "a_errors.mrk.json").unlink()
    assert report(tmp_path)[0] == 0  # other files may be there
    assert report(tmp_path, "--threshold", "0.4")[0] == 0  # its own files are replaced
    assert (out / "notes.txt").read_text() == "mine"
    # A list of files by another program does not make them ours.
    (out / "export.json").write_text(json.dumps({"files": [file.name for file in out.iterdir()], "format": "mine"}))
    assert report(tmp_path)[0] == 2


def test_the_folder_must_be_one(tmp_path, capsys):
    save_case(tmp_path)
    (tmp_path / "errors").write_text("a file")
    assert report(tmp_path)[0] == 2
    assert "Expected --export to be a folder" in capsys.readouterr().err


def test_a_case_whose_files_are_gone_is_named_and_the_others_are_written(tmp_path, capsys, monkeypatch):
    save_case(tmp_path)
    for name in ("label", "pred"):
        save_volume(tmp_path / name / "b.nii.gz", ladder(SHAPE))
    write = exports.ErrorExport.write

    def delete_first(self, *args, **settings):
        (tmp_path / "label" / "b.nii.gz").unlink()
        return write(self, *args, **settings)

    monkeypatch.setattr(exports.ErrorExport, "write", delete_first)
    status, out = report(tmp_path)
    assert status == 1
    assert f"Expected {tmp_path / 'label' / 'b.nii.gz'} to be an image" in capsys.readouterr().out
    assert (out / "a_errors.nii.gz").exists()
    assert not (out / "b_errors.nii.gz").exists()
    assert len(json.loads((tmp_path / "report.json").read_text())["cases"]) == 2


@pytest.mark.parametrize("left", [0, 12_000, 16_000, 20_000])  # bytes, for no file up to a part of a volume
def test_a_full_disk_leaves_only_whole_files(left, small_disk: Disk, tmp_path, capsys):
    label = ladder((30, 60, 90))
    specks = np.random.default_rng(0).random(label.shape) > 0.98  # so many that each file needs several blocks
    save_nifti(tmp_path / "label" / "a.nii.gz", label, turned_affine())
    save_nifti(tmp_path / "pred" / "a.nii.gz", label | specks, turned_affine())
    disk = small_disk(1024)
    filler = fill(disk, leave_bytes=left)
    command = ["report", str(tmp_path / "pred"), str(tmp_path / "label"), "--out", str(tmp_path / "report.html")]
    command += ["--worst", "0", "--export", str(disk / "errors")]
    assert main(command) in (1, 2)
    assert "No space left" in capsys.readouterr().err
    for file in (disk / "errors").iterdir() if (disk / "errors").exists() else []:
        assert not file.name.startswith(".")
        if file.suffix == ".gz":
            nibabel.Nifti1Image.from_bytes(gzip.decompress(file.read_bytes())).get_fdata()
        elif file.suffix == ".json":
            json.loads(file.read_text())
    filler.unlink()
    assert main(command) == 0
    assert len(rows_of(disk / "errors")) > 100
    assert (disk / "errors" / "a_errors.nii.gz").stat().st_size > 4096


@pytest.mark.slow
def test_parallel_processes_give_the_same_files(tmp_path):
    save_case(tmp_path)
    for name in ("label", "pred"):
        save_volume(tmp_path / name / "b.nii.gz", ladder(SHAPE))
    _, one = report(tmp_path)
    _, two = report(tmp_path, "--jobs", "2", out="two")
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name


def test_the_table_says_what_a_clean_up_fixed(tmp_path):
    save_case(tmp_path)
    CleanUp(min_component_size=30).save(tmp_path / "cleanup.json")
    status, out = report(tmp_path, "--cleanup", str(tmp_path / "cleanup.json"), out="cleaned")
    assert status == 0
    fates = {row["kind"]: row["after_cleanup"] for row in rows_of(out)}
    assert fates == {"break": "left", "spurious component": "fixed", "spurious hole": "left"}
