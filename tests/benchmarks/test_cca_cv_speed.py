"""What tuning costs: `CCAMapperCV` beside one fit, `GridSearchCV` and cca_zoo's.

``pytest tests/benchmarks/test_cca_cv_speed.py`` prints one table: 20 shrinkages in 5
folds, seconds of the processor on one thread. cca_zoo's search takes minutes and runs
once. What is asserted is that all find the same scores.
"""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.model_selection import GridSearchCV, KFold

from skmeta import CCAMapper, CCAMapperCV

try:
    from cca_zoo.linear import RidgeCCA as ZooCCA
    from cca_zoo.model_selection import GridSearchCV as ZooSearch
except ImportError:
    ZooCCA = None

pytestmark = pytest.mark.usefixtures("one_thread")

LEGEND = f"""\
One thread. 20 shrinkages, 5 folds. cca_zoo {"there" if ZooCCA else "not installed"}.
'/ fit': time over that of one fit; 'x ...': times faster than ...
wanted: the goal, which fails no test."""

SHRINKAGES = list(np.geomspace(1e-3, 1, 20))


def paired_rows(n, p, q):
    """Two views that share ten factors."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((n, 10))
    return [
        factors @ rng.standard_normal((10, width)) + 3 * rng.standard_normal((n, width))
        for width in (p, q)
    ]


def zoo_search(X, Y, k):
    """The same candidates and folds; columns are taken as they are."""
    grid = {"shrinkage": SHRINKAGES}
    search = ZooSearch(ZooCCA(n_components=k), grid, cv=KFold(5))
    return search.fit([X, Y])


@pytest.mark.parametrize("k", [10, None], ids=["10", "all"])
@pytest.mark.parametrize(
    ("n", "p", "q", "wanted"),
    [
        (100_000, 128, 96, ">= 250 x cca_zoo, <= 2.5 / fit"),
        (10_000, 512, 384, ">= 25 x cca_zoo"),
    ],
)
def test_twenty_shrinkages(n, p, q, wanted, k, benchmark, race, table):
    X, Y = paired_rows(n, p, q)
    count = min(64, q) if k is None else k
    contestants = {
        "ours": lambda: CCAMapperCV(SHRINKAGES, n_components=k).fit(X, Y),
        "one fit": lambda: CCAMapper(k, shrinkage=0.1).fit(X, Y),
    }
    fewer = {}
    if k == 10:
        grid = GridSearchCV(CCAMapper(k), {"shrinkage": SHRINKAGES})
        contestants["GridSearchCV"] = partial(grid.fit, X, Y)
        fewer["GridSearchCV"] = 1
        if ZooCCA:
            contestants["cca_zoo"] = partial(zoo_search, X, Y, count)
            fewer["cca_zoo"] = 1
    race.run(benchmark, contestants, rounds=4, fewer=fewer)
    title = f"n = {n:,}, p = {p}, q = {q}, {count} components"
    table.section(title, "/ fit", "x GridSearchCV", "x cca_zoo")
    beside = {
        "/ fit": race.best("one fit"),
        "x GridSearchCV": race.best("GridSearchCV"),
        "x cca_zoo": race.best("cca_zoo"),
    }
    table.add("CCAMapperCV", race.best("ours"), beside, wanted=wanted)
    ours = race.results["ours"].cv_results_["mean_test_score"]
    if k == 10:
        theirs = race.results["GridSearchCV"].cv_results_["mean_test_score"]
        assert_allclose(ours, theirs, atol=1e-8)
