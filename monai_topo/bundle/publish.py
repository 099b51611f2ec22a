"""A training run as a bundle to publish: weights, exports, settings and model card, for the zoo and Hugging Face."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_topo._utils.errors import UserError
from monai_topo.bundle.cleanup import CLEANUP_FILE
from monai_topo.bundle.exports import EXPORT_FORMATS, export_network, load_network
from monai_topo.bundle.model_card import hub_metadata, model_card, with_head
from monai_topo.bundle.run_folder import CHANGES_NO_RESULT
from monai_topo.bundle.run_results import RunResults, read_run
from monai_topo.bundle.settings import changed_settings, stride_products

__all__ = ["publish_run"]

_IGNORED = shutil.ignore_patterns("data", "runs", "eval", "predictions", "models", "__pycache__")
_OF_A_MACHINE = {*CHANGES_NO_RESULT, "amp", "datalist", "network_settings"}


def publish_run(
    run_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    repository: str,
    bundle_root: str | os.PathLike[str] | None = None,
    authors: str | None = None,
    data_source: str | None = None,
    data_license: str | os.PathLike[str] | None = None,
    version: str | None = None,
    changes: str | None = None,
) -> Path:
    """Write a bundle with the weights, the settings and the numbers of a training run.

    The folder has the three files of a model on Hugging Face (`README.md`, the model card; `LICENSE`; `metadata.json`)
    in addition to the bundle itself, which passes the checks of MONAI's model zoo: `configs/` with the settings of the
    run as defaults, `models/model.pt`, its exports `model.pt2` and `model.ts`, and `cleanup.json` if the run chose one.
    `docs/README.md` is the card again. All numbers come from the files of the run.

    Args:
        run_dir: Folder of a finished training run.
        out: Folder to write; it must not exist yet, or be empty. It is complete or absent.
        repository: Repository on Hugging Face, `OWNER/NAME`, for the address in `metadata.json`.
        bundle_root: Folder of the bundle that was trained; None for that of the run's settings.
        authors: Authors of the model; None for those of the bundle.
        data_source: Sentence on the training data; needed unless the bundle generated them.
        data_license: File with the license of the training data; needed unless the bundle generated them.
        version: Version of the published bundle; None for that of the bundle.
        changes: What is new in this version, for the changelog; needed with `version`.

    Returns:
        The folder.

    Raises:
        UserError: If the run, the bundle, or an argument cannot be used; nothing is written.

    Cost: a minute, for the exports.
    """
    out, run = Path(out), read_run(run_dir)
    root = _find_bundle(run, bundle_root)
    _check_arguments(out, run, repository, data_source, data_license, version, changes)
    settings = changed_settings(run.config, root / "configs" / "train.json", without=_OF_A_MACHINE)
    metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata = _describe(metadata, run, authors, data_source, version, changes)
    of_network = changed_settings(run.config, root / "configs" / "inference.json", without=_OF_A_MACHINE)
    network = load_network(root, run.folder / "model.pt", of_network)
    card = model_card(metadata, run, network, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        folder = Path(temporary) / out.name
        shutil.copytree(root, folder, ignore=_IGNORED)
        for name in ("train.json", "inference.json"):
            changed = changed_settings(run.config, folder / "configs" / name, without=_OF_A_MACHINE)
            known = json.loads((folder / "configs" / name).read_text(encoding="utf-8"))
            _write_json(folder / "configs" / name, {**known, **changed})
        _write_json(folder / "configs" / "metadata.json", metadata)
        _write_json(folder / "metadata.json", hub_metadata(metadata, repository))
        (folder / "docs" / "README.md").write_text(card, encoding="utf-8")
        license_text = (folder / "LICENSE").read_text(encoding="utf-8")
        (folder / "README.md").write_text(with_head(card, metadata, run, license_text), encoding="utf-8")
        if data_license is not None:
            shutil.copyfile(data_license, folder / "docs" / "data_license.txt")
        _write_models(folder, run)
        os.replace(folder, out)  # an empty folder is replaced too
    return out


def _write_models(folder: Path, run: RunResults) -> None:
    models = folder / "models"
    models.mkdir()
    shutil.copyfile(run.folder / "model.pt", models / "model.pt")
    cleanup = models / CLEANUP_FILE if run.cleanup_table else None
    if cleanup is not None:
        shutil.copyfile(run.folder / CLEANUP_FILE, cleanup)
    for suffix in EXPORT_FORMATS:
        model = models / f"model{suffix}"
        export_network(model, bundle_root=folder, ckpt_path=models / "model.pt", cleanup=cleanup)


def _find_bundle(run: RunResults, bundle_root: str | os.PathLike[str] | None) -> Path:
    root = Path(run.config.get("bundle_root", ".") if bundle_root is None else bundle_root)
    for name in ("configs/metadata.json", "configs/train.json", "configs/inference.json", "docs/usage.md", "LICENSE"):
        if not (root / name).is_file():
            raise UserError(
                f"Expected the folder of the bundle that was trained, but got {str(root)!r}, which has no {name}; name "
                "it by --bundle."
            )
    return root


def _check_arguments(
    out: Path,
    run: RunResults,
    repository: str,
    data_source: str | None,
    data_license: str | os.PathLike[str] | None,
    version: str | None,
    changes: str | None,
) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"Expected --out to be a new or empty folder, but got {str(out)!r}.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repository):
        raise UserError(f"Expected --repository to be OWNER/NAME, but got {repository!r}.")
    if not run.trained_on_synthetic_data:
        for option, value in (("--data-source", data_source), ("--data-license", data_license)):
            if not value:
                raise UserError(f"Expected {option} for a model that was trained on {run.config['dataset_dir']!r}.")
    if data_license is not None and not Path(data_license).is_file():
        raise UserError(f"Expected --data-license to be a file, but got {os.fspath(data_license)!r}.")
    if (version is None) != (changes is None):
        raise UserError("Expected --version and --changes together, or none of them.")
    if version is not None and not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise UserError(f"Expected --version to be three numbers such as 0.2.0, but got {version!r}.")


def _describe(
    metadata: dict[str, Any],
    run: RunResults,
    authors: str | None,
    data_source: str | None,
    version: str | None,
    changes: str | None,
) -> dict[str, Any]:
    """Return the metadata with what the run and the user say."""
    described = {**metadata, "eval_metrics": dict(run.metrics)}
    if authors is not None:
        described["authors"] = authors
    if data_source is not None:
        described["data_source"] = data_source
    if version is not None:
        described |= {"version": version, "changelog": {version: changes, **metadata["changelog"]}}
    described["network_data_format"] = _network_format(metadata["network_data_format"], run.config)
    return described


def _network_format(described: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the format of the network with the channels and the strides of the run."""
    result: dict[str, Any] = json.loads(json.dumps(described))
    image, prediction = result["inputs"]["image"], result["outputs"]["pred"]
    factors = stride_products(config["strides"], len(image["spatial_shape"]))
    image["num_channels"] = config["in_channels"]
    for tensor in (image, prediction):
        sizes = [int(re.match(r"\d+", str(size)).group()) for size in tensor["spatial_shape"]]  # type: ignore[union-attr]
        tensor["spatial_shape"] = [
            f"{size if size % (2 * factor) == 0 else 4 * factor}*n" for size, factor in zip(sizes, factors, strict=True)
        ]
    return result


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
