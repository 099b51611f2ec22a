"""What losses accept as a label: 0 and 1 of any type, and nothing else anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_topo._utils.kernel import kernel
from monai_topo.losses._base import check_binary

INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = st.sampled_from([(1, 1, 3, 5), (2, 1, 7, 6, 4)])


def refuses(label: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="to hold only 0 and 1, but got 1 other values"):
        check_binary(label)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, torch.bool], ids=str)
@given(shape=SHAPES)
def test_zeros_and_ones_of_any_type_are_a_label(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    label = (torch.arange(torch.Size(shape).numel()).view(shape) % 3 == 0).to(dtype)
    check_binary(label)
    check_binary(label.transpose(-1, -2))
    check_binary(label[..., :0])


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS, ids=str)
@given(shape=SHAPES, place=st.floats(0, 1), number=st.integers(0, 4))
def test_one_other_value_is_found_wherever_it_is(
    dtype: torch.dtype, shape: tuple[int, ...], place: float, number: int
) -> None:
    strays = [2, 255] if dtype == torch.uint8 else [2, -1, 100] if dtype in INTEGERS else [0.5, -1, 2, 1.01, torch.nan]
    label = torch.ones(shape, dtype=dtype)
    label.view(-1)[round(place * (label.numel() - 1))] = strays[number % len(strays)]
    refuses(label)


def test_threads_leave_no_part_out() -> None:
    label = np.ones(4_000_003, dtype=np.float32)  # so many values are worth four threads, which take 16 parts
    assert kernel.is_binary(label, 4)
    ends = [part * len(label) // 16 for part in range(17)]
    for place in {*ends[:-1], *(end - 1 for end in ends[1:])}:
        label[place] = 0.5
        assert not kernel.is_binary(label, 4)
        label[place] = 1
