"""The report of a run: one Markdown page with metrics, curves, cases, pictures, settings and versions."""

from __future__ import annotations

import csv
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.utils import optional_import

from monai_topo._utils.distributed import world_size
from monai_topo._utils.formats import package_version
from monai_topo._utils.io import atomic_write
from monai_topo.bundle.cases import fingerprint
from monai_topo.bundle.cleanup import CLEANUP_TABLE
from monai_topo.bundle.settings import running_config
from monai_topo.data.datalists import load_datalist

Figure, _ = optional_import("matplotlib.figure", name="Figure")

__all__ = ["case_rows", "write_report"]

_PACKAGES = (
    "monai_topo",
    "monai",
    "torch",
    "numpy",
    "gudhi",
    "nibabel",
    "itk",
    "pytorch-ignite",
    "scikit-image",
    "scipy",
)
Row = Mapping[str, str]


def write_report(run_dir: str | os.PathLike[str], history: Sequence[Row], sections: Sequence[str]) -> Path:
    """Write `report.md`, and `curves.png` after several validations, into a run's folder.

    Args:
        run_dir: Folder of the run, with MetricsSaver's files in `metrics/`.
        history: Validations of the run, the rows of `validation.csv`.
        sections: Sections of the datalist that the run used, for the fingerprint of the data.

    Returns:
        The path of the page. The page and its pictures are written atomically.

    Cost: Reads all data once for the fingerprint.
    """
    folder = Path(run_dir)
    config = running_config().get()
    parts = [f"# Run {folder.name}", _results(history, config)]
    if len(history) > 1:
        _draw_curves(folder / "curves.png", history)
        parts.append("## Curves\n\n![metrics of every validation](curves.png)")
    if (table := folder / CLEANUP_TABLE).exists():
        parts.append(f"## Clean-up\n\nChosen on the validation cases.\n\n```\n{table.read_text(encoding='utf-8')}```")
    parts += [
        f"## Cases\n\nLatest validation, worst cases first.\n\n{_table(case_rows(folder / 'metrics'))}",
        "## Pictures\n\nWarm colors: missing from the prediction; cool colors: spurious.\n\n![cases](validation.png)",
        f"## Settings\n\n{_table(_settings(config))}",
        f"## Made with\n\n{_table(_provenance(config, sections))}",
    ]
    page = folder / "report.md"
    with atomic_write(page) as unfinished:
        unfinished.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def case_rows(folder: Path) -> list[dict[str, str]]:
    """Read MetricsSaver's files as one row per case, worst first: by Dice / (1 + patch-wise Betti errors)."""
    cases: dict[str, dict[str, str]] = {}
    for file in sorted(folder.glob("val_*_raw.csv")):
        name = file.name.removesuffix("_raw.csv").removeprefix("val_")
        with file.open(newline="", encoding="utf-8") as table:
            for number, row in enumerate(csv.reader(table)):
                if number > 0:  # file name, value per class, mean
                    cases.setdefault(row[0], {"case": Path(row[0]).name})[name] = f"{float(row[-1]):.4g}"
    return sorted(cases.values(), key=_score)


def _score(row: Mapping[str, str]) -> float:
    errors = [
        float(value) for name, value in row.items() if name.startswith("betti_error") and name.endswith("patches")
    ]
    return float(row.get("dice", 0)) / (1 + sum(errors))


def _results(history: Sequence[Row], config: Mapping[str, Any]) -> str:
    names = [name for name in history[0] if name.startswith("val_")]
    rows = [
        {"epoch": row["epoch"], "topology weight": row["topology_weight"]}
        | {name.removeprefix("val_"): f"{float(row[name]):.4g}" for name in names}
        for row in history
    ]
    convention = f"connectivity {config['connectivity']}, border {config['border']}"
    return f"## Validations\n\nMeans over the cases. Betti errors per dimension, {convention}.\n\n{_table(rows)}"


def _settings(config: Mapping[str, Any]) -> list[dict[str, str]]:
    plain = {name: value for name, value in config.items() if isinstance(value, (str, int, float, list, type(None)))}
    omitted = {"imports", "initialize", "run", "finalize"}
    return [{"setting": name, "value": f"`{value}`"} for name, value in plain.items() if name not in omitted]


def _provenance(config: Mapping[str, Any], sections: Sequence[str]) -> list[dict[str, str]]:
    parser = running_config()
    parsed = {
        name: parser.get_parsed_content(name) for name in ("dataset_dir", "datalist", "file_keys", "device", "seed")
    }
    files = [
        file
        for section in sections
        for case in load_datalist(
            parsed["dataset_dir"],
            section,
            datalist=parsed["datalist"],
            file_keys=parsed["file_keys"],
            allow_outside=True,  # the run has asked, or was refused
        )
        for file in case.values()
    ]
    rows = {
        "data": f"{len(files)} files, fingerprint `{fingerprint(files)}`",
        "seed": str(parsed["seed"]),
        "device": f"{parsed['device']}, {world_size()} process(es), {torch.get_num_threads()} threads",
        "peak memory of the first process": _peak_memory(),
        "Python": f"{platform.python_version()} on {platform.platform()}",
    }
    if torch.cuda.is_available():
        rows["peak GPU memory"] = f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB"
    rows |= {name: package_version(name) for name in _PACKAGES}
    return [{"what": name, "value": value} for name, value in rows.items()]


def _peak_memory() -> str:
    if sys.platform == "win32":  # Python has no module `resource` there
        return "not measured"
    import resource

    unit_bytes = 1 if sys.platform == "darwin" else 2**10
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 2**20:.0f} MiB"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return "(none)"
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row.get(name, "") for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _draw_curves(path: Path, history: Sequence[Row]) -> None:
    names = [name for name in history[0] if name.startswith("val_")]
    epochs = [int(row["epoch"]) for row in history]
    weighted = [epoch for epoch, row in zip(epochs, history, strict=True) if float(row["topology_weight"] or 0) > 0]
    figure = Figure(figsize=(4 * len(names[:3]), 3 * -(-len(names) // 3)), layout="constrained", dpi=110)
    axes = list(figure.subplots(-(-len(names) // 3), len(names[:3]), squeeze=False).flat)
    for panel, name in zip(axes, names, strict=False):
        panel.plot(epochs, [float(row[name]) for row in history], marker="o", markersize=3)
        if weighted:
            panel.axvspan(weighted[0], epochs[-1], alpha=0.12, label="topology term on")
        panel.set_title(name.removeprefix("val_"), fontsize=9)
        panel.set_xlabel("epoch", fontsize=8)
    for panel in axes[len(names) :]:
        panel.set_axis_off()
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished)
