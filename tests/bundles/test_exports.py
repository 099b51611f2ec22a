"""Exports of both networks give the values of the network, for all sizes that they promise, and describe themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import BUNDLES, MEMBRANES, VESSELS, Bundle, Training, in_process

from monai_topo.__main__ import main

quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
STEPS = {2: (8, 8), 3: (8, 8, 4)}  # the network of the included weights shrinks an image by this


def network_of(bundle: Bundle, model: Path, **settings: Any) -> torch.nn.Module:
    network = bundle.workflow("inference.json", "infer", **settings).parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(model, weights_only=True))
    return network.eval()


def loaded(file: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Load an export as its users do, with the files inside it."""
    files = {"metadata.json": "", "inference.json": ""}
    if file.suffix == ".ts":
        module = torch.jit.load(str(file), _extra_files=files)
    else:
        module = torch.export.load(str(file), extra_files=files).module()
    return module, {name: json.loads(text) for name, text in files.items()}


@pytest.mark.slow
@in_process
@quietly
@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_an_export_of_the_included_weights_equals_the_network(bundle: Bundle, suffix: str, tmp_path: Path) -> None:
    model, file = bundle.root / "models" / "model.pt", tmp_path / "out" / f"model{suffix}"
    assert main(["export", str(model), "--bundle", str(bundle.root), "--out", str(file)]) == 0
    assert list(file.parent.iterdir()) == [file]
    exported, files = loaded(file)
    network = network_of(bundle, model)
    steps = STEPS[bundle.spatial_dims]
    torch.manual_seed(0)
    for batch, factors in ((1, (2, 2, 2)), (1, (3, 5, 4)), (3, (4, 2, 3))):
        image = torch.randn(batch, 1, *(step * factor for step, factor in zip(steps, factors, strict=False)))
        with torch.no_grad():
            assert torch.allclose(exported(image), network(image), atol=1e-5), image.shape
    assert files["inference.json"] == json.loads((bundle.configs / "inference.json").read_text())
    metadata = json.loads((bundle.configs / "metadata.json").read_text())
    assert metadata.items() <= files["metadata.json"].items()


@in_process
@quietly
def test_a_model_of_a_run_brings_its_settings(trainings: dict[str, Training], tmp_path: Path) -> None:
    trained, file = trainings[VESSELS.name], tmp_path / "model.ts"
    assert main(["export", str(trained.model), "--bundle", str(VESSELS.root), "--out", str(file)]) == 0
    exported, files = loaded(file)
    settings = {name: VESSELS.tiny[name] for name in ("channels", "strides")}
    assert settings.items() <= files["inference.json"].items()
    image = torch.rand(1, 1, 24, 16, 8)
    with torch.no_grad():
        assert torch.allclose(exported(image), network_of(VESSELS, trained.model, **settings)(image), atol=1e-5)


@in_process
def test_refusals_are_one_sentence_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, root = str(MEMBRANES.root / "models" / "model.pt"), str(MEMBRANES.root)
    (tmp_path / "text.pt").write_text("not a model")
    other, bare = str(VESSELS.root / "models" / "model.pt"), str(tmp_path / "bare.pt")
    torch.save(dict(torch.load(other, weights_only=True)), bare)  # without the settings of the network
    for arguments, sentence in (
        ([model, "--bundle", root, "--out", str(tmp_path / "x.onnx")], "Expected a file that ends in .pt2 or .ts"),
        ([model, "--bundle", str(tmp_path), "--out", str(tmp_path / "x.ts")], "which has no configs/metadata.json"),
        (["absent.pt", "--bundle", root, "--out", str(tmp_path / "x.ts")], "'absent.pt', which does not exist"),
        ([str(tmp_path / "text.pt"), "--bundle", root, "--out", str(tmp_path / "x.ts")], "text.pt"),
        ([other, "--bundle", root, "--out", str(tmp_path / "x.ts")], "`spatial_dims` of"),
        ([bare, "--bundle", root, "--out", str(tmp_path / "x.ts")], "the model is for 3D images"),
    ):
        assert main(["export", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("Error: ")
        assert sentence in error
        assert error.count("\n") == 1
    assert {file.name for file in tmp_path.iterdir()} == {"text.pt", "bare.pt"}
