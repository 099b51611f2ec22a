"""Chunked masks against the same mask in memory: every chunking, setting, scheduler and kind of array."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import CONNECTIVITIES, every_mask_setting
from oracles.betti_by_labeling import betti_by_labeling
from scipy.ndimage import generate_binary_structure, label

from monai_topo import betti_numbers
from monai_topo.masks.chunked import (
    chunked_betti_error,
    chunked_betti_numbers,
    chunked_component_sizes,
    chunked_euler_characteristic,
)

da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.usefixtures("dask_on_one_thread")


@st.composite
def chunked_masks(draw):
    """A random mask and random chunks of it, those of one voxel included."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=3)))
    density = draw(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
    mask = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape) < density
    chunks = []
    for extent in shape:
        cuts = draw(st.sets(st.integers(1, extent - 1))) if extent > 1 else set()
        chunks.append(tuple(np.diff([0, *sorted(cuts), extent]).tolist()))
    return mask, tuple(chunks)


def sizes_by_labeling(mask, connectivity):
    components, _ = label(mask, generate_binary_structure(mask.ndim, mask.ndim if connectivity == "full" else 1))
    return np.sort(np.bincount(components.ravel())[1:])[::-1].tolist()


@every_mask_setting
@given(masks=chunked_masks())
def test_betti_numbers_equal_the_labeling_of_the_whole_mask(setting, masks):
    mask, chunks = masks
    assert tuple(chunked_betti_numbers(mask, chunks=chunks, **setting).tolist()) == betti_by_labeling(mask, **setting)


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@given(masks=chunked_masks())
def test_component_sizes_equal_the_labeling_of_the_whole_mask(connectivity, masks):
    mask, chunks = masks
    sizes = chunked_component_sizes(mask, connectivity=connectivity, chunks=chunks)
    assert sizes.dtype == torch.int64
    assert sizes.tolist() == sizes_by_labeling(mask, connectivity)


@every_mask_setting
@pytest.mark.parametrize("shape", [(70, 53), (24, 37, 31)], ids=str)
def test_larger_masks_in_chunks_of_several_sizes(shape, setting):
    mask = np.random.default_rng(3).random(shape) < 0.4
    expected = betti_numbers(torch.from_numpy(mask)[None], **setting)[0]
    for chunks in (16, (shape[0], *[9] * (len(shape) - 1)), shape):
        assert torch.equal(chunked_betti_numbers(mask, chunks=chunks, **setting), expected), chunks


def test_a_component_that_winds_through_all_chunks_is_one():
    # Two spirals that never touch, each through every chunk, and a cavity that spans eight chunks.
    spiral = np.zeros((11, 12), dtype=bool)
    spiral[0::4], spiral[0:4, -1], spiral[4:9, 0] = True, True, True
    assert chunked_betti_numbers(spiral, chunks=3).tolist() == [1, 0]
    assert chunked_component_sizes(spiral, chunks=3).tolist() == [int(spiral.sum())]
    box = np.zeros((9, 10, 11), dtype=bool)
    box[1:8, 1:9, 1:10] = True
    box[2:7, 2:8, 2:9] = False
    for chunks in (2, 5):
        assert chunked_betti_numbers(box, chunks=chunks).tolist() == [1, 0, 1]
    corners = np.zeros((4, 4, 4), dtype=bool)
    corners[1, 1, 1] = corners[2, 2, 2] = True  # they touch through the corner of eight chunks
    assert chunked_betti_numbers(corners, chunks=2, connectivity="full").tolist() == [1, 0, 0]
    assert chunked_betti_numbers(corners, chunks=2, connectivity="face").tolist() == [2, 0, 0]


@every_mask_setting
@pytest.mark.parametrize("shape", [(6, 9), (5, 6, 7), (1, 1, 1)], ids=str)
def test_empty_and_full_masks(shape, setting):
    one_piece = 1 if setting["border"] == "open" else 0
    for value, components in ((0, 0), (1, one_piece)):
        mask = np.full(shape, value, dtype=np.uint8)
        assert chunked_betti_numbers(mask, chunks=3, **setting).tolist() == [components] + [0] * (len(shape) - 1)
        assert chunked_euler_characteristic(mask, chunks=3, **setting) == components
    assert chunked_component_sizes(np.zeros(shape, dtype=bool)).shape == (0,)


@every_mask_setting
def test_error_and_euler_characteristic_come_from_the_betti_numbers(setting):
    rng = np.random.default_rng(5)
    pred, true = rng.random((13, 17, 12)) < 0.3, rng.random((13, 17, 12)) < 0.5
    betti = betti_numbers(torch.from_numpy(np.stack([pred, true])), **setting)
    error = chunked_betti_error(da.from_array(pred, chunks=5), da.from_array(true, chunks=(6, 17, 4)), **setting)
    assert error.tolist() == (betti[0] - betti[1]).abs().tolist()
    assert max(error.tolist()) > 0
    euler = chunked_euler_characteristic(pred, chunks=6, **setting)
    assert euler == betti[0, 0] - betti[0, 1] + betti[0, 2]


# Real labels -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@every_mask_setting
def test_real_vessels_and_cells(shared_data, setting):
    h5py, image_module = pytest.importorskip("h5py"), pytest.importorskip("PIL.Image")
    with h5py.File(shared_data / "plantseg" / "sample_ovule.h5") as file:
        cells = da.from_array(file["label"], chunks="auto") > 1  # the file's own chunks, read lazily
        expected = betti_by_labeling(file["label"][...] > 1, **setting)
        assert tuple(chunked_betti_numbers(cells.rechunk(48), **setting).tolist()) == expected
    with image_module.open(sorted((shared_data / "vesselnn" / "labels").glob("*.tif"))[0]) as image:
        vessels = np.stack([np.asarray(image) > 0 for index in range(image.n_frames) if image.seek(index) is None])
    counted = chunked_betti_numbers(vessels, chunks=(5, 64, 100), **setting)
    assert tuple(counted.tolist()) == betti_by_labeling(vessels, **setting)


# Kinds of arrays ---------------------------------------------------------------------------------------------------


def test_zarr_hdf5_and_memory_mapped_arrays(tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    mask = (np.random.default_rng(7).random((21, 34, 27)) < 0.4).astype(np.uint8)
    expected = betti_numbers(torch.from_numpy(mask)[None])[0].tolist()
    on_disk = zarr.open_array(
        str(tmp_path / "mask.zarr"), mode="w", shape=mask.shape, chunks=(8, 9, 10), dtype=mask.dtype
    )
    on_disk[...] = mask
    np.save(tmp_path / "mask.npy", mask)
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        arrays = {
            "zarr": on_disk,
            "from_zarr": da.from_zarr(tmp_path / "mask.zarr"),
            "h5py": file.create_dataset("mask", data=mask, chunks=(8, 9, 10)),
            "memory map": np.load(tmp_path / "mask.npy", mmap_mode="r"),
            "likelihood": da.from_zarr(tmp_path / "mask.zarr") * 0.8 > 0.5,
        }
        counted = {kind: chunked_betti_numbers(array).tolist() for kind, array in arrays.items()}
    assert counted == dict.fromkeys(arrays, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64])
def test_masks_of_zeros_and_ones_count_as_bool_does(dtype):
    mask = np.random.default_rng(9).random((13, 18)) < 0.4
    assert torch.equal(chunked_betti_numbers(mask.astype(dtype), chunks=6), chunked_betti_numbers(mask, chunks=5))


def test_empty_chunks_are_left_out():
    mask = np.random.default_rng(11).random((12, 18)) < 0.5
    array = da.from_array(mask, chunks=((5, 0, 7), (0, 18, 0)))
    assert torch.equal(chunked_betti_numbers(array), betti_numbers(torch.from_numpy(mask)[None])[0])


# Refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.5, -1.0, 2.0, np.nan, np.inf])
def test_values_other_than_zero_and_one_are_refused(bad):
    mask = np.zeros((6, 9))
    mask[4, 7] = bad
    with pytest.raises(ValueError, match=r"only 0 and 1.*block \(1, 2\)"):
        chunked_betti_numbers(mask, chunks=3)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5), (0, 4)], ids=str)
def test_shapes_that_are_no_image_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        chunked_betti_numbers(np.zeros(shape, dtype=bool))


@pytest.mark.parametrize(
    ("argument", "value"), [("connectivity", 18), ("connectivity", "edge"), ("border", "closed"), ("border", None)]
)
def test_options_outside_their_choices_are_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        chunked_betti_numbers(np.zeros((3, 4), dtype=bool), **{argument: value})


def test_what_is_no_chunked_array_is_refused():
    with pytest.raises(TypeError, match=r"Tensor.*betti_numbers"):
        chunked_betti_numbers(torch.zeros(3, 4, dtype=torch.bool))
    with pytest.raises(TypeError, match="list"):
        chunked_betti_numbers([[0, 1]])
    with pytest.raises(ValueError, match=r"`true`.*\(3, 4\).*\(4, 3\)"):
        chunked_betti_error(np.zeros((3, 4), dtype=bool), np.zeros((4, 3), dtype=bool))
    ragged = da.from_array(np.arange(12).reshape(3, 4), chunks=2)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        chunked_betti_numbers(ragged[ragged[:, 0] > 2] > 0)
    with pytest.raises(ValueError, match=r"chunks of at most.*rechunk"):
        chunked_betti_numbers(da.zeros((2048, 2048, 2048), chunks=2048, dtype=bool))
