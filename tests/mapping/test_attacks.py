"""What reviewers broke once: each stays mended."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper, CrossModalRetriever, Views
from skmeta.datasets import make_paired_views
from skmeta.metrics import (
    RetrievalScorer,
    canonical_correlations,
    mean_average_precision,
    median_rank,
    recall_at_k,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pair(rng):
    S = rng.standard_normal((300, 3))
    A = np.hstack(
        [S + 0.5 * rng.standard_normal((300, 3)), rng.standard_normal((300, 2))]
    )
    B = np.hstack(
        [S + 0.5 * rng.standard_normal((300, 3)), rng.standard_normal((300, 4))]
    )
    return A, B


@pytest.fixture
def frames(pair):
    return tuple(
        pd.DataFrame(a, columns=list(c))
        for a, c in zip(pair, ("abcde", "tuvwxyz"), strict=True)
    )


# ---- numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_repeated_correlations_are_all_found(seed):
    rng = np.random.default_rng(seed)
    S = rng.standard_normal((1200, 12))
    X = np.hstack([S, rng.standard_normal((1200, 400))])
    Y = np.hstack([S, rng.standard_normal((1200, 400))])
    mapper = CCAMapper(15, shrinkage=0.0).fit(X, Y)
    assert np.sum(mapper.correlations_ > 1 - 1e-9) == 12
    assert_allclose(mapper.correlations_, canonical_correlations(X, Y)[:15], atol=1e-10)


@pytest.mark.parametrize("shrinkage", [9e-7, 1.1e-6, 1e-3])
def test_collinear_signal_survives_shrinkage(rng, shrinkage):
    n = 2000
    a, s = rng.standard_normal((2, n))
    X = np.column_stack([a, a + 1e-7 * s, rng.standard_normal(n)])
    Y = np.column_stack([s, a]) + rng.standard_normal((n, 2))
    mapper = CCAMapper(2, shrinkage=shrinkage).fit(X, Y)
    assert mapper.rank_["X"] == 3
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    U, d, Vt = np.linalg.svd(Z, full_matrices=False)
    whiten = d / np.sqrt(n) / np.sqrt((1 - shrinkage) * d**2 / n + shrinkage)
    V, e, _ = np.linalg.svd((Y - Y.mean(axis=0)) / Y.std(axis=0), full_matrices=False)
    other = e / np.sqrt(n) / np.sqrt((1 - shrinkage) * e**2 / n + shrinkage)
    left, _, _ = np.linalg.svd(whiten[:, None] * (U.T @ V) * other)
    scores = (X - X.mean(axis=0)) @ mapper.weights_["X"]
    expected = U @ ((whiten)[:, None] * left[:, :2])
    for i in range(2):
        r = np.corrcoef(scores[:, i], expected[:, i])[0, 1]
        assert_allclose(abs(r), 1, atol=1e-5)


def test_units_do_not_matter_unshrunk_and_unstandardised(pair):
    A, B = pair
    plain = CCAMapper(shrinkage=0.0).fit(A, B)
    units = A * [1e8, 1e-8, 1, 1, 1]
    raw = CCAMapper(shrinkage=0.0, standardize=False).fit(units, B)
    assert_allclose(raw.correlations_, plain.correlations_, atol=1e-10)


def test_predictions_have_the_precision_that_their_target_needs(pair):
    A, B = pair
    for target in (B * 1e40, B + 1.7e9):
        single = CCAMapper().fit(A.astype(np.float32), target)
        double = CCAMapper().fit(A.astype(np.float32).astype(float), target)
        found = single.predict(A.astype(np.float32))
        expected = double.predict(A.astype(np.float32).astype(float))
        assert_allclose(found, expected, atol=1e-4 * target.std())


def test_canonical_correlations_of_huge_values(pair):
    A, B = pair
    assert_allclose(canonical_correlations(A * 1e160, B), canonical_correlations(A, B))


@pytest.mark.parametrize("value", ["datetime64[D]", "timedelta64[h]"])
def test_dates_are_no_numbers(pair, value):
    dates = np.arange(600).reshape(300, 2).astype(value)
    with pytest.raises(
        ValueError, match="'X' has dtype.*convert dates|'X' holds|numeric"
    ):
        CCAMapper().fit(dates, pair[1])


# ---- ranks and neighbours ------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "dot", "cosine"])
def test_ranks_beside_an_outlier_or_an_offset(rng, metric, dtype):
    Z = rng.standard_normal((400, 8)).astype(dtype)
    G = (Z + 0.01 * rng.standard_normal(Z.shape)).astype(dtype)
    plain = recall_at_k(Z, G, k=1, metric=metric)
    far = G.copy()
    far[0] *= 1e6
    assert (
        abs(recall_at_k(Z, far, k=1, metric=metric) - plain) < 0.01 or metric == "dot"
    )
    if metric in ("euclidean", "manhattan"):
        assert plain == 1
        assert recall_at_k(Z + 1000, G + 1000, k=1, metric=metric) == 1
        assert recall_at_k(Z * dtype(1e-25), G * dtype(1e-25), k=1, metric=metric) == 1
        for size in (1e200, 1e-200):
            wide = Z.astype(float) * size, rng.permutation(G).astype(float) * size
            assert recall_at_k(*wide, k=1, metric=metric) < 0.05


def test_neighbours_beside_an_offset_in_float32(rng):
    Z = rng.standard_normal((3000, 8)).astype(np.float32) + np.float32(1000)
    from skmeta.core.distances import get_metric
    from skmeta.core.retrieval import top_k

    _, found = top_k(Z[:50], Z, get_metric("euclidean"), 5)
    exact = Z.astype(float)
    D = np.linalg.norm(exact[:50, None] - exact, axis=2)
    assert_array_equal(found, np.argsort(D, axis=1, kind="stable")[:, :5])


def test_a_metric_that_gives_nan_or_infinity(rng):
    Z = rng.standard_normal((20, 3))
    shuffled = rng.permutation(Z)
    for measure in (recall_at_k, median_rank, mean_average_precision):
        with pytest.raises(ValueError, match="gives NaN"):
            measure(Z, shuffled, metric=lambda a, b: np.nan)
    assert median_rank(Z, shuffled, metric=lambda a, b: np.inf) == 10.5
    assert recall_at_k(Z, shuffled, k=1, metric=lambda a, b: np.inf) == 0


def test_answers_do_not_depend_on_other_queries_among_equal_rows():
    views = make_paired_views(400, n_features=(40, 50), random_state=0).views
    retriever = CrossModalRetriever(CCAMapper(37)).fit(views)
    for seed in range(10):
        rows = np.random.default_rng(seed).integers(0, 400, 3 + seed % 5)
        retriever.set_gallery(np.vstack([views["view1"][rows]] * 3))
        together = retriever.kneighbors(views["view0"][:4], 4)[1]
        for i in range(4):
            alone = retriever.kneighbors(views["view0"][[i]], 4)[1]
            assert_array_equal(together[[i]], alone)
        # Of three equal rows the first two come before anything else can.
        assert (together[:, 0] < len(rows)).all()


def test_many_neighbours_in_bounded_memory(rng):
    import tracemalloc

    from skmeta.core.distances import get_metric
    from skmeta.core.retrieval import top_k

    Q, G = rng.standard_normal((300, 64)), rng.standard_normal((4000, 64))
    tracemalloc.start()
    top_k(Q, G, get_metric("euclidean"), 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6  # the differences of all pairs would be 300 MB a pass


# ---- names and forms -----------------------------------------------------------------


def test_columns_of_y_are_checked(frames):
    dA, dB = frames
    mapper = CCAMapper().fit(dA, dB)
    turned = dB[dB.columns[::-1]]
    retriever = CrossModalRetriever(CCAMapper()).fit(dA, dB)
    for call in (
        lambda: mapper.score(dA, turned),
        lambda: mapper.transform_view(turned, "Y"),
        lambda: mapper.transform(Views(X=dA[dA.columns[::-1]], Y=dB)),
        lambda: retriever.set_gallery(turned),
    ):
        with pytest.raises(ValueError, match="columns of view '[XY]' differ"):
            call()


def test_views_by_position_take_their_own_columns_alone(frames):
    frame = pd.concat(frames, axis=1)
    for data in (frame, pl.from_pandas(frame)):
        for columns in (slice(5, 12), list(range(5, 12)), np.arange(12) >= 5):
            mapper = CCAMapper(2, views={"a": slice(0, 5), "b": columns}).fit(data)
            alone = data[list(frames[1].columns)]
            assert_allclose(
                mapper.transform_view(alone, "b"), mapper.transform_view(data, "b")
            )
    mapper = CCAMapper(2, views={"a": slice(0, 5), "b": slice(5, 12)})
    mapper.fit(frame.to_numpy())
    expected = mapper.transform_view(frame.to_numpy()[:, 5:], "b")
    assert_allclose(mapper.transform_view(frame.iloc[:, 5:].to_numpy(), "b"), expected)


def test_a_text_column_as_a_table_of_one_and_a_single_text(rng):
    frame = pd.DataFrame(
        {"n": rng.standard_normal(60), "t": [f"w{i % 3} w{i % 5}" for i in range(60)]}
    )
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline

    text = make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0))
    views = ColumnTransformer([("n", StandardScaler(), ["n"]), ("t", text, "t")])
    mapper = CCAMapper(1, views=views).fit(frame)
    expected = mapper.transform_view(frame["t"].tolist(), "t")
    assert_allclose(mapper.transform_view(frame[["t"]].to_numpy(), "t"), expected)
    with pytest.raises(ValueError, match="single string; pass a list"):
        mapper.transform_view("w1 w2", "t")


def test_a_single_column_is_a_view(frames):
    frame = pd.concat(frames, axis=1)
    by_name = CCAMapper(views={"a": "a", "b": ["t", "u"]}).fit(frame)
    by_list = CCAMapper(views={"a": ["a"], "b": ["t", "u"]}).fit(frame)
    assert_array_equal(by_name.transform(frame), by_list.transform(frame))


def test_labels_are_labels_whatever_the_views_are_called(pair):
    A, B = pair
    y = A[:, 0] > 0
    one, other = Views(X=A, Y=B), Views(a=A, b=B)
    scorer = RetrievalScorer(k=1)
    assert scorer(CCAMapper(2).fit(one), one, y) == scorer(
        CCAMapper(2).fit(other), other, y
    )


def test_ids_stay_what_they_are(pair):
    A, B = pair
    retriever = CrossModalRetriever(CCAMapper(2)).fit(A, B)
    _, found = retriever.set_gallery(B[:4], ids=[1, "a", 2, "b"]).kneighbors(A[:1], 4)
    assert set(found[0]) == {1, "a", 2, "b"}
    _, found = retriever.set_gallery(B[:2], ids=[("p", 1), ("q", 2)]).kneighbors(
        A[:1], 2
    )
    assert set(found[0]) == {("p", 1), ("q", 2)}


def test_pandas_output_of_named_pairs(frames):
    mapper = CCAMapper(2).set_output(transform="pandas").fit(*frames)
    first, _ = mapper.transform(Views(X=frames[0], Y=frames[1]))
    assert list(first.columns) == ["X__0", "X__1"]


# ---- nothing is lost -----------------------------------------------------------------


def test_a_fit_that_fails_changes_nothing(pair):
    A, B = pair
    mapper = CCAMapper().fit(A, B)
    before = mapper.transform(A)
    for X, Y in ((np.hstack([A, A]), B[:10]), (A[:, :3], np.ones((300, 2)))):
        with pytest.raises(ValueError, match="rows|zero variance"):
            mapper.fit(X, Y)
        assert_array_equal(mapper.transform(A), before)


def test_a_refit_on_views_forgets_the_columns_of_x(frames):
    for estimator in (CCAMapper(2), CrossModalRetriever(CCAMapper(2))):
        estimator.fit(*frames)
        assert estimator.n_features_in_ == 5
        estimator.fit(Views(a=frames[0], b=frames[1]))
        assert not hasattr(estimator, "n_features_in_")
        assert not hasattr(estimator, "feature_names_in_")


class Counting(StandardScaler):
    """Counts how often it is fitted."""

    fits = 0

    def fit(self, X, y=None):
        Counting.fits += 1
        return super().fit(X, y)

    def fit_transform(self, X, y=None):
        return self.fit(X, y).transform(X)


@pytest.mark.parametrize(
    ("params", "y"),
    [
        (dict(fusion="bogus"), None),
        (dict(shrinkage={"z": 0}), None),
        (dict(standardize={"z": True}), None),
        (dict(), [1, 2]),
    ],
)
def test_wrong_parameters_are_found_before_any_work(frames, params, y):
    frame = pd.concat(frames, axis=1)
    views = ColumnTransformer(
        [("a", Counting(), list("abcde")), ("b", Counting(), list("tuv"))]
    )
    Counting.fits = 0
    with pytest.raises(ValueError, match="bogus|'z'|300 rows, but y has 2"):
        CCAMapper(views=views, **params).fit(frame, y)
    with pytest.raises(ValueError, match="Unknown view 'zz'"):
        CrossModalRetriever(CCAMapper(views=views), query="zz").fit(frame)
    with pytest.raises(ValueError, match="'tuv'|not there"):
        CCAMapper(views=views).fit(frame[list("abcde")])
    assert Counting.fits == 0


def test_masks_of_what_is_present_are_kept_and_copied(pair):
    A, B = pair
    mask = np.arange(300) % 5 != 0
    views = Views.from_dict({"a": A, "b": B}, present={"a": mask})
    mask[:] = False
    assert views.present["a"].sum() == 240
    assert Views.from_dict(views).present["a"].sum() == 240


def test_lists_with_rows_of_none(pair):
    A, B = pair
    rows = [None if i % 5 == 0 else list(row) for i, row in enumerate(A)]
    found = CCAMapper(2).fit(Views(a=rows, b=B))
    gaps = A.copy()
    gaps[::5] = np.nan
    assert_allclose(
        found.correlations_, CCAMapper(2).fit(Views(a=gaps, b=B)).correlations_
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_small_integers_index_rows(pair, dtype):
    views = Views(a=pair[0], b=pair[1])
    assert_array_equal(views[np.arange(5, dtype=dtype)]["a"], pair[0][:5])


def test_join_refuses_null_keys():
    a = pl.DataFrame({"k": ["p", None], "x": [1, 2]})
    b = pl.DataFrame({"k": ["p", "q"], "y": [1, 2]})
    with pytest.raises(ValueError, match="'a' has a row without a key"):
        Views.join(on="k", a=a, b=b)
    left = pd.DataFrame({"x": [1.0, 2, 3]}, index=[1, np.nan, 3])
    right = pd.DataFrame({"y": [5.0, 6]}, index=[np.nan, 1])
    with pytest.raises(ValueError, match="'left' has a row without a key"):
        Views.join(left=left, right=right)


# ---- what is said --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda A, B: CCAMapper().fit(A, ["u", "w"] * 150), ValueError, "second view"),
        (
            lambda A, B: CCAMapper().fit(Views(a=A, b=np.full((300, 2), "x"))),
            ValueError,
            "'b' holds text",
        ),
        (
            lambda A, B: CCAMapper(views={"a": slice(3, 3), "b": [0]}).fit(A),
            ValueError,
            "'a' selects no columns",
        ),
        (
            lambda A, B: CCAMapper(views={"a": None, "b": [0]}).fit(A),
            ValueError,
            "'a' selects no columns",
        ),
        (
            lambda A, B: CCAMapper(views={0: [0], 1: [1]}).fit(A),
            TypeError,
            "Names of views are strings; got 0",
        ),
        (
            lambda A, B: CCAMapper(
                views=ColumnTransformer(
                    [("a", "passthrough", [0]), ("a", "passthrough", [1])]
                )
            ).fit(A),
            ValueError,
            "must differ",
        ),
        (
            lambda A, B: CCAMapper(
                views=ColumnTransformer(
                    [("a", "passthrough", [0]), ("b", "passthrough", [1])],
                    transformer_weights={"a": 2.0},
                )
            ).fit(A),
            ValueError,
            "transformer_weights",
        ),
        (lambda A, B: Views.join(a=A, b=B, on=["k", "l"]), TypeError, "one column"),
        (lambda A, B: RetrievalScorer(k=0), ValueError, "at least 1"),
    ],
)
def test_messages_say_what_is_wrong(pair, call, error, message):
    with pytest.raises(error, match=message):
        call(*pair)
