"""Clean-up: each step against scikit-image, labeling or the transform it stands for; order and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor
from oracles import smooth_image
from oracles.betti_by_labeling import betti_by_labeling
from oracles.small_objects import without_holes_below, without_objects_below
from scipy.ndimage import generate_binary_structure, label

from monai_topo.transforms import CleanUp, PersistenceSimplify, ReconnectComponents

SHAPES = st.sampled_from([(1, 6, 9), (2, 4, 5, 6)])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))
TENTHS = st.integers(1, 9).map(lambda tenths: tenths / 10)
LIKELIHOODS = SHAPES.flatmap(
    lambda shape: arrays(np.float32, shape, elements=TENTHS.map(lambda x: float(np.float32(x))))
)
TOPOLOGY = st.fixed_dictionaries(
    {"connectivity": st.sampled_from(["full", "face"]), "border": st.sampled_from(["open", "foreground"])}
)
SIZES = st.fixed_dictionaries(
    {
        "min_component_size": st.integers(0, 4),
        "min_hole_size": st.integers(0, 4),
        "num_components": st.none() | st.integers(1, 3),
    }
)


def cleaned(image, **settings):
    return CleanUp(**settings)(image).numpy()


def reach(mask, connectivity):
    return mask.ndim if connectivity == "full" else 1


# Steps -------------------------------------------------------------------------------------------------------------


@given(image=LIKELIHOODS, threshold=TENTHS)
def test_without_steps_it_is_the_threshold(image, threshold):
    result = cleaned(image, threshold=threshold)
    assert result.dtype == np.uint8
    assert (result == (image > np.float32(threshold))).all()


@given(image=LIKELIHOODS, size=st.integers(0, 5), connectivity=st.sampled_from(["full", "face"]))
def test_small_components_and_holes_go_as_in_scikit_image(image, size, connectivity):
    result = cleaned(image, min_component_size=size, min_hole_size=size, connectivity=connectivity)
    for one, likelihood in zip(result, image, strict=True):
        mask = likelihood > 0.5
        mask = without_objects_below(mask, size, connectivity=reach(mask, connectivity))
        framed = np.pad(mask, 3)  # the outside is larger than any limit
        dual = 1 if connectivity == "full" else mask.ndim
        filled = without_holes_below(framed, size, connectivity=dual)
        assert (one == filled[(slice(3, -3),) * mask.ndim]).all()


@given(image=LIKELIHOODS, topology=TOPOLOGY, persistence=TENTHS)
def test_persistence_and_reconnection_are_those_of_their_transforms(image, topology, persistence):
    result = cleaned(image, min_persistence=persistence, **topology)
    assert (result == (PersistenceSimplify(min_persistence=persistence, **topology)(image) > 0.5).numpy()).all()
    limits = {"min_likelihood": 0.2, "max_path_length": 2}
    result = cleaned(image, reconnect=limits, **topology)
    assert (result == (ReconnectComponents(**limits, **topology)(image) > 0.5).numpy()).all()


@given(mask=MASKS, number=st.integers(1, 3), connectivity=st.sampled_from(["full", "face"]))
def test_the_largest_components_are_kept(mask, number, connectivity):
    result = cleaned(mask, num_components=number, connectivity=connectivity)
    for one, channel in zip(result, mask, strict=True):
        structure = generate_binary_structure(channel.ndim, reach(channel, connectivity))
        ids, count = label(channel, structure)
        sizes = np.bincount(ids.ravel(), minlength=count + 1)
        kept = sorted(range(1, count + 1), key=lambda i: (-sizes[i], i))[:number]
        assert (one == np.isin(ids, kept)).all()


def test_the_most_persistent_component_is_not_the_largest():
    image = np.array([[[0.6, 0.6, 0.6, 0.5, 0.9, 0.1, 0.8, 0.6, 0.2, 0.6, 0.6, 0.6, 0.6]]])
    assert cleaned(image, num_components=1, threshold=0.55)[0, 0].nonzero()[0].tolist() == [9, 10, 11, 12]
    kept = {
        number: cleaned(image, num_components=number, keep="most_persistent", threshold=0.55) for number in (1, 2, 3)
    }
    assert kept[1][0, 0].nonzero()[0].tolist() == [4]  # never dies
    assert kept[2][0, 0].nonzero()[0].tolist() == [4, 6, 7]  # 0.8 - 0.1
    assert kept[3][0, 0].nonzero()[0].tolist() == [4, 6, 7, 9, 10, 11, 12]  # 0.6 - 0.2, and 0.6 - 0.5 goes


def test_what_is_connected_to_the_frame_is_kept_and_does_not_count():
    image = np.zeros((1, 7, 9), dtype=bool)
    image[0, 0, 0] = image[0, 3, 2:4] = image[0, 5, 6] = True
    result = cleaned(image, num_components=1, border="foreground")
    assert result[0].nonzero()[0].tolist() == [0, 3, 3]
    assert (cleaned(image, min_component_size=3, border="foreground")[0].nonzero()[0] == [0]).all()


def test_the_order_of_the_steps():
    # Reconnection comes before sizes: two halves of 3 voxels are one component of 7.
    image = np.array([[[0.9, 0.9, 0.9, 0.3, 0.9, 0.9, 0.9, 0.0, 0.9, 0.9]]])
    assert cleaned(image, min_component_size=5).sum() == 0
    assert cleaned(image, min_component_size=5, reconnect={"min_likelihood": 0.2}).sum() == 7
    # Sizes come before the number: the second largest of what is left.
    assert cleaned(image, min_component_size=3, num_components=3).sum() == 6
    # Persistence comes before reconnection: the stepping stone is gone, and so is its saddle.
    image = np.array([[[0.9, 0.3, 0.6, 0.4, 0.9]]])
    assert cleaned(image, reconnect={"max_path_length": 1}).tolist() == [[[1, 1, 1, 1, 1]]]
    assert cleaned(image, reconnect={"max_path_length": 1}, min_persistence=0.25).tolist() == [[[1, 0, 0, 0, 1]]]
    # Components go before holes: a hole's size includes the speck in it.
    ring = np.ones((1, 5, 5), dtype=bool)
    ring[0, 1:4, 1:4] = False
    ring[0, 2, 2] = True
    assert cleaned(ring, min_component_size=2, min_hole_size=9).sum() == 16
    assert cleaned(ring, min_component_size=2, min_hole_size=10).sum() == 25
    assert cleaned(ring, min_hole_size=9).sum() == 25


@given(image=LIKELIHOODS, topology=TOPOLOGY, sizes=SIZES, reconnect=st.none() | st.just({"min_likelihood": 0.2}))
@settings(max_examples=150)
def test_cleaning_a_cleaned_mask_changes_nothing_and_channels_are_apart(image, topology, sizes, reconnect):
    once = CleanUp(reconnect=reconnect, **sizes, **topology)(image)
    again = CleanUp(**sizes, **topology)(once)
    assert torch.equal(once, again)
    for channel, result in zip(image, once, strict=True):
        assert torch.equal(CleanUp(reconnect=reconnect, **sizes, **topology)(channel[None])[0], result)


def test_sizes_and_lengths_are_in_millimeters_with_spacing():
    image = np.zeros((1, 5, 12), dtype=np.float32)
    image[0, 2, :4] = image[0, 2, 6:] = 0.9
    image[0, 2, 4:6] = 0.3
    image[0, 0, 0] = image[0, 0, 11] = 0.7
    likelihood = MetaTensor(torch.from_numpy(image), affine=torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0])))
    assert CleanUp(min_component_size=4.0, spacing="affine")(likelihood).sum() == 10
    assert CleanUp(min_component_size=4.1, spacing="affine")(likelihood).sum() == 6
    for length, total in ((6.0, 14), (5.9, 12)):
        joined = CleanUp(reconnect={"max_path_length": length, "min_likelihood": 0.2}, spacing=(0.5, 2.0))(likelihood)
        assert joined.sum() == total
    for plain in (image, torch.from_numpy(image)):
        with pytest.raises(ValueError, match=r"Expected a MetaTensor for `spacing='affine'`"):
            CleanUp(min_component_size=4.0, spacing="affine")(plain)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 5, 7), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("topology", [{}, {"connectivity": "face", "border": "foreground"}], ids=["full", "face"])
def test_empty_full_and_constant_images_have_a_result(shape, value, topology):
    every = {"min_persistence": 0.1, "reconnect": {}, "min_component_size": 3, "min_hole_size": 3, "num_components": 2}
    for keep in ("largest", "most_persistent"):
        result = cleaned(np.full(shape, value, dtype=np.float32), keep=keep, **every, **topology)
        assert (result == (value > 0.5)).all()
    if value != 0.3:
        mask = np.full(shape, value > 0.5)
        assert (cleaned(mask, min_component_size=3, num_components=1, **topology) == mask).all()


def test_all_components_may_go():
    assert cleaned(np.eye(5, dtype=bool)[None], min_component_size=9).sum() == 0


def test_a_noisy_prediction_has_its_topology_back():
    rng = np.random.default_rng(5)
    clean = np.zeros((60, 80))
    clean[20:23, 5:75] = clean[20:50, 40:43] = 1
    clean[20:23, 25:29] = 0.3  # a break in the likelihood
    image = np.clip(0.8 * clean + 0.16 + 0.1 * smooth_image(rng, clean.shape, 1.0), 0, 1).astype(np.float32)[None]
    before = betti_by_labeling(image[0] > 0.6, connectivity="full", border="open")
    settings = {"threshold": 0.6, "min_component_size": 20, "min_hole_size": 20}
    sizes = betti_by_labeling(cleaned(image, **settings)[0], connectivity="full", border="open")
    limits = {"max_path_length": 12, "min_component_size": 20, "min_likelihood": 0.2}
    joined = betti_by_labeling(cleaned(image, reconnect=limits, **settings)[0], connectivity="full", border="open")
    assert before[0] >= sizes[0] == 2
    assert joined == (1, 0)


# Refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshold": 1}, "`threshold` to be at least 0 and less than 1, but got 1"),
        ({"threshold": -0.5}, "`threshold` to be at least 0 and less than 1"),
        ({"min_persistence": -1}, "`min_persistence` to be finite and at least 0"),
        ({"min_component_size": -1}, "`min_component_size` to be finite and at least 0"),
        ({"min_hole_size": float("nan")}, "`min_hole_size` to be finite and at least 0"),
        ({"num_components": 0}, "`num_components` to be a positive whole number"),
        ({"keep": "best"}, "`keep` to be one of 'largest', 'most_persistent'"),
        ({"connectivity": "18"}, "`connectivity` to be 'full'"),
        ({"border": "closed"}, "`border` to be one of 'open', 'foreground'"),
        ({"spacing": 0}, "`spacing` to be None for voxels"),
        ({"spatial_dims": 4}, "`spatial_dims` to be 2, 3 or None"),
        ({"reconnect": {"max_path_length": -1}}, "`max_path_length` to be finite and at least 0"),
        (
            {"reconnect": {"threshold": 0.5}},
            "settings of `reconnect` to be among max_path_length, .* but got threshold",
        ),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        CleanUp(**settings)


@pytest.mark.parametrize(
    ("image", "settings", "sentence"),
    [
        (np.zeros((4, 5)), {}, "channel first"),
        (np.full((1, 4, 5), np.nan), {}, "Expected a finite image, but got NaN"),
        (np.full((1, 4, 5), 7.0), {}, "between 0 and 1, but got values from 7 to 7: apply a sigmoid"),
        (np.full((1, 4, 5), 255, dtype=np.uint8), {}, "a mask to hold only 0 and 1, but got values from 255 to 255"),
        (np.zeros((1, 4, 5), dtype=bool), {"min_persistence": 0.1}, "likelihood for `min_persistence`, but got a mask"),
        (np.eye(4)[None], {"reconnect": {}}, "a likelihood for `reconnect`, but got a mask"),
        (
            np.eye(4)[None],
            {"num_components": 1, "keep": "most_persistent"},
            "a likelihood for `keep='most_persistent'`, but got a mask",
        ),
        (np.zeros((1, 4, 5)), {"spatial_dims": 3}, r"3 spatial axes, .* but got shape \(1, 4, 5\)"),
        (np.zeros((1, 4, 5)), {"spacing": (1.0, 1.0, 1.0)}, "`spacing` to hold 2 numbers"),
    ],
)
def test_bad_images_are_refused_with_a_sentence_that_names_the_file(image, settings, sentence):
    tensor = MetaTensor(torch.from_numpy(image), meta={"filename_or_obj": "case7.nii.gz"})
    with pytest.raises(ValueError, match=rf"case7.nii.gz: .*{sentence}"):
        CleanUp(**settings)(tensor)


def test_nothing_is_reconnected_where_persistence_leaves_zeros_and_ones():
    likelihood = np.zeros((1, 5, 9))
    likelihood[0, 2, [1, 2, 6, 7]] = 1
    likelihood[0, 0, 4] = 0.2  # a faint speck, all that is between 0 and 1
    clean = CleanUp(min_persistence=0.3, reconnect={})
    np.testing.assert_array_equal(np.asarray(clean(likelihood)), likelihood == 1)
