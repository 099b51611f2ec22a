"""Checkpoints: every damage is found, the one before is kept, and a full disk or a kill leaves a complete one."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import Disk, cut, fill

from monai_topo._utils.checkpoints import (
    DamagedFileError,
    check_intact,
    load_checkpoint,
    previous_version,
    save_checkpoint,
)


def state_of(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weights": {"weight": torch.arange(600.0) + epoch, "bias": torch.ones(2, 3)}, "rows": ["a"]}


def equal(state: dict[str, Any], other: dict[str, Any]) -> bool:
    tensors = [one["weights"].values() for one in (state, other)]
    same = all(torch.equal(one, another) for one, another in zip(*tensors, strict=True))
    return same and (state["epoch"], state["rows"]) == (other["epoch"], other["rows"])


def flips(content: bytes) -> list[tuple[int, int]]:
    """List one bit of each byte of the headers, and of a third of the others."""
    rng = random.Random(0)
    begin, end = 600, len(content) - 900  # the records' headers; the table of records, and our comment
    return [(at, rng.randrange(8)) for at in range(len(content)) if not begin < at < end or rng.random() < 0.3]


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    file, damaged = tmp_path / "state.pt", tmp_path / "damaged.pt"
    save_checkpoint(state_of(1), file)
    content = file.read_bytes()
    missed = silent = 0
    places = flips(content)
    for at, bit in places:
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        damaged.write_bytes(changed)
        try:
            missed += 1
            check_intact(damaged)
        except DamagedFileError:
            missed -= 1
        else:
            assert equal(load_checkpoint(damaged), state_of(1)), f"bit {bit} of byte {at}"
        with contextlib.suppress(Exception):  # torch notices some damages
            silent += not equal(torch.load(damaged, weights_only=True), state_of(1))
    assert len(places) > 1000
    assert silent > 100, "torch alone does not notice"
    assert missed <= len("sha256:"), "only if the mark of our checksum is gone, and then those of the records count"


@pytest.mark.parametrize("rest", [0, 1, 4, 100, -200, -1], ids=str)
def test_a_cut_checkpoint_is_found(rest: int, tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    save_checkpoint(state_of(1), file)
    os.truncate(file, rest if rest >= 0 else file.stat().st_size + rest)
    with pytest.raises(DamagedFileError, match=r"Expected .*state\.pt to be"):
        load_checkpoint(file)


def test_files_of_torch_and_their_own_checksums_are_read(tmp_path: Path) -> None:
    file = tmp_path / "theirs.pt"
    torch.save(state_of(1), file)
    assert equal(load_checkpoint(file), state_of(1))
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as records:
        weights = next(info for info in records.infolist() if info.file_size == 600 * 4)
    content[weights.header_offset + 300] ^= 1
    file.write_bytes(content)
    assert not equal(torch.load(file, weights_only=True), state_of(1)), "torch alone does not notice"
    with pytest.raises(DamagedFileError, match=r"theirs\.pt to be as it was written, but the checksum of '.*' differs"):
        load_checkpoint(file)
    torch.save(state_of(1), file, _use_new_zipfile_serialization=False)  # before torch 1.6
    assert equal(load_checkpoint(file), state_of(1))


def test_others_read_our_files(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    save_checkpoint(state_of(1), file)
    assert equal(torch.load(file, weights_only=True, mmap=True), state_of(1))
    with zipfile.ZipFile(file) as records:
        assert records.testzip() is None


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"epoch": Attack()}, tmp_path / "state.pt")
    with pytest.raises(DamagedFileError, match="to be a checkpoint, but got: Weights only load failed"):
        load_checkpoint(tmp_path / "state.pt")
    assert not (tmp_path / "executed").exists()


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    for epoch in (1, 2, 3):
        save_checkpoint(state_of(epoch), file)
    assert equal(load_checkpoint(file), state_of(3))
    assert equal(load_checkpoint(previous_version(file)), state_of(2))
    assert {path.name for path in tmp_path.iterdir()} == {"state.pt", "state.previous.pt"}


def test_without_hard_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_the_one_before_is_kept(tmp_path)


def test_a_full_disk_keeps_both(small_disk: Disk) -> None:
    disk = small_disk(64)
    file = disk / "state.pt"
    for epoch in (1, 2):
        save_checkpoint(state_of(epoch), file)
    for left in (0, 1000, 3000):
        filler = fill(disk, leave_bytes=left)
        with pytest.raises(OSError, match="No space left on device") as caught:
            save_checkpoint(state_of(3), file)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename is None or "state" in str(caught.value.filename)
        assert {path.name for path in disk.iterdir()} == {"state.pt", "state.previous.pt", "filler"}
        assert equal(load_checkpoint(file), state_of(2))
        assert equal(load_checkpoint(previous_version(file)), state_of(1))
        filler.unlink()
    save_checkpoint(state_of(3), file)
    assert equal(load_checkpoint(file), state_of(3))


def test_a_disk_that_loses_bytes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, save = tmp_path / "state.pt", torch.save
    save_checkpoint(state_of(1), file)

    def lose(state: Any, opened: Any) -> None:
        save(state, opened)
        cut(Path(opened.name))

    monkeypatch.setattr(torch, "save", lose)
    with pytest.raises(DamagedFileError):
        save_checkpoint(state_of(2), file)
    assert equal(load_checkpoint(file), state_of(1))


KILLED = """
import os, signal, sys
from monai_topo._utils.checkpoints import load_checkpoint, save_checkpoint
for call in ("link", "replace", "fsync"):
    for count in (1, 2, 3):
        file = f"{sys.argv[1]}/{call}{count}/state.pt"
        save_checkpoint({"epoch": 1}, file)
        child = os.fork()
        if not child:
            done, calls = getattr(os, call), iter(range(1, 100))
            def kill(*paths):
                if next(calls) == count:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done(*paths)
            setattr(os, call, kill)
            for epoch in (2, 3):
                save_checkpoint({"epoch": epoch}, file)
            os._exit(0)
        print(call, count, os.waitpid(child, 0)[1], load_checkpoint(file)["epoch"])
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_complete_one(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=True)
    # With two replacements per checkpoint, the third kill is in the second one.
    expected = {"link 1 1": 9, "link 2 2": 9, "link 3 3": 0, "replace 1 1": 9, "replace 2 1": 9, "replace 3 2": 9}
    expected |= {"fsync 1 1": 9, "fsync 2 2": 9, "fsync 3 3": 0}
    found = (line.split() for line in run.stdout.splitlines())
    assert {f"{call} {count} {epoch}": int(status) for call, count, status, epoch in found} == expected
