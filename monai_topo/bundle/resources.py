"""What a run needs from its machine: a process group, and disk space for its checkpoints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
import torch.distributed as dist

from monai_topo._utils.errors import UserError

__all__ = ["check_space", "join_processes"]

_MARGIN_BYTES = 50 * 2**20  # logs, tables, pictures, TensorBoard


def join_processes(device: torch.device) -> None:
    """Initialize the process group of the processes that torchrun has started: NCCL for GPUs, gloo for CPUs.

    Args:
        device: Device of this process.

    Raises:
        UserError: If torchrun has not started this process, or the GPU does not exist.
    """
    if "LOCAL_RANK" not in os.environ:
        raise UserError(
            "Expected a run with a multi_gpu file to be started by torchrun, but got a single process; start it by "
            "torchrun --standalone --nproc_per_node=N -m monai.bundle run ..."
        )
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise UserError(
                f"Expected a GPU for each process, but got {torch.cuda.device_count()} GPUs and no {device}; "
                "set a smaller --nproc_per_node."
            )
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def check_space(folder: str | os.PathLike[str], network: torch.nn.Module) -> None:
    """Check that the disk has space for a run's checkpoints.

    Args:
        folder: Folder of the runs; it need not exist yet.
        network: Network to train, by an optimizer with two moments per parameter (AdamW).

    Raises:
        UserError: If there is not enough space for the model, the training state, the versions before them, the next
            ones while they are written, and 50 MiB for everything else; if the folder cannot be written to.
    """
    model_bytes = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    needed = 3 * (1 + 3) * model_bytes + _MARGIN_BYTES
    existing = next(path for path in (Path(folder).absolute() / "x").parents if path.exists())
    if not os.access(existing, os.W_OK):
        raise UserError(f"Expected {folder} to be a folder to write to, but got {existing}, which is read-only.")
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"Expected {needed / 2**20:.0f} MiB to be free for checkpoints in {folder}, but got {free / 2**20:.0f}; "
            "free some space, or set another --output_dir."
        )
