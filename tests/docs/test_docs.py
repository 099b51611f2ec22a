"""Every example that a reader may copy runs: docstrings, the Python of the pages, the script of the pictures."""

import doctest
import importlib
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from napari_cases import modules_without_napari
from nnunet_runs import modules_without_nnunet

import monai_topo

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def modules():
    missing = modules_without_nnunet() | modules_without_napari()
    found = [info.name for info in pkgutil.walk_packages(monai_topo.__path__, "monai_topo.")]
    return [name for name in found if name not in {"monai_topo._core", *missing}]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_there_are_docstring_examples():
    finder = doctest.DocTestFinder()
    examples = [test for name in modules() for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) >= 5


# test_training_pages.py runs three in processes of their own, and tests/napari_plugin the fourth in a viewer.
SCRIPTS = {"accelerate", "lightning", "torch_loop", "napari"}
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```python" in path.read_text() and path.stem not in SCRIPTS
]
TRAINING_PAGES = {"add_to_training", "tutorial"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem in TRAINING_PAGES), id=path.stem) for path in PAGES],
)
def test_python_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    script = "\n".join(blocks)  # in sequence: a later block may use the results of an earlier one
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():  # a page may set a seed for itself, not for the tests after it
        exec(compile(script, str(page), "exec", dont_inherit=True), {"__name__": "__main__"})
    printed = re.sub(r"'\w+': |[{}]", "", capsys.readouterr().out)  # a dictionary is written without its keys
    for expected in re.findall(r"^print\(.*\)  # (.*)$", script, flags=re.MULTILINE):
        assert expected in printed


def test_set_up_commands_of_the_readme_are_two_and_name_what_is_there():
    commands = re.findall(r"^python3 -m venv .*$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    assert commands[1].endswith("-m pytest -n 2")
    words = [
        word for command in re.findall(r"```bash\n(.*?)\n```", README, flags=re.DOTALL) for word in shlex.split(command)
    ]
    for path in [word for word in words if word.startswith("bundles/")]:
        assert (ROOT / path).exists(), path


WRITTEN_BY_RUNS = {".venv", "_build", "build", "eval", "runs"}


@pytest.mark.parametrize(
    "page", [path.relative_to(ROOT) for path in ROOT.rglob("*.md") if not WRITTEN_BY_RUNS & {*path.parts}]
)
def test_links_inside_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto")):
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.slow
def test_pictures_are_made_by_the_project(tmp_path):
    script = f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); from pathlib import Path; "
    script += f"from figures import repair; repair.make_all(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "MPLBACKEND": "agg"})
    assert (tmp_path / "repair.png").read_bytes().startswith(b"\x89PNG")
    assert (ROOT / "docs" / "images" / "repair.png").exists()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory of a process as Linux shows it")
def test_benchmark_of_volumes_counts_what_was_drawn():
    command = [sys.executable, "-m", "monai_topo.benchmark", "--volumes", "64", "128"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.startswith(("| 64^3", "| 128^3"))]
    assert [row[-1] for row in rows] == ["yes", "yes"]


@pytest.mark.slow
def test_benchmark_of_the_docs_runs_and_finds_equal_diagrams(tmp_path):
    likelihood, label = np.random.default_rng(0).random((2, 2, 20, 30), dtype=np.float32)
    np.savez(tmp_path / "two.npz", made_up=[likelihood, label.round()])
    command = [sys.executable, "-m", "monai_topo.benchmark", "--quick", "--likelihoods", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    measured = [line.count("|") for line in run.stdout.splitlines() if line.startswith("| made_up |")]
    assert measured == [16, 8]  # every cell of both tables
    volumes = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.startswith("| 0.")]
    assert [len(row) for row in volumes] == [9, 9, 9]
    in_support = [float(row[2].removesuffix(" %")) for row in volumes]
    assert in_support == sorted(set(in_support))  # more noise, more of the background above 0.2
    rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.startswith(("| 256^2", "| 64^3"))]
    assert [row[-1] for row in rows if len(row) == 10] == ["yes", "yes"]  # GUDHI is there always


@pytest.mark.slow
def test_training_steps_of_the_docs_are_timed(tmp_path):
    file = tmp_path / "times.json"
    command = [sys.executable, "-m", "monai_topo.benchmark.training_step", "--quick", "--json", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 4
    assert all(f"\n{name} (" in run.stdout for name in cases)
    for case in cases.values():
        assert case["difference"] == 0
        assert all(len(times) == 1 and min(times) > 0 for times in case["times_ms"].values())
