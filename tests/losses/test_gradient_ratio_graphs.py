"""The weight by gradient: each graph is used once, and the gradient reaches all that a loss depends on."""

import torch
from monai.losses import DiceCELoss
from ratio_cases import bar, outputs

from monai_topo import GradientRatio, PersistenceLoss, TopologyAwareLoss


class UsedOnce(torch.autograd.Function):
    """The identity, with a graph that can be used only once, like that of a compiled loss."""

    @staticmethod
    def forward(ctx, value):
        ctx.used = False
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        if ctx.used:
            raise RuntimeError("compiled with non-empty donated buffers")
        ctx.used = True
        return gradient


def test_the_graph_of_each_loss_and_of_the_network_is_used_once():
    base, topology = DiceCELoss(sigmoid=True), PersistenceLoss(sigmoid=True)
    loss = TopologyAwareLoss(
        lambda output, target: base(UsedOnce.apply(output), target),
        lambda output, target: topology(UsedOnce.apply(output), target),
        ratio=1.0,
    )
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    loss(UsedOnce.apply(network(outputs(1)[0])), bar()).backward()
    assert network.weight.grad.abs().sum() > 0


class Learned(torch.nn.Module):
    """A loss of its own with a parameter, called with one output or all levels."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, output, target):
        levels = output if isinstance(output, list) else [output]
        return self.scale * sum((torch.sigmoid(level) * (i + 1)).square().mean() for i, level in enumerate(levels))


def test_gradient_reaches_all_levels_and_the_parameters_of_the_losses():
    base, levels = Learned(), [outputs(1)[0], outputs(1, shape=(2, 1, 3, 4))[0], outputs(1, shape=(2, 1, 2, 2))[0]]
    loss = TopologyAwareLoss(
        lambda output, target: base(output[:2], target),  # the coarsest level is not used
        PersistenceLoss(sigmoid=True),
        ratio=GradientRatio(warmup_steps=0),
    )
    loss.learned = base
    found, expected = ([level.clone().requires_grad_() for level in levels] for _ in range(2))
    loss(found, bar()).backward()
    of_scale, base.scale.grad = base.scale.grad, None
    factor = loss.last_components["factor"]
    (base(expected[:2], bar()) + factor * loss.topology(expected[0], bar())).backward()
    torch.testing.assert_close([level.grad for level in found[:2]], [level.grad for level in expected[:2]])
    torch.testing.assert_close(of_scale, base.scale.grad)
    assert found[2].grad is None
