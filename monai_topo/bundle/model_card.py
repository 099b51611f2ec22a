"""The model card of a published network: MONAI's template, with Hugging Face's head, and the numbers of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import torch

from monai_topo.bundle.run_results import RunResults

__all__ = ["hub_metadata", "model_card", "with_head"]

_LICENSES = {"Apache License": "apache-2.0", "MIT License": "mit", "BSD 3-Clause": "bsd-3-clause"}
_HUB_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_hf_20250321.json"
)


def model_card(
    metadata: Mapping[str, Any], run: RunResults, network: torch.nn.Module, settings: Mapping[str, Any]
) -> str:
    """Write the card: the sections of the template of MONAI's model zoo.

    Args:
        metadata: `metadata.json` of the published bundle.
        run: The training run.
        network: Its network, for the number of parameters.
        settings: Settings of the run that differ from the defaults of the bundle.

    Returns:
        Markdown. Texts of the metadata and of the settings are escaped.
    """
    parameters = sum(weights.numel() for weights in network.parameters())
    parts = [
        f"# {_plain(metadata['name'])}",
        f"### **Authors**\n\n{_plain(metadata['authors'])}",
        f"### **Tags**\n\n{', '.join(_tags(metadata))}",
        f"## **Model Description**\n\n{_plain(metadata['description'])}\n\n"
        f"Network: {type(network).__name__} with {parameters:,} parameters. Input: {_plain(metadata['image_classes'])}."
        f" Output: {_plain(metadata['pred_classes'])}.",
        f"## **Data**\n\n{_plain(metadata['data_source'])}. License: see `docs/data_license.txt`.",
        f"#### **Preprocessing**\n\n{_preprocessing(run.config)}",
        f"## **Performance**\n\n{_performance(run)}",
        f"## **Additional Usage Steps**\n\n{_usage(run)}",
        f"## **System Configuration**\n\n{run.made_with or 'The run has no report.'}",
        f"## **Training Settings**\n\n{_settings(settings)}",
        f"## **Limitations**\n\n{_plain(metadata['intended_use'])}. The performance is on the validation cases, by "
        "which the best epoch was chosen: expect less on other cases.",
        "## **References**\n\n" + "\n".join(f"- {_plain(reference)}" for reference in metadata["references"]),
    ]
    return "\n\n".join(parts) + "\n"


def with_head(card: str, metadata: Mapping[str, Any], run: RunResults, license_text: str) -> str:
    """Put Hugging Face's head before a card: license, tags, and the metrics of the run as the model's results."""
    license_name = next((name for title, name in _LICENSES.items() if title in license_text), "other")
    metrics = [{"type": name, "name": name.replace("_", " "), "value": value} for name, value in run.metrics.items()]
    results = {
        "task": {"type": "image-segmentation"},
        "dataset": {"type": "validation", "name": f"{run.num_cases} validation cases"},
        "metrics": metrics,
    }
    head = {
        "license": license_name,
        "library_name": "monai",
        "pipeline_tag": "image-segmentation",
        "tags": ["monai", "medical", *_tags(metadata)],
        "model-index": [{"name": metadata["name"], "results": [results]}],
    }
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---", "", card])


def hub_metadata(metadata: Mapping[str, Any], repository: str) -> dict[str, Any]:
    """Return the `metadata.json` of a model on Hugging Face: that of the bundle, with the schema and the address."""
    return {**metadata, "schema": _HUB_SCHEMA, "huggingface_url": f"https://huggingface.co/{repository}"}


def _tags(metadata: Mapping[str, Any]) -> list[str]:
    spatial_dims = len(metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])
    modality = str(metadata["network_data_format"]["inputs"]["image"].get("modality", "image"))
    return ["segmentation", "topology", f"{spatial_dims}D", re.sub(r"[^\w ]", "", modality)]


def _preprocessing(config: Mapping[str, Any]) -> str:
    spacing = config.get("spacing")
    resampled = f"resampled to the spacing {spacing}, and " if spacing else ""
    return f"Images are {resampled}normalized to mean 0 and standard deviation 1, channel by channel."


def _performance(run: RunResults) -> str:
    rows = [f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in run.metrics.items()]
    convention = f"connectivity {_plain(run.config['connectivity'])}, border {_plain(run.config['border'])}"
    text = (
        f"Means over {run.num_cases} validation cases at epoch {run.epoch}, whose weights these are ({convention}). "
        "Betti errors per dimension, of whole images and as means over a grid of patches; score: Dice / (1 + Betti "
        "errors of the patches).\n\n| metric | value |\n| --- | --- |\n" + "\n".join(rows)
    )
    if run.cleanup_table:
        text += (
            f"\n\nClean-up chosen on the same cases, `models/cleanup.json`:\n\n```\n{run.cleanup_table.strip()}\n```"
        )
    return text


def _usage(run: RunResults) -> str:
    cleaned = "\n\nAdd `--cleanup models/cleanup.json` for the clean-up." if run.cleanup_table else ""
    return (
        "Install `monai_topo[bundle]`. In the folder of this file:\n\n```bash\n"
        "python -m monai.bundle run --config_file configs/inference.json --dataset_dir FOLDER --images 'PATTERN'\n"
        "```\n\n"
        "`docs/usage.md` describes training, evaluation and all settings. `models/model.pt2` (`torch.export.load`) and "
        f"`models/model.ts` (`torch.jit.load`) hold the network alone, from normalized images to logits.{cleaned}"
    )


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings:
        return "The defaults of the bundle."
    rows = [f"| {name} | {_code(value)} |" for name, value in settings.items()]
    return "The defaults of the bundle, except:\n\n| setting | value |\n| --- | --- |\n" + "\n".join(rows)


def _plain(text: Any) -> str:
    """Escape a text of the user, so that it is shown as it is."""
    one_line = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", one_line)


def _code(value: Any) -> str:
    return "`" + str(value).replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"
