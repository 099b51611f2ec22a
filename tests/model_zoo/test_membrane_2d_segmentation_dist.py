"""Unit tests of the multi-GPU configurations in the style of MONAI's model zoo, on CPUs where there is no GPU."""

import unittest

from topology_bundles import MultiGPUTests


class TestBundleMGPU(MultiGPUTests, unittest.TestCase):
    name = "membrane_2d_segmentation"


if __name__ == "__main__":
    unittest.main()
