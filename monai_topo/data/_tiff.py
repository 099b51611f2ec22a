"""The pages of a TIFF file: how much they claim, and how much of their data the file holds."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

__all__ = ["TIFF_STARTS", "TiffPage", "read_tiff_pages"]

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q", 18: "Q"}  # types of unsigned numbers
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325


class TiffPage(NamedTuple):
    """One image of a TIFF file.

    Attributes:
        claim: Bytes of its voxels.
        held: Bytes of its data, compressed or not, that lie inside the file.
        is_raw: Whether its data are not compressed.
    """

    claim: int
    held: int
    is_raw: bool


def read_tiff_pages(path: Path) -> list[TiffPage]:
    """Read the table of each page.

    Raises:
        ValueError: If a table lies outside the file, as in a file that was cut, or its pages form a circle.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        is_big = start[2:4] in (b"+\0", b"\0+")
        (at,) = struct.unpack(f"{order}Q", start[8:16]) if is_big else struct.unpack(f"{order}I", start[4:8])
        pages: list[TiffPage] = []
        seen: set[int] = set()
        while at:
            if at in seen:
                raise ValueError(f"Expected {path} to have an end, but got pages in a circle.")
            seen.add(at)
            try:
                tags, at = _read_table(file, at, order, is_big)
            except struct.error:
                raise ValueError(
                    f"Expected {path} to hold all its pages, but got an end after {len(pages)}; it was cut."
                ) from None
            pages.append(_page(tags, size))
    return pages


def _read_table(file: BinaryIO, at: int, order: str, is_big: bool) -> tuple[dict[int, Any], int]:
    """Read the tags of a page that are numbers, and the place of the next page."""
    count_format, entry_format, offset_format = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")

    def read(layout: str) -> tuple[Any, ...]:
        return struct.unpack(order + layout, file.read(struct.calcsize(order + layout)))

    file.seek(at)
    (count,) = read(count_format)
    entries = [read(entry_format) for _ in range(min(count, 2**16))]
    (following,) = read(offset_format)
    tags = {}
    for tag, kind, number, value in entries:
        if kind not in _FORMATS or tag not in _NEEDED:
            continue
        layout = f"{number}{_FORMATS[kind]}"
        length = struct.calcsize(order + layout)
        if length > len(value):
            file.seek(struct.unpack(order + offset_format, value)[0])
            value = file.read(length)
        tags[tag] = struct.unpack(order + layout, value[:length])
    return tags, following


_NEEDED = {
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES,
}  # fmt: skip


def _page(tags: dict[int, Any], size: int) -> TiffPage:
    def first(tag: int, default: int) -> int:
        return int(tags.get(tag, (default,))[0])

    bits = first(_BITS, 1) * first(_SAMPLES, 1)
    claim = first(_HEIGHT, 0) * -(-first(_WIDTH, 0) * bits // 8)
    places = tags.get(_STRIPS, tags.get(_TILES, ()))
    lengths = tags.get(_STRIP_BYTES, tags.get(_TILE_BYTES))
    if lengths is None:  # old writers leave them out: up to the end of the file
        return TiffPage(claim, max(0, size - min(places, default=size)), first(_COMPRESSION, 1) == 1)
    inside = (max(0, min(length, size - place)) for place, length in zip(places, lengths, strict=False))
    return TiffPage(claim, sum(inside), first(_COMPRESSION, 1) == 1)
