"""SCNPLoss: its logits against loops over windows, labels of all kinds, extreme logits, the gradient."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DeepSupervisionLoss, DiceCELoss

from monai_topo import SCNPLoss, TopologyAwareLoss


def worst_neighbors(logits, label, radius, ignored=None):
    """Loop over all windows of `(B, C, *spatial)` arrays."""
    ignored = np.zeros_like(label, dtype=bool) if ignored is None else ignored
    result = logits.copy()
    for index in np.ndindex(*logits.shape):
        if ignored[index]:
            continue
        window = []
        for step in itertools.product(range(-radius, radius + 1), repeat=logits.ndim - 2):
            other = (*index[:2], *(i + s for i, s in zip(index[2:], step, strict=True)))
            is_inside = all(0 <= i < extent for i, extent in zip(other, logits.shape, strict=True))
            if is_inside and label[other] == label[index] and not ignored[other]:
                window.append(logits[other])
        result[index] = min(window) if label[index] else max(window)
    return result


@given(
    seed=st.integers(0, 2**16),
    shape=st.sampled_from([(2, 1, 5, 7), (1, 3, 4, 6), (1, 2, 3, 4, 5)]),
    kernel_size=st.sampled_from([1, 3, 5]),
    ignore=st.booleans(),
)
def test_logits_are_those_of_a_loop_over_windows(seed, shape, kernel_size, ignore):
    rng = np.random.default_rng(seed)
    logits = rng.integers(-4, 5, shape) / 2.0  # ties are common
    label = rng.integers(0, 2, shape)
    ignored = rng.random(shape) < 0.3 if ignore else np.zeros(shape, dtype=bool)
    loss = SCNPLoss(DiceCELoss(sigmoid=True), kernel_size, ignore_index=9 if ignore else None)
    found = loss.penalize(torch.tensor(logits), torch.tensor(np.where(ignored, 9, label)))
    np.testing.assert_array_equal(found.numpy(), worst_neighbors(logits, label, kernel_size // 2, ignored))


def test_class_indices_are_one_hot_labels_of_their_channels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, generator=generator)
    indices = torch.randint(0, 3, (2, 1, 5, 6), generator=generator)
    one_hot = torch.nn.functional.one_hot(indices[:, 0], 3).movedim(-1, 1)
    base = DiceCELoss(softmax=True, to_onehot_y=True)
    penalized = torch.tensor(worst_neighbors(logits.numpy(), one_hot.numpy(), 1))
    assert torch.equal(SCNPLoss(base).penalize(logits, indices.float()), penalized)
    assert SCNPLoss(base)(logits, indices) == base(penalized, indices)
    assert SCNPLoss(DiceCELoss(softmax=True))(logits, one_hot.float()) == DiceCELoss(softmax=True)(
        penalized, one_hot.float()
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_large_logits_stay_what_they_are(dtype):
    label = torch.zeros(1, 1, 4, 5)
    label[..., 2:] = 1
    largest = torch.finfo(dtype).max
    logits = torch.full((1, 1, 4, 5), largest, dtype=dtype)
    logits[..., :2] = -largest
    assert torch.equal(SCNPLoss(DiceCELoss()).penalize(logits, label), logits)
    logits[..., 1, 3] = -largest
    found = SCNPLoss(DiceCELoss()).penalize(logits, label)
    assert (found[..., :3, 2:] == -largest).all()
    assert (found[..., 3, 2:] == largest).all()


def test_the_worst_voxel_gets_the_gradient_of_its_window():
    label = torch.zeros(1, 1, 3, 7)
    label[..., 1, :] = 1
    logits = (6 * label - 3).requires_grad_()
    with torch.no_grad():
        logits[..., 1, 3] = -1.0
        logits[..., 1, 4] = 5.0  # not the worst in any window
    loss = SCNPLoss(torch.nn.BCEWithLogitsLoss(reduction="sum"))
    loss(logits, label).backward()
    pull = 1 - torch.sigmoid(torch.tensor(-1.0))
    assert logits.grad[0, 0, 1, 3].item() == pytest.approx(-3 * pull.item())
    assert logits.grad[0, 0, 1, 2] == logits.grad[0, 0, 1, 4] == 0


def test_works_in_other_wrappers():
    label = torch.zeros(1, 1, 8, 12)
    label[..., 3:5, :] = 1
    logits = torch.randn(1, 1, 8, 12, generator=torch.Generator().manual_seed(1))
    loss = SCNPLoss(DiceCELoss(sigmoid=True))
    assert TopologyAwareLoss(DiceCELoss(sigmoid=True), loss)(logits, label) == DiceCELoss(sigmoid=True)(
        logits, label
    ) + loss(logits, label)
    assert DeepSupervisionLoss(loss)([logits], label) == loss(logits, label)


@pytest.mark.parametrize("kernel_size", [0, 2, 4, -1, 3.0, True])
def test_windows_without_a_middle_are_refused(kernel_size):
    with pytest.raises(ValueError, match="kernel_size"):
        SCNPLoss(DiceCELoss(), kernel_size)


def test_wrong_labels_and_bases_are_refused():
    loss, logits = SCNPLoss(DiceCELoss()), torch.zeros(1, 2, 4, 5)
    with pytest.raises(TypeError, match="`base`"):
        SCNPLoss("dice")
    with pytest.raises(ValueError, match="only 0 and 1"):
        loss(logits, torch.full((1, 2, 4, 5), 255))
    with pytest.raises(ValueError, match="class indices from 0 to 1"):
        loss(logits, torch.full((1, 1, 4, 5), 2))
    with pytest.raises(AssertionError, match="different shape"):
        loss(logits, torch.zeros(1, 2, 4, 6))
    with pytest.raises(ValueError, match="spatial axes"):
        loss(logits[0], torch.zeros(2, 4, 5))
