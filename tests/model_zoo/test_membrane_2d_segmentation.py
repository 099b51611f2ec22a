"""Unit tests of the bundle in the style of MONAI's model zoo: a copy for its folder `ci/unit_tests`."""

import unittest

from topology_bundles import WorkflowTests


class TestBundle(WorkflowTests, unittest.TestCase):
    name = "membrane_2d_segmentation"


if __name__ == "__main__":
    unittest.main()
