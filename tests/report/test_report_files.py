"""Files are paired by name, and files without a partner are reported."""

from __future__ import annotations

import json

import pytest

from monai_topo._utils.errors import UserError
from monai_topo.report.files import find_files, pair_files


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
    cases, alone = pair_files(found(predictions), found(labels))
    expected = [("21", "21_mask.png", "21.gif"), ("22", "22_pred.tiff", "22_manual1.gif")]
    assert names(cases) == [*expected, ("a.b", "a.b_likelihood.nii.gz", "a.b.nrrd")]
    assert alone == []


def test_files_without_a_partner_are_named(tmp_path):
    predictions = touch(tmp_path / "out", "1.png", "2.png")
    labels = touch(tmp_path / "labels", "2.png", "3.png")
    cases, alone = pair_files(found(predictions), found(labels))
    assert names(cases) == [("2", "2.png", "2.png")]
    assert alone == [
        f"{labels / '3.png'}: a label without a prediction.",
        f"{predictions / '1.png'}: a prediction without a label.",
    ]


def test_equal_names_are_distinguished_by_their_folders(tmp_path):
    predictions = touch(tmp_path / "out", "a/1_mask.png", "b/1_mask.png")
    labels = touch(tmp_path / "labels", "a/1.png", "b/1.png")
    cases, _ = pair_files(found(predictions), found(labels))
    assert [(case.name, case.prediction.parent.name, case.label.parent.name) for case in cases] == [
        ("a/1", "a", "a"),
        ("b/1", "b", "b"),
    ]


def test_mask_and_likelihood_of_one_image_require_a_choice(tmp_path):
    predictions = touch(tmp_path / "out", "1_mask.png", "1_likelihood.png")
    labels = touch(tmp_path / "labels", "1.png", "2.png")
    with pytest.raises(UserError, match=r"one prediction named '1', .*--prediction-files, such as '\*_mask"):
        pair_files(found(predictions), found(labels))
    cases, _ = pair_files(found(predictions, "*_mask.png"), found(labels))
    assert names(cases) == [("1", "1_mask.png", "1.png")]


def test_single_files_belong_together_whatever_their_names(tmp_path):
    touch(tmp_path, "x.png", "y.tif")
    cases, alone = pair_files(found(tmp_path / "x.png"), found(tmp_path / "y.tif"))
    assert (names(cases), alone) == ([("y", "x.png", "y.tif")], [])


def test_labels_of_a_datalist_are_found_by_the_names_of_their_images(tmp_path):
    entries = [{"image": f"images/{i}.tif", "label": f"labels/truth{i}.gif"} for i in (7, 8)]
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"name": "x", "training": [], "validation": entries}))
    predictions = touch(tmp_path / "out", "7_mask.png", "8_mask.png")
    cases, alone = pair_files(found(predictions), found(datalist))
    assert alone == []
    assert [(case.prediction.name, case.label) for case in cases] == [
        (f"{i}_mask.png", tmp_path / "labels" / f"truth{i}.gif") for i in (7, 8)
    ]


def test_a_datalist_may_name_both(tmp_path):
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"test": [{"image": "i.png", "label": "b.png", "pred": "c.png"}]}))
    cases, _ = pair_files(found(datalist, key="pred"), found(datalist))
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
def test_unusable_datalists_are_reported(tmp_path, content, section, sentence):
    (tmp_path / "datalist.json").write_text(content)
    with pytest.raises(UserError, match=sentence):
        found(tmp_path / "datalist.json", section=section)


def test_all_sections_are_read_on_request(tmp_path):
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"training": [{"label": "1.png"}], "validation": [{"label": "2.png"}]}))
    assert [one.path.name for one in found(datalist, all_sections=True)] == ["1.png", "2.png"]
    assert [one.path.name for one in found(datalist)] == ["2.png"]


def test_finding_nothing_is_reported(tmp_path):
    touch(tmp_path, "a/1.png", "a/3.png", "b/2.png", "c/notes.txt")
    with pytest.raises(UserError, match="does not exist"):
        found(tmp_path / "absent")
    with pytest.raises(UserError, match=r"images \(\.nii\.gz"):
        found(tmp_path / "c")
    with pytest.raises(UserError, match="same names"):
        pair_files(found(tmp_path / "a"), found(tmp_path / "b"))


def test_masks_are_paired_like_predictions(tmp_path):
    predictions = touch(tmp_path / "out", "33_mask.png", "34_mask.png")
    masks = touch(tmp_path / "masks", "33_mask.gif", "34.gif", "35.gif")  # one to spare
    entries = [{"image": f"images/{i}.tif", "label": f"labels/truth{i}.gif"} for i in (33, 34)]
    (tmp_path / "datalist.json").write_text(json.dumps({"validation": entries}))
    cases, alone = pair_files(found(predictions), found(tmp_path / "datalist.json"), found(masks))
    assert [(case.name, case.mask.name) for case in cases] == [("33", "33_mask.gif"), ("34", "34.gif")]
    assert alone == []


def test_a_label_may_lack_an_image(tmp_path):
    labels = touch(tmp_path / "labels", "1.png", "2.png")
    images = touch(tmp_path / "images", "2.tif", "3.tif")
    cases, alone = pair_files(found(labels), found(labels), None, found(images))
    assert [(case.name, case.image) for case in cases] == [("1", None), ("2", images / "2.tif")]
    assert alone == []


def test_a_label_without_mask_is_named_and_its_prediction_is_not(tmp_path):
    predictions = touch(tmp_path / "out", "1.png", "2.png", "4.png")
    labels = touch(tmp_path / "labels", "1.png", "2.png", "3.png")
    cases, alone = pair_files(found(predictions), found(labels), found(touch(tmp_path / "masks", "2.png", "4.png")))
    assert names(cases) == [("2", "2.png", "2.png")]
    assert alone == [
        f"{labels / '1.png'}: a label without a mask.",
        f"{labels / '3.png'}: a label without a prediction or a mask.",
        f"{predictions / '4.png'}: a prediction without a label.",
    ]


def test_masks_of_other_names_and_of_equal_ones_are_reported(tmp_path):
    predictions = touch(tmp_path / "out", "1.png", "2.png")
    masks = touch(tmp_path / "masks", "x.png", "1.gif", "1_mask.png")
    with pytest.raises(UserError, match=r"masks and labels of the same names, .* 'mask' next to every 'label'"):
        pair_files(found(predictions), found(predictions), found(masks, "x.png"))
    with pytest.raises(UserError, match=r"one mask named '1', .*--mask-files"):
        pair_files(found(predictions), found(predictions), found(masks))


def test_one_datalist_may_name_all_files(tmp_path):
    datalist = tmp_path / "datalist.json"
    keys = {"label": "label", "pred": "net", "mask": "field", "image": "scan"}
    entries = [{key: f"{i}/{name}.png" for key, name in keys.items()} for i in (1, 2)]
    datalist.write_text(json.dumps({"test": entries}))
    cases, alone = pair_files(*(found(datalist, key=key) for key in ("pred", "label", "mask", "image")))
    assert [tuple(file.relative_to(tmp_path).as_posix() for file in case[1:5]) for case in cases] == [
        ("1/net.png", "1/label.png", "1/field.png", "1/scan.png"),
        ("2/net.png", "2/label.png", "2/field.png", "2/scan.png"),
    ]
    assert alone == []


def test_a_single_mask_belongs_to_a_single_label(tmp_path):
    touch(tmp_path, "x.png", "y.tif", "z.gif")
    cases, _ = pair_files(*(found(tmp_path / name) for name in ("x.png", "y.tif", "z.gif")))
    assert [case.mask for case in cases] == [tmp_path / "z.gif"]


def test_a_datalist_that_points_outside_its_folder_is_named(tmp_path):
    folder = touch(tmp_path / "data", "a.png")
    touch(tmp_path, "secret.png")
    datalist = folder / "datalist.json"
    datalist.write_text(json.dumps({"validation": [{"label": "a.png"}, {"label": "../secret.png"}]}))
    with pytest.raises(
        UserError, match=r"to lie in .*data, but got 1 outside, .*secret\.png first; .*set --allow-outside"
    ):
        found(datalist)
    allowed = find_files(str(datalist), pattern=None, key="label", section=None, all_sections=False, allow_outside=True)
    assert [one.path.name for one in allowed] == ["a.png", "secret.png"]
