"""The reconnected likelihood against the function, and what its metadata lists."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor

from monai_topo.persistence import reconnect_components
from monai_topo.transforms import ReconnectComponents

TENTHS = st.integers(1, 9).map(lambda tenths: tenths / 10)
LIKELIHOODS = st.sampled_from([(2, 6, 9), (1, 4, 5, 6)]).flatmap(
    lambda shape: arrays(np.float64, shape, elements=TENTHS)
)


@given(image=LIKELIHOODS, threshold=st.sampled_from([0.3, 0.5]), single=st.booleans())
def test_the_threshold_of_the_result_is_the_joined_mask_and_nothing_else_changes(image, threshold, single):
    image = image.astype(np.float32 if single else np.float64)
    result = ReconnectComponents(threshold=threshold, min_likelihood=0.2)(image)
    masks, _ = reconnect_components(torch.from_numpy(image), threshold=threshold, min_likelihood=0.2)
    assert torch.equal(result > threshold, masks)
    before = image > image.dtype.type(threshold)
    assert (result.numpy() == image)[before | ~masks.numpy()].all()
    raised = result.numpy()[masks.numpy() & ~before]
    assert (raised < threshold + 1e-6).all()


def test_joins_are_listed_with_their_channel_place_and_length_in_millimeters():
    image = np.full((2, 5, 9), 0.125, dtype=np.float32)
    image[0, 2, :3] = image[0, 2, 6:] = image[1, 0, 0] = 0.75
    image[0, 2, 3:6] = 0.25, 0.375, 0.25
    image[0, 0, 1] = 0.75
    tensor = MetaTensor(torch.from_numpy(image), affine=torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0])))
    result = ReconnectComponents(min_likelihood=0.2, min_component_size=2, spacing="affine")(tensor)
    assert json.loads(result.meta["reconnections"]) == [
        {
            "channel": 0,
            "components": [3, 2],
            "outcome": "joined",
            "at": [2, 5],
            "likelihood": 0.25,
            "voxels": 3,
            "length": 8.0,
        }
    ]
    assert "reconnections" not in tensor.meta
    with pytest.raises(ValueError, match=r"Expected a MetaTensor for `spacing='affine'`"):
        ReconnectComponents(spacing="affine")(image)
    refused = ReconnectComponents(min_likelihood=0.2, min_component_size=2, max_path_length=7.9, spacing="affine")
    assert [entry["outcome"] for entry in json.loads(refused(tensor).meta["reconnections"])] == ["too_long"]
    assert torch.equal(refused(tensor), tensor)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshold": 1.0}, "`threshold` to be at least 0 and less than 1"),
        ({"max_path_length": -1}, "`max_path_length` to be finite and at least 0"),
        ({"min_likelihood": -1}, "`min_likelihood` to be finite and at least 0"),
        ({"min_component_size": -1}, "`min_component_size` to be finite and at least 0"),
        ({"max_component_size": -1}, "`max_component_size` to be finite and at least 0"),
        ({"connectivity": "8"}, "`connectivity` to be 'full'"),
        ({"border": "none"}, "`border` to be one of"),
        ({"spacing": -1.0}, "`spacing` to be None for voxels"),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReconnectComponents(**settings)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.eye(4)[None], "Expected likelihoods, but got a mask of 0 and 1"),
        (np.full((1, 4, 5), np.nan), "to be finite"),
        (np.full((1, 4, 5), 128, dtype=np.uint8), "between 0 and 1, but got values from 128 to 128"),
        (np.zeros((4, 5)), "channel first"),
    ],
)
def test_bad_images_are_refused_with_a_sentence_that_names_the_file(image, sentence):
    tensor = MetaTensor(torch.from_numpy(image), meta={"filename_or_obj": "case7.nii.gz"})
    with pytest.raises(ValueError, match=rf"case7.nii.gz: .*{sentence}"):
        ReconnectComponents()(tensor)
