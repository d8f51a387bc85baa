"""Settings of the site: ``python -m sphinx -W docs docs/_build/html``."""

import atexit
import importlib
import inspect
import os
import re
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from types import FunctionType

import mixfit

project = "mixfit"
author = "The mixfit developers"
project_copyright = "The mixfit developers"
version = release = mixfit.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",
    "sphinx_design",
]
exclude_patterns = ["_build", "jupyter_execute", "scripts"]
templates_path = ["templates"]

# Pages with code cells run from top to bottom in every build; an error in a cell is an error of the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_execution_show_tb = True

# Kernels: an expected error is shown without the machine's paths, figures are drawn as vectors, and the note that
# the kernel's local sockets are not encrypted is no warning of ours.
os.environ["IPYTHONDIR"] = tempfile.mkdtemp(prefix="mixfit-docs-")
atexit.register(shutil.rmtree, os.environ["IPYTHONDIR"], ignore_errors=True)
profile = Path(os.environ["IPYTHONDIR"], "profile_default")
profile.mkdir()
(profile / "ipython_kernel_config.py").write_text(
    """
c.InteractiveShell.xmode = "Minimal"
c.InlineBackend.figure_formats = {"svg"}
c.IPKernelApp.log_level = 40
c.HistoryManager.enabled = False
""",
    encoding="utf-8",
)

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3


# The lists at the top of a class's page: its properties and methods that have a description.
METHODS = FunctionType | classmethod | staticmethod
REFERENCE = Path(__file__).with_name("reference") / "index.rst"


def of_scikit_learn(value):
    """Whether an estimator has it from scikit-learn, whose own pages describe it."""
    return str(getattr(value, "__module__", "")).startswith("sklearn.")


def skipped(app, what, name, value, skip, options):
    """Leave out what `of_scikit_learn` says; all else is as it would be."""
    return True if of_scikit_learn(value) else None


def setup(app):
    """Hear of every member before it is described."""
    app.connect("autodoc-skip-member", skipped)


def described(cls):
    """Names of the properties, and of the methods, of a class that its page describes."""
    members = {
        name: value
        for name in dir(cls)
        if not name.startswith("_")
        and inspect.getdoc(value := inspect.getattr_static(cls, name))
        and not of_scikit_learn(getattr(cls, name, None))
    }
    properties = [name for name, value in members.items() if isinstance(value, property | cached_property)]
    return properties, [name for name, value in members.items() if isinstance(value, METHODS)]


def public_classes():
    """Classes that the reference names, by these names."""
    for name in re.findall(r"^   ~?([A-Za-z_][\w.]*)$", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        module, _, last = f"mixfit.{name}".rpartition(".")
        value = getattr(importlib.import_module(module), last)
        if inspect.isclass(value):
            yield f"mixfit.{name}", value


autosummary_context = {"described": {name: described(cls) for name, cls in public_classes()}}
# A name in single backticks is a link where it is one of the page's class or module.
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
# A class has its members on its own page: see templates/autosummary/class.rst.
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "mixfit"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}
