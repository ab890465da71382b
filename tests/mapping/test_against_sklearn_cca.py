"""scikit-learn's own tests of its CCA, by meaning: what an exact solver must satisfy.

Source: ``sklearn/cross_decomposition/tests/test_pls.py``. ``correlation_power=0`` gives
unit-variance scores; scikit-learn's are the same up to a factor per component.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cross_decomposition import CCA
from sklearn.datasets import load_linnerud, make_regression
from sklearn.linear_model import LinearRegression

from skmeta import CCAMapper


def plain(n_components=None, **params):
    return CCAMapper(n_components, shrinkage=0.0, correlation_power=0, **params)


@pytest.fixture
def linnerud():
    return load_linnerud(return_X_y=True)


@pytest.fixture
def random_case():
    """``test_sanity_check_pls_canonical_random``: two latents, and noise."""
    rng = np.random.RandomState(11)
    n, p_noise, q_noise = 500, 10, 5
    l1, l2 = rng.normal(size=n), rng.normal(size=n)
    latents = np.array([l1, l1, l2, l2]).T
    X = latents + rng.normal(size=4 * n).reshape((n, 4))
    Y = latents + rng.normal(size=4 * n).reshape((n, 4))
    X = np.concatenate((X, rng.normal(size=p_noise * n).reshape(n, p_noise)), axis=1)
    Y = np.concatenate((Y, rng.normal(size=q_noise * n).reshape(n, q_noise)), axis=1)
    return X, Y


def test_scores_are_scikit_learns(random_case):
    X, Y = random_case
    peer = CCA(n_components=3, max_iter=5000, tol=1e-14).fit(X, Y)
    mapper = plain(3).fit(X, Y)
    for ours, theirs in zip(mapper.transform(X, Y), peer.transform(X, Y), strict=True):
        r = np.corrcoef(ours, theirs, rowvar=False)[:3, 3:]
        assert_allclose(np.abs(np.diagonal(r)), 1, atol=1e-4)


def test_scores_are_orthogonal(random_case):
    X, Y = random_case
    for S in plain(4).fit(X, Y).transform(X, Y):
        assert_allclose(S.T @ S / len(S), np.eye(4), atol=1e-10)


def test_transform_of_training_rows_and_of_pairs(linnerud):
    X, Y = linnerud
    mapper = plain(3).fit(X, Y)
    S, T = mapper.transform(X, Y)
    assert_array_equal(mapper.transform(X), S)
    assert_allclose(np.diagonal(S.T @ T) / len(S), mapper.correlations_, atol=1e-10)


def test_all_components_reconstruct_both_views(linnerud):
    X, Y = linnerud
    mapper = plain(3).fit(X, Y)
    X_back, Y_back = mapper.inverse_transform(*mapper.transform(X, Y))
    assert_allclose(X_back, X)
    assert_allclose(Y_back, Y)


def test_constant_column_of_y():
    """``test_sanity_check_pls_regression_constant_column_Y``."""
    X, Y = load_linnerud(return_X_y=True)
    Y = Y.copy()
    Y[:, 0] = 1
    mapper = plain(2).fit(X, Y)
    assert_allclose(mapper.correlations_, plain().fit(X, Y[:, 1:]).correlations_)
    assert (mapper.weights_["Y"][0] == 0).all()
    assert_allclose(mapper.predict(X)[:, 0], 1)


def test_constant_y():
    """``test_pls_constant_y``: no warning and a column of zeros, but an error."""
    rng = np.random.RandomState(42)
    with pytest.raises(ValueError, match="'Y' has zero variance"):
        plain(1).fit(rng.rand(100, 3), np.zeros(100))


def test_attributes_have_the_shapes_of_components(linnerud):
    """``test_attributes_shapes``."""
    mapper = plain(2).fit(*linnerud)
    for view in "XY":
        assert mapper.weights_[view].shape == (3, 2)
        assert mapper.loadings_[view].shape == (3, 2)
    assert mapper.correlations_.shape == (2,)


def test_one_column_is_least_squares(linnerud):
    """``test_univariate_equivalence``, ``test_one_component_equivalence``."""
    X, Y = linnerud
    mapper = plain(1).fit(X, Y[:, 0])
    assert_allclose(mapper.predict(X), LinearRegression().fit(X, Y[:, 0]).predict(X))
    r2 = LinearRegression().fit(X, Y[:, 0]).score(X, Y[:, 0])
    assert_allclose(mapper.correlations_**2, r2)
    assert_allclose(mapper.predict(X), plain(1).fit(X, Y[:, :1]).predict(X).ravel())


def cases_of_scale():
    rng = np.random.RandomState(0)
    X = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [2.0, 2.0, 2.0], [3.0, 5.0, 4.0]])
    Y = np.array([[0.1, -0.2], [0.9, 1.1], [6.2, 5.9], [11.9, 12.3]])
    random = rng.randn(100, 10)
    target = random @ rng.randn(10, 3) + 2 * rng.randn(100, 3)
    return [load_linnerud(return_X_y=True), (np.tile(X, (3, 1)), np.tile(Y, (3, 1))),
            (random, target)]  # fmt: skip


@pytest.mark.parametrize("case", range(3))
@pytest.mark.filterwarnings("ignore::skmeta.exceptions.CorrelationOneWarning")
def test_scale_and_stability(case):
    """``test_scale_and_stability``: standardising first, or not, is the same."""
    X, Y = cases_of_scale()[case]
    scaled = [(A - A.mean(axis=0)) / A.std(axis=0, ddof=1) for A in (X, Y)]
    mapper, expected = plain(2).fit(X, Y), plain(2).fit(*scaled)
    raw = plain(2, standardize=False).fit(X, Y)
    for ours, theirs, third in zip(
        mapper.transform(X, Y),
        expected.transform(*scaled),
        raw.transform(X, Y),
        strict=True,
    ):
        assert_allclose(ours, theirs, atol=1e-6)
        assert_allclose(ours, third, atol=1e-6)


@pytest.mark.parametrize("n_components", [6, 10])
def test_upper_bound_of_components(n_components):
    """``test_n_components_upper_bounds``."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(10, 5), rng.randn(10, 3)
    with pytest.raises(ValueError, match=f"n_components={n_components} is more than"):
        plain(n_components).fit(X, Y)


@pytest.mark.filterwarnings("ignore:View 'Y' has rank 10:UserWarning")
def test_loadings_converge():
    """``test_loadings_converges``: no iteration, so none to fail to converge."""
    X, Y = make_regression(n_samples=200, n_features=20, n_targets=20, random_state=0)
    mapper = CCAMapper(10, shrinkage=0.0, correlation_power=0).fit(X, Y)
    assert np.all(np.abs(mapper.loadings_["X"]) <= 1 + 1e-10)


def test_predictions_are_intercept_plus_linear(linnerud):
    """``test_pls_prediction``."""
    X, Y = linnerud
    mapper = plain(2).fit(X, Y)
    slope = mapper.predict(X.mean(axis=0) + np.eye(3)) - Y.mean(axis=0)
    assert_allclose(mapper.predict(X), (X - X.mean(axis=0)) @ slope + Y.mean(axis=0))


def test_feature_names_and_pandas_output(linnerud):
    """``test_pls_feature_names_out``, ``test_pls_set_output``."""
    frame_X, frame_Y = load_linnerud(as_frame=True, return_X_y=True)
    mapper = plain(2).set_output(transform="pandas").fit(frame_X, frame_Y)
    S, T = mapper.transform(frame_X, frame_Y)
    assert_array_equal(S.columns, mapper.get_feature_names_out())
    assert S.index.equals(frame_X.index)
    assert isinstance(T, np.ndarray)


def test_rank_deficient_data_is_finite():
    """Issues 4419 and 4469: NaN on rank-deficient data."""
    rng = np.random.RandomState(0)
    X = rng.randn(50, 2) @ rng.randn(2, 6)
    Y = X[:, :3] + 0.1 * rng.randn(50, 3)
    with pytest.warns(UserWarning, match="rank 2"):
        S = plain(3).fit(X, Y).transform(X)
    assert np.isfinite(S).all()


def test_components_are_sorted_and_lose_nothing(random_case):
    """Issue 14169: components in the wrong order, correlation lost."""
    X, Y = random_case
    mapper = plain().fit(X, Y)
    assert (np.diff(mapper.correlations_) <= 1e-12).all()
    peer = CCA(n_components=9, max_iter=5000).fit(X, Y)
    S, T = peer.transform(X, Y)
    theirs = sum(np.corrcoef(S[:, i], T[:, i])[0, 1] for i in range(9))
    assert mapper.correlations_.sum() > theirs - 1e-8


def test_axes_do_not_depend_on_column_order(random_case):
    """Issue 19042."""
    X, Y = random_case
    a, b = plain(4).fit(X, Y), plain(4).fit(X[:, ::-1], Y)
    S, T = a.transform(X), b.transform(X[:, ::-1])
    assert_allclose(np.abs(np.sum(S * T, axis=0)) / len(S), 1, atol=1e-9)
