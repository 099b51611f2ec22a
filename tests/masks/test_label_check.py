"""The label check on masks drawn by hand, on random ones against another labeling, and on real labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from oracles import BORDERS, CONNECTIVITIES
from oracles.betti_by_labeling import betti_by_labeling
from skimage.measure import label as skimage_label
from skimage.measure import regionprops

from monai_topo import transforms
from monai_topo.masks.label_check import check_label


def drawing(*rows: str) -> np.ndarray:
    """Label of a drawing with # for the foreground, as 0 and 255."""
    return np.array([[c == "#" for c in row] for row in rows]).astype(np.uint8) * 255


MEMBRANE = drawing(
    "#.........#.",
    "#.######..#.",
    "#.#....#..#.",
    "#.#.#..####.",
    "#.#....#....",
    "#.######....",
    "#.........#.",
)


def chosen(found, *keys):
    return [found[key] for key in keys]


def test_specks_pinholes_and_border_of_a_drawing():
    found = check_label(MEMBRANE, min_component=2, min_hole=13)
    assert chosen(found, "values", "foreground", "size_unit", "connectivity", "border") == [
        "0, 255",
        "nonzero",
        "voxel",
        "full",
        "open",
    ]
    # Two specks: one inside the ring, one on the border. The ring's hole is 12 voxels once the speck in it is gone.
    assert chosen(found, "specks", "largest_speck", "specks_size") == [2, 1, 2]
    assert chosen(found, "pinholes", "largest_pinhole", "pinholes_size") == [1, 12, 12]
    # The vertical bar on the left, the hook at the top, the speck at the bottom.
    assert chosen(found, "border_components", "border_voxels") == [3, 9]
    assert chosen(found, "b0_full", "b1_full", "b0_cleaned", "b1_cleaned") == [4, 1, 2, 0]
    assert found["voxels_changed"] == 1 + 11  # the speck in the ring stays what it is
    assert found["foreground_fraction"] == pytest.approx(np.mean(MEMBRANE > 0))
    assert check_label(MEMBRANE, min_component=1, min_hole=11)["voxels_changed"] == 0  # smaller than, not as small as


def test_with_a_frame_what_touches_the_border_is_no_speck_and_what_it_cuts_is_a_hole():
    corner = drawing("..#.....", "..#..#..", "..#.....", "..######")
    found = check_label(corner, min_component=10, min_hole=9, border="foreground")
    assert chosen(found, "specks", "specks_size", "pinholes", "pinholes_size") == [1, 1, 1, 8]
    assert chosen(found, "b0_full", "b1_full", "b0_cleaned", "b1_cleaned", "voxels_changed") == [1, 1, 0, 0, 9]
    found = check_label(corner, min_component=10, min_hole=9)
    assert chosen(found, "specks", "specks_size", "pinholes", "b0_cleaned") == [2, 10, 0, 0]


def test_susceptibility_of_a_diagonal_wall():
    wall = drawing("...#...", "..#.#..", ".#...#.", "..#.#..", "...#...")
    found = check_label(wall, min_component=0, min_hole=0)
    assert chosen(found, "b0_full", "b0_face", "b0_susceptibility") == [1, 8, 7]
    assert chosen(found, "b1_full", "b1_face", "b1_susceptibility") == [1, 0, 1]
    assert chosen(found, "b0_cleaned", "b1_cleaned", "voxels_changed") == [1, 1, 0]
    assert chosen(check_label(wall, min_component=2, connectivity="face"), "specks", "b0_cleaned") == [8, 0]


def test_sizes_in_millimeters():
    volume = np.zeros((6, 7, 8), dtype=np.uint8)
    volume[1:5, 1:6, 1:6] = 1
    volume[2, 2, 2:4] = 0  # a cavity of 2 voxels, 4.5 mm^3
    volume[3, 3, 7] = 1  # a speck of 2.25 mm^3
    found = check_label(volume, min_component=2.25, min_hole=4.6, spacing_mm=(3, 1.5, 0.5))
    assert chosen(found, "size_unit", "specks", "pinholes", "pinholes_size") == ["mm^3", 0, 1, 4.5]
    assert chosen(found, "b0_full", "b2_full", "b0_cleaned", "b2_cleaned") == [2, 1, 2, 0]
    found = check_label(volume, min_component=2.26, min_hole=4.5, spacing_mm=(3, 1.5, 0.5))
    assert chosen(found, "specks", "largest_speck", "pinholes", "voxels_changed") == [1, 2.25, 0, 1]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("shape", [(31, 42), (9, 12, 14)], ids=str)
def test_counts_of_random_labels_equal_another_labeling(shape, connectivity, border):
    reach, dual = (len(shape), 1) if connectivity == "full" else (1, len(shape))
    for density in (0.2, 0.5, 0.8):
        mask = np.random.default_rng(17).random(shape) < density
        found = check_label(mask, min_component=4, min_hole=4, connectivity=connectivity, border=border)
        specks = small_regions(mask, reach, inner_only=border == "foreground")
        cleaned = mask.copy()
        for region in specks:
            cleaned[tuple(region.coords.T)] = False
        pinholes = small_regions(~cleaned, dual, inner_only=border == "open")
        for region in pinholes:
            cleaned[tuple(region.coords.T)] = True
        for name, regions in (("specks", specks), ("pinholes", pinholes)):
            assert chosen(found, name, f"{name}_size") == [len(regions), sum(region.area for region in regions)]
        setting = {"connectivity": connectivity, "border": border}
        assert betti(found, "cleaned") == betti_by_labeling(cleaned, **setting)
        for other in CONNECTIVITIES:
            assert betti(found, other) == betti_by_labeling(mask, connectivity=other, border=border)
        assert found["border_voxels"] == mask.sum() - mask[(slice(1, -1),) * mask.ndim].sum()


def small_regions(mask, reach, *, inner_only):
    regions = [r for r in regionprops(skimage_label(mask, connectivity=reach)) if r.area < 4]
    last = np.array(mask.shape) - 1
    return [r for r in regions if not (inner_only and ((r.coords == 0) | (r.coords == last)).any())]


def betti(found, kind):
    return tuple(found[key] for key in (f"b0_{kind}", f"b1_{kind}", f"b2_{kind}") if key in found)


def test_empty_and_full_labels():
    for shape in ((5, 8), (5, 6, 7)):
        empty = check_label(np.zeros(shape))
        assert {value for key, value in empty.items() if isinstance(value, (int, float))} == {0}
        full = check_label(np.ones(shape))
        assert chosen(full, "b0_full", "b0_cleaned", "border_components", "voxels_changed") == [1, 1, 1, 0]
        assert full["specks"] == full["pinholes"] == 0


def test_conventions_are_those_of_foreground_mask():
    instances = np.array([[3, 3, 7, 7], [3, 3, 7, 7], [9, 9, 7, 7]])
    found = check_label(instances, "boundary")
    assert chosen(found, "values", "foreground", "b0_full") == ["3, 7, 9", "boundary", 1]
    assert check_label(255 - MEMBRANE, foreground=0)["b0_full"] == check_label(MEMBRANE)["b0_full"]
    assert check_label(np.arange(40).reshape(5, 8), ">3")["values"] == "0, 1, 2, 3, 4, 5, ... (40 values)"
    assert check_label(torch.from_numpy(MEMBRANE)) == check_label(MEMBRANE)
    assert check_label(np.ones((1, 4, 5, 6)))["b2_full"] == 0
    with pytest.raises(ValueError, match="instance ids"):
        check_label(instances)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_component": -1}, "min_component"),
        ({"min_hole": float("nan")}, "min_hole"),
        ({"spacing_mm": (1.0, 1.0, 1.0)}, "2 positive numbers"),
        ({"spacing_mm": (1.0, 0.0)}, "2 positive numbers"),
        ({"connectivity": "edge"}, "connectivity"),
        ({"border": "closed"}, "border"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        check_label(MEMBRANE, **setting)


def test_vessels_of_drive_hang_on_the_connectivity(shared_data):
    image_module = pytest.importorskip("PIL.Image")
    stored = json.loads((shared_data / "oracles" / "betti_of_labels.json").read_text())
    rows = []
    for path in sorted((shared_data / "drive" / "labels").glob("*.gif")):
        with image_module.open(path) as image:
            found = check_label(np.asarray(image), min_component=20, min_hole=20)
        counts = stored[f"drive/labels/{path.name}"]
        assert [*betti(found, "full")] == counts["fg8_bg4"]
        assert [*betti(found, "face")] == counts["fg4_bg8"]
        rows.append(found)
    mean = {key: np.mean([row[key] for row in rows]) for key in ("b0_full", "b0_face", "b1_full", "pinholes")}
    assert len(rows) == 16
    assert mean["b0_face"] > 100 * mean["b0_full"]
    assert mean["pinholes"] > mean["b1_full"] / 3


def test_a_label_on_which_the_connectivities_differ_is_recommended_a_transform_after_which_they_agree():
    label = np.zeros((7, 9), dtype=np.uint8)
    label[1:3, 1:4] = label[3:6, 4:8] = 1  # they touch by a corner
    assert check_label(label)["recommended"] == "MakeWellComposed"
    repaired = np.asarray(transforms.MakeWellComposed()(label[None]))[0]
    found = check_label(repaired)
    assert (found["recommended"], found["b0_full"]) == ("", 1)
