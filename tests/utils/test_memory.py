"""Amounts of memory in words, and what is free on a machine and in a container."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from monai_topo._utils import memory


@pytest.mark.parametrize(
    ("size", "text"),
    [(1, "1 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (3 * 2**29, "1.5 GiB"), (2**41, "2 TiB"), (0, "0 bytes")],
)
def test_bytes_in_words(size: int, text: str) -> None:
    assert memory.describe_bytes(size) == text


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_free_memory_is_less_than_all() -> None:
    assert 2**20 < memory.available_memory() < memory.total_memory() < 2**50


def test_a_container_has_its_own_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = memory.available_memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (str(limit), str(tmp_path / "none")))
    for text, expected in (("5000000\n", 5_000_000), ("max\n", free)):
        limit.write_text(text)
        assert memory.available_memory() == pytest.approx(expected, rel=0.3)
