"""The Betti error in MONAI's engines: key and additional metric, CSV files, the best model, import without ignite."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, MetricsSaver, from_engine
from monai.inferers import SimpleInferer

from monai_topo.handlers import BettiErrorHandler
from monai_topo.metrics import BettiErrorMetric
from monai_topo.persistence import betti_numbers

IMAGE_SIZE = (6, 9)


def ring(*, breaks: int = 0) -> torch.Tensor:
    """One channel with one loop; a break opens it, a second one splits it: errors (b0, b1) of (0, 1) and (1, 1)."""
    mask = torch.zeros(1, *IMAGE_SIZE)
    mask[:, 1:5, 1:8] = 1
    mask[:, 2:4, 2:7] = 0
    for row in (1, 4)[:breaks]:
        mask[:, row, 4] = 0
    return mask


def cases(*breaks: int) -> Dataset:
    """The image is the prediction: the network of these tests is the identity."""
    return Dataset([{"image": ring(breaks=n), "label": ring(), "name": f"case_{i}"} for i, n in enumerate(breaks)])


def evaluator(breaks: tuple[int, ...], **arguments: object) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(cases(*breaks), batch_size=2),
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        **arguments,
    )


pred_and_label: Callable[[object], object] = from_engine(["pred", "label"])


def test_key_metric() -> None:
    engine = evaluator((0, 1, 2), key_val_metric={"betti": BettiErrorHandler(output_transform=pred_and_label)})
    engine.run()
    assert engine.state.metrics == {"betti": pytest.approx(1.0)}
    assert engine.state.metric_details["betti"].tolist() == [[0], [1], [2]]


def test_additional_metrics_one_per_dimension() -> None:
    engine = evaluator(
        (0, 1, 2),
        key_val_metric={"dice": MeanDice(output_transform=pred_and_label)},
        additional_metrics={
            "betti_0": BettiErrorHandler(dim=0, output_transform=pred_and_label),
            "betti_1": BettiErrorHandler(dim=1, output_transform=pred_and_label, save_details=False),
        },
    )
    engine.run()
    assert engine.state.metrics["betti_0"] == pytest.approx(1 / 3)
    assert engine.state.metrics["betti_1"] == pytest.approx(2 / 3)
    assert "betti_0" in engine.state.metric_details
    assert "betti_1" not in engine.state.metric_details


def test_runs_do_not_add_up() -> None:
    engine = evaluator((1,), key_val_metric={"betti": BettiErrorHandler(output_transform=pred_and_label)})
    for _ in range(2):
        engine.run()
        assert engine.state.metrics["betti"] == 1
        assert engine.state.metric_details["betti"].shape == (1, 1)


@pytest.mark.parametrize(
    ("compare", "best"),
    [
        pytest.param(lambda new, old: new < old, 0, id="lower is better"),
        pytest.param(lambda new, old: new > old, 2, id="the default would keep the worst"),
    ],
)
def test_best_metric_needs_a_comparison_for_errors(compare: Callable[[float, float], bool], best: int) -> None:
    engine = evaluator(
        (1,),
        key_val_metric={"betti": BettiErrorHandler(output_transform=pred_and_label)},
        metric_cmp_fn=compare,
    )
    for breaks in (1, 2, 0, 1):
        engine.data_loader = DataLoader(cases(breaks), batch_size=1)
        engine.state.dataloader = None
        engine.run(global_epoch=breaks + 1)
    assert engine.state.best_metric == best


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_metrics_saver_writes_cases_and_summary(tmp_path: Path) -> None:
    saver = MetricsSaver(
        save_dir=str(tmp_path),
        metrics="*",
        metric_details="*",
        batch_transform=lambda batch: [{"filename_or_obj": item["name"]} for item in batch],
        summary_ops=["mean", "max"],
    )
    engine = evaluator(
        (0, 1, 2),
        key_val_metric={"betti": BettiErrorHandler(output_transform=pred_and_label)},
        val_handlers=[saver],
    )
    engine.run()
    assert rows(tmp_path / "metrics.csv") == [["betti", "1.0"]]
    assert rows(tmp_path / "betti_raw.csv") == [
        ["filename", "class0", "mean"],
        ["case_0", "0.0", "0.0"],
        ["case_1", "1.0", "1.0"],
        ["case_2", "2.0", "2.0"],
    ]
    summary = rows(tmp_path / "betti_summary.csv")
    assert [cell.strip() for cell in summary[0]] == ["class", "mean", "max"]
    assert [cell.strip() for cell in summary[1]] == ["class0", "1.0000", "2.0000"]


def test_every_setting_reaches_the_metric() -> None:
    setting = {
        "include_background": False,
        "connectivity": "face",
        "border": "foreground",
        "patch_size": (4, 5),
        "num_patches": 7,
        "seed": 3,
        "dim": 1,
        "reduction": "mean_batch",
    }
    generator = torch.Generator().manual_seed(0)
    pred, label = ((torch.rand(2, 3, 11, 14, generator=generator) < 0.5).float() for _ in range(2))
    metric = BettiErrorMetric(**setting)
    metric(pred, label)
    handler = BettiErrorHandler(**setting)
    engine = Engine(lambda _engine, batch: batch)
    handler.attach(engine, "betti")
    engine.run([(pred, label)])
    assert torch.equal(engine.state.metrics["betti"], metric.aggregate())
    assert torch.equal(engine.state.metric_details["betti"], metric.get_buffer())


def test_settings_from_a_bundle_config() -> None:
    config = {
        "handler": {
            "_target_": "monai_topo.handlers.BettiErrorHandler",
            "patch_size": [65, 65],
            "num_patches": 16,
            "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
        }
    }
    handler = ConfigParser({"imports": ["$import monai"], **config}).get_parsed_content("handler")
    assert isinstance(handler, BettiErrorHandler)
    assert handler.metric_fn.num_patches == 16


def test_impossible_settings_fail_before_the_run() -> None:
    with pytest.raises(ValueError, match="Expected `patch_size` to be given with `num_patches`"):
        BettiErrorHandler(num_patches=3)


WITHOUT_IGNITE = """
import sys
sys.modules["ignite"] = None  # import ignite raises ImportError
import monai_topo
import monai_topo.handlers
try:
    monai_topo.handlers.BettiErrorHandler()
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_import_needs_no_ignite_and_the_handler_names_it() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_IGNITE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("OptionalImportError")
    assert "ignite" in run.stdout


class Refilled:
    """A loader that reuses the same memory for all cases."""

    def __init__(self, *breaks: int) -> None:
        self.breaks, self.image, self.label = breaks, ring()[None], ring()[None]

    def __len__(self) -> int:
        return len(self.breaks)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for number in self.breaks:
            self.image.copy_(ring(breaks=number)[None])
            yield {"image": self.image, "label": self.label}


def test_dimensions_are_counted_once_per_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.Size] = []

    def counted(masks: torch.Tensor, **settings: str) -> torch.Tensor:
        calls.append(masks.shape)
        return betti_numbers(masks, **settings)

    monkeypatch.setattr("monai_topo.metrics.betti_error.betti_numbers", counted)
    both = {
        f"betti_{dim}_{patch_size}": BettiErrorHandler(dim=dim, patch_size=patch_size, output_transform=pred_and_label)
        for patch_size in (None, [6, 9])
        for dim in (0, 1)
    }
    engine = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=Refilled(2, 0, 1),
        network=torch.nn.Identity(),
        inferer=SimpleInferer(),
        key_val_metric=both,
    )
    engine.run()
    assert len(calls) == 6  # three batches, two protocols
    for name, errors in (("betti_0", [1, 0, 0]), ("betti_1", [1, 0, 1])):
        for protocol in ("None", "[6, 9]"):
            assert engine.state.metric_details[f"{name}_{protocol}"].flatten().tolist() == errors
    assert engine.state.result_cache == {}, "nothing is kept beyond the validation"
