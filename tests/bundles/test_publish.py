"""A published run: complete or absent, with the numbers of the run, and what the zoo and Hugging Face check."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
import yaml
from bundle_runs import BUNDLES, MEMBRANES, Training, in_process, started, succeeded

from monai_topo.__main__ import main
from monai_topo.bundle import publish

quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
pytestmark = [in_process, quietly]
# The required keys of the schema of a model on Hugging Face, meta_schema_hf_20250321.
REQUIRED = ["schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version"]
REQUIRED += ["required_packages_version", "name", "task", "description", "authors", "copyright", "huggingface_url"]


def published(trained: Training, out: Path, *options: str) -> int:
    bundle = ["--bundle", str(trained.bundle.root), "--repository", "somebody/a-model"]
    return main(["publish", str(trained.run_dir), "--out", str(out), *bundle, *options])


@pytest.fixture(scope="module", params=[bundle.name for bundle in BUNDLES])
def folder(
    request: pytest.FixtureRequest, trainings: dict[str, Training], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Training, Path]:
    trained = trainings[request.param]
    out = tmp_path_factory.mktemp("published") / trained.bundle.name
    assert published(trained, out, "--authors", "A | B <i>", "--version", "1.2.3", "--changes", "trained") == 0
    return trained, out


def head_and_card(out: Path) -> tuple[dict[str, Any], str]:
    head, card = (out / "README.md").read_text().removeprefix("---\n").split("\n---\n", maxsplit=1)
    return yaml.safe_load(head), card


def test_the_card_has_the_numbers_of_the_best_validation(folder: tuple[Training, Path]) -> None:
    trained, out = folder
    with (trained.run_dir / "validation.csv").open(newline="") as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["val_score"]))
    head, card = head_and_card(out)
    [model] = head["model-index"]
    [results] = model["results"]
    stated = {metric["type"]: metric["value"] for metric in results["metrics"]}
    expected = {name.removeprefix("val_"): float(value) for name, value in best.items() if name.startswith("val_")}
    assert stated == expected
    for name, value in expected.items():
        assert f"| {name.replace('_', ' ')} | {value:.4g} |" in card
    tiny = trained.bundle.tiny
    convention = f"connectivity {tiny.get('connectivity', 'full')}, border {tiny.get('border', 'foreground')}"
    assert f"Means over 2 validation cases at epoch {best['epoch']}, whose weights these are ({convention})" in card
    assert (trained.run_dir / "cleanup.txt").read_text().strip() in card
    assert f"| channels | `{tiny['channels']}` |" in card
    assert json.loads((out / "configs" / "metadata.json").read_text())["eval_metrics"] == expected


def test_texts_of_the_user_are_shown_as_they_are(folder: tuple[Training, Path]) -> None:
    _, out = folder
    assert "### **Authors**\n\nA \\| B \\<i\\>\n" in head_and_card(out)[1]
    assert json.loads((out / "metadata.json").read_text())["authors"] == "A | B <i>"


def test_hugging_face_finds_its_three_files(folder: tuple[Training, Path]) -> None:
    trained, out = folder
    metadata = json.loads((out / "metadata.json").read_text())
    assert set(REQUIRED) <= set(metadata)
    assert metadata["schema"].endswith("/meta_schema_hf_20250321.json")
    assert metadata["huggingface_url"] == "https://huggingface.co/somebody/a-model"
    assert metadata["version"] == "1.2.3"
    assert metadata["changelog"]["1.2.3"] == "trained"
    assert (out / "LICENSE").read_text() == (trained.bundle.root / "LICENSE").read_text()
    head, card = head_and_card(out)
    assert head["license"] == "apache-2.0"
    assert head["library_name"] == "monai"
    assert card.strip() == (out / "docs" / "README.md").read_text().strip()


def test_the_library_of_hugging_face_reads_the_card(folder: tuple[Training, Path]) -> None:
    hub = pytest.importorskip("huggingface_hub")
    _, out = folder
    read = hub.ModelCard.load(out / "README.md").data
    [model] = head_and_card(out)[0]["model-index"]
    assert {result.metric_type: result.metric_value for result in read.eval_results} == {
        metric["type"]: metric["value"] for metric in model["results"][0]["metrics"]
    }


def test_the_published_network_is_that_of_the_run(folder: tuple[Training, Path], tmp_path: Path) -> None:
    trained, out = folder
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(out / "configs" / "metadata.json"),
        config_file=str(out / "configs" / "inference.json"),
        device="cpu",
    )
    network = monai.bundle.load(out.name, bundle_dir=out.parent, source="github")
    of_run = torch.load(trained.model, weights_only=True)
    assert {name: weights.shape for name, weights in network.state_dict().items()} == {
        name: weights.shape for name, weights in of_run.items()
    }
    assert {file.name for file in (out / "models").iterdir()} == {"model.pt", "model.pt2", "model.ts", "cleanup.json"}
    command = trained.printed("Infer")
    for name, path in (("--bundle_root", out), ("--ckpt_path", out / "models" / "model.pt")):
        command[command.index(name) + 1] = str(path)
    start = command.index("--config_file")
    command[start + 1] = str(out / "configs" / "inference.json")
    kept = ("--bundle_root", "--config_file", "--ckpt_path", "--dataset_dir", "--images")
    settings = [word for name in kept for word in command[command.index(name) : command.index(name) + 2]]
    run = [*command[: command.index("--bundle_root")], *settings, "--output_dir", str(tmp_path)]
    succeeded(started(run, trained.home))
    assert trained.inference.returncode == 0
    expected = sorted((trained.run_dir / "predictions").rglob(f"*_mask{trained.bundle.suffix}"))
    assert len(expected) == 4
    for mask in expected:
        [found] = tmp_path.rglob(mask.name)
        assert found.read_bytes() == mask.read_bytes()


def test_refusals_are_one_sentence_and_write_nothing(
    trainings: dict[str, Training], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = trainings[MEMBRANES.name]
    own = tmp_path / "own"
    shutil.copytree(trained.run_dir, own)
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "dataset_dir": "my_data"}))
    (broken := tmp_path / "broken").mkdir()
    for name in ("config.json", "model.pt", "validation.csv"):
        shutil.copy(trained.run_dir / name, broken)
    (broken / "validation.csv").write_text("epoch\n")
    (full := tmp_path / "full").mkdir()
    (full / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    out = str(tmp_path / "out")
    run, bundle = str(trained.run_dir), ["--bundle", str(MEMBRANES.root)]
    for arguments, sentence in (
        ([str(tmp_path), "--out", out, "--repository", "a/b"], "which has no config.json"),
        ([str(broken), "--out", out, "--repository", "a/b", *bundle], "the files of a finished training run"),
        ([run, "--out", out, "--repository", "a/b", "--bundle", str(tmp_path)], "name it by --bundle"),
        ([run, "--out", str(full), "--repository", "a/b", *bundle], "a new or empty folder"),
        ([run, "--out", out, "--repository", "a model", *bundle], "OWNER/NAME, but got 'a model'"),
        ([run, "--out", out, "--repository", "a/b", *bundle, "--version", "1.0.0"], "--changes together"),
        ([run, "--out", out, "--repository", "a/b", *bundle, "--version", "v1", "--changes", "x"], "three numbers"),
        ([run, "--out", out, "--repository", "a/b", *bundle, "--data-license", "absent"], "to be a file"),
        ([str(own), "--out", out, "--repository", "a/b", *bundle], "--data-source for a model that was trained on"),
    ):
        assert main(["publish", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("Error: ")
        assert sentence in error
        assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_leaves_nothing(
    trainings: dict[str, Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "export_network", fail)
    assert published(trainings[MEMBRANES.name], tmp_path / "out") == 2
    assert list(tmp_path.iterdir()) == []
