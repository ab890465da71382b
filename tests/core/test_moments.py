"""Moments: pieces equal the whole, weights are frequencies, offsets cost nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from skmeta.core import accumulate
from skmeta.core import moments as mo
from skmeta.core.accumulate import moments_of
from skmeta.core.blocks import Rows


def direct(X, weights=None):
    """Moments by numpy's own covariance."""
    n = len(X) if weights is None else weights.sum()
    cov = np.cov(X, rowvar=False, ddof=0, fweights=weights)
    return mo.Moments(n, np.average(X, axis=0, weights=weights), np.atleast_2d(cov) * n)


def of_pieces(pieces):
    moments = mo.empty(pieces[0].shape[1])
    for piece in pieces:
        moments = mo.merge(moments, mo.of_rows(piece.copy()))
    return moments


def assert_same(a, b, rtol=1e-12):
    assert a.n == b.n
    a, b = mo.with_gram(a), mo.with_gram(b)
    assert_allclose(a.mean, b.mean, rtol=rtol, atol=1e-12)
    assert_allclose(a.gram, b.gram, rtol=1e-9, atol=1e-10 * np.abs(b.gram).max())


@given(
    cuts=st.lists(st.integers(0, 60), max_size=6),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0.0, 1e3, -1e6]),
)
def test_pieces_in_any_order_equal_the_whole(cuts, seed, offset):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4)) + offset
    pieces = [p for p in np.split(X, sorted(cuts)) if len(p)]
    rng.shuffle(pieces)
    assert_same(of_pieces(pieces), direct(X))


def test_merge_of_halves_and_neutral_element():
    X = np.random.default_rng(0).standard_normal((50, 3))
    a, b = direct(X[:20]), direct(X[20:])
    assert_same(mo.merge(a, b), direct(X))
    assert_same(mo.merge(b, a), direct(X))
    assert_same(mo.merge(mo.empty(3), a), a)
    assert_same(mo.merge(a, mo.empty(3)), a)
    assert mo.merge(mo.empty(3), mo.empty(3)).n == 0


def test_weights_are_frequencies():
    rng = np.random.default_rng(1)
    X, w = rng.standard_normal((30, 3)), rng.integers(0, 4, 30)
    weighted = mo.of_rows(X.copy(), w.astype(float))
    repeated = mo.of_rows(np.repeat(X, w, axis=0))
    assert_same(weighted, repeated)
    assert_same(weighted, direct(X, w))


def test_a_block_without_weight_changes_nothing():
    X = np.random.default_rng(0).standard_normal((10, 2))
    before = mo.of_rows(X.copy())
    assert_same(mo.merge(before, mo.of_rows(X.copy(), np.zeros(10))), before)


def test_inputs_of_merge_stay_as_they_are():
    X = np.random.default_rng(0).standard_normal((40, 3))
    a, b = direct(X[:20]), direct(X[20:])
    copies = [array.copy() for m in (a, b) for array in (m.mean, m.gram)]
    mo.merge(a, b)
    for array, copy in zip((a.mean, a.gram, b.mean, b.gram), copies, strict=True):
        assert (array == copy).all()


@pytest.mark.parametrize("value", [0.1, 1e8, -1e12 / 3, 1e-30])
def test_a_constant_column_has_exactly_no_variance(value):
    X = np.full((5000, 2), value)
    X[:, 1] = np.random.default_rng(0).standard_normal(5000)
    moments = moments_of({"a": X})[0]
    variance = mo.variances(moments.n, moments.mean, moments.squares)
    assert variance[0] == 0
    assert variance[1] > 0.9


def test_blocks_cover_all_rows_of_any_dtype_and_order():
    rng = np.random.default_rng(0)
    A = np.asfortranarray(rng.integers(0, 9, (1000, 3)).astype(np.int8))
    B = rng.standard_normal((2000, 2)).astype(np.float16)[::2]
    blocks = [block for block, _ in Rows({"a": A, "b": B}).blocks()]
    joined = np.concatenate(blocks)
    assert joined.dtype == np.float64
    assert_allclose(joined, np.hstack([A, B]))


@given(
    cuts=st.lists(st.integers(0, 12), max_size=8),
    seed=st.integers(0, 1000),
    weighted=st.booleans(),
)
def test_pieces_of_wide_rows_keep_a_factor_as_small_as_that_of_the_whole(
    cuts, seed, weighted
):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 20)) + 5
    pieces = [p for p in np.split(X, sorted(cuts)) if len(p)]
    moments = of_pieces(pieces)
    assert moments.factor.shape == mo.of_rows(X.copy()).factor.shape == (11, 20)
    assert_same(moments, direct(X))


def test_wide_pieces_become_a_gram_matrix_when_they_are_many():
    X = np.random.default_rng(0).standard_normal((40, 8))
    moments = of_pieces(np.split(X, 8))
    assert moments.factor is None
    assert_same(moments, direct(X))


def test_selected_columns_are_the_moments_of_those_columns():
    X = np.random.default_rng(0).standard_normal((9, 12))
    for columns in (np.array([3, 1]), slice(2, 12)):
        found = mo.select(mo.of_rows(X.copy()), columns)
        assert_same(found, direct(X[:, columns]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments_of_rows_in_blocks_equal_numpys_covariance(monkeypatch, dtype):
    """Also where the mean drifts by a thousand deviations from block to block."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(accumulate, "SINGLE_ROWS", 64)
    monkeypatch.setattr(accumulate, "SINGLE_WORK", 0)
    X = rng.standard_normal((900, 5)).astype(dtype)
    X += np.repeat([0, 1000, -500], 300)[:, None].astype(dtype)
    Y = rng.standard_normal((900, 3)).astype(dtype) + dtype(1e4)
    moments, single = moments_of({"x": X, "y": Y}, single=True)
    assert single == (dtype == np.float32)
    expected = direct(np.hstack([X, Y]).astype(float))
    scale = np.sqrt(np.diagonal(expected.gram))
    error = (moments.gram - expected.gram) / scale / scale[:, None]
    assert np.abs(error).max() < (1e-12 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("subset", [False, True])
def test_moments_of_sparse_and_dense_views_equal_those_of_dense_ones(weighted, subset):
    rng = np.random.default_rng(3)
    S = sparse.random_array((300, 12), density=0.2, rng=rng, format="csr")
    full = sparse.csr_array(rng.standard_normal((300, 2)) + 1e6)
    S = sparse.hstack([S, full])
    views = {"a": S, "b": rng.standard_normal((300, 4)), "c": S[:, 3:9].tocsc() * 2}
    weights = rng.integers(1, 4, 300).astype(float) if weighted else None
    index = np.sort(rng.choice(300, 200, replace=False)) if subset else None
    dense = {n: v.toarray() if sparse.issparse(v) else v for n, v in views.items()}
    found = moments_of(views, weights, index)[0]
    expected = moments_of(dense, weights, index)[0]
    assert_allclose(found.mean, expected.mean, rtol=1e-12)
    assert_allclose(found.gram, expected.gram, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("offset", [0.0, 0.5, 3.0])
def test_rows_about_zero_are_multiplied_where_they_are(dtype, offset, monkeypatch):
    monkeypatch.setattr(accumulate, "SINGLE_WORK", 0)
    rng = np.random.default_rng(0)
    A, B, C = (rng.normal(offset, 1, size=(5000, p)).astype(dtype) for p in (7, 5, 3))
    C[:, 1] = 0
    before = [X.copy() for X in (A, B, C)]
    moments, _ = moments_of({"a": A, "b": B, "c": C}, single=True)
    together = np.hstack([A, B, C]).astype(np.float64)
    tolerance = {np.float64: 1e-12, np.float32: 1e-5}[dtype]
    np.testing.assert_allclose(moments.mean, together.mean(axis=0), atol=tolerance)
    np.testing.assert_allclose(
        moments.gram / 5000, np.cov(together.T, bias=True), atol=tolerance
    )
    assert (moments.gram[13] == 0).all()
    for X, known in zip((A, B, C), before, strict=True):
        np.testing.assert_array_equal(X, known)


def test_a_mean_that_drifts_later_needs_a_shift_after_all():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(4000, 4)), rng.normal(size=(4000, 3))
    A[2000:] += 1e7
    A[:2000, 1] = A[2000:, 1] = 0.1
    moments, _ = moments_of({"a": A, "b": B})
    exact = np.cov(np.hstack([A, B]).T, bias=True)
    np.testing.assert_allclose(moments.gram / 4000, exact, rtol=1e-9, atol=1e-3)
