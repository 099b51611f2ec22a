"""Random patches around the places where topology is decided, instead of anywhere in the foreground."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal, get_args

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import RandWeightedCrop
from monai.transforms.traits import MultiSampleTrait
from monai.transforms.transform import LazyTransform
from monai.utils import convert_to_tensor, fall_back_tuple, optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import Mask
from monai_topo._utils.validation import check_choice
from monai_topo.masks.skeletons import skeleton
from monai_topo.masks.structure_errors import skeleton_errors
from monai_topo.transforms._base import channel_first
from monai_topo.transforms._dictionary import P, RandomDictionaryTransform

ndimage, _ = optional_import("scipy.ndimage")

__all__ = ["RandCropByTopology", "RandCropByTopologyD", "RandCropByTopologyDict", "RandCropByTopologyd"]

Around = Literal["skeleton", "branch_points", "thin_places", "errors"]


class RandCropByTopology(RandWeightedCrop):
    """Crop random patches around the skeleton, its branch points, thin places or structural errors.

    MONAI's `RandCropByPosNegLabel` centers patches on any voxel of the foreground, so most patches show thick vessels;
    on a skeleton, every vessel counts by its length. This is MONAI's `RandWeightedCrop` with these weights:

    - `"skeleton"`: equal weights on all voxels of the skeleton.
    - `"branch_points"`: equal weights on the voxels of the skeleton with more than two neighbors in it.
    - `"thin_places"`: the skeleton, weighted by the inverse squared distance to the background, in 2D and 3D.
    - `"errors"`: the missing and the spurious parts of a prediction
      (:py:func:`monai_topo.masks.structure_errors.skeleton_errors`).

    All patches lie inside the image. A weight too near the border for a patch center moves to the nearest possible
    center (MONAI drops such weights). If nothing has a weight (an empty label, no branch, no error), all centers are
    equally probable.

    Args:
        spatial_size: Size of a patch in voxels. An axis keeps the size of the image where the value is not positive or
            exceeds it.
        num_samples: Number of patches per image.
        around: One of the above.
        uniform: Share of the patches, from 0 to 1, that are drawn anywhere, so that they include background.
        lazy: Whether to crop lazily, as in MONAI.

    Raises:
        ValueError: If a setting is not one of these; at the call, if the label has more than one channel or is missing,
            or if the prediction is missing for `around="errors"`.

    All draws come from `self.R` in `randomize`. Needs scikit-image and scipy; the cost is that of the skeleton.
    """

    def __init__(
        self,
        spatial_size: Sequence[int] | int,
        num_samples: int = 1,
        *,
        around: Around = "skeleton",
        uniform: float = 0.1,
        lazy: bool = False,
    ) -> None:
        super().__init__(spatial_size, num_samples, None, lazy)
        # MONAI converts a number to a tuple of length one, which it refuses later.
        self.spatial_size = spatial_size  # type: ignore[assignment]
        check_choice("around", around, get_args(Around))
        if not 0 <= uniform <= 1:
            raise ValueError(f"Expected `uniform` to be a share from 0 to 1, but got {uniform!r}.")
        self.around: Around = around
        self.uniform = uniform

    def weights(self, label: NdarrayOrTensor, prediction: NdarrayOrTensor | None = None) -> torch.Tensor:
        """Return the `(1, *spatial)` float64 weights of patch centers for a `(1, *spatial)` label."""
        mask = channel_first(convert_to_tensor(label, track_meta=False))[0] > 0
        if self.around == "errors":
            if prediction is None:
                raise ValueError("Expected a prediction for `around='errors'`, but got none.")
            predicted = channel_first(convert_to_tensor(prediction, track_meta=False), name="prediction")[0] > 0.5
            missing, spurious = skeleton_errors(predicted, mask)
            interest = (missing | spurious).astype(float)
        else:
            interest = _interest(mask, self.around)
        return torch.from_numpy(self._at_centers(interest)[None])

    def _at_centers(self, interest: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move weights to possible centers, and mix in the uniform share."""
        size = fall_back_tuple(self.spatial_size, interest.shape)
        sizes = [min(patch, extent) for patch, extent in zip(size, interest.shape, strict=True)]
        # MONAI's `weighted_patch_samples` crops the map so: from size // 2 on, one center less than possible.
        first = [patch // 2 for patch in sizes]
        last = [
            start + max(extent - patch, 1) - 1
            for start, extent, patch in zip(first, interest.shape, sizes, strict=True)
        ]
        places = np.argwhere(interest > 0)
        weights = np.zeros(interest.shape)
        np.add.at(weights, tuple(np.clip(places, first, last).T), interest[interest > 0])
        allowed = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        even = np.zeros(interest.shape)
        even[allowed] = 1 / even[allowed].size
        return even if not len(places) else (1 - self.uniform) * weights / weights.sum() + self.uniform * even

    def __call__(  # type: ignore[override]
        self,
        img: torch.Tensor,
        label: NdarrayOrTensor | None = None,
        prediction: NdarrayOrTensor | None = None,
        randomize: bool = True,
        lazy: bool | None = None,
    ) -> list[torch.Tensor]:
        """Return the patches of a `(C, *spatial)` image; their centers depend on its `(1, *spatial)` label."""
        if not randomize:
            return list(super().__call__(img, None, False, lazy))
        if label is None:
            raise ValueError("Expected a label to draw the patches by, but got none.")
        return list(super().__call__(img, self.weights(label, prediction), True, lazy))


def _interest(mask: Mask, around: Around) -> NDArray[np.float64]:
    lines = skeleton(mask)
    if around == "branch_points":
        neighbors = ndimage.convolve(lines.astype(np.int32), np.ones((3,) * mask.ndim, dtype=np.int32), mode="constant")
        return np.asarray(lines & (neighbors > 3), dtype=float)
    if around == "thin_places":
        depth = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[(slice(1, -1),) * mask.ndim]
        return np.asarray(lines / np.maximum(depth, 1) ** 2)
    return lines.astype(float)


class _CropOfAllKeys(RandomDictionaryTransform[P], LazyTransform, MultiSampleTrait):
    """Base of `RandCropByTopologyd`.

    The centers are drawn once for all keys. The result is a list of `num_samples` cases; values under other keys are
    copied into each case.

    Args:
        keys: Keys of the arrays to crop.
        label_key: Key of the label.
        prediction_key: Key of the prediction, for `around="errors"`.
        allow_missing_keys: Whether to skip a key that a case does not have, instead of raising a KeyError.
    """

    backend = RandCropByTopology.backend

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str,
        prediction_key: str | None = None,
        allow_missing_keys: bool = False,
        *args: P.args,
        **settings: P.kwargs,
    ) -> None:
        RandomDictionaryTransform.__init__(self, keys, None, allow_missing_keys, *args, **settings)
        LazyTransform.__init__(self, self.transform.lazy)
        if self.transform.around == "errors" and prediction_key is None:
            raise ValueError("Expected `prediction_key` to name the prediction for `around='errors'`, but got None.")
        self.label_key = label_key
        self.prediction_key = prediction_key

    @LazyTransform.lazy.setter  # type: ignore[attr-defined, untyped-decorator]
    def lazy(self, value: bool) -> None:
        """Crop lazily or at once."""
        self._lazy = value
        self.transform.lazy = value

    def randomize(self, weights: NdarrayOrTensor) -> None:
        """Draw the centers with probabilities proportional to the weights."""
        self.transform.randomize(weights)

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> list[dict[Hashable, Any]]:
        """Return the cases; the given dictionary stays as it is."""
        prediction = None if self.prediction_key is None else data[self.prediction_key]
        self.randomize(self.transform.weights(data[self.label_key], prediction))
        keys = list(self.key_iterator(dict(data)))
        rest = {key: value for key, value in data.items() if key not in keys}
        cases: list[dict[Hashable, Any]] = [deepcopy(rest) for _ in range(self.transform.num_samples)]
        lazy = self.lazy if lazy is None else lazy
        for key in keys:
            for case, patch in zip(cases, self.transform(data[key], randomize=False, lazy=lazy), strict=True):
                case[key] = patch
        return cases


RandCropByTopologyd = RandCropByTopologyD = RandCropByTopologyDict = _CropOfAllKeys.of(RandCropByTopology)
