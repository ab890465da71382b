"""What went wrong once: shared labels, odd shapes, failed fits, numbers too large."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import MAMLFewShotClassifier, MAMLFewShotRegressor, MetricFewShotClassifier
from skmeta.core.episodes import cells_of, draw_episodes, draw_subsets, pool_of
from skmeta.core.heads import HEADS, Given, answer_in_blocks
from skmeta.datasets import make_few_shot_tasks, make_sinusoid_tasks
from skmeta.metrics import EpisodicScorer
from skmeta.model_selection import ClassDisjointKFold

MADE = make_few_shot_tasks(50, 12, random_state=0)
SEEN = MADE.y < 40
X, Y = MADE.X[SEEN], MADE.y[SEEN]
X_NEW, Y_NEW = MADE.X[~SEEN], MADE.y[~SEEN]
WAVES = make_sinusoid_tasks(40, 12, random_state=0)
needs_torch = pytest.mark.usefixtures("torch")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def metric(head="prototype", encoder="identity", **params):
    return MetricFewShotClassifier(head, encoder=encoder, random_state=0, **params)


def maml(**params):
    return MAMLFewShotClassifier(**({"max_iter": 20, "random_state": 0} | params))


def waves(algorithm="maml", **params):
    params = {"max_iter": 20, "random_state": 0} | params
    return MAMLFewShotRegressor(algorithm=algorithm, **params)


# ---- labels that mean something else in each task ------------------------------------


@pytest.mark.parametrize("head", ["prototype", "gaussian"])
def test_labels_shared_by_tasks_are_classes_of_each(head):
    task, local = Y // 5, Y % 5
    encoder = "whitened" if head == "prototype" else "identity"
    scorer = EpisodicScorer(n_episodes=200)
    own = metric(head, encoder).fit(X, Y, task=task)
    shared = metric(head, encoder).fit(X, local, task=task)
    found = [scorer.evaluate(one, X_NEW, Y_NEW).mean for one in (own, shared)]
    assert found[0] > 0.7
    assert_allclose(*found, atol=1e-6)
    assert shared.classes_.tolist() == [0, 1, 2, 3, 4]


@needs_torch
def test_shared_labels_are_held_out_too():
    model = maml(n_way=3).fit(X, Y % 4, task=Y // 4)
    assert len(model.validation_scores_) > 0
    assert model.classes_.tolist() == [0, 1, 2, 3]


def test_cells():
    codes, tasks = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    assert cells_of(codes, tasks).tolist() == [0, 1, 2, 3]
    assert cells_of(codes, codes) is codes
    assert cells_of(codes, None) is codes


# ---- more than there are -------------------------------------------------------------


def test_many_more_rows_than_there_are_cost_nothing():
    sizes = np.array([3, 1])
    drawn = draw_subsets(sizes, 10**5, np.random.default_rng(0))
    assert drawn.shape == (2, 10**5)
    assert sorted(drawn[0, :3]) == [0, 1, 2] and drawn[1, 0] == 0
    assert (drawn[0, 3:] == -1).all() and (drawn[1, 1:] == -1).all()
    rng = np.random.default_rng(0)
    episodes = draw_episodes(pool_of(Y), 5, 60, 5, 5000, rng)
    assert ((episodes.query >= 0).sum(axis=2)[episodes.classes >= 0] == 7).all()


def test_answers_of_a_perceptron_are_in_bounded_memory():
    rng = np.random.default_rng(0)
    shapes = [(8, 64), (64,), (64, 1), (1,)]
    given = Given(relation=tuple(rng.standard_normal(n) for n in shapes))
    state = {"prototypes": rng.standard_normal((500, 4)), "counts": np.ones(500)}
    Q = rng.standard_normal((1000, 4))
    tracemalloc.start()
    answer_in_blocks(HEADS["relation"], state, Q, given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


# ---- shapes --------------------------------------------------------------------------


@needs_torch
def test_a_perceptron_takes_images_as_rows():
    images = X[:, :28].reshape(-1, 4, 7)
    flat = maml().fit(X[:, :28], Y)
    found = maml().fit(images, Y)
    assert_array_equal(found.predict(images[::7]), flat.predict(X[::7, :28]))


def test_entries_of_four_dimensions_are_no_images():
    entries = X[:, :24].reshape(-1, 2, 3, 2, 2)
    assert metric(encoder="auto").fit(entries, Y).encoder_ in (
        *("identity", "unit", "whitened"),
    )


@needs_torch
def test_input_shape_is_for_flat_rows():
    images = X[:, :28].reshape(-1, 4, 7)
    with pytest.raises(ValueError, match="X has entries of shape"):
        metric(encoder="conv4", input_shape=(1, 2, 14)).fit(images, Y)


def test_a_column_of_targets_scores_as_a_vector():
    scorer = EpisodicScorer(n_episodes=20)
    model = metric().fit(X, Y)
    with pytest.warns(DataConversionWarning):  # as scikit-learn's classifiers do
        found = scorer.evaluate(model, X_NEW, Y_NEW[:, None]).mean
    assert found == scorer.evaluate(model, X_NEW, Y_NEW).mean
    y, task = WAVES.y, {"task": WAVES.task}
    column = scorer.evaluate(Ridge(), WAVES.X, y[:, None], **task).mean
    assert_allclose(column, scorer.evaluate(Ridge(), WAVES.X, y, **task).mean)


# ---- where a learner stands ----------------------------------------------------------


def test_searches_and_nested_pipelines_are_adapted_and_not_trained_anew():
    plain = make_pipeline(StandardScaler(), metric()).fit(X, Y)
    nested = make_pipeline(StandardScaler(), make_pipeline(metric())).fit(X, Y)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), metric()),
        {"metricfewshotclassifier__head": ["prototype"]},
        cv=ClassDisjointKFold(2),
        scoring=EpisodicScorer(n_episodes=5),
    ).fit(X, Y)
    scorer = EpisodicScorer(n_episodes=30)
    expected = scorer(plain, X_NEW, Y_NEW)
    assert scorer(nested, X_NEW, Y_NEW) == expected
    assert scorer(search, X_NEW, Y_NEW) == expected


def test_one_row_of_each_task_is_no_episode():
    with pytest.raises(ValueError, match="No task has two rows"):
        EpisodicScorer().evaluate(Ridge(), X[:3], [1.0, 2, 3], task=[1, 2, 3])


def test_episodes_are_the_same_for_all_candidates_or_an_error():
    for state in (None, "x", np.random.RandomState(0)):
        with pytest.raises(ValueError, match="random_state must be an integer"):
            EpisodicScorer(random_state=state)


# ---- fits that fail ------------------------------------------------------------------


@needs_torch
@pytest.mark.parametrize(
    "wrong", [{"inner_lr": 1e30}, {"algorithm": "reptile"}, {"min_shot": 99}]
)
def test_a_failed_refit_leaves_a_regressor_as_it_was(wrong):
    model = waves().fit(WAVES.X, WAVES.y, task=WAVES.task)
    before = model.predict(WAVES.X[:5])
    with pytest.raises((FloatingPointError, ValueError)):
        model.set_params(**wrong).fit(WAVES.X, 1000 * WAVES.y, task=WAVES.task)
    assert_array_equal(model.predict(WAVES.X[:5]), before)


def test_a_failed_fit_of_what_is_adapted_leaves_it_as_it_was():
    model = metric().fit(X, Y).adapt(X_NEW, Y_NEW)
    before = model.predict(X_NEW)
    with pytest.raises(ValueError):
        model.fit(X_NEW, np.full(len(X_NEW), 3))
    assert_array_equal(model.predict(X_NEW), before)


def test_classes_of_tasks_are_named_by_their_labels():
    # One row of each: an encoder cannot be trained, and the message has their labels.
    pytest.importorskip("torch")
    labels = np.array(["b", "a"] * 6)
    with pytest.raises(ValueError, match="'a': 1"):
        metric(encoder="mlp", n_way=2).fit(X[:12], labels, task=np.arange(12) // 2)


def test_a_failed_refit_leaves_a_classifier_as_it_was():
    model = metric().fit(X, Y)
    before = model.predict(X_NEW)
    with pytest.raises(ValueError):
        model.set_params(metric="nonsense").fit(X[:, 1:], Y)
    assert_array_equal(model.set_params(metric="euclidean").predict(X_NEW), before)


@needs_torch
def test_warm_start_of_other_columns():
    for model, rows, y in (
        (maml(warm_start=True), X, Y),
        (waves(warm_start=True), np.c_[WAVES.X, WAVES.X], WAVES.y),
    ):
        model.fit(rows, y)
        before = model.predict(rows[:5])
        with pytest.raises(ValueError, match="features"):
            model.fit(rows[:, 1:], y)
        assert_array_equal(model.predict(rows[:5]), before)


@needs_torch
def test_settings_that_would_do_nothing():
    with pytest.raises(ValueError, match="they lead nowhere"):
        maml(algorithm="reptile", inner_lr=0.0).fit(X, Y)
    with pytest.raises(ValueError, match="min_shot=7 is more than k_shot=3"):
        waves(k_shot=3, min_shot=7).fit(WAVES.X, WAVES.y)
    ridge = waves("ridge").fit(WAVES.X, WAVES.y, task=WAVES.task)
    with pytest.raises(ValueError, match="has no inner loop"):
        ridge.adapt(WAVES.X[:5], WAVES.y[:5], n_steps=7)


# ---- numbers too large ---------------------------------------------------------------


@needs_torch
def test_answers_are_finite_or_an_error():
    ridge = waves("ridge").fit(WAVES.X, WAVES.y, task=WAVES.task)
    with pytest.raises(FloatingPointError, match="scale X"):
        ridge.adapt([[1e12], [1.0], [2.0]], [1.0, 2.0, 3.0])
    model = maml().fit(X, Y)
    with pytest.raises(ValueError, match="not finite"):
        model.predict_proba(1e60 * X[:1])
    for head in ("prototype", "matching", "gaussian"):
        with pytest.raises(ValueError, match="not finite"):
            metric(head).fit(X, Y).predict(1e160 * X[:1])


def test_dicts_of_arrays_compare():
    VI = np.eye(X.shape[1])
    model = metric(metric="mahalanobis", metric_params={"VI": VI}).fit(X, Y)
    adapted = model.adapt(X_NEW, Y_NEW)
    adapted.set_params(metric_params={"VI": VI.copy()}).fit(X_NEW, Y_NEW)
    with pytest.raises(ValueError, match="metric_params was"):
        adapted.set_params(metric_params={"VI": 2 * VI}).fit(X_NEW, Y_NEW)
