"""Settings among which a clean-up is chosen."""

from __future__ import annotations

from typing import Any, NamedTuple

from monai_topo.transforms._clean_up_steps import Keep
from monai_topo.transforms.clean_up import CleanUp

__all__ = ["Setting"]


class Setting(NamedTuple):
    """One setting of :py:class:`monai_topo.transforms.CleanUp`; the default is the threshold alone.

    Components smaller than `min_component_size` are not reconnected. `max_simplified_size` is not searched: it is the
    size of the largest change by persistence in the cases of the search, and so has no effect on them.
    """

    min_persistence: float = 0.0
    max_path_length: float | None = None
    min_likelihood: float = 0.0
    min_component_size: float = 0.0
    min_hole_size: float = 0.0
    num_components: int | None = None
    keep: Keep = "largest"
    max_simplified_size: float | None = None

    @property
    def reconnects(self) -> bool:
        """Whether components are reconnected."""
        return self.max_path_length is not None

    @property
    def num_steps(self) -> int:
        """Number of steps in addition to the threshold."""
        steps = (self.min_persistence, self.reconnects, self.min_component_size, self.min_hole_size)
        return sum(map(bool, steps)) + (self.num_components is not None)

    def to_steps(self) -> dict[str, Any]:
        """Return the settings of the steps of the transform."""
        reconnect = {"max_path_length": self.max_path_length, "min_likelihood": self.min_likelihood}
        if self.min_component_size:
            reconnect["min_component_size"] = self.min_component_size
        return {
            "min_persistence": self.min_persistence,
            "max_simplified_size": self.max_simplified_size,
            "reconnect": reconnect if self.reconnects else None,
            "min_component_size": self.min_component_size,
            "min_hole_size": self.min_hole_size,
            "num_components": self.num_components,
            "keep": self.keep,
        }

    def to_cleanup(self, **fixed: Any) -> CleanUp:
        """Make the transform; `fixed` holds the threshold, connectivity, border, spacing and number of axes."""
        return CleanUp(**self.to_steps(), **fixed)

    def describe(self, size_unit: str, length_unit: str) -> str:
        """Return the steps in words: what each of them keeps."""
        steps = []
        if self.min_persistence:
            limited = "" if self.max_simplified_size is None else f" or size > {self.max_simplified_size:g} {size_unit}"
            steps.append(f"persistence > {self.min_persistence:g}{limited}")
        if self.max_path_length is not None:
            path = f"join by paths <= {self.max_path_length:g} {length_unit} with likelihood >= {self.min_likelihood:g}"
            steps.append(path)
        if self.min_component_size:
            steps.append(f"components >= {self.min_component_size:g} {size_unit}")
        if self.min_hole_size:
            steps.append(f"holes >= {self.min_hole_size:g} {size_unit}")
        if self.num_components is not None:
            steps.append(f"{self.num_components} {self.keep.replace('_', ' ')}")
        return ", ".join(steps) or "threshold only"
