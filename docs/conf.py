"""Sphinx configuration: `sphinx-build -W docs docs/_build`."""

import inspect
import sys
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent / "study"))
import page as study_page
import toy_study
from docutils.nodes import Node
from docutils.statemachine import StringList
from figures import filtration, metrics, one_page, repair, transforms
from sphinx.application import Sphinx
from sphinx.ext.autosummary import Autosummary

project = "monai_topo"
author = "The monai_topo developers"
version = release = version_of("monai_topo")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "figures", "gallery", "study"]
html_theme = "furo"
html_title = f"monai_topo {release}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_show_copyright = False
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "abort_on_example_error": True,
    "within_subsection_order": "ExampleTitleSortKey",
    "min_reported_time": 1e9,  # how long an example took on the machine of the build says little
    "show_memory": False,
    "remove_config_comments": True,
}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # the pages of the bundles have the headings of the model zoo's template
# Docstrings inherited from MONAI and torch are not always valid reStructuredText.
autodoc_inherit_docstrings = False


class Summary(Autosummary):
    """List the functions and classes of a module with their summary lines, without dictionary versions and aliases."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """List the names instead of the content of the directive."""
        module = import_module(self.arguments[0])
        found = {name: getattr(module, name) for name in module.__all__}
        shown = [name for name, value in found.items() if inspect.isclass(value) or inspect.isroutine(value)]
        aliases = {name + end for name in shown for end in ("d", "D", "Dict")}
        self.options["nosignatures"] = None
        self.content = StringList([f"~{module.__name__}.{name}" for name in shown if name not in aliases])
        return super().run()


def setup(app: Sphinx) -> None:
    """Add the directive, and skip the fields of named tuples, which the docstring of the class describes."""
    app.add_directive("summary", Summary)
    app.connect("autodoc-skip-member", lambda app, what, name, obj, *rest: type(obj).__name__ == "_tuplegetter" or None)


for figure in (filtration, metrics, one_page, repair, transforms):
    figure.make_all()
toy_study.main([])
study_page.make_all(Path(__file__).parent / "images")
study_page.make_side_studies(Path(__file__).parent / "images")
