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


@dataclass(frozen=True)
class StudySet:
    """A data set with the settings that all methods share."""

    folder: str
    splits: dict[Split, Sequence[int]]  # indices into the datalist, training cases before validation cases
    foreground: int | str  # argument of `LabelToForeground`
    connectivity: Connectivity
    crop: tuple[int, ...]
    patch: tuple[int, ...]  # size for the topology losses and the patch-wise Betti errors
    instances: Literal["foreground", "background"]  # compared by variation of information: vessels, or cells
    training_labels: str = "accurate"  # TopoMortar also has noisy ones; test labels are always accurate
    border: Border = "foreground"  # for patches; whole images are scored with an open border

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.crop)


SETS = {
    "isbi2012": StudySet(
        "isbi2012",
        {"train": range(12), "tune": range(12, 15), "test": range(15, 20)},
        foreground=0,
        connectivity="face",
        crop=(128, 128),
        patch=(64, 64),
        instances="background",
    ),
    "drive": StudySet(
        "drive",
        {"train": range(9), "tune": range(9, 12), "test": range(12, 16)},
        foreground=">127",
        connectivity="full",
        crop=(128, 128),
        patch=(64, 64),
        instances="foreground",
    ),
    "vesselnn": StudySet(
        "vesselnn",
        {"train": [1, 2, 3], "tune": [0], "test": [4]},
        foreground=">127",
        connectivity="full",
        crop=(64, 64, 16),
        patch=(32, 32, 16),
        instances="foreground",
    ),
    **{
        f"topomortar_{labels}": StudySet(
            "topomortar",
            {"train": range(5), "tune": range(5, 7), "test": range(7, 10)},
            foreground=">127",
            connectivity="full",
            crop=(128, 128),
            patch=(64, 64),
            instances="background",
            training_labels=labels,
        )
        for labels in ("accurate", "noisy")
    },
}


def load_cases(study_set: StudySet, data: Path, split: Split) -> list[Case]:
    """Read the images, the labels `(1, *spatial)` and the tubed skeletons of the labels of one split."""
    files = _files(study_set, data / study_set.folder, split)
    keys = ["image", "label"] + ["mask"] * ("mask" in files[0])
    read = Compose(
        [
            LoadImaged(keys, reader=FormatReader, image_only=True),
            EnsureChannelFirstd(keys),
            LabelToForegroundd("label", foreground=study_set.foreground),
            NormalizeIntensityd("image", channel_wise=True),
            *([MaskIntensityd("label", mask_key="mask")] if "mask" in keys else []),
            TubedSkeletond("label", new_key_prefix="skeleton_of_"),
        ]
    )
    cases = []
    for case in map(read, files):
        tensors = {key: torch.as_tensor(case[key]).as_subclass(Tensor).float() for key in keys}
        tensors["skeleton"] = torch.as_tensor(case["skeleton_of_label"]).as_subclass(Tensor).float()
        # A stack with fewer slices than a crop is padded with its last slice.
        cases.append(SpatialPadd(list(tensors), study_set.crop, mode="edge")(tensors) if split == "train" else tensors)
    return cases


def _files(study_set: StudySet, folder: Path, split: Split) -> list[dict[str, str]]:
    if study_set.folder == "topomortar":
        labels = "accurate" if split == "test" else study_set.training_labels
        images = sorted((folder / "train" / "images").iterdir())
        files = [{"image": str(image), "label": str(folder / "train" / labels / image.name)} for image in images]
    else:
        datalist = json.loads((folder / "datalist.json").read_text())
        listed = datalist["training"] + datalist["validation"]
        files = [{key: str(folder / path) for key, path in case.items()} for case in listed]
    return [files[i] for i in study_set.splits[split]]
