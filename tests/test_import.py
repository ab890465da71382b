"""`import skmeta` costs nothing, brings in no optional library, names what there is."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skmeta

OPTIONAL = ("matplotlib", "pandas", "polars", "pyarrow", "rich", "skops", "torch")


def run(code):
    """What `code` prints in a fresh interpreter."""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def modules_after(statements):
    """Names of all modules that are loaded after `statements`."""
    return set(run(f"import sys\n{statements}\nprint(*sys.modules)").split())


def test_import_loads_no_optional_library():
    assert not modules_after("import skmeta").intersection(OPTIONAL)


# Touches every public name, as a user's first lines do.
TOUCH_ALL = "import skmeta\nfor name in skmeta.__all__: getattr(skmeta, name)"


def test_names_load_no_optional_library_of_their_own():
    # scikit-learn 1.9 itself imports pandas (utils/fixes.py) and rich (with its
    # pipelines) where they are installed: what counts is what comes on top of it.
    by_sklearn = modules_after("import sklearn.compose, sklearn.pipeline")
    assert not by_sklearn.intersection({"matplotlib", "torch"})
    by_skmeta = modules_after(TOUCH_ALL)
    assert not (by_skmeta - by_sklearn).intersection(OPTIONAL)


def test_names_need_no_optional_library():
    run(f"""
import sys
class NotInstalled:
    def find_spec(name, path, target=None):
        if name in {OPTIONAL}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled)
{TOUCH_ALL}
""")


def test_import_costs_at_most_a_tenth_of_importing_sklearn():
    # Both are timed inside one process, and the best of at most five processes counts:
    # a busy machine slows single runs, and the first one compiles bytecode.
    timed = """
from time import perf_counter
start = perf_counter()
import sklearn
middle = perf_counter()
import skmeta
print(middle - start, perf_counter() - middle)
"""
    best = np.full(2, np.inf)
    for _ in range(5):
        best = np.minimum(best, [float(seconds) for seconds in run(timed).split()])
        if best[1] <= 0.1 * best[0]:
            return
    raise AssertionError(f"scikit-learn takes {best[0]:.3f} s and skmeta {best[1]:.3f}")


def test_import_loads_nothing_but_itself():
    # The same without a clock: on top of scikit-learn there is one small module.
    by_skmeta = modules_after("import sklearn, skmeta")
    assert by_skmeta - modules_after("import sklearn") == {"skmeta"}


def test_each_public_name_is_there():
    assert set(skmeta.__all__) <= set(dir(skmeta))
    for name in skmeta.__all__:
        assert getattr(skmeta, name) is not None


def test_type_checkers_see_the_same_names():
    tree = ast.parse(inspect.getsource(skmeta))
    seen = {
        alias.name
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for alias in statement.names
    }
    assert seen | {"__version__"} == set(skmeta.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'skmeta' has no attribute 'CCAMaper'"):
        skmeta.CCAMaper  # noqa: B018
    assert not hasattr(skmeta, "_nothing")


def test_readme_has_the_two_commands():
    root = Path(__file__).parents[1]
    example = "examples/plot_image_text_retrieval.py"
    lines = root.joinpath("README.md").read_text("utf-8").splitlines()
    assert 'pip install -e ".[test]" && pytest' in lines
    assert f'pip install -e ".[examples]" && python {example}' in lines
    assert root.joinpath(example).is_file()
