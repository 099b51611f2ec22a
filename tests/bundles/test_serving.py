"""Requirements of MONAI's tools for bundles: properties, metadata, loading, export, sliders, federated learning."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from bundle_runs import BUNDLES, MEMBRANES, Bundle, Training, in_process

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@in_process
@pytest.mark.parametrize(("name", "kind"), [("train.json", "train"), ("inference.json", "infer")])
def test_properties_are_complete(
    name: str, kind: str, trained: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained.process.returncode == 0
    monkeypatch.chdir(trained.home)
    root = str(trained.bundle.root)
    run = trained.bundle.workflow(name, kind, bundle_root=root, dataset_dir="data", output_dir=str(tmp_path))
    run.initialize()
    assert run.check_properties() == []
    if kind == "train":
        run.parser.get_parsed_content("tensorboard").close()
        assert run.max_epochs == 80


@in_process
@each_bundle
def test_network_fits_its_description(bundle: Bundle) -> None:
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle.configs / "metadata.json"),
        config_file=str(bundle.configs / "inference.json"),
        device="cpu",
    )


@each_bundle
def test_metadata_have_the_required_keys_of_the_schema(bundle: Bundle, tmp_path: Path) -> None:
    # Only the required keys of meta_schema_20240725; the schema itself is not part of this repository.
    versions = ["version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"]
    required = [*versions, "schema", "task", "description", "authors", "copyright", "network_data_format"]
    required += ["changelog", "supported_apps"]
    objects = ("changelog", "required_packages_version", "eval_metrics", "supported_apps", "network_data_format")
    schema = {"type": "object", "required": required, "properties": {name: {"type": "object"} for name in objects}}
    file, text = tmp_path / "schema.json", json.dumps(schema)
    file.write_text(text)  # MONAI does not download the schema if a file with this hash exists
    settings = {"filepath": file, "hash_val": hashlib.sha256(text.encode()).hexdigest(), "hash_type": "sha256"}
    monai.bundle.verify_metadata(meta_file=str(bundle.configs / "metadata.json"), **settings)
    metadata = json.loads((bundle.configs / "metadata.json").read_text())
    tensor_keys = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}
    for tensors in metadata["network_data_format"].values():
        for tensor in tensors.values():
            assert tensor_keys <= set(tensor)
            assert len(tensor["spatial_shape"]) == bundle.spatial_dims
    assert metadata["version"] in metadata["changelog"]


@in_process
@quietly
def test_model_exports_to_torchscript(trained: Training, tmp_path: Path) -> None:
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        **export_settings(trained),
    )
    image = torch.rand(1, 1, *(32, 48, 16)[: trained.bundle.spatial_dims])
    exported = torch.jit.load(str(tmp_path / "model.ts"))(image)
    network = network_of(trained)
    assert exported.shape == image.shape
    assert torch.allclose(exported, network(image), atol=1e-4)


@in_process
@quietly
def test_model_exports_to_onnx(trained: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # MONAI leaves a file with weights there
    image = torch.rand(1, 1, *(32, 48, 16)[: trained.bundle.spatial_dims])
    monai.bundle.onnx_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.onnx"),
        input_shape=list(image.shape),
        **export_settings(trained),
    )
    (alone := tmp_path / "alone").mkdir()  # the weights must be in the file itself
    (tmp_path / "model.onnx").rename(alone / "model.onnx")
    session = runtime.InferenceSession(str(alone / "model.onnx"), providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    assert torch.allclose(torch.from_numpy(exported), network_of(trained)(image), atol=1e-4)


def export_settings(trained: Training) -> dict[str, Any]:
    files = {name: str(trained.bundle.configs / f"{name}.json") for name in ("metadata", "inference")}
    arguments = {"ckpt_file": str(trained.model), "meta_file": files["metadata"], "config_file": files["inference"]}
    return {**arguments, **network_settings(trained)}


def network_settings(trained: Training) -> dict[str, Any]:
    return {name: value for name, value in trained.bundle.tiny.items() if name in ("channels", "strides")}


def network_of(trained: Training) -> torch.nn.Module:
    workflow = trained.bundle.workflow("inference.json", "infer", **network_settings(trained))
    network = workflow.parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(trained.model, weights_only=True))
    return network.eval()


@in_process
@each_bundle
@pytest.mark.parametrize("kind", ["train", "inference"])
def test_monai_loads_the_bundle_with_its_shipped_weights(kind: str, bundle: Bundle, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("data", "runs", "eval", "predictions")
    shutil.copytree(bundle.root, tmp_path / bundle.name, ignore=ignored)
    network = monai.bundle.load(bundle.name, bundle_dir=tmp_path, source="github", workflow_type=kind)
    file = bundle.root / "models" / "model.pt"
    assert file.stat().st_size < 5 * 2**20
    saved = torch.load(file, weights_only=True)
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


@each_bundle
def test_training_and_inference_share_network_and_data(bundle: Bundle) -> None:
    train, inference = (json.loads((bundle.configs / name).read_text()) for name in ("train.json", "inference.json"))
    shared = ("network_def", "channels", "strides", "in_channels", "patch_size", "synthetic_dataset", "synthetic_dir")
    assert {key: train[key] for key in shared} == {key: inference[key] for key in shared}
    # A viewer changes the values in `displayable_configs`, so inference reads them there.
    at_viewer = {**train["validate"]["inferer"], "overlap": "@displayable_configs::sliding_window_overlap"}
    assert inference["inferer"] == at_viewer
    steps = {step["_target_"]: step for step in train["train"]["deterministic_transforms"]}
    for step in inference["preprocessing"]["transforms"]:
        assert {**step, "keys": "image"} == {**steps[step["_target_"]], "keys": "image"}


@each_bundle
def test_the_pipeline_reads_the_sliders_of_monai_label(bundle: Bundle) -> None:
    # MONAI Label changes `displayable_configs` and nothing else; `test_monai_label.py` asks its server.
    inference = json.loads((bundle.configs / "inference.json").read_text())
    sliders = dict(inference["displayable_configs"])
    assert sliders.pop("use_cleanup") == "$@cleanup is not None"
    for name, reference in sliders.items():
        assert reference == f"@{name}"
        assert isinstance(inference[name], (int, float))
    steps = {name: json.dumps(inference[name]) for name in ("inferer", "to_mask", "postprocessing")}
    for name in (*sliders, "use_cleanup"):
        assert any(f"@displayable_configs::{name}" in step for step in steps.values()), name
        assert not any(f"@{name}" in step for step in steps.values()), name


@in_process
@quietly
def test_federated_clients_find_weights_and_trainer(trainings: dict[str, Training], tmp_path: Path) -> None:
    from monai.fl.client import MonaiAlgo
    from monai.fl.utils.constants import ExtraItems
    from monai.fl.utils.exchange_object import ExchangeObject

    shared = trainings[MEMBRANES.name]
    assert shared.process.returncode == 0
    root = tmp_path / MEMBRANES.name
    shutil.copytree(MEMBRANES.root, root, ignore=shutil.ignore_patterns("data", "runs", "eval", "predictions"))
    client = MonaiAlgo(
        bundle_root=str(root),
        local_epochs=1,
        config_train_filename="configs/train.json",
        config_evaluate_filename=None,
        config_filters_filename=None,
        train_kwargs={
            "dataset_dir": str(shared.home / "data"),
            "run_dir": str(tmp_path / "client"),
            "epochs": 1,
            "patch_size": [32, 48],
            "topology_patch_size": 16,
            **MEMBRANES.tiny,
        },
    )
    client.initialize(extra={ExtraItems.CLIENT_NAME: "client"})
    network = client.trainer.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    client.train(data=ExchangeObject(weights={name: value.numpy() for name, value in before.items()}), extra={})
    weights = client.get_weights(extra={}).weights
    assert set(weights) == set(before)
    assert any((abs(weights[name]) > 0).any() for name in weights)
    client.train_workflow.parser.get_parsed_content("tensorboard").close()
