"""A short training run in 2D and 3D: the topology term falls once switched on, more than with the pixel loss alone."""

import pytest
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.utils import set_determinism

from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.losses import PersistenceLoss, TopologyAwareLoss

pytestmark = pytest.mark.slow

CASES = {
    3: (synthetic_vessels, (20, 28, 32), {"border": "open", "patch_size": (20, 14, 16)}),
    2: (synthetic_membranes, (64, 80), {"border": "foreground", "patch_size": (32, 40)}),
}


@pytest.fixture
def deterministic():
    set_determinism(seed=0)
    yield
    set_determinism(seed=None)


def train(spatial_dims, steps, warm_up, weight):
    generate, shape, settings = CASES[spatial_dims]
    images, labels = zip(*(generate(shape, seed=seed) for seed in (1, 2)), strict=True)
    images = torch.stack([torch.from_numpy(image)[None] for image in images])
    labels = torch.stack([torch.from_numpy(label)[None] for label in labels])
    network = UNet(spatial_dims, 1, 1, channels=(8, 16, 32), strides=(2, 2), num_res_units=1, norm="INSTANCE")
    loss = TopologyAwareLoss(DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True, **settings), weight=0.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    history = []
    for step in range(steps):
        loss.set_weight(weight if step >= warm_up else 0.0)
        optimizer.zero_grad()
        loss(network(images), labels).backward()
        optimizer.step()
        history.append({name: value.item() for name, value in loss.last_components.items()})
    with torch.no_grad():
        return history, loss.topology(network(images), labels).item()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_topology_term_falls_when_it_is_switched_on(spatial_dims, deterministic):
    warm_up, steps = 25, 60
    history, reached = train(spatial_dims, steps, warm_up, weight=0.1)
    assert all("topology" not in step for step in history[:warm_up])
    topology = [step["topology"] for step in history[warm_up:]]
    base = [step["base"] for step in history]
    assert sum(topology[-5:]) < 0.6 * sum(topology[:5])
    assert base[-1] < base[warm_up] < 0.7 * base[0]
    set_determinism(seed=0)
    without, reached_without = train(spatial_dims, steps, warm_up, weight=0.0)
    assert without[:warm_up] == history[:warm_up]
    assert reached < reached_without
