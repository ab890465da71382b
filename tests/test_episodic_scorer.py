"""`EpisodicScorer` against loops written by hand, and in searches."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import MetricFewShotClassifier
from skmeta.datasets import make_few_shot_tasks, make_sinusoid_tasks
from skmeta.metrics import EpisodicScorer
from skmeta.model_selection import ClassDisjointKFold, EpisodeSplit

MADE = make_few_shot_tasks(40, 12, random_state=0)
SEEN = MADE.y < 25
X_NEW, Y_NEW = MADE.X[~SEEN], MADE.y[~SEEN]
FEW = {"k_shot": 2, "n_query": 5, "n_episodes": 15}


def learner(**params):
    params = {"encoder": "identity", "random_state": 0} | params
    return MetricFewShotClassifier(**params)


@pytest.fixture(scope="module")
def meta():
    return learner(encoder="whitened").fit(MADE.X[SEEN], MADE.y[SEEN])


class Watched(ClassifierMixin, BaseEstimator):
    """Keeps the supports and queries that all its clones have seen."""

    seen = []

    def __init__(self, answer=0):
        self.answer = answer

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen.append((self.answer, "fit", np.array(X), np.array(y)))
        return self

    def predict(self, X):
        self.seen.append((self.answer, "predict", np.array(X), None))
        return np.repeat(self.classes_[self.answer], len(X))


@pytest.fixture
def seen():
    Watched.seen.clear()
    yield Watched.seen
    Watched.seen.clear()


# ---- what is computed ----------------------------------------------------------------


@pytest.mark.parametrize("random_state", [0, 7])
@pytest.mark.parametrize("names", [None, "strings"])
def test_equals_a_loop_over_the_same_episodes(meta, random_state, names):
    y = Y_NEW if names is None else np.array([f"class {c:02}" for c in Y_NEW])
    episodes = EpisodeSplit(15, k_shot=2, n_query=5, random_state=random_state)
    expected = [
        np.mean(meta.adapt(X_NEW[a], y[a]).predict(X_NEW[b]) == y[b])
        for a, b in episodes.split(X_NEW, y)
    ]
    scorer = EpisodicScorer(random_state=random_state, **FEW)
    found = scorer.evaluate(meta, X_NEW, y)
    assert_array_equal(found.scores, expected)
    assert found.mean == np.mean(expected) == scorer(meta, X_NEW, y)


def test_the_interval_is_that_of_a_mean(meta):
    found = EpisodicScorer(n_episodes=40).evaluate(meta, X_NEW, Y_NEW)
    assert found.scores.shape == (40,)
    half = 1.96 * found.scores.std(ddof=1) / np.sqrt(40)
    assert_allclose(found.half_width, half, rtol=1e-4)
    assert found.interval == (
        found.mean - found.half_width,
        found.mean + found.half_width,
    )


def test_nineteen_of_twenty_intervals_have_the_mean_of_many_episodes():
    model = KNeighborsClassifier(1)
    few = {"n_query": 3, "k_shot": 1}
    truth = EpisodicScorer(n_episodes=500, **few)(model, X_NEW, Y_NEW)
    inside = []
    for seed in range(1, 21):
        scorer = EpisodicScorer(n_episodes=20, random_state=seed, **few)
        low, high = scorer.evaluate(model, X_NEW, Y_NEW).interval
        inside.append(low <= truth <= high)
    assert np.mean(inside) >= 0.85


def test_a_plain_classifier_is_cloned_and_fitted_to_each_support(seen):
    model = Watched(1)
    found = EpisodicScorer(**FEW).evaluate(model, X_NEW, Y_NEW)
    assert not hasattr(model, "classes_")
    assert_array_equal(found.scores, 0.2)  # one of five classes
    fits = [args for args in seen if args[1] == "fit"]
    assert len(fits) == 15 and len(seen) == 30
    for (_, _, X, y), (_, _, Q, _) in zip(fits, seen[1::2], strict=True):
        assert_array_equal(np.unique(y, return_counts=True)[1], [2] * 5)
        assert len(Q) == 25
        assert not (X[:, None] == Q).all(axis=2).any()  # no row is asked and given
    # fitted or not, it is what a clone makes of the support
    fitted = KNeighborsClassifier(1).fit(MADE.X[SEEN], MADE.y[SEEN])
    scorer = EpisodicScorer(**FEW)
    expected = scorer(KNeighborsClassifier(1), X_NEW, Y_NEW)
    assert scorer(fitted, X_NEW, Y_NEW) == expected


def test_transformers_of_a_pipeline_stay_as_they_are(meta):
    # Scaled by the seen classes, by much more than a support would.
    X = MADE.X * np.geomspace(1e-2, 1e2, MADE.X.shape[1])
    pipeline = make_pipeline(StandardScaler(), learner(encoder="whitened"))
    pipeline.fit(X[SEEN], MADE.y[SEEN])
    before = pickle.dumps(pipeline)
    scorer = EpisodicScorer(**FEW)
    found = scorer.evaluate(pipeline, X[~SEEN], Y_NEW).scores
    assert pickle.dumps(pipeline) == before
    scaled = pipeline[0].transform(X[~SEEN])
    assert_array_equal(found, scorer.evaluate(pipeline[-1], scaled, Y_NEW).scores)
    # and so of a plain classifier
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    plain.fit(X[SEEN], MADE.y[SEEN])
    found = scorer.evaluate(plain, X[~SEEN], Y_NEW).scores
    expected = scorer.evaluate(LogisticRegression(), scaled, Y_NEW).scores
    assert_array_equal(found, expected)


def test_frames_are_scored_as_arrays_are():
    frame = pd.DataFrame(X_NEW).add_prefix("column ")
    seen = pd.DataFrame(MADE.X[SEEN], columns=frame.columns)
    model = make_pipeline(StandardScaler(), learner()).fit(seen, MADE.y[SEEN])
    same = make_pipeline(StandardScaler(), learner()).fit(MADE.X[SEEN], MADE.y[SEEN])
    y = pd.Series(Y_NEW, index=np.arange(len(Y_NEW))[::-1])
    scorer = EpisodicScorer(**FEW)
    assert scorer(model, frame, y) == scorer(same, X_NEW, Y_NEW)
    alone = learner().fit(seen, MADE.y[SEEN])
    expected = scorer(learner().fit(MADE.X[SEEN], MADE.y[SEEN]), X_NEW, Y_NEW)
    assert scorer(alone, frame, y) == expected


def test_scoring_changes_nothing_and_touches_no_global_generator(meta):
    before, state = pickle.dumps(meta), np.random.get_state()[1].copy()  # noqa: NPY002
    EpisodicScorer(**FEW)(meta, X_NEW, Y_NEW)
    assert pickle.dumps(meta) == before
    assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# ---- searches ------------------------------------------------------------------------


def test_all_candidates_have_the_same_episodes(seen):
    search = GridSearchCV(
        Watched(),
        {"answer": [0, 1, 2]},
        cv=ClassDisjointKFold(2, random_state=0),
        scoring=EpisodicScorer(**FEW),
        refit=False,
    ).fit(MADE.X, MADE.y)
    assert_allclose(search.cv_results_["mean_test_score"], 0.2)
    rows = [
        np.concatenate(
            # the first fit of a fold is to the training classes
            [X for a, _, X, y in seen if a == answer and (y is None or len(y) == 10)]
        )
        for answer in (0, 1, 2)
    ]
    assert len(rows[0]) == 2 * 15 * (10 + 25)
    assert_array_equal(rows[0], rows[1])
    assert_array_equal(rows[0], rows[2])


def test_a_search_by_task_scores_by_task():
    task = MADE.y % 4
    search = GridSearchCV(
        learner(),
        {"head": ["prototype", "ridge"]},
        cv=ClassDisjointKFold(3, random_state=0),
        scoring=EpisodicScorer(n_way=3, **FEW),
        error_score="raise",
    )
    with pytest.raises(ValueError, match=r"learned by task.*set_score_request"):
        search.fit(MADE.X, MADE.y, task=task)
    search.scoring.set_score_request(task=False)
    assert repr(search.scoring) == repr(EpisodicScorer(n_way=3, **FEW))
    together = search.fit(MADE.X, MADE.y, task=task).cv_results_["mean_test_score"]
    with sklearn.config_context(enable_metadata_routing=True):
        search.set_params(
            estimator=learner().set_fit_request(task=True),
            scoring=EpisodicScorer(n_way=3, **FEW),
        )
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            search.fit(MADE.X, MADE.y, task=task)
        search.scoring.set_score_request(task=True)
        search.fit(MADE.X, MADE.y, task=task)
    found = search.cv_results_["mean_test_score"]
    assert not np.array_equal(found, together)
    by_hand = [
        EpisodicScorer(n_way=3, **FEW)
        .evaluate(
            learner(head="ridge").fit(MADE.X[a], MADE.y[a], task=task[a]),
            MADE.X[b],
            MADE.y[b],
            task=task[b],
        )
        .mean
        for a, b in search.cv.split(MADE.X, MADE.y)
    ]
    assert_allclose(found[1], np.mean(by_hand))


def test_a_search_needs_no_metadata_routing():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), learner()),
        {"metricfewshotclassifier__encoder": ["identity", "whitened"]},
        cv=ClassDisjointKFold(2, random_state=0),
        scoring=EpisodicScorer(n_episodes=20),
    ).fit(MADE.X, MADE.y)
    assert search.best_params_ == {"metricfewshotclassifier__encoder": "whitened"}
    assert search.cv_results_["mean_test_score"].shape == (2,)


def test_several_scorers_at_once():
    found = cross_validate(
        learner(encoder="whitened"),
        MADE.X,
        MADE.y,
        cv=ClassDisjointKFold(2, random_state=0),
        scoring={
            f"{k}-shot": EpisodicScorer(k_shot=k, n_episodes=30, n_query=4)
            for k in (1, 5)
        },
    )
    assert (found["test_5-shot"] > found["test_1-shot"]).all()


# ---- tasks and regressors ------------------------------------------------------------


def test_episodes_are_of_one_task(seen):
    task = np.repeat(["a", "b", "c"], 60)
    EpisodicScorer(n_way=3, **FEW)(Watched(), X_NEW, Y_NEW, task=task)
    task_of = dict(zip(Y_NEW, task, strict=True))
    tasks = [{task_of[c] for c in y} for _, kind, _, y in seen if kind == "fit"]
    assert all(len(found) == 1 for found in tasks)
    assert set().union(*tasks) == {"a", "b", "c"}
    # without tasks an episode has classes of several
    seen.clear()
    EpisodicScorer(n_way=3, **FEW)(Watched(), X_NEW, Y_NEW)
    tasks = [{task_of[c] for c in y} for _, kind, _, y in seen if kind == "fit"]
    assert max(map(len, tasks)) > 1


def test_a_regressor_has_minus_the_mean_squared_error():
    made = make_sinusoid_tasks(8, 25, random_state=0)
    X, y, task = made.X, made.y, made.task
    scorer = EpisodicScorer(k_shot=5, n_query=10, n_episodes=20)
    found = scorer.evaluate(Ridge(0.1), X, y, task=task)
    splits = EpisodeSplit(20, n_way=2, k_shot=5, n_query=10, random_state=0)
    with pytest.raises(ValueError, match="no labels"):
        next(splits.split(X, y))
    rows, errors = [], []

    class Spy(Ridge):
        def fit(self, X, y):
            rows.append(np.array(X))
            return super().fit(X, y)

        def predict(self, X):
            rows.append(np.array(X))
            return super().predict(X)

    again = scorer.evaluate(Spy(0.1), X, y, task=task)
    assert_array_equal(again.scores, found.scores)
    place = {x: i for i, x in enumerate(X[:, 0])}  # no two rows are equal
    for support, query in zip(rows[::2], rows[1::2], strict=True):
        a, b = ([place[x] for x in part[:, 0]] for part in (support, query))
        assert len(a) == 5 and len(b) == 10 and not set(a) & set(b)
        assert len(set(task[a + b])) == 1
        errors.append(np.mean((Ridge(0.1).fit(X[a], y[a]).predict(X[b]) - y[b]) ** 2))
    assert_allclose(found.scores, -np.array(errors))
    assert found.mean < 0


def test_a_regressor_without_tasks():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    y = X @ rng.standard_normal((3, 2))  # two outputs
    scorer = EpisodicScorer(k_shot=20, n_episodes=5)
    assert scorer(Ridge(1e-9), X, y) == pytest.approx(0, abs=1e-12)
    assert scorer(Ridge(1e9), X, y) < -0.1


# ---- what goes wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_way", 1), ("k_shot", 0), ("n_query", 0), ("n_episodes", 1), ("n_way", 2.5)],
)
def test_bad_parameters_at_once(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        EpisodicScorer(**{name: value})


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.zeros(20, int), "two classes, and y has 1: 0"),
        (np.arange(20), "one of them with two rows"),
        (np.linspace(0, 1, 20), "needs? labels"),
        (np.zeros(19, int), "[Ii]nconsistent"),
    ],
)
def test_rows_of_which_no_episode_can_be_made(y, match):
    with pytest.raises(ValueError, match=match):
        EpisodicScorer()(KNeighborsClassifier(1), X_NEW[:20], y)


def test_tasks_of_another_length(meta):
    with pytest.raises(ValueError, match="[Ii]nconsistent"):
        EpisodicScorer()(meta, X_NEW, Y_NEW, task=np.zeros(3))


def test_fewer_classes_than_wanted_warn(meta):
    rows = Y_NEW < 28
    with pytest.warns(UserWarning, match="n_way=5 is more than the 3 classes"):
        EpisodicScorer(**FEW)(meta, X_NEW[rows], Y_NEW[rows])


def test_a_learner_that_was_not_fitted():
    with pytest.raises(NotFittedError):
        EpisodicScorer()(learner(), X_NEW, Y_NEW)
    with pytest.raises(NotFittedError):
        pipeline = make_pipeline(StandardScaler(), learner())
        EpisodicScorer()(pipeline, X_NEW, Y_NEW)


# ---- as an object --------------------------------------------------------------------


def test_repr_says_how_to_make_it_again():
    scorer = EpisodicScorer(n_way=3, k_shot=2, random_state=5)
    assert repr(scorer) == (
        "EpisodicScorer(n_way=3, k_shot=2, n_query=15, n_episodes=100, random_state=5)"
    )
    assert vars(eval(repr(scorer))) == vars(scorer)


def test_pickled_and_cloned(meta):
    scorer = EpisodicScorer(**FEW)
    expected = scorer(meta, X_NEW, Y_NEW)
    again = pickle.loads(pickle.dumps(scorer))
    assert again(meta, X_NEW, Y_NEW) == expected
    assert clone(scorer, safe=False)(meta, X_NEW, Y_NEW) == expected
