"""Streams, gaps, sparse and memory-mapped views under odd input: what holds."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmeta import CCAMapper, CrossModalRetriever, Views
from skmeta.core.distances import get_metric
from skmeta.core.retrieval import top_k
from skmeta.mapping import _fit


def three(n=300, widths=(5, 4, 3), seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 2))
    return {
        f"v{i}": z @ rng.standard_normal((2, p)) + rng.standard_normal((n, p))
        for i, p in enumerate(widths)
    }


def pair(n=300):
    return tuple(three(n, (6, 4)).values())


# ---- sparse --------------------------------------------------------------------------


def odd_columns():
    """Counts with an empty, a constant and an offset column, and empty rows."""
    X, Y = pair()
    X = np.round(X * 2)
    X[:, 0], X[:, 1] = 0, 3
    X[::7] = 0
    X[:, 2] += 1e6
    return X, Y


def reversed_rows(S):
    S = S.copy()
    for a, b in zip(S.indptr[:-1], S.indptr[1:], strict=True):
        S.indices[a:b] = S.indices[a:b][::-1].copy()
        S.data[a:b] = S.data[a:b][::-1].copy()
    S.has_sorted_indices = False
    return S


def of_int64(S):
    S = S.copy()
    S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
    return S


def with_zeros(S):
    n, p = S.shape
    data, starts = S.toarray().ravel(), np.arange(0, n * p + 1, p)
    return sparse.csr_array((data, np.tile(np.arange(p), n), starts), shape=(n, p))


@pytest.mark.parametrize(
    "form",
    [sparse.csr_matrix.copy, reversed_rows, of_int64, with_zeros]
    + [lambda S: S.astype(np.int32)],
)
def test_odd_sparse_forms_give_the_answer_of_the_dense_array(form):
    X, Y = odd_columns()
    S = form(sparse.csr_matrix(X))
    before = S.data.copy(), S.indices.copy(), S.indptr.copy()
    found, expected = CCAMapper(2).fit(S, Y), CCAMapper(2).fit(X, Y)
    assert_allclose(found.correlations_, expected.correlations_, atol=1e-12)
    assert_allclose(found.transform(S), expected.transform(X), atol=1e-9)
    for array, was in zip((S.data, S.indices, S.indptr), before, strict=True):
        assert_array_equal(array, was)


@pytest.mark.parametrize("kinds", ["sds", "dsd", "ssd", "dss", "sss"])
def test_sparse_views_in_any_place_with_gaps(kinds):
    arrays, mask = three(), np.arange(300) % 4 > 0
    views = Views.from_dict(
        {
            name: sparse.csc_array(array) if kind == "s" else array
            for (name, array), kind in zip(arrays.items(), kinds, strict=True)
        },
        present={"v2": mask},
    )
    dense = Views.from_dict(arrays, present={"v2": mask})
    found, expected = CCAMapper(2).fit(views), CCAMapper(2).fit(dense)
    assert found.n_iter_ == expected.n_iter_ > 0
    assert_allclose(found.correlations_, expected.correlations_, atol=1e-12)
    assert_allclose(found.transform(views), expected.transform(dense), atol=1e-10)


@pytest.mark.parametrize("n_views", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardize", [True, {"v0": False}])
def test_products_alone_give_the_answer_of_moments(
    monkeypatch, n_views, weighted, standardize
):
    rng = np.random.default_rng(0)
    S = sparse.random_array((150, 60), density=0.1, rng=rng).toarray()
    S[:, 0] = 1e6 + rng.standard_normal(150)  # full
    S[0, 0] = 0.0  # but for one row
    S[:, 1], S[:, 2] = 7.0, 0.0
    other = rng.standard_normal((150, 6))
    other[:, :2] += 3 * S[:, 3:20].sum(axis=1)[:, None]
    third = sparse.random_array((150, 40), density=0.1, rng=rng).toarray()
    third[:, 0] += other[:, 0]
    arrays = {f"v{i}": A for i, A in enumerate((S, other, third)[:n_views])}
    loose = {n: a if n == "v1" else sparse.csr_array(a) for n, a in arrays.items()}
    weights = rng.integers(0, 4, 150).astype(float) if weighted else None
    mapper = CCAMapper(3, shrinkage={"v0": 0.3}, standardize=standardize)
    expected = pickle.loads(
        pickle.dumps(mapper.fit(Views(**arrays), sample_weight=weights))
    )
    monkeypatch.setattr(_fit, "MAX_GRAM_BYTES", 1)
    found = mapper.fit(Views(**loose), sample_weight=weights)
    assert_allclose(found.correlations_, expected.correlations_, atol=1e-9)
    assert found.shrinkage_ == pytest.approx(expected.shrinkage_, rel=1e-9)
    for name in arrays:
        assert_allclose(found.loadings_[name], expected.loadings_[name], atol=1e-7)


def test_a_sparse_view_is_searched_as_a_dense_one():
    X, Y = pair()
    X[np.abs(X) < 0.5] = 0
    S = sparse.csr_array(X)
    for metric in ("cosine", "euclidean", "dot", "manhattan", "mahalanobis"):
        for hubness in (None, "csls"):
            retriever = CrossModalRetriever(
                CCAMapper(2), metric=metric, hubness=hubness
            )
            rows = retriever.fit(X, Y).kneighbors(X[:20])[1]
            assert_array_equal(retriever.fit(S, Y).kneighbors(S[:20])[1], rows)


# ---- memory-mapped -------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_mapped_rows_are_read_and_left_as_they_are(tmp_path, order, mode):
    X, Y = pair(20_000)
    file = np.memmap(tmp_path / "rows", float, "w+", shape=X.shape, order=order)
    file[:] = X
    file.flush()
    mapped = np.memmap(tmp_path / "rows", float, mode, shape=X.shape, order=order)
    if mode != "r":  # pages that are dirty, or private
        mapped[:, 3] += 0.5
    held = np.array(mapped)
    for rows in (slice(None), slice(100, 15_000), slice(None, None, -2)):
        found, expected = (CCAMapper(2).fit(A[rows], Y[rows]) for A in (mapped, held))
        assert_allclose(found.correlations_, expected.correlations_, atol=1e-12)
        assert_array_equal(mapped, held)
    mask = np.arange(len(X)) % 7 > 0
    CCAMapper(2).fit(Views.from_dict({"a": mapped, "b": Y}, present={"a": mask}))
    assert_array_equal(mapped, held)


# ---- gaps and weights ----------------------------------------------------------------


def test_weights_are_frequencies_with_gaps_and_dependent_columns():
    arrays = three(400)
    arrays["v0"][:, 4] = arrays["v0"][:, 3]
    arrays["v1"][100:, 0] = 2.0  # constant in one pattern
    arrays["v2"][:120] = np.nan
    weights = np.random.default_rng(0).integers(0, 3, 400)
    rows = np.repeat(np.arange(400), weights)
    views = Views(**arrays)
    weighted = CCAMapper(2).fit(views, sample_weight=weights)
    repeated = CCAMapper(2).fit(views[rows])
    assert weighted.n_iter_ == repeated.n_iter_ > 0
    assert_allclose(weighted.correlations_, repeated.correlations_, atol=1e-10)
    assert_allclose(weighted.transform(views), repeated.transform(views), atol=1e-8)


def test_units_and_the_order_of_views_do_not_matter_with_gaps():
    arrays = three()
    arrays["v2"][:100], arrays["v0"][100:150] = np.nan, np.nan
    views = Views(**arrays)
    expected = CCAMapper(2).fit(views)
    units = Views(
        **{
            name: (array + 1e3) * np.logspace(-6, 6, array.shape[1])
            for name, array in arrays.items()
        }
    )
    found = CCAMapper(2).fit(units)
    assert_allclose(found.correlations_, expected.correlations_, atol=1e-10)
    assert_allclose(found.transform(units), expected.transform(views), atol=1e-8)
    turned = CCAMapper(2).fit(views[["v2", "v1", "v0"]])
    assert_allclose(turned.correlations_, expected.correlations_, atol=1e-12)


def test_a_first_piece_without_a_view_and_a_constant_that_becomes_none():
    arrays = three(n=280)
    arrays["v2"][:70] = np.nan
    arrays["v0"][:70, 0] = 0.0
    arrays["v0"][:, 0] += 1e8
    views = Views(**arrays)
    streamed, whole = CCAMapper(2), CCAMapper(2).fit(views)
    for start in range(0, 280, 70):
        streamed.partial_fit(views[start : start + 70])
    assert_allclose(streamed.correlations_, whole.correlations_, atol=1e-8)
    assert_allclose(streamed.transform(views), whole.transform(views), atol=1e-6)


@pytest.mark.parametrize(
    "weights", [np.zeros(100), np.full(100, np.nan), -np.ones(100), np.ones(99), "abc"]
)
def test_weights_that_are_refused_change_nothing(weights):
    views = Views(**three())
    mapper = CCAMapper(2).partial_fit(views[:100])
    before = pickle.dumps(mapper)
    with pytest.raises(ValueError):
        mapper.partial_fit(views[100:200], sample_weight=weights)
    assert pickle.dumps(mapper) == before


# ---- search --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("metric", ["euclidean", "dot", "cosine", "manhattan"])
def test_the_nearest_are_the_nearest(seed, metric):
    rng = np.random.default_rng(seed)
    n_gallery, d = rng.integers(1, 4000), rng.integers(1, 9)
    k = int(rng.integers(1, min(n_gallery, 50) + 1))
    G = rng.standard_normal((n_gallery, d)) * 10.0 ** rng.integers(-10, 10)
    if seed % 3 == 0:  # each nearer than all before, or farther
        G = np.sort(G, axis=0)
    if seed % 5 == 0:  # many ties
        G = G[rng.integers(0, max(1, n_gallery // 10), n_gallery)]
    G += [0.0, 1e3, 1e6][seed % 3] * np.abs(G).max()
    Q = G[rng.integers(0, n_gallery, 40)] * (1 + 1e-3 * rng.standard_normal((40, d)))
    metric = get_metric(metric)
    Q, G = metric.prepare(Q), metric.prepare(G)
    rows = top_k(Q, G, metric, k)[1]
    exact = metric.exact(Q, G)
    found = np.take_along_axis(exact, rows, axis=1)
    tolerance = 1e-13 * np.abs(exact).max() + (1e-14 if metric.pairs else 0)
    assert np.abs(found - np.sort(exact, axis=1)[:, :k]).max() <= tolerance
    assert all(len(set(row)) == k for row in rows)
