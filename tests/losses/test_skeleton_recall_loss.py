"""SkeletonRecallLoss: sums by hand, pooled batches, classes and empty skeletons."""

import pytest
import torch

from monai_topo import SkeletonRecallLoss

SKELETON = torch.zeros(2, 2, 5, 7, dtype=torch.float64)
SKELETON[0, 0, 2] = 1
SKELETON[1, 0, 2, :3] = 1
SKELETON[0, 1, :, 4] = 1  # and none in the second image
INPUT = torch.rand(SKELETON.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_value_is_one_minus_the_mean_likelihood_on_the_skeleton():
    loss = SkeletonRecallLoss(reduction="none")(INPUT, SKELETON)[..., 0, 0]
    expected = [[1 - INPUT[0, 0, 2].mean(), 1 - INPUT[0, 1, :, 4].mean()], [1 - INPUT[1, 0, 2, :3].mean(), 0.0]]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_pooled_batch_weighs_images_by_their_skeletons():
    loss = SkeletonRecallLoss(batch=True, reduction="none")(INPUT, SKELETON)
    assert loss.shape == (1, 2, 1, 1)
    both = torch.cat((INPUT[0, 0, 2], INPUT[1, 0, 2, :3]))
    torch.testing.assert_close(loss[0, 0, 0, 0], 1 - both.mean())
    weighted = SkeletonRecallLoss(batch=True, weight=[0.0, 3.0], reduction="none")(INPUT, SKELETON)
    torch.testing.assert_close(weighted[0, :, 0, 0], torch.stack((0 * loss[0, 0, 0, 0], 3 * loss[0, 1, 0, 0])))


def test_empty_skeleton_has_no_gradient():
    input = INPUT.clone().requires_grad_()
    SkeletonRecallLoss()(input, SKELETON).backward()
    assert input.grad[1, 1].count_nonzero() == 0
    assert torch.equal(input.grad != 0, SKELETON != 0)


def test_a_skeleton_of_one_voxel_counts_fully():
    skeleton = torch.zeros_like(INPUT)
    skeleton[..., 2, 3] = 1
    torch.testing.assert_close(SkeletonRecallLoss()(INPUT, skeleton), 1 - INPUT[..., 2, 3].mean())


def test_class_indices_without_their_background():
    logits = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    indices = (SKELETON[:, :1] + 2 * SKELETON[:, 1:]).clamp(max=2)
    loss = SkeletonRecallLoss(include_background=False, to_onehot_y=True, softmax=True)(logits, indices)
    one_hot = torch.cat([(indices == c).double() for c in (1, 2)], dim=1)
    torch.testing.assert_close(loss, SkeletonRecallLoss()(logits.softmax(1)[:, 1:], one_hot))
    with pytest.raises(ValueError, match="include_background"):
        SkeletonRecallLoss(to_onehot_y=True)


def test_ignored_voxels_do_not_count():
    skeleton = SKELETON.clone()
    skeleton[0, 0, 2, 5:] = 255
    loss = SkeletonRecallLoss(ignore_index=255, reduction="none")(INPUT, skeleton)
    torch.testing.assert_close(loss[0, 0, 0, 0], 1 - INPUT[0, 0, 2, :5].mean())
