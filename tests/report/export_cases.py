"""Cases with planted errors for `report --export`, in files with an affine that hides no mistake."""

from __future__ import annotations

import csv
from pathlib import Path

import itk
import nibabel
import numpy as np
from report_cases import broken, ladder

from monai_topo.__main__ import main

SHAPE = (9, 40, 60)  # z, y, x
BREAK, PINHOLE, SPECK = 2, 8, 4
# Voxels x, y, z of one error of each kind in `broken(ladder(SHAPE))`: the middle of the cut rung is the center of the
# missing skeleton, the pinhole is one voxel, and the speck has 3 x 3 x 3 of them.
PLANTED = {"spurious hole": (20, 29, 4), "spurious component": (21, 36, 4)}


def turned_affine() -> np.ndarray:
    """Turn about two axes, scale each axis differently, mirror one, and move the origin: RAS."""
    a, b = np.deg2rad(25), np.deg2rad(-40)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([0.5, -0.75, 3.0])
    affine[:3, 3] = [-31.25, 17.5, 204.0]
    return affine


def save_nifti(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
    """Save with both forms of the affine, of which NIfTI lets each have a meaning of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(mask.T.astype(np.uint8), affine)
    image.set_qform(affine @ shift(3.0), 1)
    image.set_sform(affine, 4)
    nibabel.save(image, path)


def shift(step: float) -> np.ndarray:
    moved = np.eye(4)
    moved[0, 3] = step
    return moved


def save_itk(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    image = itk.image_from_array(mask.astype(np.uint8))
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps)
    image.SetOrigin(lps[:3, 3])
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / steps))
    itk.imwrite(image, str(path))


def save_case(folder: Path, ending: str = ".nii.gz", save=save_nifti) -> None:
    save(folder / "label" / f"a{ending}", ladder(SHAPE), turned_affine())
    save(folder / "pred" / f"a{ending}", broken(ladder(SHAPE)), turned_affine())


def report(folder: Path, *options: str, out: str = "errors") -> tuple[int, Path]:
    command = ["report", str(folder / "pred"), str(folder / "label"), "--out", str(folder / "report.html")]
    return main([*command, "--worst", "0", "--export", str(folder / out), *options]), folder / out


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "errors.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def positions(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row[f"{axis}_mm"]) for axis in ("right", "anterior", "superior")] for row in rows])


def voxels(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[int(row[f"{axis}_vox"]) for axis in "xyz"] for row in rows])
