"""The contract of every metric class and handler: shapes, lists, NaN, engines, two ranks, settings, pickling."""

from __future__ import annotations

import inspect
import pickle
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_topo import handlers, metrics
from monai_topo._utils.docstrings import described_args
from monai_topo.handlers._base import TopologyMetricHandler
from monai_topo.metrics._base import TopologyMetric

METRICS = [getattr(metrics, name) for name in metrics.__all__ if name.endswith("Metric")]
HANDLERS = [
    handler
    for name in handlers.__all__
    if isinstance(handler := getattr(handlers, name), type) and issubclass(handler, TopologyMetricHandler)
]

every_metric = pytest.mark.parametrize("metric_class", METRICS, ids=lambda metric_class: metric_class.__name__)


def masks(*shape: int, seed: int) -> torch.Tensor:
    """Random blocks with sides of two voxels, so that components and holes have some size."""
    coarse = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    for axis in range(2, len(shape)):
        coarse = coarse.repeat_interleave(2, dim=axis)
    return coarse.float()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Three images of three classes, a quarter of the blocks predicted wrongly; two classes touch only where wrong."""
    true, wrong = masks(3, 3, 6, 8, seed=1), masks(3, 3, 6, 8, seed=0) * masks(3, 3, 6, 8, seed=2)
    true[0, 0, :, 7:] = true[0, 1, :, :9] = 0
    return (true - wrong).abs(), true


def test_there_is_a_function_and_a_handler_for_every_metric() -> None:
    assert len(METRICS) > 1
    assert {handler.metric_class for handler in HANDLERS} == set(METRICS)
    assert [handler.__name__ for handler in HANDLERS] == [
        handler.metric_class.__name__.replace("Metric", "Handler") for handler in HANDLERS
    ]
    functions = [name for name in metrics.__all__ if name.startswith("compute_")]
    assert len(functions) == len(METRICS)


def declaration(parameter: inspect.Parameter) -> tuple[str, object, str]:
    """Name, default and type, the latter as text whether or not its module postpones annotations."""
    kind = parameter.annotation
    return parameter.name, parameter.default, kind if isinstance(kind, str) else inspect.formatannotation(kind)


@every_metric
def test_settings_are_those_of_the_function(metric_class: type[TopologyMetric]) -> None:
    settings = dict(inspect.signature(metric_class).parameters)
    own = {"reduction", "get_not_nans", "part", "dim"}
    function = [p for p in inspect.signature(metric_class._compute).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert set(settings) - own == {parameter.name for parameter in function}
    assert [declaration(settings[parameter.name]) for parameter in function] == [*map(declaration, function)]


@every_metric
def test_every_setting_is_described(metric_class: type[TopologyMetric]) -> None:
    assert list(described_args(metric_class.__doc__)) == list(inspect.signature(metric_class).parameters)


@every_metric
def test_metric_survives_pickling(metric_class: type[TopologyMetric]) -> None:
    metric = pickle.loads(pickle.dumps(metric_class(reduction="mean_batch")))
    assert torch.equal(metric(*batch()), metric_class()(*batch()))
    assert metric.reduction == "mean_batch"


@every_metric
@pytest.mark.parametrize("spatial", [(6, 8), (3, 2, 4)], ids=["2d", "3d"])
def test_one_number_per_image_and_class(metric_class: type[TopologyMetric], spatial: tuple[int, ...]) -> None:
    pred, true = masks(2, 3, *spatial, seed=2), masks(2, 3, *spatial, seed=3)
    before = pred.clone(), true.clone()
    values = metric_class()(pred, true)
    assert type(values) is torch.Tensor
    assert values.shape == (2, 3)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert torch.equal(pred, before[0])
    assert torch.equal(true, before[1])
    without_background = metric_class()(pred[:, 1:], true[:, 1:])
    assert metric_class(include_background=False)(pred, true).tolist() == without_background.tolist()


@every_metric
def test_lists_equal_batches_and_metatensors_come_out_plain(metric_class: type[TopologyMetric]) -> None:
    pred, true = batch()
    values = metric_class()(pred, true)
    assert values.unique().numel() > 1  # otherwise the comparisons below are trivial
    metric = metric_class()
    assert torch.equal(metric(list(pred), list(true)), values)
    from_meta = metric(list(MetaTensor(pred)), [MetaTensor(label) for label in true])
    assert type(from_meta) is torch.Tensor
    assert torch.equal(from_meta, values)
    assert torch.equal(metric.get_buffer(), torch.cat([values, values]))
    with pytest.raises(ValueError, match=r"Expected as many labels .* got 3 predictions and 2 labels"):
        metric(list(pred), list(true[:2]))


@every_metric
def test_reduction_and_reset(metric_class: type[TopologyMetric]) -> None:
    metric = metric_class(reduction="mean_batch", get_not_nans=True)
    values = metric(*batch())
    value, not_nans = metric.aggregate()
    torch.testing.assert_close(value, values.mean(0))
    assert not_nans.tolist() == [3, 3, 3]
    assert metric.aggregate("none")[0].tolist() == values.tolist()
    metric.reset()
    with pytest.raises(ValueError, match="Expected at least one case before `aggregate`"):
        metric.aggregate()


@every_metric
def test_impossible_settings_and_inputs_are_refused(metric_class: type[TopologyMetric]) -> None:
    with pytest.raises(ValueError, match="median"):
        metric_class(reduction="median")
    with pytest.raises(TypeError, match="unexpected keyword"):
        metric_class(spacing=1.0)
    with pytest.raises(TypeError, match="Expected prediction and label only, but got also spacing"):
        metric_class()(*batch(), spacing=1.0)
    for name, value in {"connectivity": "18", "border": "closed", "dim": 3, "part": "half"}.items():
        if name in inspect.signature(metric_class).parameters:
            with pytest.raises(ValueError, match=f"Expected `{name}` to be"):
                metric_class(**{name: value})
    pred, true = batch()
    with pytest.raises(ValueError, match=r"Expected `y` to have the shape"):
        metric_class()(pred, true[:, :1])
    with pytest.raises(ValueError, match=r"Expected `y` to hold (only 0 and 1|values in \[0, 1\])"):
        metric_class()(pred, true * 255)
    with pytest.raises(TypeError, match=r"Expected `y` to be a torch.Tensor, but got NoneType"):
        metric_class()(pred)


@pytest.mark.gpu
@every_metric
def test_result_is_on_the_gpu_of_the_prediction(metric_class: type[TopologyMetric]) -> None:
    pred, true = batch()
    values = metric_class()(pred.cuda(), true.cuda())
    assert values.is_cuda
    assert torch.equal(values.cpu(), metric_class()(pred, true))


@pytest.mark.parametrize("handler_class", HANDLERS, ids=lambda handler_class: handler_class.__name__)
def test_handler_passes_its_settings_to_the_metric(handler_class: type[TopologyMetricHandler]) -> None:
    settings = {"include_background": False, "reduction": "mean_batch"}
    handler = handler_class(**settings)
    engine = Engine(lambda _engine, case: case)
    handler.attach(engine, "value")
    engine.run([batch()])
    metric = handler_class.metric_class(**settings)
    metric(*batch())
    assert torch.equal(engine.state.metrics["value"], metric.aggregate())
    assert torch.equal(engine.state.metric_details["value"], metric.get_buffer())


@pytest.mark.parametrize("handler_class", HANDLERS, ids=lambda handler_class: handler_class.__name__)
def test_handler_survives_pickling(handler_class: type[TopologyMetricHandler]) -> None:
    handler = pickle.loads(pickle.dumps(handler_class(reduction="mean_batch", save_details=False)))
    assert handler.metric_fn.reduction == "mean_batch"
    assert not handler.save_details


@pytest.mark.parametrize("handler_class", HANDLERS, ids=lambda handler_class: handler_class.__name__)
def test_handler_shows_the_settings_of_its_metric(handler_class: type[TopologyMetricHandler]) -> None:
    shown = set(inspect.signature(handler_class).parameters)
    assert set(described_args(handler_class.__doc__)) == shown
    assert shown == set(inspect.signature(handler_class.metric_class).parameters) - {"get_not_nans"} | {
        "output_transform",
        "save_details",
    }
    with pytest.raises(TypeError, match="except `get_not_nans`"):
        handler_class(get_not_nans=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dimension'"):
        handler_class(dimension=1)


@pytest.mark.parametrize(
    ("metric_class", "module", "package"),
    [
        (metrics.ClDiceMetric, "skimage.morphology", "scikit-image"),
        (metrics.SkeletonRecallMetric, "scipy.ndimage", "scipy"),
    ],
)
def test_missing_package_is_named(metric_class, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError
    with pytest.raises(
        ImportError, match=rf"Expected {package} to be installed .* pip install 'monai_topo\[metrics\]'"
    ):
        metric_class()(*batch())


class Fixed(TopologyMetric, compute=lambda y_pred, y: y_pred[:, :, 0]):
    """Stands for a metric that is not applicable to some images: its value is the first voxel of the prediction."""


@pytest.mark.parametrize(
    ("reduction", "expected", "counts"),
    [
        ("mean", [1.5], 2),
        ("mean_batch", [1.5, float("nan")], [2, 0]),
        ("mean_channel", [1.0, float("nan"), 2.0], [1, 0, 1]),
        ("sum_batch", [3.0, 0.0], [2, 0]),
    ],
)
def test_mean_over_nothing_is_nan(reduction: str, expected: list[float], counts: object) -> None:
    nan = float("nan")
    metric = Fixed(reduction=reduction, get_not_nans=True)
    values = torch.tensor([[[1.0], [nan]], [[nan], [nan]], [[2.0], [nan]]])
    metric(values, values)
    value, not_nans = metric.aggregate()
    torch.testing.assert_close(value, torch.tensor(expected), equal_nan=True)
    assert not_nans.tolist() == counts
    metric.reset()
    metric(values[1:2], values[1:2])
    assert metric.aggregate("mean")[0].isnan().all()


def values_of_rank(rank: int, rendezvous: str, folder: str) -> None:
    """Rank 0 adds two cases, rank 1 one, to every metric."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    pred, true = (tensor[2 * rank : 2 * rank + 2] for tensor in batch())
    found = {}
    for metric_class in METRICS:
        metric = metric_class(reduction="mean_batch")
        metric(pred, true)
        found[metric_class.__name__] = (metric.aggregate(), metric.get_buffer())
    torch.save(found, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(values_of_rank, args=(str(folder / "rendezvous"), str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@every_metric
def test_two_ranks_equal_one_process(metric_class: type[TopologyMetric], two_ranks) -> None:
    metric = metric_class(reduction="mean_batch")
    metric(*batch())
    for found in two_ranks:
        aggregate, buffer = found[metric_class.__name__]
        assert torch.equal(buffer, metric.get_buffer())
        assert torch.equal(aggregate, metric.aggregate())
