"""What a clean-up chosen on validation cases leaves on test cases, for networks trained by the bundles.

`python docs/study/clean_up.py SET --data DATA --out OUT` trains the bundle of a data set without and with the topology
term, predicts validation and test cases, chooses clean-ups on the former and measures them on the latter. A second
start continues. The table goes to `OUT/SET/clean_up.md`, the numbers of every case to `OUT/SET/clean_up.csv`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from monai.transforms import Compose, EnsureChannelFirst, LoadImage
from numpy.typing import NDArray

from monai_topo import choose_cleanup, topology_report
from monai_topo._utils.io import atomic_write
from monai_topo.data import FormatReader
from monai_topo.transforms import CleanUp, LabelToForeground

ROOT = Path(__file__).resolve().parents[2]
MEMBRANES, VESSELS = (ROOT / "bundles" / name for name in ("membrane_2d_segmentation", "vessel_3d_segmentation"))
METRICS = ["dice", "b0_error", "b1_error", "b2_error", "betti_matching_error", "cldice", "voi"]


@dataclass(frozen=True)
class CleanUpSet:
    """A data set, the bundle that is trained on it, and what its clean-up has to know."""

    bundle: Path
    splits: Mapping[str, Any]  # cases of the data list, training cases before validation cases
    settings: dict[str, Any]
    epochs: int
    weight: float = 0.3
    configs: tuple[str, ...] = ("train.json",)
    connectivity: Any = "full"
    instances: Any = "foreground"
    channels: int = 1


SETS = {
    "isbi2012": CleanUpSet(
        MEMBRANES,
        {"training": range(12), "validation": range(12, 15), "test": range(15, 20)},
        {"label_foreground": 0, "connectivity": "face"},
        epochs=120,
        connectivity="face",
        instances="background",
    ),
    "drive": CleanUpSet(
        MEMBRANES,
        {"training": range(9), "validation": range(9, 12), "test": range(12, 16)},
        {"label_foreground": ">127"},
        epochs=140,
        weight=0.1,
        configs=("train.json", "retina.json"),
        channels=3,
    ),
    "vesselnn": CleanUpSet(
        VESSELS,
        {"training": [1, 2, 3], "validation": [0], "test": [4]},
        {"label_foreground": ">127", "topology_patch_size": [32, 32, 8]},
        epochs=240,
    ),
    # 20 training images with noisy labels; the other labels are accurate.
    "topomortar_full": CleanUpSet(
        MEMBRANES,
        {"training": ("train", "noisy", 20), "validation": ("val", "accurate", 20), "test": ("test", "accurate", 50)},
        {"label_foreground": ">127", "in_channels": 3},
        epochs=30,
        instances="background",
        channels=3,
    ),
}


def lay_out(name: str, data: Path, folder: Path) -> None:
    """Link the files of a data set, one folder per split, and write its data list."""
    listing = {split: list(cases_of(name, data, split)) for split in SETS[name].splits}
    for split, cases in listing.items():
        for case in cases:
            for key, path in case.items():
                link = folder / split / f"{key}s" / Path(path).name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(Path(path).resolve())
                case[key] = str(link.relative_to(folder))
    with atomic_write(folder / "datalist.json") as unfinished:
        unfinished.write_text(json.dumps(listing, indent=1))


def cases_of(name: str, data: Path, split: str) -> Iterator[dict[str, str]]:
    """List the files of one split."""
    chosen = SETS[name].splits[split]
    if name == "topomortar_full":
        part, labels, count = chosen
        for image in sorted((data / name / part / "images").iterdir())[:count]:
            yield {"image": str(image), "label": str(data / name / part / labels / image.name)}
        return
    listed = json.loads((data / name / "datalist.json").read_text())
    cases = [*listed["training"], *listed["validation"]]
    for number in chosen:
        yield {key: str(data / name / path) for key, path in cases[number].items()}


def run_bundle(study_set: CleanUpSet, configs: tuple[str, ...], **settings: Any) -> None:
    """Start a run of the bundle with one thread."""
    files = [str(study_set.bundle / "configs" / name) for name in configs]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)]
    for name, value in {"bundle_root": study_set.bundle, "cpu_threads": 1, **settings}.items():
        command += [f"--{name}", str(value)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def predict(name: str, weight: float, out: Path) -> Path:
    """Train a network, or continue, and predict the likelihoods of validation and test cases; return their folder."""
    study_set, data, run = SETS[name], out / "data", out / f"weight_{weight:g}"
    if not (run / "finished").exists():
        if (run / "checkpoint.pt").exists():
            command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(run / "config.json")]
            subprocess.run([*command, "--bundle_root", str(study_set.bundle), "--resume", str(run)], check=True)
        else:
            settings = {**study_set.settings, "topology_weight": weight, "epochs": study_set.epochs}
            run_bundle(study_set, study_set.configs, dataset_dir=data, run_dir=run, **settings)
        (run / "finished").touch()
    for split in ("validation", "test"):
        if not (run / split / "finished").exists():
            shutil.rmtree(run / split, ignore_errors=True)
            settings = {"connectivity": study_set.connectivity, "in_channels": study_set.channels}
            images = {"dataset_dir": data / split / "images", "images": "*", "output_dir": run / split}
            model = run / "model.pt"
            run_bundle(study_set, ("inference.json",), ckpt_path=model, save_likelihood=True, **images, **settings)
            (run / split / "finished").touch()
    return run


def read_cases(name: str, out: Path, predictions: Path, split: str) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Read likelihoods and labels; outside a field of view both are empty."""
    read = Compose([LoadImage(reader=FormatReader, image_only=True), EnsureChannelFirst()])
    to_mask = LabelToForeground(SETS[name].settings["label_foreground"])
    cases = []
    for case in json.loads((out / "data" / "datalist.json").read_text())[split]:
        stem = Path(case["image"]).name.partition(".")[0]
        [file] = predictions.joinpath(split).glob(f"{stem}_likelihood.*")
        likelihood = np.asarray(read(file))[0] / (255 if file.suffix == ".png" else 1)
        label = np.asarray(to_mask(read(out / "data" / case["label"])))[0]
        if "mask" in case:
            inside = np.asarray(read(out / "data" / case["mask"]))[0] > 0
            likelihood, label = likelihood * inside, label * inside
        cases.append((likelihood.astype(np.float32), label))
    return cases


def measure(name: str, out: Path, weight: float) -> Iterator[dict[str, Any]]:
    """Choose clean-ups on the validation cases and measure them on the test cases."""
    study_set, predictions = SETS[name], predict(name, weight, out)
    shared: dict[str, Any] = {"connectivity": study_set.connectivity, "instances": study_set.instances}
    choice = choose_cleanup(read_cases(name, out, predictions, "validation"), **shared)
    print(choice.table())
    choice.save(predictions / "cleanup.json")
    raw = CleanUp(connectivity=study_set.connectivity)
    variants = {"raw": raw, "by size": choice.best["sizes"], "reconnected": choice.best.get("reconnection", raw)}
    variants["chosen"] = choice.cleanup
    for number, (likelihood, label) in enumerate(read_cases(name, out, predictions, "test")):
        for variant, cleanup in variants.items():
            mask = np.asarray(cleanup(likelihood[None]))[0]
            found = topology_report(mask, label, **shared)
            errors = {f"b{k}_error": found[f"betti_error_{k}"] for k in range(label.ndim)}
            numbers = {key: {**found, **errors}.get(key) for key in METRICS}
            yield {"weight": weight, "clean-up": variant, "case": number, **numbers}


def as_markdown(table: pd.DataFrame) -> str:
    """Format a table with three significant digits, or without decimals from 1000 on."""

    def show(value: str | float) -> str:
        return value if isinstance(value, str) else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    cells = [[show(value) for value in row] for row in table.itertuples(index=False)]
    rows = [list(table.columns), ["---"] * len(table.columns), *cells]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Run the study of the sets named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", nargs="+", choices=SETS, help="data sets")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and tables")
    parser.add_argument("--weights", type=float, nargs="+", help="weights of the topology term; 0 and the set's own")
    options = parser.parse_args()
    for name in options.sets:
        out = options.out.resolve() / name
        if not (out / "data" / "datalist.json").exists():
            lay_out(name, options.data.resolve(), out / "data")
        rows = [row for weight in options.weights or (0.0, SETS[name].weight) for row in measure(name, out, weight)]
        table = pd.DataFrame(rows).dropna(axis="columns", how="all")
        with atomic_write(out / "clean_up.csv") as unfinished:
            table.to_csv(unfinished, index=False, float_format="%.6g")
        means = table.drop(columns="case").groupby(["weight", "clean-up"], sort=False).mean().reset_index()
        with atomic_write(out / "clean_up.md") as unfinished:
            unfinished.write_text(as_markdown(means))
        print(means.to_string(index=False))


if __name__ == "__main__":
    main()
