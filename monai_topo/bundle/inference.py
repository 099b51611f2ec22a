"""Inference over many images: a broken image stops none of the others, finished ones are not repeated."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import Dataset, MetaTensor
from monai.engines import SupervisedEvaluator

from monai_topo._utils.errors import UserError, describe_cause, storage_error
from monai_topo._utils.finished import FinishedCases
from monai_topo._utils.formats import package_version
from monai_topo._utils.io import atomic_write, remove_unfinished
from monai_topo.bundle.case_checks import check_axes
from monai_topo.bundle.cases import fingerprint
from monai_topo.bundle.folder_lock import lock_folder, unlock_folder
from monai_topo.bundle.image_saver import SAVED_FILES
from monai_topo.bundle.run_folder import CHANGES_NO_RESULT, relative_path
from monai_topo.bundle.settings import running_config

__all__ = ["FAILED", "InferenceDataset", "InferenceEvaluator"]

#: Table of the images without a prediction.
FAILED = "failed.csv"
_CASE, _FAILURE = "case", "failure"


class InferenceDataset(Dataset):
    """Images to predict, without those that an interrupted run of the same inference has finished.

    An image is finished if it, the model and the settings are unchanged and its predictions exist. An image that cannot
    be read or does not fit is passed on with the reason, for :py:class:`InferenceEvaluator`.

    Args:
        data: One dictionary per image, with its file or folder as `"image"`.
        transform: Transform that reads and prepares an image.
        output_dir: Folder of the predictions.
        ckpt_path: File of the model.
        in_channels: Number of input channels of the network.
        spatial_dims: Number of spatial axes of an image.

    Attributes:
        num_images: Number of all images, finished or not.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, str]],
        transform: Callable[[Any], Any],
        *,
        output_dir: str | os.PathLike[str],
        ckpt_path: str | os.PathLike[str],
        in_channels: int,
        spatial_dims: int,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.in_channels = in_channels
        self.spatial_dims = spatial_dims
        self.num_images = len(data)
        settings = {name: value for name, value in running_config().get().items() if name not in CHANGES_NO_RESULT}
        model = fingerprint([ckpt_path]) if Path(ckpt_path).is_file() else None
        settings |= {"images": None, "model": model, "version": package_version()}
        self._finished = FinishedCases(self.output_dir / "inference", settings)
        super().__init__([case for case in data if not self._is_finished(case["image"])], transform)

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]  # MONAI's also takes slices
        """Return the prepared image and its file as `"case"`, or the reason why there is none as `"failure"`."""
        file = self.data[index]["image"]
        try:
            case = super().__getitem__(index)
            check_axes(file, case["image"].shape, self.in_channels, self.spatial_dims)
        except Exception as error:
            return {_CASE: file, _FAILURE: describe_cause(error)}
        return {**case, _CASE: file}

    def add_finished(self, file: str, saved: Sequence[str]) -> None:
        """Note that an image is finished, with the files of its predictions."""
        self._finished.add(_files(file), list(saved))

    def forget_finished(self) -> None:
        """Delete the notes: all images are finished, and the same command makes all predictions again."""
        self._finished.remove()

    def _is_finished(self, file: str) -> bool:
        saved = self._finished.get(_files(file))
        return bool(saved) and all(Path(path).is_file() for path in saved)


def _files(file: str) -> list[Path]:
    path = Path(file)
    return sorted(path.iterdir()) if path.is_dir() else [path]


class InferenceEvaluator(SupervisedEvaluator):
    """Evaluator that goes on after an image that cannot be read, predicted or saved, and names all of them at the end.

    If the predictions cannot be saved because the disk is full or protected, it stops. The folder of the predictions
    is locked meanwhile. The table of the images without a prediction is written to `failed.csv` in this folder.

    Args:
        dataset: Images of the loader, which has batches of one image.
        **settings: Settings of `monai.engines.SupervisedEvaluator`.
    """

    def __init__(self, *, dataset: InferenceDataset, **settings: Any) -> None:
        super().__init__(**settings)
        self.dataset = dataset
        self.failures: dict[str, str] = {}

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]  # MONAI's signature
        """Predict all images that are not finished.

        Raises:
            UserError: At the end, if some images have no prediction; at once, if another process writes to the folder,
                or predictions cannot be saved.
        """
        folder = self.dataset.output_dir
        lock_folder(folder)
        try:
            remove_unfinished(folder)
            if finished := self.dataset.num_images - len(self.dataset):
                print(f"{finished} of {self.dataset.num_images} predictions are there from an interrupted run.")
            if len(self.dataset):
                super().run(global_epoch)
            self._report(folder)
        finally:
            unlock_folder(folder)

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        [file] = batchdata[_CASE]
        if _FAILURE in batchdata:
            [self.failures[file]] = batchdata[_FAILURE]
            return {}
        try:
            output = super()._iteration(engine, batchdata)
            self.dataset.add_finished(file, _saved_files(output))
        except Exception as error:
            if (storage := storage_error(error)) is not None:  # that of all further images too
                raise UserError(
                    f"Expected to save the predictions, but got: {storage}. The finished ones are kept: make space, or "
                    "choose another --output_dir, and repeat the command."
                ) from error
            self.failures[file] = describe_cause(error)
            return {}
        return output

    def _report(self, folder: Path) -> None:
        table = folder / FAILED
        if not self.failures:
            table.unlink(missing_ok=True)
            self.dataset.forget_finished()
            return
        with atomic_write(table) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(["image", "reason"])
            writer.writerows(self.failures.items())
        print(f"\nImages without a prediction ({len(self.failures)} of {self.dataset.num_images})")
        width = max(map(len, self.failures))
        for file, reason in self.failures.items():
            print(f"{file:<{width}}  {reason}")
        raise UserError(
            f"Expected a prediction of each of {self.dataset.num_images} images, but got none of {len(self.failures)}; "
            f"the reasons are above and in {relative_path(table)}. Repeat the command after correcting them: the other "
            "predictions are not made again."
        )


def _saved_files(output: Any) -> list[str]:
    cases = output if isinstance(output, list) else [output]
    values = (value for case in cases for value in case.values() if isinstance(value, MetaTensor))
    return list(dict.fromkeys(file for value in values for file in value.meta.get(SAVED_FILES, [])))
