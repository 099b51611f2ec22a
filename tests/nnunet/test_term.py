"""The term on nnU-Net's logits and targets, against the loss of one class at a time."""

from __future__ import annotations

import pytest
import torch

from monai_topo.losses import PersistenceLoss, SkeletonRecallLoss
from monai_topo.nnunet.skeleton_target import AddSkeletonTarget
from monai_topo.nnunet.term import (
    PenalizedLoss,
    TopologyTerm,
    WithoutExtraTarget,
    loss_settings,
    read_channels,
)
from monai_topo.transforms import TubedSkeleton

CLASSES = {"background": 0, "vein": 2, "artery": 1, "ignore": 3}
REGIONS = {"background": 0, "vessels": [1, 2], "vein": 2, "ignore": 3}


@pytest.fixture
def label():
    """Two touching classes, `(2, 1, 20, 28)`, as nnU-Net's int16."""
    label = torch.zeros(2, 1, 20, 28, dtype=torch.int16)
    label[:, :, 3:6, 2:26] = 1
    label[:, :, 3:17, 10:13] = 2
    label[1, :, 14:16, 20:24] = 1
    return label


@pytest.fixture
def logits():
    return torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))


def channels_of(labels, regions=False, ignore=None):
    return read_channels(labels, are_regions=regions, ignore_label=ignore)


def term(channels, classes=None, loss=PersistenceLoss, **settings):
    classes = channels.names if classes is None else classes
    return TopologyTerm(loss(**settings, **loss_settings(channels, classes)), channels)


def of_one_class(likelihood, mask, **settings):
    return PersistenceLoss(**settings)(likelihood[:, None], mask[:, None].float())


def test_channels_are_in_the_order_of_the_values_and_of_regions_in_that_of_the_file():
    assert channels_of(CLASSES).names == ("artery", "vein")
    assert channels_of(REGIONS, regions=True).names == ("vessels", "vein")
    assert channels_of({"background": [0], "x": [1]}).names == ("x",)
    assert [channels_of(CLASSES).channel_of(name) for name in ("artery", "vein")] == [1, 2]
    assert channels_of(REGIONS, regions=True).channel_of("vein") == 1


def test_classes_of_a_softmax_are_compared_one_by_one(logits, label):
    likelihood = torch.softmax(logits, 1)
    each = [of_one_class(likelihood[:, c], label[:, 0] == c, matching="spatial") for c in (1, 2)]
    value = term(channels_of(CLASSES), matching="spatial")(logits, label)
    torch.testing.assert_close(value, sum(each) / 2)
    assert each[0] != each[1]


@pytest.mark.parametrize(("name", "channel"), [("artery", 1), ("vein", 2)])
def test_a_class_that_is_left_out_does_not_dilute_the_other(logits, label, name, channel):
    value = term(channels_of(CLASSES), [name])(logits, label)
    torch.testing.assert_close(value, of_one_class(torch.softmax(logits, 1)[:, channel], label[:, 0] == channel))


def test_ignored_voxels_are_outside(logits, label):
    channels = channels_of(CLASSES, ignore=3)
    ignored = label.clone()
    ignored[..., 20:] = 3
    value = term(channels)(logits, ignored)
    inside = torch.softmax(logits, 1) * (torch.arange(28) < 20)
    each = [of_one_class(inside[:, c], (ignored[:, 0] == c)) for c in (1, 2)]
    torch.testing.assert_close(value, sum(each) / 2)
    logits.requires_grad_()
    term(channels)(logits, ignored).backward()
    assert (logits.grad[..., 20:] == 0).all()


def regions_of(label):
    return torch.cat([label > 0, label == 2], 1)


def test_regions_are_compared_one_by_one(logits, label):
    target = regions_of(label)
    value = term(channels_of(REGIONS, regions=True))(logits[:, :2], target)
    each = [of_one_class(torch.sigmoid(logits[:, c]), target[:, c]) for c in (0, 1)]
    torch.testing.assert_close(value, sum(each) / 2)


def test_voxels_that_regions_ignore_are_outside(logits, label):
    ignored = (torch.arange(28) >= 20).expand(2, 1, 20, 28)
    target = torch.cat([regions_of(label), ignored], 1)  # as nnU-Net makes it
    value = term(channels_of(REGIONS, regions=True, ignore=3))(logits[:, :2], target)
    each = [of_one_class(torch.sigmoid(logits[:, c]) * ~ignored[:, 0], target[:, c] & ~ignored[:, 0]) for c in (0, 1)]
    torch.testing.assert_close(value, sum(each) / 2)


def test_deep_supervision_gives_the_finest_target(logits, label):
    coarse = label[..., ::2, ::2]
    one = term(channels_of(CLASSES))
    assert one(logits, [label, coarse]) == one(logits, label)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single_precision(logits, label, dtype):
    half = logits.to(dtype).requires_grad_()
    one = term(channels_of(CLASSES), matching="spatial")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = one(half, label)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, one(half.detach().float(), label))
    value.backward()
    assert half.grad.dtype == dtype
    assert half.grad.abs().sum() > 0


class SoftmaxLoss(torch.nn.Module):
    """A loss of one output, for SCNP."""

    def forward(self, output, target):
        return torch.softmax(output, 1)[:, 0].square().mean() + (target > 0).float().mean()


def scnp_term():
    return PenalizedLoss(SoftmaxLoss(), channels_of(CLASSES), ["artery", "vein"], kernel_size=3)


@pytest.mark.parametrize("make", [lambda: term(channels_of(CLASSES), matching="spatial"), scnp_term])
def test_a_compiled_loss_runs_the_term_as_it_is(logits, label, make):
    one, graphs = make(), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.term = one

        def forward(self, output, target):
            return output.square().mean() + self.term(output, target)

    compiled = torch.compile(Both(), backend=backend)
    torch.testing.assert_close(compiled(logits, label), Both()(logits, label))
    nodes = [str(node.target) for graph in graphs for node in graph.graph.nodes]
    assert any("square" in name or "pow" in name for name in nodes)  # the rest is compiled
    assert not any("softmax" in name for name in nodes)


def test_skeletons_are_those_of_each_class(label):
    channels = channels_of(CLASSES, ignore=3)
    ignored = label[0].clone()
    ignored[..., 24:] = 3
    add = AddSkeletonTarget(channels, ["vein"], radius=1.0)
    sample = add(image="x", segmentation=[ignored, ignored[..., ::2, ::2]])
    assert sample["image"] == "x"
    assert len(sample["segmentation"]) == 3
    skeleton = sample["segmentation"][-1]
    expected = TubedSkeleton(radius=1.0)((ignored == 2).numpy())
    assert skeleton.dtype == label.dtype
    assert torch.equal(skeleton == 2, torch.as_tensor(expected) > 0)
    assert torch.equal(skeleton == 3, ignored == 3)
    assert not (skeleton == 1).any()
    assert 0 < (skeleton == 2).sum() < (ignored == 2).sum()


def test_skeletons_of_regions_keep_the_ignored_voxels(label):
    channels = channels_of(REGIONS, regions=True, ignore=3)
    ignored = torch.zeros(1, 20, 28, dtype=torch.bool)
    ignored[..., 24:] = True
    target = torch.cat([regions_of(label)[0], ignored])
    (_, skeleton) = AddSkeletonTarget(channels, ["vessels"], radius=0.0)(segmentation=target)["segmentation"]
    assert skeleton.dtype == torch.bool
    assert torch.equal(skeleton[0], torch.as_tensor(TubedSkeleton(radius=0.0)(target[:1].numpy()))[0] > 0)
    assert not skeleton[1].any()  # left out
    assert torch.equal(skeleton[2], ignored[0])


def test_skeleton_recall_reads_the_last_target(logits, label):
    channels = channels_of(CLASSES)
    loss = SkeletonRecallLoss(**loss_settings(channels, channels.names))
    skeleton = AddSkeletonTarget(channels, channels.names, radius=0.0).skeleton(label.flatten(0, 1)).view_as(label)
    value = TopologyTerm(loss, channels, target_at=-1)(logits, [label, label[..., ::2, ::2], skeleton])
    likelihood = torch.softmax(logits, 1)
    missed = [1 - likelihood[b, c][skeleton[b, 0] == c].mean() for b in (0, 1) for c in (1, 2)]
    torch.testing.assert_close(value, sum(missed) / 4)


class Recorder(torch.nn.Module):
    """A loss that returns the mean and keeps what it got."""

    def forward(self, output, target):
        self.got = (output, target)
        return (output if isinstance(output, torch.Tensor) else output[0]).mean()


def test_nnunets_own_loss_does_not_get_the_skeletons(logits, label):
    base = Recorder()
    WithoutExtraTarget(base)([logits, logits], (label, label + 1, label + 2))  # training with deep supervision
    assert [target.max() for target in base.got[1]] == [2, 3]
    WithoutExtraTarget(base)([logits, logits], [label, label + 1])  # validation
    assert len(base.got[1]) == 2
    WithoutExtraTarget(base)(logits, [label, label + 2])  # training without deep supervision
    assert base.got[1] is label
    WithoutExtraTarget(base)(logits, label)
    assert base.got[1] is label


def test_scnp_penalizes_the_background_and_the_chosen_classes(logits, label):
    channels, base = channels_of(CLASSES), Recorder()
    PenalizedLoss(base, channels, ["vein"], kernel_size=3)(logits, [label, label])
    penalized, target = base.got
    assert target is label
    assert torch.equal(penalized[:, 1], logits[:, 1])
    for channel in (0, 2):
        for voxel in ((0, 4, 11), (1, 10, 12), (0, 0, 0)):  # within a class, at its border, at that of the image
            image, y, x = voxel
            window = (image, slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2))
            same = (label[:, 0] == channel)[window] == (label[image, 0, y, x] == channel)
            values = logits[:, channel][window][same]
            worst = values.min() if label[image, 0, y, x] == channel else values.max()
            assert penalized[image, channel, y, x] == worst
