"""Labels of all conventions through the transforms: values, metadata, names of files, no mutation."""

from __future__ import annotations

import pickle
from pathlib import Path

import monai.data
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged
from PIL import Image

from monai_topo.transforms import (
    LabelToForeground,
    LabelToForegroundD,
    LabelToForegroundd,
    LabelToForegroundDict,
)

INVERTED = np.array([[[0, 255, 255, 0], [0, 0, 255, 255], [255, 255, 255, 0]]], dtype=np.uint8)
MEMBRANE = [[[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 1]]]


@pytest.mark.parametrize(
    ("foreground", "label", "expected"),
    [
        ("nonzero", 255 - INVERTED, MEMBRANE),
        (0, INVERTED, MEMBRANE),
        ("0", INVERTED, MEMBRANE),
        ("<127", INVERTED.astype(np.float32), MEMBRANE),
        ("boundary", np.array([[[4, 4, 4, 9, 9, 9]] * 2], dtype=np.uint16), [[[0, 0, 1, 1, 0, 0]] * 2]),
        ("nonzero", np.array([[[False, True, True]]]), [[[0, 1, 1]]]),
    ],
)
def test_each_convention_gives_a_float_mask_of_zeros_and_ones(
    foreground: int | str, label: np.ndarray, expected: list[object]
) -> None:
    mask = LabelToForeground(foreground)(label)
    assert mask.dtype == torch.float32
    assert mask.tolist() == expected


def test_volumes_keep_their_shape_even_when_thin() -> None:
    volume = np.zeros((1, 3, 7, 6), dtype=np.uint8)
    volume[0, 1, 2:5, 3] = 255
    mask = LabelToForeground(dtype=np.uint8)(volume)
    assert mask.shape == volume.shape
    assert mask.dtype == torch.uint8
    assert mask.sum() == 3


def test_metadata_survives_and_the_input_is_not_modified() -> None:
    label = MetaTensor(torch.from_numpy(INVERTED.copy()), meta={"filename_or_obj": "labels/07.png"})
    mask = LabelToForeground(0)(label)
    assert isinstance(mask, MetaTensor)
    assert mask.meta["filename_or_obj"] == "labels/07.png"
    assert label.numpy().tolist() == INVERTED.tolist()
    assert mask.data_ptr() != label.data_ptr()


def test_a_plain_tensor_comes_back_while_metadata_is_not_tracked() -> None:
    monai.data.set_track_meta(False)
    try:
        assert type(LabelToForeground(0)(torch.from_numpy(INVERTED.copy()))) is torch.Tensor
    finally:
        monai.data.set_track_meta(True)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    Image.fromarray(np.arange(42, dtype=np.uint8).reshape(6, 7)).save(tmp_path / "seven.png")
    load = LoadImaged("label", image_only=True, ensure_channel_first=True)
    case = load({"label": str(tmp_path / "seven.png")})
    with pytest.raises(ValueError, match=r"seven\.png: Expected `label` to hold at most one value other than 0"):
        LabelToForegroundd("label")(case)


@pytest.mark.parametrize("shape", [(5, 7), (2, 5, 7), (1, 2, 3, 4, 5)])
def test_a_label_without_its_one_channel_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Expected `label` to be channel first with one channel.*but got shape"):
        LabelToForeground()(np.zeros(shape, dtype=np.uint8))


def test_an_impossible_convention_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"Expected `foreground` to be 'nonzero'.*but got 'membrane'"):
        LabelToForegroundd("label", foreground="membrane")


def test_the_dictionary_version_changes_its_keys_only() -> None:
    case = {"label": INVERTED, "image": INVERTED, "name": "07"}
    changed = LabelToForegroundd("label", foreground=0)(case)
    assert changed["label"].tolist() == MEMBRANE
    assert changed["image"] is INVERTED
    assert case["label"] is INVERTED
    lenient = LabelToForegroundd(["label", "other"], foreground=0, allow_missing_keys=True)
    assert lenient(case)["label"].tolist() == MEMBRANE
    with pytest.raises(KeyError, match="other"):
        LabelToForegroundd(["label", "other"], foreground=0)(case)


def test_aliases_are_the_dictionary_version() -> None:
    assert LabelToForegroundD is LabelToForegroundDict is LabelToForegroundd


def test_transforms_survive_pickling() -> None:
    transform = pickle.loads(pickle.dumps(Compose([LabelToForegroundd("label", foreground=0)])))
    assert transform({"label": INVERTED})["label"].tolist() == MEMBRANE
