"""`report --export`: errors as volumes, points and a table, read back with the libraries of these formats."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
from faults import Disk, fill
from nibabel.affines import apply_affine
from report_cases import broken, ladder, save_picture, save_volume

from monai_topo.__main__ import main
from monai_topo.report import exports
from monai_topo.report.files import Case
from monai_topo.transforms import CleanUp

SHAPE = (9, 40, 60)  # z, y, x
BREAK, PINHOLE, SPECK = 2, 8, 4
# Voxels x, y, z of one error of each kind in `broken(ladder(SHAPE))`: the middle of the cut rung is the center of the
# missing skeleton, the pinhole is one voxel, and the speck has 3 x 3 x 3 of them.
PLANTED = {"spurious hole": (20, 29, 4), "spurious component": (21, 36, 4)}


def turned_affine() -> np.ndarray:
    """Turn about two axes, scale each axis differently, mirror one, and move the origin: RAS."""
    a, b = np.deg2rad(25), np.deg2rad(-40)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([0.5, -0.75, 3.0])
    affine[:3, 3] = [-31.25, 17.5, 204.0]
    return affine


def save_nifti(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
    """Save with both forms of the affine, of which NIfTI lets each have a meaning of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(mask.T.astype(np.uint8), affine)
    image.set_qform(affine @ shift(3.0), 1)
    image.set_sform(affine, 4)
    nibabel.save(image, path)


def shift(step: float) -> np.ndarray:
    moved = np.eye(4)
    moved[0, 3] = step
    return moved


def save_itk(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    image = itk.image_from_array(mask.astype(np.uint8))
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps)
    image.SetOrigin(lps[:3, 3])
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / steps))
    itk.imwrite(image, str(path))


def save_case(folder: Path, ending: str = ".nii.gz", save=save_nifti) -> None:
    save(folder / "label" / f"a{ending}", ladder(SHAPE), turned_affine())
    save(folder / "pred" / f"a{ending}", broken(ladder(SHAPE)), turned_affine())


def report(folder: Path, *options: str, out: str = "errors") -> tuple[int, Path]:
    command = ["report", str(folder / "pred"), str(folder / "label"), "--out", str(folder / "report.html")]
    return main([*command, "--worst", "0", "--export", str(folder / out), *options]), folder / out


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "errors.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def positions(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row[f"{axis}_mm"]) for axis in ("right", "anterior", "superior")] for row in rows])


def voxels(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[int(row[f"{axis}_vox"]) for axis in "xyz"] for row in rows])


def test_a_nifti_case_has_its_errors_at_their_voxels_and_in_mm(tmp_path):
    save_case(tmp_path)
    status, out = report(tmp_path)
    assert status == 0
    files = {file.name for file in out.iterdir()}
    assert files == {"a_errors.nii.gz", "a_errors.mrk.json", "errors.csv", "errors.ctbl", "export.json"}

    volume = nibabel.load(out / "a_errors.nii.gz")
    source = nibabel.load(tmp_path / "label" / "a.nii.gz")
    assert volume.shape == SHAPE[::-1]
    assert volume.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(volume.affine, source.affine)
    for form in ("get_qform", "get_sform"):
        (affine, code), (of_source, code_of_source) = (
            getattr(image.header, form)(coded=True) for image in (volume, source)
        )
        assert code == code_of_source == {"get_qform": 1, "get_sform": 4}[form]
        np.testing.assert_allclose(affine, of_source, atol=1e-4)
    kinds = np.asarray(volume.dataobj)
    assert set(np.unique(kinds)) == {0, BREAK, SPECK, PINHOLE}
    assert np.argwhere(kinds == PINHOLE).tolist() == [list(PLANTED["spurious hole"])]
    speck = np.zeros(SHAPE[::-1], dtype=bool)
    speck[20:23, 35:38, 3:6] = True
    np.testing.assert_array_equal(kinds == SPECK, speck)

    rows = rows_of(out)
    assert [row["kind"] for row in rows] == ["break", "spurious component", "spurious hole"]
    assert [row["voxels"] for row in rows[1:]] == ["27", "1"]
    for row in rows[1:]:
        assert tuple(voxels([row])[0]) == PLANTED[row["kind"]]
    at_break = voxels(rows)[0]
    assert kinds[tuple(at_break)] == BREAK
    assert (np.abs(at_break - [31, 18, 4]) <= 2).all()
    np.testing.assert_allclose(positions(rows), apply_affine(source.affine, voxels(rows)), atol=1e-4)
    # By hand, the first two axes of the turned grid are not those of the patient.
    assert np.abs(positions(rows) - voxels(rows) * [0.5, 0.75, 3.0]).min(axis=1).max() > 1


def test_the_points_are_slicer_markups_in_ras(tmp_path):
    save_case(tmp_path)
    _, out = report(tmp_path)
    content = json.loads((out / "a_errors.mrk.json").read_text(encoding="utf-8"))
    assert "markups-schema" in content["@schema"]
    [points] = content["markups"]
    assert (points["type"], points["coordinateSystem"], points["coordinateUnits"]) == ("Fiducial", "RAS", "mm")
    rows = rows_of(out)
    assert [point["label"] for point in points["controlPoints"]] == [f"{row['number']} {row['kind']}" for row in rows]
    for point, row in zip(points["controlPoints"], rows, strict=True):
        at = ", ".join(row[f"{axis}_vox"] for axis in "xyz")
        assert point["description"] == f"{row['kind']}, size {row['voxels']}, at voxel ({at})"
        assert point["positionStatus"] == "defined"
    at = [point["position"] for point in points["controlPoints"]]
    np.testing.assert_allclose(at, apply_affine(turned_affine(), voxels(rows)), atol=1e-4)


def test_an_nrrd_case_has_a_segmentation_too_where_itk_finds_the_same_voxels_at_the_same_positions(tmp_path):
    save_case(tmp_path, ".nrrd", save_itk)
    status, out = report(tmp_path)
    assert status == 0
    segmentation = itk.imread(str(out / "a_errors.seg.nrrd"))
    source = itk.imread(str(tmp_path / "label" / "a.nrrd"))
    for name in ("GetOrigin", "GetSpacing"):
        np.testing.assert_allclose(getattr(segmentation, name)(), getattr(source, name)(), rtol=1e-9)
    np.testing.assert_allclose(
        itk.array_from_matrix(segmentation.GetDirection()), itk.array_from_matrix(source.GetDirection()), atol=1e-9
    )
    nifti = nibabel.load(out / "a_errors.nii.gz")
    np.testing.assert_allclose(nifti.affine, turned_affine(), atol=1e-4)
    kinds = itk.array_from_image(segmentation)
    np.testing.assert_array_equal(kinds, np.asarray(nifti.dataobj).T)
    assert kinds[4, 29, 20] == PINHOLE
    rows = rows_of(out)
    for row, position in zip(rows, positions(rows), strict=True):
        left_posterior = position * [-1, -1, 1]
        index = segmentation.TransformPhysicalPointToIndex(left_posterior.tolist())
        assert [int(index[axis]) for axis in range(3)] == voxels([row])[0].tolist()
    header = (out / "a_errors.seg.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    fields = dict(line.split(":=", 1) for line in header.splitlines() if ":=" in line)
    segments = {fields[f"Segment{i}_LabelValue"]: fields[f"Segment{i}_Name"] for i in range(8)}
    assert segments[str(BREAK)] == "break"
    assert segments[str(PINHOLE)] == "spurious hole"
    assert fields["Segment1_Color"].split() == [f"{value / 255:.6g}" for value in (0xF0, 0xB4, 0x00)]
    assert fields["Segment1_Extent"] == "0 59 0 39 0 8"


def test_the_color_table_names_each_value_of_the_volumes(tmp_path):
    save_case(tmp_path)
    _, out = report(tmp_path)
    lines = (out / "errors.ctbl").read_text().splitlines()
    assert lines[:2] == ["# Color table file", "# 9 values"]
    entries = [line.split(" ") for line in lines[2:]]
    assert [entry[0] for entry in entries] == [str(value) for value in range(9)]
    assert all(len(entry) == 6 for entry in entries)
    assert entries[BREAK] == ["2", "break", "240", "180", "0", "255"]
    assert entries[PINHOLE][1] == "spurious_hole"
    assert entries[0][-1] == "0"  # transparent


def test_a_picture_becomes_one_slice_as_slicer_reads_pictures(tmp_path):
    save_picture(tmp_path / "label" / "a.png", ladder())
    save_picture(tmp_path / "pred" / "a.png", broken(ladder()))
    status, out = report(tmp_path, "--spacing-mm", "0.5", "0.25")
    assert status == 0
    volume = nibabel.load(out / "a_errors.nii.gz")
    assert volume.shape == (60, 40, 1)
    np.testing.assert_array_equal(volume.affine, np.diag([-0.5, -0.25, 1, 1]))
    assert np.argwhere(np.asarray(volume.dataobj) == PINHOLE).tolist() == [[20, 29, 0]]
    [pinhole] = [row for row in rows_of(out) if row["kind"] == "spurious hole"]
    assert positions([pinhole]).tolist() == [[-10.0, -7.25, 0.0]]


@pytest.mark.parametrize("thin", [0, 1, 2])
def test_a_volume_of_one_slice_keeps_its_axes(tmp_path, thin):
    for name, mask in (("label", ladder()), ("pred", broken(ladder()))):
        save_nifti(tmp_path / name / "a.nii", np.expand_dims(mask, thin), turned_affine())
    status, out = report(tmp_path)
    assert status == 0
    volume = nibabel.load(out / "a_errors.nii.gz")
    assert volume.shape == np.expand_dims(ladder(), thin).T.shape
    expected = [20, 29]
    expected.insert(2 - thin, 0)
    assert np.argwhere(np.asarray(volume.dataobj) == PINHOLE).tolist() == [expected]
    rows = rows_of(out)
    assert expected in voxels(rows).tolist()
    np.testing.assert_allclose(positions(rows), apply_affine(turned_affine(), voxels(rows)), atol=1e-4)


def test_a_nifti_image_in_2d(tmp_path):
    for name, mask in (("label", ladder()), ("pred", broken(ladder()))):
        save_nifti(tmp_path / name / "a.nii.gz", mask, turned_affine())
    status, out = report(tmp_path)
    assert status == 0
    volume = nibabel.load(out / "a_errors.nii.gz")
    np.testing.assert_allclose(volume.affine, nibabel.load(tmp_path / "label" / "a.nii.gz").affine)
    assert np.argwhere(np.asarray(volume.dataobj) == PINHOLE).tolist() == [[20, 29, 0]]


def test_the_affine_is_that_of_the_file_that_has_one(tmp_path):
    # A TIFF stack has no affine; the label does.
    save_nifti(tmp_path / "label" / "a.nii.gz", ladder(SHAPE), turned_affine())
    (tmp_path / "pred").mkdir()
    itk.imwrite(itk.image_from_array(255 * broken(ladder(SHAPE)).astype(np.uint8)), str(tmp_path / "pred" / "a.tif"))
    assert report(tmp_path)[0] == 0
    np.testing.assert_allclose(nibabel.load(tmp_path / "errors" / "a_errors.nii.gz").affine, turned_affine(), atol=1e-4)
    (tmp_path / "label").rename(tmp_path / "other")
    (tmp_path / "pred").rename(tmp_path / "label")
    (tmp_path / "other").rename(tmp_path / "pred")
    assert report(tmp_path)[0] == 0
    np.testing.assert_allclose(nibabel.load(tmp_path / "errors" / "a_errors.nii.gz").affine, turned_affine(), atol=1e-4)


def test_a_case_without_errors_has_an_empty_volume_and_list_and_the_table_keeps_its_header(tmp_path):
    for name in ("label", "pred"):
        save_volume(tmp_path / name / "a.nii.gz", ladder(SHAPE))
    status, out = report(tmp_path)
    assert status == 0
    assert not np.asarray(nibabel.load(out / "a_errors.nii.gz").dataobj).any()
    assert json.loads((out / "a_errors.mrk.json").read_text())["markups"][0]["controlPoints"] == []
    header = (out / "errors.csv").read_text().strip()
    assert header == "case,number,kind,voxels,x_vox,y_vox,z_vox,right_mm,anterior_mm,superior_mm"


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
