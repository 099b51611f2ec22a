"""Small components removed from chunked masks against labeling of the whole mask, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import CONNECTIVITIES
from scipy.ndimage import generate_binary_structure, label

from monai_topo.masks import chunked_remove_small

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.usefixtures("dask_on_one_thread")


def without_small(mask, min_size, connectivity):
    ids, _ = label(mask, generate_binary_structure(mask.ndim, mask.ndim if connectivity == "full" else 1))
    return np.where(np.bincount(ids.ravel())[ids] >= min_size, mask, 0)


@st.composite
def chunked_masks(draw):
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=3)))
    density = draw(st.sampled_from([0.15, 0.3, 0.5, 0.7]))
    mask = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape) < density
    return mask, tuple(draw(st.integers(1, extent)) for extent in shape)


@given(masks=chunked_masks(), min_size=st.integers(0, 6), connectivity=st.sampled_from(CONNECTIVITIES))
@settings(max_examples=150)
def test_equals_the_removal_in_the_whole_mask(masks, min_size, connectivity):
    mask, chunks = masks
    cleaned = chunked_remove_small(da.from_array(mask, chunks=chunks), min_size, connectivity=connectivity)
    assert (cleaned.compute() == without_small(mask, min_size, connectivity)).all()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_size_at_the_limit_stays_wherever_the_chunks_cut_and_shape_dtype_and_chunks_are_kept(dtype):
    mask = np.zeros((12, 17), dtype=dtype)
    mask[2, 1:16] = mask[7, 3:17] = 1  # 15 and 14 voxels through all chunks
    chunked = da.from_array(mask, chunks=(5, 4))
    for min_size, kept in ((14, 29), (15, 15), (16, 0)):
        cleaned = chunked_remove_small(chunked, min_size)
        assert cleaned.chunks == chunked.chunks
        assert cleaned.dtype == mask.dtype
        assert cleaned.compute().sum() == kept


def test_the_result_is_lazy_and_goes_to_threads_and_files(tmp_path):
    zarr = pytest.importorskip("zarr")
    read = []
    mask = np.random.default_rng(0).random((16, 18, 20)) < 0.15
    counted = da.from_array(mask, chunks=(8, 9, 10)).map_blocks(lambda block: (read.append(1), block)[1], dtype=bool)
    read.clear()  # Dask has tried the function on nothing
    cleaned = chunked_remove_small(counted, 3)
    assert len(read) == 8
    assert cleaned.nbytes == mask.nbytes
    with dask.config.set(scheduler="threads"):
        cleaned.to_zarr(str(tmp_path / "cleaned.zarr"))
    assert len(read) == 16
    assert (zarr.open_array(str(tmp_path / "cleaned.zarr"))[:] == without_small(mask, 3, "full")).all()


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)], ids=str)
def test_empty_and_full_masks(shape):
    for value in (0, 1):
        mask = np.full(shape, value, dtype=np.uint8)
        assert (chunked_remove_small(mask, 7, chunks=2).compute() == mask).all()
    assert chunked_remove_small(np.ones(shape, dtype=bool), 10**6, chunks=2).compute().sum() == 0


@pytest.mark.parametrize(
    ("mask", "settings", "error", "sentence"),
    [
        (np.array([[0, 2]]), {"min_size": 1}, ValueError, "the mask to hold only 0 and 1"),
        (np.zeros((4, 5), dtype=bool), {"min_size": -1}, ValueError, "`min_size` to be finite and at least 0"),
        (np.zeros(4, dtype=bool), {"min_size": 1}, ValueError, r"shape \(H, W\) or \(D, H, W\)"),
        (np.zeros((4, 5), dtype=bool), {"min_size": 1, "connectivity": "8"}, ValueError, "`connectivity` to be"),
        ([[0, 1]], {"min_size": 1}, TypeError, "to be a Dask, zarr, h5py or NumPy array"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(mask, settings, error, sentence):
    with pytest.raises(error, match=sentence):
        chunked_remove_small(mask, **settings)
