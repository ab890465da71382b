"""`wilks_test`: published constants, other routes to them, and refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_linnerud

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.inspection import wilks_test
from skmeta.metrics import canonical_correlations


def linnerud():
    return load_linnerud(return_X_y=True)


def test_linnerud_published_constants():
    """Those of the example of SAS/STAT's PROC CANCORR; F and p are rounded there."""
    test = wilks_test(CCAMapper(shrinkage=0).fit(*linnerud()))
    assert_allclose(test.correlations, [0.795608, 0.200556, 0.072570], atol=5e-7)
    assert_allclose(test.wilks, [0.35039053, 0.95472266, 0.99473355], atol=5e-9)
    assert_allclose(test.f, [2.05, 0.18, 0.08], atol=5e-3)
    assert_allclose(test.f_df, [[9, 34.223], [4, 30], [1, 16]], atol=5e-4)
    assert_allclose(test.pvalues, [0.0635, 0.9491, 0.7748], atol=5e-5)


def test_correlations_and_a_mapper_agree():
    X, Y = linnerud()
    by_mapper = wilks_test(CCAMapper(shrinkage=0).fit(X, Y))
    by_hand = wilks_test(canonical_correlations(X, Y), 20, 3, 3)
    for key, value in by_mapper.items():
        assert_allclose(value, by_hand[key], rtol=1e-8)


def test_weights_are_rows():
    X, Y = linnerud()
    twice = CCAMapper(shrinkage=0).fit(X, Y, sample_weight=np.full(20, 2))
    expected = wilks_test(
        CCAMapper(shrinkage=0).fit(*(np.tile(A, (2, 1)) for A in (X, Y)))
    )
    assert_allclose(wilks_test(twice).f, expected.f, rtol=1e-8)


def test_rank_counts_and_not_columns():
    X, Y = linnerud()
    doubled = np.column_stack([X, X[:, 0], np.ones(20)])
    with pytest.warns(UserWarning, match="rank 3"):
        mapper = CCAMapper(shrinkage=0).fit(doubled, Y)
    expected = wilks_test(CCAMapper(shrinkage=0).fit(X, Y))
    assert_allclose(wilks_test(mapper).pvalues, expected.pvalues, rtol=1e-8)


def test_a_correlation_of_one():
    test = wilks_test([1.0, 0.5], 50, 2, 3)
    assert test.wilks[0] == 0
    assert_array_equal(test.pvalues[0], 0)
    assert 0 < test.pvalues[1] < 0.05


def test_shrunk_correlations_are_refused():
    X, Y = linnerud()
    with pytest.raises(ValueError, match="'X' was shrunk by .*shrinkage=0"):
        wilks_test(CCAMapper().fit(X, Y))
    one = CCAMapper(shrinkage={"X": 0, "Y": 0.5}).fit(X, Y)
    with pytest.raises(ValueError, match="'Y' was shrunk by 0.5"):
        wilks_test(one)


def test_refusals():
    X, Y = linnerud()
    with pytest.raises(ValueError, match="not fitted"):
        wilks_test(CCAMapper(shrinkage=0))
    with pytest.raises(TypeError, match="takes a CCAMapper"):
        from sklearn.cross_decomposition import CCA

        wilks_test(CCA().fit(X, Y))
    with pytest.raises(ValueError, match="fit with n_components=3"):
        wilks_test(CCAMapper(2, shrinkage=0).fit(X, Y))
    with pytest.raises(ValueError, match="there are 3"):
        wilks_test(CCAMapper(shrinkage=0).fit(Views(a=X, b=Y, c=X[:, :2])))
    with pytest.raises(ValueError, match="n_rows is None"):
        wilks_test([0.5], p=1, q=1)
    with pytest.raises(ValueError, match="There are 1 correlations, and 2 exist"):
        wilks_test([0.5], 20, 2, 2)
    with pytest.raises(ValueError, match="have 1 components"):
        wilks_test([0.5, 0.4], 20, 1, 2)
    with pytest.raises(ValueError, match="must descend"):
        wilks_test([0.4, 0.5], 20, 2, 2)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        wilks_test([np.nan, 0.5], 20, 2, 2)
    with pytest.raises(ValueError, match=r"more than p \+ q = 4"):
        wilks_test([0.5, 0.4], 4, 2, 2)


def test_moments_that_were_not_kept():
    made = make_paired_views(200, random_state=0)
    mapper = CCAMapper(20, shrinkage=0).fit(made.views)
    expected = wilks_test(mapper).pvalues
    mapper._patterns, mapper._moments_size = None, 2**27
    with pytest.raises(ValueError, match="were not kept.*pass n_rows"):
        wilks_test(mapper)
    assert_array_equal(wilks_test(mapper, n_rows=200).pvalues, expected)


def test_equal_correlations_descend_but_for_rounding():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(60, 6))
        mapper = CCAMapper(shrinkage=0).fit(X, X @ rng.normal(size=(6, 6)))
        assert_allclose(wilks_test(mapper).correlations, np.ones(6))


def test_a_mapper_knows_its_views():
    mapper = CCAMapper(shrinkage=0).fit(*load_linnerud(return_X_y=True))
    with pytest.raises(ValueError, match="p=3 and q=None are given beside a mapper"):
        wilks_test(mapper, p=3)
