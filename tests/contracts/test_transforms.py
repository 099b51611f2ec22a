"""Contract of all transforms: input, metadata, pickling, workers, dictionary versions, bundle configs; 2D and 3D."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.transforms import Randomizable

from monai_topo import transforms
from monai_topo.data import synthetic_vessels

# Name and settings of each transform, and the key it works on; what is not a label's is marked by "image".
ON_ONE_KEY = [
    ("BettiCurve", {"num_samples": 7}, "image"),
    ("CleanUp", {"min_component_size": 9, "min_hole_size": 9, "num_components": 2}, "pred"),
    ("CriticalVoxelMap", {"sigma": 1.0}, "image"),
    ("InstancesToMembrane", {}, "label"),
    ("LabelToForeground", {}, "label"),
    ("MakeWellComposed", {}, "label"),
    ("MembraneToInstances", {"seed_distance": 1.5}, "label"),
    ("PersistenceDiagram", {"num_pairs": 5, "border": "foreground"}, "image"),
    ("PersistenceImage", {"num_rows": 6}, "image"),
    ("PersistenceLandscape", {"num_landscapes": 2, "num_samples": 7}, "image"),
    ("PersistenceSimplify", {"min_persistence": 0.2}, "image"),
    ("ReconnectComponents", {"max_path_length": 4}, "image"),
    ("RelativePad", {"width": 2}, "label"),
    ("RepairLabel", {"min_component": 9, "min_hole": 9}, "label"),
    ("Skeletonize", {"spacing": "affine"}, "label"),
    ("TubedSkeleton", {"radius": 1.5, "spacing": "affine"}, "label"),
    ("Vesselness", {"sigmas": [1.0, 2.0], "spacing": "affine"}, "image"),
]
# Transforms whose dictionary version needs more keys than the one that it changes.
ON_TWO_KEYS: list[tuple[str, dict[str, object], str]] = [
    ("RandCropByTopology", {"label_key": "label", "spatial_size": 10, "num_samples": 2}, "image"),
    ("RandTopologyError", {"label_key": "label", "mode": "image", "prob": 1.0}, "image"),
    ("TopologyErrorMap", {}, "pred"),
]
ROOT = Path(__file__).resolve().parents[2]
SHAPES = [(30, 44), (14, 20, 26)]


def case_of(shape):
    image, label = synthetic_vessels(shape, seed=3, num_trees=1, num_branches=4, radius=2)
    meta = {"filename_or_obj": "vessels.nii.gz"}
    affine = torch.diag(torch.tensor([2.0, 1.0, 0.5, 1.0]))
    return {
        key: MetaTensor(torch.from_numpy(array[None]), affine=affine, meta=dict(meta))
        for key, array in (("image", image), ("label", label), ("pred", (image > 0.6).astype(np.float32)))
    }


def every_transform():
    return pytest.mark.parametrize(
        ("name", "settings", "key"), [pytest.param(*row, id=row[0]) for row in ON_ONE_KEY + ON_TWO_KEYS]
    )


def results(value):
    return value if isinstance(value, list) else [value]


def test_every_transform_has_its_row_and_its_aliases():
    names = {name for name in transforms.__all__ if name + "d" in transforms.__all__}
    assert names == {name for name, _, _ in ON_ONE_KEY + ON_TWO_KEYS}
    for name in names:
        version = getattr(transforms, name + "d")
        assert getattr(transforms, name + "D") is getattr(transforms, name + "Dict") is version


@every_transform()
def test_arguments_of_a_dictionary_version_are_keys_and_then_the_settings_by_keyword(name, settings, key):
    array, dictionary = getattr(transforms, name), getattr(transforms, name + "d")
    keys, *others = inspect.signature(dictionary).parameters.values()
    assert keys.name == "keys"
    assert {other.kind for other in others} == {inspect.Parameter.KEYWORD_ONLY}
    assert others[-1].name == "allow_missing_keys"
    defaults = {other.name: other.default for other in others}
    for setting in inspect.signature(array).parameters.values():
        assert defaults[setting.name] == setting.default
    assert ("new_key_prefix" in defaults) == (name != "RandCropByTopology")
    for documented in ("keys", *(other for other in defaults if other not in inspect.signature(array).parameters)):
        assert f"\n    {documented}: " in dictionary.__doc__
    assert dictionary.__doc__.startswith(
        f"Dictionary version of :py:class:`{name}`.\n\n{array.__doc__.splitlines()[0]}"
    )


@every_transform()
def test_wrong_arguments_are_refused_by_the_name_of_the_class(name, settings, key):
    dictionary = getattr(transforms, name + "d")
    with pytest.raises(
        TypeError,
        match=rf"^{name}d: got an unexpected keyword argument 'sigmoid'; it takes `keys` and, by keyword only, ",
    ):
        dictionary(key, **settings, sigmoid=True)
    with pytest.raises(TypeError, match=rf"^{name}d: too many positional arguments"):
        dictionary(key, "label", **settings)
    with pytest.raises(TypeError, match=rf"^{name}d: missing a required argument: 'keys'"):
        dictionary(**settings)


@every_transform()
def test_a_prefix_gives_results_keys_of_their_own(name, settings, key):
    if name == "RandCropByTopology":
        return
    case = case_of(SHAPES[0])
    replaced = seeded(getattr(transforms, name + "d")(key, **settings))(case)
    added = seeded(getattr(transforms, name + "d")(key, new_key_prefix="new_", **settings))(case)
    assert torch.equal(added[f"new_{key}"], replaced[key])
    assert added[key] is case[key]


@pytest.mark.slow
def test_a_type_checker_sees_the_settings_of_dictionary_versions(tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(
        "from monai_topo.transforms import RandCropByTopologyd, TubedSkeletonDict, TubedSkeletond\n"
        "TubedSkeletond(keys='label', radius=2.0, new_key_prefix='tube_')\n"
        "TubedSkeletonDict('label', radios=2.0)\n"
        "TubedSkeletond('label', radius='2')\n"
        "RandCropByTopologyd('image', label_key='label', spatial_size=8, around='ends')\n"
    )
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nfollow_imports = skip\n[mypy-monai_topo.transforms.*]\nfollow_imports = silent\n")
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache", script]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = [line.split(":", 1)[1] for line in run.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[0] for line in lines] == ["3", "4", "5"], run.stdout
    assert 'Unexpected keyword argument "radios"' in lines[0]
    assert 'Argument "radius" to "DictionaryTransform" has incompatible type "str"' in lines[1]


@pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])
@every_transform()
def test_a_dictionary_version_keeps_input_and_metadata_and_survives_pickling(name, settings, key, shape):
    version = getattr(transforms, name + "d")(keys=key, **settings)
    case = case_of(shape)
    before = copy.deepcopy(case)
    first = results(seeded(version)(case))
    assert set(case) == set(before)
    for other in case:
        assert torch.equal(case[other], before[other])
        assert case[other].meta.keys() == before[other].meta.keys()
    again = results(seeded(pickle.loads(pickle.dumps(version)))(case))
    for one, two in zip(first, again, strict=True):
        assert isinstance(one[key], MetaTensor)
        assert one[key].meta["filename_or_obj"] == "vessels.nii.gz"
        assert one[key].meta["affine"].shape == (4, 4)
        assert torch.equal(one[key], two[key])


def seeded(transform):
    return transform.set_random_state(seed=11) if isinstance(transform, Randomizable) else transform


@pytest.mark.parametrize("row", ON_ONE_KEY, ids=lambda row: row[0])
@pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])
def test_array_and_dictionary_give_the_same(row, shape):
    name, settings, key = row
    case = case_of(shape)
    direct = getattr(transforms, name)(**settings)(case[key])
    version = getattr(transforms, name + "d")(keys=[key, "absent"], allow_missing_keys=True, **settings)
    assert torch.equal(direct, version(case)[key])


@pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])
def test_all_run_from_a_bundle_config_in_workers(shape):
    rows = ON_ONE_KEY + ON_TWO_KEYS
    config = {
        f"{name}d": {"_target_": f"monai_topo.transforms.{name}d", "keys": key, **settings}
        for name, settings, key in rows
    }
    parser = ConfigParser(config)
    for name, _, key in rows:
        transform = parser.get_parsed_content(f"{name}d")
        data = CacheDataset([case_of(shape)] * 2, transform=transform, progress=False)
        loaded = next(iter(DataLoader(data, batch_size=2, num_workers=0)))
        assert len(loaded[key]) >= 2
        assert torch.isfinite(loaded[key].float()).all()


def test_a_worker_process_gives_what_the_main_process_gives():
    rows = [row for row in ON_ONE_KEY + ON_TWO_KEYS if not row[0].startswith("Rand")]
    from monai.transforms import Compose

    steps = [getattr(transforms, name + "d")(keys=key, **settings) for name, settings, key in rows]
    data = [{**case_of((20, 28))}]

    class Each(torch.utils.data.Dataset):
        def __len__(self):
            return len(steps)

        def __getitem__(self, index):
            return {"out": Compose([steps[index]])(data[0])[rows[index][2]].as_tensor().float()}

    here = [Each()[index]["out"] for index in range(len(steps))]
    there = [batch["out"][0] for batch in DataLoader(Each(), batch_size=1, num_workers=1)]
    for one, two in zip(here, there, strict=True):
        assert torch.equal(one, two)
