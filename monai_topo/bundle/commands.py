"""The commands `export` and `publish`: a trained network for use elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from monai_topo._utils.commands import add_command, guard

__all__ = ["add_export_command", "add_publish_command", "export_model", "publish_model"]

_NOTHING = "Nothing is written."


def add_export_command(commands: Any, epilog: str) -> None:
    """Add the command `export`."""
    parser = add_command(
        commands,
        "export",
        "export a trained network: torch.export (.pt2) or TorchScript (.ts)",
        """\
Export a trained network for use without its Python code, with the bundle's metadata.json and inference.json as extra
files. The file holds the network alone: its input is normalized intensities, its output a logit.

Example: %(prog)s runs/RUN/model.pt --bundle bundles/vessel_3d_segmentation --out model.pt2""",
        epilog,
    )
    parser.add_argument("model", metavar="MODEL", help="weights, such as RUN/model.pt")
    parser.add_argument("--bundle", default=".", metavar="FOLDER", help="folder of the bundle (default: this folder)")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="file to write: .pt2 by torch.export, .ts by TorchScript"
    )
    parser.add_argument(
        "--cleanup", metavar="FILE", help="clean-up to store as the extra file cleanup.json, such as RUN/cleanup.json"
    )
    parser.set_defaults(run=guard("monai_topo.bundle.commands", "export_model", _NOTHING))


def add_publish_command(commands: Any, epilog: str) -> None:
    """Add the command `publish`."""
    parser = add_command(
        commands,
        "publish",
        "write a trained run as a bundle with model card, for Hugging Face and MONAI's model zoo",
        """\
Write a bundle with the weights, the settings and the numbers of a finished training run: the model card (README.md),
LICENSE and metadata.json that Hugging Face wants, configs with the settings of the run, and the network as model.pt,
model.pt2 (torch.export) and model.ts (TorchScript). Nothing is uploaded.

Example: %(prog)s runs/RUN --out published/vessel_3d_segmentation --repository OWNER/NAME""",
        epilog,
    )
    parser.add_argument("run_dir", metavar="RUN", help="folder of a finished training run")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="new folder to write")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="repository on Hugging Face")
    parser.add_argument(
        "--bundle", metavar="FOLDER", help="folder of the bundle that was trained (default: that of the run's settings)"
    )
    about = parser.add_argument_group("about the model")
    about.add_argument("--authors", metavar="TEXT", help="authors of the model (default: those of the bundle)")
    about.add_argument(
        "--data-source", metavar="TEXT", help="the training data; needed unless the bundle generated them"
    )
    about.add_argument(
        "--data-license", metavar="FILE", help="license of the training data; needed unless the bundle generated them"
    )
    about.add_argument("--version", metavar="X.Y.Z", help="version of the model (default: that of the bundle)")
    about.add_argument("--changes", metavar="TEXT", help="what is new in this version")
    parser.set_defaults(run=guard("monai_topo.bundle.commands", "publish_model", _NOTHING))


def export_model(options: argparse.Namespace) -> int:
    """Export the network, and return the exit status."""
    from monai_topo.bundle.exports import EXPORT_FORMATS, export_network

    export_network(options.out, bundle_root=options.bundle, ckpt_path=options.model, cleanup=options.cleanup)
    print(f"{options.out} is the network, written by {EXPORT_FORMATS[Path(options.out).suffix]}.")
    return 0


def publish_model(options: argparse.Namespace) -> int:
    """Write the bundle, and return the exit status."""
    from monai_topo.bundle.publish import publish_run

    about = ("repository", "authors", "data_source", "data_license", "version", "changes")
    settings = {name: getattr(options, name) for name in about}
    folder = publish_run(options.run_dir, options.out, bundle_root=options.bundle, **settings)
    print(f"{folder} is the bundle; read README.md, the model card, before you upload it.")
    return 0
