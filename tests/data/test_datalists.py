"""Datalists: absolute paths in order, and errors that name what is missing."""

import json
import os
import re

import pytest

from monai_topo.data import load_datalist


@pytest.fixture
def dataset_dir(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    return tmp_path


def write_datalist(folder, content, name="datalist.json"):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_datalist_gives_absolute_paths_in_order(dataset_dir, monkeypatch):
    entries = [
        {"image": "a.png", "label": "b.png", "mask": "c.png"},
        {"label": "b.png", "image": str(dataset_dir / "a.png")},
    ]
    write_datalist(dataset_dir, {"name": "mine", "fold 0": entries}, "folds.json")
    expected = {"image": str(dataset_dir / "a.png"), "label": str(dataset_dir / "b.png")}
    assert load_datalist(dataset_dir, "fold 0", datalist="folds.json") == [expected, expected]
    monkeypatch.chdir(dataset_dir.parent)
    assert load_datalist(dataset_dir.name, "fold 0", datalist="folds.json") == [expected, expected]


def test_the_shared_datalists_are_read(shared_data):
    assert len(load_datalist(shared_data / "isbi2012", "training")) == 15
    assert load_datalist(shared_data / "drive", "training")[0]["label"] == str(shared_data / "drive/labels/21.gif")


def test_a_missing_folder_and_a_missing_datalist_have_different_errors(dataset_dir):
    with pytest.raises(FileNotFoundError, match=r"Expected `dataset_dir` to be a folder, but got .*nowhere"):
        load_datalist(dataset_dir / "nowhere", "training")
    with pytest.raises(FileNotFoundError, match=r"to hold the datalist 'datalist\.json'"):
        load_datalist(dataset_dir, "training")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "to be a JSON file, but got"),
        ({"validation": [], "name": "x"}, r"to hold a list 'training', but got only \['validation'\]"),
        ({"training": "a.png"}, "to hold a list 'training', but got only"),
        ([1], "to hold a list 'training', but got only"),
        ({"training": []}, "to hold cases, but got an empty list"),
        ({"training": [{"image": "a.png", "label": "b.png"}, {"image": "a.png"}]}, "entry 1 of section 'training'"),
        ({"training": [{"image": "a.png", "label": ["b.png"]}]}, "entry 0"),
        ({"training": [{"image": "", "label": "b.png"}]}, "entry 0"),
        ({"training": ["a.png"]}, "to name a file for 'image' and for 'label', but got 'a.png'"),
    ],
)
def test_an_unusable_datalist_is_reported_in_a_sentence(dataset_dir, content, message):
    write_datalist(dataset_dir, content)
    with pytest.raises(ValueError, match=message):
        load_datalist(dataset_dir, "training")


def test_missing_files_are_named_the_first_ten_and_their_number(dataset_dir):
    write_datalist(dataset_dir, {"training": [{"image": "a.png", "label": f"gone{i}.png"} for i in range(12)]})
    with pytest.raises(FileNotFoundError, match=r"12 files") as error:
        load_datalist(dataset_dir, "training")
    named = re.findall(r"gone\d+\.png", str(error.value))
    assert named == [f"gone{i}.png" for i in range(10)]
    assert "a.png," not in str(error.value)


@pytest.mark.parametrize("name", ["../secret.png", "ABSOLUTE", "sub/../../secret.png"])
def test_files_outside_the_folder_are_told_and_read_only_when_asked(name, tmp_path):
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").touch()
    (tmp_path / "secret.png").touch()
    secret = str(tmp_path / "secret.png") if name == "ABSOLUTE" else name
    write_datalist(folder, {"training": [{"image": "a.png", "label": secret}]})
    text = r"of section 'training' of .*datalist\.json to lie in .*data, but got 1 outside, .*secret\.png first; move"
    with pytest.raises(ValueError, match=text):
        load_datalist(folder, "training")
    [case] = load_datalist(folder, "training", allow_outside=True)
    assert os.path.samefile(case["label"], tmp_path / "secret.png")


def test_links_in_the_folder_and_folders_with_a_common_beginning(tmp_path):
    for name in ("data", "data2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    (tmp_path / "data" / "linked.png").symlink_to(tmp_path / "data2" / "a.png")
    write_datalist(tmp_path / "data", {"training": [{"image": "a.png", "label": "linked.png"}]})
    assert len(load_datalist(tmp_path / "data", "training")) == 1
    write_datalist(tmp_path / "data", {"training": [{"image": "a.png", "label": "../data2/a.png"}]})
    with pytest.raises(ValueError, match="got 1 outside"):
        load_datalist(tmp_path / "data", "training")
