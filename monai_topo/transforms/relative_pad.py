"""Padding with foreground, which makes homology relative to the frame available to losses without a border setting."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import BorderPad
from monai.transforms.inverse import InvertibleTransform

from monai_topo.transforms._base import check_count
from monai_topo.transforms._dictionary import DictionaryTransform, P

__all__ = ["RelativePad", "RelativePadD", "RelativePadDict", "RelativePadd"]


class RelativePad(InvertibleTransform):
    """Pad an image with a collar of foreground, which closes structures that the image border cuts.

    This is the homology of a patch relative to its frame (Hu et al., "Topology-preserving deep image segmentation",
    NeurIPS 2019, section 3.3: a vessel or a membrane continues outside the patch). Losses and metrics of this package
    have `border="foreground"` for it and do not need a collar; this transform is for others. In contrast to that
    setting, a collar consists of voxels: it counts as a component, and as a loop until the structures that touch it
    fill it.

    Args:
        width: Width of the collar in voxels.
        value: Value of the collar, that of the foreground: 1 for masks and likelihoods, a large number for logits, the
            id for a label of ids. One for all channels, or one per channel (`[0, 1]` for a one-hot label with its
            background).

    Raises:
        ValueError: If `width` is not a positive integer; at the call, if the number of values is neither 1 nor the
            number of channels.

    It uses MONAI's `BorderPad`: the affine follows the new origin, and `inverse` removes the collar. The result is a
    new array. The transform is not lazy, since interpolation would change the values of the collar.

    Example:
        >>> import torch
        >>> from monai_topo.transforms import RelativePad
        >>> RelativePad(value=7)(torch.zeros(1, 1, 2)).tolist()
        [[[7.0, 7.0, 7.0, 7.0], [7.0, 0.0, 0.0, 7.0], [7.0, 7.0, 7.0, 7.0]]]
    """

    backend = BorderPad.backend

    def __init__(self, *, width: int = 1, value: float | Sequence[float] = 1.0) -> None:
        self.width = check_count("width", width)
        self.value = value
        self.padder = BorderPad(width)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Pad a `(C, *spatial)` image."""
        padded = self.padder(image)
        per_channel = (self.value,) if isinstance(self.value, (int, float)) else tuple(self.value)
        if len(per_channel) not in (1, len(padded)):
            raise ValueError(
                f"Expected `value` to be one number or one for each of the {len(padded)} channels, "
                f"but got {len(per_channel)}."
            )
        collar = torch.ones(padded.shape[1:], dtype=torch.bool, device=padded.device)
        collar[(slice(self.width, -self.width),) * collar.ndim] = False
        for channel in range(len(padded)):
            padded[channel, collar] = per_channel[channel % len(per_channel)]
        return padded

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Remove the collar."""
        return self.padder.inverse(data)


class _InvertibleDictionaryTransform(DictionaryTransform[P], InvertibleTransform):
    """Base of `RelativePadd`.

    `inverse` removes the collars of the results.

    Args:
        keys: Keys of predictions and labels. All have the same `value`; where the values differ, use this transform
            twice.
        new_key_prefix: Prefix of the key of each result; None replaces the array.
        allow_missing_keys: Whether to skip a key that a case does not have, instead of raising a KeyError.
    """

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the collars of the results removed; the given dictionary stays as it is."""
        case = dict(data)
        for key in map(self.result_key, self.key_iterator(case)):
            case[key] = self.transform.inverse(case[key])
        return case


RelativePadd = RelativePadD = RelativePadDict = _InvertibleDictionaryTransform.of(RelativePad)
