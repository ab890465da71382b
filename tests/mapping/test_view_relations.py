"""How much views share: planted truth, bounds, units."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmeta import CCAMapper, Views


def planted(n, loadings, seed=0):
    """Views x_i = z L_i + e_i of standardised columns, and the shares of z in them.

    ``loadings[i]`` holds by factor the share of each column's variance.
    """
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, len(next(iter(loadings.values())))))
    arrays = {}
    for name, shares in loadings.items():
        p = 12
        rest = 1 - sum(shares)
        columns = np.sqrt(rest) * rng.standard_normal((n, p))
        for k, share in enumerate(shares):
            signs = np.sign(rng.standard_normal(p))
            columns += np.sqrt(share) * factors[:, [k]] * signs
        arrays[name] = columns
    return Views(**arrays)


def test_shares_of_planted_factors_are_recovered():
    """Factor 0 is of a and b, factor 1 of b and c, factor 2 of c alone."""
    views = planted(40_000, {"a": (0.5, 0, 0), "b": (0.2, 0.4, 0), "c": (0, 0.3, 0.3)})
    found = CCAMapper(2, shrinkage=0.0).fit(views).view_relations_
    truth = {
        "a": {"a": 0.5, "b": 0.5, "c": 0.0},
        "b": {"a": 0.2, "b": 0.4, "c": 0.4},
        "c": {"a": 0.0, "b": 0.3, "c": 0.7},
    }
    for name, row in truth.items():
        assert list(found[name]) == list("abc")
        for other, share in row.items():
            assert found[name][other] == pytest.approx(share, abs=0.05), (name, other)


def test_two_views_share_what_is_not_their_own():
    views = planted(20_000, {"a": (0.6, 0.1), "b": (0.3, 0.3)})
    found = CCAMapper(2, shrinkage=0.0).fit(views).view_relations_
    assert_allclose([sum(row.values()) for row in found.values()], 1.0)
    assert found["a"]["b"] == pytest.approx(0.7, abs=0.05)
    assert found["b"]["a"] == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, "auto"])
def test_units_change_nothing_and_shares_are_shares(shrinkage):
    views = planted(300, {"a": (0.5, 0), "b": (0.2, 0.4), "c": (0.1, 0.3)})
    scaled = Views(**{n: v * 10.0**i + i for i, (n, v) in enumerate(views.items())})
    plain = CCAMapper(2, shrinkage=shrinkage).fit(views).view_relations_
    moved = CCAMapper(2, shrinkage=shrinkage).fit(scaled).view_relations_
    for name, row in plain.items():
        assert_allclose(list(moved[name].values()), list(row.values()), atol=1e-8)
        assert all(0 <= share <= 1 for share in row.values())
