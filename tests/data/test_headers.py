"""Headers that claim more than the file holds are refused before memory is taken; honest files of all kinds pass."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_topo.data.case_files import read_image
from monai_topo.data.headers import check_header, count_voxels

SHAPE = (8, 9, 10)
SMALL = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
MANY = (1500, 1500, 1000)  # 2.1 GiB


def nifti(path: Path, shape: tuple[int, ...] = SHAPE, content: bytes | None = None) -> Path:
    header: Any = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    data = header.binaryblock + bytes(4) + (SMALL.tobytes() if content is None else content)
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def nrrd(path: Path, shape: tuple[int, ...] = SHAPE, encoding: str = "raw", content: bytes | None = None) -> Path:
    header = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {' '.join(map(str, shape))}\nencoding: {encoding}\n"
    data = SMALL.tobytes() if content is None else content
    if path.suffix == ".nhdr":
        path.with_suffix(".raw").write_bytes(data)
        path.write_bytes(f"{header}data file: {path.stem}.raw\n".encode())
    else:
        path.write_bytes(header.encode() + b"\n" + (gzip.compress(data, 1) if encoding == "gzip" else data))
    return path


def metaimage(path: Path, shape: tuple[int, ...] = SHAPE, deflate: bool = False, content: bytes | None = None) -> Path:
    data = SMALL.tobytes() if content is None else content
    data = zlib.compress(data, 1) if deflate else data
    size = f"CompressedDataSize = {len(data)}\n" if deflate else ""
    place = "LOCAL" if path.suffix == ".mha" else f"{path.stem}.raw"
    header = f"ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {deflate}\n{size}"
    header += f"DimSize = {' '.join(map(str, shape))}\nElementType = MET_UCHAR\nElementDataFile = {place}\n"
    path.write_bytes(header.encode() + (data if place == "LOCAL" else b""))
    if place != "LOCAL":
        (path.parent / place).write_bytes(data)
    return path


def tiff(path: Path, width: int = 10, height: int = 72, compression: int = 1) -> Path:
    data = SMALL.tobytes() if compression == 1 else zlib.compress(SMALL.tobytes())
    numbers = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items())
    start = b"II*\0" + struct.pack("<I", 8 + len(data))
    path.write_bytes(start + data + struct.pack("<H", len(numbers)) + table + bytes(4))
    return path


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


def dicom(path: Path, shape: tuple[int, ...] = SHAPE, name: bytes = b"DOE^JANE") -> Path:
    frames, rows, columns = shape
    meta = element(2, 2, b"UI", b"1.2.840.10008.5.1.4.1.1.7") + element(2, 3, b"UI", b"1.2.3")
    meta += element(2, 16, b"UI", b"1.2.840.10008.1.2.1")
    body = element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7") + element(8, 0x18, b"UI", b"1.2.3")
    body += element(0x10, 0x10, b"PN", name) + element(0x28, 2, b"US", struct.pack("<H", 1))
    body += element(0x28, 4, b"CS", b"MONOCHROME2") + element(0x28, 8, b"IS", str(frames).encode())
    numbers = {0x10: rows, 0x11: columns, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 0}
    body += b"".join(element(0x28, tag, b"US", struct.pack("<H", value)) for tag, value in numbers.items())
    voxels = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, SMALL.size) + SMALL.tobytes()
    start = bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta)))
    path.write_bytes(start + meta + body + voxels)
    return path


WRITERS: dict[str, Any] = {
    "a.nii": nifti,
    "a.nii.gz": nifti,
    "a.nrrd": nrrd,
    "gzip.nrrd": lambda path, *shape: nrrd(path, *shape, encoding="gzip"),
    "a.nhdr": nrrd,
    "a.mha": metaimage,
    "zlib.mha": lambda path, *shape: metaimage(path, *shape, deflate=True),
    "a.mhd": metaimage,
    "a.dcm": dicom,
    "a.tif": lambda path, shape=SHAPE: tiff(path, width=shape[2], height=shape[0] * shape[1]),
    "zlib.tif": lambda path, shape=SHAPE: tiff(path, width=shape[2], height=shape[0] * shape[1], compression=8),
}
LIMITED = """
import resource, sys
from monai_topo.data.case_files import read_image
libraries, files = sys.argv[1:4], sys.argv[4:]
for file in libraries:  # they are loaded before the limit
    read_image(file)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 256 * 2**20,) * 2)
for file in files:
    try:
        print(read_image(file).shape)
    except Exception as error:
        print(error)
"""


@pytest.mark.parametrize("name", WRITERS)
def test_honest_files_are_read(name: str, tmp_path: Path) -> None:
    image = np.asarray(read_image(str(WRITERS[name](tmp_path / name))))
    assert image.size == SMALL.size
    assert image.sum() == SMALL.sum()


@pytest.mark.parametrize("name", WRITERS)
def test_voxels_are_counted_without_reading_them(name: str, tmp_path: Path) -> None:
    assert count_voxels(WRITERS[name](tmp_path / name, MANY)) == 1500 * 1500 * 1000
    assert count_voxels(WRITERS[name](tmp_path / f"small_{name}")) == SMALL.size
    (tmp_path / name).write_bytes(b"no image")
    assert count_voxels(tmp_path / name) == 0


def test_pixels_are_counted(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert count_voxels(tmp_path / "a.png") == 600
    assert count_voxels(tmp_path / "none.png") == 0


@pytest.mark.parametrize("name", WRITERS)
def test_a_header_that_claims_too_much_is_refused(name: str, tmp_path: Path) -> None:
    file = WRITERS[name](tmp_path / name, MANY)
    with pytest.raises(
        ValueError, match=r"to hold the 2\.095 GiB of voxels that its header claims, but got a file that"
    ):
        check_header(file)
    with pytest.raises(
        ValueError, match=r"Expected .* to be an image, but got ValueError: Expected .* to hold the 2\.09"
    ):
        read_image(str(file))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_no_memory_is_taken_for_it(tmp_path: Path) -> None:
    files = [WRITERS[name](tmp_path / name, MANY) for name in WRITERS]
    # What the compression could hold but does not: 300 MiB, of which there are 290.
    zeros, shape = bytes(290 * 2**20), (300, 1024, 1024)
    files.append(nifti(tmp_path / "zeros.nii.gz", shape, zeros))
    files.append(nrrd(tmp_path / "zeros.nrrd", shape, "gzip", zeros))
    files.append(metaimage(tmp_path / "zeros.mha", shape, True, zeros))
    honest = nifti(tmp_path / "honest.nii")
    (tmp_path / "honest").mkdir()
    libraries = [WRITERS[name](tmp_path / "honest" / name) for name in ("a.nii", "a.nrrd", "a.dcm")]
    command = [sys.executable, "-c", LIMITED, *map(str, [*libraries, *files, honest])]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    *refused, last = [
        line for line in run.stdout.splitlines() if "of voxels that its header claims" in line or "(" in line
    ]
    assert len(refused) == len(files), run.stdout
    assert all("of voxels that its header claims" in line for line in refused), run.stdout
    assert "torch.Size([1, 8, 9, 10])" in last


@pytest.mark.parametrize("suffix", [".tif", ".nrrd", ".mha", ".nii", ".nii.gz"])
@pytest.mark.parametrize("rest", [0.5, 0.98, -100])  # in the last page, the last block
def test_cut_files_are_refused(suffix: str, rest: float, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    itk.imwrite(itk.image_from_array(np.repeat(SMALL, 20, axis=0)), str(file))
    content = file.read_bytes()
    assert np.asarray(read_image(str(file))).size == 20 * SMALL.size
    file.write_bytes(content[: int(rest * len(content)) if rest > 0 else int(rest)])
    with pytest.raises(ValueError, match="to be an image, but got"):
        read_image(str(file))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_stacks_of_other_writers_are_read(compression: str, tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in SMALL]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression=compression)
    check_header(tmp_path / "a.tif")
    with (tmp_path / "a.tif").open("r+b") as file:
        file.truncate((tmp_path / "a.tif").stat().st_size // 2)
    with pytest.raises(ValueError, match="it was cut"):
        check_header(tmp_path / "a.tif")


def test_tiff_pages_in_a_circle_are_refused(tmp_path: Path) -> None:
    file = tiff(tmp_path / "a.tif")
    content = bytearray(file.read_bytes())
    content[-4:] = content[4:8]
    file.write_bytes(content)
    with pytest.raises(ValueError, match="to have an end, but got pages in a circle"):
        check_header(file)


@pytest.mark.parametrize("order", "<>")
def test_big_tiff_and_both_byte_orders_are_read(order: str, tmp_path: Path) -> None:
    entries = {256: 10, 257: 72, 258: 8, 259: 1, 273: 16, 277: 1, 279: 720}
    table = b"".join(struct.pack(f"{order}HHQQ", tag, 16, 1, value) for tag, value in entries.items())
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HHHQ", 43, 8, 0, 16 + 720)
    tail = struct.pack(f"{order}Q", len(entries)) + table + bytes(8)
    (tmp_path / "a.tif").write_bytes(start + SMALL.tobytes() + tail)
    check_header(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(start + SMALL.tobytes()[:700] + tail)
    with pytest.raises(ValueError, match="it was cut"):
        check_header(tmp_path / "b.tif")


def test_what_exceeds_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = nifti(tmp_path / "a.nii")
    monkeypatch.setattr("monai_topo.data.headers.total_memory", lambda: 700)
    with pytest.raises(ValueError, match=r"to fit into the 700 bytes of this machine's memory.* divide the image"):
        check_header(file)


@pytest.mark.parametrize("place", ["../secret.raw", "/etc/hostname"])
def test_voxels_outside_the_folder_of_a_header_are_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.raw").write_bytes(SMALL.tobytes())
    header = nrrd(tmp_path / "in" / "a.nhdr")
    header.write_text(header.read_text().replace("a.raw", place))
    other = metaimage(tmp_path / "in" / "b.mhd")
    other.write_text(other.read_text().replace("b.raw", place))
    for file in (header, other):
        with pytest.raises(ValueError, match=rf"to be in its folder, but got '{place}' in its header"):
            read_image(str(file))


def test_series_of_dicom_files(tmp_path: Path) -> None:
    for number in range(3):
        dicom(tmp_path / f"{number}.dcm", (1, 8, 90))
    check_header(tmp_path)
    dicom(tmp_path / "3.dcm", MANY)
    with pytest.raises(ValueError, match=r"3\.dcm to hold"):
        check_header(tmp_path)
