"""The reader of all formats: axes, grids, and files on which other readers fail."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image

from monai_topo.data import FormatReader


def read(file: Path) -> Any:
    return LoadImage(reader=FormatReader(), image_only=True, ensure_channel_first=True)(file)


def ramp() -> np.ndarray[Any, Any]:
    """Give every voxel another value, so that each flip and transposition is detected."""
    return np.arange(5 * 7 * 4, dtype=np.uint8).reshape(5, 7, 4)


def test_nifti_keeps_its_affine(tmp_path: Path) -> None:
    affine = np.array([[0.0, -0.9, 0.0, 7.0], [0.4, 0.0, 0.0, -3.5], [0.0, 0.0, 2.5, 11.0], [0.0, 0.0, 0.0, 1.0]])
    for name in ("scan.nii", "scan.nii.gz", "SCAN.NII.GZ"):
        nibabel.save(nibabel.Nifti1Image(ramp(), affine), tmp_path / name)
        image = read(tmp_path / name)
        assert np.array_equal(image[0], ramp())
        assert np.allclose(image.affine, affine)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".tif"])
def test_volumes_come_x_first_with_their_spacing(suffix: str, tmp_path: Path) -> None:
    volume = itk.image_from_array(np.ascontiguousarray(ramp().T))  # ITK's arrays are z first
    volume.SetSpacing([0.5, 0.25, 2.0])
    itk.imwrite(volume, str(tmp_path / f"scan{suffix}"))
    image = read(tmp_path / f"scan{suffix}")
    assert np.array_equal(image[0], ramp())
    if suffix != ".tif":
        assert np.allclose(image.pixdim, [0.5, 0.25, 2.0])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif"])
def test_pictures_come_x_first(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(ramp()[:, :, 0]).save(tmp_path / f"picture{suffix}")
    assert np.array_equal(read(tmp_path / f"picture{suffix}")[0], ramp()[:, :, 0].T)


def test_color_indices_of_a_png_are_kept(tmp_path: Path) -> None:
    picture = Image.fromarray(ramp()[:, :, 0] % 3).convert("P")
    picture.putpalette([0, 0, 0, 200, 0, 0, 0, 90, 7])
    picture.save(tmp_path / "indices.png")
    assert np.array_equal(read(tmp_path / "indices.png")[0], ramp()[:, :, 0].T % 3)


def test_colors_are_channels(tmp_path: Path) -> None:
    colors = ramp()[:, :, :3]
    for name in ("colors.png", "colors.tif"):
        Image.fromarray(np.ascontiguousarray(colors)).save(tmp_path / name)
        assert np.array_equal(read(tmp_path / name), colors.transpose(2, 1, 0))


def test_pages_compressed_by_lzw_are_read_as_a_volume(tmp_path: Path) -> None:
    first, *others = [Image.fromarray(np.ascontiguousarray(page)) for page in ramp().T]
    first.save(tmp_path / "stack.tif", save_all=True, append_images=others, compression="tiff_lzw")
    assert np.array_equal(read(tmp_path / "stack.tif")[0], ramp())


def test_tags_of_imagej_are_skipped(tmp_path: Path) -> None:
    # ImageJ's tag 50839 holds bytes, which ITK's Python does not support.
    pixels, tags = bytes(range(6)), 11
    entries = [(256, 3, 1, 3), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    offset = 8 + 2 + 12 * tags + 4
    entries += [(273, 4, 1, offset), (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 6)]
    entries += [(50838, 4, 1, 12), (50839, 1, 12, offset + 6)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    header = struct.pack("<2sHIH", b"II", 42, 8, tags)
    (tmp_path / "imagej.tif").write_bytes(header + body + struct.pack("<I", 0) + pixels + b"IJIJlabels!!")
    with pytest.raises(RuntimeError, match="Can't downcast"):
        LoadImage(image_only=True)(tmp_path / "imagej.tif")
    assert read(tmp_path / "imagej.tif")[0].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_folder_is_read_as_a_dicom_series(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    for number, page in enumerate(ramp().T):
        image = itk.image_from_array(np.ascontiguousarray(page)[None])
        image.SetSpacing([0.5, 0.25, 2.0])
        image.SetOrigin([1.0, 2.0, 3.0 + 2.0 * number])
        tags = image.GetMetaDataDictionary()
        for tag, value in {
            "0008|0060": "MR",
            "0008|0021": "20200101",
            "0020|000d": "1.2.3.4",
            "0020|000e": "1.2.3.4.5",
            "0020|0013": str(number),
        }.items():
            tags[tag] = value
        writer = itk.GDCMImageIO.New(KeepOriginalUID=True)
        itk.imwrite(image, str(tmp_path / "series" / f"{9 - number}.dcm"), imageio=writer)
    series = read(tmp_path / "series")
    assert np.array_equal(series[0], ramp())
    assert np.allclose(series.pixdim, [0.5, 0.25, 2.0])


def test_files_of_two_kinds_are_not_stacked(tmp_path: Path) -> None:
    reader = FormatReader()
    opened = reader.read([tmp_path / "a.png", tmp_path / "b.nii"])
    with pytest.raises(ValueError, match="Expected files of one kind"):
        reader.get_data(opened)


def test_real_files_on_which_other_readers_fail(shared_data: Path) -> None:
    for kind in ("images", "labels"):
        assert read(shared_data / "vesselexpress" / kind / "000.tif").shape == (1, 100, 100, 100)
    assert read(shared_data / "drive" / "labels" / "21.gif").shape == (1, 565, 584)
