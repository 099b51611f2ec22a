"""Nothing about a patient is in what is written or printed, except for what the files are called."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
from bundle_runs import VESSELS, started, succeeded
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from monai_topo.bundle import AtomicSaveImaged
from monai_topo.data import FormatReader
from monai_topo.data.case_files import read_image

SECRETS = {"0010|0010": "DOE^JANE", "0010|0020": "MRN4711007", "0010|0030": "19610203", "0008|0090": "HOUSE^GREGORY"}
SHAPE = (36, 40, 44)


def save_series(folder: Path, volume: np.ndarray[Any, Any]) -> None:
    """Save a volume as a DICOM series with the name of a patient."""
    folder.mkdir(parents=True)
    for number, plane in enumerate(volume):
        image = itk.image_from_array(np.ascontiguousarray(plane[None]))
        image.SetOrigin([0, 0, float(number)])
        tags = image.GetMetaDataDictionary()
        for key, value in {**SECRETS, "0020|000e": "1.2.826.1", "0020|0013": str(number), "0018|0050": "1"}.items():
            tags[key] = value
        itk.imwrite(image, str(folder / f"{number:02d}.dcm"), imageio=itk.GDCMImageIO.New(KeepOriginalUID=True))


def everything_in(folder: Path) -> bytes:
    """Return the content of all files, also of compressed ones, and their names."""
    content = b""
    for file in folder.rglob("*"):
        content += str(file).encode()
        if file.is_file():
            data = file.read_bytes()
            content += data + (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b"")
    return content


def assert_no_secret(content: bytes, where: str) -> None:
    for secret in SECRETS.values():
        for text in (secret, secret.split("^")[0], secret.lower()):
            assert text.encode() not in content, f"{text} in {where}"


def test_the_reader_keeps_what_is_about_the_image_only(tmp_path: Path) -> None:
    save_series(tmp_path / "series", np.zeros((3, 8, 9), dtype=np.uint8))
    file = str(tmp_path / "series" / "00.dcm")
    raw = Path(file).read_bytes()
    assert any(secret.encode() in raw for secret in SECRETS.values()), "the file has them"
    reader = FormatReader()
    _, meta = reader.get_data(reader.read(file))
    assert_no_secret(repr(meta).encode(), "the metadata")
    assert meta["0018|0050"].strip() == "1"
    assert "0028|0010" in meta
    assert_no_secret(repr(read_image(str(tmp_path / "series")).meta).encode(), "the metadata of the series")


def save_named(path: Path) -> None:
    """Save an image whose header names a patient, in a field or comment of the format."""
    planes = np.zeros((6, 8, 9), dtype=np.uint8)
    planes[2:4, 3:6, 2:7] = 200
    secret = SECRETS["0010|0010"]
    if path.suffix == ".nii":
        image = nibabel.Nifti1Image(planes, np.eye(4))
        for field in ("descrip", "db_name", "aux_file", "intent_name"):
            image.header[field] = secret.encode()
        nibabel.save(image, path)
    elif path.suffix == ".png":
        comment = PngInfo()
        comment.add_text("Patient", secret)
        Image.fromarray(planes[2]).save(path, pnginfo=comment)
    elif path.suffix == ".tif":
        Image.fromarray(planes[2]).save(path, description=secret)
    else:
        named = itk.image_from_array(planes)
        named.GetMetaDataDictionary()["PatientName"] = secret
        itk.imwrite(named, str(path))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("saved", [".nii.gz", ".nrrd", ".mha", ".tif", ".png"])
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".tif", ".png"])
def test_headers_of_all_formats_give_no_name_to_what_is_saved(suffix: str, saved: str, tmp_path: Path) -> None:
    file = tmp_path / f"case{suffix}"
    save_named(file)
    assert SECRETS["0010|0010"].encode() in file.read_bytes(), "the file has it"
    image = read_image(str(file))
    if saved in (".tif", ".png"):
        image = image[..., 3] if image.ndim == 4 else image
    settings = {"output_dir": str(tmp_path / "out"), "separate_folder": False, "output_dtype": np.uint8}
    AtomicSaveImaged(keys="pred", output_ext=saved, print_log=False, **settings)({"pred": image})
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"case_trans{saved}"]
    assert_no_secret(everything_in(tmp_path / "out"), "what was saved")


@pytest.mark.slow
def test_training_inference_and_reports_of_dicom_files_name_nobody(tmp_path: Path) -> None:
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[10:14, 5:35, 20:24] = label[10:30, 18:22, 20:24] = 1
    noise = np.random.default_rng(0).integers(0, 60, SHAPE)
    home = tmp_path / "home"
    for case in ("a", "b"):
        save_series(home / "data" / "images" / case, (100 * label + noise).astype(np.uint8))
        save_series(home / "data" / "labels" / case, label)
    cases = [{"image": f"images/{case}", "label": f"labels/{case}"} for case in "ab"]
    (home / "data" / "datalist.json").write_text(json.dumps({"training": cases[:1], "validation": cases[1:]}))
    (home / "data" / "images" / "c").mkdir()
    (home / "data" / "images" / "c" / "00.dcm").write_bytes(
        (home / "data" / "images" / "a" / "00.dcm").read_bytes()[:-200]
    )
    tiny = {**VESSELS.tiny, "patch_size": [32, 32, 32], "topology_patch_size": 16, "patches_per_image": 1}
    run = VESSELS.run(["train.json"], home, dataset_dir="data", run_dir="run", epochs=1, warmup_epochs=0, **tiny)
    printed = [succeeded(run).stdout, run.stderr]
    network = {name: tiny[name] for name in ("channels", "strides", "connectivity", "border", "patch_size")}
    places = {"dataset_dir": "data", "images": "images/*", "output_dir": "masks", "ckpt_path": "run/model.pt"}
    run = VESSELS.run(["inference.json"], home, **places, **network)
    assert run.returncode == 1
    assert "Images without a prediction (1 of 3)" in run.stdout, run.stdout + run.stderr
    printed += [run.stdout, run.stderr]
    for command in (
        ["report", "masks/images/b_mask.nii.gz", "data/datalist.json", "--out", "report.html"],
        ["labels", "data/datalist.json", "--out", "labels.html"],
    ):
        run = started([sys.executable, "-m", "monai_topo", *command], home)
        assert run.returncode == 0, run.stdout + run.stderr
        printed += [run.stdout, run.stderr]
    assert_no_secret("".join(printed).encode(), "what was printed")
    inputs = home / "data"
    inputs.rename(tmp_path / "data")
    assert {"model.pt", "report.md", "log.txt"} <= {file.name for file in (home / "run").iterdir()}
    assert_no_secret(everything_in(home), "what was written")
