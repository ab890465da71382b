"""Exact search and ranks against scikit-learn and against plain loops."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import average_precision_score, pairwise_distances
from sklearn.neighbors import NearestNeighbors

from skmeta.core import retrieval
from skmeta.core.distances import METRICS, get_metric
from skmeta.core.retrieval import label_ranks, mean_of_nearest, partner_ranks, top_k

VI = np.diag([1.0, 2.0, 0.5, 3.0, 1.0]) + 0.1


def reference_distances(Q, G, name):
    if name == "dot":
        return -Q @ G.T
    if name == "mahalanobis":
        return pairwise_distances(Q, G, metric="mahalanobis", VI=VI)
    return pairwise_distances(Q, G, metric=name)


def search(Q, G, name, k, **kwargs):
    metric = get_metric(name, {"VI": VI} if name == "mahalanobis" else None)
    return top_k(metric.prepare(Q), metric.prepare(G), metric, k, **kwargs)


@pytest.fixture
def small_tiles(monkeypatch):
    """Many tiles, so that every merge is exercised."""
    monkeypatch.setattr(retrieval, "QUERIES_PER_BLOCK", 7)
    monkeypatch.setattr(
        retrieval,
        "row_slices",
        lambda n, *_: [slice(s, min(s + 11, n)) for s in range(0, n, 11)],
    )


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("k", [1, 5, 60])
def test_top_k_equals_a_full_sort(small_tiles, name, k):
    rng = np.random.default_rng(0)
    Q, G = rng.standard_normal((23, 5)), rng.standard_normal((60, 5))
    expected = reference_distances(Q, G, name)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    distances, rows = search(Q, G, name, k)
    assert_array_equal(rows, order)
    assert_allclose(distances, np.take_along_axis(expected, order, axis=1), atol=1e-12)


def test_top_k_equals_scikit_learns_brute_force():
    rng = np.random.default_rng(1)
    Q, G = rng.standard_normal((40, 8)), rng.standard_normal((3000, 8))
    for metric in ("cosine", "euclidean", "manhattan"):
        peer = NearestNeighbors(n_neighbors=10, metric=metric, algorithm="brute").fit(G)
        expected, rows = peer.kneighbors(Q)
        distances, found = search(Q, G, metric, 10)
        assert_array_equal(found, rows)
        assert_allclose(distances, expected, atol=1e-10)


@given(seed=st.integers(0, 500), k=st.integers(1, 12))
def test_ties_go_to_the_lower_index_whatever_the_tiles(seed, k):
    rng = np.random.default_rng(seed)
    Q = rng.integers(-1, 2, (9, 2)).astype(float)
    G = rng.integers(-1, 2, (40, 2)).astype(float)
    expected = np.argsort(-(Q @ G.T), axis=1, kind="stable")[:, :k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "QUERIES_PER_BLOCK", 4)
        patch.setattr(
            retrieval,
            "row_slices",
            lambda n, *_: [slice(s, min(s + 13, n)) for s in range(0, n, 13)],
        )
        assert_array_equal(search(Q, G, "dot", k)[1], expected)


def test_identical_rows_are_at_distance_zero():
    rng = np.random.default_rng(0)
    G = rng.standard_normal((50, 5)) + 1e4
    for name in ("euclidean", "manhattan", "mahalanobis"):
        distances, rows = search(G, G, name, 1)
        assert_array_equal(rows[:, 0], np.arange(50))
        assert (distances == 0).all()


def test_zero_rows_and_extreme_sizes_are_finite_under_cosine():
    G = np.array([[0.0, 0.0], [1e-300, 0.0], [1e300, 1e300], [0.0, -1.0]])
    distances, _ = search(G, G, "cosine", 4)
    assert np.isfinite(distances).all()
    assert_allclose(distances[1, 0], 0.0)
    assert_allclose(distances[0], 1.0)


def test_callable_metric_is_that_of_pairwise_distances():
    rng = np.random.default_rng(0)
    Q, G = rng.standard_normal((6, 3)), rng.standard_normal((9, 3))
    chebyshev = get_metric(lambda a, b: np.abs(a - b).max())
    distances, _ = top_k(Q, G, chebyshev, 2)
    expected = np.sort(pairwise_distances(Q, G, metric="chebyshev"), axis=1)[:, :2]
    assert_allclose(distances, expected)


def test_penalty_ranks_by_twice_the_distance_less_the_penalty(small_tiles):
    rng = np.random.default_rng(0)
    Q, G, penalty = rng.random((20, 3)), rng.random((50, 3)), rng.random(50)
    for name in ("cosine", "euclidean", "manhattan"):
        expected = 2 * reference_distances(Q, G, name) - penalty
        distances, rows = search(Q, G, name, 4, penalty=penalty)
        assert_array_equal(rows, np.argsort(expected, axis=1)[:, :4])
        assert_allclose(distances, np.sort(expected, axis=1)[:, :4], atol=1e-12)


def test_mean_of_nearest():
    rng = np.random.default_rng(0)
    Q, G = rng.random((10, 3)), rng.random((30, 3))
    expected = np.sort(pairwise_distances(Q, G), axis=1)[:, :4].mean(axis=1)
    assert_allclose(mean_of_nearest(Q, G, get_metric("euclidean"), 4), expected)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_partner_ranks_equal_a_loop_with_mid_ranks(small_tiles, name):
    rng = np.random.default_rng(2)
    Z = rng.integers(-2, 3, (2, 40, 5)).astype(float)
    Z[1, 20:30] = Z[1, 10:20]  # ties
    metric = get_metric(name, {"VI": VI} if name == "mahalanobis" else None)
    D = reference_distances(Z[0], Z[1], name).round(9)
    own = np.diagonal(D)[:, None]
    expected = (D < own).sum(axis=1) + ((D == own).sum(axis=1) + 1) / 2
    found = partner_ranks(metric.prepare(Z[0]), metric.prepare(Z[1]), metric)
    assert_array_equal(found, expected)


def test_label_ranks_equal_scikit_learns_average_precision():
    rng = np.random.default_rng(3)
    Q, G = rng.standard_normal((15, 4)), rng.standard_normal((50, 4))
    yq, yg = rng.integers(0, 5, 15), rng.integers(0, 4, 50)  # label 4 is in no gallery
    metric = get_metric("euclidean")
    first, precision = label_ranks(Q, G, metric, yq, yg)
    D = pairwise_distances(Q, G)
    for i in range(15):
        relevant = yg == yq[i]
        if not relevant.any():
            assert precision[i] == 0 and np.isinf(first[i])
            continue
        assert_allclose(precision[i], average_precision_score(relevant, -D[i]))
        assert first[i] == 1 + np.flatnonzero(relevant[np.argsort(D[i])])[0]


def test_label_ranks_of_ties_are_the_expectation_over_random_orders():
    # 6 tied rows, 2 relevant: the mean place of the first, over all orders, is 7 / 3.
    G = np.ones((6, 2))
    y = np.array([0, 1, 0, 1, 1, 1])
    first, _ = label_ranks(G[:1], G, get_metric("cosine"), np.array([0]), y)
    rng = np.random.default_rng(0)
    places = [np.argmax(rng.permutation(y) == 0) + 1 for _ in range(20_000)]
    assert_allclose(first, 7 / 3)
    assert_allclose(np.mean(places), 7 / 3, atol=0.03)


@pytest.mark.parametrize(
    ("metric", "params", "message"),
    [
        ("cosin", None, "cosine.*dot.*euclidean.*mahalanobis.*manhattan"),
        (3, None, "must be one of"),
        ("cosine", {"p": 3}, "takes no metric_params"),
        ("mahalanobis", None, "metric_params"),
        ("mahalanobis", {"VI": np.ones((2, 3))}, "symmetric"),
        ("mahalanobis", {"VI": -np.eye(2)}, "positive semi-definite"),
    ],
)
def test_wrong_metrics_say_what_is_right(metric, params, message):
    with pytest.raises(ValueError, match=message):
        get_metric(metric, params)


def test_mahalanobis_of_another_width_is_named():
    with pytest.raises(ValueError, match="5 coordinates.*have 2"):
        get_metric("mahalanobis", {"VI": VI}).prepare(np.ones((3, 2)))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_metrics_pickle(name):
    metric = get_metric(name, {"VI": VI} if name == "mahalanobis" else None)
    restored = pickle.loads(pickle.dumps(metric))
    Z = np.random.default_rng(0).random((4, 5))
    assert_array_equal(
        restored.block(restored.prepare(Z), restored.prepare(Z)),
        metric.block(metric.prepare(Z), metric.prepare(Z)),
    )


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_answers_depend_on_the_pair_alone(monkeypatch, name, dtype):
    rng = np.random.default_rng(4)
    metric = get_metric(name)
    Q = metric.prepare(rng.standard_normal((30, 6)).astype(dtype))
    G = metric.prepare(rng.standard_normal((900, 6)).astype(dtype))
    G[450:] = G[:450]  # ties that stand far apart
    together = top_k(Q, G, metric, 8)
    monkeypatch.setattr(retrieval, "TILE_BYTES", 5_000)
    for i in range(len(Q)):
        alone = top_k(Q[[i]], G, metric, 8)
        assert_array_equal(alone[0][0], together[0][i])
        assert_array_equal(alone[1][0], together[1][i])


@pytest.mark.parametrize("name", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("nearest", ["first", "last"])
def test_a_gallery_sorted_by_distance(monkeypatch, name, nearest):
    rng = np.random.default_rng(5)
    G = rng.standard_normal((3000, 6)).astype(np.float32)
    Q = G[:1] + 0.01 * rng.standard_normal((40, 6)).astype(np.float32)
    order = np.argsort(pairwise_distances(G[:1], G, metric=name)[0])
    G = G[order if nearest == "first" else order[::-1]]
    monkeypatch.setattr(retrieval, "TILE_BYTES", 100_000)
    expected = reference_distances(Q.astype(float), G.astype(float), name)
    distances, rows = search(Q, G, name, 5)
    assert_array_equal(rows, np.argsort(expected, axis=1, kind="stable")[:, :5])
    assert_allclose(distances, np.sort(expected, axis=1)[:, :5], atol=1e-6)


def test_a_penalty_of_any_size_under_cosine():
    rng = np.random.default_rng(6)
    Q = rng.standard_normal((20, 8)).astype(np.float32)
    G = rng.standard_normal((2000, 8)).astype(np.float32)
    metric = get_metric("cosine")
    for size in (0.0, 1e-6, 1.0, 1e4):
        penalty = size * rng.random(2000)
        Z_query, Z = metric.prepare(Q), metric.prepare(G)
        distances = np.stack([metric.pairs(q[None], Z) for q in Z_query])
        expected = 2.0 * distances.astype(float) - penalty
        _, rows = top_k(Z_query, Z, metric, 5, penalty=penalty)
        order = np.argsort(expected, axis=1, kind="stable")[:, :5]
        assert_array_equal(
            np.take_along_axis(expected, rows, axis=1),
            np.take_along_axis(expected, order, axis=1),
        )


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_rows_whose_squares_overflow_are_told_apart_where_differences_do_not():
    G = np.array([[3e19, 0], [0, 3e19], [3e19, 1e18]], dtype=np.float32)
    _, rows = search(G, G, "euclidean", 1)
    assert_array_equal(rows[:, 0], [0, 1, 2])
