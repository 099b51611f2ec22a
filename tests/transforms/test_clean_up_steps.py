"""Steps that several clean-ups share: the same masks as those of the transforms, each called on its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_topo._utils.packed_masks import pack_mask, unpack_mask
from monai_topo.transforms import CleanUp, PersistenceSimplify, ReconnectComponents, RepairLabel
from monai_topo.transforms import _clean_up_steps as module
from monai_topo.transforms._clean_up_steps import CleanUpSteps

TENTHS = st.integers(1, 9).map(lambda tenths: tenths / 10)
LIKELIHOODS = st.sampled_from([(6, 9), (4, 5, 6)]).flatmap(
    lambda shape: arrays(np.float32, shape, elements=TENTHS.map(lambda x: float(np.float32(x))))
)
TOPOLOGY = st.fixed_dictionaries(
    {"connectivity": st.sampled_from(["full", "face"]), "border": st.sampled_from(["open", "foreground"])}
)
#: Every combination of a few values, many of which have their first steps in common.
COMBINATIONS = [
    {"min_persistence": persistence, "reconnect": reconnect, "min_component_size": size, "min_hole_size": hole}
    for persistence, reconnect, size, hole in itertools.product(
        (0.0, 0.1, 0.3),
        (None, *({"max_path_length": n, "min_likelihood": p} for n in (1, 3) for p in (0.2, 0.3, 0.4))),
        (0, 3),
        (0, 2),
    )
]


def by_transforms(image, topology, spacing, *, min_persistence, reconnect, min_component_size, min_hole_size):
    """Apply the transforms of the steps one after another."""
    image = image[None]
    if min_persistence:
        image = PersistenceSimplify(min_persistence=min_persistence, **topology)(image).numpy()
    if reconnect is not None:
        image = ReconnectComponents(spacing=spacing, **reconnect, **topology)(image).numpy()
    mask = (image > 0.5).astype(np.uint8)
    sizes = {"min_component": min_component_size, "min_hole": min_hole_size}
    return RepairLabel(spacing=spacing, **sizes, **topology)(mask).numpy()[0] > 0


@pytest.mark.parametrize("small", [True, False], ids=["small images", "large images"])
@given(image=LIKELIHOODS, topology=TOPOLOGY, seed=st.integers(0, 99), in_mm=st.booleans(), kept=st.integers(1, 3))
@settings(max_examples=15)
def test_masks_are_those_of_the_transforms_in_any_order(small, image, topology, seed, in_mm, kept):
    spacing = (0.5, 2.0, 1.0)[: image.ndim] if in_mm else None
    shared = {"threshold": 0.5, "spacing": spacing, **topology}
    steps = CleanUpSteps(image, least_likelihood=0.2, num_simplified=kept, **shared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SMALL_IMAGE_VOX", image.size if small else 0)
        generator = np.random.default_rng(seed)
        # Out of order, but often after one that begins alike.
        order = np.argsort(np.arange(len(COMBINATIONS)) + generator.normal(0, 3, len(COMBINATIONS)))
        for number in order[generator.integers(50) :][:35]:
            found = steps.mask(num_components=None, keep="largest", **COMBINATIONS[number])
            assert (found == by_transforms(image, topology, spacing, **COMBINATIONS[number])).all()
            if number % 5 == 0:
                steps.release()


@pytest.mark.parametrize(("kept", "computed"), [(1, [0.2, 0.4, 0.2, 0.6, 0.4]), (2, [0.2, 0.4, 0.6, 0.4])])
def test_the_simplified_likelihoods_used_last_are_kept(kept, computed, monkeypatch):
    image = np.random.default_rng(0).random((8, 11), dtype=np.float32)
    steps = CleanUpSteps(
        image,
        threshold=0.5,
        connectivity="full",
        border="open",
        spacing=None,
        num_simplified=kept,
        least_likelihood=0.1,
    )
    simplify, calls = steps._simplify, []
    monkeypatch.setattr(steps, "_simplify", lambda limit: calls.append(limit) or simplify(limit))
    settings = {"min_component_size": 0, "min_hole_size": 0, "num_components": None, "keep": "largest"}
    for number, limit in enumerate((0.2, 0.4, 0.2, 0.6, 0.4)):
        # Another path length each time, so that paths have to be computed.
        steps.mask(min_persistence=limit, reconnect={"max_path_length": number + 1}, **settings)
        steps.release()
    assert calls == computed


def test_the_first_of_the_joins_are_those_of_a_greater_likelihood():
    """Three gaps of different likelihood, of which one is exactly the limit."""
    image = np.zeros((5, 20), dtype=np.float32)
    image[2, :] = 0.9
    image[2, [4, 9, 14]] = 0.2, 0.7 - 0.3, 0.3
    steps = CleanUpSteps(image, threshold=0.5, connectivity="full", border="open", spacing=None, least_likelihood=0.1)
    settings = {"min_persistence": 0.0, "min_component_size": 0, "min_hole_size": 0, "num_components": None}
    filled = {
        least: np.flatnonzero(
            steps.mask(reconnect={"min_likelihood": least}, keep="largest", **settings)[2, [4, 9, 14]]
        )
        for least in (0.4, 0.1, 0.3, 0.2)
    }
    assert {least: found.tolist() for least, found in filled.items()} == {
        0.4: [1],
        0.3: [1, 2],
        0.2: [0, 1, 2],
        0.1: [0, 1, 2],
    }


@given(mask=st.sampled_from([(6, 9), (1, 1), (4, 5, 6)]).flatmap(lambda shape: arrays(np.bool_, shape)))
def test_packed_masks_are_restored(mask):
    assert (unpack_mask(pack_mask(mask), mask.shape) == mask).all()
    other = mask.copy()
    other.flat[0] ^= True
    assert pack_mask(other) != pack_mask(mask)


# Limit of the change by persistence ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [(), (slice(4, 6),)], ids=["2D", "3D"])
@pytest.mark.parametrize(
    ("limit", "vessel_stays", "hole_stays"), [(None, False, False), (10, True, True), ("vessel", False, True)]
)
def test_persistence_removes_nothing_larger_than_the_limit(depth, limit, vessel_stays, hole_stays):
    image = np.full((1, *([12] * len(depth)), 26, 36), 0.2, np.float32)
    speck, vessel = (0, *depth, slice(2, 4), slice(2, 4)), (0, *depth, slice(8, 10), slice(2, 30))
    pinhole, hole = (0, *depth, slice(14, 15), slice(4, 6)), (0, *depth, slice(16, 20), slice(8, 32))
    image[(0, *[slice(2, 9)] * len(depth), slice(12, 23), slice(2, 35))] = 0.95
    image[speck] = image[vessel] = 0.6
    image[pinhole] = image[hole] = 0.45
    size = image[vessel].size if limit == "vessel" else limit
    result = np.asarray(CleanUp(min_persistence=0.55, max_simplified_size=size)(image))
    assert not result[speck].any()
    assert result[pinhole].all()
    assert (result[vessel] == vessel_stays).all()
    assert (result[hole] == (not hole_stays)).all()
    settings = {"max_simplified_size": size and size * 0.1, "spacing": 0.1 ** (1 / (image.ndim - 1))}
    spaced = CleanUp(min_persistence=0.55, **settings)
    assert (np.asarray(spaced(image)) == result).all()
