"""nnU-Net's trainer with a topology term, one class per loss.

Without nnU-Net, the import fails with a sentence that says how to install it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from monai_topo._utils.errors import UserError, as_user_error
from monai_topo.losses import PersistenceLoss, TopologyAwareLoss
from monai_topo.nnunet.folder import check_nnunet
from monai_topo.nnunet.label_values import check_label_values, check_previous_stage
from monai_topo.nnunet.record import check_unchanged, read_state, write_record, write_state
from monai_topo.nnunet.resources import check_memory, count_threads
from monai_topo.nnunet.settings import FILE, Plan, loss_options, read_settings
from monai_topo.nnunet.term import TopologyTerm, loss_settings, read_channels

check_nnunet()

from nnunetv2.paths import nnUNet_results  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

__all__ = ["nnUNetTrainerTopology"]

_PATCH_SIZE = {2: 64, 3: 32}


class nnUNetTrainerTopology(nnUNetTrainer):  # noqa: N801 - nnU-Net's names
    """Train with nnU-Net's own loss and, after a warm-up, the persistence term by place on the finest output.

    Everything else is nnU-Net's: data, augmentation, network, optimizer, schedule, validation, checkpoints. The term is
    not part of the validation loss, which thus stays comparable with that of other trainers. A trainer of nnU-Net's
    gets the term by multiple inheritance: `class MyTrainer(nnUNetTrainerTopology, nnUNetTrainerDA5)`.

    A subclass names its loss and the settings that differ from the defaults of the loss:

    Attributes:
        topology_loss: Class of the loss.
        topology_defaults: Settings, see `docs/nnunet.md`.
        topology_bytes_per_voxel: Memory of the loss for each voxel of a patch.
        topology_overlap: Whether the term runs beside nnU-Net's own loss, see `TopologyAwareLoss`: None on a GPU.
        topology: Checked settings of this training.
        topology_channels: Foreground classes or regions.
    """

    topology_loss: ClassVar[type[nn.Module]] = PersistenceLoss
    topology_defaults: ClassVar[Mapping[str, Any]] = {"ratio": 1.0, "matching": "spatial", "border": "foreground"}
    topology_bytes_per_voxel: ClassVar[float] = 40
    topology_overlap: ClassVar[bool | None] = None

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net reads the signature
    ) -> None:
        if not nnUNet_results.is_set():
            raise UserError("Expected the environment variable nnUNet_results to be set, but got none: name a folder.")
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.topology_channels = read_channels(
            dataset_json["labels"],
            are_regions=self.label_manager.has_regions,
            ignore_label=self.label_manager.ignore_label,
        )
        plan = Plan(
            self.topology_channels.names,
            tuple(int(extent) for extent in self.configuration_manager.patch_size),
            self.num_epochs,
        )
        self.topology = read_settings(
            None if self.preprocessed_dataset_folder_base is None else Path(self.preprocessed_dataset_folder_base),
            options=self._topology_options(),
            defaults=self._default_settings(),
            plan=plan,
        )
        for name, value in self.topology.training.items():
            setattr(self, name, value)
        self._topology_values: list[float] = []
        with as_user_error(TypeError, ValueError, prefix=f"Topology settings ({self.topology.places()}): "):
            self._make_topology_loss()  # an option with a wrong value ends here

    def _topology_options(self) -> list[str]:
        """Return the names of the settings that are options of the loss."""
        return loss_options(self.topology_loss)

    def _default_settings(self) -> dict[str, Any]:
        """Return the settings of the trainer, with those that depend on the configuration."""
        defaults = dict(self.topology_defaults)
        if "patch_size" in self._topology_options():
            defaults.setdefault("patch_size", _PATCH_SIZE[len(self.configuration_manager.patch_size)])
        return defaults

    def _make_topology_loss(self) -> nn.Module:
        """Make the loss from its options and nnU-Net's labels."""
        options = dict(self.topology.options)
        if "num_threads" in self._topology_options() and options.get("num_threads") is None:
            options["num_threads"] = count_threads()
        return self.topology_loss(**options, **loss_settings(self.topology_channels, self.topology.classes))

    def _make_topology_term(self, base: nn.Module) -> nn.Module:
        """Make the term beside nnU-Net's own loss, called with the finest output and the targets."""
        return TopologyTerm(self._make_topology_loss(), self.topology_channels)

    def _build_loss(self) -> nn.Module:
        base = super()._build_loss()
        term = self._make_topology_term(base)
        return TopologyAwareLoss(
            self._wrap_base(base), term, weight=0.0, ratio=self.topology.ratio, overlap=self.topology_overlap
        )

    def _wrap_base(self, base: nn.Module) -> nn.Module:
        """Return nnU-Net's own loss, called with all outputs and targets."""
        return base

    def on_train_start(self) -> None:
        """Check memory and labels, and record the settings, before nnU-Net starts its workers."""
        if not self.was_initialized:
            self.initialize()
        if self.local_rank == 0:
            self._check_memory()
            self._record_topology()
            if self.current_epoch == 0:
                self._check_cases()
        super().on_train_start()

    def _check_memory(self) -> None:
        whole = self.configuration_manager.patch_size
        patch = self.topology.options.get("patch_size") or whole
        in_grid = math.prod(-(-extent // part) for extent, part in zip(whole, patch, strict=True))
        in_image = min(in_grid, self.topology.options.get("num_patches") or in_grid)
        check_memory(
            bytes_per_voxel=self.topology_bytes_per_voxel,
            patch_size=patch,
            num_patches=self.batch_size * len(self.topology.classes) * in_image,
            num_threads=self.topology.options.get("num_threads") or count_threads(),
        )

    def _record_topology(self) -> None:
        content = {
            "trainer": type(self).__name__,
            "loss": self.topology_loss.__name__,
            "monai_topo": version("monai_topo"),
            **self.topology.to_dict(),
        }
        path = Path(self.output_folder) / FILE
        if self.current_epoch:
            check_unchanged(path, content)
        write_record(path, content)
        self.print_to_log_file("Topology term:", content)

    def _check_cases(self) -> None:
        datasets = self.get_tr_and_val_datasets()
        if self.is_cascaded:
            check_previous_stage(
                Path(self.folder_with_segs_from_previous_stage),
                (name for dataset in datasets for name in dataset.identifiers),
                stage=self.configuration_manager.previous_stage_name,
                trainer=type(self).__name__,
            )
        allowed = {*self.label_manager.all_labels, self.label_manager.ignore_label} - {None}
        for dataset in datasets:
            check_label_values(dataset, allowed)

    def on_train_epoch_start(self) -> None:
        """Switch the term on after the warm-up."""
        super().on_train_epoch_start()
        is_on = self.current_epoch >= self.topology.warm_up_epochs
        weight = 1.0 if self.topology.weight is None else self.topology.weight  # a ratio finds its own factor
        self.loss.set_weight(weight if is_on else 0.0)
        self._topology_values = []

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Train on a batch, and keep the value of the term for the log."""
        result: dict[str, Any] = super().train_step(batch)
        if "topology" in self.loss.last_components:
            self._topology_values.append(float(self.loss.last_components["topology"]))
        return result

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the mean of the term over the epoch, on the first process that of its own batches."""
        super().on_train_epoch_end(train_outputs)
        if self._topology_values:
            mean = sum(self._topology_values) / len(self._topology_values)
            weight = self.loss.weight * float(self.loss.last_components.get("factor", 1.0))
            self.print_to_log_file(f"topology {mean:.4g}, weight {weight:.4g}")
            for logger in self.logger.loggers:
                logger.log("topology", mean, self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Validate with nnU-Net's loss alone."""
        super().on_validation_epoch_start()
        self.loss.set_weight(0.0)

    def save_checkpoint(self, filename: str) -> None:
        """Save the state of the ratio beside nnU-Net's checkpoint."""
        super().save_checkpoint(filename)
        if self.local_rank == 0 and self.loss.gradient_ratio is not None and not self.disable_checkpointing:
            write_state(Path(filename), self.loss.gradient_ratio.state_dict())

    def load_checkpoint(self, filename_or_checkpoint: Any) -> None:
        """Load a checkpoint and the state of the ratio, which starts anew if it is not there."""
        super().load_checkpoint(filename_or_checkpoint)
        if isinstance(filename_or_checkpoint, str) and self.loss.gradient_ratio is not None:
            state = read_state(Path(filename_or_checkpoint))
            if state is not None:
                self.loss.gradient_ratio.load_state_dict(state)
