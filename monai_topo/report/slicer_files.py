"""The files of an export: errors as a label volume, a segmentation, markups and a color table of 3D Slicer."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_topo._utils.errors import UserError
from monai_topo._utils.io import atomic_write
from monai_topo.data.case_files import has_spacing, read_image
from monai_topo.masks.structure_errors import STRUCTURE_ERRORS
from monai_topo.report.tables import write_json
from monai_topo.visualize import ERROR_COLORS

__all__ = ["Grid", "read_grid", "write_color_table", "write_markups", "write_nifti", "write_segmentation"]

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Grid(NamedTuple):
    """The voxels of a file in space.

    Attributes:
        shape: Number of voxels along x, y, z; 1 along z for an image in 2D.
        affine: `(4, 4)`, from voxel indices x, y, z to RAS (right, anterior, superior) in mm.
        thin_axis: Axis of one voxel that arrays in 2D lack.
        nifti: NIfTI file that the affine is from; None for other formats.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    thin_axis: int
    nifti: Path | None

    def volume(self, error_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a map with axes (z,) y, x as an array with axes x, y, z."""
        return error_map.T.reshape(self.shape)

    def voxel(self, at_xyz: Sequence[int]) -> list[int]:
        """Return indices x, y(, z) in an array without the thin axis as x, y, z in the file."""
        at = list(at_xyz)
        return at if len(at) == 3 else [*at[: self.thin_axis], 0, *at[self.thin_axis :]]

    def position_mm(self, voxel: Sequence[int]) -> list[float]:
        """Return the RAS position of a voxel's center in mm."""
        position: list[float] = (self.affine[:3, :3] @ np.asarray(voxel) + self.affine[:3, 3]).tolist()
        return position


def read_grid(files: Sequence[Path], spacing_mm: Sequence[float] | None) -> Grid:
    """Read the grid of a case from the first of its files whose format has an affine.

    If none has one, the axes point to the left, posterior and superior, as 3D Slicer reads pictures, and the first
    voxel is the origin.

    Args:
        files: Files of the case, which lie on one grid.
        spacing_mm: Voxel size along x, y(, z) of files without one; None for 1. Other files keep their own affine.

    Raises:
        UserError: If a file cannot be read, or its affine has no inverse.
    """
    source = next((file for file in files if has_spacing(file)), None)
    image = read_image(str(source or files[0]))
    shape = tuple(int(length) for length in image.shape[1:])
    thin_axis = shape.index(1) if len(shape) == 3 and 1 in shape else 2
    width, height, depth = (*shape, 1, 1)[:3]
    if source is None:
        steps = list(spacing_mm or (1.0,) * len(shape))
        if len(steps) < 3:
            steps.insert(thin_axis, 1.0)
        return Grid((width, height, depth), _RAS_TO_LPS @ np.diag([*steps, 1.0]), thin_axis, None)
    found = np.asarray(image.affine, dtype=np.float64)
    affine = np.eye(4)
    ndim = len(found) - 1
    affine[:ndim, :ndim], affine[:ndim, 3] = found[:ndim, :ndim], found[:ndim, ndim]
    if not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise UserError(
            f"Expected the affine of {source} to have an inverse, but got {found.tolist()}; mend its header."
        )
    return Grid(
        (width, height, depth), affine, thin_axis, source if source.name.lower().endswith((".nii", ".nii.gz")) else None
    )


def write_nifti(path: Path, error_map: NDArray[np.uint8], grid: Grid) -> None:
    """Write a map of errors as a NIfTI volume (`.nii.gz`, uint8) with the grid's affine.

    Args:
        path: File to write.
        error_map: Array of :py:func:`monai_topo.masks.structure_errors.classify_errors`.
        grid: Grid of the case.
    """
    import nibabel

    library: Any = nibabel
    image = library.Nifti1Image(grid.volume(error_map), grid.affine)
    image.header.set_xyzt_units("mm")
    if grid.nifti is not None:  # programs differ in which of the two forms they use, so both are the file's own
        header = library.load(grid.nifti).header
        for form in ("qform", "sform"):
            affine, code = getattr(header, f"get_{form}")(coded=True)
            if code:
                getattr(image, f"set_{form}")(affine, int(code))
    with atomic_write(path) as partial:
        partial.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def write_segmentation(path: Path, error_map: NDArray[np.uint8], grid: Grid) -> None:
    """Write a map of errors as a segmentation of 3D Slicer (`.seg.nrrd`) with a name and color per kind.

    The arguments are those of `write_nifti`.
    """
    import itk  # its functions are loaded lazily, and its stubs do not know them

    library: Any = itk
    lps = _RAS_TO_LPS @ grid.affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image = library.image_from_array(np.ascontiguousarray(grid.volume(error_map).T))
    image.SetOrigin(lps[:3, 3])
    image.SetSpacing(steps)
    image.SetDirection(library.matrix_from_array(np.ascontiguousarray(lps[:3, :3] / steps)))
    details = image.GetMetaDataDictionary()
    for key, text in _segments(grid.shape).items():
        details[key] = text
    with atomic_write(path) as partial:
        library.imwrite(image, str(partial), compression=True)


def _segments(shape: Sequence[int]) -> dict[str, str]:
    """Describe the segments as the format `.seg.nrrd` does."""
    details = {
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_MasterRepresentation": "Binary labelmap",  # the same before 3D Slicer 5.2
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
    }
    extent = " ".join(f"0 {length - 1}" for length in shape)
    for number, (kind, name) in enumerate(STRUCTURE_ERRORS.items()):
        segment = {
            "ID": f"Segment_{kind}",
            "Name": name,
            "Color": " ".join(f"{channel / 255:.6g}" for channel in _rgb(kind)),
            "LabelValue": str(kind),
            "Layer": "0",
            "Extent": extent,
        }
        details |= {f"Segment{number}_{key}": text for key, text in segment.items()}
    return details


def write_color_table(path: Path) -> None:
    """Write the names and colors of the kinds of errors as a color table of 3D Slicer (`.ctbl`)."""
    rows = [
        f"{kind} {name.replace(' ', '_')} {' '.join(map(str, _rgb(kind)))} 255"
        for kind, name in STRUCTURE_ERRORS.items()
    ]
    with atomic_write(path) as partial:
        lines = ["# Color table file", f"# {len(rows) + 1} values", "0 agreement 0 0 0 0", *rows]
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_markups(path: Path, errors: Sequence[Mapping[str, Any]]) -> None:
    """Write a point list of 3D Slicer (`.mrk.json`), one point per error, in RAS mm.

    Args:
        path: File to write.
        errors: `number`, `kind`, `voxels`, `voxel_xyz` and `position_mm` of each error.
    """
    points = [
        {
            "id": str(error["number"]),
            "label": f"{error['number']} {error['kind']}",
            "description": f"{error['kind']}, size {error['voxels']}, at voxel {tuple(error['voxel_xyz'])}",
            "position": error["position_mm"],
            "positionStatus": "defined",
        }
        for error in errors
    ]
    points_of = {"type": "Fiducial", "coordinateSystem": "RAS", "coordinateUnits": "mm", "controlPoints": points}
    write_json(path, {"@schema": _SCHEMA, "markups": [points_of]})


def _rgb(kind: int) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(ERROR_COLORS[kind].removeprefix("#"))
    return red, green, blue
