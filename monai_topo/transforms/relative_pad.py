"""The collar of relative homology, for users of losses that know no border of their own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import BorderPad
from monai.transforms.inverse import InvertibleTransform

from monai_topo.transforms._dictionary import DictionaryTransform, P

__all__ = ["RelativePad", "RelativePadD", "RelativePadDict", "RelativePadd"]

Values = float | Sequence[float]


class RelativePad(InvertibleTransform):
    """Put a collar of foreground around an image, so that what its border cuts closes there.

    The homology of a patch relative to its frame (Hu et al., "Topology-preserving deep image segmentation", NeurIPS
    2019, section 3.3: a vessel or a membrane goes on outside the patch). Losses and metrics of this package need no
    collar, they have `border="foreground"`; this is for others. Unlike there, a collar is
    voxels: it is counted as a component, and as a ring before what touches it fills it.

    Args:
        width: of the collar, in voxels.
        value: of the collar, the foreground's: 1 for masks and likelihoods, a large number for logits, the id for a
            label of ids; one for all channels or one a channel (`[0, 1]` for a one-hot label with its background).

    Raises:
        ValueError: if `width` is not a positive whole number, or there is another number of channels than of values.

    By MONAI's `BorderPad`, so the affine moves with the origin and `inverse` cuts the collar off again. The result is a
    new array. Not lazy: a collar of interpolated values would be none.

    Example:
        >>> import torch
        >>> from monai_topo.transforms import RelativePad
        >>> RelativePad(value=7)(torch.zeros(1, 1, 2)).tolist()
        [[[7.0, 7.0, 7.0, 7.0], [7.0, 0.0, 0.0, 7.0], [7.0, 7.0, 7.0, 7.0]]]
    """

    backend = BorderPad.backend

    def __init__(self, *, width: int = 1, value: Values = 1.0) -> None:
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise ValueError(f"Expected `width` to be a positive whole number of voxels, but got {width!r}.")
        self.width = width
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
        """Cut the collar off again."""
        return self.padder.inverse(data)


class _InvertibleDictionaryTransform(DictionaryTransform[P], InvertibleTransform):
    """Base of :py:class:`RelativePadd`: its results can be inverted.

    Args:
        keys: Keys of predictions and labels. One `value` holds for all of them: use two of these transforms where the
            values differ.
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
