"""The structure of the package: who may import whom, and names that are ours alone."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from monai.bundle import ComponentLocator
from napari_cases import modules_without_napari
from nnunet_runs import modules_without_nnunet

import monai_topo

PACKAGE = Path(monai_topo.__file__).parent
# Each layer may import from the ones before it; the members of a layer do not import each other.
LAYERS = [
    {"_core"},
    {"_utils"},
    {"data"},
    {"masks"},
    {"persistence"},
    {"losses", "metrics", "transforms", "visualize"},
    {"cleanup", "fuzz"},
    {"handlers", "bundle", "benchmark", "report", "nnunet", "napari"},
    {"__main__"},
]


def modules():
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def imported_layers(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "monai_topo")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "monai_topo":
            if node.module == "monai_topo":
                yield from (f"monai_topo.{alias.name}" for alias in node.names)
            else:
                yield node.module


def layer_of(name):
    return next((i for i, layer in enumerate(LAYERS) if name in layer), len(LAYERS))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imported_layers(path):
        parts = name.split(".")
        assert len(parts) > 1, f"{path.name} imports the package's own __init__"
        other = parts[1]
        if other == own:
            continue
        assert layer_of(other) < layer_of(own), f"{own} imports {other}"
        assert other != "_core" or (name == "monai_topo._core" and path.stem == "kernel")


def test_no_public_class_has_a_name_of_monai():
    # MONAI's bundles find classes by bare name in every package whose name begins with "monai".
    table = ComponentLocator(excludes=["monai_topo"]).get_component_module_name
    taken = {}
    missing = modules_without_nnunet() | modules_without_napari()
    for info in pkgutil.walk_packages([str(PACKAGE)], "monai_topo."):
        if info.name.startswith("monai_topo._core") or info.name in missing:
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == info.name and not name.startswith("_"):
                where = [table(name)] if isinstance(table(name), str) else (table(name) or [])
                taken[name] = [found for found in where if not found.startswith("monai_topo")]
    assert len(taken) > 5
    assert {name: where for name, where in taken.items() if where} == {}


def test_import_without_the_compiled_kernel_names_the_cure():
    script = "import sys; sys.modules['monai_topo._core'] = None; import monai_topo"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "pip install -e ." in run.stderr


@pytest.mark.slow
def test_import_loads_no_package_that_only_some_functions_need():
    # MONAI imports itk, nibabel and optional packages itself where they are installed, so they are hidden from it.
    blocked = ["ignite", "scipy", "skimage", "matplotlib", "tensorboard", "tqdm", "PIL", "fire", "dask"]
    blocked += ["huggingface_hub", "gudhi", "itk", "nibabel"]  # the last three: dependencies, but not of every import
    script = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError("blocked: " + name, name=name)
sys.meta_path.insert(0, Block())
import monai
loaded = set(sys.modules)
import monai_topo, monai_topo.losses, monai_topo.metrics, monai_topo.data, monai_topo.handlers, monai_topo.transforms
import monai_topo.masks, monai_topo.persistence, monai_topo.visualize
added = {{name.partition(".")[0] for name in set(sys.modules) - loaded}}
print(*added - set(sys.stdlib_module_names))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["monai_topo"]
