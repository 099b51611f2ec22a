"""Unit tests of the bundle in the style of MONAI's model zoo: a copy for its folder `ci/unit_tests`.

Training (one epoch), evaluation and inference run on random images.
"""

import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

import numpy as np
from monai.bundle import ConfigWorkflow
from PIL import Image

NAME = "membrane_2d_segmentation"
IN_THE_ZOO = Path("models") / NAME  # the current folder is the root of the zoo
BUNDLE = str(IN_THE_ZOO if IN_THE_ZOO.exists() else Path(__file__).resolve().parents[2] / "bundles" / NAME)

TRAINING = {"epochs": 1, "warmup_epochs": 0, "patch_size": [32, 48], "topology_patch_size": 16, "patches_per_image": 1}
INFERENCE = {"images": "image_*.png", "handlers#0#_disabled_": True}  # without weights


def check_workflow(workflow):
    workflow.initialize()
    missing = workflow.check_properties()
    if missing:
        raise ValueError(f"check properties failed: {missing}")
    workflow.run()
    workflow.finalize()


class TestBundle(unittest.TestCase):
    def setUp(self):
        self.dataset_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dataset_dir)
        generator = np.random.default_rng(0)
        for number in range(4):
            for kind in ("image", "label"):
                pixels = generator.integers(0, 2, (56, 72)).astype(np.uint8)
                Image.fromarray(pixels).save(os.path.join(self.dataset_dir, f"{kind}_{number}.png"))
        cases = [{kind: f"{kind}_{number}.png" for kind in ("image", "label")} for number in range(4)]
        with open(os.path.join(self.dataset_dir, "datalist.json"), "w") as file:
            json.dump({"training": cases[:2], "validation": cases[2:]}, file)

    def workflow(self, kind, files, **settings):
        configs = os.path.join(BUNDLE, "configs")
        return ConfigWorkflow(
            workflow_type=kind,
            config_file=[os.path.join(configs, name) for name in files],
            logging_file=os.path.join(configs, "logging.conf"),
            meta_file=os.path.join(configs, "metadata.json"),
            bundle_root=BUNDLE,
            dataset_dir=self.dataset_dir,
            **settings,
        )

    def test_train_eval_config(self):
        run_dir = os.path.join(self.dataset_dir, "run")
        check_workflow(self.workflow("train", ["train.json"], run_dir=run_dir, **TRAINING))
        model = os.path.join(run_dir, "model.pt")
        assert os.path.exists(model)
        evaluation = os.path.join(self.dataset_dir, "eval")
        settings = {**TRAINING, "run_dir": evaluation, "ckpt_path": model}
        check_workflow(self.workflow("train", ["train.json", "evaluate.json"], **settings))
        assert os.path.exists(os.path.join(evaluation, "report.md"))

    def test_infer_config(self):
        output_dir = os.path.join(self.dataset_dir, "predictions")
        check_workflow(self.workflow("infer", ["inference.json"], output_dir=output_dir, **INFERENCE))
        assert len([name for name in os.listdir(output_dir) if "_mask" in name]) == 4


if __name__ == "__main__":
    unittest.main()
