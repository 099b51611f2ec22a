"""The page of the transforms: its code runs, every transform has its section, and the build makes its pictures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monai_topo import transforms

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")


def names():
    return {name for name in transforms.__all__ if name + "d" in transforms.__all__}


def test_every_transform_has_an_example():  # which test_docs.py runs
    assert len(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)) == len(names()) + 1


def test_every_transform_has_a_section_a_picture_and_a_speed():
    assert set(re.findall(r"^## (\w+)$", PAGE, flags=re.MULTILINE)) == names() | {"Speed"}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == names()
    pictures = {path.stem.split("_")[0] for path in (ROOT / "docs" / "images" / "transforms").glob("*.png")}
    assert pictures == names()


@pytest.mark.slow
def test_the_build_makes_the_pictures(tmp_path):
    script = f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); from pathlib import Path; "
    script += f"from figures import transforms; transforms.make_all(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "MPLBACKEND": "agg"})
    made = {path.name for path in tmp_path.glob("*.png")}
    assert made == {path.name for path in (ROOT / "docs" / "images" / "transforms").glob("*.png")}
