"""Synthetic images have the documented topology."""

import os
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import euler_number

from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.data.membranes import _cell_mosaic

GENERATORS = [synthetic_membranes, synthetic_vessels]
SHAPES = [(96, 131), (26, 34, 41)]
DATASET = {"kind": "membranes", "shape": (40, 56), "num_training": 2, "num_validation": 1}


def components(mask, *, connectivity):
    """Label components by SciPy."""
    order = 1 if connectivity == "face" else mask.ndim
    return ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, order))


def betti_numbers(label):
    """Compute b0, b1, b2 under full connectivity from components, cavities and the Euler characteristic."""
    b0 = components(label, connectivity="full")[1]
    b2 = components(np.pad(label == 0, 1, constant_values=True), connectivity="face")[1] - 1 if label.ndim == 3 else 0
    return b0, b0 + b2 - euler_number(label, connectivity=label.ndim), b2


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_image_and_label_have_the_documented_type(generator, shape):
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


@pytest.mark.slow
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


@given(
    st.sampled_from([(61, 83), (8, 90), (24, 31, 37)]),
    st.integers(0, 10_000),
    st.floats(4, 40),
    st.floats(1, 6),
)
def test_membranes_close_every_cell_off(shape, seed, cell_size, membrane_width):
    # The mosaic is the first thing drawn from the seed, so it can be drawn again here, without the walls.
    cells = _cell_mosaic(shape, cell_size, np.random.default_rng(seed))
    label = synthetic_membranes(shape, seed=seed, cell_size=cell_size, membrane_width=membrane_width)[1]
    for connectivity in ("face", "full"):
        regions, number = components(label == 0, connectivity=connectivity)
        for region in range(1, number + 1):
            assert len(np.unique(cells[regions == region])) == 1


@pytest.mark.parametrize(
    ("shape", "cell_size"), [((160, 213), 28.0), pytest.param((48, 56, 64), 28.0, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("connectivity", ["face", "full"])
def test_membranes_leave_one_region_per_cell(shape, cell_size, connectivity):
    for seed in range(4):
        cells = _cell_mosaic(shape, cell_size, np.random.default_rng(seed))
        label = synthetic_membranes(shape, seed=seed, cell_size=cell_size)[1]
        number_of_regions = components(label == 0, connectivity=connectivity)[1]
        number_of_cells = len(np.unique(cells[label == 0]))
        assert number_of_cells > 20
        thin_necks = 0 if len(shape) == 2 else 1  # each splits one region; these seeds have that many
        assert 0 <= number_of_regions - number_of_cells <= thin_necks


@pytest.mark.parametrize("shape", [(90, 121), (34, 40, 47)])
def test_a_wider_membrane_contains_the_narrower_one(shape):
    labels = [synthetic_membranes(shape, seed=4, membrane_width=width)[1] for width in (1, 2, 3, 5)]
    for narrower, wider in pairwise(labels):
        assert (wider >= narrower).all()
    for narrower, wider in pairwise(labels[0::2]):
        assert wider.mean() > 1.5 * narrower.mean()


def test_the_membrane_has_the_requested_width():
    # Off the junctions, the widest ball inside a wall has half the wall's width.
    for width in (3, 5, 7):
        label = synthetic_membranes((300, 400), seed=2, cell_size=70, membrane_width=width)[1]
        depth = ndimage.distance_transform_edt(np.pad(label, 1, mode="edge"))[1:-1, 1:-1]
        ridge = depth[(label == 1) & (depth == ndimage.maximum_filter(depth, 3))]
        assert abs(2 * np.median(ridge) - 1 - width) <= 1


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


@pytest.mark.slow
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


@pytest.mark.parametrize("shape", [(8, 8), (8, 9, 10), (16, 16, 16)])
@pytest.mark.parametrize("seed", range(3))
def test_small_images_have_vessels_too(shape, seed):
    # If there is no space for a second trunk, a tree may be a single node.
    image, label = synthetic_vessels(shape, seed=seed)
    assert np.isfinite(image).all()
    assert 0 < label.sum() < label.size
