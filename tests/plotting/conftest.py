"""Mappers of every form in which views enter, and figures that are closed again."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views


@pytest.fixture(autouse=True)
def figures_close():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def settings_stay():
    before = dict(plt.rcParams)
    yield
    assert dict(plt.rcParams) == before


def made(form, n_components=3):
    """A fitted mapper, its X and y, and the names of its views."""
    views = make_paired_views(120, n_features=(5, 4), random_state=0).views
    X, Y = views.values()
    table = pd.DataFrame(np.hstack([X, Y]), columns=list("abcdefghi"))
    both = {"u": list("abcde"), "v": list("fghi")}
    options = dict(shrinkage=0.1)
    match form:
        case "arrays":
            mapper, given, names = CCAMapper(n_components, **options), (X, Y), "XY"
        case "Views":
            given = (Views(u=X, v=Y),)
            mapper, names = CCAMapper(n_components, **options), "uv"
        case "dict":
            given = (table,)
            mapper, names = CCAMapper(n_components, views=both, **options), "uv"
        case "ColumnTransformer":
            given = (table,)
            columns = ColumnTransformer(
                [("u", StandardScaler(), both["u"]), ("v", "passthrough", both["v"])]
            )
            mapper, names = CCAMapper(n_components, views=columns, **options), "uv"
    X, y = (*given, None)[:2]
    return SimpleNamespace(
        mapper=mapper.fit(X, y), X=X, y=y, names=tuple(names), arrays=views
    )


@pytest.fixture(params=["arrays", "Views", "dict", "ColumnTransformer"])
def fitted(request):
    return made(request.param)


@pytest.fixture
def simple():
    return made("Views")
