"""Unit tests of the multi-GPU configurations in the style of MONAI's model zoo, on CPUs where there is no GPU."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

NAME = "vessel_3d_segmentation"
IN_THE_ZOO = Path("models") / NAME  # the current folder is the root of the zoo
BUNDLE = str(IN_THE_ZOO if IN_THE_ZOO.exists() else Path(__file__).resolve().parents[2] / "bundles" / NAME)

TRAINING = {
    "epochs": 1,
    "warmup_epochs": 0,
    "patch_size": [32, 32, 16],
    "topology_patch_size": 16,
    "patches_per_image": 1,
}


class TestBundleMGPU(unittest.TestCase):
    def setUp(self):
        self.dataset_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dataset_dir)
        generator = np.random.default_rng(0)
        for number in range(4):
            for kind in ("image", "label"):
                voxels = generator.integers(0, 2, (40, 48, 16)).astype(np.int8)
                nib.save(nib.Nifti1Image(voxels, np.eye(4)), os.path.join(self.dataset_dir, f"{kind}_{number}.nii.gz"))
        cases = [{kind: f"{kind}_{number}.nii.gz" for kind in ("image", "label")} for number in range(4)]
        with open(os.path.join(self.dataset_dir, "datalist.json"), "w") as file:
            json.dump({"training": cases[:2], "validation": cases[2:]}, file)

    def run_processes(self, files, **settings):
        configs = [os.path.join(BUNDLE, "configs", name) for name in files]
        processes = torch.cuda.device_count() or 2
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command += ["-m", "monai.bundle", "run", "--config_file", str(configs), "--bundle_root", BUNDLE]
        for name, value in {"dataset_dir": self.dataset_dir, **TRAINING, **settings}.items():
            command += [f"--{name}", str(value)]
        subprocess.check_call(command)

    def test_train_eval_mgpu_config(self):
        run_dir = os.path.join(self.dataset_dir, "run")
        self.run_processes(["train.json", "multi_gpu_train.json"], run_dir=run_dir)
        evaluation = os.path.join(self.dataset_dir, "eval")
        files = ["train.json", "evaluate.json", "multi_gpu_evaluate.json"]
        self.run_processes(files, run_dir=evaluation, ckpt_path=os.path.join(run_dir, "model.pt"))
        assert os.path.exists(os.path.join(evaluation, "report.md"))


if __name__ == "__main__":
    unittest.main()
