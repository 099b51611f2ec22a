"""Predictions of a trained network on its validation cases, for the choice of a clean-up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import Dataset, MetaTensor
from monai.data.utils import affine_to_spacing
from monai.utils import ImageMetaKey
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo.data.case_files import has_spacing

__all__ = ["PredictedCase", "center_box", "have_different_spacings", "predict_cases"]

#: Likelihood, with the voxel size in its affine, and label, both without a channel axis.
PredictedCase = tuple[MetaTensor, Mask]


def predict_cases(
    dataset: Dataset, predict: Callable[[Any], Any], *, max_voxels: float
) -> tuple[list[PredictedCase], bool]:
    """Predict all cases, and keep of each at most its share of `max_voxels`, at its center.

    Args:
        dataset: The cases.
        predict: Adds the likelihood of a case, `"pred"`, on the grid of its label.
        max_voxels: Number of voxels of all cases together.

    Returns:
        The cases, and whether one was cropped.
    """
    cases: list[PredictedCase] = []
    cropped = False
    for index in range(len(dataset)):
        done = predict(dataset[index])
        likelihood, label = (np.asarray(done[name][0].float().cpu()) for name in ("pred", "label"))
        box = center_box(label.shape, max_voxels / len(dataset))
        cropped |= label[box].size < label.size
        affine = torch.from_numpy(np.diag([*_spacing(done["label"], label.ndim), 1.0]))
        cases.append((MetaTensor(torch.from_numpy(likelihood[box].copy()), affine=affine), label[box] != 0))
    return cases, cropped


def center_box(shape: Sequence[int], max_voxels: float) -> tuple[slice, ...]:
    """Return the center of an image with at most that many voxels; its longest axes are shortened first."""
    longest = max(shape)
    while longest > 1 and math.prod(min(extent, longest) for extent in shape) > max_voxels:
        longest -= 1
    sizes = [min(extent, longest) for extent in shape]
    begins = [(extent - size) // 2 for extent, size in zip(shape, sizes, strict=True)]
    return tuple(slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=True))


def have_different_spacings(cases: Sequence[PredictedCase]) -> bool:
    """Return whether the voxel sizes of the cases differ by more than a thousandth."""
    spacings = [affine_to_spacing(likelihood.affine, r=label.ndim) for likelihood, label in cases]
    return any(not np.allclose(one, spacings[0], rtol=1e-3) for one in spacings)


def _spacing(label: Any, ndim: int) -> NDArray[np.float64]:
    """Return the voxel size of a label in mm; ones if its file has none that can be trusted."""
    file = getattr(label, "meta", {}).get(ImageMetaKey.FILENAME_OR_OBJ)
    if file is None or not has_spacing(str(file)):
        return np.ones(ndim)
    return np.asarray(affine_to_spacing(label.affine, r=ndim), dtype=np.float64)
