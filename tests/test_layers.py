"""Imports run downward only: DESIGN.md's layers, held against every module."""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skmeta"


class Layer(NamedTuple):
    """What a layer may import of the package, and why it stands where it stands."""

    below: tuple[str, ...]
    reason: str


# What nearly every layer may stand on.
GROUND = ("_compat", "exceptions", "core", "views")

# From the bottom up. A layer is a file or a folder of skmeta/.
LAYERS = {
    "_compat": Layer((), "alone touches scikit-learn's private names"),
    "_progress": Layer((), "alone touches scikit-learn's callback API"),
    "exceptions": Layer((), "what is said to the user, and to whose line"),
    "_file": Layer(("exceptions",), "whole files, whatever is in them"),
    "core": Layer((), "functions on arrays: knows no estimator and no container"),
    "views": Layer(GROUND[:3], "the one door through which X comes in"),
    "nn": Layer(("_progress", "_file", "exceptions", "core"), "alone imports torch"),
    "_torch": Layer(("core", "nn"), "lets estimators do without torch to begin with"),
    "datasets": Layer(
        ("exceptions", "views"), "what it returns are Views; it fits nothing"
    ),
    "model_selection": Layer(
        GROUND, "splits rows into folds, and chooses among candidates"
    ),
    "metrics": Layer(
        (*GROUND, "model_selection"), "judges whatever has transform, or adapt"
    ),
    "mapping": Layer(
        (*GROUND, "_progress", "_torch", "nn", "metrics", "model_selection"),
        "estimators: validate, split the views, call the core, store",
    ),
    "few_shot": Layer(
        (*GROUND, "_progress", "_torch", "nn", "metrics", "model_selection"),
        "estimators beside those of mapping; neither needs the other",
    ),
    "persistence": Layer(
        ("_compat", "_file", "exceptions"),
        "knows estimators by their names alone",
    ),
    "inspection": Layer(
        (*GROUND, "metrics", "mapping", "model_selection"),
        "questions to fitted mappers",
    ),
    "plotting": Layer(
        (*GROUND, "metrics", "mapping", "model_selection", "few_shot", "inspection"),
        "pictures of all of it",
    ),
}

# The table of contents stands on everything.
TOP = "__init__"

# Libraries that any module may import, anywhere in it.
REQUIRED = {"numpy", "scipy", "sklearn", *sys.stdlib_module_names}

# Libraries that are imported only inside the function that needs them.
OPTIONAL = {"matplotlib", "pandas", "polars", "rich", "skops"}


class Import(NamedTuple):
    """`name` as written out in full, the line, and whether it runs on import."""

    name: str
    line: int
    at_import: bool


def dotted(node):
    """`a.b.c` of an attribute chain, or None where it does not begin with a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return head and f"{head}.{node.attr}"
    return None


def imports_of(source, module, is_package=False):
    """Yield each import in `source`, the text of the module of this dotted name."""

    def visit(node, at_import):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                at_import = False
            case ast.If() if ast.unparse(node.test).endswith("TYPE_CHECKING"):
                at_import = False
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, node.lineno, at_import)
            case ast.ImportFrom():
                package = module.split(".")
                up = node.level - is_package
                parts = package[: len(package) - up] if node.level else []
                base = ".".join([*parts, *([node.module] if node.module else [])])
                for alias in node.names:
                    yield Import(f"{base}.{alias.name}", node.lineno, at_import)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                called = (dotted(node.func) or "").split(".")[-1]
                if called in ("import_module", "__import__"):
                    yield Import(name, node.lineno, at_import)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_import)

    yield from visit(ast.parse(source), True)


def sklearn_names(source):
    """Yield (dotted name, line) of everything of scikit-learn that `source` names."""
    tree = ast.parse(source)
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
                head = alias.name if alias.asname else alias.name.split(".")[0]
                bound[alias.asname or head] = head
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name, node.lineno
                bound[alias.asname or alias.name] = name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node)):
            head, _, rest = name.partition(".")
            if head in bound:
                yield f"{bound[head]}.{rest}", node.lineno


def is_private(name):
    return any(
        part.startswith("_") and not part.endswith("__") for part in name.split(".")
    )


def layer_of(name):
    """The layer in which the dotted name `skmeta.…` lies."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else TOP


def violations(source, module, is_package=False):
    """What the imports of `source`, the module of this dotted name, do against."""
    parts = module.split(".")
    layer = parts[1] if len(parts) > 1 else TOP
    if layer not in (*LAYERS, TOP):
        return [f"{module} is in no layer: give it a line in LAYERS"]
    found = []
    for name, line, at_import in imports_of(source, module, is_package):
        library = name.split(".")[0]
        if library == "skmeta":
            target = layer_of(name)
            if layer not in (TOP, target) and target not in LAYERS[layer].below:
                found.append(f"{module}:{line} {layer} may not import {target}")
        elif library == "torch":
            if layer != "nn":
                found.append(f"{module}:{line} torch is imported in nn/ alone")
        elif library in OPTIONAL:
            if layer == "core":
                found.append(f"{module}:{line} core works on arrays, not on {library}")
            elif at_import:
                found.append(f"{module}:{line} {library} is imported with the module")
        elif library not in REQUIRED:
            found.append(f"{module}:{line} {library} is no dependency of skmeta")
    for name, line in sklearn_names(source):
        if not name.startswith("sklearn."):
            continue
        if name.startswith("sklearn.callback") and layer != "_progress":
            found.append(f"{module}:{line} {name}: _progress alone touches callbacks")
        elif is_private(name) and layer != "_compat":
            found.append(f"{module}:{line} {name}: _compat alone touches private names")
    return found


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_downward(path):
    is_package = path.stem == "__init__"
    source = path.read_text("utf-8")
    assert violations(source, module_name(path), is_package) == []


def test_the_table_runs_downward():
    names = list(LAYERS)
    for position, (name, layer) in enumerate(LAYERS.items()):
        assert set(layer.below) <= set(names[:position]), name


@pytest.mark.parametrize(
    "module, source, complaint",
    [
        ("skmeta.core.cca", "from skmeta.views import Views", "may not import views"),
        ("skmeta.core.cca", "from skmeta import views", "may not import views"),
        ("skmeta.core.cca", "from ..mapping import CCAMapper", "not import mapping"),
        ("skmeta.core.cca", "import skmeta", "may not import __init__"),
        ("skmeta.views", "from skmeta import CCAMapper", "may not import __init__"),
        ("skmeta.views", "from .mapping._cca import f", "may not import mapping"),
        ("skmeta.views._frame", "from ..metrics import f", "may not import metrics"),
        ("skmeta.metrics", "def f():\n import skmeta.mapping", "not import mapping"),
        ("skmeta.mapping._cca", "from skmeta import few_shot", "not import few_shot"),
        ("skmeta.mapping._cca", "def f():\n import torch.nn", "nn/ alone"),
        ("skmeta.mapping._cca", "f = import_module('torch')", "nn/ alone"),
        ("skmeta.core.cca", "def f():\n import pandas", "works on arrays"),
        ("skmeta.views", "import pandas as pd", "imported with the module"),
        ("skmeta.views", "class A:\n from polars import col", "with the module"),
        ("skmeta.plotting", "try:\n import matplotlib\nexcept E: 0", "with the module"),
        ("skmeta.datasets", "import requests", "no dependency"),
        ("skmeta.views", "from sklearn.utils._tags import Tags", "_compat alone"),
        ("skmeta.views", "from sklearn.base import _fit_context", "_compat alone"),
        ("skmeta.views", "import sklearn\nsklearn.base._x()", "_compat alone"),
        ("skmeta.views", "from sklearn import utils as u\nu._tags.Tags", "_compat"),
        ("skmeta.views", "import sklearn.base as b\nb._clone(1)", "_compat alone"),
        ("skmeta.mapping", "from sklearn.callback import ProgressBar", "_progress"),
        ("skmeta.mapping", "from sklearn import callback", "_progress alone"),
        ("skmeta.helpers", "", "in no layer"),
    ],
)
def test_a_violation_is_seen(module, source, complaint):
    found = violations(source, module)
    assert found
    assert all(complaint in line for line in found)


@pytest.mark.parametrize(
    "module, source",
    [
        ("skmeta", "from skmeta.plotting import Display"),
        ("skmeta.core.cca", "from .moments import update\nimport scipy.linalg"),
        ("skmeta.views._frame", "from . import _select\nfrom ..core import moments"),
        ("skmeta.views", "import sys\ntorch = sys.modules.get('torch')"),
        ("skmeta.views", "def f():\n import pandas\n return pandas._libs"),
        ("skmeta.views", "if TYPE_CHECKING:\n import pandas"),
        (
            "skmeta.mapping._cca",
            "from sklearn.base import BaseEstimator as B\nB.__mro__",
        ),
        ("skmeta.mapping._neural", "def f():\n from skmeta.nn import losses"),
        ("skmeta.nn.losses", "import torch\nfrom torch import nn"),
        ("skmeta._compat", "from sklearn.utils._param_validation import Interval"),
        ("skmeta._progress", "from sklearn.callback import with_callbacks"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert violations(source, module) == []


def test_a_package_resolves_its_own_relative_imports():
    source = "from ._cca import CCAMapper\nfrom ..metrics import recall_at_k"
    assert violations(source, "skmeta.mapping", is_package=True) == []
    source = "from ..mapping import CCAMapper"
    assert violations(source, "skmeta.views", is_package=True) != []


EXAMPLES = sorted(ROOT.joinpath("examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_need_only_what_their_extra_installs(path):
    libraries = {i.name.split(".")[0] for i in imports_of(path.read_text("utf-8"), "")}
    assert libraries <= REQUIRED | {"skmeta", "matplotlib", "pandas", "rich"}
