"""Clean-up of a prediction: threshold, persistence, reconnection, sizes and counts, in one transform with a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from monai.config import NdarrayOrTensor

from monai_topo._utils.errors import UserError
from monai_topo._utils.io import atomic_write
from monai_topo._utils.typing import Array, Border, Connectivity
from monai_topo._utils.validation import check_at_least, check_choice
from monai_topo.persistence.reconnection import check_likelihoods, check_threshold, is_mask
from monai_topo.transforms._base import ArrayTransform, Spacing, as_float, check_affine, check_count, check_spacing
from monai_topo.transforms._clean_up_steps import CleanUpSteps, Keep
from monai_topo.transforms._dictionary import DictionaryTransform
from monai_topo.transforms.persistence_simplify import PersistenceSimplify
from monai_topo.transforms.reconnect_components import ReconnectComponents

__all__ = ["CleanUp", "CleanUpD", "CleanUpDict", "CleanUpd"]

_FORMAT = {"format": "monai_topo.CleanUp", "version": 1}
_RECONNECT_KEYS = ("max_path_length", "min_likelihood", "min_component_size", "max_component_size", "allow_loops")


class CleanUp(ArrayTransform):
    """Turn a likelihood or a mask into a mask without the small errors that everybody removes first.

    Steps, each of them optional but for the threshold, always in this order:

    1. `min_persistence`: components and holes of low persistence are removed from the likelihood, by
       :py:class:`PersistenceSimplify`, except those that are larger than `max_simplified_size`.
    2. `threshold`: the mask is where the likelihood is greater.
    3. `reconnect`: components are joined along minimax paths, as by :py:class:`ReconnectComponents`.
    4. `min_component_size`: components smaller than this are removed.
    5. `min_hole_size`: holes (2D) or cavities (3D) smaller than this are filled; their size includes what step 4
       removed from them.
    6. `num_components`: only that many components are kept.

    MONAI and scikit-image have some of the steps: MONAI's `RemoveSmallObjects` (mm too), `FillHoles` (every hole,
    whatever its size) and `KeepLargestConnectedComponent`, scikit-image's `remove_small_objects` and
    `remove_small_holes`. Here holes have the connectivity that is dual to that of the components, `border` decides
    what the image border cuts, sizes of holes are in mm too, and persistence and reconnection use the likelihood.

    Args:
        threshold: Foreground is above it; at least 0 and less than 1.
        min_persistence: Features of the likelihood with a greater persistence stay; 0 removes none.
        max_simplified_size: Size of the largest component or hole of the thresholded mask that step 1 may remove, in
            the units of `min_component_size`; None sets no limit.
        reconnect: Settings of :py:class:`ReconnectComponents`, any of `max_path_length`, `min_likelihood`,
            `min_component_size`, `max_component_size` and `allow_loops`, or None to join nothing. `{}` joins all.
        min_component_size: In voxels or, if `spacing` is given, in mm^2 (2D) or mm^3; 0 keeps all.
        min_hole_size: In the same units; 0 fills none.
        num_components: Number of components to keep; None keeps all. With `border="foreground"`, what is connected to
            the border is kept and does not count.
        keep: Which ones: the `"largest"`, or the `"most_persistent"` of the likelihood after step 1. In a tie the
            larger one, then the one whose first voxel comes first.
        connectivity: Connectivity of the foreground, `"full"` (8 in 2D, 26 in 3D) or `"face"` (4, 6); the background
            has the dual one.
        border: Boundary condition: `"open"` (nothing lies outside) or `"foreground"` (everything outside is
            foreground: what is connected to the border is neither small nor counted, and background that reaches it is
            a hole).
        spacing: None for voxels; `"affine"` reads the voxel size from the metadata; numbers give it in millimeters, one
            per axis.
        spatial_dims: 2 or 3, the only images that are then accepted; None accepts both.

    Raises:
        ValueError: If a setting is not one of these; at the call, if the image is not channel first, has another
            dimension than `spatial_dims`, NaN, or values outside [0, 1]; or if it is a mask (bool, integers, or 0 and 1
            only) and a step needs the likelihood (`min_persistence`, `reconnect`, `keep="most_persistent"`).

    The result is uint8, 0 and 1; a mask is not thresholded again. An empty image stays empty. Each channel is cleaned
    separately: leave out the channel of the background, and expect classes to overlap or to leave voxels without a
    class as thresholds do. Deterministic. Steps 4 to 6 are idempotent: cleaning a cleaned mask changes nothing.

    Example:
        >>> import numpy as np
        >>> from monai_topo.transforms import CleanUp
        >>> likelihood = np.array([[[0.9, 0.3, 0.8, 0.0, 0.7, 0.0], [0.9, 0.1, 0.9, 0.0, 0.0, 0.0]]])
        >>> CleanUp(reconnect={"min_likelihood": 0.2}, min_component_size=2)(likelihood).tolist()
        [[[1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0]]]
    """

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        min_persistence: float = 0.0,
        max_simplified_size: float | None = None,
        reconnect: Mapping[str, Any] | None = None,
        min_component_size: float = 0,
        min_hole_size: float = 0,
        num_components: int | None = None,
        keep: Keep = "largest",
        connectivity: Connectivity = "full",
        border: Border = "open",
        spacing: Spacing = None,
        spatial_dims: int | None = None,
    ) -> None:
        self.threshold = check_threshold(threshold)
        self.max_simplified_size = max_simplified_size
        if max_simplified_size is not None:
            self.max_simplified_size = check_at_least("max_simplified_size", max_simplified_size)
        self.min_component_size = check_at_least("min_component_size", min_component_size)
        self.min_hole_size = check_at_least("min_hole_size", min_hole_size)
        self.num_components = None if num_components is None else check_count("num_components", num_components)
        check_choice("keep", keep, get_args(Keep))
        if spatial_dims not in (None, 2, 3):
            raise ValueError(f"Expected `spatial_dims` to be 2, 3 or None, but got {spatial_dims!r}.")
        self.keep: Keep = keep
        self.connectivity: Connectivity = connectivity
        self.border: Border = border
        self.spacing = check_spacing(spacing)
        self.spatial_dims = spatial_dims
        topology: dict[str, Any] = {"connectivity": connectivity, "border": border}
        self.min_persistence = PersistenceSimplify(min_persistence=min_persistence, **topology).min_persistence
        if reconnect is not None and not isinstance(reconnect, Mapping):
            raise ValueError(f"Expected `reconnect` to be a dictionary of settings or None, but got {reconnect!r}.")
        self.reconnect = None if reconnect is None else dict(reconnect)
        if self.reconnect is not None:
            _refuse_unknown(self.reconnect, _RECONNECT_KEYS, "`reconnect`")
            ReconnectComponents(threshold=threshold, **self.reconnect, **topology)  # checks the limits

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the masks of a `(C, H, W)` or `(C, D, H, W)` likelihood or mask."""
        check_affine(image, self.spacing)
        return super().__call__(image)

    def compute(self, array: Array, spacing_mm: tuple[float, ...]) -> Array:
        """Return the cleaned masks."""
        if self.spatial_dims not in (None, array.ndim - 1):
            raise ValueError(
                f"Expected an image with {self.spatial_dims} spatial axes, for which this clean-up was chosen, but got "
                f"shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise ValueError("Expected a finite image, but got NaN or infinite values: look for a diverged network.")
        if not is_mask(array):
            check_likelihoods(array)
        elif self._uses_likelihood():
            raise ValueError(
                f"Expected a likelihood for {self._uses_likelihood()}, but got a mask of dtype {array.dtype}: clean up "
                "before thresholding, or leave this setting out."
            )
        elif not np.isin(array, (0, 1)).all():
            raise ValueError(
                f"Expected a mask to hold only 0 and 1, but got values from {array.min()} to {array.max()}: use "
                "LabelToForeground, one channel per class, or divide a likelihood in 8 bits by 255."
            )
        return np.stack([self._clean(channel, spacing_mm) for channel in as_float(array)])

    def _uses_likelihood(self) -> str:
        """Return the first setting that a mask cannot serve, or nothing."""
        if self.min_persistence > 0:
            return "`min_persistence`"
        if self.reconnect is not None:
            return "`reconnect`"
        return "`keep='most_persistent'`" if self.num_components and self.keep == "most_persistent" else ""

    def _clean(self, likelihood: Array, spacing_mm: tuple[float, ...]) -> Array:
        steps = CleanUpSteps(
            likelihood,
            threshold=self.threshold,
            connectivity=self.connectivity,
            border=self.border,
            spacing=None if self.spacing is None else spacing_mm,
        )
        return steps.mask(**self._settings_of_steps()).astype(np.uint8)

    def _settings_of_steps(self) -> dict[str, Any]:
        return {
            "min_persistence": self.min_persistence,
            "max_simplified_size": self.max_simplified_size,
            "reconnect": self.reconnect,
            "min_component_size": self.min_component_size,
            "min_hole_size": self.min_hole_size,
            "num_components": self.num_components,
            "keep": self.keep,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, which JSON can hold."""
        spacing = self.spacing
        return {
            **_FORMAT,
            "spatial_dims": self.spatial_dims,
            "connectivity": self.connectivity,
            "border": self.border,
            "threshold": self.threshold,
            **self._settings_of_steps(),
            "spacing": spacing if isinstance(spacing, (str, int, float, type(None))) else [float(x) for x in spacing],
        }

    @classmethod
    def from_dict(
        cls,
        settings: Mapping[str, Any],
        *,
        spatial_dims: int | None = None,
        connectivity: Connectivity | None = None,
    ) -> CleanUp:
        """Make the clean-up of a dictionary as `to_dict` returns it.

        Args:
            settings: The dictionary. `format` and `version` are required, other settings have their defaults.
                `"chosen_by"`, the record of :py:func:`monai_topo.choose_cleanup`, is ignored.
            spatial_dims: Number of spatial axes of the images at hand, if it is known.
            connectivity: Connectivity in use, if it matters.

        Raises:
            UserError: If the format, the version, a key or a value is not one of those, or if the clean-up was chosen
                for another number of spatial axes or another connectivity.
        """
        values = {key: value for key, value in settings.items() if key != "chosen_by"}  # a record, not a setting
        found = {key: values.pop(key, None) for key in _FORMAT}
        if found != _FORMAT:
            raise UserError(f"Expected the settings of a clean-up, {_FORMAT}, but got {found}.")
        _refuse_unknown(values, cls(threshold=0).to_dict(), "a clean-up")
        try:
            made = cls(**values)
        except (TypeError, ValueError) as error:
            raise UserError(str(error)) from error
        if spatial_dims is not None and made.spatial_dims not in (None, spatial_dims):
            raise UserError(
                f"Expected a clean-up for {spatial_dims} spatial axes, but got one for {made.spatial_dims}: choose one "
                "on predictions like these."
            )
        if connectivity is not None and made.connectivity != connectivity:
            raise UserError(
                f"Expected a clean-up with connectivity {connectivity!r}, but got {made.connectivity!r}: choose one "
                "with the connectivity in use."
            )
        return made

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the settings to a JSON file, atomically."""
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        with atomic_write(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        spatial_dims: int | None = None,
        connectivity: Connectivity | None = None,
    ) -> CleanUp:
        """Read a file of `save`; arguments and errors are those of `from_dict`, and errors name the file.

        Raises:
            UserError: Also if the file does not exist or is not JSON.
        """
        try:
            settings = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(settings, dict):
                raise UserError(f"Expected an object of settings, but got {type(settings).__name__}.")
            return cls.from_dict(settings, spatial_dims=spatial_dims, connectivity=connectivity)
        except FileNotFoundError as error:
            raise UserError(
                f"Expected a file of a clean-up, such as RUN/cleanup.json, but got {os.fspath(path)!r}, which does not "
                "exist."
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}") from error


def _refuse_unknown(settings: Mapping[str, Any], known: Any, of: str) -> None:
    unknown = [key for key in settings if key not in known]
    if unknown:
        raise UserError(f"Expected settings of {of} to be among {', '.join(known)}, but got {', '.join(unknown)}.")


CleanUpd = CleanUpD = CleanUpDict = DictionaryTransform.of(CleanUp)
