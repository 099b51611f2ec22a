"""Betti numbers of real labels, as published and by other programs."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import CONNECTIVITIES
from test_betti_numbers import betti_of

from monai_topo import persistence_pairs


def read_frames(path: Path) -> np.ndarray:
    """All frames of an image file; a volume if there is more than one."""
    image_module = pytest.importorskip("PIL.Image")
    frames = []
    with image_module.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image))
    return np.stack(frames) if len(frames) > 1 else frames[0]


def read_nrrd(path: Path) -> np.ndarray:
    """Volume of bytes in an NRRD file, raw or gzipped; its first axis is the fastest."""
    header, data = path.read_bytes().split(b"\n\n", 1)
    fields = dict(re.findall(r"^(\w+): (.*?)\r?$", header.decode(), re.MULTILINE))
    data = gzip.decompress(data) if fields["encoding"] == "gzip" else data
    return np.frombuffer(data, np.uint8).reshape([int(n) for n in fields["sizes"].split()][::-1])


def read_label(path: Path) -> np.ndarray:
    """Mask `label > 0` of a file of any of the formats in the shared data."""
    if path.suffix == ".gz":
        nibabel = pytest.importorskip("nibabel")
        return np.asarray(nibabel.load(path).dataobj) > 0
    return (read_nrrd(path) if path.suffix == ".nrrd" else read_frames(path)) > 0


def test_betti_numbers_equal_those_published_for_topomortar(shared_data):
    with (shared_data / "topomortar" / "betti_numbers.csv").open(newline="") as file:
        published = {row["ID"]: (int(row["Betti0"]), int(row["Betti1"])) for row in csv.DictReader(file)}
    folder = shared_data / "topomortar" / "test" / "accurate"
    masks = np.stack([read_frames(folder / f"{name}.png") > 127 for name in published])
    assert len(masks) == 50
    assert betti_of(torch.from_numpy(masks)) == list(published.values())
    pairs = persistence_pairs(torch.from_numpy(masks[:2]).float())
    assert [(1 + row[0], row[1]) for row in (torch.bincount(pairs.dim[pairs.image == i]).tolist() for i in (0, 1))] == [
        *published.values()
    ][:2]


CONNECTIVITY_OF_REFERENCE = {"fg8_bg4": "full", "fg26_bg6": "full", "fg4_bg8": "face", "fg6_bg26": "face"}


def reference_counts(shared_data: Path, name: str) -> dict[tuple[str, str], tuple[int, ...]]:
    """Stored Betti numbers of the label files whose path starts with `name`, by path and connectivity."""
    stored = json.loads((shared_data / "oracles" / "betti_of_labels.json").read_text())
    counts = {
        (path, CONNECTIVITY_OF_REFERENCE[key]): tuple(betti)
        for path, by_connectivity in stored.items()
        if path.startswith(name)
        for key, betti in by_connectivity.items()
    }
    assert counts, name
    return counts


@pytest.mark.parametrize(
    "group",
    ["drive", "vesselexpress", "vesselnn", "oracles/labels3d/shrew", "oracles/labels3d/airway", "oracles/topcow"],
)
def test_betti_numbers_of_real_labels_equal_the_reference(shared_data, group):
    for (path, connectivity), expected in reference_counts(shared_data, group).items():
        masks = torch.from_numpy(read_label(shared_data / path))[None]
        assert betti_of(masks, connectivity=connectivity) == [expected], (path, connectivity)


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("name", ["drive/labels/28.gif", "vesselexpress/labels/000.tif"])
def test_pairs_of_real_labels_count_their_betti_numbers(shared_data, name, connectivity):
    expected = reference_counts(shared_data, name)[name, connectivity]
    masks = torch.from_numpy(read_label(shared_data / name))[None]
    pairs = persistence_pairs(masks.float(), connectivity=connectivity)
    counts = torch.bincount(pairs.dim, minlength=masks.ndim - 1)
    assert (1 + counts[0].item(), *counts[1:].tolist()) == expected
