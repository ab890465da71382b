"""`CCAMapperCV` beside `GridSearchCV` over `CCAMapper`."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper, CCAMapperCV, CrossModalRetriever, Views
from skmeta.core import patterns
from skmeta.datasets import make_paired_views
from skmeta.exceptions import RankWarning
from skmeta.mapping import _fit, _folds
from skmeta.metrics import RetrievalScorer
from skmeta.model_selection import fewest_components

SHRINKAGES = ["auto", 0.0, 0.003, 0.1, 0.5, 1.0]
VIEWS = make_paired_views(300, n_features=(12, 10), random_state=0).views
THREE = make_paired_views(300, n_features=(12, 10, 8), random_state=0).views
X, Y = VIEWS["view0"], VIEWS["view1"]
TABLE = np.hstack([X, Y])
COLUMNS = {"a": slice(0, 12), "b": slice(12, 22)}
LABELS = np.arange(300) % 2
GROUPS = np.random.default_rng(0).integers(0, 10, 300)


def with_gaps(views, seed=0):
    """Each view lacks some rows; no row lacks all."""
    rng = np.random.default_rng(seed)
    arrays = {name: array.copy() for name, array in views.items()}
    for array in arrays.values():
        array[rng.choice(300, 40, replace=False)] = np.nan
    some = ~np.all([np.isnan(array[:, 0]) for array in arrays.values()], axis=0)
    return Views(**arrays)[some]


def both(*data, shrinkages=SHRINKAGES, scoring=None, cv=5, fit=None, **options):
    """Two searches that should be the same."""
    options = {"n_components": 3, **options}
    ours = CCAMapperCV(shrinkages, scoring=scoring, cv=cv, **options)
    grid, refit = {"shrinkage": shrinkages}, True
    if np.ndim(options["n_components"]):
        grid["n_components"] = options.pop("n_components")
        refit = fewest_components
    if isinstance(shrinkages, dict):
        (a, b), (first, second) = shrinkages, shrinkages.values()
        grid["shrinkage"] = [{a: c, b: d} for c in first for d in second]
    theirs = GridSearchCV(
        CCAMapper(**options), grid, scoring=scoring, cv=cv, refit=refit
    )
    return ours.fit(*data, **(fit or {})), theirs.fit(*data, **(fit or {}))


def assert_same(ours, theirs, atol=1e-8):
    found, expected = ours.cv_results_, theirs.cv_results_
    assert found["params"] == expected["params"]
    for name in found:
        if name.endswith("test_score") and name != "rank_test_score":
            assert_allclose(found[name], expected[name], atol=atol, rtol=0)
        if name.startswith("param_"):
            assert list(found[name]) == list(expected[name])
    assert set(expected) - set(found) == {
        f"{part}_{what}_time" for part in ("mean", "std") for what in ("fit", "score")
    }
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert_allclose(ours.best_score_, found["mean_test_score"][ours.best_index_])
    best = theirs.best_estimator_
    for name in ("correlations_", "score_covariance_"):
        assert_allclose(getattr(ours, name), getattr(best, name), atol=atol)
    assert ours.shrinkage_ == pytest.approx(best.shrinkage_)


RETRIEVAL = RetrievalScorer(k=5)


@pytest.mark.parametrize("scoring", [None, RETRIEVAL], ids=["moments", "scorer"])
@pytest.mark.parametrize(
    ("data", "options"),
    [
        ((VIEWS,), {}),
        ((X, Y), {}),
        ((X, Y[:, 0]), {"n_components": 1}),
        ((THREE,), {}),
        ((VIEWS,), {"n_components": [1, 2, 4, 7]}),
        ((THREE,), {"n_components": [None, 2]}),
        ((VIEWS,), {"shrinkages": {"view0": [0.1, 0.5], "view1": ["auto", 0.9]}}),
        ((TABLE, LABELS), {"views": COLUMNS}),
        ((100 * X, Y), {"standardize": False}),
        ((sparse.csr_array(np.where(X > 0.5, X, 0)), Y), {}),
        ((VIEWS,), {"cv": KFold(4, shuffle=True, random_state=0)}),
        ((VIEWS,), {"cv": ShuffleSplit(3, random_state=0)}),
        ((VIEWS,), {"cv": TimeSeriesSplit(3)}),
        ((VIEWS,), {"cv": RepeatedKFold(n_splits=3, n_repeats=2, random_state=1)}),
        ((VIEWS,), {"cv": GroupKFold(5), "fit": {"groups": GROUPS}}),
    ],
)
def test_the_same_as_a_grid_search(data, options, scoring):
    assert_same(*both(*data, scoring=scoring, **options))


ROWS = np.arange(300)


@pytest.mark.parametrize("scoring", [None, RETRIEVAL], ids=["moments", "scorer"])
@pytest.mark.parametrize(
    "cv",
    [
        [(ROWS % 3 != i, ROWS % 3 == i) for i in range(3)],
        [(ROWS[ROWS % 3 != i] - 300, ROWS[ROWS % 3 == i] - 300) for i in range(3)],
        [(range(200), range(-100, 0))],
        [(list(range(100, 300)), list(range(100)))],
        [(pd.Series(ROWS[100:]), pd.Series(ROWS[:100]))],
        [(np.r_[100:300, 100:150], np.r_[0:100, 0:100])],
    ],
    ids=["masks", "from the end", "at the end", "lists", "series", "twice"],
)
def test_splits_of_every_form(cv, scoring):
    assert_same(*both(VIEWS, cv=cv, scoring=scoring))


def test_every_row_held_out_by_itself():
    """Moments of all other rows, of each of 300, take no square of 300 merges."""
    ours, theirs = both(VIEWS[:60], cv=LeaveOneOut(), scoring=RowScore())
    assert_same(ours, theirs)
    merges = []
    with pytest.MonkeyPatch.context() as patch:
        merge = patterns.merge
        patch.setattr(patterns, "merge", lambda *a: merges.append(1) or merge(*a))
        CCAMapperCV([0.1], cv=LeaveOneOut()).fit(VIEWS)
    assert len(merges) < 300 * 12


class RowScore:
    """The log-density of held-out rows; y need not be taken where there is none."""

    def __call__(self, mapper, X):
        return mapper.score_samples(X).mean()


@pytest.mark.parametrize("form", ["coo", "csc"])
@pytest.mark.parametrize("scoring", [None, RETRIEVAL], ids=["moments", "scorer"])
def test_sparse_rows_of_formats_that_have_none(form, scoring):
    loose = sparse.csr_array(np.where(X > 0.5, X, 0)).asformat(form)
    assert_same(*both(loose, Y, scoring=scoring))
    table = sparse.csr_matrix(TABLE).asformat(form)
    scaled = ColumnTransformer(
        [(n, StandardScaler(with_mean=False), c) for n, c in COLUMNS.items()]
    )
    assert_same(*both(table, views=scaled, scoring=scoring))


@pytest.mark.parametrize("scoring", [None, RETRIEVAL], ids=["moments", "scorer"])
def test_transformers_are_fitted_in_each_fold(scoring):
    views = ColumnTransformer(
        [("a", PCA(6), slice(0, 12)), ("b", StandardScaler(), slice(12, 22))]
    )
    assert_same(*both(TABLE, LABELS, views=views, scoring=scoring))


def test_text_has_other_columns_in_each_fold():
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 4, 120)
    frame = pd.DataFrame(
        {
            "text": [f"word{k} extra{rng.integers(30)} thing{k % 2}" for k in kinds],
            "x": kinds + rng.normal(size=120),
            "z": kinds % 2 + rng.normal(size=120),
        }
    )
    views = ColumnTransformer(
        [("text", TfidfVectorizer(), "text"), ("numbers", "passthrough", ["x", "z"])]
    )
    assert_same(*both(frame, views=views, n_components=2, shrinkages=["auto", 0.3]))


@pytest.mark.parametrize("unpaired", ["auto", "drop", "em"])
@pytest.mark.parametrize("views", [VIEWS, THREE], ids=["two", "three"])
def test_rows_that_lack_views(views, unpaired):
    assert_same(*both(with_gaps(views), unpaired=unpaired))


def test_views_wider_than_their_rows():
    wide = make_paired_views(80, n_features=(300, 200), random_state=0).views
    assert_same(*both(wide, shrinkages=["auto", 0.003, 0.1, 0.5, 1.0]))


def test_ill_conditioned_views():
    rng = np.random.default_rng(0)
    twin = X.copy()
    twin[:, 1] = twin[:, 0] + 1e-7 * rng.normal(size=300)
    assert_same(*both(twin, Y))


def test_constant_columns():
    dull = np.column_stack([X, np.ones(300), GROUPS == 3])
    assert_same(*both(dull, Y, cv=KFold(5)))


def test_float32_is_as_good_as_its_digits():
    rows = Views(**{name: array.astype(np.float32) for name, array in VIEWS.items()})
    ours, theirs = both(rows)
    assert_same(ours, theirs, atol=1e-6)
    assert ours.transform(rows).dtype == np.float32


@pytest.mark.parametrize("scoring", [None, RETRIEVAL], ids=["own", "scorer"])
def test_views_of_which_no_moments_are_formed(scoring, monkeypatch):
    monkeypatch.setattr(_fit, "MAX_GRAM_BYTES", 1000)
    loose = Views(a=sparse.csr_array(np.where(X > 0, X, 0)), b=Y)
    assert_same(*both(loose, shrinkages=["auto", 0.1, 0.5], scoring=scoring))


def test_weights_are_frequencies():
    frequencies = np.random.default_rng(1).integers(0, 4, 300)
    rows = np.repeat(np.arange(300), frequencies)
    by_group = [
        (np.flatnonzero(GROUPS != g), np.flatnonzero(GROUPS == g)) for g in range(4)
    ]
    repeated = [
        (np.flatnonzero(GROUPS[rows] != g), np.flatnonzero(GROUPS[rows] == g))
        for g in range(4)
    ]
    a = CCAMapperCV(SHRINKAGES, n_components=3, cv=by_group)
    a.fit(VIEWS, sample_weight=frequencies)
    b = CCAMapperCV(SHRINKAGES, n_components=3, cv=repeated).fit(VIEWS[rows])
    for name in ("mean_test_score", "std_test_score"):
        assert_allclose(a.cv_results_[name], b.cv_results_[name], atol=1e-8)
    assert_allclose(a.correlations_, b.correlations_, atol=1e-10)


def test_five_planted_factors_give_five():
    """Never fewer, and more only where chance made a further one look like a factor."""
    found = []
    for seed in range(20):
        views = make_paired_views(
            1000, correlations=(0.9, 0.8, 0.7, 0.6, 0.5), random_state=seed
        ).views
        mapper = CCAMapperCV([0.1], n_components=range(1, 11)).fit(views)
        found.append(mapper.best_params_["n_components"])
    assert min(found) == 5
    assert np.median(found) == 5


def test_the_rule_is_that_of_a_grid_search_with_a_callable():
    views = make_paired_views(
        500, correlations=(0.9, 0.8, 0.7, 0.6, 0.5), random_state=1
    ).views
    assert_same(*both(views, shrinkages=[0.03, 0.3], n_components=range(1, 13)))


# ---- as a mapper ---------------------------------------------------------------------


def test_it_maps_as_the_best_does():
    mapper = CCAMapperCV([0.1, 0.9], n_components=3).fit(X, Y)
    best = CCAMapper(3, **mapper.best_params_).fit(X, Y)
    assert_allclose(mapper.transform(X), best.transform(X), atol=1e-10)
    assert_allclose(mapper.predict(X), best.predict(X), atol=1e-10)
    assert mapper.score(X, Y) == pytest.approx(best.score(X, Y))
    assert_allclose(mapper.score_samples(X, Y), best.score_samples(X, Y), atol=1e-8)
    for a, relations in mapper.view_relations_.items():
        assert relations == pytest.approx(best.view_relations_[a])


def test_in_a_retriever_and_a_pipeline():
    retriever = CrossModalRetriever(CCAMapperCV([0.1, 0.5], n_components=3)).fit(X, Y)
    assert retriever.score(X, Y) > 3 * 10 / 300  # three times chance
    pipeline = make_pipeline(CCAMapperCV(views=COLUMNS, cv=3), PCA(2))
    pipeline.set_output(transform="pandas")
    assert pipeline.fit_transform(TABLE, LABELS).shape == (300, 2)


def fail(*args, **kwargs):
    raise MemoryError


def test_rows_are_learned_from_only_when_it_succeeds(monkeypatch):
    mapper = CCAMapperCV([0.1], n_components=3).fit(X, Y)
    before, results = mapper.transform(X), mapper.cv_results_
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(_folds, "fit_patterns", fail)
        mapper.fit(X[:, :5], Y)
    assert mapper.n_features_in_ == 12
    assert mapper.cv_results_ is results
    assert_array_equal(mapper.transform(X), before)
    with pytest.raises(ValueError, match="view 'X'|View 'X'"):
        mapper.fit(np.where(X == X[3, 2], np.inf, X), Y)
    assert_array_equal(mapper.transform(X), before)
    assert clone(mapper).get_params()["shrinkages"] == [0.1]


def test_only_the_chosen_fit_warns():
    doubled = np.column_stack([X, X[:, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CCAMapperCV(
            [0.0, 0.5, 0.9],
            n_components=3,
            scoring=lambda mapper, X, y: mapper.shrinkage,
        ).fit(doubled, Y)
    with pytest.warns(RankWarning, match="has rank 12 but 13 columns"):
        CCAMapperCV([0.0], n_components=3).fit(doubled, Y)


# ---- bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shrinkages": []}, "shrinkages is empty"),
        ({"shrinkages": {}}, "shrinkages is empty"),
        ({"shrinkages": {"X": []}}, "shrinkages is empty"),
        ({"shrinkages": [0.1, 1.5]}, "from 0 to 1, or 'auto'; got 1.5"),
        ({"shrinkages": [0.1, np.nan]}, "from 0 to 1, or 'auto'; got nan"),
        ({"shrinkages": ["oas"]}, "from 0 to 1, or 'auto'; got 'oas'"),
        ({"shrinkages": {"Z": [0.1]}}, "names view 'Z', but the views are"),
        ({"shrinkages": [{"Z": 0.1}]}, "names view 'Z', but the views are"),
        ({"n_components": [2, 11]}, "n_components=11 is more than the 10 columns"),
        ({"n_components": []}, "n_components must be a positive number"),
        ({"n_components": [0, 2]}, "n_components must be a positive number"),
        ({"n_components": [1.5]}, "n_components must be a positive number"),
        ({"n_components": [True]}, "n_components must be a positive number"),
        ({"n_components": True}, "n_components must be a positive number"),
        ({"n_components": {1, 2}}, "n_components must be a positive number"),
        ({"n_components": np.array(5)}, "n_components must be a positive number"),
        ({"shrinkages": np.array([[0.1, 0.2]])}, "from 0 to 1, or 'auto'; got"),
        ({"shrinkages": [True]}, "from 0 to 1, or 'auto'; got True"),
        ({"cv": []}, "cv gives no splits"),
        ({"cv": [(ROWS, [])]}, r"tests rows of shape \(0,\); expected one or more"),
        ({"cv": [(ROWS[:0], ROWS)]}, r"trains on rows of shape \(0,\)"),
        ({"cv": [(ROWS, [5, 300])]}, "tests rows from 5 to 300 of dtype int64"),
        ({"cv": [(ROWS > 3, ROWS[:5] > 3)]}, "tests rows from False to True of dtype"),
        ({"scoring": lambda mapper, X, y: {"a": 1.0}}, "must give a number; got {'a'"),
        ({"scoring": lambda mapper, X, y: None}, "must give a number; got None"),
        ({"scoring": lambda mapper, X, y: np.ones(2)}, "must give a number; got array"),
        ({"cv": 301}, "number of splits n_splits=301 greater than"),
        ({"scoring": lambda mapper, X, y: np.nan}, "No candidate has a score"),
        ({"fusion": "sum"}, "fusion must be one of"),
    ],
)
@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_bad_parameters(options, match):
    with pytest.raises(ValueError, match=match):
        CCAMapperCV(**options).fit(X, Y)


def test_held_out_rows_without_pairs():
    lacking = X.copy()
    lacking[:100] = np.nan
    mapper = CCAMapperCV(cv=[(np.arange(100, 300), np.arange(100))])
    with pytest.raises(ValueError, match="No held-out row of a fold has two views"):
        mapper.fit(Views(a=lacking, b=Y))


def test_training_rows_without_pairs():
    lacking = X.copy()
    lacking[:200] = np.nan
    mapper = CCAMapperCV(cv=[(np.arange(200), np.arange(200, 300))])
    with pytest.raises(ValueError, match="Only 0 of 200 rows have every view"):
        mapper.fit(Views(a=lacking, b=Y))
