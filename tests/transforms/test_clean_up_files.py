"""Files of a clean-up: settings written and read, and wrong files refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from oracles import smooth_image

from monai_topo._utils.errors import UserError
from monai_topo.transforms import CleanUp, CleanUpd

CHOSEN = CleanUp(
    threshold=0.4,
    min_persistence=0.1,
    reconnect={"max_path_length": 12.0, "min_likelihood": 0.2},
    min_component_size=30,
    min_hole_size=2.5,
    num_components=4,
    keep="most_persistent",
    connectivity="face",
    border="foreground",
    spacing=(0.5, 0.5),
    spatial_dims=2,
)


@pytest.mark.parametrize(
    "made", [CHOSEN, CleanUp(), CleanUp(reconnect={}, spacing="affine")], ids=["all", "none", "mm"]
)
def test_settings_go_to_a_file_and_back(tmp_path, made):
    made.save(tmp_path / "folder" / "cleanup.json")
    loaded = CleanUp.load(tmp_path / "folder" / "cleanup.json")
    assert loaded.to_dict() == made.to_dict() == json.loads((tmp_path / "folder" / "cleanup.json").read_text())
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["cleanup.json"]
    assert CleanUp.from_dict(made.to_dict()).to_dict() == made.to_dict()
    settings = {key: value for key, value in made.to_dict().items() if key not in ("format", "version")}
    assert CleanUpd(keys="pred", **settings).transform.to_dict() == made.to_dict()
    image = smooth_image(np.random.default_rng(1), (30, 40)).clip(-2, 2)[None].astype(np.float32) / 4 + 0.5
    if made.spacing != "affine":
        assert torch.equal(loaded(image), made(image))


HEAD = {"format": "monai_topo.CleanUp", "version": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "which does not exist"),
        ("{", "Expecting"),
        ("[1]", "Expected an object of settings, but got list"),
        ("{}", r"Expected the settings of a clean-up, .* but got \{'format': None"),
        (json.dumps(HEAD | {"version": 2}), "'version': 2"),
        (json.dumps(HEAD | {"min_size": 3}), "Expected settings of a clean-up to be among .* but got min_size"),
        (json.dumps(HEAD | {"reconnect": {"length": 3}}), "Expected settings of `reconnect` to be among .* got length"),
        (json.dumps(HEAD | {"threshold": 1.5}), "`threshold` to be at least 0 and less than 1, but got 1.5"),
        (json.dumps(HEAD | {"threshold": "high"}), "`threshold` to be at least 0 and less than 1, but got 'high'"),
        (json.dumps(HEAD | {"min_hole_size": "big"}), "`min_hole_size` to be finite and at least 0, but got 'big'"),
        (json.dumps(HEAD | {"min_hole_size": True}), "`min_hole_size` to be finite and at least 0, but got True"),
        (json.dumps(HEAD | {"num_components": 2.5}), "`num_components` to be a positive whole number, but got 2.5"),
        (json.dumps(HEAD | {"keep": 1}), "`keep` to be one of 'largest', 'most_persistent', but got 1"),
        (json.dumps(HEAD | {"reconnect": 3}), "`reconnect` to be a dictionary of settings or None, but got 3"),
        (json.dumps(HEAD | {"reconnect": {"allow_loops": "no"}}), "`allow_loops` to be True or False, but got 'no'"),
        (json.dumps(HEAD | {"spacing": ["a", 1]}), "`spacing` to be None for voxels"),
        (json.dumps(HEAD | {"spacing": {}}), "`spacing` to be None for voxels"),
        (json.dumps(HEAD | {"spatial_dims": 3}), "Expected a clean-up for 2 spatial axes, but got one for 3"),
        (json.dumps(HEAD | {"connectivity": "face"}), "with connectivity 'full', but got 'face'"),
        (json.dumps(HEAD | {"spacing": [1.0, -1.0]}), "`spacing` to be None for voxels"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence_that_names_it(tmp_path, text, sentence):
    path = tmp_path / "cleanup.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"cleanup.json.*{sentence}"):
        CleanUp.load(path, spatial_dims=2, connectivity="full")
