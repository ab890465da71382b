"""Retrieval metrics and scorers against plain definitions and known limits."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_linnerud
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import CCAMapper, Views
from skmeta.metrics import (
    RetrievalScorer,
    canonical_correlations,
    mean_average_precision,
    median_rank,
    recall_at_k,
)


@pytest.fixture
def coordinates():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((80, 6))
    return Z, Z + rng.standard_normal((80, 6))


def ranks(Q, G):
    S = cosine_similarity(Q, G)
    return (S > np.diagonal(S)[:, None]).sum(axis=1) + 1


def test_against_plain_ranks(coordinates):
    Q, G = coordinates
    r = ranks(Q, G)
    assert recall_at_k(Q, G, k=5) == np.mean(r <= 5)
    assert median_rank(Q, G) == np.median(r)
    assert_allclose(mean_average_precision(Q, G), np.mean(1 / r))


def test_chance_perfection_and_ties():
    Z = np.random.default_rng(0).standard_normal((40, 5))
    assert recall_at_k(Z, Z, k=1) == 1
    assert median_rank(Z, Z) == 1
    # All rows equal: the partner is in the middle, and k must reach it.
    same = np.ones((40, 5))
    assert median_rank(Z, same) == 20.5
    assert recall_at_k(Z, same, k=20) == 0
    assert recall_at_k(Z, same, k=21) == 1
    rng = np.random.default_rng(1)
    chance = [
        recall_at_k(*rng.standard_normal((2, 40, 5)), k=10, metric="euclidean")
        for _ in range(200)
    ]
    assert_allclose(np.mean(chance), 10 / 40, atol=0.02)


def test_labels_any_hit_counts(coordinates):
    Q, G = coordinates
    y = np.arange(80) % 7
    S = cosine_similarity(Q, G)
    order = np.argsort(-S, axis=1)[:, :3]
    expected = np.mean((y[order] == y[:, None]).any(axis=1))
    assert recall_at_k(Q, G, k=3, y_query=y, y_gallery=y) == expected
    names = np.array(["a", "b", "c", "d", "e", "f", "g"])[y]
    assert recall_at_k(Q, G[:50], k=3, y_query=names, y_gallery=names[:50]) <= 1


def test_labels_of_their_own_are_as_no_labels(coordinates):
    Q, G = coordinates
    y = np.arange(80)
    for measure in (median_rank, mean_average_precision):
        assert_allclose(measure(Q, G, y_query=y, y_gallery=y), measure(Q, G))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(k=0), "at least 1"),
        (dict(k=2.5), "at least 1"),
        (dict(metric="cosinus"), "must be one of"),
        (dict(Z_gallery=np.ones((5, 2))), "4 columns"),
        (dict(Z_gallery=np.ones((5, 4))), "6 queries and 5 gallery rows"),
        (dict(Z_gallery=np.ones((0, 4))), "0 sample"),
        (dict(Z_gallery=np.full((6, 4), np.nan)), "NaN"),
        (dict(y_query=np.ones(6)), "both sides"),
        (dict(y_query=np.ones(6), y_gallery=np.ones(5)), "one per row"),
    ],
)
def test_bad_input(change, message):
    given = dict(Z_query=np.ones((6, 4)), Z_gallery=np.ones((6, 4))) | change
    Q, G = given.pop("Z_query"), given.pop("Z_gallery")
    with pytest.raises(ValueError, match=message):
        recall_at_k(Q, G, **given)


def test_canonical_correlations_linnerud_and_invariance():
    X, Y = load_linnerud(return_X_y=True)
    expected = [0.795608, 0.200556, 0.072570]
    assert_allclose(canonical_correlations(X, Y), expected, atol=5e-7)
    wide = np.column_stack([X, X[:, 0] * 1e8 + 3e9, np.full(len(X), 1e8)])
    assert_allclose(canonical_correlations(wide, Y), expected, atol=5e-7)
    with pytest.raises(ValueError, match="zero variance"):
        canonical_correlations(np.ones((20, 2)), Y)
    with pytest.raises(ValueError, match="20 rows, but Y has 19"):
        canonical_correlations(X, Y[:-1])


# ---- the scorer ----------------------------------------------------------------------


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((150, 3))
    return Views(
        image=z @ rng.standard_normal((3, 8)) + rng.standard_normal((150, 8)),
        text=z @ rng.standard_normal((3, 6)) + rng.standard_normal((150, 6)),
    )


def test_scorer_is_the_metric_of_the_mapped_rows(views):
    mapper = CCAMapper(3).fit(views[:100])
    Z = mapper.transform_views(views[100:])
    forward = recall_at_k(Z["text"], Z["image"], k=3)
    back = recall_at_k(Z["image"], Z["text"], k=3)
    scorer = RetrievalScorer("text", "image", k=3)
    assert scorer(mapper, views[100:]) == forward
    assert_allclose(RetrievalScorer(k=3)(mapper, views[100:]), (forward + back) / 2)
    ranked = RetrievalScorer("text", "image", measure="median_rank")
    assert ranked(mapper, views[100:]) == -median_rank(Z["text"], Z["image"])
    mrr = RetrievalScorer("text", "image", measure="mrr")(mapper, views[100:])
    assert_allclose(mrr, mean_average_precision(Z["text"], Z["image"]))


def test_scorer_takes_y_as_labels_or_as_the_second_view(views):
    y = np.arange(150) % 3
    scorer = RetrievalScorer(measure="map")
    by_views = scorer(CCAMapper(3).fit(views), views, y)
    Z = CCAMapper(3).fit(views).transform_views(views)
    given = dict(y_query=y, y_gallery=y)
    expected = (
        mean_average_precision(Z["image"], Z["text"], **given)
        + mean_average_precision(Z["text"], Z["image"], **given)
    ) / 2
    assert_allclose(by_views, expected)
    X, Y = views["image"], views["text"]
    assert RetrievalScorer(k=3)(CCAMapper(3).fit(X, Y), X, Y) == RetrievalScorer(k=3)(
        CCAMapper(3).fit(views), views
    )


def test_scorer_after_other_steps_of_a_pipeline(views):
    X, Y = views["image"], views["text"]
    pipeline = make_pipeline(StandardScaler(), CCAMapper(3)).fit(X, Y)
    assert_allclose(
        RetrievalScorer(k=3)(pipeline, X, Y),
        RetrievalScorer(k=3)(CCAMapper(3).fit(X, Y), X, Y),
    )


def test_max_gallery_bounds_every_search(views):
    mapper = CCAMapper(3).fit(views)
    scorer = RetrievalScorer("text", "image", k=2, max_gallery=50)
    Z = mapper.transform_views(views)
    expected = np.mean(
        [recall_at_k(Z["text"][s::3], Z["image"][s::3], k=2) for s in range(3)]
    )
    assert_allclose(scorer(mapper, views), expected)
    assert scorer(mapper, views) > RetrievalScorer("text", "image", k=2)(mapper, views)


def test_scorer_tunes_in_a_grid_search_and_pickles(views):
    scorer = pickle.loads(pickle.dumps(RetrievalScorer(k=5, max_gallery=25)))
    grid = {"shrinkage": [0.0, 0.9], "n_components": [1, 3]}
    search = GridSearchCV(CCAMapper(), grid, scoring=scorer, cv=3).fit(views)
    assert search.best_params_["n_components"] == 3
    again = cross_val_score(
        clone(search.best_estimator_), views, scoring=scorer, cv=3
    ).mean()
    assert_allclose(again, search.best_score_)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RetrievalScorer(measure="ndcg"), "recall.*mrr.*median_rank.*map"),
        (lambda: RetrievalScorer(metric="l2"), "must be one of"),
        (lambda: RetrievalScorer(max_gallery=1), "at least 2"),
    ],
)
def test_scorer_refuses_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_scorer_names_what_it_cannot_score(views):
    mapper = CCAMapper(2).fit(views)
    with pytest.raises(ValueError, match="No view 'sound'"):
        RetrievalScorer(query="sound")(mapper, views)
    with pytest.raises(ValueError, match="both 'text'"):
        RetrievalScorer("text", "text")
    with pytest.raises(ValueError, match="150 rows, but y has 3"):
        RetrievalScorer()(mapper, views, [0, 1, 0])
    with pytest.raises(TypeError, match="StandardScaler"):
        RetrievalScorer()(StandardScaler().fit(views["text"]), views["text"])
