"""Draws of moments against draws of rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmeta.core.bases import orthonormal_basis, standardised
from skmeta.core.power import Row, expectation, fewest_rows, found_correlations
from skmeta.core.significance import canonical_variables, wilks_steps


def by_rows(rho, n, p, q, n_draws, rng):
    """The same from rows: found correlations and those of the weights on the truth."""
    d = np.zeros((p, q))
    np.fill_diagonal(d, [*rho, *[0.0] * (min(p, q) - len(rho))])
    root = np.linalg.cholesky(np.block([[np.eye(p), d], [d.T, np.eye(q)]]))
    found, new = [], []
    for _ in range(n_draws):
        rows = rng.standard_normal((n, p + q)) @ root.T
        X, Y = rows[:, :p], rows[:, p:]
        v = canonical_variables(
            *(orthonormal_basis(standardised(A.copy())[0]) for A in (X, Y))
        )
        k = min(p, q)
        a, b = (
            np.linalg.lstsq(A - A.mean(axis=0), S[:, :k], rcond=None)[0]
            for A, S in ((X, v.left), (Y, v.right))
        )
        shared = np.einsum("jk,jl,lk->k", a, d, b)
        found.append(v.correlations)
        new.append(
            shared / np.sqrt(np.einsum("jk,jk->k", a, a) * np.einsum("jk,jk->k", b, b))
        )
    return np.array(found), np.array(new)


@pytest.mark.parametrize(
    ("rho", "n", "p", "q"),
    [
        ([0.6, 0.3], 40, 6, 4),
        ([0.6, 0.3], 40, 4, 6),
        ([0.9], 15, 5, 5),
        ([0.4], 9, 1, 1),
    ],
)
def test_moments_are_drawn_as_rows_give_them(rho, n, p, q):
    m, rho = 3000, np.array(rho)
    drawn = found_correlations(rho, n, p, q, m, np.random.RandomState(0))
    full = by_rows(rho, n, p, q, m, np.random.RandomState(1))
    for some, others in zip(drawn, full, strict=True):
        error = np.sqrt((some.var(axis=0) + others.var(axis=0)) / m)
        assert (np.abs(some.mean(axis=0) - others.mean(axis=0)) <= 4 * error).all()
        assert_allclose(some.std(axis=0), others.std(axis=0), rtol=0.1)
    power = [
        (wilks_steps(r, n, p, q).f_pvalues <= 0.05).mean(axis=0)
        for r in (drawn[0], full[0])
    ]
    assert_allclose(power[0], power[1], atol=4 * np.sqrt(0.5 / m))


def test_expectation_of_nothing_is_alpha():
    row = expectation(
        np.array([1e-9]),
        40,
        4,
        3,
        n_draws=4000,
        alpha=0.05,
        rng=np.random.RandomState(0),
    )
    assert_allclose(row.power, 0.05, atol=0.012)
    assert row.bias[0] > 0.3
    assert_allclose(row.new, 0.0, atol=1e-8)


def test_many_rows_find_the_truth():
    rho = np.array([0.8, 0.5])
    row = expectation(
        rho, 10**6, 5, 4, n_draws=50, alpha=0.05, rng=np.random.RandomState(0)
    )
    assert_allclose(row.bias, 0.0, atol=1e-3)
    assert_allclose(row.new, rho, atol=1e-3)
    assert_allclose(row.power, 1.0)


def found(threshold, least=12, most=10**6):
    rows, n = fewest_rows(
        lambda n: Row(n, None, None, None), lambda row: row.n >= threshold, least, most
    )
    return [row.n for row in rows], n


@pytest.mark.parametrize("threshold", [1, 12, 13, 24, 25, 1000, 999_999])
def test_search_ends_close_above_the_threshold(threshold):
    tried, n = found(threshold)
    assert tried == sorted(set(tried))
    assert max(threshold, 12) <= n <= max(12, 1.02 * threshold + 1)


def test_search_that_finds_none():
    tried, n = found(10**7)
    assert n is None
    assert tried[-1] == 10**6
