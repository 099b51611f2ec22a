"""Random topological errors: in a label, to measure their effect; in an image, to train a network against them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms.transform import RandomizableTransform
from monai.utils import TransformBackends, convert_to_tensor, optional_import
from numpy.typing import NDArray

from monai_topo._utils.typing import Array, Connectivity, Mask
from monai_topo._utils.validation import check_at_least, check_choice, check_connectivity
from monai_topo.transforms._base import as_float, channel_first, with_metadata_of
from monai_topo.transforms._dictionary import P, RandomDictionaryTransform
from monai_topo.transforms._error_sampling import ERROR_KINDS, ErrorSettings, TopologyError, sample_errors

ndimage, _ = optional_import("scipy.ndimage")

__all__ = ["RandTopologyError", "RandTopologyErrorD", "RandTopologyErrorDict", "RandTopologyErrord"]

Mode = Literal["label", "image"]


class RandTopologyError(RandomizableTransform):
    """Break a branch, bridge a gap, punch or fill a hole, or add a speck, at random places of a label.

    Every error is local and changes exactly one Betti number of the label, by one, which is verified for each error:

    - `"break"`: cut through a branch at its skeleton: one more component or one loop less.
    - `"bridge"`: join the two sides of a gap of at most `reach`: one component less or one more loop.
    - `"hole"`: punch a hole, in 3D a cavity, where the foreground is wide enough.
    - `"fill"`: fill a hole (in 3D a cavity) of at most `reach` along every axis.
    - `"speck"`: add a component in the background.

    Mode `"label"` changes the label itself, for robustness studies and for tests of metrics. Mode `"image"` keeps the
    label and changes the image at the same places: a break fades to the background around it, a bridge gets the
    intensity of the foreground around it, with noise of the same strength. This trains a network to bridge gaps and to
    distrust bridges, after CoLeTra (Valverde et al., "Disconnect to connect: a data augmentation method for improving
    topology accuracy in image segmentation", arXiv 2503.05541). There a network inpaints the structure; here noise with
    the median and the spread of the surroundings does, without a model.

    Args:
        prob: Probability of any change.
        errors: Kinds to draw from; a kind that is named twice is drawn twice as often.
        num_errors: Least and greatest number of errors, or one number. An error without a possible place is omitted.
        radius: Least and greatest radius in voxels of a hole, of a speck, of a bridge (half its width), and of the cut
            of a break beyond the radius of the branch.
        reach: Greatest length in voxels of a bridge and of a hole to fill.
        mode: `"label"` or `"image"`.
        contrast: In mode `"image"`, least and greatest strength: 0 changes nothing, 1 replaces the image there.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.

    Raises:
        ValueError: If a setting is not one of these; at the call, if label and image differ in shape, if the label has
            more than one channel, or if it is missing in mode `"image"`.

    All draws come from `self.R` in `randomize`. The `meta["topology_errors"]` of a MetaTensor lists the errors, as JSON
    text (lists of unequal length cannot be collated), with one entry per error: `{"error", "at" (its middle voxel),
    "voxels" (changed in the label), "betti_change"}`. New foreground gets the value of the nearest foreground, 1 in an
    empty label. Needs scikit-image and scipy. The Betti numbers of the whole label are computed up to 12 times per
    error.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it

    def __init__(
        self,
        *,
        prob: float = 0.1,
        errors: Sequence[str] = ERROR_KINDS,
        num_errors: int | Sequence[int] = (1, 3),
        radius: float | Sequence[float] = (1.0, 2.0),
        reach: float = 12.0,
        mode: Mode = "label",
        contrast: float | Sequence[float] = (0.7, 1.0),
        connectivity: Connectivity = "full",
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        kinds = (errors,) if isinstance(errors, str) else tuple(errors)
        if not kinds:
            raise ValueError(f"Expected `errors` to name at least one of {', '.join(ERROR_KINDS)}, but got none.")
        for kind in kinds:
            check_choice("errors", kind, ERROR_KINDS)
        check_choice("mode", mode, get_args(Mode))
        check_connectivity(connectivity)
        self.num_errors = _pair("num_errors", num_errors)
        self.contrast = _pair("contrast", contrast)
        if self.contrast[1] > 1:
            raise ValueError(f"Expected `contrast` to be at most 1, but got {contrast!r}.")
        self.mode = mode
        self.settings = ErrorSettings(kinds, _pair("radius", radius), check_at_least("reach", reach, 1.0), connectivity)
        self.planned: list[TopologyError] = []
        self.strengths: list[float] = []
        self.noise_seed = 0

    def randomize(self, label: Array) -> None:
        """Draw the errors for a `(1, *spatial)` label."""
        super().randomize(None)
        self.planned = []
        if self._do_transform:
            number = self.R.randint(int(self.num_errors[0]), int(self.num_errors[1]) + 1)
            self.planned = sample_errors(label[0] != 0, number, self.settings, self.R)
        self.strengths = [self.R.uniform(*self.contrast) for _ in self.planned]
        self.noise_seed = self.R.randint(2**31)

    def __call__(
        self, img: NdarrayOrTensor, label: NdarrayOrTensor | None = None, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Change a `(1, *spatial)` label, or a `(C, *spatial)` image with the help of its `(1, *spatial)` label."""
        if label is None and self.mode == "image":
            raise ValueError("Expected a label in addition to the image in mode 'image', but got none.")
        tensor = convert_to_tensor(img, track_meta=get_track_meta())
        array = channel_first(tensor, name="img", one_channel=self.mode == "label")
        true = array if label is None else channel_first(convert_to_tensor(label, track_meta=False))
        if array.shape[1:] != true.shape[1:]:
            raise ValueError(
                f"Expected `img` and `label` to have one spatial shape, but got {array.shape} and {true.shape}."
            )
        if randomize:
            self.randomize(true)
        changed = self._change_label(array) if self.mode == "label" else self._paint(as_float(array), true[0] != 0)
        result = with_metadata_of(tensor, changed)
        if isinstance(result, MetaTensor):
            result.meta["topology_errors"] = self.errors_as_json()
        return result

    def errors_as_json(self) -> str:
        """Return the errors of the last call, as JSON text."""
        return json.dumps([error.to_dict() for error in self.planned])

    def _change_label(self, array: Array) -> Array:
        label: Array = array[0].copy()
        for error in self.planned:
            where = tuple(error.voxels.T)
            if not error.adds:
                label[where] = 0
            elif (label != 0).any():
                nearest = ndimage.distance_transform_edt(label == 0, return_distances=False, return_indices=True)
                label[where] = label[tuple(nearest[(slice(None), *where)])]
            else:
                label[where] = 1
        return label[None]

    def _paint(self, image: Array, mask: Mask) -> Array:
        image = image.copy()
        noise = np.random.RandomState(self.noise_seed)
        mask = mask.copy()
        for error, strength in zip(self.planned, self.strengths, strict=True):
            box, weight, around = _brush(error, mask)
            for channel in image:
                patch = channel[box]
                middle = np.median(patch[around])
                # 1.4826 median absolute deviations: a standard deviation that ignores blurred edges and bright specks.
                spread = 1.4826 * np.median(np.abs(patch[around] - middle))
                painted = noise.normal(middle, spread, patch.shape)
                patch += (strength * weight * (painted - patch)).astype(patch.dtype)
            mask[tuple(error.voxels.T)] = error.adds
        return image


def _brush(error: TopologyError, mask: Mask) -> tuple[tuple[slice, ...], NDArray[np.float64], Mask]:
    """Return the box to paint an error in, the weight of the paint, and the voxels that give its statistics."""
    margin = 5
    low, high = error.voxels.min(axis=0) - margin, error.voxels.max(axis=0) + margin + 1
    box = tuple(slice(max(int(a), 0), int(b)) for a, b in zip(low, high, strict=True))
    part = np.zeros(mask.shape, dtype=bool)
    part[tuple(error.voxels.T)] = True
    region, inside = part[box], mask[box]
    if not error.adds:
        # The blurred edge of the removed part is painted too, but no other foreground.
        region = ndimage.binary_dilation(region, iterations=2) & ~(inside & ~region)
    weight = np.where(inside & ~part[box], 0.0, ndimage.gaussian_filter(region.astype(float), 0.7))
    around = (inside if error.adds else ~inside) & ~region
    if not around.any():  # the first speck of an image has no foreground to take statistics from
        around = ~region if not region.all() else region
    return box, weight, around


def _pair(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    pair = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if len(pair) != 2 or not 0 <= pair[0] <= pair[1] < float("inf"):
        raise ValueError(
            f"Expected `{name}` to be a number of at least 0, or two, the lesser first, but got {value!r}."
        )
    return pair[0], pair[1]


class _SameErrorsForAllKeys(RandomDictionaryTransform[P]):
    """Base of `RandTopologyErrord`.

    The errors are drawn once, and are the same for all keys.

    Args:
        keys: Keys of labels (mode `"label"`) or of images (mode `"image"`).
        label_key: Key of the label for which the errors are drawn. None, in mode `"label"` only: the first of `keys`.
        errors_key: Key under which the errors are listed, as JSON text; None lists them in the metadata only.
        new_key_prefix: Prefix of the key of each result; None replaces the array.
        allow_missing_keys: Whether to skip a key that a case does not have, instead of raising a KeyError.
    """

    backend = RandTopologyError.backend

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str | None = None,
        errors_key: str | None = "topology_errors",
        new_key_prefix: str | None = None,
        allow_missing_keys: bool = False,
        *args: P.args,
        **settings: P.kwargs,
    ) -> None:
        super().__init__(keys, new_key_prefix, allow_missing_keys, *args, **settings)
        if self.transform.mode == "image" and label_key is None:
            raise ValueError("Expected `label_key` to name the label in mode 'image', but got None.")
        self.label_key = label_key
        self.errors_key = errors_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with its errors; the given dictionary stays as it is."""
        case = dict(data)
        keys = list(self.key_iterator(case))
        if not keys:
            return case
        label = case[keys[0] if self.label_key is None else self.label_key]
        self.transform.randomize(channel_first(convert_to_tensor(label, track_meta=False)))
        for key in keys:
            image_label = label if self.transform.mode == "image" else None
            case[self.result_key(key)] = self.transform(data[key], image_label, randomize=False)
        if self.errors_key is not None:
            case[self.errors_key] = self.transform.errors_as_json()
        return case


RandTopologyErrord = RandTopologyErrorD = RandTopologyErrorDict = _SameErrorsForAllKeys.of(RandTopologyError)
