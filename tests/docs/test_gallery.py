"""The examples of the gallery run as scripts, and draw."""

import runpy
from pathlib import Path

import pytest
from matplotlib import pyplot

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "gallery").glob("plot_*.py"))
#: Lightning comes with the extras `docs` and `loops`, and has warnings of its own.
MARKS = {"plot_lightning": [pytest.mark.slow, pytest.mark.filterwarnings("default")]}


def test_there_are_examples():
    assert len(EXAMPLES) >= 7
    assert set(MARKS) <= {path.stem for path in EXAMPLES}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=MARKS.get(path.stem, ())) for path in EXAMPLES]
)
def test_an_example_runs_and_draws(path, monkeypatch, tmp_path):
    if path.stem == "plot_lightning":
        pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.get_fignums()))
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        pyplot.close("all")
    assert [len(figures) for figures in shown] == [1]
