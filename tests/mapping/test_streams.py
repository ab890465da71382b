"""Pieces equal the whole: `partial_fit` and `merge`, in any order, with gaps."""

import pickle
import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmeta import CCAMapper, Views
from skmeta.exceptions import ConditionWarning
from skmeta.mapping import _cca


def rows_of(n=90, widths=(5, 4, 3), seed=0, lacking=0.0):
    """Views with two shared factors; a share of the rows lacks one view each."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 2))
    arrays = {
        f"v{i}": z @ rng.standard_normal((2, p)) + rng.standard_normal((n, p)) + 3 * i
        for i, p in enumerate(widths)
    }
    for row in np.flatnonzero(rng.random(n) < lacking):
        arrays[f"v{rng.integers(len(widths))}"][row] = np.nan
    return Views(**arrays)


def pieces_of(views, cuts):
    ends = [0, *sorted(cuts), len(views)]
    return [views[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True) if a < b]


def assert_same(a, b, views, atol=1e-8):
    assert_allclose(a.correlations_, b.correlations_, atol=atol / 100)
    assert_allclose(a.transform(views), b.transform(views), atol=atol)
    assert a.shrinkage_ == pytest.approx(b.shrinkage_, abs=1e-10)
    assert a.rank_ == b.rank_


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, 90), max_size=12),
    widths=st.sampled_from([(5, 4), (5, 4, 3), (120, 4), (100, 110)]),
    lacking=st.sampled_from([0.0, 0.3]),
    weighted=st.booleans(),
    seed=st.integers(0, 100),
)
def test_pieces_in_any_order_equal_the_whole(cuts, widths, lacking, weighted, seed):
    views = rows_of(widths=widths, lacking=lacking, seed=seed)
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, 90).astype(float) if weighted else None
    whole = CCAMapper(2).fit(views, sample_weight=weights)
    ends = [0, *sorted(cuts), 90]
    spans = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True) if a < b]
    rng.shuffle(spans)
    streamed, merged = CCAMapper(2), None
    for span in spans:
        weight = None if weights is None else weights[span]
        if weight is not None and not weight.any():
            continue
        streamed.partial_fit(views[span], sample_weight=weight)
        one = CCAMapper(2).partial_fit(views[span], sample_weight=weight)
        merged = one if merged is None else one.merge(merged)
    assert_same(streamed, whole, views)
    assert_same(merged, whole, views)


def test_one_row_at_a_time():
    views = rows_of(n=30, lacking=0.2)
    streamed = CCAMapper(2, shrinkage=0.1)
    for i in range(30):
        streamed.partial_fit(views[[i]])
    assert_same(streamed, CCAMapper(2, shrinkage=0.1).fit(views), views)


def test_two_arrays_and_float32():
    views = rows_of(400, widths=(6, 4))
    X, Y = (np.asarray(views[name], dtype=np.float32) for name in views)
    whole = CCAMapper(3).fit(X, Y)
    streamed = CCAMapper(3).partial_fit(X[:150], Y[:150]).partial_fit(X[150:], Y[150:])
    assert streamed.transform(X).dtype == np.float32
    assert_allclose(streamed.transform(X), whole.transform(X), atol=1e-5)
    assert_allclose(streamed.predict(X), whole.predict(X), atol=1e-4)
    with pytest.raises(ValueError, match="requires y to be passed"):
        streamed.partial_fit(X)
    with pytest.raises(ValueError, match="6"):
        streamed.partial_fit(X[:, :5], Y)


def test_merge_is_new_and_leaves_its_parents_as_they_are():
    views = rows_of(lacking=0.3)
    a, b = CCAMapper(2).fit(views[:40]), CCAMapper(2).fit(views[40:])
    before = pickle.dumps((a, b))
    merged = a.merge(b)
    assert merged is not a
    merged.partial_fit(rows_of(seed=1))
    assert pickle.dumps((a, b)) == before
    assert_same(a.merge(b), b.merge(a), views)


def test_merge_after_fits_is_the_fit_of_all():
    views = rows_of(300, lacking=0.3)
    thirds = [CCAMapper(2).fit(piece) for piece in pieces_of(views, (100, 170))]
    whole = CCAMapper(2).fit(views)
    assert_same(thirds[2].merge(thirds[0]).merge(thirds[1]), whole, views)
    assert_same(thirds[2].merge(thirds[0].merge(thirds[1])), whole, views)


def test_what_cannot_be_merged_says_why():
    views = rows_of()
    mapper = CCAMapper(2).fit(views)
    with pytest.raises(TypeError, match="merge takes a CCAMapper; got a dict"):
        mapper.merge({})
    with pytest.raises(NotFittedError):
        mapper.merge(CCAMapper(2))
    with pytest.raises(ValueError, match="different views or columns"):
        mapper.merge(CCAMapper(2).fit(rows_of(widths=(5, 4))))
    with pytest.raises(ValueError, match="different views or columns"):
        mapper.merge(CCAMapper(2).fit(rows_of(widths=(5, 4, 4))))


def test_moments_that_are_large_are_dropped_but_where_asked_for(monkeypatch):
    monkeypatch.setattr(_cca, "MAX_KEPT_BYTES", 100)
    views = rows_of()
    dropped = CCAMapper(2).fit(views)
    assert len(pickle.dumps(dropped)) < len(
        pickle.dumps(CCAMapper(2, keep_moments=True).fit(views))
    )
    for call in (lambda: dropped.merge(dropped), lambda: dropped.partial_fit(views)):
        with pytest.raises(ValueError, match="keep_moments=True"):
            call()
    kept = CCAMapper(2, keep_moments=True).fit(views[:50])
    assert_same(kept.partial_fit(views[50:]), dropped, views)
    # A stream keeps what it needs.
    streamed = CCAMapper(2).partial_fit(views[:50]).partial_fit(views[50:])
    assert_same(streamed, dropped, views)


def test_a_piece_that_is_refused_changes_nothing():
    views = rows_of()
    mapper = CCAMapper(2).partial_fit(views[:50])
    before = pickle.dumps(mapper)
    bad = {name: array[50:].copy() for name, array in views.items()}
    bad["v1"][3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        mapper.partial_fit(Views(**bad))
    with pytest.raises(ValueError, match="Unknown view"):
        mapper.partial_fit(Views(v0=views["v0"], other=views["v1"]))
    assert pickle.dumps(mapper) == before
    assert_same(mapper.partial_fit(views[50:]), CCAMapper(2).fit(views), views)


def test_that_solving_waits_does_not_show():
    views = rows_of()
    whole = CCAMapper(2).fit(views)
    mapper = CCAMapper(2).partial_fit(views[:50])
    assert not hasattr(mapper, "no_such_attribute_")
    first = mapper.correlations_
    restored = pickle.loads(pickle.dumps(mapper.partial_fit(views[50:])))
    assert repr(mapper) == "CCAMapper(n_components=2)"
    assert not hasattr(clone(mapper), "correlations_")
    assert_array_equal(restored.get_feature_names_out(), whole.get_feature_names_out())
    assert_same(restored, whole, views)
    assert not np.allclose(first, restored.correlations_, atol=1e-4)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(mapper.transform(views)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for Z in found:
        assert_array_equal(Z, found[0])
    assert len(found) == 8


def test_too_few_rows_are_said_when_they_are_asked_of():
    views = rows_of()
    mapper = CCAMapper(2).partial_fit(views[[0]])
    with pytest.raises(ValueError, match="Only 1 of 1 rows have every view"):
        mapper.transform(views)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    words = np.array(["one", "two", "three", "four"])
    text = [" ".join(rng.choice(words, 3)) for _ in range(120)]
    numbers = rng.standard_normal((120, 2)) + [[t.count("one"), 0] for t in text]
    return pd.DataFrame(numbers, columns=["a", "b"]).assign(text=text)


def test_transformers_that_learn_do_not_stream(frame):
    def views(table):
        return ColumnTransformer(
            [
                ("table", table, ["a", "b"]),
                ("text", HashingVectorizer(n_features=8), "text"),
            ]
        )

    with pytest.raises(ValueError, match="view 'table', StandardScaler.*FrozenEst"):
        CCAMapper(2, views=views(StandardScaler())).partial_fit(frame)
    frozen = FrozenEstimator(StandardScaler().fit(frame[["a", "b"]]))
    for table in (frozen, "passthrough", FunctionTransformer()):
        whole = CCAMapper(2, views=views(table)).fit(frame)
        streamed = CCAMapper(2, views=views(table))
        for piece in (frame[:50], frame[50:60], frame[60:]):
            streamed.partial_fit(piece)
        assert_same(streamed, whole, frame)
        with pytest.raises(ValueError, match="feature names"):
            streamed.partial_fit(frame.rename(columns={"a": "z"}))


@pytest.mark.filterwarnings("ignore::skmeta.exceptions.RankWarning")
def test_moments_alone_warn_where_they_have_lost_digits():
    rng = np.random.default_rng(0)
    base, hidden = rng.standard_normal((2, 2000))
    X = np.column_stack([base, base + 1e-7 * hidden])
    Y = np.column_stack([hidden, rng.standard_normal(2000)])
    assert CCAMapper(1, shrinkage=0).fit(X, Y).correlations_[0] > 0.99
    streamed = CCAMapper(1, shrinkage=0).partial_fit(X, Y)
    with pytest.warns(ConditionWarning, match="View 'X' is ill-conditioned"):
        streamed.correlations_  # noqa: B018


def test_a_long_sparse_view_is_never_laid_out():
    rng = np.random.default_rng(0)
    S = sparse.random_array((100_000, 500), density=0.01, rng=rng, format="csr")
    Y = rng.standard_normal((100_000, 3)) + 20 * S[:, :3].toarray()
    mapper = CCAMapper(3)
    tracemalloc.start()
    mapper.fit(S, Y)
    mapper.transform(S)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20  # 400 MB if it were dense
    assert mapper.correlations_.min() > 0.5


def test_a_first_piece_without_rows_of_a_view_that_is_marked():
    rng = np.random.default_rng(0)
    arrays = {"a": rng.standard_normal((90, 4)), "b": rng.standard_normal((90, 3))}
    views = Views.from_dict(arrays, present={"b": np.arange(90) >= 30})
    whole, streamed = CCAMapper(2).fit(views), CCAMapper(2)
    for start in range(0, 90, 30):
        streamed.partial_fit(views[start : start + 30])
    assert_allclose(streamed.correlations_, whole.correlations_, atol=1e-12)
    assert_allclose(streamed.transform(views), whole.transform(views), atol=1e-10)
