"""Closed-form heads, against scikit-learn, scipy and written-out definitions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid

from skmeta.core.calibration import Table, best_temperature
from skmeta.core.classes import (
    Axes,
    Shrinkage,
    class_means,
    class_moments,
    discriminant_axes,
    reliable_axes,
)
from skmeta.core.distances import METRICS, get_metric
from skmeta.core.heads import HEADS, Given, answer, learn

COUNTS = (1, 4, 2)  # unequal shots
RELATION = [(12, 5), (5,), (5, 1), (1,)]
# hardly any: what is planted shows
SLIGHT = Shrinkage(1e-6, 1e-6, True)


def task(seed=0, n_features=6, counts=COUNTS, n_queries=50):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(counts)), counts)
    centres = 2 * rng.standard_normal((len(counts), n_features))
    Z = centres[codes] + rng.standard_normal((len(codes), n_features))
    order = rng.permutation(len(codes))
    Q = centres[rng.integers(len(counts), size=n_queries)]
    return Z[order], codes[order], Q + rng.standard_normal(Q.shape)


def logits(name, Z, codes, Q, **given):
    head = HEADS[name]
    given = Given(**({"metric": get_metric("euclidean")} | given))
    state = learn(head, Z, codes, codes.max() + 1, given)
    return answer(head, state, Q, given)


def test_class_means():
    Z, codes, _ = task()
    means, counts = class_means(Z, codes, 3)
    assert_array_equal(counts, COUNTS)
    for c in range(3):
        assert_allclose(means[c], Z[codes == c].mean(axis=0))


def test_prototypes_are_nearest_centroids():
    Z, codes, Q = task()
    expected = NearestCentroid().fit(Z, codes)
    found = logits("prototype", Z, codes, Q)
    assert_array_equal(found.argmax(axis=1), expected.predict(Q))
    assert_allclose(found, -cdist(Q, expected.centroids_, "sqeuclidean"))


@pytest.mark.parametrize("name", ["prototype", "matching"])
@pytest.mark.parametrize(
    ("metric", "other"),
    [
        ("euclidean", "sqeuclidean"),
        ("manhattan", "cityblock"),
        ("cosine", "cosine"),
        (lambda a, b: np.abs(a - b).max(), "chebyshev"),
    ],
)
def test_one_shot_is_the_nearest_neighbour(name, metric, other):
    Z, codes, Q = task(counts=(1,) * 8)
    D = cdist(Q, Z[np.argsort(codes)], other)
    found = logits(name, Z, codes, Q, metric=get_metric(metric))
    if name == "matching":
        assert_allclose(softmax(found, axis=1), softmax(-D, axis=1), atol=1e-12)
    else:
        assert_allclose(found, -D, atol=1e-12)


def test_matching_averages_the_attention_to_each_class():
    Z, codes, Q = task()
    attention = softmax(-cdist(Q, Z, "sqeuclidean") / 3.0, axis=1)
    means = np.stack([attention[:, codes == c].mean(axis=1) for c in range(3)], axis=1)
    expected = means / means.sum(axis=1, keepdims=True)
    found = logits("matching", Z, codes, Q, temperature=3.0)
    assert_allclose(softmax(found, axis=1), expected, atol=1e-12)


def test_matching_far_from_everything_is_finite():
    Z, codes, Q = task()
    found = logits("matching", Z, codes, 1e4 + Q, temperature=0.01)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("n_features", [3, 40])  # fewer and more than rows
def test_ridge_is_that_of_scikit_learn_with_balanced_weights(n_features):
    Z, codes, Q = task(n_features=n_features)
    means = np.stack([Z[codes == c].mean(axis=0) for c in range(3)]).mean(axis=0)
    weights = 1 / (3 * np.bincount(codes)[codes])
    variance = np.sum(weights[:, None] * (Z - means) ** 2)
    alpha = 0.3 * variance / min(Z.shape)
    model = Ridge(alpha=alpha).fit(Z, np.eye(3)[codes], sample_weight=weights)
    found = logits("ridge", Z, codes, Q, penalty=0.3)
    assert_allclose(found, model.predict(Q) - 1 / 3, atol=1e-10)


def test_ridge_is_fair_to_a_rare_class():
    # 1 shot against 20: the mean of the support is not taken for the place of the many.
    rng = np.random.default_rng(0)
    recalls = []
    for _ in range(100):
        codes = np.repeat([0, 1], [1, 20])
        centres = rng.standard_normal((2, 20))
        Z = centres[codes] + 0.5 * rng.standard_normal((21, 20))
        Q = centres[0] + 0.5 * rng.standard_normal((20, 20))
        recalls.append(np.mean(logits("ridge", Z, codes, Q).argmax(axis=1) == 0))
    assert np.mean(recalls) > 0.8


def test_gaussian_is_the_predictive_density_of_two_covariances():
    # By conditioning one large normal vector: rows of a class share their mean.
    Z, codes, Q = task(n_features=3)
    between = np.array([4.0, 0.5, 0.0])
    B, eye = np.diag(between), np.eye(3)
    expected = np.empty((len(Q), 3))
    for c, n in enumerate(COUNTS):
        joint = np.kron(np.ones((n + 1, n + 1)), B) + np.kron(np.eye(n + 1), eye)
        seen, asked = joint[: 3 * n, : 3 * n], joint[3 * n :, : 3 * n]
        gain = asked @ np.linalg.inv(seen)
        mean = gain @ Z[codes == c].ravel()
        covariance = joint[3 * n :, 3 * n :] - gain @ asked.T
        expected[:, c] = multivariate_normal(mean, covariance).logpdf(Q)
    found = logits("gaussian", Z, codes, Q, axes=Axes(None, None, between))
    # up to what is the same for all classes
    assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-10)


def test_simpleshot_is_a_nearest_centroid_of_centred_unit_rows():
    Z, codes, Q = task()
    mean = np.arange(6.0)

    def unit(rows):
        rows = rows - mean
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    expected = NearestCentroid().fit(unit(Z), codes).predict(unit(Q))
    found = logits("simpleshot", Z, codes, Q, mean=mean)
    assert_array_equal(found.argmax(axis=1), expected)


@pytest.mark.parametrize("n_features", [3, 12])  # "ridge" by columns, and by rows
@pytest.mark.parametrize("name", HEADS)
def test_many_supports_at_once_are_each_by_itself(name, n_features):
    rng = np.random.default_rng(0)
    codes = task()[1]
    Z = rng.standard_normal((4, len(codes), n_features))
    Q = rng.standard_normal((4, 9, n_features))
    given = dict(mean=rng.standard_normal(n_features))
    weights = rng.standard_normal((n_features, n_features))
    given["axes"] = Axes(given["mean"], weights, rng.uniform(size=n_features))
    shapes = [(2 * n_features, 5), *RELATION[1:]]
    given["relation"] = tuple(rng.standard_normal(n) for n in shapes)
    found = logits(name, Z, codes, Q, temperature=0.7, **given)
    for i in range(4):
        alone = logits(name, Z[i], codes, Q[i], temperature=0.7, **given)
        assert_allclose(found[i], alone, atol=1e-12)


@pytest.mark.parametrize("name", HEADS)
def test_order_of_the_support_and_names_of_classes_do_not_matter(name):
    Z, codes, Q = task()
    given = dict(mean=np.zeros(6), axes=Axes(None, None, np.ones(6)))
    given["relation"] = tuple(np.random.default_rng(0).normal(size=n) for n in RELATION)
    found = logits(name, Z, codes, Q, **given)
    order = np.random.default_rng(1).permutation(len(Z))
    assert_allclose(logits(name, Z[order], codes[order], Q, **given), found)
    names = np.array([2, 0, 1])
    assert_allclose(logits(name, Z, names[codes], Q, **given)[:, names], found)


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"mahalanobis"}))
def test_an_offset_costs_no_digits(metric):
    Z, codes, Q = task()
    if metric in ("cosine", "dot"):  # not the same with an offset
        return
    shifted = logits("prototype", Z + 1e6, codes, Q + 1e6, metric=get_metric(metric))
    expected = logits("prototype", Z, codes, Q, metric=get_metric(metric))
    assert_allclose(shifted, expected, rtol=1e-7, atol=1e-7)


# ---- what classes teach --------------------------------------------------------------


def classes_of(within, between, n_classes, counts, seed=0):
    rng = np.random.default_rng(seed)
    p = len(within)
    means = rng.multivariate_normal(np.zeros(p), between, n_classes)
    codes = np.repeat(np.arange(n_classes), counts)
    rows = means[codes] + rng.multivariate_normal(np.zeros(p), within, len(codes))
    return rows, codes


@pytest.fixture
def covariances():
    A = np.random.default_rng(3).standard_normal((2, 4, 4))
    return A[0] @ A[0].T + np.eye(4), 2 * A[1, :, :2] @ A[1, :, :2].T


def test_moments_recover_the_covariances_with_unequal_counts(covariances):
    within, between = covariances
    counts = np.random.default_rng(0).integers(1, 8, 5000)
    X, codes = classes_of(within, between, 5000, counts)
    found = class_moments(X, codes, 5000)
    unscale = np.multiply.outer(1 / found.scales, 1 / found.scales)
    W = found.within * unscale
    B = found.between * unscale - W / found.rows_per_class
    assert_allclose(W, within, atol=0.05 * np.trace(within))
    assert_allclose(B, between, atol=0.05 * np.trace(between))


def test_axes_diagonalise_both(covariances):
    within, between = covariances
    X, codes = classes_of(within, between, 3000, 5)
    axes = discriminant_axes(class_moments(X, codes, 3000), SLIGHT)
    assert_allclose(axes.weights.T @ within @ axes.weights, np.eye(4), atol=0.05)
    projected = axes.weights.T @ between @ axes.weights
    assert_allclose(projected, np.diag(axes.between), atol=0.1 * axes.between[0])
    assert (np.diff(axes.between) <= 0).all()
    # of rank two: nothing, or nearly so, is left along the others
    assert axes.between[2] < 0.01 * axes.between[0]


def test_axes_do_not_depend_on_units(covariances):
    X, codes = classes_of(*covariances, 50, 5)
    units = np.array([1e-6, 1.0, 1e3, 1e9])
    expected = discriminant_axes(class_moments(X, codes, 50), SLIGHT)
    found = discriminant_axes(class_moments(X * units, codes, 50), SLIGHT)
    assert_allclose(found.between, expected.between)
    assert_allclose(
        np.abs(found.weights * units[:, None]), np.abs(expected.weights), rtol=1e-6
    )


def test_constant_columns_count_for_nothing(covariances):
    X, codes = classes_of(*covariances, 50, 5)
    wider = np.column_stack([X, np.full(len(X), 1e6)])
    found = discriminant_axes(class_moments(wider, codes, 50), SLIGHT)
    assert (found.weights[-1] == 0).all()
    expected = discriminant_axes(class_moments(X, codes, 50), SLIGHT)
    assert_allclose(found.between[:4], expected.between)


def test_whole_shrinkage_leaves_rows_as_they_are(covariances):
    X, codes = classes_of(*covariances, 50, 5)
    axes = discriminant_axes(class_moments(X, codes, 50), Shrinkage(1.0, 1.0, False))
    turn = axes.weights / np.linalg.norm(axes.weights, axis=0)
    assert_allclose(turn.T @ turn, np.eye(4), atol=1e-10)
    assert np.ptp(axes.between) < 1e-10
    assert_allclose(
        np.linalg.norm(axes.weights, axis=0), 1 / np.sqrt(mean_variance(X, codes))
    )


def mean_variance(X, codes):
    """Mean variance within classes."""
    means, _ = class_means(X, codes, codes.max() + 1)
    return np.mean(np.sum((X - means[codes]) ** 2, axis=0) / (len(X) - codes.max() - 1))


def test_reliability_is_the_correlation_of_two_rows_of_a_class(covariances):
    X, codes = classes_of(*covariances, 4000, 2)
    axes = discriminant_axes(class_moments(X, codes, 4000), SLIGHT)
    Z = (X - axes.mean) @ reliable_axes(axes).weights
    raw = (X - axes.mean) @ axes.weights
    for i in range(2):
        correlation = np.corrcoef(raw[::2, i], raw[1::2, i])[0, 1]
        weight = (Z[:, i] / raw[:, i]).mean()
        assert_allclose(weight**2, correlation, atol=0.03)


# ---- temperatures --------------------------------------------------------------------


def test_temperature_is_recovered():
    rng = np.random.default_rng(0)
    parts, codes = [], []
    for _ in range(200):
        true = 1.5 * rng.standard_normal((50, 4))
        chances = softmax(true, axis=1)
        own = (chances.cumsum(axis=1) < rng.random((50, 1))).sum(axis=1)
        parts.append(7.0 * true)
        codes.append(own)
    temperature, loss = best_temperature(parts, codes)
    assert_allclose(temperature, 7.0, rtol=0.05)
    assert loss < np.log(4)


def test_equal_logits_have_any_temperature():
    assert best_temperature([np.zeros((3, 2))], [np.array([0, 1, 1])])[0] == 1.0


def test_table_is_interpolated_by_logarithms_and_held_at_its_ends():
    table = Table(np.array([1, 4]), np.array([2, 8]), np.array([[1.0, 4.0], [16, 64]]))
    assert_allclose(table.at(2, 4), 8.0)
    assert_allclose(table.at(100, 2), 16.0)
    assert_allclose(table.at(1, 100), 4.0)
