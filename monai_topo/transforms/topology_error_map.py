"""Maps of the structural errors of a prediction against a label."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection, NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms.transform import Transform
from monai.utils import TransformBackends, convert_to_tensor

from monai_topo._utils.typing import Border, Connectivity
from monai_topo._utils.validation import check_topology_settings
from monai_topo.masks.structure_errors import classify_errors
from monai_topo.transforms._base import channel_first, file_named, with_metadata_of
from monai_topo.transforms._dictionary import DictionaryTransform, P

__all__ = ["TopologyErrorMap", "TopologyErrorMapD", "TopologyErrorMapDict", "TopologyErrorMapd"]


class TopologyErrorMap(Transform):
    """Draw where structures of a prediction are missing, spurious, broken or bridged, compared with a label.

    The result is `(1, *spatial)` uint8: 0 where there is no structural error, otherwise the number of the kind of
    error: 1 missing component, 2 break, 3 missing end, 4 spurious component, 5 bridge, 6 spurious end, 7 missing hole,
    8 spurious hole. :py:func:`monai_topo.masks.structure_errors.classify_errors` defines the kinds,
    :py:data:`monai_topo.masks.structure_errors.STRUCTURE_ERRORS` has their names.

    Args:
        threshold: Values above it are foreground, in prediction and label.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground).

    Raises:
        ValueError: If a setting is not one of these; at the call, if the shapes differ or there is more than one
            channel.

    The map is empty for equal masks, and for masks whose boundaries differ by one voxel. Deterministic; a few passes.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import TopologyErrorMap
        >>> line, broken = np.array([[[1, 1, 1, 1, 1]]]), np.array([[[1, 1, 0, 1, 1]]])
        >>> TopologyErrorMap()(broken, line).tolist()
        [[[0, 0, 2, 0, 0]]]
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it

    def __init__(self, *, threshold: float = 0.5, connectivity: Connectivity = "full", border: Border = "open") -> None:
        check_topology_settings(connectivity=connectivity, border=border)
        self.threshold = threshold
        self.connectivity: Connectivity = connectivity
        self.border: Border = border

    def __call__(  # type: ignore[override]
        self, prediction: NdarrayOrTensor, label: NdarrayOrTensor
    ) -> NdarrayOrTensor:
        """Compare two `(1, *spatial)` masks; the result has the metadata of the prediction."""
        tensor = convert_to_tensor(prediction, track_meta=get_track_meta())
        with file_named(tensor):
            predicted = channel_first(tensor, name="prediction")
            true = channel_first(convert_to_tensor(label, track_meta=False))
            if predicted.shape != true.shape:
                raise ValueError(
                    f"Expected `prediction` and `label` to have one shape, but got {predicted.shape} and {true.shape}."
                )
            errors = classify_errors(
                predicted[0] > self.threshold,
                true[0] > self.threshold,
                connectivity=self.connectivity,
                border=self.border,
            )
        return with_metadata_of(tensor, errors[None])


class _ComparisonWithLabel(DictionaryTransform[P]):
    """Base of `TopologyErrorMapd`.

    Every prediction is compared with the same label.

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


TopologyErrorMapd = TopologyErrorMapD = TopologyErrorMapDict = _ComparisonWithLabel.of(TopologyErrorMap)
