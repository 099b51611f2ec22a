"""Faults of a machine, injected for real: small disks, protected disks, damaged files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Disk = Callable[..., Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a function that makes a disk of so many KiB in a new folder; skip where that is not permitted."""
    mounted: list[Path] = []
    sudo = [] if os.name == "posix" and os.geteuid() == 0 else ["sudo", "-n"]

    def make(kibibytes: int, name: str = "disk") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        options = f"size={kibibytes}k,mode=777"
        command = [*sudo, "mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if sys.platform != "linux" or _fails(command):
            pytest.skip("needs the permission to mount a small disk")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run([*sudo, "umount", "--lazy", str(folder)], check=True)


def protect(disk: Path) -> None:
    """Make a small disk read-only."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "mount", "-o", "remount,ro", str(disk)], check=True)


def fill(disk: Path, leave_bytes: int = 0) -> Path:
    """Fill a disk with a file, except for so many bytes; return the file."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave_bytes))
    return filler


def flip_bit(file: Path, seed: int = 0) -> None:
    """Change one bit in the middle half of a file."""
    content = bytearray(file.read_bytes())
    place = random.Random(seed).randrange(len(content) // 4, 3 * len(content) // 4)
    content[place] ^= 1 << seed % 8
    file.write_bytes(content)


def cut(file: Path) -> None:
    """Cut a file in half."""
    os.truncate(file, file.stat().st_size // 2)


def _fails(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode != 0
    except FileNotFoundError:
        return True
