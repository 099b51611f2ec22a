"""Synthetic data sets on disk: written atomically, once, and never over anything else."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image
from test_generators import DATASET

from monai_topo.data import load_datalist, write_synthetic_dataset


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_pictures_are_written_row_by_row_with_a_datalist(tmp_path):
    datalist = write_synthetic_dataset(tmp_path / "new" / "set", **DATASET)
    assert datalist == tmp_path / "new" / "set" / "datalist.json"
    content = json.loads(datalist.read_text())
    assert content["training"] == [{"image": f"images/{i}.png", "label": f"labels/{i}.png"} for i in ("000", "001")]
    assert content["validation"] == [{"image": "images/002.png", "label": "labels/002.png"}]
    assert {"name", "description", "labels", "generator"} <= content.keys()
    for case in (*content["training"], *content["validation"]):
        for file, values in ((case["image"], 100), (case["label"], 2)):
            with Image.open(datalist.parent / file) as picture:
                assert picture.mode == "L"
                assert picture.size == (56, 40)  # pillow's (width, height)
                assert len(np.unique(picture)) >= values
    np.testing.assert_array_equal(np.unique(picture), [0, 255])


def test_monai_reads_image_and_label_in_one_orientation(tmp_path):
    write_synthetic_dataset(tmp_path / "set", **DATASET)
    case = load_datalist(tmp_path / "set", "training")[0]
    image, label = (LoadImage(image_only=True)(case[key]).numpy() for key in ("image", "label"))
    assert image.shape == label.shape == (56, 40)  # transposed by PILReader
    assert image[label == 255].mean() < image[label == 0].mean() - 30


@pytest.mark.parametrize("kind", ["membranes", "vessels"])
def test_volumes_are_written_as_nifti(tmp_path, kind):
    write_synthetic_dataset(tmp_path / "set", kind=kind, shape=(20, 24, 31), num_training=1, num_validation=1)
    case = load_datalist(tmp_path / "set", "validation")[0]
    assert case["label"] == str(tmp_path / "set" / "labels" / "001.nii.gz")
    image, label = nibabel.load(case["image"]), nibabel.load(case["label"])
    np.testing.assert_array_equal(image.affine, np.eye(4))
    assert image.header.get_zooms() == (1, 1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(np.unique(label.dataobj), [0, 1])
    assert np.asarray(image.dataobj).max() > 100
    loaded = LoadImage(image_only=True)(case["label"])
    assert loaded.shape == (20, 24, 31)


@pytest.mark.parametrize("shape", [(40, 56), (12, 16, 20)])
def test_equal_settings_give_equal_files_and_cases_differ(tmp_path, shape):
    once, again, other = (
        write_synthetic_dataset(tmp_path / name, **{**DATASET, "shape": shape}, seed=seed).parent
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )
    assert files_of(once) == files_of(again)
    images = [data for folder in (once, other) for name, data in files_of(folder).items() if name.startswith("images")]
    assert len(set(images)) == 6


def test_a_finished_set_does_not_change(tmp_path):
    datalist = write_synthetic_dataset(tmp_path / "set", **DATASET)
    image = tmp_path / "set" / "images" / "000.png"
    before = image.stat().st_mtime_ns
    assert write_synthetic_dataset(tmp_path / "set", **DATASET) == datalist
    assert image.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"shape": (56, 40)}, {"num_training": 1}, {"kind": "vessels"}])
def test_a_set_of_other_settings_is_not_overwritten(tmp_path, change):
    write_synthetic_dataset(tmp_path / "set", **DATASET)
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match="choose another folder or remove this one"):
        write_synthetic_dataset(tmp_path / "set", **{**DATASET, **change})
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", "datalist.json"])
@pytest.mark.parametrize("content", ["", "{}", '{"training": []}', "[1]", '"x"'])
def test_a_foreign_folder_is_not_touched(tmp_path, name, content):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_text(content)
    with pytest.raises(FileExistsError, match="new, empty or a synthetic data set"):
        write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert files_of(tmp_path) == {os.path.join("set", name): content.encode()}


def test_a_file_in_the_folders_place_is_not_touched(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(FileExistsError, match="something else"):
        write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert files_of(tmp_path) == {"set": b"mine"}


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert len(load_datalist(tmp_path / "set", "training")) == 2


def test_nothing_remains_of_a_set_that_failed(tmp_path, monkeypatch):
    def breaking(*args):
        raise OSError("disk full")

    monkeypatch.setattr("monai_topo.data.synthetic_datasets._write_png", breaking)
    with pytest.raises(OSError, match="disk full"):
        write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert list(tmp_path.iterdir()) == []


def test_two_simultaneous_writers_both_succeed(tmp_path, monkeypatch):
    from monai_topo.data import synthetic_datasets

    write_all, calls = synthetic_datasets._write_all, []

    def overtaken(folder, written_with):
        write_all(folder, written_with)
        if not calls:  # while the first one has written its files but not renamed them, a second one finishes
            calls.append(folder)
            write_synthetic_dataset(tmp_path / "set", **DATASET)

    monkeypatch.setattr(synthetic_datasets, "_write_all", overtaken)
    write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert calls
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(load_datalist(tmp_path / "set", "training")) == 2


def test_many_simultaneous_writers_all_succeed(tmp_path):
    # Threads replace processes here: they interact only through the file system, and start a hundred times faster.
    with ThreadPoolExecutor(4) as pool:
        racers = [pool.submit(write_synthetic_dataset, tmp_path / "set", **DATASET) for _ in range(4)]
    assert [racer.result() for racer in racers] == [tmp_path / "set" / "datalist.json"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(load_datalist(tmp_path / "set", "training")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "neurons"}, r"`kind` to be one of 'membranes', 'vessels', but got 'neurons'"),
        ({"shape": (40,)}, "Expected `shape`"),
        ({"num_training": -1}, "Expected `num_training`"),
        ({"num_validation": 1.5}, "Expected `num_validation`"),
        ({"seed": True}, "Expected `seed`"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_synthetic_dataset(tmp_path / "set", **{**DATASET, **change})
    assert list(tmp_path.iterdir()) == []
