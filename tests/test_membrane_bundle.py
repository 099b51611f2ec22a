"""The membrane bundle as its users start it: train, evaluate, infer, MONAI's own checks, and every refusal.

A training costs seconds, so one tiny run of two epochs (the first is the warm-up) is shared by the tests that read it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_topo.bundle import SettingsError, check_cases, check_sizes, check_training_settings

ROOT = Path(__file__).resolve().parents[1] / "bundles" / "membrane_2d_segmentation"
CONFIGS = ROOT / "configs"
TINY: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 2,
    "patch_size": [32, 48],
    "topology_patch_size": 16,
    "patches_per_image": 1,
    "channels": [4, 8, 8, 8],
    "synthetic_dataset::shape": [64, 80],
    "synthetic_dataset::num_training": 2,
    "synthetic_dataset::num_validation": 2,
}
NETWORK = {"channels": TINY["channels"], "patch_size": TINY["patch_size"]}
METRICS = {"score", "dice", "betti_error_0", "betti_error_1", "betti_error_0_patches", "betti_error_1_patches"}
# MONAI warns whenever a configuration is read that it may run code: known, and not ours.
in_process = pytest.mark.filterwarnings("ignore:(?s).*resolved to an importable callable")


def bundle(command: str, files: list[str], cwd: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """`python -m monai.bundle COMMAND ...`, as a user would, from a folder of their own."""
    arguments = [sys.executable, "-m", "monai.bundle", command, "--config_file", str([str(CONFIGS / f) for f in files])]
    for name, value in settings.items():
        arguments += [f"--{name}", value if isinstance(value, str) else str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def succeeded(run: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert run.returncode == 0, run.stdout + run.stderr
    return run


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stderr.strip().splitlines()[-1]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working folder of the shared runs."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def trained(home: Path) -> subprocess.CompletedProcess[str]:
    """The shared training; its folder is `home / "runs" / "first"`."""
    settings = {"bundle_root": str(ROOT), "synthetic_dir": "data", "run_dir": "runs/first", **TINY}
    return succeeded(bundle("run", ["train.json"], home, **settings))


@pytest.fixture(scope="module")
def run_dir(home: Path, trained: subprocess.CompletedProcess[str]) -> Path:
    return home / "runs" / "first"


def workflow(name: str, kind: str, **settings: Any) -> ConfigWorkflow:
    return ConfigWorkflow(str(CONFIGS / name), logging_file=False, workflow_type=kind, **settings)


# --- training -------------------------------------------------------------------------------------------------------


def test_training_says_where_everything_lies_and_what_it_came_to(trained: subprocess.CompletedProcess[str]) -> None:
    for path in ("model.pt", "validation.csv", "metrics", "validation.png", "log.txt"):
        assert f"runs/first/{path}" in trained.stdout
    assert "connectivity full, border foreground" in trained.stdout
    table = {line.split(",")[0]: line.split() for line in trained.stdout.splitlines() if ", epoch " in line}
    assert table["before the topology term"][-1] != table["end of training"][-1]
    assert "best score (model.pt)" in table


def test_training_shows_one_progress_bar_and_no_log(trained: subprocess.CompletedProcess[str]) -> None:
    assert "training: 100%" in trained.stderr
    assert len(trained.stderr.splitlines()) < 20
    assert "Epoch: 1/2, Iter" not in trained.stdout


def test_log_and_settings_are_kept(run_dir: Path) -> None:
    assert "Epoch: 2/2, Iter: 1/1 -- loss/base" in (run_dir / "log.txt").read_text()
    assert json.loads((run_dir / "config.json").read_text())["epochs"] == 2


@in_process
def test_model_loads_into_the_network(run_dir: Path) -> None:
    parser = ConfigParser(ConfigParser.load_config_file(CONFIGS / "train.json"))
    parser["channels"] = TINY["channels"]
    network = parser.get_parsed_content("network_def")
    state = torch.load(run_dir / "model.pt", weights_only=True)
    network.load_state_dict(state)
    assert not any(file.suffix == ".part" or file.name.startswith(".") for file in run_dir.iterdir())


def test_history_has_the_end_of_the_warm_up_and_the_end(run_dir: Path) -> None:
    rows = rows_of(run_dir / "validation.csv")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["topology_weight"]) for row in rows] == [0.0, 0.05]
    assert set(rows[0]) == {"epoch", "topology_weight"} | {f"val_{name}" for name in METRICS}
    for row in rows:
        errors = float(row["val_betti_error_0_patches"]) + float(row["val_betti_error_1_patches"])
        assert float(row["val_score"]) == pytest.approx(float(row["val_dice"]) / (1 + errors))


def test_every_case_has_its_metrics(run_dir: Path) -> None:
    for name in METRICS - {"score"}:
        rows = rows_of(run_dir / "metrics" / f"val_{name}_raw.csv")
        assert [Path(row["filename"]).name for row in rows] == ["002.png", "003.png"]


def test_tensorboard_has_the_parts_of_the_loss_the_metrics_and_pictures(run_dir: Path) -> None:
    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    scalars = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert scalars["loss/weight"] == pytest.approx([0.0, 0.05])
    assert len(scalars["loss/topology"]) == 1, "it is not computed in the warm-up"
    assert scalars["loss/total"][0] == scalars["loss/base"][0]
    assert scalars["loss/total"][1] == pytest.approx(scalars["loss/base"][1] + 0.05 * scalars["loss/topology"][0])
    assert {f"val_{name}" for name in METRICS} <= set(scalars)
    pictures = events.Tags()["images"]
    assert {f"case_{case}/{name}" for case in (0, 1) for name in ("input", "label", "prediction")} == set(pictures)
    picture = events.Images("case_0/label")[0]
    assert (picture.height, picture.width) == (64, 80)
    assert len(events.Images("case_0/prediction")) == 2


def test_picture_is_whole(run_dir: Path) -> None:
    with Image.open(run_dir / "validation.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 0


def test_same_seed_same_training(home: Path, run_dir: Path) -> None:
    settings = {"bundle_root": str(ROOT), "synthetic_dir": "data", "run_dir": "runs/second", **TINY}
    succeeded(bundle("run", ["train.json"], home, **settings))
    assert (home / "runs/second/validation.csv").read_text() == (run_dir / "validation.csv").read_text()
    first, second = (torch.load(run / "model.pt", weights_only=True) for run in (run_dir, home / "runs/second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- evaluation and inference ---------------------------------------------------------------------------------------


def test_evaluation_of_the_model_repeats_its_validation(home: Path, run_dir: Path) -> None:
    settings = {"bundle_root": str(ROOT), "synthetic_dir": "data", "run_dir": "eval", **TINY}
    run = succeeded(bundle("run", ["train.json", "evaluate.json"], home, ckpt_path=run_dir / "model.pt", **settings))
    evaluated = rows_of(home / "eval" / "validation.csv")[0]
    best = max(rows_of(run_dir / "validation.csv"), key=lambda row: float(row["val_score"]))
    assert {name: evaluated[name] for name in evaluated if name.startswith("val_")} == {
        name: best[name] for name in best if name.startswith("val_")
    }
    assert "eval/validation.png" in run.stdout
    assert (home / "eval" / "validation.png").is_file()
    assert (home / "eval" / "metrics" / "val_dice_summary.csv").is_file()


def test_printed_commands_run_as_they_stand_and_repeat_the_numbers(home: Path) -> None:
    # Settings unlike the defaults, network included: the commands have to carry them all.
    settings = {**TINY, "connectivity": "face", "border": "open", "strides": [2, 2, 1], "topology_patch_size": [16, 24]}
    places = {"bundle_root": str(ROOT), "synthetic_dir": "data", "run_dir": "runs/unlike"}
    output = succeeded(bundle("run", ["train.json"], home, **places, **settings)).stdout
    commands = {
        line.split()[0]: line.split(maxsplit=1)[1] for line in output.splitlines() if " -m monai.bundle " in line
    }
    for name in ("Evaluate", "Infer"):
        run = subprocess.run(commands[name], shell=True, cwd=home, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        if name == "Evaluate":
            evaluated = next(line.split()[1:] for line in run.stdout.splitlines() if line.startswith("model.pt "))
            best = next(line.split()[-6:] for line in output.splitlines() if line.startswith("best score"))
            assert evaluated == best
            assert "connectivity face, border open" in run.stdout
    assert len(list((home / "runs" / "unlike" / "predictions").rglob("*_mask.png"))) == 4


def test_inference_writes_a_mask_and_a_likelihood_for_each_image(home: Path, run_dir: Path) -> None:
    places = {"bundle_root": str(ROOT), "dataset_dir": "data", "output_dir": "out", "ckpt_path": run_dir / "model.pt"}
    run = succeeded(bundle("run", ["inference.json"], home, save_likelihood=True, **places, **NETWORK))
    assert "4 predictions are in out" in run.stdout
    names = {f"00{case}_{kind}.png" for case in range(4) for kind in ("mask", "likelihood")}
    folder = home / "out" / "images"  # as in the data set, so that equal names of two folders never meet
    assert {file.name for file in folder.iterdir()} == names
    likelihood, mask = (np.asarray(Image.open(folder / f"000_{kind}.png")) for kind in ("likelihood", "mask"))
    assert likelihood.shape == mask.shape == (64, 80)
    assert set(np.unique(mask)) <= {0, 255}
    assert likelihood[mask == 255].min(initial=255) >= 127
    assert likelihood[mask == 0].max(initial=0) <= 128


@in_process
def test_inference_keeps_the_orientation_of_the_input(tmp_path: Path) -> None:
    picture = np.zeros((48, 80), dtype=np.uint8)
    picture[3:9, 50:75] = 255  # top right only: every flip and transpose shows
    Image.fromarray(picture).save(tmp_path / "corner.png")
    run = workflow(
        "inference.json",
        "infer",
        dataset_dir=str(tmp_path),
        images="*.png",
        output_dir=str(tmp_path / "out"),
        network_def={"_target_": "torch.nn.Identity"},  # the mask is then where the image is above its mean
        handlers=[],
    )
    run.initialize()
    run.evaluator.run()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "corner_mask.png")), picture)


# --- MONAI's own checks ---------------------------------------------------------------------------------------------


@in_process
@pytest.mark.parametrize(("name", "kind"), [("train.json", "train"), ("inference.json", "infer")])
def test_properties_are_complete(
    name: str, kind: str, home: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    run = workflow(name, kind, bundle_root=str(ROOT), dataset_dir="data", output_dir=str(tmp_path))
    run.initialize()
    assert run.check_properties() == []
    if kind == "train":
        run.parser.get_parsed_content("tensorboard").close()
        assert run.max_epochs == 80


def test_network_fits_its_description(tmp_path: Path) -> None:
    settings = {"net_id": "network_def", "meta_file": str(CONFIGS / "metadata.json")}
    run = bundle("verify_net_in_out", ["inference.json"], tmp_path, **settings)
    assert "data shape of network is verified with no error" in succeeded(run).stdout


def test_metadata_have_what_the_schema_wants(tmp_path: Path) -> None:
    # Of meta_schema_20240725 only what it requires: the schema itself is MONAI's to publish.
    versions = ["version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"]
    required = [*versions, "schema", "task", "description", "authors", "copyright", "network_data_format"]
    objects = ("changelog", "required_packages_version", "eval_metrics", "supported_apps", "network_data_format")
    schema = {"type": "object", "required": required, "properties": {name: {"type": "object"} for name in objects}}
    file, text = tmp_path / "schema.json", json.dumps(schema)
    file.write_text(text)  # MONAI downloads nothing while a file with this hash lies there
    settings = {"filepath": file, "hash_val": hashlib.sha256(text.encode()).hexdigest(), "hash_type": "sha256"}
    monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), **settings)
    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    tensor_keys = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}
    for tensors in metadata["network_data_format"].values():
        assert all(tensor_keys <= set(tensor) for tensor in tensors.values())


@in_process
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_model_exports_to_torchscript(run_dir: Path, tmp_path: Path) -> None:
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(run_dir / "model.pt"),
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "inference.json"),
        channels=TINY["channels"],
    )
    exported = torch.jit.load(str(tmp_path / "model.ts"))
    assert exported(torch.zeros(1, 1, 32, 48)).shape == (1, 1, 32, 48)


@in_process
@pytest.mark.parametrize("kind", ["train", "inference"])
def test_monai_loads_the_bundle_from_its_folder(kind: str, run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / ROOT.name, ignore=shutil.ignore_patterns("data", "runs", "models"))
    config = tmp_path / ROOT.name / "configs" / f"{kind}.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "channels": TINY["channels"]}))
    (tmp_path / ROOT.name / "models").mkdir()
    shutil.copy(run_dir / "model.pt", tmp_path / ROOT.name / "models" / "model.pt")
    network = monai.bundle.load(ROOT.name, bundle_dir=tmp_path, source="github", workflow_type=kind)
    saved = torch.load(run_dir / "model.pt", weights_only=True)
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


def test_training_and_inference_share_network_and_data() -> None:
    train, inference = (json.loads((CONFIGS / name).read_text()) for name in ("train.json", "inference.json"))
    shared = ("network_def", "channels", "strides", "in_channels", "patch_size", "synthetic_dataset", "synthetic_dir")
    assert {key: train[key] for key in shared} == {key: inference[key] for key in shared}
    steps = {step["_target_"]: step for step in train["train"]["deterministic_transforms"]}
    for step in inference["preprocessing"]["transforms"]:
        assert {**step, "keys": "image"} == {**steps[step["_target_"]], "keys": "image"}


# --- refusals, before the first epoch -------------------------------------------------------------------------------


def test_an_unknown_setting_is_noticed(home: Path) -> None:
    run = bundle("run", ["train.json"], home, bundle_root=str(ROOT), epoch=1)
    assert last_line(run) == (
        "Error: Expected every setting to be one of train.json, but got 'epoch', which nothing reads; "
        "did you mean 'epochs'?"
    )
    assert "Traceback" not in run.stderr


@in_process
@pytest.mark.parametrize(
    ("files", "settings", "sentence"),
    [
        (
            ["train.json"],
            {"bundle_root": "elsewhere"},
            r"Expected `bundle_root` to be the bundle's folder.*--bundle_root",
        ),
        (["train.json"], {"dataset_dir": "nowhere"}, r"Expected `dataset_dir` to be a folder, but got .*nowhere"),
        (["train.json"], {"run_dir": "runs/first"}, r"Expected `run_dir` to be a new folder.*holds a model\.pt"),
        (["train.json"], {"my_own": 3}, r"but got 'my_own', which nothing reads"),
        (["train.json", "evaluate.json"], {"ckpt_path": "none.pt"}, r"trained model, but got 'none\.pt'"),
        (["inference.json"], {"ckpt_path": "none.pt"}, r"trained model, but got 'none\.pt'"),
        (
            ["inference.json"],
            {"images": "*.jpg", "ckpt_path": "runs/first/model.pt"},
            r"but got '\*\.jpg', which finds none",
        ),
    ],
)
def test_runs_are_refused_in_process_too(
    files: list[str],
    settings: dict[str, Any],
    sentence: str,
    home: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    paths = [str(CONFIGS / name) for name in files]
    places = {"bundle_root": str(ROOT), "dataset_dir": "data"}
    tiny = TINY if "train.json" in files else {}
    tiny = {name: value for name, value in tiny.items() if "::" not in name}
    run = ConfigWorkflow(paths, logging_file=False, **{**places, **tiny, **settings})
    run.initialize()
    with pytest.raises((RuntimeError, SettingsError)) as caught:  # MONAI wraps ours in its own
        run.run()
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, SettingsError):
        cause = cause.__cause__
    assert re.search(sentence, str(cause))


GOOD_TRAINING: dict[str, Any] = {
    "epochs": 4,
    "warmup_epochs": 2,
    "val_interval": 1,
    "batch_size": 2,
    "topology_weight": 0.01,
    "learning_rate": 0.001,
    "matching": "wasserstein",
    "connectivity": "full",
    "border": "foreground",
}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "Expected `epochs` to be a whole number of at least 1, but got 0"),
        ({"epochs": "four"}, "Expected `epochs` to be a whole number of at least 1, but got 'four'"),
        ({"warmup_epochs": 5}, "Expected `warmup_epochs` to be at most `epochs`, 4, but got 5"),
        ({"val_interval": 1.5}, "Expected `val_interval` to be a whole number"),
        ({"batch_size": True}, "Expected `batch_size` to be a whole number"),
        ({"topology_weight": -1}, "Expected `topology_weight` to be a number at least 0, but got -1"),
        ({"topology_weight": float("nan")}, "Expected `topology_weight` to be a number"),
        ({"learning_rate": 0}, "Expected `learning_rate` to be a number above 0, but got 0"),
        ({"matching": "best"}, r"Expected `matching` to be one of \('wasserstein', 'rank'\), but got 'best'"),
        ({"connectivity": 8}, r"Expected `connectivity` to be one of \('full', 'face'\), but got 8"),
        ({"border": "closed"}, r"Expected `border` to be one of \('open', 'foreground'\), but got 'closed'"),
    ],
)
def test_impossible_training_settings(settings: dict[str, Any], sentence: str) -> None:
    check_training_settings(**GOOD_TRAINING)
    with pytest.raises(SettingsError, match=sentence):
        check_training_settings(**{**GOOD_TRAINING, **settings})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"patch_size": 128}, r"Expected `patch_size` to be 2 whole numbers such as \[128, 128\], but got 128"),
        ({"patch_size": [64, 64, 64]}, r"Expected `patch_size` to be 2 whole numbers"),
        ({"patch_size": [100, 128]}, r"multiples of 8, .* but got \[100, 128\]; set --patch_size '\[96, 128\]'"),
        ({"topology_patch_size": 129}, r"at most `patch_size`, \[128, 128\], but got 129"),
        (
            {"topology_patch_size": [64, 64, 64]},
            r"Expected `topology_patch_size` to be a whole number, 2 of them, or null",
        ),
    ],
)
def test_impossible_sizes(settings: dict[str, Any], sentence: str) -> None:
    good = {"patch_size": [128, 128], "topology_patch_size": 64, "strides": [2, 2, 2], "spatial_dims": 2}
    check_sizes(**good)
    check_sizes(**{**good, "topology_patch_size": None})
    with pytest.raises(SettingsError, match=sentence):
        check_sizes(**{**good, **settings})


def write_cases(folder: Path, image: np.ndarray, label: np.ndarray) -> None:
    """A data set of one training case and, the same one, one of validation."""
    Image.fromarray(image).save(folder / "image.png")
    Image.fromarray(label).save(folder / "label.png")
    cases = [{"image": "image.png", "label": "label.png"}]
    (folder / "datalist.json").write_text(json.dumps({"training": cases, "validation": cases}))


def check(folder: Path, **settings: Any) -> None:
    defaults: dict[str, Any] = {
        "datalist": "datalist.json",
        "sections": ["training", "validation"],
        "label_foreground": "nonzero",
        "in_channels": 1,
        "smallest_shape": [32, 32],
    }
    check_cases(folder, **{**defaults, **settings})


IMAGE = np.zeros((40, 60), dtype=np.uint8)
LABEL = np.zeros((40, 60), dtype=np.uint8)
LABEL[10, 5:] = 255


@pytest.mark.parametrize(
    ("image", "label", "settings", "sentence"),
    [
        (IMAGE, LABEL, {"sections": ["test"]}, r"to hold a list 'test', but got only"),
        (IMAGE, LABEL, {"datalist": "cases.json"}, r"to hold the datalist 'cases\.json'"),
        (
            IMAGE,
            LABEL[:, :50],
            {},
            r"image\.png and .*label\.png to have the same shape, but got \(60, 40\) and \(50, 40\)",
        ),
        (np.zeros((40, 60, 3), np.uint8), LABEL, {}, r"image\.png to have `in_channels`, 1, channels, but got 3"),
        (IMAGE, np.zeros((40, 60, 3), np.uint8), {}, r"label\.png to have one channel, but got 3"),
        (IMAGE, LABEL + np.eye(40, 60, dtype=np.uint8), {}, r"label\.png: Expected `label` to hold at most one value"),
        (IMAGE, LABEL, {"label_foreground": 7}, r"label\.png: .*foreground value 7.*set `label_foreground`"),
        (
            IMAGE,
            LABEL,
            {"label_foreground": "membrane"},
            r"Expected `label_foreground` to be 'nonzero'.*but got 'membrane'",
        ),
        (
            IMAGE,
            LABEL,
            {"smallest_shape": [64, 32]},
            r"at least as large as `patch_size`, \[64, 32\], but got .*\(60, 40\)",
        ),
        (IMAGE, LABEL, {"smallest_shape": [8, 8, 8]}, r"image\.png to have 3 spatial axes, but got shape \(60, 40\)"),
    ],
)
def test_unfit_cases(
    image: np.ndarray, label: np.ndarray, settings: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    write_cases(tmp_path, image, label)
    with pytest.raises(SettingsError, match=sentence):
        check(tmp_path, **settings)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    write_cases(tmp_path, IMAGE, LABEL)
    (tmp_path / "label.png").write_bytes(b"no picture")
    with pytest.raises(SettingsError, match=r"Expected .*label\.png to be an image, but got"):
        check(tmp_path)
    (tmp_path / "label.png").unlink()
    with pytest.raises(SettingsError, match=r"to exist, but got none at .*label\.png"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("label", "warning"),
    [(LABEL, None), (LABEL * 0, "finds none"), (255 - LABEL, "marks 98 %")],
)
def test_suspicious_polarity_is_a_warning(
    label: np.ndarray, warning: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_cases(tmp_path, IMAGE, label)
    check(tmp_path, sections=["training"])
    if warning is None:
        assert not caplog.records
    else:
        assert warning in caplog.text
        assert "set --label_foreground" in caplog.text


def test_image_in_two_sections_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cases(tmp_path, IMAGE, LABEL)
    check(tmp_path, sections=["training", "validation"])
    assert "got 1 in several of ['training', 'validation']" in caplog.text


# --- real data ------------------------------------------------------------------------------------------------------


def test_real_membranes_train(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "isbi2012"
    cases = json.loads((folder / "datalist.json").read_text())
    few = {"training": cases["training"][:2], "validation": cases["validation"][:1]}
    (tmp_path / "few.json").write_text(json.dumps(few))
    places = {"bundle_root": str(ROOT), "dataset_dir": str(folder), "datalist": str(tmp_path / "few.json")}
    tiny = {"epochs": 1, "warmup_epochs": 0, "patches_per_image": 1, "channels": [4, 8, 8, 8]}
    run = bundle("run", ["train.json"], tmp_path, label_foreground=0, run_dir="run", **places, **tiny)
    assert "marks" not in succeeded(run).stdout
    rows = rows_of(tmp_path / "run" / "validation.csv")
    assert [(row["epoch"], float(row["topology_weight"])) for row in rows] == [("1", 0.05)]
    assert all(float(row[f"val_{name}"]) >= 0 for row in rows for name in METRICS)
