"""What holds for every Display: forms, bad mappers, no matplotlib, given axes."""

import subprocess
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skmeta import CCAMapper, CrossModalRetriever, Views, plotting
from skmeta.datasets import make_paired_views

# Every constructor that takes a fitted mapper, and how it is called.
OF_MAPPER = {
    "SharedSpaceDisplay": lambda c, f, **k: c.from_estimator(f.mapper, f.X, f.y, **k),
    "ScreeDisplay": lambda c, f, **k: c.from_estimator(f.mapper, f.X, f.y, **k),
    "LoadingsDisplay": lambda c, f, **k: c.from_estimator(f.mapper, **k),
    "CorrelationCircleDisplay": lambda c, f, **k: c.from_estimator(f.mapper, **k),
    "CrossViewHeatmapDisplay": lambda c, f, **k: c.from_estimator(
        f.mapper, f.X, f.y, **k
    ),
}
OTHERS = {
    "AdaptationCurveDisplay",
    "PairsCurveDisplay",
    "RetrievalDisplay",
    "SearchSurfaceDisplay",
}


@pytest.fixture(params=OF_MAPPER)
def make(request):
    display = getattr(plotting, request.param)
    return lambda f, **options: OF_MAPPER[request.param](display, f, **options)


def test_each_display_is_looked_at():
    assert set(OF_MAPPER) | OTHERS == set(plotting.__all__)


def test_every_form_of_views_is_drawn(make, fitted, tmp_path):
    display = make(fitted)
    display.figure_.savefig(tmp_path / "picture.png")  # warns of nothing
    assert display.ax_.figure is display.figure_


def test_names_are_written_as_they_are(make, tmp_path):
    # Unescaped, the first would be a formula without its dollars, and the second would
    # not be drawn at all; a legend leaves out what begins with an underscore.
    views = make_paired_views(40, n_features=(5, 4), random_state=0).views
    views = Views.from_dict(dict(zip(("_u", r"$\no$"), views.values(), strict=True)))
    fitted = SimpleNamespace(mapper=CCAMapper(2).fit(views), X=views, y=None)
    display = make(fitted)
    display.figure_.savefig(tmp_path / "picture.png")
    if (legend := display.ax_.get_legend()) is not None and not hasattr(
        display, "line_"
    ):
        names = [text.get_text() for text in legend.get_texts()]
        assert names == [" _u", r"\$\no\$"]


def test_given_axes_are_used_and_no_others(make, simple):
    _, axes = plt.subplots(1, 2)
    display = make(simple, ax=axes[1])
    assert display.ax_ is axes[1]
    assert not axes[0].has_data()
    assert len(plt.get_fignums()) == 1


def test_plot_draws_again_into_other_axes(make, simple):
    display = make(simple)
    first = display.ax_
    assert display.plot() is display
    assert display.ax_ is not first


def test_axes_are_axes(make, simple):
    with pytest.raises(TypeError, match="one matplotlib Axes.*got a ndarray"):
        make(simple, ax=np.empty(2, dtype=object))


def test_unfitted_mapper(make, simple):
    simple.mapper = CCAMapper(2)
    with pytest.raises(NotFittedError, match="CCAMapper"):
        make(simple)


@pytest.mark.parametrize("wrong", [CCAMapper, "mapper", None])
def test_what_is_no_mapper(make, simple, wrong):
    simple.mapper = wrong
    with pytest.raises(TypeError, match="draws a fitted mapper such as CCAMapper"):
        make(simple)


def test_an_estimator_that_is_no_mapper_is_told_what_it_lacks(make, simple):
    simple.mapper = CrossModalRetriever(CCAMapper(2)).fit(simple.X)
    with pytest.raises(TypeError, match="CrossModalRetriever has none.*pass the"):
        make(simple)


WITHOUT_MATPLOTLIB = """
import sys

class NotInstalled:
    def find_spec(name, path, target=None):
        if name == "matplotlib":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled)
from skmeta import plotting

for name in plotting.__all__:
    display = getattr(plotting, name)
    make = getattr(display, "from_search", None) or display.from_estimator
    more = {"AdaptationCurveDisplay": 2, "PairsCurveDisplay": 1, "RetrievalDisplay": 1,
            "SharedSpaceDisplay": 1, "CrossViewHeatmapDisplay": 1}
    given = [None] * (1 + more.get(name, 0))
    options = {"gallery_items": []} if name == "RetrievalDisplay" else {}
    try:
        make(*given, **options)
    except ImportError as error:
        print(error)
"""


def test_without_matplotlib_the_remedy_is_named():
    command = [sys.executable, "-c", WITHOUT_MATPLOTLIB]
    process = subprocess.run(command, capture_output=True, text=True)
    said = process.stdout.splitlines()
    assert len(said) == len(plotting.__all__), process.stderr
    for name, line in zip(plotting.__all__, said, strict=True):
        constructor = "from_search" if "Search" in name else "from_estimator"
        assert f"{name}.{constructor} requires matplotlib" in line
        assert "pip install" in line
