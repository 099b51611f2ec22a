"""`python -m monai_topo doctor`: what is installed, on what machine, and whether it computes what GUDHI computes."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import numpy as np
import torch
from packaging.requirements import Requirement

from monai_topo._utils.commands import add_command
from monai_topo._utils.formats import package_version
from monai_topo._utils.kernel import kernel
from monai_topo.fuzz import Failure, run_cases

__all__ = ["OPTIONAL", "add_doctor_command"]

#: Optional packages, the extra that installs each (empty if none does), and what it is for.
OPTIONAL = {
    "pytorch-ignite": ("bundle", "training runs, and handlers for MONAI's engines"),
    "fire": ("bundle", "the command `python -m monai.bundle`"),
    "filelock": ("bundle", "one run per folder"),
    "jsonschema": ("bundle", "verification of a bundle's metadata"),
    "tensorboard": ("bundle", "curves of training runs"),
    "tqdm": ("bundle", "progress bars"),
    "matplotlib": ("bundle", "drawings"),
    "pillow": ("bundle", "PNG, JPEG, BMP and GIF files"),
    "scikit-image": ("metrics", "skeletons: clDice, skeleton recall"),
    "scipy": ("metrics", "matching of objects, distances, joining of blocks"),
    "jinja2": ("report", "HTML reports"),
    "dask": ("volumes", "masks larger than memory"),
    "zarr": ("volumes", "arrays in chunks on disk"),
    "distributed": ("", "masks larger than memory on several machines"),
    "h5py": ("", "HDF5 files, in chunks"),
    "lightning": ("loops", "the page on training with Lightning"),
    "accelerate": ("loops", "the page on training with accelerate"),
    "napari": ("napari", "the plug-in that shows errors in napari"),
    "nnunetv2": ("nnunet", "topology losses in nnU-Net"),
    "onnx": ("onnx", "export of models"),
    "onnxscript": ("onnx", "export of models"),
}
_CHECK = "pairs against GUDHI"
_SUMMARY = "print versions, machine and optional packages for a report of an error, and check the installation"
_DESCRIPTION = """\
Print the versions, the build of the kernel, the machine, and the optional packages with what they are for. Then compare
persistence pairs of random images with GUDHI's for some seconds. The output holds no names of files or users: paste it
into a report of an error."""
_EPILOG = "exit status: 0 if all is well, 1 if a required package is missing or too old, or a result is wrong"


def add_doctor_command(commands: Any, epilog: str) -> None:
    """Add the command `doctor`."""
    parser = add_command(commands, "doctor", _SUMMARY, _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--seconds", type=float, default=10, metavar="N", help="time for the comparison with GUDHI (default: 10)"
    )
    parser.add_argument("--seed", type=int, help="seed of the random images (default: a new one, which is printed)")
    parser.set_defaults(run=_examine)


def _examine(options: argparse.Namespace) -> int:
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if options.seed is None else options.seed
    outdated: list[str] = []
    for title, lines in (
        ("Versions", _versions(outdated)),
        ("Machine", _machine()),
        ("Optional packages", _optional()),
    ):
        print(f"{title}\n" + "\n".join(f"  {name:<16} {value}" for name, value in lines))
    print(f"Comparison with GUDHI, {options.seconds:g} seconds", flush=True)
    count, failure = _compare(seed, options.seconds)
    if failure is None:
        print(f"  {count} batches of images have GUDHI's pairs (seed {seed}).")
    else:
        print(
            f"  A result is wrong: {failure.reason}\n  Repeat it by: python -m monai_topo.fuzz --seed {seed} "
            f"--case {failure.case} --check '{_CHECK}'"
        )
    return int(bool(outdated) or failure is not None)


def _compare(seed: int, seconds: float) -> tuple[int, Failure | None]:
    count = 0
    for case, failure in run_cases(seed, seconds, [_CHECK]):
        count = case + 1
        if failure is not None:
            return count, failure
    return count, None


def _versions(outdated: list[str]) -> Iterator[tuple[str, str]]:
    yield "monai_topo", package_version()
    yield "kernel", ", ".join(f"{name} {value}" for name, value in kernel.build.items())
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    for requirement in _requirements():
        version = package_version(requirement.name)
        fits = version != "not installed" and requirement.specifier.contains(version, prereleases=True)
        if not fits:
            outdated.append(requirement.name)
        yield requirement.name, version if fits else f"{version}, but needed is {requirement.specifier}"


def _requirements() -> list[Requirement]:
    try:
        found = map(Requirement, requires("monai_topo") or [])
        return [requirement for requirement in found if requirement.marker is None]
    except PackageNotFoundError:  # a checkout on the path that is not installed
        return [Requirement(name) for name in ("monai", "torch", "gudhi", "nibabel", "itk", "numpy")]


def _machine() -> Iterator[tuple[str, str]]:
    yield "system", platform.platform()
    yield "processor", f"{_processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    yield "threads", f"{torch.get_num_threads()} (OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')})"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(index)
            yield f"GPU {index}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    else:
        yield "GPU", f"none that torch can use (built for CUDA {torch.version.cuda or 'no'})"


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.is_file():
        names = [line for line in description.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _optional() -> Iterator[tuple[str, str]]:
    for name, (extra, purpose) in OPTIONAL.items():
        version = package_version(name)
        package = f"'monai_topo[{extra}]'" if extra else name
        hint = f"; pip install {package}" if version == "not installed" else ""
        yield name, f"{version}: {purpose}{hint}"
