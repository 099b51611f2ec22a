"""A clean-up goes along with a bundle and with an exported network, and gives the masks of the command line."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from bundle_runs import MEMBRANES, VESSELS, Training, in_process
from monai.bundle import ConfigParser
from monai.transforms import LoadImage

from monai_topo.__main__ import main
from monai_topo.bundle import UserError
from monai_topo.bundle.exports import export_network
from monai_topo.data import FormatReader
from monai_topo.transforms import CleanUp

quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def read(path: Path) -> np.ndarray:
    return np.asarray(LoadImage(reader=FormatReader(), image_only=True, ensure_channel_first=True)(path))


def settings_of(trained: Training) -> dict[str, Any]:
    """Return the settings of the inference that the training run prints."""
    words = trained.printed("Infer")
    words = words[words.index("run") + 1 :]

    def literal(text: str) -> Any:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    pairs = {name.removeprefix("--"): literal(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    return {name: value for name, value in pairs.items() if name != "config_file"}


def masks_of(folder: Path, suffix: str) -> dict[str, np.ndarray]:
    found = {path.name: read(path) > 0 for path in sorted(folder.rglob(f"*_mask{suffix}"))}
    assert len(found) == 4
    return found


def served_masks(trained: Training, network: Any, files: dict[str, Any]) -> dict[str, np.ndarray]:
    """Do what a server does with an exported network and its extra files."""
    clean = CleanUp.from_dict(json.loads(files["cleanup.json"]))
    parser = ConfigParser(json.loads(files["inference.json"]))
    parser.update({"patch_size": settings_of(trained)["patch_size"], "device": "$torch.device('cpu')"})
    preprocessing, inferer = (parser.get_parsed_content(name) for name in ("preprocessing", "inferer"))
    masks = {}
    for path in sorted((trained.home / "data" / "images").iterdir()):
        if f"{path.name.split('.')[0]}_mask{trained.bundle.suffix}" in masks_of_cleaned(trained):
            image = preprocessing({"image": path})["image"]
            with torch.no_grad():
                likelihood = inferer(image[None], network)[0].sigmoid()
            name = f"{path.name.split('.')[0]}_mask{trained.bundle.suffix}"
            masks[name] = np.asarray(clean(likelihood)) > 0
    return masks


def masks_of_cleaned(trained: Training) -> dict[str, np.ndarray]:
    return masks_of(trained.cleaned, trained.bundle.suffix)


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, mask in expected.items():
        assert mask.any(), name
        assert np.array_equal(found[name], mask), name


@in_process
@quietly
def test_torchscript_by_monai_carries_the_clean_up(trained: Training, tmp_path: Path) -> None:
    files = [str(trained.bundle.configs / "inference.json"), str(trained.run_dir / "cleanup.json")]
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(trained.model),
        meta_file=str(trained.bundle.configs / "metadata.json"),
        config_file=files,
        **{name: trained.bundle.tiny[name] for name in ("channels", "strides") if name in trained.bundle.tiny},
    )
    extra = {"cleanup.json": "", "inference.json": ""}
    network = torch.jit.load(str(tmp_path / "model.ts"), _extra_files=extra)
    assert_equal(served_masks(trained, network, extra), masks_of_cleaned(trained))


@in_process
@quietly
@pytest.mark.parametrize("suffix", [".ts", ".pt2"])
def test_exported_networks_carry_the_clean_up(suffix: str, trainings: dict[str, Training], tmp_path: Path) -> None:
    trained = trainings[VESSELS.name]
    command = [
        "export",
        str(trained.model),
        "--bundle",
        str(trained.bundle.root),
        "--out",
        str(tmp_path / f"m{suffix}"),
    ]
    assert main([*command, "--cleanup", str(trained.run_dir / "cleanup.json")]) == 0
    extra = {"cleanup.json": "", "inference.json": ""}
    if suffix == ".ts":
        network = torch.jit.load(str(tmp_path / "m.ts"), _extra_files=extra)
    else:
        network = torch.export.load(tmp_path / "m.pt2", extra_files=extra).module()
    assert_equal(served_masks(trained, network, extra), masks_of_cleaned(trained))


@in_process
def test_the_bundle_in_python_gives_the_masks_of_the_command_line(trained: Training, tmp_path: Path) -> None:
    settings = settings_of(trained) | {
        "output_dir": str(tmp_path),
        "dataset_dir": str(trained.home / "data"),
        "ckpt_path": str(trained.model),
        "bundle_root": str(trained.bundle.root),
        "cleanup": str(trained.run_dir / "cleanup.json"),
    }
    for name in ("simplify_min_persistence",):  # the printed arguments of the clean-up turn it off
        settings.pop(name, None)
    run = trained.bundle.workflow("inference.json", "infer", **settings)
    run.initialize()
    run.run()
    assert_equal(masks_of(tmp_path, trained.bundle.suffix), masks_of_cleaned(trained))


def test_a_clean_up_of_another_dimension_is_not_exported(tmp_path: Path) -> None:
    CleanUp(spatial_dims=3).save(tmp_path / "cleanup.json")
    with pytest.raises(UserError, match="for 2 spatial axes, but got one for 3"):
        export_network(
            tmp_path / "model.ts",
            bundle_root=MEMBRANES.root,
            ckpt_path=MEMBRANES.root / "models" / "model.pt",
            cleanup=tmp_path / "cleanup.json",
        )
    assert [file.name for file in tmp_path.iterdir()] == ["cleanup.json"]
