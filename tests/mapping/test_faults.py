"""Bad input and faults: each test carries the number of its row in the table."""

import os
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import eigh
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmeta import CCAMapper, CrossModalRetriever, Views
from skmeta.exceptions import CorrelationOneWarning, RankWarning

PLAIN = dict(shrinkage=0.0)


def pairs(n=200, p=6, q=4, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    X = z @ rng.standard_normal((3, p)) + rng.standard_normal((n, p))
    Y = z @ rng.standard_normal((3, q)) + rng.standard_normal((n, q))
    return X, Y


def correlations(X, Y, **params):
    return CCAMapper(**(PLAIN | params)).fit(X, Y).correlations_


def holes(A, row, column, value):
    A = A.copy()
    A[row, column] = value
    return A


FORMS = {
    "pair": lambda X, Y: ((X, Y), ("X", "Y"), {}),
    "views": lambda X, Y: ((Views(image=X, text=Y),), ("image", "text"), {}),
    "columns": lambda X, Y: (
        (np.hstack([X, Y]),),
        ("a", "b"),
        {"views": {"a": slice(0, X.shape[1]), "b": slice(X.shape[1], None)}},
    ),
}


# ---- values --------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_fault_01_nan_in_part_of_a_row_at_fit(form):
    X, Y = pairs()
    args, names, params = FORMS[form](holes(X, 7, 2, np.nan), Y)
    with pytest.raises(ValueError, match=f"{names[0]!r} contains NaN.*row 7.*mputer"):
        CCAMapper(**params).fit(*args)
    args, names, params = FORMS[form](X, holes(Y, 7, 1, np.nan))
    with pytest.raises(ValueError, match=f"{names[1]!r} contains NaN.*row 7.*mputer"):
        CCAMapper(**params).fit(*args)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_fault_02_inf_at_fit(form, value):
    X, Y = pairs()
    args, names, params = FORMS[form](X, holes(Y, 3, 0, value))
    with pytest.raises(ValueError, match=f"{names[1]!r} contains infinity: row 3"):
        CCAMapper(**params).fit(*args)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fault_03_nan_in_part_of_a_row_at_transform(form, value):
    X, Y = pairs()
    args, names, params = FORMS[form](X, Y)
    mapper = CCAMapper(**params).fit(*args)
    args, names, _ = FORMS[form](holes(X, 5, 1, value), Y)
    for method in (mapper.transform, mapper.score_samples, mapper.transform_views):
        with pytest.raises(ValueError, match=f"{names[0]!r} contains.*row 5"):
            method(*args)


@given(n=st.integers(2, 40), m=st.integers(2, 40))
def test_fault_04_row_counts_differ_at_fit(n, m):
    assume(n != m)
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((n, 3)), rng.standard_normal((m, 2))
    with pytest.raises(ValueError, match=f"{n} rows.*{m}"):
        CCAMapper().fit(X, Y)
    with pytest.raises(ValueError, match=f"{n} rows.*{m} rows"):
        Views(a=X, b=Y)


def test_fault_05_row_counts_differ_at_transform():
    X, Y = pairs()
    mapper = CCAMapper().fit(X, Y)
    for method in (mapper.transform, mapper.score, mapper.score_samples):
        with pytest.raises(ValueError, match="200 rows.*199"):
            method(X, Y[:-1])


@given(value=st.sampled_from([0.0, 1.0, -3.3, 1e8, 1e-12]), at=st.integers(0, 6))
def test_fault_06_constant_column(value, at):
    X, Y = pairs()
    with_constant = np.insert(X, at, value, axis=1)
    for shrinkage in (0.0, 0.4, "auto"):
        plain = CCAMapper(shrinkage=shrinkage).fit(X, Y)
        mapper = CCAMapper(shrinkage=shrinkage).fit(with_constant, Y)
        assert_allclose(mapper.correlations_, plain.correlations_, atol=1e-10)
        assert_allclose(mapper.transform(with_constant), plain.transform(X), atol=1e-8)
        assert (mapper.weights_["X"][at] == 0).all()
        assert np.isfinite(mapper.loadings_["X"]).all()


def test_fault_06_constant_column_in_float32():
    X, Y = pairs()
    X32 = np.insert(X, 2, 1e8, axis=1).astype(np.float32)
    assert_allclose(correlations(X32, Y), correlations(X, Y), atol=1e-6)


@given(copies=st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_fault_07_duplicate_columns(copies):
    X, Y = pairs()
    doubled = np.hstack([X, X[:, copies]])
    plain = CCAMapper(**PLAIN).fit(X, Y)
    with pytest.warns(RankWarning, match=f"'X' has rank 6 but {6 + len(copies)}"):
        mapper = CCAMapper(**PLAIN).fit(doubled, Y)
    assert_allclose(mapper.correlations_, plain.correlations_, atol=1e-10)
    assert_allclose(mapper.transform(doubled), plain.transform(X), atol=1e-8)
    assert np.abs(mapper.weights_["X"]).max() < 100


def test_fault_07_full_one_hot_block_and_shifted_copies():
    X, Y = pairs()
    labels = np.arange(200) % 3
    one_hot = np.hstack([X, np.eye(3)[labels]])
    with pytest.warns(RankWarning, match="rank 8 but 9"):
        mapper = CCAMapper(**PLAIN).fit(one_hot, Y)
    assert_allclose(mapper.correlations_, correlations(one_hot[:, :-1], Y), atol=1e-10)
    # A copy in other units is known only to the last digit of its offset.
    shifted = np.hstack([X, 3 * X[:, :2] + 1e6])
    with pytest.warns(RankWarning, match="rank 6 but 8"):
        assert_allclose(correlations(shifted, Y), correlations(X, Y), atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_fault_08_whole_view_constant(form, value):
    X, Y = pairs()
    args, names, params = FORMS[form](X, np.full_like(Y, value))
    with pytest.raises(ValueError, match=f"{names[1]!r} has zero variance"):
        CCAMapper(**params).fit(*args)


@given(rank=st.integers(1, 4), shrinkage=st.sampled_from([0.0, 0.3]))
def test_fault_09_rank_below_n_components(rank, shrinkage):
    rng = np.random.default_rng(rank)
    X = rng.standard_normal((100, rank)) @ rng.standard_normal((rank, 8))
    Y = np.hstack([X[:, :5], rng.standard_normal((100, 2))])
    Y += 0.5 * rng.standard_normal(Y.shape)
    with pytest.warns(RankWarning, match=f"'X' has rank {rank}, fewer than the 6"):
        mapper = CCAMapper(6, shrinkage=shrinkage).fit(X, Y)
    Z = mapper.transform(X)
    assert Z.shape == (100, 6)
    assert (Z[:, rank:] == 0).all() and (mapper.correlations_[rank:] == 0).all()
    assert (mapper.correlations_[:rank] > 0).all()
    assert mapper.rank_["X"] == rank
    for result in (mapper.predict(X), mapper.score_samples(X, Y), mapper.score(X, Y)):
        assert np.isfinite(result).all()


def test_fault_10_correlations_of_one_by_construction():
    X, Y = pairs(n=30, p=20, q=15)
    with pytest.warns(CorrelationOneWarning, match="30 rows.*15 and 20.*shrinkage"):
        mapper = CCAMapper(2, shrinkage=0.0).fit(X, Y)
    assert_allclose(mapper.correlations_, 1.0, atol=1e-10)
    # Of p + q - (n - 1) dimensions, and no fewer, and not with one row more.
    with pytest.warns(CorrelationOneWarning):
        assert_allclose(correlations(X[:, :16], Y)[0], 1.0, atol=1e-10)
    X, Y = pairs(n=36, p=20, q=15)
    assert correlations(X, Y)[0] < 1 - 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CCAMapper(2).fit(X[:20], Y[:20])  # shrunk: nothing to warn of


@given(
    exponents=st.lists(st.integers(-8, 8), min_size=6, max_size=6),
    seed=st.integers(0, 50),
)
def test_fault_11_column_scales(exponents, seed):
    X, Y = pairs(seed=seed)
    scaled = X * 10.0 ** np.array(exponents)
    plain = CCAMapper(**PLAIN).fit(X, Y)
    mapper = CCAMapper(**PLAIN).fit(scaled, Y)
    assert_allclose(mapper.correlations_, plain.correlations_, atol=1e-10)
    assert_allclose(mapper.transform(scaled), plain.transform(X), atol=1e-7)


@given(offset=st.sampled_from([1e6, -1e6]), seed=st.integers(0, 50))
def test_fault_12_offset(offset, seed):
    X, Y = pairs(seed=seed)
    plain, mapper = CCAMapper(**PLAIN).fit(X, Y), CCAMapper(**PLAIN)
    mapper.fit(X + offset, Y - offset)
    assert_allclose(mapper.correlations_, plain.correlations_, atol=1e-6)
    assert_allclose(mapper.transform(X + offset), plain.transform(X), atol=1e-6)


@given(seed=st.integers(0, 50))
def test_fault_13_float32_with_an_offset(seed):
    X, Y = (A.astype(np.float32) for A in pairs(seed=seed))
    shifted = X + np.float32(1e4)
    mapper = CCAMapper(**PLAIN).fit(shifted, Y)
    assert_allclose(mapper.correlations_, correlations(X, Y), atol=1e-3)
    # Beside float64 on what rounding to float32 has left of the values.
    Z = mapper.transform(shifted)
    assert Z.dtype == np.float32
    exact = CCAMapper(**PLAIN).fit(shifted.astype(float), Y)
    assert_allclose(Z, exact.transform(shifted.astype(float)), atol=1e-5)


def test_fault_14_float32_of_1e25():
    X, Y = pairs()
    large = (X * 1e25).astype(np.float32)
    mapper = CCAMapper(**PLAIN).fit(large, Y)
    assert_allclose(mapper.correlations_, correlations(X, Y), atol=1e-6)
    assert_allclose(
        mapper.transform(large), CCAMapper(**PLAIN).fit(X, Y).transform(X), atol=1e-5
    )


def test_fault_14_squares_beyond_float64_are_refused():
    X, Y = pairs()
    with pytest.raises(ValueError, match="'X' has values so large"):
        CCAMapper().fit(X * 1e200, Y)


@given(exponent=st.integers(-320, -100))
def test_fault_15_denormals(exponent):
    X, Y = pairs()
    tiny = (
        X * 10.0**exponent if exponent > -300 else X * 1e-300 * 10 ** (exponent + 300)
    )
    try:
        found = correlations(tiny, Y)
    except ValueError as error:
        assert "zero variance" in str(error)
    else:
        assert_allclose(found, correlations(X, Y), atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "out"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.longdouble, np.float64),
        (np.int8, np.float64),
        (np.uint16, np.float64),
        (np.int64, np.float64),
        (bool, np.float64),
    ],
)
def test_fault_16_dtypes(dtype, out):
    X, Y = pairs()
    X = (X > 0) if dtype is bool else np.abs(X * 8)
    X, Y = X.astype(dtype), Y.astype(np.float32)
    mapper = CCAMapper(2).fit(X, Y)
    assert mapper.transform(X).dtype == out
    expected = CCAMapper(2).fit(X.astype(float), Y.astype(float))
    assert_allclose(mapper.correlations_, expected.correlations_, atol=1e-10)
    views = Views(a=X, b=Y)
    fused = CCAMapper(2).fit(views).transform(views)
    assert fused.dtype == np.result_type(out, np.float32)


@pytest.mark.parametrize("form", FORMS)
def test_fault_17_complex(form):
    X, Y = pairs()
    args, _, params = FORMS[form](X + 1j, Y)
    with pytest.raises(ValueError, match="[Cc]omplex"):
        CCAMapper(**params).fit(*args)


@pytest.mark.parametrize("text", ["x", "漢字", "👩‍👩‍👧", "🇩🇪"])
def test_fault_18_text_as_data(text):
    X, Y = pairs()
    with pytest.raises(ValueError, match="could not convert|numeric"):
        CCAMapper().fit(np.full((200, 2), text), Y)
    with pytest.raises(ValueError, match="could not convert|numeric"):
        CCAMapper().fit(Views(a=np.full((200, 2), text, dtype=object), b=Y))
    with pytest.raises((ValueError, TypeError), match="could not convert|numeric"):
        CCAMapper().fit(X, [text] * 200)


def test_fault_19_wide_unicode_in_names():
    X, Y = pairs()
    frame = pd.DataFrame(np.hstack([X, Y]), columns=[f"漢{i}👩‍👩‍👧" for i in range(10)])
    names = list(frame.columns)
    mapper = CCAMapper(2, views={"絵": names[:6], "🗣️": names[6:]}, fusion="🗣️")
    mapper.fit(frame)
    assert mapper.get_feature_names_out().tolist() == ["🗣️__0", "🗣️__1"]
    out = mapper.set_output(transform="pandas").transform(frame)
    assert out.columns.tolist() == ["🗣️__0", "🗣️__1"]
    restored = pickle.loads(pickle.dumps(mapper))
    pd.testing.assert_frame_equal(restored.transform(frame), out)


@pytest.mark.parametrize(
    "make",
    [sparse.csr_array, sparse.coo_matrix, sparse.dok_array, sparse.csc_array],
)
def test_fault_20_sparse_views_give_the_answer_of_dense_ones(make):
    X, Y = pairs()
    X = X * (np.abs(X) > 0.5)
    dense = CCAMapper().fit(X, Y)
    for args in ((make(X), Y), (X, make(Y)), (make(X), make(Y))):
        mapper = CCAMapper().fit(*args)
        assert_allclose(mapper.correlations_, dense.correlations_, atol=1e-10)
        Z, expected = mapper.transform(args[0]), dense.transform(X)
        assert_allclose(Z, expected, atol=1e-8)
        assert_allclose(mapper.predict(args[0]), dense.predict(X), atol=1e-8)
    views = Views(image=X, text=make(Y))
    named = CCAMapper().fit(views)
    assert_allclose(named.correlations_, dense.correlations_, atol=1e-10)
    assert named.transform(views).shape == (len(X), 2 * len(dense.correlations_))


def test_fault_20_holes_of_sparse_views_are_named():
    X, Y = pairs()
    for value, message in (
        (np.nan, "'Y' contains NaN.*row 3, column 1"),
        (np.inf, "infinity"),
    ):
        S = sparse.csr_array(np.where(np.abs(Y) > 0.5, Y, 0)).tolil()
        S[3, 1] = value
        with pytest.raises(ValueError, match=message):
            CCAMapper().fit(X, S.tocsr())


def test_fault_20_sparse_output_of_a_transformer():
    text = ["one two three", "two four", None, "five one", "four four two"] * 20
    frame = pd.DataFrame(
        {"n": np.arange(100.0) % 7, "m": np.arange(100.0) % 3, "text": text}
    )
    columns = [("table", StandardScaler(), ["n", "m"])]
    loose = ColumnTransformer([*columns, ("words", TfidfVectorizer(), "text")])
    words = make_pipeline(
        TfidfVectorizer(),
        FunctionTransformer(sparse.csr_array.toarray, accept_sparse=True),
    )
    dense = ColumnTransformer([*columns, ("words", words, "text")])
    expected = CCAMapper(2, views=dense).fit(frame)
    mapper = CCAMapper(2, views=loose).fit(frame)
    assert_allclose(mapper.correlations_, expected.correlations_, atol=1e-10)
    assert_allclose(mapper.transform(frame), expected.transform(frame), atol=1e-8)


def test_fault_74_moments_that_would_not_fit():
    """A raw TF-IDF view of 43,000 words: solved without moments, or refused first."""
    rng = np.random.default_rng(0)
    words = sparse.random_array((800, 43_000), density=2e-3, rng=rng, format="csr")
    table = rng.standard_normal((800, 5)) + 9 * words[:, :5].toarray()
    views = Views(table=table, words=words)
    mapper = CCAMapper(2, shrinkage=0.5).fit(views)
    # The same by the dual problem, of 3,000 rows.
    dense = words.toarray()
    dense = StandardScaler().fit_transform(dense[:, dense.std(axis=0) > 0])
    T = StandardScaler().fit_transform(table)
    kernel = dense @ dense.T / 800
    solved = np.linalg.solve(0.5 * kernel + 0.5 * np.eye(800), kernel @ T)
    within = 0.5 * T.T @ T / 800 + 0.5 * np.eye(5)
    vectors = eigh(T.T @ solved, within)[1][:, :2:-1]
    for i, correlation in enumerate(mapper.correlations_):
        other = np.corrcoef(T @ vectors[:, i], solved @ vectors[:, i])[0, 1]
        assert_allclose(correlation, other, atol=1e-8)
    gaps = {"table": np.arange(800) > 5}
    gaps = Views.from_dict(views, present=gaps)
    for params, message in (
        ({"shrinkage": 0}, "'words' has 43000 columns.*13.8 GB.*TruncatedSVD"),
        ({"unpaired": "em"}, "'words' has 43000 columns.*TruncatedSVD"),
    ):
        with pytest.raises(ValueError, match=message):
            CCAMapper(2, **params).fit(gaps)
    with pytest.raises(ValueError, match="partial_fit needs them.*TruncatedSVD"):
        CCAMapper(2).partial_fit(views)
    with pytest.raises(ValueError, match="merge needs moments.*TruncatedSVD"):
        mapper.merge(mapper)


def test_fault_21_pandas_nullable_without_na():
    X, Y = pairs()
    nullable = pd.DataFrame(X).astype("Float64")
    mapper = CCAMapper(2).fit(nullable.to_numpy(), Y)
    found = CCAMapper(2).fit(Views(a=nullable, b=pd.DataFrame(Y)))
    assert_allclose(found.correlations_, mapper.correlations_)


def test_fault_22_pandas_nullable_with_na():
    X, Y = pairs()
    nullable = pd.DataFrame(X, columns=list("abcdef")).astype("Float64")
    nullable.iloc[4, 1] = pd.NA
    with pytest.raises(ValueError, match="'X' contains NaN.*row 4"):
        CCAMapper().fit(nullable, Y)


def test_fault_23_polars():
    X, Y = pairs()
    names = [f"c{i}" for i in range(10)]
    frame = pl.DataFrame(np.hstack([X, Y]), schema=names)
    mapper = CCAMapper(2, views={"a": names[:6], "b": names[6:]})
    mapper.set_output(transform="polars")
    Z = mapper.fit_transform(frame)
    assert isinstance(Z, pl.DataFrame) and Z.columns == ["a__0", "a__1", "b__0", "b__1"]
    expected = CCAMapper(2).fit(Views(a=X, b=Y)).transform(Views(a=X, b=Y))
    assert_allclose(Z.to_numpy(), expected)
    pair = CCAMapper(2).fit(frame[names[:6]], frame[names[6:]])
    assert_allclose(pair.transform(frame[names[:6]]), expected[:, :2])
    single = CCAMapper(1).fit(frame[names[:6]], frame["c6"])
    assert single.predict(frame[names[:6]]).shape == (200,)
    views = Views(a=frame[names[:6]], b=frame[names[6:]])
    assert_allclose(CCAMapper(2).fit(views).transform(views), expected)


def test_fault_24_column_names_and_order_at_transform():
    X, Y = pairs()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    mapper = CCAMapper(2).fit(frame, Y)
    for wrong in (frame[list("bacdef")], frame.rename(columns={"a": "z"})):
        with pytest.raises(ValueError, match="feature names"):
            mapper.transform(wrong)
    views = Views(a=frame, b=Y)
    mapper = CCAMapper(2).fit(views)
    for method in (mapper.transform, lambda v: mapper.transform_view(v["a"], "a")):
        with pytest.raises(ValueError, match="columns of view 'a' differ"):
            method(Views(a=frame[list("bacdef")], b=Y))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [0, 1])
def test_fault_25_no_row_or_one(form, n):
    X, Y = pairs()
    args, _, params = FORMS[form](X[:n], Y[:n])
    with pytest.raises(ValueError, match="minimum of [12] is required"):
        CCAMapper(**params).fit(*args)


@pytest.mark.parametrize("form", FORMS)
def test_fault_26_more_components_than_columns(form):
    X, Y = pairs()
    args, names, params = FORMS[form](X, Y)
    with pytest.raises(ValueError, match=f"n_components=5.* 4 columns.*{names[1]!r}"):
        CCAMapper(5, **params).fit(*args)


@pytest.mark.parametrize("form", FORMS)
def test_fault_27_wrong_feature_count(form):
    X, Y = pairs()
    args, names, params = FORMS[form](X, Y)
    mapper = CCAMapper(**params).fit(*args)
    args, _, _ = FORMS[form](X[:, :4], Y)
    with pytest.raises(ValueError, match="4 features.*6|8 features.*10"):
        mapper.transform(*args)
    with pytest.raises(ValueError, match="3"):
        mapper.transform_view(Y[:, :3], names[1])


def test_fault_28_before_fit():
    X, Y = pairs()
    retriever = CrossModalRetriever(CCAMapper())
    for call in (
        lambda: CCAMapper().transform(X),
        lambda: CCAMapper().transform_view(X, "X"),
        lambda: CCAMapper().transform_views(X),
        lambda: CCAMapper().predict(X),
        lambda: CCAMapper().predict_view(X, target="Y"),
        lambda: CCAMapper().inverse_transform(X),
        lambda: CCAMapper().score(X, Y),
        lambda: CCAMapper().score_samples(X, Y),
        lambda: CCAMapper().get_feature_names_out(),
        lambda: retriever.kneighbors(X),
        lambda: retriever.set_gallery(Y),
        lambda: retriever.score(X, Y),
    ):
        with pytest.raises(NotFittedError):
            call()


def layouts(A, path):
    read_only = A.copy()
    read_only.flags.writeable = False
    mapped = np.memmap(path, dtype=A.dtype, mode="w+", shape=A.shape)
    mapped[:] = A
    mapped.flush()
    strided = np.zeros((2 * len(A), 2 * A.shape[1]))
    strided[::2, ::2] = A
    return {
        "read-only": read_only,
        "memmap": np.memmap(path, dtype=A.dtype, mode="r", shape=A.shape),
        "Fortran": np.asfortranarray(A),
        "strided": strided[::2, ::2],
        "reversed": A[::-1].copy()[::-1],
    }


def test_fault_29_and_30_layouts_work_and_no_input_changes(tmp_path):
    X, Y = pairs()
    plain = CCAMapper(3).fit(X, Y)
    weights = np.ones(200)
    for kind, A in layouts(X, tmp_path / "x").items():
        before = np.array(A)
        mapper = CCAMapper(3).fit(A, Y, sample_weight=weights)
        assert_allclose(mapper.correlations_, plain.correlations_, atol=1e-12)
        assert_allclose(mapper.transform(A), plain.transform(X), atol=1e-10)
        mapper.score_samples(A, Y)
        mapper.predict(A)
        mapper.inverse_transform(mapper.transform(A))
        assert_array_equal(A, before, err_msg=kind)
    assert (weights == 1).all()


@pytest.mark.parametrize("fusion", ["concat", "mean", "posterior", "a", "b"])
def test_fault_31_missing_modality_at_transform(fusion):
    X, Y = pairs()
    views = Views(a=X, b=Y)
    mapper = CCAMapper(3, fusion=fusion).fit(views)
    Z = mapper.transform(Views(a=X))
    assert Z.shape == mapper.transform(views).shape and np.isfinite(Z).all()
    assert mapper.transform_view(X, "a").shape == (200, 3)
    assert_allclose(Z, mapper.transform(Views(a=X, b=np.full_like(Y, np.nan))))
    assert list(mapper.transform_views(Views(a=X))) == ["a"]
    nothing = Views(a=holes(X, 9, slice(None), np.nan))
    for method in (mapper.transform, mapper.score_samples):
        with pytest.raises(ValueError, match="Row 9 has no view"):
            method(nothing)


def test_fault_33_views_swapped_are_seen_by_their_names():
    X, Y = pairs(p=4, q=4)
    mapper = CCAMapper(2).fit(Views(image=X, text=Y))
    with pytest.raises(ValueError, match="Unknown view 'picture'.*image.*text"):
        mapper.transform(Views(picture=X, text=Y))
    # The order in which named views stand does not matter.
    assert_array_equal(
        mapper.transform(Views(text=Y, image=X)),
        mapper.transform(Views(image=X, text=Y)),
    )
    frames = [pd.DataFrame(A, columns=list(c)) for A, c in ((X, "abcd"), (Y, "efgh"))]
    mapper = CCAMapper(2).fit(Views(image=frames[0], text=frames[1]))
    with pytest.raises(ValueError, match="columns of view 'image' differ"):
        mapper.transform(Views(image=frames[1], text=frames[0]))


def test_fault_34_clone_params_and_pickle():
    X, Y = pairs()
    mapper = CCAMapper(2, shrinkage={"X": 0.1}, fusion="mean", correlation_power=1.0)
    assert clone(mapper).get_params() == mapper.get_params()
    mapper.fit(X, Y)
    restored = pickle.loads(pickle.dumps(mapper))
    assert_array_equal(restored.transform(X), mapper.transform(X))
    assert_array_equal(restored.predict(X), mapper.predict(X))
    retriever = CrossModalRetriever(CCAMapper(2), metric="mahalanobis", hubness="csls")
    retriever.fit(X, Y)
    restored = pickle.loads(pickle.dumps(retriever))
    for ours, theirs in zip(
        retriever.kneighbors(X), restored.kneighbors(X), strict=True
    ):
        assert_array_equal(ours, theirs)


def test_fault_35_two_fits_give_equal_bits():
    X, Y = pairs(n=2000, p=60, q=50)
    a, b = CCAMapper().fit(X, Y), CCAMapper().fit(X, Y)
    assert_array_equal(a.weights_["X"], b.weights_["X"])
    assert_array_equal(a.transform(X), b.transform(X))


def test_fault_36_global_random_state_is_neither_read_nor_set():
    X, Y = pairs(n=1000, p=450, q=420)  # the size at which Lanczos needs a start
    before = np.random.get_state()  # noqa: NPY002
    first = CCAMapper(5).fit(X, Y)
    CrossModalRetriever(CCAMapper(5)).fit(X, Y).kneighbors(X[:5])
    after = np.random.get_state()  # noqa: NPY002
    assert after[2:] == before[2:]
    assert_array_equal(after[1], before[1])
    try:
        np.random.seed(1)  # noqa: NPY002
        assert_array_equal(CCAMapper(5).fit(X, Y).weights_["X"], first.weights_["X"])
    finally:
        np.random.set_state(before)  # noqa: NPY002


def in_threads(function, n=8):
    results = [None] * n

    def run(i):
        results[i] = function()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_fault_37_threads_fitting_at_once_equal_serial():
    X, Y = pairs(n=1000, p=30, q=20)
    serial = CCAMapper(5).fit(X, Y).weights_["X"]
    for found in in_threads(lambda: CCAMapper(5).fit(X, Y).weights_["X"]):
        assert_allclose(found, serial, atol=1e-12)


def test_fault_38_threads_transforming_give_equal_bits():
    X, Y = pairs(n=500)
    mapper = CCAMapper(3).fit(X, Y)
    retriever = CrossModalRetriever(CCAMapper(3)).fit(X, Y)
    serial = mapper.transform(X), mapper.predict(X), retriever.kneighbors(X)[0]
    found = in_threads(
        lambda: (mapper.transform(X), mapper.predict(X), retriever.kneighbors(X)[0])
    )
    for result in found:
        for ours, expected in zip(result, serial, strict=True):
            assert_array_equal(ours, expected)


WORKERS = """
import sys
import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_info
from skmeta import CCAMapper

try:
    import torch
    torch.ones(200, 200) @ torch.ones(200, 200)  # its threads run before the fork
except ImportError:
    pass
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((2000, 60)), rng.standard_normal((2000, 40))
CCAMapper(3).fit(X, Y)

def work(seed):
    Z = CCAMapper(3).fit(X[seed:], Y[seed:]).transform(X)
    return Z, max(pool["num_threads"] for pool in threadpool_info())

found = Parallel(n_jobs=N_JOBS, backend=sys.argv[1])(
    delayed(work)(seed) for seed in range(8)
)
for seed, (Z, _) in enumerate(found):
    expected = CCAMapper(3).fit(X[seed:], Y[seed:]).transform(X)
    np.testing.assert_allclose(Z, expected, atol=1e-9)
print(max(threads for _, threads in found))
"""


def run_workers(backend, n_jobs):
    result = subprocess.run(
        [sys.executable, "-c", WORKERS.replace("N_JOBS", str(n_jobs)), backend],
        capture_output=True,
        text=True,
        timeout=120,
        env={k: v for k, v in os.environ.items() if "NUM_THREADS" not in k},
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_fault_39_workers_after_torch_do_not_hang(backend):
    run_workers(backend, 2)


@pytest.mark.slow
def test_fault_40_workers_have_one_thread_each():
    assert run_workers("loky", os.cpu_count()) == 1


FITS = """
import numpy as np
from skmeta import CCAMapper
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((200, 20)), rng.standard_normal((200, 10))

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1])

sizes = []
for i in range(3000):
    CCAMapper(5).fit(X, Y).transform(X)
    if i % 500 == 499:
        sizes.append(anonymous())
print(sizes[-1] - sizes[0])
"""


@pytest.mark.slow
def test_fault_41_memory_is_flat_over_3000_fits():
    if not sys.platform.startswith("linux"):
        pytest.skip("reads anonymous memory from Linux's /proc")
    result = subprocess.run(
        [sys.executable, "-c", FITS], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 2000  # kB over the last 2,500 fits


@pytest.mark.parametrize("make", ["pair", "views"])
def test_fault_75_pandas_indexes_that_differ(make):
    X, Y = (pd.DataFrame(A) for A in pairs())
    X.columns, Y.columns = X.columns.astype(str), Y.columns.astype(str)
    shuffled = Y.sample(frac=1, random_state=0)
    first = shuffled.index[0]
    with pytest.raises(ValueError, match=f"different indexes.*{first}.*Views.join"):
        if make == "pair":
            CCAMapper().fit(X, shuffled)
        else:
            Views(X=X, Y=shuffled)
    views = Views.join(X=X, Y=shuffled)
    assert_allclose(
        CCAMapper().fit(views).correlations_, CCAMapper().fit(X, Y).correlations_
    )


def test_pipeline_of_text_never_sees_a_null():
    """The text half of FAULTS 32: rows without text are fitted around, and mapped."""
    rng = np.random.default_rng(0)
    n = np.arange(60.0)
    words = [f"{'low' if i < 30 else 'high'} w{rng.integers(3)}" for i in range(60)]
    frame = pd.DataFrame({"n": n, "m": n**2, "text": words})
    frame.loc[::7, "text"] = None
    views = ColumnTransformer(
        [
            ("table", StandardScaler(), ["n", "m"]),
            ("text", make_pipeline(TfidfVectorizer(), _Dense()), "text"),
        ]
    )
    mapper = CCAMapper(1, views=views).fit(frame)
    whole = frame.dropna()
    expected = CCAMapper(1, views=views).fit(whole)
    assert_allclose(mapper.correlations_, expected.correlations_, atol=0.05)
    Z = mapper.transform(frame)
    assert Z.shape == (60, 2) and np.isfinite(Z).all()


class _Dense(StandardScaler):
    """Densify, so that the small example needs no SVD."""

    def __init__(self):
        super().__init__(with_mean=False)

    def fit(self, X, y=None):
        return super().fit(X.toarray())

    def transform(self, X):
        return super().transform(X.toarray())
