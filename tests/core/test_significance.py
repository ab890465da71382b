"""Permutation and Wilks tests of components against their literal formulas."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.linalg import null_space
from sklearn.datasets import load_linnerud

from skmeta.core.bases import orthonormal_basis, residual_rows, standardised
from skmeta.core.significance import (
    LEAST_REST,
    STATISTICS,
    canonical_variables,
    observed_statistics,
    permuted_statistics,
    roy_statistics,
    step_down_pvalues,
    wilks_statistics,
    wilks_steps,
    within_groups,
)


def basis(X):
    return orthonormal_basis(standardised(X.copy())[0])


def variables(n, p, q, seed=0, rho=0.8):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((n, p)), rng.standard_normal((n, q))
    Y[:, 0] = rho * X[:, 0] + np.sqrt(1 - rho**2) * Y[:, 0]
    return canonical_variables(basis(X), basis(Y))


def correlations(X, Y):
    left, right = (np.linalg.qr(A)[0] for A in (X, Y))
    return np.linalg.svd(left.T @ right, compute_uv=False)


# ---- bases ---------------------------------------------------------------------------


def test_residual_rows_are_a_basis_of_the_residual_space():
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((50, 6)), rng.standard_normal((50, 3))
    Z = np.column_stack([Z, Z @ [1.0, 2.0, 0.0]])  # rank 3
    design = standardised(Z.copy())[0]
    reduced = residual_rows(design, X)
    assert reduced.shape == (50 - 4, 6)
    with_one = np.column_stack([np.ones(50), Z])
    residuals = X - with_one @ np.linalg.lstsq(with_one, X, rcond=None)[0]
    # Coordinates of the residuals: products agree, whatever the basis.
    assert_allclose(reduced.T @ reduced, residuals.T @ residuals, atol=1e-12)
    N = null_space(with_one.T)
    assert_allclose(N @ N.T @ X, residuals, atol=1e-12)


def test_without_confounds_the_mean_alone_is_taken_out():
    X = np.random.default_rng(0).standard_normal((20, 4)) + 5
    reduced = residual_rows(np.empty((20, 0)), X)
    centred = X - X.mean(axis=0)
    assert reduced.shape == (19, 4)
    assert_allclose(reduced.T @ reduced, centred.T @ centred, atol=1e-12)


def test_basis_leaves_out_constant_duplicate_and_rounding():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) * [1e-8, 1.0, 1e8] + 1e3
    more = np.column_stack([X, np.full(60, 0.1), X[:, 0], X[:, 1] * 2])
    assert basis(more).shape == (60, 3)
    projections = [B @ B.T for B in (basis(X), basis(more))]
    assert_allclose(*projections, atol=1e-6)  # 1e3 beside 1e-8 costs digits


def test_basis_of_what_confounds_explain_is_empty():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((40, 3))
    design = standardised(Z.copy())[0]
    columns, noise = standardised(Z @ rng.standard_normal((3, 2)))
    left = orthonormal_basis(residual_rows(design, columns), noise)
    assert left.shape == (36, 0)


# ---- statistics ----------------------------------------------------------------------

SHAPES = [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1), (1, 1)]


@pytest.mark.parametrize(("p", "q"), SHAPES)
def test_one_factorisation_gives_all_steps(p, q):
    rng = np.random.default_rng(0)
    bases = [np.linalg.qr(rng.standard_normal((30, k)))[0] for k in (p, q)]
    cross = np.stack([bases[0][rng.permutation(30)].T @ bases[1] for _ in range(4)])
    found = wilks_statistics(cross)
    largest = roy_statistics(cross)
    for i, R in enumerate(cross):
        for k in range(min(p, q)):
            values = np.linalg.svd(R[k:, k:], compute_uv=False)
            assert_allclose(found[i, k], -np.log(1 - values**2).sum(), rtol=1e-12)
            assert_allclose(largest[i, k], values[0], rtol=1e-10)


def test_correlations_of_one_are_finite_and_ties():
    rng = np.random.default_rng(0)
    cross = np.zeros((3, 3, 2))
    cross[0, 0, 0] = 1.0
    cross[1] = np.linalg.qr(rng.standard_normal((3, 2)))[0]  # 1 and 1, but for rounding
    cross[2, 1, 1] = 0.5
    found = wilks_statistics(cross)
    one = -np.log(LEAST_REST)
    half = -np.log(1 - 0.5**2)
    assert_allclose(found[:, 0], [one, 2 * one, half], rtol=1e-12)
    assert_allclose(found[[0, 2], 1], [0, half], atol=1e-12)
    near = np.zeros((1, 3, 2))
    near[0, 0, 0] = np.sqrt(1 - 1e-9)
    assert_allclose(wilks_statistics(near), [[-np.log(1e-9), 0]], rtol=1e-6)


@pytest.mark.parametrize(("p", "q"), [(6, 4), (4, 6), (4, 4)])
def test_permutations_are_the_cca_of_permuted_remainders(p, q):
    """Literally: permute the rows of what is left, whiten and decompose it anew."""
    v = variables(40, p, q)
    drawn = [np.random.default_rng(i).permutation(40) for i in range(5)]
    replay = iter(drawn)
    null = permuted_statistics(v, 5, lambda n: next(replay), wilks_statistics)
    longer, shorter = (v.left, v.right) if p >= q else (v.right, v.left)
    for found, order in zip(null, drawn, strict=True):
        for k in range(min(p, q)):
            rho = correlations(longer[:, k:], shorter[order, k:])
            assert_allclose(found[k], -np.log(1 - rho**2).sum(), rtol=1e-9)


def test_variables_are_completed_to_orthonormal_bases():
    v = variables(40, 6, 4)
    assert v.left.shape == (40, 6)
    assert_allclose(v.left.T @ v.left, np.eye(6), atol=1e-12)
    cross = v.left.T @ v.right
    assert_allclose(cross[:4], np.diag(v.correlations), atol=1e-12)
    assert_allclose(cross[4:], 0, atol=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
def test_observed_statistics_are_those_of_the_identity(name):
    v = variables(40, 6, 4)
    null = permuted_statistics(v, 1, np.arange, STATISTICS[name])
    assert_allclose(observed_statistics(v, STATISTICS[name]), null[0], rtol=1e-9)


def test_step_down_pvalues_ascend_and_count_ties():
    observed = np.array([3.0, 2.0, 1.0])
    null = np.array([[3.0 - 1e-12, 1.0, 0.5], [1.0, 1.0, 2.0], [4.0, 1.0, 0.5]])
    assert_allclose(step_down_pvalues(observed, null), [0.75, 0.75, 0.75])
    assert_allclose(step_down_pvalues(observed, null - 2), [0.25, 0.25, 0.25])


def test_permutations_stay_within_groups():
    codes = np.array([0, 1, 0, 2, 1, 0, 1, 0])
    permute = within_groups(codes, np.random.RandomState(0))
    seen = np.array([permute(8) for _ in range(400)])
    assert (codes[seen] == codes).all()
    assert (np.sort(seen, axis=1) == np.arange(8)).all()
    # Each row of a group comes to each place of it equally often.
    share = (seen[:, 0][:, None] == [0, 2, 5, 7]).mean(axis=0)
    assert_allclose(share, 0.25, atol=0.08)


# ---- without permutations ------------------------------------------------------------


def test_linnerud_published_constants():
    """SAS/STAT's example of PROC CANCORR prints these, F and p rounded."""
    d = load_linnerud()
    rho = canonical_variables(basis(d.data), basis(d.target)).correlations
    assert_allclose(rho, [0.795608, 0.200556, 0.072570], atol=5e-7)
    steps = wilks_steps(rho, 20, 3, 3)
    assert_allclose(steps.wilks, [0.35039053, 0.95472266, 0.99473355], atol=5e-9)
    assert_allclose(steps.f, [2.05, 0.18, 0.08], atol=5e-3)
    assert_allclose(steps.f_df, [[9, 34.223], [4, 30], [1, 16]], atol=5e-4)
    assert_allclose(steps.f_pvalues, [0.0635, 0.9491, 0.7748], atol=5e-5)


def test_linnerud_by_a_second_method():
    """Determinants of covariances and scipy.stats instead of correlations."""
    d = load_linnerud()
    C = np.cov(np.hstack([d.data, d.target]), rowvar=False)
    wilks = np.linalg.det(C) / np.linalg.det(C[:3, :3]) / np.linalg.det(C[3:, 3:])
    s = np.sqrt((81 - 4) / (9 + 9 - 5))
    df_error = (20 - 1 - 3.5) * s - 9 / 2 + 1
    f = (wilks ** (-1 / s) - 1) * df_error / 9
    chi2 = -(20 - 1 - 3.5) * np.log(wilks)
    rho = canonical_variables(basis(d.data), basis(d.target)).correlations
    steps = wilks_steps(rho, 20, 3, 3)
    assert_allclose(steps.wilks[0], wilks, rtol=1e-10)
    assert_allclose(steps.f[0], f, rtol=1e-10)
    assert_allclose(steps.f[0], 2.0482335, atol=5e-8)
    assert_allclose(steps.f_pvalues[0], stats.f.sf(f, 9, df_error), rtol=1e-10)
    assert_allclose(steps.chi2[0], chi2, rtol=1e-10)
    assert_allclose(steps.chi2_pvalues[0], stats.chi2.sf(chi2, 9), rtol=1e-10)
    assert_allclose(steps.chi2_df, [9, 4, 1])


def test_one_column_is_the_f_test_of_regression():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 1))
    rho = canonical_variables(basis(X), basis(y)).correlations
    steps = wilks_steps(rho, 30, 4, 1)
    f = (rho[0] ** 2 / 4) / ((1 - rho[0] ** 2) / 25)
    assert_allclose(steps.f, [f])
    assert_allclose(steps.f_df, [[4, 25]])
    one = canonical_variables(basis(X[:, :1]), basis(y)).correlations
    expected = stats.pearsonr(X[:, 0], y[:, 0]).pvalue
    assert_allclose(wilks_steps(one, 30, 1, 1).f_pvalues, [expected])


def test_two_columns_are_exact():
    """At min(p, q) = 2 the root of lambda is a ratio of F: uniform p-values."""
    rng = np.random.default_rng(0)
    n, p, q = 12, 5, 2
    rho = [
        canonical_variables(
            basis(rng.standard_normal((n, p))), basis(rng.standard_normal((n, q)))
        ).correlations
        for _ in range(1000)
    ]
    pvalues = wilks_steps(np.array(rho), n, p, q).f_pvalues[:, 0]
    assert stats.kstest(pvalues, "uniform").pvalue > 0.01


def test_wilks_steps_work_on_stacks():
    rho = np.array([[0.9, 0.5, 0.2], [0.6, 0.3, 0.1]])
    stacked = wilks_steps(rho, 50, 3, 4)
    for i, one in enumerate(rho):
        single = wilks_steps(one, 50, 3, 4)
        for name in ("wilks", "chi2", "chi2_pvalues", "f", "f_pvalues"):
            assert_allclose(getattr(stacked, name)[i], getattr(single, name))
