"""The templates of contributing.md pass the checks that every loss, metric and transform of the package passes."""

import importlib
import inspect
import itertools
import re
import sys
from pathlib import Path

import pytest
from contracts import test_losses as losses
from contracts import test_metrics as metrics
from contracts import test_transforms as transforms

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "contributing.md").read_text(encoding="utf-8")
TEMPLATES = [block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if block.startswith('"""')]


@pytest.fixture(autouse=True)
def template_modules(tmp_path, monkeypatch):
    """Write each template to a module, `template_0` and so on, so that its classes can be pickled."""
    for number, source in enumerate(TEMPLATES):
        (tmp_path / f"template_{number}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, f"template_{number}", raising=False)
    monkeypatch.syspath_prepend(tmp_path)


def names_of(mark):
    """The parameters of a parametrize mark, given as one string or as a sequence."""
    names = mark.args[0]
    return tuple(re.split(r",\s*", names)) if isinstance(names, str) else tuple(names)


def run_checks(contract, names, row, **fixtures):
    """Run each check of a contract that is parametrized by `names`: with `row`, and all its other parameters."""
    done = []
    for title, check in vars(contract).items():
        marks = getattr(check, "pytestmark", []) if title.startswith("test_") else []
        grid = {names_of(mark): mark.args[1] for mark in marks if mark.name == "parametrize"}
        wanted = set(inspect.signature(check).parameters) if names in grid else None
        skipped = any(mark.name == "gpu" or (mark.name == "skipif" and mark.args[0]) for mark in marks)
        if wanted is None or skipped or not wanted <= {*itertools.chain(*grid), *fixtures}:
            continue
        for values in itertools.product(*({**grid, names: [row]}).values()):
            given = dict(fixtures)
            for keys, value in zip(grid, values, strict=True):
                given |= dict(zip(keys, value, strict=True)) if len(keys) > 1 else {keys[0]: value}
            check(**{name: given[name] for name in wanted})
        done.append(title)
    return done


def test_loss(monkeypatch):
    loss = importlib.import_module("template_0").ComponentRecallLoss
    case = losses.Case(loss, cannot=losses.RECALL_ONLY)
    monkeypatch.setitem(losses.LOSSES, "template", case)
    assert len(run_checks(losses, ("name",), "template", monkeypatch=monkeypatch)) > 10


def test_metric():
    metric = importlib.import_module("template_1").FragmentationErrorMetric
    assert len(run_checks(metrics, ("metric_class",), metric)) > 3


def test_transform(monkeypatch):
    module = importlib.import_module("template_2")
    for name in module.__all__:
        monkeypatch.setattr(transforms.transforms, name, getattr(module, name), raising=False)
    row = ("ClearBorder", {}, "label")
    done = run_checks(transforms, ("name", "settings", "key"), row) + run_checks(transforms, ("row",), row)
    assert len(done) > 1
