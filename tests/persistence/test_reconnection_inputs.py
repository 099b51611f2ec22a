"""What reconnect_components takes and refuses: constant and empty images, batches, dtypes, wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import smooth_image

from monai_topo.persistence import reconnect_components


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 3, 4, 5), (0, 4, 6)], ids=str)
def test_constant_and_empty_batches_have_no_candidate(shape, value):
    masks, joins = reconnect_components(torch.full(shape, value))
    assert torch.equal(masks, torch.full(shape, value > 0.5))
    assert len(joins) == 0
    assert joins.labels.shape == (0, 2)
    assert joins.offsets.tolist() == [0]


def test_batches_and_dtypes_give_what_images_give():
    images = torch.from_numpy(
        np.stack([smooth_image(np.random.default_rng(seed), (20, 31)) for seed in range(3)]).clip(-3, 3) / 6 + 0.5
    ).float()
    masks, joins = reconnect_components(images, threshold=0.7)
    assert joins.image.unique().tolist() == [0, 1, 2]
    for i, image in enumerate(images):
        alone, table = reconnect_components(image[None], threshold=0.7)
        assert torch.equal(alone[0], masks[i])
        assert torch.equal(table.saddle, joins.saddle[joins.image == i])
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        rounded = images.to(dtype)
        one, _ = reconnect_components(rounded, threshold=0.7)
        other, _ = reconnect_components(rounded.float() if dtype != torch.float64 else rounded, threshold=0.7)
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("likelihood", "settings", "error", "sentence"),
    [
        (torch.zeros(1, 3, 4).bool(), {}, TypeError, "floating-point torch.Tensor, but got torch.bool"),
        (torch.zeros(3, 4), {}, ValueError, r"\(N, H, W\) or \(N, D, H, W\)"),
        (torch.tensor([[[0.0, 1.0, 0.0]]]), {}, ValueError, "but got a mask of 0 and 1"),
        (
            torch.tensor([[[-1.0, 3.0]]]),
            {},
            ValueError,
            r"between 0 and 1, but got values from -1 to 3: apply a sigmoid",
        ),
        (torch.tensor([[[0.1, float("nan")]]]), {}, ValueError, "to be finite"),
        (torch.rand(1, 3, 4), {"threshold": 1.0}, ValueError, "`threshold` to be at least 0 and less than 1"),
        (torch.rand(1, 3, 4), {"threshold": -0.1}, ValueError, "`threshold` to be at least 0 and less than 1"),
        (torch.rand(1, 3, 4), {"connectivity": "18"}, ValueError, "`connectivity` to be 'full'"),
        (torch.rand(1, 3, 4), {"border": "closed"}, ValueError, "`border` to be one of"),
        (torch.rand(1, 3, 4), {"max_path_length": -1}, ValueError, "`max_path_length` to be finite and at least 0"),
        (torch.rand(1, 3, 4), {"min_likelihood": -1}, ValueError, "`min_likelihood` to be finite and at least 0"),
        (torch.rand(1, 3, 4), {"min_component_size": -1}, ValueError, "`min_component_size` to be finite"),
        (torch.rand(1, 3, 4), {"max_component_size": -1}, ValueError, "`max_component_size` to be finite"),
        (torch.rand(1, 3, 4), {"spacing": (1.0, 0.0)}, ValueError, "`spacing` to be 2 positive numbers"),
        (torch.rand(1, 3, 4), {"spacing": (1.0,)}, ValueError, "`spacing` to be 2 positive numbers"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(likelihood, settings, error, sentence):
    with pytest.raises(error, match=sentence):
        reconnect_components(likelihood, **settings)
