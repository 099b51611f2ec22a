"""`report --export`: errors as volumes, points and a table, read back with the libraries of these formats."""

from __future__ import annotations

import json

import itk
import nibabel
import numpy as np
import pytest
from export_cases import (
    BREAK,
    PINHOLE,
    PLANTED,
    SHAPE,
    SPECK,
    positions,
    report,
    rows_of,
    save_case,
    save_itk,
    save_nifti,
    turned_affine,
    voxels,
)
from nibabel.affines import apply_affine
from report_cases import broken, ladder, save_picture, save_volume


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
