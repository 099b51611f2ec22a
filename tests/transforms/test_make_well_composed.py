"""Labels made well-composed: values, metadata and refusals; the method is tested with the masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor

from monai_topo.masks import make_well_composed
from monai_topo.transforms import MakeWellComposed

LABELS = st.sampled_from([(2, 6, 9), (1, 4, 5, 6)]).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 255]))
)


@given(label=LABELS, connectivity=st.sampled_from(["full", "face"]), border=st.sampled_from(["open", "foreground"]))
def test_the_label_has_its_values_and_the_metadata_counts_the_changes(label, connectivity, border):
    before = MetaTensor(torch.from_numpy(label.copy()))
    result = MakeWellComposed(connectivity=connectivity, border=border)(before)
    assert (before.numpy() == label).all()
    masks = make_well_composed(torch.from_numpy(label > 0), connectivity=connectivity, border=border)
    assert result.dtype == torch.uint8
    assert result.tolist() == (masks * 255).tolist()
    assert json.loads(result.meta["well_composed"]) == [
        {"channel": i, "added": int((one > old).sum()), "removed": int((one < old).sum())}
        for i, (one, old) in enumerate(zip(result.numpy(), label, strict=True))
    ]


def test_bad_input_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="`connectivity` to be 'full'"):
        MakeWellComposed(connectivity="18")
    with pytest.raises(ValueError, match="`border` to be one of"):
        MakeWellComposed(border="closed")
    label = MetaTensor(torch.tensor([[[0, 3, 4]]]), meta={"filename_or_obj": "case7.nii.gz"})
    with pytest.raises(
        ValueError, match=r"case7.nii.gz: Expected one value other than 0 in each channel, but got 3, 4"
    ):
        MakeWellComposed()(label)
    with pytest.raises(ValueError, match="channel first"):
        MakeWellComposed()(np.zeros((4, 5)))
