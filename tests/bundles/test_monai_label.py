"""MONAI Label's server with both bundles: its REST API gives the masks of our inference, and its sliders have effect.

The server needs an environment of its own, see `docs/monai_label.md`; without it these tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_runs import BUNDLES, MEMBRANES, Bundle, started, succeeded
from monai.transforms import LoadImage
from numpy.typing import NDArray

from monai_topo.data import synthetic_membranes, synthetic_vessels
from monai_topo.transforms import CleanUp

pytest.importorskip("monailabel", reason="needs an environment of its own, see docs/monai_label.md")
pytestmark = pytest.mark.slow

IMAGES = {"membrane_2d_segmentation": "membrane.png", "vessel_3d_segmentation": "vessel.nii.gz"}
LABELS = {"membrane_2d_segmentation": "membrane", "vessel_3d_segmentation": "vessel"}
CLEANUP = CleanUp(threshold=0.8, min_component_size=30, border="foreground")


@dataclass
class Server:
    home: Path
    url: str
    log: Path

    def root(self, bundle: Bundle) -> Path:
        return self.home / "apps" / "monaibundle" / "model" / bundle.name

    def info(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/info/", timeout=60) as answer:
            content: dict[str, Any] = json.load(answer)
            return content

    def infer(self, bundle: Bundle, **params: Any) -> NDArray[Any]:
        """Send a request as the viewers do, and return the mask of the answer."""
        image = IMAGES[bundle.name]
        query = urllib.parse.urlencode({"image": image.split(".")[0], "output": "image"})
        body = urllib.parse.urlencode({"params": json.dumps(params)}).encode()
        with urllib.request.urlopen(f"{self.url}/infer/{bundle.name}?{query}", body, timeout=300) as answer:
            file = self.home / f"answer{''.join(Path(image).suffixes)}"
            file.write_bytes(answer.read())
        return read(file)


def read(file: Path) -> NDArray[Any]:
    return np.asarray(LoadImage(image_only=True)(file))


def save_images(folder: Path) -> None:
    import nibabel
    from PIL import Image

    membrane, _ = synthetic_membranes((72, 200), seed=3)
    vessel, _ = synthetic_vessels((40, 56, 24), seed=3)
    low, high = membrane.min(), membrane.max()
    folder.mkdir()
    Image.fromarray((255 * (membrane - low) / (high - low)).astype(np.uint8)).save(folder / "membrane.png")
    affine = np.array([[-0.5, 0, 0, 10], [0, 0.7, 0, -20], [0, 0, 1.5, 5], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(vessel.astype(np.float32), affine), folder / "vessel.nii.gz")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("monai_label")
    label = [sys.executable, "-m", "monailabel.main"]
    succeeded(started([*label, "apps", "--download", "--name", "monaibundle", "--output", "apps"], home))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Server(home, f"http://127.0.0.1:{port}", home / "server.log")
    for bundle in BUNDLES:
        ignored = shutil.ignore_patterns("data", "runs", "eval", "predictions")
        shutil.copytree(bundle.root, running.root(bundle), ignore=ignored)
        CLEANUP.save(running.root(bundle) / "models" / "cleanup.json")
    save_images(home / "studies")
    models = ",".join(bundle.name for bundle in BUNDLES)
    settings = {"models": models, "zoo_source": "local", "skip_trainers": "true", "sam2": "false"}
    command = [*label, "start_server", "--app", "apps/monaibundle", "--studies", "studies", "--host", "127.0.0.1"]
    command += ["--port", str(port), *(word for item in settings.items() for word in ("--conf", *item))]
    with running.log.open("w") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(running, process)
            yield running
        finally:
            process.terminate()
            process.wait(timeout=60)


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            server.info()
            return
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, server.log.read_text()
            time.sleep(1)
    pytest.fail(server.log.read_text())


def predicted(server: Server, bundle: Bundle, **settings: Any) -> NDArray[Any]:
    """Return the mask of the bundle's own inference."""
    folder = server.home / f"predictions_{bundle.name}_{len(list(server.home.iterdir()))}"
    command = bundle.command(
        ["inference.json"],
        dataset_dir=str(server.home / "studies"),
        images=IMAGES[bundle.name],
        output_dir=str(folder),
        **settings,
    )
    succeeded(started([sys.executable, *command], server.home))
    [file] = folder.glob("*_mask*")
    return read(file) > 0


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_server_offers_the_model_its_label_and_the_sliders(server: Server, bundle: Bundle) -> None:
    model = server.info()["models"][bundle.name]
    assert model["type"] == "segmentation"
    assert model["dimension"] == bundle.spatial_dims
    assert list(model["labels"]) == [LABELS[bundle.name]]
    sliders = {name: value for name, value in model["config"].items() if name not in ("device", "model_filename")}
    assert sliders == {
        "threshold": 0.5,
        "simplify_min_persistence": 0.0,
        "min_object_size": 0,
        "sliding_window_overlap": 0.5,
        "use_cleanup": False,
    }


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_masks_are_those_of_the_bundle_with_every_slider(server: Server, bundle: Bundle) -> None:
    cleanup = str(server.root(bundle) / "models" / "cleanup.json")
    default = server.infer(bundle)
    assert set(np.unique(default)) == {0, 1}
    assert ((default > 0) == predicted(server, bundle)).all()
    for params, settings in (
        ({"threshold": 0.9}, {"threshold": 0.9}),
        ({"min_object_size": 5000}, {"min_object_size": 5000}),
        ({"simplify_min_persistence": 0.7}, {"simplify_min_persistence": 0.7}),
        ({"sliding_window_overlap": 0.75}, {"sliding_window_overlap": 0.75}),
        ({"use_cleanup": True}, {"cleanup": cleanup}),
    ):
        mask = server.infer(bundle, **params) > 0
        assert (mask == predicted(server, bundle, **settings)).all(), params
        assert (mask != (default > 0)).any(), params
    assert (server.infer(bundle) == default).all(), "a request does not change the next one"


def test_a_slider_that_the_clean_up_replaces_is_refused_and_the_server_goes_on(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="500"):
        server.infer(MEMBRANES, use_cleanup=True, min_object_size=60)
    for _ in range(60):  # the answer comes before the log
        lines = [line for line in server.log.read_text().splitlines() if line.startswith("monai_topo.")]
        if lines:
            break
        time.sleep(1)
    assert "UserError: Expected `cleanup` without `min_object_size`" in lines[-1]
    assert server.infer(MEMBRANES).any()
