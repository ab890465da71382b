"""The solver against closed forms and against a second method."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import eigh
from sklearn.covariance import oas
from sklearn.datasets import load_linnerud
from sklearn.preprocessing import StandardScaler

from skmeta.core import components, whitening
from skmeta.core.cca import solve


def fit(views, k, shrinkage=0.0, standardize=True, weights=None):
    return solve(
        views,
        n_components=k,
        shrinkage=dict.fromkeys(views, shrinkage),
        standardize=dict.fromkeys(views, standardize),
        weights=weights,
    )


def svd_of_data(X, Y):
    """Canonical correlations by Björck & Golub: SVD of the product of the bases."""
    basis = [np.linalg.svd(A - A.mean(axis=0), full_matrices=False)[0] for A in (X, Y)]
    return np.linalg.svd(basis[0].T @ basis[1], compute_uv=False)


def planted(n, p, q, rho, seed=0):
    rng = np.random.default_rng(seed)
    k = len(rho)
    z = rng.standard_normal((n, k))
    rho = np.asarray(rho)
    noise = rng.standard_normal((2, n, k))
    s, t = (np.sqrt(rho) * z + np.sqrt(1 - rho) * e for e in noise)
    X = np.hstack([s, rng.standard_normal((n, p - k))]) @ rng.standard_normal((p, p))
    Y = np.hstack([t, rng.standard_normal((n, q - k))]) @ rng.standard_normal((q, q))
    return X, Y


def generalised_eigenvalues(views, shrinkage, k):
    """A w = lambda B w by a dense generalised eigensolver on standardised columns."""
    Z = [StandardScaler().fit_transform(V) for V in views.values()]
    C = np.cov(np.hstack(Z), rowvar=False, ddof=0)
    ends = np.cumsum([0, *(z.shape[1] for z in Z)])
    B = np.zeros_like(C)
    for a, b in zip(ends[:-1], ends[1:], strict=True):
        B[a:b, a:b] = (1 - shrinkage) * C[a:b, a:b] + shrinkage * np.eye(b - a)
    A = C.copy()
    for a, b in zip(ends[:-1], ends[1:], strict=True):
        A[a:b, a:b] = 0
    values, vectors = eigh(A, B)
    return values[::-1][:k], np.split(vectors[:, ::-1][:, :k], ends[1:-1])


def test_linnerud_published_constants():
    d = load_linnerud()
    solution = fit({"X": d.data, "Y": d.target}, 3)
    assert_allclose(solution.correlations, [0.795608, 0.200556, 0.072570], atol=5e-7)
    wilks = np.prod(1 - solution.correlations**2)
    assert_allclose(wilks, 0.35039053, atol=5e-9)


@pytest.mark.parametrize(("n", "p", "q"), [(300, 20, 15), (2000, 5, 40), (90, 30, 20)])
def test_correlations_and_weights_equal_an_svd_of_the_data(n, p, q):
    X, Y = planted(n, p, q, [0.9, 0.6, 0.3])
    k = min(p, q)
    solution = fit({"X": X, "Y": Y}, k)
    expected = svd_of_data(X, Y)[:k]
    assert_allclose(solution.correlations, expected, atol=1e-10)
    # Unit variance, uncorrelated within, correlated by rho across: the definition.
    S = (X - X.mean(axis=0)) @ solution.weights["X"]
    T = (Y - Y.mean(axis=0)) @ solution.weights["Y"]
    assert_allclose(S.T @ S / n, np.eye(k), atol=1e-9)
    assert_allclose(T.T @ T / n, np.eye(k), atol=1e-9)
    assert_allclose(S.T @ T / n, np.diag(expected), atol=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_views", [2, 3, 4])
def test_components_solve_the_generalised_eigenproblem(shrinkage, n_views):
    rng = np.random.default_rng(3)
    z = rng.standard_normal((200, 2))
    views = {
        f"v{i}": np.hstack(
            [z + rng.standard_normal((200, 2)), rng.standard_normal((200, 3 + i))]
        )
        @ rng.standard_normal((5 + i, 5 + i))
        for i in range(n_views)
    }
    solution = fit(views, 3, shrinkage)
    values, vectors = generalised_eigenvalues(views, shrinkage, 3)
    assert_allclose(solution.eigenvalues, values, atol=1e-10)
    for (name, V), w in zip(views.items(), vectors, strict=True):
        reference = StandardScaler().fit_transform(V) @ w
        score = (V - V.mean(axis=0)) @ solution.weights[name]
        for i in range(3):
            r = np.corrcoef(reference[:, i], score[:, i])[0, 1]
            assert_allclose(abs(r), 1, atol=1e-9)


def test_full_shrinkage_is_the_svd_of_the_cross_covariance():
    X, Y = planted(300, 8, 6, [0.8, 0.5])
    solution = fit({"X": X, "Y": Y}, 4, 1.0)
    Zx, Zy = StandardScaler().fit_transform(X), StandardScaler().fit_transform(Y)
    U, s, _ = np.linalg.svd(Zx.T @ Zy / len(X))
    assert_allclose(solution.eigenvalues, s[:4], atol=1e-12)
    direction = solution.weights["X"] * X.std(axis=0)[:, None]
    direction /= np.linalg.norm(direction, axis=0)
    assert_allclose(np.abs(U[:, :4].T @ direction), np.eye(4), atol=1e-9)


def test_auto_shrinkage_is_scikit_learns_oas():
    X, Y = planted(80, 20, 12, [0.8])
    X[:, 3] = 5.0  # a dead column is no dimension
    solution = fit({"X": X, "Y": Y}, 2, "auto")
    live = StandardScaler().fit_transform(np.delete(X, 3, axis=1))
    assert_allclose(solution.shrinkage["X"], oas(live)[1], rtol=1e-10)
    assert_allclose(
        solution.shrinkage["Y"], oas(StandardScaler().fit_transform(Y))[1], rtol=1e-10
    )


def test_auto_shrinkage_of_a_view_wider_than_its_rows():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((40, 100)), rng.standard_normal((40, 3))
    solution = fit({"X": X, "Y": Y}, 2, "auto")
    expected = oas(StandardScaler().fit_transform(X))[1]
    assert_allclose(solution.shrinkage["X"], expected, rtol=1e-10)


@pytest.mark.parametrize("shrinkage", [0.0, 1e-4, 0.2])
def test_moments_and_rows_give_the_same_answer(monkeypatch, shrinkage):
    X, Y = planted(400, 12, 9, [0.9, 0.5])
    by_moments = fit({"X": X, "Y": Y}, 9, shrinkage)
    monkeypatch.setattr(whitening, "MAX_CONDITION", 1.0)  # nothing is good enough
    by_rows = fit({"X": X, "Y": Y}, 9, shrinkage)
    for field in ("correlations", "eigenvalues", "score_covariance"):
        assert_allclose(getattr(by_rows, field), getattr(by_moments, field), atol=1e-10)
    for view in "XY":
        assert_allclose(by_rows.weights[view], by_moments.weights[view], atol=1e-8)
        assert_allclose(by_rows.structure[view], by_moments.structure[view], atol=1e-8)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1])
def test_wide_views_equal_the_dense_generalised_eigenproblem(shrinkage):
    rng = np.random.default_rng(5)
    z = rng.standard_normal((50, 2))
    X = z @ rng.standard_normal((2, 80)) + rng.standard_normal((50, 80))
    Y = z @ rng.standard_normal((2, 20)) + rng.standard_normal((50, 20))
    views = {"X": X, "Y": Y}
    solution = fit(views, 3, shrinkage)
    if shrinkage:
        expected, _ = generalised_eigenvalues(views, shrinkage, 3)
    else:  # the dense problem is singular
        expected = svd_of_data(X, Y)[:3]
    assert_allclose(solution.eigenvalues, expected, atol=1e-10)


@pytest.mark.parametrize("route", ["lanczos", "squares"])
def test_short_ways_to_leading_components_equal_the_full_decomposition(
    monkeypatch, route
):
    X, Y = planted(1500, 450, 420, [0.95, 0.9, 0.8, 0.7])
    views = {"X": X, "Y": Y}
    if route == "lanczos":
        monkeypatch.setattr(components, "LANCZOS_MIN_SIZE", 400)
    short = fit(views, 10, 0.05)
    monkeypatch.setattr(components, "LANCZOS_MIN_SIZE", 10**9)
    monkeypatch.setattr(components, "LEAST_SQUARE", np.inf)
    full = fit(views, 10, 0.05)
    assert_allclose(short.eigenvalues, full.eigenvalues, atol=1e-12)
    assert_allclose(short.weights["X"], full.weights["X"], atol=1e-7)


def test_signal_between_columns_that_are_collinear_to_1e_7():
    rng = np.random.default_rng(0)
    n = 2000
    base, hidden = rng.standard_normal((2, n))
    X = np.column_stack([base, base + 1e-7 * hidden])
    Y = np.column_stack([hidden + 0.3 * rng.standard_normal(n), rng.standard_normal(n)])
    solution = fit({"X": X, "Y": Y}, 2)
    exact = np.column_stack([base, hidden])  # spans the same space
    assert_allclose(solution.correlations, svd_of_data(exact, Y), atol=1e-6)
    assert solution.correlations[0] > 0.95


def test_triangular_factor_has_the_gram_matrix_of_the_rows():
    rows = np.random.default_rng(0).standard_normal((100, 7))
    R = whitening.triangular_factor(np.array_split(rows, 9), 7)
    assert R.shape == (7, 7)
    assert_allclose(R.T @ R, rows.T @ rows, atol=1e-12)


def test_components_nest():
    X, Y = planted(200, 10, 8, [0.9, 0.5])
    few, many = (fit({"X": X, "Y": Y}, k, 0.3) for k in (3, 8))
    assert_allclose(few.weights["X"], many.weights["X"][:, :3], atol=1e-9)
    assert_allclose(few.correlations, many.correlations[:3], atol=1e-12)


def test_sign_is_that_of_the_first_largest_loading():
    X, Y = planted(300, 6, 5, [0.9, 0.6])
    solution = fit({"X": X, "Y": Y}, 5)
    loadings = np.vstack([solution.loadings["X"], solution.loadings["Y"]])
    for column in loadings.T:
        first = np.flatnonzero(np.abs(column) >= np.abs(column).max() - 1e-6)[0]
        assert column[first] > 0


def test_loadings_are_correlations_of_columns_with_scores():
    X, Y = planted(300, 6, 5, [0.9, 0.6])
    for standardize in (True, False):
        solution = fit({"X": X, "Y": Y}, 3, 0.2, standardize)
        scores = X @ solution.weights["X"]
        expected = np.corrcoef(X, scores, rowvar=False)[:6, 6:]
        assert_allclose(solution.loadings["X"], expected, atol=1e-10)


def test_correlations_of_a_shrunk_problem_are_those_of_the_scores():
    X, Y = planted(300, 6, 5, [0.9, 0.6])
    solution = fit({"X": X, "Y": Y}, 4, 0.5)
    S, T = X @ solution.weights["X"], Y @ solution.weights["Y"]
    expected = [np.corrcoef(s, t)[0, 1] for s, t in zip(S.T, T.T, strict=True)]
    assert_allclose(solution.correlations, expected, atol=1e-10)
    assert (solution.eigenvalues[:-1] >= solution.eigenvalues[1:]).all()
