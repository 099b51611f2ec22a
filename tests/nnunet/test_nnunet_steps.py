"""Training steps of the real trainers in the processes of a test: mixed precision, and two processes with gloo."""

from __future__ import annotations

import sys
from functools import partial

import pytest
import torch
from nnunet_runs import NnunetProject, has_nnunet, needs_nnunet, record_of, vessels
from torch import distributed

from monai_topo.nnunet.nnunet_command import TRAINERS

pytestmark = [pytest.mark.slow, needs_nnunet]
TOPOLOGY = "nnUNetTrainerTopology"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One class in 2D, for which nnU-Net plans a Dice over the whole batch."""
    labels = {"background": 0, "vessel": 1}
    cases = vessels((40, 56), 6, lambda label: label)
    project = NnunetProject(tmp_path_factory.mktemp("steps"), labels, ".png", "2d").write(cases[:5], cases[5][0])
    project.succeed(project.plan())
    project.shrink()
    return project


@pytest.mark.parametrize(
    ("name", "settings"), [*((name, {"weight": 1}) for name in TRAINERS), (TOPOLOGY, {"ratio": 1})]
)
def test_the_term_of_a_mixed_precision_step_is_that_of_single_precision(project, trainer_of, name, settings):
    """nnU-Net itself has mixed precision on a GPU only; the autocast of the CPU is around its step here."""
    trainer = trainer_of(project)(name, warm_up_epochs=0, **settings)
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    outputs = []
    trainer.network.register_forward_hook(lambda network, inputs, output: outputs.append(output[0].detach()))
    batch = next(trainer.dataloader_train)
    before = [parameter.detach().clone() for parameter in trainer.network.parameters()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = trainer.train_step(batch)
    (half,) = outputs
    assert half.dtype == torch.bfloat16
    value = trainer.loss.last_components["topology"]
    assert value.dtype == torch.float32
    expected = trainer.loss.topology(half.float(), batch["target"])
    torch.testing.assert_close(value, expected.detach(), rtol=1e-2 if name.endswith("SCNP") else 1e-6, atol=0)
    assert torch.isfinite(torch.as_tensor(result["loss"]))
    after = list(trainer.network.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after)
    assert any((one != other).any() for one, other in zip(before, after, strict=True))


def test_options_reach_the_loss(project, trainer_of):
    options = {
        "dims": [1],
        "support": 0.3,
        "patch_size": 24,
        "connectivity": "face",
        "border": "open",
        "num_patches": 3,
    }
    trainer = trainer_of(project)(ratio=0.7, **options)
    trainer.initialize()
    loss = trainer.loss.topology.loss
    found = {name: getattr(loss, name) for name in options}
    assert {**found, "dims": [*loss.dims]} == {**options, "patch_size": [24, 24]}
    assert trainer.loss.gradient_ratio.ratio == 0.7


def train_on_rank(rank, number, name, folder):
    """Train one of two processes as nnU-Net's `run_ddp` does it, but on the CPU."""
    assert has_nnunet()
    from nnunetv2.run.run_training import get_trainer_from_args

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous_{name}", rank=rank, world_size=2)
    trainer = get_trainer_from_args(str(number), "2d", 0, name)
    trainer.device, trainer.grad_scaler = torch.device("cpu"), None  # nnU-Net takes the GPU of the rank
    module = sys.modules["nnunetv2.training.nnUNetTrainer.nnUNetTrainer"]
    module.DDP = partial(without_device, module.DDP)
    trainer.run_training()
    trainer.perform_actual_validation()
    torch.save(
        {
            "network": trainer.network.module.state_dict(),
            "ratio": trainer.loss.gradient_ratio and trainer.loss.gradient_ratio.state_dict(),
            "values": trainer._topology_values,
            "batch_size": trainer.batch_size,
        },
        folder / f"{name}_{rank}.pt",
    )
    distributed.destroy_process_group()


def without_device(wrap, network, device_ids):
    return wrap(network)


@pytest.mark.parametrize("name", [TOPOLOGY, f"{TOPOLOGY}SCNP"])
def test_two_processes_train_one_network(project, trainer_of, tmp_path, name):
    trainer = trainer_of(project)(name)  # in the environment that the processes inherit
    whole_batch = trainer.configuration_manager.batch_size
    assert trainer.configuration_manager.batch_dice
    torch.multiprocessing.spawn(train_on_rank, args=(project.number, name, tmp_path), nprocs=2)
    first, second = (torch.load(tmp_path / f"{name}_{rank}.pt") for rank in (0, 1))
    torch.testing.assert_close(first["network"], second["network"])
    assert first["batch_size"] + second["batch_size"] == whole_batch
    assert len(first["values"]) == len(second["values"]) == 2  # the iterations of the last epoch
    assert first["values"] != second["values"]  # each has its own batches
    if name == TOPOLOGY:
        torch.testing.assert_close(first["ratio"], second["ratio"])
        assert first["ratio"]["steps"] == 2
    model = tmp_path / project.name / f"{name}__nnUNetPlans__2d"
    assert record_of(model)["trainer"] == name
    assert (model / "fold_0" / "checkpoint_final.topology.json").exists() == (name == TOPOLOGY)
    assert (model / "fold_0" / "validation" / "summary.json").exists()
