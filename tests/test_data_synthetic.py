"""Synthetic images keep what they promise of their topology; data sets are written whole, once, and read with care."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import LoadImage
from PIL import Image
from scipy import ndimage
from skimage.measure import euler_number

from monai_topo.data import load_datalist, synthetic_membranes, synthetic_vessels, write_synthetic_dataset
from monai_topo.data.membranes import _cell_mosaic

GENERATORS = [synthetic_membranes, synthetic_vessels]
SHAPES = [(96, 131), (26, 34, 41)]
DATASET = {"kind": "membranes", "shape": (40, 56), "num_training": 2, "num_validation": 1}


def components(mask, *, connectivity):
    """Components by scipy, with `connectivity` "face" or "full"."""
    order = 1 if connectivity == "face" else mask.ndim
    return ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, order))


def betti_numbers(label):
    """b0, b1, b2 of a mask under full connectivity: components, cavities, and Euler's formula for the rest."""
    b0 = components(label, connectivity="full")[1]
    b2 = components(np.pad(label == 0, 1, constant_values=True), connectivity="face")[1] - 1 if label.ndim == 3 else 0
    return b0, b0 + b2 - euler_number(label, connectivity=label.ndim), b2


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_image_and_label_are_of_the_promised_kind(generator, shape):
    image, label = generator(shape, seed=0)
    assert image.shape == label.shape == shape
    assert (image.dtype, label.dtype) == (np.float32, np.uint8)
    assert image.min() >= 0
    assert image.max() <= 1
    np.testing.assert_array_equal(np.unique(label), [0, 1])


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_seed_decides(generator, shape):
    first, again, other = (generator(shape, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).mean() > 0.5
    assert (first[1] != other[1]).any()


def test_the_image_is_the_same_on_one_thread():
    program = (
        "import sys; from monai_topo.data import synthetic_membranes, synthetic_vessels;"
        "[sys.stdout.buffer.write(f((45, 66), seed=3)[0].tobytes()) for f in (synthetic_membranes, synthetic_vessels)]"
    )
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert run.stdout == b"".join(generator((45, 66), seed=3)[0].tobytes() for generator in GENERATORS)


@pytest.mark.parametrize(("generator", "sign"), [(synthetic_membranes, -1), (synthetic_vessels, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_membranes_are_dark_and_vessels_bright(generator, sign, shape):
    image, label = generator(shape, seed=0, noise=0.02, gaps=0)
    assert sign * (image[label == 1].mean() - image[label == 0].mean()) > 0.2


@pytest.mark.parametrize("generator", GENERATORS)
def test_gaps_fade_in_the_image_only(generator):
    whole, faded = (generator((120, 150), seed=5, gaps=gaps, gap_contrast=0.0) for gaps in (0.0, 0.3))
    np.testing.assert_array_equal(whole[1], faded[1])
    structure = whole[1] == 1
    changed = np.abs(whole[0] - faded[0]) > 0.1
    assert 0.15 < changed[structure].mean() < 0.4
    assert changed[~ndimage.binary_dilation(structure, iterations=4)].mean() == 0


@settings(max_examples=25)
@given(
    st.sampled_from([(61, 83), (8, 90), (24, 31, 37)]),
    st.integers(0, 10_000),
    st.floats(4, 40),
    st.floats(1, 6),
)
def test_membranes_close_every_cell_off(shape, seed, cell_size, membrane_width):
    # The mosaic itself comes first from the seed, so it can be drawn again here, without the walls.
    cells = _cell_mosaic(shape, cell_size, np.random.default_rng(seed))
    label = synthetic_membranes(shape, seed=seed, cell_size=cell_size, membrane_width=membrane_width)[1]
    for connectivity in ("face", "full"):
        rooms, number = components(label == 0, connectivity=connectivity)
        for room in range(1, number + 1):
            assert len(np.unique(cells[rooms == room])) == 1


@pytest.mark.parametrize(("shape", "cell_size"), [((160, 213), 28.0), ((48, 56, 64), 28.0)])
@pytest.mark.parametrize("connectivity", ["face", "full"])
def test_membranes_leave_one_room_a_cell(shape, cell_size, connectivity):
    for seed in range(4):
        cells = _cell_mosaic(shape, cell_size, np.random.default_rng(seed))
        label = synthetic_membranes(shape, seed=seed, cell_size=cell_size)[1]
        number_of_rooms = components(label == 0, connectivity=connectivity)[1]
        number_of_cells = len(np.unique(cells[label == 0]))
        assert number_of_cells > 20
        thin_necks = 0 if len(shape) == 2 else 1  # each makes one more room of a cell; these seeds have that many
        assert 0 <= number_of_rooms - number_of_cells <= thin_necks


@pytest.mark.parametrize("shape", [(90, 121), (34, 40, 47)])
def test_a_wider_membrane_contains_the_narrower_one(shape):
    labels = [synthetic_membranes(shape, seed=4, membrane_width=width)[1] for width in (1, 2, 3, 5)]
    for narrower, wider in pairwise(labels):
        assert (wider >= narrower).all()
    for narrower, wider in pairwise(labels[0::2]):
        assert wider.mean() > 1.5 * narrower.mean()


def test_the_membrane_is_as_wide_as_it_says():
    # Off the junctions, the widest ball inside a wall has half the wall's width.
    for width in (3, 5, 7):
        label = synthetic_membranes((300, 400), seed=2, cell_size=70, membrane_width=width)[1]
        depth = ndimage.distance_transform_edt(np.pad(label, 1, mode="edge"))[1:-1, 1:-1]
        ridge = depth[(label == 1) & (depth == ndimage.maximum_filter(depth, 3))]
        assert abs(2 * np.median(ridge) - 1 - width) <= 1


@settings(max_examples=20)
@given(st.sampled_from([(61, 83), (24, 31, 37)]), st.integers(0, 10_000), st.integers(0, 8), st.floats(1, 5))
def test_a_tree_is_connected(shape, seed, num_branches, radius):
    label = synthetic_vessels(shape, seed=seed, num_trees=1, num_branches=num_branches, radius=radius, loops=1)[1]
    assert betti_numbers(label)[0] == 1


@pytest.mark.parametrize("num_trees", [1, 2, 3])
@pytest.mark.parametrize("shape", [(200, 262), (48, 56, 64)])
def test_each_tree_is_one_component(shape, num_trees):
    for seed in range(3):
        label = synthetic_vessels(shape, seed=seed, num_trees=num_trees, num_branches=5, loops=0, radius=2)[1]
        assert betti_numbers(label)[0] == num_trees


@pytest.mark.parametrize("loops", [0, 1, 3])
def test_loops_are_cycles_of_the_label_in_2d(loops):
    for seed in range(4):
        label = synthetic_vessels((256, 320), seed=seed, loops=loops)[1]
        assert betti_numbers(label) == (2, loops, 0)


@pytest.mark.parametrize("loops", [0, 2])
def test_loops_are_cycles_of_most_labels_in_3d(loops):
    numbers = [betti_numbers(synthetic_vessels((48, 56, 64), seed=seed, loops=loops)[1]) for seed in range(12)]
    exact = [b1 == loops for _, b1, _ in numbers]
    assert sum(exact) >= 10  # by the docstring: in most images, not in all
    assert max(abs(b1 - loops) for _, b1, _ in numbers) <= 2
    assert [b2 for _, _, b2 in numbers] == [0] * 12


@pytest.mark.parametrize("shape", [(200, 262), (48, 56, 64)])
def test_vessels_taper_from_the_root_to_the_tips(shape):
    label = synthetic_vessels(shape, seed=0, num_trees=1, num_branches=16, radius=4, loops=0)[1]
    depth = ndimage.distance_transform_edt(np.pad(label, 1, mode="edge"))[(slice(1, -1),) * len(shape)]
    assert 3 <= depth.max() <= 7  # 4, and more in a fork
    ridge = depth[(label == 1) & (depth == ndimage.maximum_filter(depth, 3))]
    assert np.median(ridge) < 0.75 * depth.max()


def test_more_branches_fill_more_of_the_image():
    few, many = (synthetic_vessels((200, 262), seed=0, num_branches=number)[1] for number in (2, 12))
    reach_few, reach_many = (ndimage.distance_transform_edt(label == 0).max() for label in (few, many))
    assert reach_many < 0.8 * reach_few


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("shape", [(64,), (8, 8, 8, 8), (7, 64), (64, 0)])
def test_other_shapes_are_refused(generator, shape):
    with pytest.raises(ValueError, match=re.escape(f"at least 8 voxels, but got {shape}")):
        generator(shape, seed=0)


@pytest.mark.parametrize(
    ("generator", "name", "value"),
    [
        (synthetic_membranes, "cell_size", 3),
        (synthetic_membranes, "membrane_width", 0.5),
        (synthetic_vessels, "num_trees", 0),
        (synthetic_vessels, "num_branches", -1),
        (synthetic_vessels, "radius", 0.9),
        (synthetic_vessels, "loops", -1),
        *(
            (g, n, v)
            for g in GENERATORS
            for n, v in [("blur", -1), ("noise", np.nan), ("gaps", 1.1), ("gap_contrast", -1)]
        ),
    ],
)
def test_settings_out_of_range_are_refused(generator, name, value):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be .*, but got {value}"):
        generator((40, 56), seed=0, **{name: value})


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
def test_equal_settings_give_equal_files_and_every_case_is_another(tmp_path, shape):
    once, again, other = (
        write_synthetic_dataset(tmp_path / name, **{**DATASET, "shape": shape}, seed=seed).parent
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )
    assert files_of(once) == files_of(again)
    images = [data for folder in (once, other) for name, data in files_of(folder).items() if name.startswith("images")]
    assert len(set(images)) == 6


def test_a_finished_set_is_left_as_it_is(tmp_path):
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


def test_nothing_is_left_of_a_set_that_broke_off(tmp_path, monkeypatch):
    def breaking(*args):
        raise OSError("disk full")

    monkeypatch.setattr("monai_topo.data.datasets._write_png", breaking)
    with pytest.raises(OSError, match="disk full"):
        write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert list(tmp_path.iterdir()) == []


def test_two_that_begin_at_once_both_end_well(tmp_path, monkeypatch):
    from monai_topo.data import datasets

    write_all, calls = datasets._write_all, []

    def overtaken(folder, made_with):
        write_all(folder, made_with)
        if not calls:  # while the first one has its files ready but not renamed, a second one comes and ends
            calls.append(folder)
            write_synthetic_dataset(tmp_path / "set", **DATASET)

    monkeypatch.setattr(datasets, "_write_all", overtaken)
    write_synthetic_dataset(tmp_path / "set", **DATASET)
    assert calls
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(load_datalist(tmp_path / "set", "training")) == 2


def test_many_that_begin_at_once_all_end_well(tmp_path):
    # Threads stand for processes here: they meet in the file system only, and start a hundred times faster.
    with ThreadPoolExecutor(4) as pool:
        racers = [pool.submit(write_synthetic_dataset, tmp_path / "set", **DATASET) for _ in range(4)]
    assert [racer.result() for racer in racers] == [tmp_path / "set" / "datalist.json"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(load_datalist(tmp_path / "set", "training")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "neurons"}, r"`kind` to be one of \['membranes', 'vessels'\], but got 'neurons'"),
        ({"shape": (40,)}, "Expected `shape`"),
        ({"num_training": -1}, "Expected `num_training`"),
        ({"num_validation": 1.5}, "Expected `num_validation`"),
        ({"seed": True}, "Expected `seed`"),
    ],
)
def test_a_set_that_cannot_be_is_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        write_synthetic_dataset(tmp_path / "set", **{**DATASET, **change})
    assert list(tmp_path.iterdir()) == []


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


def test_a_missing_folder_and_a_missing_datalist_are_told_apart(dataset_dir):
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
def test_a_datalist_that_cannot_be_used_is_told_in_a_sentence(dataset_dir, content, message):
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


@pytest.mark.parametrize("shape", [(8, 8), (8, 9, 10), (16, 16, 16)])
@pytest.mark.parametrize("seed", range(3))
def test_small_images_have_vessels_too(shape, seed):
    # Where there is no room for a second trunk a tree may be a single node.
    image, label = synthetic_vessels(shape, seed=seed)
    assert np.isfinite(image).all()
    assert 0 < label.sum() < label.size
