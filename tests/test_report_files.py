"""Predictions find their labels by name, and what finds none is named."""

from __future__ import annotations

import json

import pytest

from monai_topo.bundle.errors import SettingsError
from monai_topo.report.files import find_files, paired


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(source, pattern=None, key="label", section=None, all_sections=False):
    return find_files(str(source), pattern=pattern, key=key, section=section, all_sections=all_sections)


def names(cases):
    return [(case.name, case.prediction.name, case.label.name) for case in cases]


def test_folder_suffix_and_ending_do_not_count(tmp_path):
    predictions = touch(tmp_path / "out", "images/21_mask.png", "images/22_pred.tiff", "images/a.b_likelihood.nii.gz")
    labels = touch(tmp_path / "labels", "21.gif", "22_manual1.gif", "a.b.nrrd", "notes.txt", ".hidden.png")
    cases, alone = paired(found(predictions), found(labels))
    expected = [("21", "21_mask.png", "21.gif"), ("22", "22_pred.tiff", "22_manual1.gif")]
    assert names(cases) == [*expected, ("a.b", "a.b_likelihood.nii.gz", "a.b.nrrd")]
    assert alone == []


def test_what_has_no_partner_is_named(tmp_path):
    predictions = touch(tmp_path / "out", "1.png", "2.png")
    labels = touch(tmp_path / "labels", "2.png", "3.png")
    cases, alone = paired(found(predictions), found(labels))
    assert names(cases) == [("2", "2.png", "2.png")]
    assert alone == [
        f"{labels / '3.png'}: a label without a prediction.",
        f"{predictions / '1.png'}: a prediction without a label.",
    ]


def test_equal_names_are_told_apart_by_their_folders(tmp_path):
    predictions = touch(tmp_path / "out", "a/1_mask.png", "b/1_mask.png")
    labels = touch(tmp_path / "labels", "a/1.png", "b/1.png")
    cases, _ = paired(found(predictions), found(labels))
    assert [(case.name, case.prediction.parent.name, case.label.parent.name) for case in cases] == [
        ("a/1", "a", "a"),
        ("b/1", "b", "b"),
    ]


def test_mask_and_likelihood_of_one_image_are_to_be_chosen_from(tmp_path):
    predictions = touch(tmp_path / "out", "1_mask.png", "1_likelihood.png")
    labels = touch(tmp_path / "labels", "1.png", "2.png")
    with pytest.raises(SettingsError, match=r"one prediction named '1', .*--prediction-files, such as '\*\*/\*_mask"):
        paired(found(predictions), found(labels))
    cases, _ = paired(found(predictions, "**/*_mask.png"), found(labels))
    assert names(cases) == [("1", "1_mask.png", "1.png")]


def test_single_files_belong_together_whatever_their_names(tmp_path):
    touch(tmp_path, "x.png", "y.tif")
    cases, alone = paired(found(tmp_path / "x.png"), found(tmp_path / "y.tif"))
    assert (names(cases), alone) == ([("y", "x.png", "y.tif")], [])


def test_labels_of_a_datalist_are_found_by_the_names_of_their_images(tmp_path):
    entries = [{"image": f"images/{i}.tif", "label": f"labels/truth{i}.gif"} for i in (7, 8)]
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"name": "x", "training": [], "validation": entries}))
    predictions = touch(tmp_path / "out", "7_mask.png", "8_mask.png")
    cases, alone = paired(found(predictions), found(datalist))
    assert alone == []
    assert [(case.prediction.name, case.label) for case in cases] == [
        (f"{i}_mask.png", tmp_path / "labels" / f"truth{i}.gif") for i in (7, 8)
    ]


def test_a_datalist_may_name_both(tmp_path):
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"test": [{"image": "i.png", "label": "b.png", "pred": "c.png"}]}))
    cases, _ = paired(found(datalist, key="pred"), found(datalist))
    assert names(cases) == [("b", "c.png", "b.png")]


@pytest.mark.parametrize(
    ("content", "section", "sentence"),
    [
        ("{", None, "datalist in JSON"),
        ('{"training": [{"label": "a"}], "test": [{"label": "a"}]}', None, "choose one by --section"),
        ('{"training": [{"label": "a"}]}', "test", "a list 'test'"),
        ('{"training": [{"image": "a"}]}', None, "to name a file as 'label'"),
    ],
)
def test_datalists_that_do_not_do_are_told(tmp_path, content, section, sentence):
    (tmp_path / "datalist.json").write_text(content)
    with pytest.raises(SettingsError, match=sentence):
        found(tmp_path / "datalist.json", section=section)


def test_all_sections_are_looked_at_where_that_is_meant(tmp_path):
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"training": [{"label": "1.png"}], "validation": [{"label": "2.png"}]}))
    assert [one.path.name for one in found(datalist, all_sections=True)] == ["1.png", "2.png"]
    assert [one.path.name for one in found(datalist)] == ["2.png"]


def test_nothing_found_is_told(tmp_path):
    touch(tmp_path, "a/1.png", "a/3.png", "b/2.png", "c/notes.txt")
    with pytest.raises(SettingsError, match="does not exist"):
        found(tmp_path / "absent")
    with pytest.raises(SettingsError, match=r"images \(\.nii\.gz"):
        found(tmp_path / "c")
    with pytest.raises(SettingsError, match="same names"):
        paired(found(tmp_path / "a"), found(tmp_path / "b"))
