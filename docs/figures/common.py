"""What the figures share: where they are written, their colors, and the words of a title."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_topo import betti_numbers

IMAGES = Path(__file__).parents[1] / "images"
# Okabe and Ito's palette, which color-blind readers can distinguish.
ORANGE, SKY_BLUE, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
)


def count_in_words(mask: torch.Tensor) -> str:
    """Describe a mask `(H, W)` by its Betti numbers, such as "2 components, 1 loop"."""
    return numbers_in_words(betti_numbers(mask[None])[0])


def numbers_in_words(numbers: torch.Tensor) -> str:
    """Write the two Betti numbers of a 2D mask as words."""
    components, loops = numbers.tolist()
    return f"{components} component{'s' * (components != 1)}, {loops} loop{'s' * (loops != 1)}"
