"""`pairs_needed`: goals are met by the rows it names, and bad input."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmeta import CCAMapper
from skmeta.datasets import make_paired_views
from skmeta.inspection import pairs_needed, wilks_test


def test_the_rows_it_names_meet_the_goals_in_full_simulation():
    rho = np.array([0.6, 0.4])
    needed = pairs_needed(rho, 6, 5, power=0.8, random_state=0)
    found, significant = [], []
    for seed in range(200):
        views = make_paired_views(
            needed.n_rows, n_features=(6, 5), correlations=rho, random_state=seed
        ).views
        mapper = CCAMapper(shrinkage=0).fit(views)
        found.append(mapper.correlations_[:2])
        pvalues = np.maximum.accumulate(wilks_test(mapper).pvalues)
        significant.append(pvalues[:2] <= 0.05)
    at = np.flatnonzero(needed.table.n_rows == needed.n_rows)[0]
    assert_allclose(np.mean(found, axis=0) - rho, needed.table.bias[at], atol=0.015)
    assert_allclose(np.mean(significant, axis=0), needed.table.power[at], atol=0.1)
    assert (needed.table.power[at] >= 0.8).all()
    assert (needed.table.bias[at] <= 0.05).all()


def test_table():
    needed = pairs_needed([0.7, 0.5], 4, 3, random_state=0)
    table = needed.table
    assert (np.diff(table.n_rows) > 0).all()
    assert table.n_rows[0] == 9
    for key in ("bias", "power", "new_rows"):
        assert table[key].shape == (len(table.n_rows), 2)
    # More rows: less bias, more power, better components.
    assert (table.bias[0] > table.bias[-1]).all()
    assert (table.power[0] < table.power[-1]).all()
    assert (table.new_rows[0] < table.new_rows[-1]).all()


@pytest.mark.parametrize(
    ("name", "lax", "strict"),
    [("power", 0.5, 0.95), ("max_bias", 0.2, 0.01), ("alpha", 0.2, 0.001)],
)
def test_each_goal_counts(name, lax, strict):
    goals = {"power": 0.5, "max_bias": 0.5, "random_state": 0}
    few, many = (
        pairs_needed([0.4], 5, 5, **goals | {name: value}).n_rows
        for value in (lax, strict)
    )
    assert few < many


def test_columns_and_small_correlations_cost_rows():
    n = pairs_needed([0.5], 5, 5, random_state=0).n_rows
    assert pairs_needed([0.5], 20, 5, random_state=0).n_rows > n
    assert pairs_needed([0.3], 5, 5, random_state=0).n_rows > n


def test_random_state():
    one, two, other = (
        pairs_needed([0.5], 3, 3, random_state=i).table for i in (0, 0, 1)
    )
    assert_array_equal(one.bias, two.bias)
    assert one.bias[0] != other.bias[0]


def test_goals_that_are_not_met():
    needed = pairs_needed([0.01], 5, 5, max_rows=100, random_state=0)
    assert needed.n_rows is None
    assert needed.table.n_rows[-1] == 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (dict(correlations=[0.5, 0.6]), "must descend"),
        (dict(correlations=[1.2]), r"lie in \[0, 1\]"),
        (dict(correlations=[1.0]), "above 0 and below 1"),
        (dict(correlations=[0.5, 0.0]), "above 0 and below 1"),
        (dict(correlations=[]), "one or more numbers"),
        (dict(correlations=[0.5, 0.4, 0.3], q=2), "have 2 components"),
        (dict(p=0), "p must be an integer of at least 1"),
        (dict(q=2.5), "q must be an integer of at least 1"),
        (dict(p=30_000, q=30_000), "take 26.8 GB a draw"),
        (dict(power=1.0), "power must lie between 0 and 1"),
        (dict(max_bias=0), "max_bias must lie between 0 and 1"),
        (dict(alpha="a"), "alpha must lie between 0 and 1"),
        (dict(n_simulations=0), "n_simulations must be an integer of at least 1"),
        (dict(max_rows=5), "max_rows must be an integer of at least 8"),
    ],
)
def test_bad_input(arguments, said):
    with pytest.raises(ValueError, match=said):
        pairs_needed(**dict(correlations=[0.5], p=3, q=3) | arguments)
