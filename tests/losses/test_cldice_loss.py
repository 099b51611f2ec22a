"""ClDiceLoss: its value against scikit-image and MONAI, and where its gradient goes."""

import numpy as np
import pytest
import torch
from monai.losses import SoftclDiceLoss
from skimage.morphology import skeletonize

from monai_topo import ClDiceLoss, compute_cldice


def masks(*shape, seed=0):
    """Likelihoods and labels, `(B, C, *spatial)`: thick bars, some missed, some invented."""
    rng = np.random.default_rng(seed)
    likelihood, label = 0.45 * rng.random(shape), np.zeros(shape)
    for b, c in np.ndindex(*shape[:2]):
        for kind in ("true", "true", "true", "missed", "false"):
            start = [rng.integers(0, extent - 3) for extent in shape[2:]]
            bar = [slice(first, first + 3) for first in start]
            bar[rng.integers(len(bar))] = slice(1, -1)
            if kind != "false":
                label[(b, c, *bar)] = 1
            if kind != "missed":
                likelihood[(b, c, *bar)] = 0.55 + 0.45 * rng.random(likelihood[(b, c, *bar)].shape)
    return torch.tensor(likelihood), torch.tensor(label)


@pytest.mark.parametrize("shape", [(2, 2, 23, 31), (1, 2, 9, 13, 17)])
def test_value_is_that_of_scikit_image_skeletons(shape):
    likelihood, label = masks(*shape)
    found = ClDiceLoss(reduction="none", smooth=0.5)(likelihood, label)
    for b, c in np.ndindex(*shape[:2]):
        p, y = likelihood[b, c].numpy(), label[b, c].numpy()
        of_p, of_y = skeletonize(p > 0.5) > 0, skeletonize(y > 0) > 0
        precision = ((p * y)[of_p].sum() + 0.5) / (p[of_p].sum() + 0.5)
        sensitivity = (p[of_y].sum() + 0.5) / (of_y.sum() + 0.5)
        assert 0 < precision < 1
        expected = 1 - 2 / (1 / precision + 1 / sensitivity)
        assert found[b, c].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 23, 31), (1, 1, 9, 13, 17)])
def test_binary_prediction_costs_one_minus_the_metric(shape):
    likelihood, label = masks(*shape, seed=1)
    prediction = (likelihood > 0.5).double()
    metric = compute_cldice(prediction, label).cldice.item()
    assert 0 < metric < 1
    assert ClDiceLoss(smooth=1e-9)(prediction, label).item() == pytest.approx(1 - metric, abs=1e-6)


def test_gradient_lies_on_the_two_skeletons():
    label = torch.zeros(1, 1, 9, 20)
    label[..., 3:6, 1:19] = 1
    likelihood = 0.8 * label + 0.1
    likelihood[..., 3:6, 8:10] = 0.2  # a break
    likelihood[..., 6:9, 3:6] = 0.7  # a false branch, three voxels wide
    likelihood.requires_grad_()
    ClDiceLoss()(likelihood, label).backward()
    pull = -likelihood.grad[0, 0]
    on_label = torch.tensor(skeletonize(label[0, 0].numpy() > 0))
    on_prediction = torch.tensor(skeletonize(likelihood[0, 0].detach().numpy() > 0.5))
    assert torch.equal(pull != 0, on_label | on_prediction)
    assert (pull[4, 8:10] > 0).all()
    assert pull[6:9, 3:6].min() < 0
    assert (pull[6:9, 3:6] <= 0).all()
    assert (pull[label[0, 0] == 1] >= 0).all()


def test_soft_value_is_that_of_monai():
    for shape in [(2, 1, 23, 31), (1, 1, 9, 13, 17)]:
        likelihood, label = masks(*shape, seed=2)
        for iterations in (1, 3, 5):
            ours = ClDiceLoss(skeleton="soft", iterations=iterations)
            theirs = SoftclDiceLoss(iter_=iterations, smooth=1e-12)
            assert ours(likelihood, label).item() == pytest.approx(theirs(likelihood, label).item(), rel=1e-9)
        assert ClDiceLoss(skeleton="soft")(likelihood, label).item() == pytest.approx(
            SoftclDiceLoss()(likelihood, label).item(), abs=1e-4
        )


def test_soft_classes_are_not_pooled():
    likelihood, label = masks(2, 3, 17, 21, seed=3)
    ours = ClDiceLoss(skeleton="soft", include_background=False, reduction="none")(likelihood, label)[..., 0, 0]
    theirs = SoftclDiceLoss(smooth=1e-12, reduction="none")
    for c in (1, 2):
        torch.testing.assert_close(ours[:, c - 1], theirs(likelihood[:, c : c + 1], label[:, c : c + 1]))


@pytest.mark.parametrize("skeleton", ["hard", "soft"])
def test_perfect_agreement_costs_nothing_where_monai_charges(skeleton):
    _, label = masks(1, 1, 17, 21)
    assert ClDiceLoss(skeleton=skeleton)(label, label) == 0
    assert SoftclDiceLoss()(label, label) > 0


@pytest.mark.parametrize("skeleton", ["hard", "soft"])
def test_ignored_voxels_belong_to_neither_mask(skeleton):
    likelihood, label = masks(1, 2, 17, 21, seed=4)
    target = label.clone()
    target[..., 5:9, 3:12] = 255
    hidden = target == 255
    input = likelihood.clone().requires_grad_()
    value = ClDiceLoss(skeleton=skeleton, ignore_index=255)(input, target)
    value.backward()
    assert not input.grad[hidden].any()
    expected = ClDiceLoss(skeleton=skeleton)(likelihood.masked_fill(hidden, 0), label.masked_fill(hidden, 0))
    assert torch.equal(value, expected)
    assert value != ClDiceLoss(skeleton=skeleton)(likelihood, label)


def test_empty_masks():
    label = torch.zeros(1, 1, 5, 9)
    assert ClDiceLoss()(label, label) == 0
    line = label.clone()
    line[..., 2, :] = 1
    assert ClDiceLoss(smooth=1.0)(label, line).item() == pytest.approx(1 - 2 / (1 + 10))  # sensitivity 1 / 10
    assert ClDiceLoss(smooth=1.0)(line, label).item() == pytest.approx(1 - 2 / (1 + 10))


def test_logits_and_wrong_options_are_refused():
    line = torch.zeros(1, 1, 5, 9)
    with pytest.raises(ValueError, match="sigmoid=True"):
        ClDiceLoss()(5 * line - 2, line)
    for options, words in [
        ({"skeleton": "exact"}, "skeleton"),
        ({"iterations": 3}, "thin"),
        ({"skeleton": "soft", "iterations": -1}, "iterations"),
        ({"smooth": 0}, "smooth"),
        ({"smooth": -1.0}, "smooth"),
    ]:
        with pytest.raises(ValueError, match=words):
            ClDiceLoss(**options)
