"""Code shared by the bundles: checks before the first epoch, the run's folder, and the report at its end."""

from monai_topo._utils.errors import UserError
from monai_topo.bundle.case_checks import check_cases
from monai_topo.bundle.cases import find_images, fingerprint, prepare_dataset
from monai_topo.bundle.cleanup import check_cleanup_settings, determine_cleanup, load_cleanup
from monai_topo.bundle.error_hook import install_error_hook
from monai_topo.bundle.image_saver import AtomicSaveImaged
from monai_topo.bundle.inference import InferenceDataset, InferenceEvaluator
from monai_topo.bundle.models import check_checkpoint
from monai_topo.bundle.resources import check_space, join_processes
from monai_topo.bundle.run_folder import new_run_dir, start_run
from monai_topo.bundle.runs import report_evaluation, report_inference, report_training
from monai_topo.bundle.settings import check_known_settings, check_sizes, check_training_settings
from monai_topo.bundle.training import run_training

__all__ = [
    "AtomicSaveImaged",
    "InferenceDataset",
    "InferenceEvaluator",
    "UserError",
    "check_cases",
    "check_checkpoint",
    "check_cleanup_settings",
    "check_known_settings",
    "check_sizes",
    "check_space",
    "check_training_settings",
    "determine_cleanup",
    "find_images",
    "fingerprint",
    "install_error_hook",
    "join_processes",
    "load_cleanup",
    "new_run_dir",
    "prepare_dataset",
    "report_evaluation",
    "report_inference",
    "report_training",
    "run_training",
    "start_run",
]
