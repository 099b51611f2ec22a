"""What the unit tests of the bundles share; belongs next to them in `ci/unit_tests` of the model zoo."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image


def save_png(pixels, path):
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def save_nifti(voxels, path):
    nib.save(nib.Nifti1Image(voxels.astype(np.int8), np.eye(4)), path)


#: Of each bundle: size and file format of the random images, and the size of its training patches.
BUNDLES = {
    "membrane_2d_segmentation": ((56, 72), ".png", save_png, [32, 48]),
    "vessel_3d_segmentation": ((40, 48, 16), ".nii.gz", save_nifti, [32, 32, 16]),
}


class RandomImages:
    """A folder with random images and labels, which lasts for one test."""

    name = ""  # of the bundle

    def setUp(self):
        shape, self.suffix, save, patch_size = BUNDLES[self.name]
        in_the_zoo = Path("models") / self.name  # the current folder is the root of the zoo
        here = Path(__file__).resolve().parents[2] / "bundles" / self.name
        self.bundle = str(in_the_zoo if in_the_zoo.exists() else here)
        self.training = {"epochs": 1, "warmup_epochs": 0, "patches_per_image": 1}
        self.training.update(patch_size=patch_size, topology_patch_size=16)
        self.dataset_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dataset_dir)
        generator = np.random.default_rng(0)
        cases = [{kind: f"{kind}_{number}{self.suffix}" for kind in ("image", "label")} for number in range(4)]
        for case in cases:
            for file in case.values():
                save(generator.integers(0, 2, shape), os.path.join(self.dataset_dir, file))
        with open(os.path.join(self.dataset_dir, "datalist.json"), "w") as file:
            json.dump({"training": cases[:2], "validation": cases[2:]}, file)


class WorkflowTests(RandomImages):
    """Training of one epoch, evaluation and inference in one process."""

    def run_workflow(self, kind, files, **settings):
        configs = os.path.join(self.bundle, "configs")
        workflow = ConfigWorkflow(
            workflow_type=kind,
            config_file=[os.path.join(configs, name) for name in files],
            logging_file=os.path.join(configs, "logging.conf"),
            meta_file=os.path.join(configs, "metadata.json"),
            bundle_root=self.bundle,
            dataset_dir=self.dataset_dir,
            **settings,
        )
        workflow.initialize()
        missing = workflow.check_properties()
        if missing:
            raise ValueError(f"check properties failed: {missing}")
        workflow.run()
        workflow.finalize()

    def test_train_eval_config(self):
        run_dir = os.path.join(self.dataset_dir, "run")
        self.run_workflow("train", ["train.json"], run_dir=run_dir, **self.training)
        model = os.path.join(run_dir, "model.pt")
        assert os.path.exists(model)
        evaluation = os.path.join(self.dataset_dir, "eval")
        settings = {**self.training, "run_dir": evaluation, "ckpt_path": model}
        self.run_workflow("train", ["train.json", "evaluate.json"], **settings)
        assert os.path.exists(os.path.join(evaluation, "report.md"))

    def test_infer_config(self):
        output_dir = os.path.join(self.dataset_dir, "predictions")
        without_weights = {"images": f"image_*{self.suffix}", "handlers#0#_disabled_": True}
        self.run_workflow("infer", ["inference.json"], output_dir=output_dir, **without_weights)
        assert len([name for name in os.listdir(output_dir) if "_mask" in name]) == 4


class MultiGPUTests(RandomImages):
    """Training of one epoch and evaluation on all GPUs, or on two CPU processes where there is no GPU."""

    def run_processes(self, files, **settings):
        configs = [os.path.join(self.bundle, "configs", name) for name in files]
        processes = torch.cuda.device_count() or 2
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command += ["-m", "monai.bundle", "run", "--config_file", str(configs), "--bundle_root", self.bundle]
        for name, value in {"dataset_dir": self.dataset_dir, **self.training, **settings}.items():
            command += [f"--{name}", str(value)]
        subprocess.check_call(command)

    def test_train_eval_mgpu_config(self):
        run_dir = os.path.join(self.dataset_dir, "run")
        self.run_processes(["train.json", "multi_gpu_train.json"], run_dir=run_dir)
        evaluation = os.path.join(self.dataset_dir, "eval")
        files = ["train.json", "evaluate.json", "multi_gpu_evaluate.json"]
        self.run_processes(files, run_dir=evaluation, ckpt_path=os.path.join(run_dir, "model.pt"))
        assert os.path.exists(os.path.join(evaluation, "report.md"))
