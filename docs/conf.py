"""Sphinx configuration: `sphinx-build -W docs docs/_build`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent / "study"))
import filtration_pictures
import one_page_pictures
import page as study_page
import pictures
import toy_study
import transform_pictures
from sphinx.application import Sphinx

project = "monai_topo"
author = "The monai_topo developers"
version = release = version_of("monai_topo")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "study"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Topology-preserving segmentation for MONAI",
    "page_width": "1200px",
    "body_max_width": "940px",
}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# MONAI's and torch's own docstrings are theirs to format.
autodoc_inherit_docstrings = False


def setup(app: Sphinx) -> None:
    """Fields of a named tuple are described by its docstring, not by "Alias for field number 0"."""
    app.connect("autodoc-skip-member", lambda app, what, name, obj, *rest: type(obj).__name__ == "_tuplegetter" or None)


one_page_pictures.make_all()
filtration_pictures.make_all()
pictures.make_all()
toy_study.main([])
study_page.make_all(Path(__file__).parent / "images")
transform_pictures.make_all()
