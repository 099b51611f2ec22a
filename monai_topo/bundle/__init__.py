"""Code shared by the bundles: checks before the first epoch, the run's folder, and the report at its end."""

from monai_topo._utils.errors import UserError
from monai_topo.bundle.case_checks import check_cases
from monai_topo.bundle.cases import find_images, fingerprint, prepare_dataset
from monai_topo.bundle.cleanup import determine_cleanup, load_cleanup
from monai_topo.bundle.error_hook import install_error_hook
from monai_topo.bundle.resources import check_space, join_processes
from monai_topo.bundle.runs import new_run_dir, report_evaluation, report_inference, report_training, start_run
from monai_topo.bundle.settings import check_checkpoint, check_known_settings, check_sizes, check_training_settings

__all__ = [
    "UserError",
    "check_cases",
    "check_checkpoint",
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
    "start_run",
]
