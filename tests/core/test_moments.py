"""Moments: pieces equal the whole, weights are frequencies, offsets cost nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skmeta.core import moments as mo
from skmeta.core.blocks import row_slices, stacked_blocks


def direct(X, weights=None):
    """Moments by numpy's own covariance."""
    n = len(X) if weights is None else weights.sum()
    cov = np.cov(X, rowvar=False, ddof=0, fweights=weights)
    return mo.Moments(n, np.average(X, axis=0, weights=weights), np.atleast_2d(cov) * n)


def assert_same(a, b, rtol=1e-12):
    assert a.n == b.n
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
    moments = mo.empty(4)
    for piece in pieces:
        moments = mo.update(moments, piece.copy())
    assert_same(moments, direct(X))


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
    weighted = mo.update(mo.empty(3), X.copy(), w.astype(float))
    repeated = mo.update(mo.empty(3), np.repeat(X, w, axis=0))
    assert_same(weighted, repeated)
    assert_same(weighted, direct(X, w))


def test_a_block_without_weight_changes_nothing():
    X = np.random.default_rng(0).standard_normal((10, 2))
    before = mo.update(mo.empty(2), X.copy())
    assert_same(mo.update(before, X.copy(), np.zeros(10)), before)


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
    n, mean, gram = mo.of_blocks(
        ((X[s].copy(), None) for s in row_slices(5000, 1, 700)), 2
    )
    variance = mo.variances(n, mean, np.diagonal(gram))
    assert variance[0] == 0
    assert variance[1] > 0.9


def test_blocks_cover_all_rows_of_any_dtype_and_order():
    rng = np.random.default_rng(0)
    A = np.asfortranarray(rng.integers(0, 9, (1000, 3)).astype(np.int8))
    B = rng.standard_normal((2000, 2)).astype(np.float16)[::2]
    blocks = [block for block, _ in stacked_blocks({"a": A, "b": B})]
    joined = np.concatenate(blocks)
    assert joined.dtype == np.float64
    assert_allclose(joined, np.hstack([A, B]))
