"""`redundancy`: by scores and by the R^2 of regressions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_linnerud
from sklearn.linear_model import LinearRegression

from skmeta import CCAMapper, Views
from skmeta.inspection import redundancy


def linnerud(shrinkage=0.0, k=None):
    return CCAMapper(k, shrinkage=shrinkage).fit(*load_linnerud(return_X_y=True))


def test_linnerud():
    """To four digits; exercises are X, body measures Y."""
    found = redundancy(linnerud())
    assert_allclose(found.explained["Y"], [0.4508, 0.2470, 0.3022], atol=5e-5)
    assert_allclose(found.explained["X"], [0.4081, 0.4345, 0.1574], atol=5e-5)
    assert_allclose(found.redundancy["Y"]["X"], [0.2854, 0.0099, 0.0016], atol=5e-5)
    assert_allclose(found.redundancy["X"]["Y"], [0.2584, 0.0175, 0.0008], atol=5e-5)


def test_all_components_sum_to_the_mean_r2_of_regressions():
    X, Y = load_linnerud(return_X_y=True)
    total = redundancy(linnerud()).total
    for name, other, (a, b) in [("X", "Y", (X, Y)), ("Y", "X", (Y, X))]:
        r2 = [LinearRegression().fit(b, column).score(b, column) for column in a.T]
        assert_allclose(total[name][other], np.mean(r2), rtol=1e-10)


def test_shares_are_explained_times_squared_correlations():
    mapper = linnerud(k=2)
    found = redundancy(mapper)
    for name, other in (("X", "Y"), ("Y", "X")):
        expected = found.explained[name] * mapper.correlations_**2
        assert_allclose(found.redundancy[name][other], expected, rtol=1e-10)


@pytest.mark.parametrize("shrinkage", [0.0, 0.5])
def test_shares_are_those_of_scores(shrinkage):
    X, Y = load_linnerud(return_X_y=True)
    mapper = linnerud(shrinkage)
    found = redundancy(mapper)
    scores = {"X": mapper.transform(X), "Y": mapper.transform(X, Y)[1]}
    for name, rows in (("X", X), ("Y", Y)):
        for other, Z in scores.items():
            r = np.corrcoef(rows.T, Z.T)[:3, 3:]
            share = found.explained[name]
            if other != name:
                share = found.redundancy[name][other]
            assert_allclose(share, (r**2).mean(axis=0), rtol=1e-8)


def test_three_views_and_a_constant_column():
    X, Y = load_linnerud(return_X_y=True)
    third = np.column_stack([X[:, :2] + Y[:, :2], np.ones(20)])
    mapper = CCAMapper(2).fit(Views(a=X, b=Y, c=third))
    found = redundancy(mapper)
    assert set(found.redundancy["c"]) == {"a", "b"}
    without = CCAMapper(2).fit(Views(a=X, b=Y, c=third[:, :2]))
    expected = redundancy(without)
    assert_allclose(found.explained["c"], expected.explained["c"], rtol=1e-8)
    assert_allclose(found.total["c"]["a"], expected.total["c"]["a"], rtol=1e-8)


def test_bad_input():
    with pytest.raises(ValueError, match="not fitted"):
        redundancy(CCAMapper())
    with pytest.raises(TypeError, match="takes a CCAMapper"):
        redundancy(LinearRegression())
