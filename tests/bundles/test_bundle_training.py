"""A training run of each bundle: its output, files, log and report."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_runs import BUNDLES, MEMBRANES, Bundle, Training, in_process, printed_metrics, rows_of, succeeded
from monai.bundle import ConfigParser
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_topo.bundle import fingerprint
from monai_topo.bundle.report import case_rows


def test_training_prints_paths_and_metrics(trained: Training) -> None:
    output = trained.process.stdout
    for path in ("model.pt", "validation.csv", "metrics", "validation.png", "log.txt", "report.md"):
        assert f"run/{path}" in output
    tiny = trained.bundle.tiny
    assert f"connectivity {tiny.get('connectivity', 'full')}, border {tiny.get('border', 'foreground')}" in output
    for moment in ("before the topology term, epoch 1", "end of training, epoch 2", "best score (model.pt), epoch"):
        assert moment in output
    table = printed_metrics(trained.process)
    assert list(table) == trained.bundle.metrics
    for name, values in table.items():
        found = [float(row[f"val_{name}"]) for row in (*trained.validations, trained.best)]
        assert values == pytest.approx(found, abs=5e-4)


def test_training_shows_one_progress_bar_and_no_log(trained: Training) -> None:
    assert "training: 100%" in trained.process.stderr
    assert len(trained.process.stderr.splitlines()) < 20
    assert "Epoch: 1/2, Iter" not in trained.process.stdout


def test_log_and_settings_are_kept(trained: Training) -> None:
    assert "Epoch: 2/2, Iter: 2/2 -- loss/base" in (trained.run_dir / "log.txt").read_text()
    assert json.loads((trained.run_dir / "config.json").read_text())["epochs"] == 2


@in_process
def test_model_loads_into_the_network(trained: Training) -> None:
    parser = ConfigParser(ConfigParser.load_config_file(trained.bundle.configs / "train.json"))
    for name, value in trained.bundle.tiny.items():
        parser[name] = value
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(trained.model, weights_only=True))
    assert [file.name for file in trained.run_dir.iterdir() if file.name.startswith(".")] == [".lock"]


@in_process
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_support_of_the_settings_is_that_of_the_loss(bundle: Bundle) -> None:
    parser = ConfigParser(ConfigParser.load_config_file(bundle.configs / "train.json"))
    assert parser["support"] == 0.2
    parser["support"] = 0.35
    assert parser.get_parsed_content("loss").topology.support == 0.35


def test_history_has_the_end_of_the_warm_up_and_the_end(trained: Training) -> None:
    rows, dims = trained.validations, trained.bundle.spatial_dims
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["topology_weight"]) for row in rows] == [0.0, trained.bundle.topology_weight]
    assert list(rows[0]) == ["epoch", "topology_weight", *(f"val_{name}" for name in trained.bundle.metrics)]
    for row in rows:
        errors = sum(float(row[f"val_betti_error_{dim}_patches"]) for dim in range(dims))
        assert float(row["val_score"]) == pytest.approx(float(row["val_dice"]) / (1 + errors))


def test_every_case_has_its_metrics(trained: Training) -> None:
    for name in trained.bundle.metrics[1:]:
        rows = rows_of(trained.run_dir / "metrics" / f"val_{name}_raw.csv")
        assert [Path(row["filename"]).name for row in rows] == [f"00{case}{trained.bundle.suffix}" for case in (2, 3)]
    assert not any(entry.name.startswith(".") for entry in (trained.run_dir / "metrics").iterdir())


def test_tensorboard_has_the_parts_of_the_loss_the_metrics_and_pictures(trained: Training) -> None:
    events = EventAccumulator(str(trained.run_dir / "tensorboard"))
    events.Reload()
    scalars = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    weight = trained.bundle.topology_weight
    assert scalars["loss/weight"] == pytest.approx([0.0, 0.0, weight, weight])
    assert len(scalars["loss/topology"]) == 2, "it is not computed in the warm-up"
    assert scalars["loss/total"][:2] == scalars["loss/base"][:2]
    assert scalars["loss/total"][2] == pytest.approx(scalars["loss/base"][2] + weight * scalars["loss/topology"][0])
    assert {f"val_{name}" for name in trained.bundle.metrics} <= set(scalars)
    assert [event.step for event in events.Scalars("val_score")] == [2, 4], "steps, as for the loss"
    pictures = events.Tags()["images"]
    panels = {f"case_{case}/{name}" for case in (0, 1) for name in ("input", "label", "prediction")}
    assert set(pictures) == {*panels, "legend"}
    shape = (64, 80) if trained.bundle is MEMBRANES else (56, 40)  # of a volume the longest two axes, y before x
    picture = events.Images("case_0/label")[0]
    assert (picture.height, picture.width) == shape
    assert [event.step for event in events.Images("case_0/prediction")] == [2, 4]


def test_pictures_can_be_read(trained: Training) -> None:
    for name in ("validation.png", "curves.png"):
        with Image.open(trained.run_dir / name) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 0


def test_report_has_numbers_cases_settings_and_origins(trained: Training) -> None:
    page = (trained.run_dir / "report.md").read_text()
    lines = page.splitlines()
    cases = [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| 00")]
    assert sorted(cases) == [f"00{case}{trained.bundle.suffix}" for case in (2, 3)]
    assert f"| epochs | `{2}` |" in lines
    assert f"| seed | {0} |" in lines
    assert any(line.startswith(f"| torch | {torch.__version__}") for line in lines)
    data = trained.home / "data"
    entries = json.loads((data / "datalist.json").read_text())
    files = [data / case[key] for part in ("training", "validation") for case in entries[part] for key in case]
    assert f"8 files, fingerprint `{fingerprint(files)}`" in page
    for link in ("curves.png", "validation.png"):
        assert f"]({link})" in page
        assert (trained.run_dir / link).is_file()


def test_the_worst_case_comes_first(tmp_path: Path) -> None:
    def write(metric: str, values: list[float]) -> None:
        rows = [f"/data/{name}.png,{value},{value}" for name, value in zip("abc", values, strict=True)]
        (tmp_path / f"val_{metric}_raw.csv").write_text("\n".join(["filename,class0,mean", *rows]) + "\n")

    write("dice", [0.9, 0.8, 0.7])
    write("betti_error_0_patches", [2.0, 0.0, 0.5])
    assert [row["case"] for row in case_rows(tmp_path)] == ["a.png", "c.png", "b.png"]  # 0.3, 0.467, 0.8


def test_fingerprint_follows_every_byte_and_no_name(tmp_path: Path) -> None:
    first, second, series = tmp_path / "first.bin", tmp_path / "second.bin", tmp_path / "series"
    series.mkdir()
    first.write_bytes(b"abc")
    (series / "0.dcm").write_bytes(b"abc")
    second.write_bytes(b"abd")
    assert fingerprint([first]) == fingerprint([series])
    assert len({fingerprint([first]), fingerprint([second]), fingerprint([first, second]), fingerprint([])}) == 4


@in_process
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_learning_rate_rises_and_falls_and_gradients_accumulate(bundle: Bundle, tmp_path: Path) -> None:
    run = bundle.workflow("train.json", "train", learning_rate=0.01, epochs=10, lr_warmup_epochs=2)
    schedule = run.parser.get_parsed_content("lr_scheduler")
    rates = []
    for _ in range(10):
        rates.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    assert rates[:3] == pytest.approx([0.001, 0.0055, 0.01])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] >= 0.0004  # `final_learning_rate`
    trainer = json.loads((bundle.configs / "train.json").read_text())["train"]["trainer"]
    assert trainer["accumulation_steps"] == "@accumulation_steps"


def test_both_bundles_have_the_same_keys_in_the_same_order() -> None:
    for name in ("train", "evaluate", "inference", "smoke", "multi_gpu_train", "multi_gpu_evaluate", "metadata"):
        first, second = (json.loads((bundle.configs / f"{name}.json").read_text()) for bundle in BUNDLES)
        assert list(first) == list(second)
    first, second = (json.loads((bundle.configs / "train.json").read_text()) for bundle in BUNDLES)
    assert list(first["train"]) == list(second["train"])
    assert list(first["validate"]) == list(second["validate"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "files", "data", "settings"),
    [
        (MEMBRANES, ["train.json"], "isbi2012", {"label_foreground": 0}),
        (MEMBRANES, ["train.json", "retina.json"], "drive", {}),
        (BUNDLES[1], ["train.json"], "vesselnn", {"patch_size": [64, 64, 8], "topology_patch_size": [32, 32, 8]}),
    ],
    ids=["isbi2012", "drive", "vesselnn"],
)
def test_real_images_train(
    bundle: Bundle, files: list[str], data: str, settings: dict[str, object], shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / data
    cases = json.loads((folder / "datalist.json").read_text())
    few = {"training": cases["training"][1:2], "validation": cases["training"][2:3]}
    (tmp_path / "few.json").write_text(json.dumps(few))
    places = {"dataset_dir": str(folder), "datalist": str(tmp_path / "few.json"), "run_dir": "run"}
    tiny = {"epochs": 1, "warmup_epochs": 0, "patches_per_image": 1, "sliding_window_overlap": 0, **bundle.tiny}
    tiny["determine_cleanup"] = False  # noise of a network after one epoch takes minutes to clean up in 3D
    run = bundle.run(files, tmp_path, **places, **tiny, **settings)
    assert "marks" not in succeeded(run).stdout
    infer = next(line for line in run.stdout.splitlines() if line.startswith("Infer "))
    pattern = shlex.split(infer)[shlex.split(infer).index("--images") + 1]
    assert set(folder.glob(pattern)) >= {folder / case["image"] for case in few["validation"]}
    rows = rows_of(tmp_path / "run" / "validation.csv")
    configs = [json.loads((bundle.configs / name).read_text()) for name in files]
    weight = next(config["topology_weight"] for config in reversed(configs) if "topology_weight" in config)
    assert [(row["epoch"], float(row["topology_weight"])) for row in rows] == [("1", weight)]
    assert all(float(row[f"val_{name}"]) >= 0 for row in rows for name in bundle.metrics)


@in_process
def test_the_outside_of_the_field_of_view_does_not_count(tmp_path: Path) -> None:
    paths = [str(MEMBRANES.configs / name) for name in ("train.json", "retina.json")]
    parser = ConfigParser(ConfigParser.load_config_files(paths))
    parser["in_channels"] = 1
    label, mask = torch.zeros(1, 12, 15), torch.ones(1, 12, 15)
    label[:, 5], mask[..., 9:] = 1, 0
    case = {"image": torch.rand(1, 12, 15), "label": label, "mask": mask}
    masked = parser.get_parsed_content("train::random_transforms")[-1](case)["label"]
    assert torch.equal(masked == 255, mask == 0)
    loss = parser.get_parsed_content("loss")
    loss.set_weight(1.0)
    loss.topology.patch_size = None
    logits = torch.randn(1, 1, 12, 15)
    elsewhere = logits.clone()
    elsewhere[..., 9:] += 3
    assert loss(logits, masked[None]) == loss(elsewhere, masked[None])
    last = parser.get_parsed_content("validate::postprocessing").transforms[-1]
    counted = last({"pred": torch.ones(1, 12, 15), "label": label, "mask": mask})
    assert counted["pred"].sum() == mask.sum()
    assert counted["label"].sum() == 9
