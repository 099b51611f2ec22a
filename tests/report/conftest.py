"""Folders of nnU-Net that several files of tests read."""

from __future__ import annotations

import pytest
from nnunet_reports import PREDICTED, SHAPE, TRUE, write_dataset
from report_cases import ladder, save_volume


@pytest.fixture
def raw(tmp_path):
    """Two training cases and a test case of `nnUNet_raw`, with two channels each."""
    raw = tmp_path / "raw" / "Dataset001_Vessels"
    write_dataset(raw)
    for name, split in (("a_001", "Tr"), ("b_002", "Tr"), ("c_003", "Ts")):
        save_volume(raw / f"labels{split}" / f"{name}.nii.gz", TRUE)
        for channel in (0, 1):
            save_volume(raw / f"images{split}" / f"{name}_{channel:04d}.nii.gz", ladder(SHAPE) + channel)
    return raw


@pytest.fixture
def predictions(tmp_path):
    """The folder of `nnUNetv2_predict`: a wrong and a perfect case."""
    folder = tmp_path / "predictions"
    write_dataset(folder)
    (folder / "predict_from_raw_data_args.json").write_text("{}")
    save_volume(folder / "a_001.nii.gz", PREDICTED)
    save_volume(folder / "b_002.nii.gz", TRUE)
    return folder
