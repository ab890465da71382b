"""`PairsCurveDisplay`: the curve against fits made by hand."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold

from skmeta import CCAMapper, CrossModalRetriever
from skmeta.datasets import make_paired_views
from skmeta.metrics import RetrievalScorer
from skmeta.plotting import PairsCurveDisplay

SPLITS = KFold(3)


@pytest.fixture(scope="module")
def views():
    return make_paired_views(150, n_features=(5, 4), random_state=0).views


def by_hand(estimator, X, y, sizes, seed):
    random = np.random.RandomState(seed)
    folds = [(random.permutation(a), b) for a, b in SPLITS.split(np.zeros(150))]
    return np.array(
        [
            [
                estimator.fit(X[train[:n]], None if y is None else y[train[:n]]).score(
                    X[test], None if y is None else y[test]
                )
                for train, test in folds
            ]
            for n in sizes
        ]
    )


@pytest.mark.parametrize("two_arrays", [False, True])
@pytest.mark.parametrize(
    "estimator", [CCAMapper(2), CrossModalRetriever(CCAMapper(2), k=5)]
)
def test_scores_are_those_of_nested_training_sets(views, estimator, two_arrays):
    X, y = tuple(views.values()) if two_arrays else (views, None)
    display = PairsCurveDisplay.from_estimator(
        estimator, X, y, n_pairs=(60, 20, 100), cv=SPLITS, random_state=3
    )
    expected = by_hand(estimator, X, y, (20, 60, 100), 3)
    np.testing.assert_allclose(display.scores, expected)
    mean, deviation = expected.mean(axis=1), expected.std(axis=1, ddof=1)
    np.testing.assert_allclose(display.line_.get_xydata(), np.c_[[20, 60, 100], mean])
    band = display.band_.get_paths()[0].vertices
    for n, m, d in zip((20, 60, 100), mean, deviation, strict=True):
        sides = band[np.isclose(band[:, 0], n)][:, 1]
        np.testing.assert_allclose([sides.min(), sides.max()], [m - d, m + d])


def test_several_curves_differ_in_more_than_colour(views):
    options = dict(n_pairs=(30, 90), cv=3, random_state=0)
    first = PairsCurveDisplay.from_estimator(CCAMapper(2), views, name="two", **options)
    second = PairsCurveDisplay.from_estimator(
        CCAMapper(1), views, name="one", ax=first.ax_, **options
    )
    assert second.ax_ is first.ax_
    for of in ("get_marker", "get_linestyle", "get_color"):
        assert getattr(first.line_, of)() != getattr(second.line_, of)()
    legend = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert legend == ["two", "one"]


def test_the_same_seed_gives_the_same_curve(views):
    options = dict(n_pairs=(30, 90), cv=4)
    a, b, c = (
        PairsCurveDisplay.from_estimator(
            CCAMapper(2), views, random_state=seed, **options
        ).scores
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_sizes_by_default_grow_by_a_factor_to_all_rows(views):
    display = PairsCurveDisplay.from_estimator(CCAMapper(2), views, cv=3)
    assert display.n_pairs[0] == 10
    assert display.n_pairs[-1] == 100
    assert len(display.n_pairs) == 6


def test_scoring_names_and_groups(views):
    groups = np.repeat(np.arange(30), 5)
    display = PairsCurveDisplay.from_estimator(
        CCAMapper(2),
        views,
        n_pairs=[50],
        cv=GroupKFold(3),
        groups=groups,
        scoring=RetrievalScorer(k=5),
        quantity="recall@5",
    )
    assert display.scores.shape == (1, 3)
    assert (display.scores > 0).all() and (display.scores <= 1).all()
    assert display.ax_.get_ylabel() == "recall@5"


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"n_pairs": (10, 101)}, ValueError, r"between 2 and 100.*got \[10, 101\]"),
        ({"n_pairs": (1, 50)}, ValueError, "between 2 and 100"),
        ({"n_pairs": (0.1, 0.5)}, TypeError, "n_pairs must be integers"),
        ({"n_pairs": ()}, TypeError, "n_pairs must be integers"),
        ({"cv": []}, ValueError, "cv gives no split"),
    ],
)
def test_bad_input(views, options, kind, message):
    with pytest.raises(kind, match=message):
        PairsCurveDisplay.from_estimator(CCAMapper(2), views, **({"cv": 3} | options))


def test_an_int_keeps_groups_together(views):
    def scores(cv, random_state):
        return PairsCurveDisplay.from_estimator(
            CCAMapper(2),
            views,
            n_pairs=[50],
            cv=cv,
            groups=np.repeat(np.arange(30), 5),
            random_state=random_state,
        ).scores

    state = np.random.RandomState(0)
    folds = GroupKFold(3, shuffle=True, random_state=state)
    np.testing.assert_array_equal(scores(3, 0), scores(folds, state))


def test_splits_may_be_masks(views):
    train = np.arange(150) < 100
    masks, numbers = (
        PairsCurveDisplay.from_estimator(
            CCAMapper(2), views, n_pairs=[50], cv=[split], random_state=0
        ).scores
        for split in ((train, ~train), (np.arange(100), np.arange(100, 150)))
    )
    np.testing.assert_array_equal(masks, numbers)


def test_labels_of_sizes_do_not_touch():
    first = PairsCurveDisplay(np.array([10, 100, 160]), np.ones((3, 2))).plot()
    PairsCurveDisplay(np.array([11, 150]), np.ones((2, 2))).plot(ax=first.ax_)
    np.testing.assert_array_equal(first.ax_.get_xticks(), [160, 100, 11])
    assert first.ax_.get_legend() is None  # nor a warning that there is none
