"""Where topology is decided: critical voxels of a likelihood, and the wrong structures of a prediction."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms.transform import Transform
from monai.utils import TransformBackends, convert_to_tensor, optional_import

from monai_topo._utils.typing import Array, Border, Connectivity, Filtration
from monai_topo._utils.validation import check_at_least, check_choice, check_topology_settings
from monai_topo.masks.structure_errors import classify_errors
from monai_topo.persistence.essential import essential_class
from monai_topo.persistence.pairs import persistence_pairs
from monai_topo.transforms._base import (
    ArrayTransform,
    channel_first,
    file_named,
    floats,
    with_metadata_of,
)
from monai_topo.transforms._dictionary import DictionaryTransform, P

gaussian_filter, _ = optional_import("scipy.ndimage", name="gaussian_filter")

__all__ = [
    "CriticalVoxelMap",
    "CriticalVoxelMapD",
    "CriticalVoxelMapDict",
    "CriticalVoxelMapd",
    "TopologyErrorMap",
    "TopologyErrorMapD",
    "TopologyErrorMapDict",
    "TopologyErrorMapd",
]


class CriticalVoxelMap(ArrayTransform):
    """A heat map of the voxels that topology hangs on, weighted by persistence.

    Two channels for each dimension and channel of the image, births and deaths: `(C * len(dims) * 2, *spatial)`
    float32, the last of these three running fastest. A voxel holds the persistence of its pairs, summed. The component
    that never ends has a birth and no death; it weighs the image's range.

    Args:
        sigma: standard deviation in voxels of a Gaussian that spreads each voxel, its sum kept; 0 spreads none.
        min_persistence: only pairs more persistent than this.
        dims: dimensions, in this order; None is all of the image's.
        filtration: `"superlevel"` for a likelihood of the foreground, or `"sublevel"`.
        connectivity: of the features, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.

    Raises:
        ValueError: if a setting is none of these; at the call for an image that is not channel first or not finite.

    Deterministic; costs what :py:func:`monai_topo.persistence_pairs` costs. Needs scipy where `sigma` is not 0.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import CriticalVoxelMap
        >>> CriticalVoxelMap(dims=[0])(np.array([[[4, 1, 3]]])).tolist()
        [[[3.0, 0.0, 2.0]], [[0.0, 2.0, 0.0]]]
    """

    def __init__(
        self,
        *,
        sigma: float = 0.0,
        min_persistence: float = 0.0,
        dims: Sequence[int] | None = None,
        filtration: Filtration = "superlevel",
        connectivity: Connectivity = "full",
        border: Border = "open",
    ) -> None:
        check_topology_settings(connectivity=connectivity, border=border, filtration=filtration)
        self.sigma = check_at_least("sigma", sigma)
        self.min_persistence = check_at_least("min_persistence", min_persistence)
        self.dims = None if dims is None else tuple(dims)
        self.filtration: Filtration = filtration
        self.connectivity: Connectivity = connectivity
        self.border: Border = border

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the heat map."""
        images = torch.from_numpy(np.ascontiguousarray(floats(array)))
        dims = tuple(range(array.ndim - 1)) if self.dims is None else self.dims
        pairs = persistence_pairs(
            images,
            filtration=self.filtration,
            connectivity=self.connectivity,
            border=self.border,
            dims=dims,
            min_persistence=self.min_persistence,
        )
        heat = np.zeros((len(images), len(dims), 2, pairs.num_voxels), dtype=np.float32)
        persistence = pairs.values(images).diff(dim=1)[:, 0].abs().numpy()
        image = pairs.image.numpy()
        for place, dim in enumerate(dims):
            of_dim = (pairs.dim == dim).numpy()
            for end, voxels in enumerate((pairs.birth, pairs.death)):
                np.add.at(heat[:, place, end], (image[of_dim], voxels.numpy()[of_dim]), persistence[of_dim])
            if dim == 0 and self.border == "open":
                essential = essential_class(images, filtration=self.filtration, until="last")
                span = essential.values.diff(dim=1)[:, 0].abs().numpy()
                heat[np.arange(len(array)), place, 0, essential.voxel.numpy()] += span * (span > self.min_persistence)
        maps = heat.reshape(-1, *array.shape[1:])
        if self.sigma > 0:
            # Zero outside: what lies near the border loses the part of its bell that is beyond.
            maps = np.stack([gaussian_filter(each, self.sigma, mode="constant") for each in maps])
        return maps


class TopologyErrorMap(Transform):
    """Draw where a prediction's structures are missing, spurious, broken or bridged, against a label.

    `(1, *spatial)` uint8: 0 where nothing differs in structure, else the number of the kind of error; which, and how it
    is judged, stands at :py:func:`monai_topo.masks.structure_errors.classify_errors`, the names in
    :py:data:`monai_topo.masks.structure_errors.STRUCTURE_ERRORS`. In one line: 1 missing component, 2 break, 3 missing end,
    4 spurious component, 5 bridge, 6 spurious end, 7 missing hole, 8 spurious hole.

    Args:
        threshold: values above are foreground, in prediction and label.
        connectivity: of the foreground, `"full"` or `"face"`.
        border: `"open"` or `"foreground"`.

    Raises:
        ValueError: if a setting is none of these; at the call if the shapes differ or there is more than one channel.

    Equal masks, and masks whose rims differ by a voxel, give an empty map. Deterministic; a few passes.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import TopologyErrorMap
        >>> line, broken = np.array([[[1, 1, 1, 1, 1]]]), np.array([[[1, 1, 0, 1, 1]]])
        >>> TopologyErrorMap()(broken, line).tolist()
        [[[0, 0, 2, 0, 0]]]
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it

    def __init__(self, *, threshold: float = 0.5, connectivity: Connectivity = "full", border: Border = "open") -> None:
        check_choice("connectivity", connectivity, get_args(Connectivity))
        check_choice("border", border, get_args(Border))
        self.threshold = threshold
        self.connectivity: Connectivity = connectivity
        self.border: Border = border

    def __call__(  # type: ignore[override]
        self, prediction: NdarrayOrTensor, label: NdarrayOrTensor
    ) -> NdarrayOrTensor:
        """Compare two `(1, *spatial)` masks; the result has the prediction's metadata."""
        tensor = convert_to_tensor(prediction, track_meta=get_track_meta())
        with file_named(tensor):
            predicted = channel_first(tensor, name="prediction")
            true = channel_first(convert_to_tensor(label, track_meta=False))
            if predicted.shape != true.shape:
                raise ValueError(
                    f"Expected `prediction` and `label` to have one shape, but got {predicted.shape} and {true.shape}."
                )
            drawn = classify_errors(
                predicted[0] > self.threshold,
                true[0] > self.threshold,
                connectivity=self.connectivity,
                border=self.border,
            )
        return with_metadata_of(tensor, drawn[None])


class _WithLabel(DictionaryTransform[P]):
    """Base of :py:class:`TopologyErrorMapd`: compare every key with the label.

    Args:
        keys: Keys of the predictions.
        label_key: Key of the label.
        new_key_prefix: Prefix of the key of each map; None replaces the prediction.
        allow_missing_keys: Whether to skip a key that a case does not have, instead of raising a KeyError.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str = "label",
        new_key_prefix: str | None = None,
        allow_missing_keys: bool = False,
        *args: P.args,
        **settings: P.kwargs,
    ) -> None:
        super().__init__(keys, new_key_prefix, allow_missing_keys, *args, **settings)
        self.label_key = label_key

    def result(self, data: Mapping[Hashable, Any], key: Hashable) -> Any:
        """Return the map of one prediction."""
        return self.transform(data[key], data[self.label_key])


CriticalVoxelMapd = CriticalVoxelMapD = CriticalVoxelMapDict = DictionaryTransform.of(CriticalVoxelMap)
TopologyErrorMapd = TopologyErrorMapD = TopologyErrorMapDict = _WithLabel.of(TopologyErrorMap)
