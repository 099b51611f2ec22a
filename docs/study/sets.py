"""The data of the study: training, tuning and test cases, and what is foreground."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, MaskIntensityd, NormalizeIntensityd, SpatialPadd
from torch import Tensor

from monai_topo.data import FormatReader
from monai_topo.persistence import Border, Connectivity
from monai_topo.transforms import LabelToForegroundd, TubedSkeletond

Split = Literal["train", "tune", "test"]
Case = dict[str, Tensor]
Files = dict[str, str]


@dataclass(frozen=True)
class StudySet:
    """A data set with the settings that all methods share.

    Attributes:
        name: Name of the set, and of its folder of results.
        folder: Folder of the data below `--data`.
        splits: Training, tuning and test cases, as indices into the data list, its training cases first.
        instances: What variation of information and Rand error compare: vessels, or cells between membranes.
        foreground: Argument of `LabelToForeground`.
        connectivity: Connectivity of the foreground.
        crop: Size of the training crops; its length is the number of spatial axes.
        patch: Size of the patches of the topology losses.
        channels: Channels of the images.
        labels: The kind of the labels of TopoMortar for training and tuning; its test labels are accurate.
        border: Border of the patches of the topology losses. Whole images are measured with an open border.
    """

    name: str
    folder: str
    splits: dict[Split, Sequence[int]]
    instances: Literal["foreground", "background"]
    foreground: int | str = ">127"
    connectivity: Connectivity = "full"
    crop: tuple[int, ...] = (128, 128)
    patch: tuple[int, ...] = (64, 64)
    channels: int = 1
    labels: str = ""
    border: Border = "foreground"

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.crop)


_SETS = [
    StudySet(
        "isbi2012",
        "isbi2012",
        {"train": range(12), "tune": range(12, 15), "test": range(15, 20)},
        foreground=0,
        connectivity="face",
        instances="background",
    ),
    StudySet(
        "drive",
        "drive",
        {"train": range(9), "tune": range(9, 12), "test": range(12, 16)},
        instances="foreground",
        channels=3,
    ),
    StudySet(
        "vesselnn",
        "vesselnn",
        {"train": [1, 2], "tune": [0], "test": [3, 4]},
        instances="foreground",
        crop=(64, 64, 16),
        patch=(32, 32, 16),
    ),
    *(
        StudySet(
            f"topomortar_{labels}",
            "topomortar_full",
            {"train": range(50), "tune": range(50, 70), "test": range(70, 120)},
            instances="background",
            channels=3,
            labels=labels,
        )
        for labels in ("accurate", "noisy", "pseudo")
    ),
]
SETS = {study_set.name: study_set for study_set in _SETS}


def load_cases(study_set: StudySet, data: Path, split: Split) -> list[Case]:
    """Read the images, the labels `(1, *spatial)` and the tubed skeletons of the labels of one split."""
    files = list_files(study_set, data / study_set.folder)
    files = [files[i] for i in study_set.splits[split]]
    keys = ["image", "label"] + ["mask"] * ("mask" in files[0])
    read = Compose(
        [
            LoadImaged(keys, reader=FormatReader, image_only=True),
            EnsureChannelFirstd(keys),
            LabelToForegroundd("label", foreground=study_set.foreground),
            NormalizeIntensityd("image", channel_wise=True),
            *([MaskIntensityd("label", mask_key="mask")] if "mask" in keys else []),
            *([TubedSkeletond("label", new_key_prefix="skeleton_of_")] if split == "train" else []),
        ]
    )
    cases = []
    for case in map(read, files):
        case["skeleton"] = case.pop("skeleton_of_label", case["label"])
        tensors = {key: torch.as_tensor(case[key]).as_subclass(Tensor).float() for key in [*keys, "skeleton"]}
        # A stack with fewer slices than a crop is padded with its last slice.
        cases.append(SpatialPadd(list(tensors), study_set.crop, mode="edge")(tensors) if split == "train" else tensors)
    return cases


def list_files(study_set: StudySet, folder: Path) -> list[Files]:
    """List the files of all cases, those for training before those for validation and test."""
    if not study_set.labels:
        datalist = json.loads((folder / "datalist.json").read_text())
        listed = [case for part in ("training", "validation", "test") for case in datalist.get(part, [])]
        return [{key: str(folder / path) for key, path in case.items()} for case in listed]
    return [
        {"image": str(image), "label": str(folder / part / labels / image.name)}
        for part, labels in (("train", study_set.labels), ("val", study_set.labels), ("test", "accurate"))
        for image in sorted((folder / part / "images").iterdir())
    ]


def unknown_set(name: str, data: Path) -> StudySet:
    """Describe any folder with a `datalist.json`: its training cases, and half of the others each to tune and test."""
    file = data / name / "datalist.json"
    if not file.exists():
        raise SystemExit(f"Expected SET to be one of {', '.join(SETS)} or a folder with {file}, but got {name!r}.")
    datalist = json.loads(file.read_text())
    train, others = (len(datalist.get(part, [])) for part in ("training", "validation"))
    tests = len(datalist.get("test", [])) or others - others // 2
    tune = others if datalist.get("test") else others // 2
    read = Compose([LoadImaged("image", reader=FormatReader, image_only=True), EnsureChannelFirstd("image")])
    channels, *size = read({"image": str(file.parent / datalist["training"][0]["image"])})["image"].shape
    ndim = len(size)
    return StudySet(
        name,
        name,
        {"train": range(train), "tune": range(train, train + tune), "test": range(train + tune, train + tune + tests)},
        foreground="nonzero",
        connectivity="full",
        crop=(128, 128) if ndim == 2 else (64, 64, 16),
        patch=(64, 64) if ndim == 2 else (32, 32, 16),
        instances="foreground",
        channels=channels,
    )
