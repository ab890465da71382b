"""Build with ``python -m sphinx -W --keep-going -b html docs docs/_build/html``.

Add ``-D plot_gallery=0`` to leave the examples unexecuted. Nothing is fetched.
"""

import inspect

import skmeta

project = "skmeta"
author = "The skmeta developers"
copyright = "2026, The skmeta developers"
version = release = skmeta.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas without a network
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"

html_theme = "pydata_sphinx_theme"
html_title = f"skmeta {release}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}

autosummary_generate = True
# The class template lists a class's methods; numpydoc's own list would repeat them.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"__init__\.py",
    "backreferences_dir": "api/generated/examples",
    "doc_module": ("skmeta",),
    "reference_url": {"skmeta": None},
    "show_memory": False,
}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what a class has from another library, which documents it itself.

    scikit-learn's docstrings also refer to labels of its own documentation, which
    would be warnings here.
    """
    function = obj.fget if isinstance(obj, property) else inspect.unwrap(obj)
    # A method written in C has no module, but the class that it belongs to has.
    function = getattr(function, "__objclass__", function)
    home = getattr(function, "__module__", None) or "skmeta"
    return skip or home.split(".")[0] != "skmeta" or None


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited)
