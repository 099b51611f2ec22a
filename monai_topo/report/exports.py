"""The folder of `report --export`: the errors of each case as files for 3D Slicer and other viewers, and one table."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from monai_topo._utils.errors import UserError
from monai_topo._utils.formats import format_stamp
from monai_topo.report.cases import name_case, part_of, unpack_map
from monai_topo.report.files import Case
from monai_topo.report.jobs import Failure, map_cases
from monai_topo.report.slicer_files import read_grid, write_color_table, write_markups, write_nifti, write_segmentation
from monai_topo.report.tables import write_csv, write_json

__all__ = ["ErrorExport"]

_NRRD = (".nrrd", ".nhdr")
_COLORS, _TABLE, _LIST = "errors.ctbl", "errors.csv", "export.json"
_MAX_NAME_BYTES = 120  # file systems allow 255, and the names of unfinished files are longer
_COLUMNS = ("x_vox", "y_vox", "z_vox", "right_mm", "anterior_mm", "superior_mm")

Result = Mapping[str, Any]


class _Item(NamedTuple):
    """A case to write; an error names its label."""

    label: Path
    case: Case
    result: Result
    paths: Mapping[str, Path]


class ErrorExport:
    """The files of an export, checked before any case is measured.

    For each case, `NAME_errors.nii.gz` is the map of its errors with the affine of the case's own files,
    `NAME_errors.seg.nrrd` the same as a segmentation if one of them is NRRD, and `NAME_errors.mrk.json` a list with a
    point per error. `errors.ctbl` has names and colors of the kinds, `errors.csv` a row per error of all cases, and
    `export.json` the names of all files, so that the next export knows which it may replace.

    Args:
        folder: Folder of the export; it is created.
        cases: All cases of the report.

    Raises:
        UserError: If the folder is a file, or has a file of such a name that no export wrote.
    """

    def __init__(self, folder: Path, cases: Sequence[Case]) -> None:
        self.folder = folder
        if folder.exists() and not folder.is_dir():
            raise UserError(f"Expected --export to be a folder, but got the file {folder}.")
        self.names = dict(zip(cases, _file_names(cases), strict=True))
        files = [_COLORS, _TABLE, _LIST, *(file for case in cases for file in self._files(case).values())]
        known = self._written_before()
        if foreign := [name for name in files if _exists(folder / name) and name not in known]:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise UserError(
                f"Expected to write {folder / foreign[0]}{more}, but got such a file that no export wrote; move it, or "
                "choose another folder for --export."
            )
        self._all_files = sorted({*known, *files})

    def write(
        self, results: Mapping[Case, Result], spacing_mm: Sequence[float] | None, *, jobs: int
    ) -> tuple[str, list[str]]:
        """Write the files of all measured cases.

        Args:
            results: Results of `measure_case`, in the order of the report.
            spacing_mm: Voxel size along x, y(, z) for cases whose files have none.
            jobs: Number of processes.

        Returns:
            A sentence on what was written, and one for each case that could not be written.
        """
        write_json(self.folder / _LIST, {"format": format_stamp(), "files": self._all_files})
        write_color_table(self.folder / _COLORS)
        items = [_Item(case.label, case, result, self._paths(case)) for case, result in results.items()]
        written: dict[int, list[dict[str, Any]]] = {}
        failures = []
        work = partial(_export_case, spacing_mm=spacing_mm)
        for index, rows in map_cases(work, items, jobs=jobs, title="exporting"):
            if isinstance(rows, Failure):
                failures.append(rows.sentence)
            else:
                written[index] = rows
        write_csv(self.folder / _TABLE, [row for index in sorted(written) for row in written[index]], _columns(results))
        return f"Errors of {len(written)} cases written to {self.folder}.", failures

    def _files(self, case: Case) -> dict[str, str]:
        """Return the names of a case's files by their kind."""
        of_case = (case.label, case.prediction, case.image, case.mask)
        has_nrrd = any(file is not None and file.name.lower().endswith(_NRRD) for file in of_case)
        endings = {"nifti": ".nii.gz", "markups": ".mrk.json", **({"segmentation": ".seg.nrrd"} if has_nrrd else {})}
        return {kind: f"{self.names[case]}_errors{ending}" for kind, ending in endings.items()}

    def _paths(self, case: Case) -> dict[str, Path]:
        return {kind: self.folder / name for kind, name in self._files(case).items()}

    def _written_before(self) -> set[str]:
        """Return the names of the files that earlier exports into the folder wrote."""
        try:
            found = json.loads((self.folder / _LIST).read_text(encoding="utf-8"))
            return {str(name) for name in found["files"] if "monai_topo" in found["format"]}
        except (OSError, ValueError, KeyError, TypeError):
            return set()


def _export_case(item: _Item, spacing_mm: Sequence[float] | None) -> list[dict[str, Any]]:
    """Write the files of a case, and return the rows of its errors."""
    _, case, result, paths = item
    with_affine = [file for file in (case.label, case.prediction, case.image, case.mask) if file is not None]
    grid = read_grid(with_affine, spacing_mm)
    error_map = unpack_map(result["error_map"], result["shape"])
    errors = []
    for error in result["errors"]:
        voxel = grid.voxel(error["at_xyz"])
        errors.append({**error, "voxel_xyz": voxel, "position_mm": grid.position_mm(voxel)})
    write_nifti(paths["nifti"], error_map, grid)
    if "segmentation" in paths:
        write_segmentation(paths["segmentation"], error_map, grid)
    write_markups(paths["markups"], errors)
    more = ("after_cleanup",) if "cleaned_errors" in result else ()
    return [
        {
            **name_case(case),
            **{name: error[name] for name in ("number", "kind", "voxels", *more)},
            **dict(zip(_COLUMNS, [*error["voxel_xyz"], *error["position_mm"]], strict=True)),
        }
        for error in errors
    ]


def _columns(results: Mapping[Case, Result]) -> list[str]:
    """Return the columns of the table, which are there without errors too."""
    named = list(dict.fromkeys(name for case in results for name in name_case(case)))
    more = ["after_cleanup"] if any("cleaned_errors" in result for result in results.values()) else []
    return [*named, "number", "kind", "voxels", *more, *_COLUMNS]


def _file_names(cases: Sequence[Case]) -> list[str]:
    """Return a different file name for each case, also where upper and lower case are the same."""
    names: list[str] = []
    taken: set[str] = set()
    for case in cases:
        plain = name = _plain("_".join(part for part in (case.name, part_of(case)) if part))
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _plain(text: str) -> str:
    """Keep letters, digits, points and dashes; a name of a file or class must not lead out of the folder."""
    text = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).lstrip(".-")
    return text.encode()[:_MAX_NAME_BYTES].decode(errors="ignore") or "case"


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()
