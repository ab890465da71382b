"""`CCAMapper`: what comes out, against closed forms and other estimators."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmeta import CCAMapper, Views
from skmeta.metrics import canonical_correlations


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((300, 3))
    X = z @ rng.standard_normal((3, 7)) + rng.standard_normal((300, 7)) + 5
    Y = z @ rng.standard_normal((3, 5)) + rng.standard_normal((300, 5)) - 2
    return X, Y


@pytest.fixture
def views(arrays):
    return Views(image=arrays[0], text=arrays[1])


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 240)
    words = np.array(["red stone fire", "blue sea water", "green leaf tree"])
    noise = np.array(["old", "new", "big", "small", "cold"])
    return pd.DataFrame(
        {
            "size": kind + 0.5 * rng.standard_normal(240),
            "weight": 10 * kind + 5 * rng.standard_normal(240),
            "shop": np.array(["a", "b", "c"])[(kind + (rng.random(240) < 0.2)) % 3],
            "text": [f"{words[k]} {' '.join(rng.choice(noise, 2))}" for k in kind],
            "kind": np.array(["fire", "water", "tree"])[kind],
        }
    )


def column_views(n_text=4):
    table = ColumnTransformer(
        [
            ("n", StandardScaler(), ["size", "weight"]),
            ("c", OneHotEncoder(drop="first", sparse_output=False), ["shop"]),
        ]
    )
    text = make_pipeline(TfidfVectorizer(), TruncatedSVD(n_text, random_state=0))
    return ColumnTransformer(
        [
            ("table", table, ["size", "weight", "shop"]),
            ("text", text, "text"),
            ("unused", "drop", ["kind"]),
        ]
    )


# ---- the forms of views= -------------------------------------------------------------


def test_all_forms_give_the_same_space(arrays):
    X, Y = arrays
    pair = CCAMapper(3).fit(X, Y)
    views = CCAMapper(3).fit(Views(a=X, b=Y))
    Z = np.hstack(pair.transform(X, Y))
    assert_allclose(views.transform(Views(a=X, b=Y)), Z, atol=1e-12)
    table = np.hstack([X, Y])
    names = [f"c{i}" for i in range(12)]
    frame = pd.DataFrame(table, columns=names)
    mask = np.arange(12) >= 7
    for selectors, data in (
        ({"a": slice(0, 7), "b": slice(7, 12)}, table),
        ({"a": list(range(7)), "b": mask}, table),
        ({"a": names[:7], "b": names[7:]}, frame),
        ({"a": slice("c0", "c6"), "b": make_column_selector("^c(?:[789]|1.)$")}, frame),
        ({"a": lambda d: names[:7], "b": mask}, pl.from_pandas(frame)),
    ):
        mapper = CCAMapper(3, views=selectors).fit(data)
        assert_allclose(mapper.transform(data), Z, atol=1e-12)
        assert_array_equal(mapper.n_features_in_, 12)
    columns = ColumnTransformer(
        [("a", "passthrough", names[:7]), ("b", StandardScaler(), names[7:])],
        remainder="passthrough",
    )
    mapper = CCAMapper(3, views=columns).fit(frame.assign(extra=1.0))
    assert_allclose(mapper.transform(frame.assign(extra=1.0)), Z, atol=1e-10)


def test_views_may_share_a_column_name(arrays):
    X, Y = arrays
    frames = [pd.DataFrame(A).add_prefix("c") for A in (X, Y)]
    views = Views(a=frames[0], b=frames[1])
    mapper = CCAMapper(2).set_output(transform="pandas").fit(views)
    Z = mapper.transform(views)
    assert Z.columns.tolist() == ["a__0", "a__1", "b__0", "b__1"]
    both = {"a": ["c0", "c1", "c2"], "b": ["c2", "c3", "c4"]}
    with pytest.warns(UserWarning, match="weights are not unique|hold by") as record:
        CCAMapper(2, views=both, shrinkage=0.0).fit(
            frames[0].assign(c4=frames[0]["c3"])
        )
    assert len(record) == 1


def test_no_n_features_in_on_views(views):
    mapper = CCAMapper().fit(views)
    assert not hasattr(mapper, "n_features_in_")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X, Y: CCAMapper().fit(X), ValueError, "requires y to be passed, but"),
        (lambda X, Y: CCAMapper().fit({"a": X}), TypeError, "Views.from_dict"),
        (lambda X, Y: CCAMapper().fit(Views(a=X)), ValueError, "Two or more views"),
        (lambda X, Y: CCAMapper().fit(X, Views(a=Y)), TypeError, "Views as X alone"),
        (
            lambda X, Y: CCAMapper(views={"a": [0]}).fit(X),
            ValueError,
            "Two or more views",
        ),
        (
            lambda X, Y: CCAMapper(views={"a": [0], "b": [1]}).fit(Views(a=X, b=Y)),
            TypeError,
            "leave views=None",
        ),
        (lambda X, Y: CCAMapper(views=[0, 1]).fit(X), ValueError, "views"),
        (
            lambda X, Y: CCAMapper(views=StandardScaler()).fit(X),
            TypeError,
            "ColumnTransformer",
        ),
        (
            lambda X, Y: CCAMapper(views={"a": [], "b": [1]}).fit(X),
            ValueError,
            "'a' selects no columns",
        ),
        (
            lambda X, Y: CCAMapper().fit(Views(mean=X, b=Y)),
            ValueError,
            "'mean' is a word of fusion=",
        ),
        (lambda X, Y: CCAMapper(fusion="sum").fit(X, Y), ValueError, "fusion must be"),
        (
            lambda X, Y: CCAMapper(shrinkage={"Z": 0.1}).fit(X, Y),
            ValueError,
            "names view 'Z'.*X.*Y",
        ),
        (
            lambda X, Y: CCAMapper(shrinkage={"X": 2}).fit(X, Y),
            ValueError,
            r"shrinkage\['X'\] must be in",
        ),
        (
            lambda X, Y: CCAMapper(standardize={"X": 2}).fit(X, Y),
            ValueError,
            "must be a bool",
        ),
        (lambda X, Y: CCAMapper(shrinkage=-0.1).fit(X, Y), ValueError, "shrinkage"),
        (
            lambda X, Y: CCAMapper().fit(
                Views(a=np.ones((9, 2, 2)), b=np.ones((9, 2)))
            ),
            ValueError,
            r"reshape\(len\(array\), -1\)",
        ),
        (
            lambda X, Y: CCAMapper().fit(Views(a=["x", "y"], b=np.ones((2, 2)))),
            ValueError,
            "could not convert|dtype='numeric'|shape",
        ),
        (
            lambda X, Y: CCAMapper().fit(X, Y, sample_weight=-np.ones(300)),
            ValueError,
            "[Nn]egative",
        ),
    ],
)
def test_wrong_calls_say_what_to_do(arrays, call, error, message):
    with pytest.raises(error, match=message):
        call(*arrays)


def test_transform_in_another_form_is_refused(arrays, views):
    X, Y = arrays
    with pytest.raises(TypeError, match="was fitted on Views"):
        CCAMapper().fit(views).transform(X)
    with pytest.raises(ValueError, match="Unknown view 'sound'"):
        CCAMapper().fit(views).transform_view(X, "sound")
    with pytest.raises(ValueError, match="Unknown view 'image'"):
        CCAMapper().fit(X, Y).transform(views)


# ---- two arrays ----------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["concat", "mean", "posterior"])
def test_two_arrays_transform_is_the_block_of_x(arrays, fusion):
    X, Y = arrays
    mapper = CCAMapper(3, fusion=fusion).fit(X, Y)
    Zx, Zy = mapper.transform(X, Y)
    assert_array_equal(mapper.transform(X), Zx)
    assert_allclose(mapper.fit_transform(X, Y), Zx)
    assert_array_equal(mapper.transform_view(X, "X"), Zx)
    assert_array_equal(mapper.transform_view(Y, "Y"), Zy)
    named = mapper.transform_views(X, Y)
    assert_array_equal(named["X"], Zx)
    assert_array_equal(named["Y"], Zy)
    assert mapper.get_feature_names_out().tolist() == ["X__0", "X__1", "X__2"]


def test_two_arrays_with_rows_that_lack_one(arrays):
    X, Y = arrays
    mapper = CCAMapper(3).fit(X, Y)
    gaps = Y.copy()
    gaps[::4] = np.nan
    named = CCAMapper(3).fit(Views(a=X, b=Y)).transform(Views(a=X, b=gaps))
    for found, expected in zip(
        mapper.transform(X, gaps), np.hsplit(named, 2), strict=True
    ):
        assert_allclose(found, expected, atol=1e-12)


def test_two_arrays_named_views_are_the_pair(arrays):
    X, Y = arrays
    mapper = CCAMapper(3, fusion="mean").fit(X, Y)
    pair = mapper.transform(X, Y)
    for found, expected in zip(mapper.transform(Views(X=X, Y=Y)), pair, strict=True):
        assert_array_equal(found, expected)
    assert_array_equal(mapper.transform(Views(X=X)), pair[0])
    from_y, same = mapper.transform(Views(Y=Y))
    assert_array_equal(same, pair[1])
    assert np.corrcoef(from_y[:, 0], pair[0][:, 0])[0, 1] > 0.5


def test_predict_is_least_squares_where_all_components_are_kept(arrays):
    X, Y = arrays  # Y has fewer columns, so that its components span it
    mapper = CCAMapper(shrinkage=0.0).fit(X, Y)
    assert_allclose(mapper.predict(X), LinearRegression().fit(X, Y).predict(X))
    # And whatever the shrinkage, regression on the scores of X.
    mapper = CCAMapper(2, shrinkage=0.7).fit(X, Y)
    S = mapper.transform(X)
    assert_allclose(mapper.predict(X), LinearRegression().fit(S, Y).predict(S))


def test_predict_of_one_column_has_its_shape(arrays):
    X, Y = arrays
    assert CCAMapper().fit(X, Y[:, 0]).predict(X).shape == (300,)
    assert CCAMapper().fit(X, Y[:, :1]).predict(X).shape == (300, 1)
    assert not hasattr(CCAMapper(views={"a": [0], "b": [1]}), "predict")


def test_inverse_transform_is_the_best_linear_reconstruction(arrays):
    X, Y = arrays
    mapper = CCAMapper(3, shrinkage=0.2).fit(X, Y)
    Zx, Zy = mapper.transform(X, Y)
    back = mapper.inverse_transform(Zx, Zy)
    for Z, A, B in ((Zx, X, back[0]), (Zy, Y, back[1])):
        assert_allclose(B, LinearRegression().fit(Z, A).predict(Z), atol=1e-8)
    assert_array_equal(mapper.inverse_transform(Zx), back[0])
    full = CCAMapper(shrinkage=0.0).fit(X[:, :5], Y)
    assert_allclose(full.inverse_transform(full.transform(X[:, :5])), X[:, :5])


@pytest.mark.parametrize("fusion", ["concat", "mean", "posterior", "image", "text"])
def test_inverse_transform_of_fused_coordinates(views, fusion):
    mapper = CCAMapper(3, fusion=fusion).fit(views)
    Z = mapper.transform(views)
    back = mapper.inverse_transform(Z)
    assert list(back) == ["image", "text"]
    for name, B in back.items():
        expected = LinearRegression().fit(Z, views[name]).predict(Z)
        assert_allclose(B, expected, atol=1e-8)
    with pytest.raises(ValueError, match="shape"):
        mapper.inverse_transform(Z[:, :2])


# ---- coordinates and fusion ----------------------------------------------------------


@given(power=st.floats(0, 4))
def test_coordinates_are_unit_scores_times_a_power_of_the_correlation(power):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    Y = X[:, :4] + rng.standard_normal((200, 4))
    mapper = CCAMapper(3, correlation_power=power).fit(X, Y)
    S = (X - mapper.means_["X"]) @ mapper.weights_["X"]
    assert_allclose(S.std(axis=0), 1)
    assert_allclose(mapper.transform(X), S * mapper.correlations_**power, atol=1e-12)


def test_concat_and_mean_and_one_view(views):
    each = CCAMapper(3).fit(views).transform_views(views)
    for fusion, expected in (
        ("concat", np.hstack([each["image"], each["text"]])),
        ("mean", (each["image"] + each["text"]) / 2),
        ("image", each["image"]),
        ("text", each["text"]),
    ):
        mapper = CCAMapper(3, fusion=fusion).fit(views)
        assert_allclose(mapper.transform(views), expected, atol=1e-12)


def test_posterior_is_that_of_probabilistic_cca(views):
    """Bach & Jordan (2005), section 4.1: E[z | x1, x2] and E[z | x1], M = P^(1/2)."""
    mapper = CCAMapper(3, shrinkage=0.0, fusion="posterior", correlation_power=0)
    mapper.fit(views)
    S = mapper.transform_views(views)
    P = mapper.correlations_
    # z | x1, x2 ~ by Gaussian conditioning in the generative model itself:
    # s_i = P^(1/2) z + (I - P)^(1/2) e_i.
    for k in range(3):
        root = np.sqrt(P[k])
        cov = np.array([[1, P[k]], [P[k], 1]])
        both = np.column_stack([S["image"][:, k], S["text"][:, k]])
        expected = both @ np.linalg.solve(cov, [root, root])
        assert_allclose(mapper.transform(views)[:, k], expected, atol=1e-8)
    alone = mapper.transform(Views(image=views["image"]))
    assert_allclose(alone, np.sqrt(P) * S["image"], atol=1e-8)
    assert mapper.get_feature_names_out().tolist() == [
        f"ccamapper{i}" for i in range(3)
    ]


def test_a_missing_view_is_its_conditional_mean(views):
    for shrinkage in (0.0, 0.6):
        mapper = CCAMapper(3, shrinkage=shrinkage, correlation_power=1).fit(views)
        S = {
            name: (views[name] - mapper.means_[name]) @ mapper.weights_[name]
            for name in views
        }
        regression = LinearRegression().fit(S["image"], S["text"])
        Z = mapper.transform(Views(image=views["image"]))
        expected = regression.predict(S["image"]) * mapper.correlations_
        assert_allclose(Z[:, 3:], expected, atol=1e-10)


def test_rows_that_lack_a_view(views):
    mapper = CCAMapper(3).fit(views)
    image = views["image"].copy()
    image[::3] = np.nan
    text = views["text"].copy()
    text[1::3] = np.nan
    gaps = Views(image=image, text=text)
    Z = mapper.transform(gaps)
    assert_allclose(Z[2::3], mapper.transform(views)[2::3], atol=1e-12)
    only_text = mapper.transform(Views(text=views["text"]))
    assert_allclose(Z[::3], only_text[::3], atol=1e-12)
    only_image = mapper.transform(Views(image=views["image"]))
    assert_allclose(Z[1::3], only_image[1::3], atol=1e-12)
    each = mapper.transform_views(gaps)
    assert_array_equal(np.isnan(each["image"]).all(axis=1), np.arange(300) % 3 == 0)
    samples = mapper.score_samples(gaps)
    assert_allclose(samples[2::3], mapper.score_samples(views)[2::3])
    with pytest.raises(ValueError, match="Row 0 lacks view 'image'.*fusion='image'"):
        mapper.transform_view(gaps, "image")
    # In fit they stand aside.
    whole = CCAMapper(3).fit(views[2::3])
    assert_allclose(CCAMapper(3).fit(gaps).correlations_, whole.correlations_)
    masks = {"image": np.arange(300) % 3 != 0, "text": np.arange(300) % 3 != 1}
    filled = Views.from_dict(
        {n: np.where(masks[n][:, None], views[n], -7.0) for n in views}, present=masks
    )
    assert_allclose(CCAMapper(3).fit(filled).correlations_, whole.correlations_)
    assert_allclose(mapper.transform(filled), Z)


def test_predict_view_from_any_views():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400, 2))
    views = Views(
        **{
            name: z @ rng.standard_normal((2, p)) + rng.standard_normal((400, p))
            for name, p in (("a", 4), ("b", 3), ("c", 5))
        }
    )
    mapper = CCAMapper(3, shrinkage=0.3, correlation_power=0).fit(views)
    S = mapper.transform_views(views)
    for source in ("a", "b", ["a", "b"], None):
        given = [source] if source in ("a", "b") else ["a", "b"]
        joint = np.hstack([S[name] for name in given])
        expected = LinearRegression().fit(joint, views["c"]).predict(joint)
        found = mapper.predict_view(views, source=source, target="c")
        assert_allclose(found, expected, atol=1e-8)
    alone = mapper.predict_view(views["a"], source="a", target="c")
    assert_allclose(alone, mapper.predict_view(views, source="a", target="c"))
    absent = mapper.predict_view(views[["a"]], target="c")
    assert_allclose(absent, alone)
    with pytest.raises(ValueError, match="both the source and the target"):
        mapper.predict_view(views, source="c", target="c")
    with pytest.raises(ValueError, match="none of the views"):
        mapper.predict_view(views[["c"]], target="c")


# ---- scores --------------------------------------------------------------------------


def test_score_is_the_sum_of_held_out_correlations(arrays, views):
    X, Y = arrays
    mapper = CCAMapper(3).fit(X[:200], Y[:200])
    Zx, Zy = mapper.transform(X[200:], Y[200:])
    expected = sum(np.corrcoef(Zx[:, i], Zy[:, i])[0, 1] for i in range(3))
    assert_allclose(mapper.score(X[200:], Y[200:]), expected)
    by_views = CCAMapper(3).fit(views[:200]).score(views[200:])
    assert_allclose(by_views, expected)
    assert_allclose(mapper.score(X[:200], Y[:200]), mapper.correlations_.sum())
    with pytest.raises(ValueError, match="requires y"):
        mapper.score(X)


def test_score_of_three_views_averages_over_pairs():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200, 1))
    views = Views(**{n: z + rng.standard_normal((200, 2)) for n in "abc"})
    mapper = CCAMapper(1).fit(views)
    Z = mapper.transform_views(views)
    pairs = [np.corrcoef(Z[a][:, 0], Z[b][:, 0])[0, 1] for a, b in ("ab", "ac", "bc")]
    assert_allclose(mapper.score(views), np.mean(pairs))
    assert_allclose(mapper.correlations_[0], np.mean(pairs))


def test_score_samples_is_a_gaussian_log_density(arrays):
    X, Y = arrays
    mapper = CCAMapper(3, correlation_power=0).fit(X, Y)
    S = np.hstack(mapper.transform(X, Y))
    cov = np.cov(S, rowvar=False, ddof=0)
    expected = multivariate_normal(np.zeros(6), cov).logpdf(S)
    assert_allclose(mapper.score_samples(X, Y), expected, atol=1e-7)
    alone = multivariate_normal(np.zeros(3), cov[:3, :3]).logpdf(S[:, :3])
    assert_allclose(mapper.score_samples(X), alone, atol=1e-7)


def test_score_pairs_is_the_information_of_a_pair(arrays):
    """Bach & Jordan's model, one component: the ratio of densities in closed form."""
    X, Y = arrays
    mapper = CCAMapper(1, shrinkage=0, correlation_power=0).fit(X, Y)
    (s, t), rho = (Z[:, 0] for Z in mapper.transform(X, Y)), mapper.correlations_[0]
    within = (rho**2 * (s**2 + t**2) - 2 * rho * s * t) / (1 - rho**2)
    expected = -0.5 * (np.log(1 - rho**2) + within)
    assert_allclose(mapper.score_pairs(X, Y), expected, atol=1e-7)
    assert_allclose(mapper.score_pairs(X), 0, atol=1e-12)


def test_score_pairs_does_not_mind_what_is_rare(arrays):
    X, Y = arrays
    mapper = CCAMapper(2, shrinkage=0).fit(X, Y)
    mean = mapper.means_["X"], mapper.means_["Y"]
    a, b = X + 3 * (X - mean[0]), Y + 3 * (Y - mean[1])  # right, but far out
    assert (mapper.score_pairs(a, b) > mapper.score_pairs(a, -b)).mean() > 0.9
    usual, rare = mapper.score_samples(X, Y), mapper.score_samples(a, b)
    assert rare.mean() < usual.mean() < 0
    assert mapper.score_pairs(a, b).mean() > 0


def test_score_samples_finds_wrong_pairs(arrays):
    X, Y = arrays
    mapper = CCAMapper(3).fit(X, Y)
    right, wrong = mapper.score_samples(X, Y), mapper.score_samples(X, np.roll(Y, 1, 0))
    auc = np.mean(right[:, None] > wrong)
    assert auc > 0.75


# ---- weights, units, orders: properties ----------------------------------------------


@given(seed=st.integers(0, 200))
def test_units_offsets_and_orders_change_nothing(seed):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((80, 2))
    X = z @ rng.standard_normal((2, 5)) + rng.standard_normal((80, 5))
    Y = z @ rng.standard_normal((2, 4)) + rng.standard_normal((80, 4))
    rows, columns = rng.permutation(80), rng.permutation(5)
    units, offsets = 10 ** rng.uniform(-3, 3, 5), rng.uniform(-100, 100, 5)
    for shrinkage in (0.0, "auto"):
        plain = CCAMapper(shrinkage=shrinkage).fit(X, Y)
        Z = plain.transform(X)
        other = CCAMapper(shrinkage=shrinkage).fit(X * units + offsets, Y)
        assert_allclose(other.correlations_, plain.correlations_, atol=1e-9)
        assert_allclose(other.transform(X * units + offsets), Z, atol=1e-7)
        other = CCAMapper(shrinkage=shrinkage).fit(X[rows], Y[rows])
        assert_allclose(other.transform(X), Z, atol=1e-8)
        other = CCAMapper(shrinkage=shrinkage).fit(X[:, columns], Y)
        assert_allclose(np.abs(other.transform(X[:, columns])), np.abs(Z), atol=1e-8)
        weights = other.weights_["X"][np.argsort(columns)]
        assert_allclose(np.abs(weights), np.abs(plain.weights_["X"]), atol=1e-8)


@given(seed=st.integers(0, 200))
def test_sample_weight_counts_rows(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 4))
    Y = X[:, :3] + rng.standard_normal((50, 3))
    weight = rng.integers(0, 4, 50)
    rows = np.repeat(np.arange(50), weight)
    weighted = CCAMapper().fit(X, Y, sample_weight=weight)
    repeated = CCAMapper().fit(X[rows], Y[rows])
    assert_allclose(weighted.correlations_, repeated.correlations_, atol=1e-10)
    assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-8)
    assert_allclose(weighted.shrinkage_["X"], repeated.shrinkage_["X"])


def test_planted_factors_are_recovered():
    from skmeta.datasets import make_paired_views

    bunch = make_paired_views(
        20_000, n_features=(20, 30), correlations=(0.9, 0.7, 0.4), random_state=0
    )
    mapper = CCAMapper(4, shrinkage=0.0, correlation_power=0).fit(bunch.views)
    assert_allclose(mapper.correlations_[:3], [0.9, 0.7, 0.4], atol=0.02)
    assert mapper.correlations_[3] < 0.1
    for name, Z in mapper.transform_views(bunch.views).items():
        found = np.corrcoef(Z[:, :3], bunch.scores[name], rowvar=False)[:3, 3:]
        assert_allclose(np.abs(np.diagonal(found)), 1, atol=0.02)


def test_shrinkage_holds_where_plain_cca_overfits():
    """PEERS.md: n = 60, p = q about 100; .1 held out without shrinkage."""
    from skmeta.datasets import make_paired_views

    bunch = make_paired_views(
        1060, n_features=(100, 100), correlations=(0.95,), random_state=1
    )
    train, test = bunch.views[:60], bunch.views[60:]
    with pytest.warns(UserWarning):
        plain = CCAMapper(1, shrinkage=0.0).fit(train)
    assert_allclose(plain.correlations_, 1.0)
    auto = CCAMapper(1).fit(train)
    assert auto.score(test) > plain.score(test) + 0.2


def test_float32_is_float64_to_its_precision(arrays):
    X, Y = (A.astype(np.float32) for A in arrays)
    single = CCAMapper(shrinkage=0.0).fit(X, Y)
    double = CCAMapper(shrinkage=0.0).fit(X.astype(float), Y.astype(float))
    assert_allclose(single.correlations_, double.correlations_, atol=1e-6)
    views = Views(a=X, b=Y)
    mapper = CCAMapper(2).fit(views)
    for result in (
        mapper.transform(views),
        mapper.transform_view(X, "a"),
        mapper.predict_view(X, source="a", target="b"),
        mapper.inverse_transform(mapper.transform(views))["a"],
        single.predict(X),
        single.inverse_transform(single.transform(X)),
    ):
        assert result.dtype == np.float32


def test_standardize_by_view(arrays):
    X, Y = arrays
    raw = CCAMapper(2, shrinkage=1.0, standardize={"X": False}).fit(X, Y)
    # PLS of centred X and standardised Y: the SVD of their cross-covariance.
    C = (X - X.mean(axis=0)).T @ StandardScaler().fit_transform(Y)
    U = np.linalg.svd(C)[0][:, :2]
    W = raw.weights_["X"] / np.linalg.norm(raw.weights_["X"], axis=0)
    assert_allclose(np.abs(np.sum(U * W, axis=0)), 1, atol=1e-9)
    assert_allclose(
        CCAMapper(2, shrinkage=0.0, standardize=False).fit(X, Y).correlations_,
        CCAMapper(2, shrinkage=0.0).fit(X, Y).correlations_,
    )


def test_nothing_of_the_training_rows_is_kept(arrays):
    import pickle

    X, Y = arrays
    small = len(pickle.dumps(CCAMapper(3).fit(X, Y)))
    large = len(
        pickle.dumps(CCAMapper(3).fit(np.tile(X, (50, 1)), np.tile(Y, (50, 1))))
    )
    assert abs(large - small) < 100


def test_loadings_and_rank(arrays):
    X, Y = arrays
    mapper = CCAMapper(2).fit(X, Y)
    S = X @ mapper.weights_["X"]
    expected = np.corrcoef(X, S, rowvar=False)[:7, 7:]
    assert_allclose(mapper.loadings_["X"], expected, atol=1e-10)
    assert mapper.rank_ == {"X": 7, "Y": 5}


def test_default_number_of_components():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((2, 300, 80))
    assert len(CCAMapper().fit(X, Y).correlations_) == 64
    assert len(CCAMapper().fit(X[:, :9], Y).correlations_) == 9
    assert len(CCAMapper(70).fit(X, Y).correlations_) == 70


# ---- tables with text, pipelines and searches ----------------------------------------


def test_column_transformer_in_a_pipeline_and_a_search(frame):
    pipeline = Pipeline(
        [
            ("mapper", CCAMapper(views=column_views())),
            ("classify", LogisticRegression()),
        ]
    )
    search = GridSearchCV(
        pipeline,
        {
            "mapper__views__text__truncatedsvd__n_components": [1, 4],
            "mapper__fusion": ["concat", "posterior", "text"],
            "mapper__shrinkage": [0.1, "auto"],
        },
        cv=3,
        error_score="raise",
    ).fit(frame, frame["kind"])
    assert search.best_score_ > 0.95
    assert (search.predict(frame[:5]) == frame["kind"][:5]).all()
    fitted = search.best_estimator_[0]
    assert_array_equal(fitted.feature_names_in_, frame.columns)


def test_frozen_mapper_of_unlabelled_pairs(frame):
    mapper = CCAMapper(2, views=column_views()).fit(frame)
    few = frame.groupby("kind").head(4)
    model = make_pipeline(FrozenEstimator(mapper), LogisticRegression())
    model.fit(few, few["kind"])
    assert model.score(frame, frame["kind"]) > 0.9


def test_one_view_alone_in_every_way(frame):
    mapper = CCAMapper(2, views=column_views()).fit(frame)
    Z = mapper.transform_view(frame, "text")
    texts = frame["text"]
    for alone in (frame[["text"]], texts, texts.tolist(), texts.to_numpy()):
        assert_allclose(mapper.transform_view(alone, "text"), Z, atol=1e-12)
    table = ["size", "weight", "shop"]
    Z = mapper.transform_view(frame, "table")
    assert_allclose(mapper.transform_view(frame[table], "table"), Z)
    assert_allclose(mapper.transform_view(frame[table[::-1]], "table"), Z)
    with pytest.raises(ValueError, match="'table' needs columns.*'shop'.*not there"):
        mapper.transform_view(frame[["size"]], "table")
    with pytest.raises(ValueError, match="Row 1 lacks view 'text'"):
        mapper.transform_view(["red fire", None], "text")
    predicted = mapper.predict_view(["red fire stone"], source="text", target="table")
    assert predicted.shape == (1, 4)
    assert_allclose(mapper.fit_transform(frame), mapper.transform(frame))


def test_text_transformers_never_see_a_null(frame):
    gaps = frame.copy()
    gaps.loc[::4, "text"] = None
    gaps.loc[1::4, ["size", "weight", "shop"]] = None
    mapper = CCAMapper(2, views=column_views()).fit(gaps)
    Z = mapper.transform(gaps)
    assert np.isfinite(Z).all() and len(Z) == len(frame)
    both = mapper.transform(frame)
    assert_allclose(Z[2::4], both[2::4])
    gaps.loc[7, ["size", "weight", "shop", "text"]] = None
    with pytest.raises(ValueError, match="Row 7 has no view"):
        mapper.transform(gaps)
    gaps["text"] = None
    with pytest.raises(ValueError, match="No row has view 'text'"):
        CCAMapper(views=column_views()).fit(gaps)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(frame, library):
    mapper = CCAMapper(2, views=column_views(), fusion="concat")
    mapper.set_output(transform=library)
    data = frame if library == "pandas" else pl.from_pandas(frame)
    Z = mapper.fit_transform(data)
    assert list(Z.columns) == ["table__0", "table__1", "text__0", "text__1"]
    if library == "pandas":
        assert Z.index.equals(frame.index)
    # The views' own transformers go on making arrays.
    from sklearn import config_context

    with config_context(transform_output=library):
        again = CCAMapper(2, views=column_views()).fit(data).transform(data)
    assert_allclose(again.to_numpy(), Z.to_numpy())


def test_html_diagram_shows_the_views(frame):
    html = CCAMapper(views=column_views())._repr_html_()
    for part in ("CCAMapper", "table", "text", "TfidfVectorizer", "OneHotEncoder"):
        assert part in html
    assert "CCAMapper" in CCAMapper(views={"a": ["size"], "b": ["shop"]})._repr_html_()


def test_supervised_transformers_of_a_view_see_y(frame):
    from sklearn.preprocessing import TargetEncoder

    views = ColumnTransformer(
        [
            ("table", StandardScaler(), ["size", "weight"]),
            ("shop", TargetEncoder(), ["shop"]),
        ]
    )
    y = (frame["kind"] == "fire").astype(int)
    mapper = CCAMapper(1, views=views).fit(frame, y)
    assert mapper.transform(frame).shape == (240, 2)


def test_correlations_agree_with_the_metric(arrays):
    X, Y = arrays
    assert_allclose(
        CCAMapper(shrinkage=0.0).fit(X, Y).correlations_, canonical_correlations(X, Y)
    )
