"""The route without moments, for sparse views that are too wide: the dense answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from skmeta import CCAMapper, Views
from skmeta.exceptions import RankWarning
from skmeta.mapping import _fit

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr"]


def arrays(widths, n=120, seed=0):
    """Views of three common factors, of which the first is mostly zeros."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    views = {
        f"v{i}": z @ rng.standard_normal((3, p)) + rng.standard_normal((n, p))
        for i, p in enumerate(widths)
    }
    views["v0"][rng.random(views["v0"].shape) < 0.75] = 0
    return views


def loose(views, form=sparse.csr_array):
    return {**views, "v0": form(views["v0"])}


def with_zeros(array):
    """Some of the zeros are entries."""
    n, p = array.shape
    stored = (array != 0) | (np.arange(n * p).reshape(n, p) % 3 == 0)
    starts = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
    entries = array[stored], np.nonzero(stored)[1], starts
    return sparse.csr_array(entries, shape=array.shape)


def with_duplicates(array):
    """Every entry is the sum of two."""
    S = sparse.csr_array(array)
    twice = np.repeat(S.data, 2) / 2, np.repeat(S.indices, 2), S.indptr * 2
    return sparse.csr_array(twice, shape=S.shape)


@pytest.fixture
def same(monkeypatch):
    """Assert that a fit without moments is the fit of dense rows."""

    def check(mapper, dense, views, sample_weight=None):
        expected = mapper.fit(dense, sample_weight=sample_weight)
        known = {name: getattr(expected, name) for name in ("correlations_", "rank_")}
        by_view = {n: getattr(expected, n) for n in ("loadings_", "weights_", "means_")}
        Z = expected.transform(dense)
        monkeypatch.setattr(_fit, "MAX_GRAM_BYTES", 0)
        found = mapper.fit(views, sample_weight=sample_weight)
        assert found._patterns is None
        assert found.rank_ == known["rank_"]
        assert_allclose(found.correlations_, known["correlations_"], atol=1e-8)
        for attribute, value in by_view.items():
            for name in value:
                assert_allclose(getattr(found, attribute)[name], value[name], atol=1e-8)
        assert_allclose(found.transform(views), Z, atol=1e-8)

    return check


@pytest.mark.parametrize("widths", [(40, 6), (40, 6, 20)])
@pytest.mark.parametrize("shrinkage", ["auto", 0.2, 1.0])
@pytest.mark.parametrize("standardize", [True, {"v0": False}])
@pytest.mark.parametrize("weighted", [False, True])
def test_two_and_three_views(same, widths, shrinkage, standardize, weighted):
    dense = arrays(widths)
    weights = np.random.default_rng(1).integers(0, 3, 120) if weighted else None
    mapper = CCAMapper(3, shrinkage=shrinkage, standardize=standardize)
    same(mapper, Views(**dense), Views(**loose(dense)), weights)


@pytest.mark.parametrize("lacking", ["v0", "v1"])
@pytest.mark.parametrize("widths", [(40, 6), (40, 6, 20)])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_that_lack_a_view_are_dropped(same, widths, lacking, weighted):
    dense = arrays(widths)
    present = {lacking: np.arange(120) % 4 > 0}
    weights = np.random.default_rng(1).integers(0, 3, 120) if weighted else None
    same(
        CCAMapper(3, unpaired="drop"),
        Views.from_dict(dense, present=present),
        Views.from_dict(loose(dense), present=present),
        weights,
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", [with_zeros, with_duplicates])
def test_entries_that_are_zero_or_stored_twice(same, form, weighted):
    dense = arrays((40, 6))
    dense["v0"][:, 0] = np.where(np.arange(120) < 60, dense["v0"][::-1, 0] + 2, 0)
    weights = np.random.default_rng(1).integers(0, 3, 120) if weighted else None
    same(CCAMapper(3), Views(**dense), Views(**loose(dense, form)), weights)


def test_entries_stored_twice_beside_moments():
    dense = arrays((40, 6))
    dense["v0"][:, 0] = np.r_[np.arange(1.0, 61), np.zeros(60)]  # as many as rows
    views = loose(dense, with_duplicates)
    found = CCAMapper(3).fit(Views(**views))
    assert_allclose(
        found.transform(Views(**views)),
        CCAMapper(3).fit_transform(Views(**dense)),
        atol=1e-10,
    )
    assert views["v0"].nnz == 2 * np.count_nonzero(dense["v0"])  # left as it was


@pytest.mark.parametrize("widths", [(40, 20), (40, 20, 30)])
@pytest.mark.parametrize("n_components", [7, 12])
def test_more_components_than_rows_are_zero(same, widths, n_components):
    dense = arrays(widths, n=8)
    mapper = CCAMapper(n_components)
    if n_components == 7:
        return same(mapper, Views(**dense), Views(**loose(dense)))
    with pytest.warns(RankWarning, match="the last 5 are zero"):
        same(mapper, Views(**dense), Views(**loose(dense)))


def test_as_many_components_as_there_are_correlations(same):
    """What is left has eigenvalues of about 0: Lanczos must not be relative to them."""
    dense = arrays((200, 150, 100), n=30)
    same(CCAMapper(29), Views(**dense), Views(**loose(dense)))


def test_a_narrow_view_of_dependent_columns(same):
    dense = arrays((40, 6, 20))
    dense["v1"][:, 3:] = 2 * dense["v1"][:, :3] + 1
    with pytest.warns(RankWarning, match="'v1' has rank 3"):
        same(CCAMapper(5), Views(**dense), Views(**loose(dense)))


def test_one_complete_row_is_too_few(monkeypatch):
    monkeypatch.setattr(_fit, "MAX_GRAM_BYTES", 0)
    present = {"v1": np.arange(120) == 5}
    views = Views.from_dict(loose(arrays((40, 6))), present=present)
    with pytest.raises(ValueError, match="Only 1 of 120 rows have every view"):
        CCAMapper(2).fit(views)


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(FORMATS),
    dtype=st.sampled_from([np.float64, np.float32, np.int32, np.int8, bool]),
    n_views=st.integers(2, 3),
    gaps=st.booleans(),
    cuts=st.lists(st.integers(1, 59), max_size=3),
    implicit=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_sparse_is_dense(form, dtype, n_views, gaps, cuts, implicit, seed):
    """Whatever the format, dtype, gaps and pieces; pieces need moments."""
    dense = arrays((12, 5, 4)[:n_views], n=60, seed=seed)
    dense["v0"] = np.round(dense["v0"] * 2).astype(dtype)
    S = sparse.csr_array(dense["v0"]).asformat(form)
    mask = np.random.default_rng(seed).random(60) > 0.3
    present = {"v1": mask} if gaps else {}
    held = Views.from_dict(dense, present=present)
    views = Views.from_dict({**dense, "v0": S}, present=present)
    mapper = CCAMapper(2, unpaired="drop")
    expected = mapper.fit(held).correlations_, mapper.transform(held)
    found = CCAMapper(2, unpaired="drop")
    if implicit and not cuts:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_fit, "MAX_GRAM_BYTES", 0)
            found.fit(views)
    else:
        ends = sorted({0, 60, *cuts})
        for start, stop in zip(ends[:-1], ends[1:], strict=True):
            found.partial_fit(views[start:stop])
    tolerance = 1e-8 if dtype != np.float32 else 1e-5
    assert_allclose(found.correlations_, expected[0], atol=tolerance)
    assert_allclose(found.transform(views), expected[1], atol=tolerance)
