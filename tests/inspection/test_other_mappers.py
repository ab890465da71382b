"""The same questions to a mapper tuned by cross-validation, and to arrays elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context

from skmeta import CCAMapper, CCAMapperCV
from skmeta.datasets import make_paired_views
from skmeta.inspection import (
    bootstrap_components,
    permutation_test_components,
    redundancy,
    wilks_test,
)

VIEWS = make_paired_views(120, n_features=(5, 4), random_state=0).views


def permuted(mapper, X=VIEWS, y=None):
    return permutation_test_components(mapper, X, y, n_permutations=49, random_state=0)


def resampled(mapper, X=VIEWS, y=None):
    return bootstrap_components(mapper, X, y, n_resamples=5, random_state=0)


def test_tuned_by_cross_validation():
    search = CCAMapperCV(shrinkages=[0.2, 0.4])
    expected = permuted(CCAMapper())
    assert_array_equal(permuted(search).null, expected.null)
    search.fit(VIEWS)
    assert_array_equal(permuted(search).null, expected.null)
    same = CCAMapper(shrinkage=search.best_params_["shrinkage"]).fit(VIEWS)
    found, expected = resampled(search), resampled(same)
    assert_allclose(found.correlations.low, expected.correlations.low, atol=1e-8)
    found, expected = redundancy(search).total, redundancy(same).total
    assert_allclose(found["view0"]["view1"], expected["view0"]["view1"], rtol=1e-8)
    with pytest.raises(ValueError, match="'view0' was shrunk by"):
        wilks_test(search)


def test_arrays_of_another_namespace():
    xp = pytest.importorskip("array_api_strict")
    X, Y = VIEWS["view0"], VIEWS["view1"]
    with config_context(array_api_dispatch=True):
        A, B = xp.asarray(X), xp.asarray(Y)
        mapper = CCAMapper(shrinkage=0).fit(A, B)
        found = [
            permuted(mapper, A, B).null,
            resampled(mapper, A, B).correlations.low,
            redundancy(mapper).explained["X"],
            wilks_test(mapper).pvalues,
        ]
    mapper = CCAMapper(shrinkage=0).fit(X, Y)
    expected = [
        permuted(mapper, X, Y).null,
        resampled(mapper, X, Y).correlations.low,
        redundancy(mapper).explained["X"],
        wilks_test(mapper).pvalues,
    ]
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, np.ndarray)
        assert_allclose(a, b, rtol=1e-8, atol=1e-12)
