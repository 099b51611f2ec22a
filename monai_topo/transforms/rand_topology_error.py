"""Random topological errors: in a label, to see what they do; in an image, to learn to see through them."""

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

from monai_topo._utils.typing import Array, Connectivity
from monai_topo._utils.validation import check_at_least, check_choice
from monai_topo.transforms._base import channel_first, floats, with_metadata_of
from monai_topo.transforms._dictionary import P, RandomDictionaryTransform
from monai_topo.transforms._error_sampling import ERROR_KINDS, ErrorSettings, TopologyError, sample_errors

ndimage, _ = optional_import("scipy.ndimage")

__all__ = ["RandTopologyError", "RandTopologyErrorD", "RandTopologyErrorDict", "RandTopologyErrord"]

Mode = Literal["label", "image"]


class RandTopologyError(RandomizableTransform):
    """Break a branch, bridge two, punch a hole, fill one, or add a speck, at random places of a label.

    Every error is local, and changes exactly one Betti number of the label, by one; that is counted before it is taken:

    - `"break"`: cut a branch through at its skeleton: one component more or one loop less.
    - `"bridge"`: join two sides of a gap no wider than `reach`: one component less or one loop more.
    - `"hole"`: punch a hole, in 3D a cavity, where the foreground is wide enough.
    - `"fill"`: fill a hole (cavity) no longer than `reach` along any axis.
    - `"speck"`: add a component in the background.

    In mode `"label"` the label itself is changed: for robustness studies, and for tests of metrics. In mode `"image"`
    the label stays and the image changes there: a break's place fades to the background around it, a bridge's place
    lights up as the foreground around it, with noise as strong as around. That trains a network to bridge gaps and
    to distrust bridges, after CoLeTra (Valverde et al., "Disconnect to connect: a data augmentation method for
    improving topology accuracy in image segmentation", arXiv 2503.05541), where a network paints over the structure;
    here noise of the median and spread around does, which needs no model.

    Args:
        prob: probability that anything is done.
        errors: kinds to draw from, each as often as it is named.
        num_errors: least and greatest number of errors, or one number. A kind without a place is left out.
        radius: least and greatest radius in voxels: of a hole, of a speck, of half a bridge's width, and of what a
            break cuts beyond the branch's own radius.
        reach: greatest length of a bridge and of a hole that is filled, in voxels.
        mode: `"label"` or `"image"`.
        contrast: in mode `"image"`, least and greatest strength: 0 changes nothing, 1 leaves no trace.
        connectivity: of the foreground, `"full"` or `"face"`.

    Raises:
        ValueError: if a setting is none of these; at the call if label and image differ in shape, the label has more
            than one channel, or none is given in mode `"image"`.

    All draws come from `self.R` in `randomize`. What was done stands in a MetaTensor's `meta["topology_errors"]`, JSON
    text (lists of unequal length could not be collated): one entry an error, `{"error", "at" (its middle voxel),
    "voxels" (changed in the label), "betti_change"}`. New foreground gets the value of the nearest one, 1 in an empty
    label. Needs scikit-image and scipy; Betti numbers of the whole label are counted up to 12 times an error.
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
        check_choice("connectivity", connectivity, get_args(Connectivity))
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
        """Change a `(1, *spatial)` label, or a `(C, *spatial)` image where its `(1, *spatial)` label says."""
        if label is None and self.mode == "image":
            raise ValueError("Expected a label beside the image in mode 'image', but got none.")
        tensor = convert_to_tensor(img, track_meta=get_track_meta())
        array = channel_first(tensor, name="img", one_channel=self.mode == "label")
        true = array if label is None else channel_first(convert_to_tensor(label, track_meta=False))
        if array.shape[1:] != true.shape[1:]:
            raise ValueError(
                f"Expected `img` and `label` to have one spatial shape, but got {array.shape} and {true.shape}."
            )
        if randomize:
            self.randomize(true)
        changed = self._corrupted(array) if self.mode == "label" else self._painted(floats(array), true[0] != 0)
        result = with_metadata_of(tensor, changed)
        if isinstance(result, MetaTensor):
            result.meta["topology_errors"] = self.errors_as_json()
        return result

    def errors_as_json(self) -> str:
        """Return what the last call did, as JSON text."""
        return json.dumps([error.told() for error in self.planned])

    def _corrupted(self, array: Array) -> Array:
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

    def _painted(self, image: Array, mask: NDArray[np.bool_]) -> Array:
        image = image.copy()
        noise = np.random.RandomState(self.noise_seed)
        mask = mask.copy()
        for error, strength in zip(self.planned, self.strengths, strict=True):
            box, weight, around = _brush(error, mask)
            for channel in image:
                patch = channel[box]
                middle = np.median(patch[around])
                # 1.48 median deviations are a standard deviation, but blurred rims and bright specks do not count.
                spread = 1.4826 * np.median(np.abs(patch[around] - middle))
                painted = noise.normal(middle, spread, patch.shape)
                patch += (strength * weight * (painted - patch)).astype(patch.dtype)
            mask[tuple(error.voxels.T)] = error.adds
        return image


def _brush(
    error: TopologyError, mask: NDArray[np.bool_]
) -> tuple[tuple[slice, ...], NDArray[np.float64], NDArray[np.bool_]]:
    """The box an error is painted in, the weight of the paint there, and the voxels it is mixed from."""
    margin = 5
    low, high = error.voxels.min(axis=0) - margin, error.voxels.max(axis=0) + margin + 1
    box = tuple(slice(max(int(a), 0), int(b)) for a, b in zip(low, high, strict=True))
    part = np.zeros(mask.shape, dtype=bool)
    part[tuple(error.voxels.T)] = True
    region, inside = part[box], mask[box]
    if not error.adds:
        # The blurred rim of what vanishes goes too, but no other foreground.
        region = ndimage.binary_dilation(region, iterations=2) & ~(inside & ~region)
    weight = np.where(inside & ~part[box], 0.0, ndimage.gaussian_filter(region.astype(float), 0.7))
    around = (inside if error.adds else ~inside) & ~region
    if not around.any():  # the first speck of an image has no foreground to be mixed from
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
    """Base of :py:class:`RandTopologyErrord`: draw the errors once and make them in all keys.

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
