"""`MAMLFewShotClassifier` and `MAMLFewShotRegressor`, as a user calls them."""

import gc
import os
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")

import skmeta  # noqa: E402
from skmeta import MAMLFewShotClassifier, MAMLFewShotRegressor  # noqa: E402
from skmeta.datasets import make_few_shot_tasks, make_sinusoid_tasks  # noqa: E402
from skmeta.metrics import EpisodicScorer  # noqa: E402
from skmeta.model_selection import ClassDisjointKFold, EpisodeSplit  # noqa: E402

MADE = make_few_shot_tasks(40, 15, random_state=0)
SEEN = MADE.y < 28
X_SEEN, Y_SEEN = MADE.X[SEEN], MADE.y[SEEN]
X_NEW, Y_NEW = MADE.X[~SEEN], MADE.y[~SEEN]
SUPPORT = np.arange(0, 75)  # five classes

WAVES = make_sinusoid_tasks(300, 20, random_state=0)
WAVE = make_sinusoid_tasks(1, 40, random_state=1)


def classifier(algorithm="maml", **params):
    params = {"max_iter": 60, "hidden_layer_sizes": (32,), "random_state": 0} | params
    return MAMLFewShotClassifier(algorithm=algorithm, **params)


def regressor(algorithm="maml", **params):
    params = {"max_iter": 200, "random_state": 0} | params
    return MAMLFewShotRegressor(algorithm=algorithm, **params)


@pytest.fixture(
    scope="module", params=["maml", "fomaml", "anil", "reptile", "meta_sgd", "linear"]
)
def meta(request):
    if request.param == "linear":
        return classifier(head="linear").fit(X_SEEN, Y_SEEN)
    return classifier(request.param).fit(X_SEEN, Y_SEEN)


@pytest.fixture(scope="module", params=["maml", "meta_sgd", "ridge"])
def waves(request):
    return regressor(request.param).fit(WAVES.X, WAVES.y, task=WAVES.task)


# ---- what is learned -----------------------------------------------------------------


def test_training_on_other_classes_helps(meta):
    scorer = EpisodicScorer(n_way=5, k_shot=5, n_episodes=50)
    start = clone(meta).set_params(max_iter=1, outer_lr=1e-9, early_stopping=False)
    before = scorer(start.fit(X_SEEN, Y_SEEN), X_NEW, Y_NEW)
    assert scorer(meta, X_NEW, Y_NEW) > before + 0.03


def test_waves_are_learned():
    model = regressor("ridge", max_iter=800).fit(WAVES.X, WAVES.y, task=WAVES.task)
    new = make_sinusoid_tasks(60, 30, random_state=2)
    errors, within = [], []
    for t in range(60):
        rows = np.flatnonzero(new.task == t)
        adapted = model.adapt(new.X[rows[:10]], new.y[rows[:10]])
        found, deviations = adapted.predict(new.X[rows[10:]], return_std=True)
        errors.append(np.mean((found - new.y[rows[10:]]) ** 2))
        within.append(np.abs(found - new.y[rows[10:]]) < 2 * deviations)
    assert np.median(errors) < 0.1
    assert np.mean(within) > 0.85


def test_more_steps_fit_the_support_better(waves):
    if waves.algorithm != "maml":
        return
    rows, y = WAVE.X[:10], WAVE.y[:10]
    errors = [
        np.mean((waves.adapt(rows, y, n_steps=n).predict(rows) - y) ** 2)
        for n in (0, 1, 5, 20)
    ]
    assert (np.diff(errors) < 0).all()


@pytest.mark.parametrize("params", [{"inner_lr": 0.0}, {"n_inner_steps": 0}])
def test_without_steps_it_is_a_prototypical_network(params):
    model = classifier(**params).fit(X_SEEN, Y_SEEN)
    adapted = model.adapt(X_NEW[SUPPORT], Y_NEW[SUPPORT])
    Z, Q = adapted.transform(X_NEW[SUPPORT]), adapted.transform(X_NEW)
    means = np.stack([Z[Y_NEW[SUPPORT] == c].mean(axis=0) for c in adapted.classes_])
    D = ((Q[:, None] - means) ** 2).sum(axis=2)
    assert_array_equal(adapted.predict(X_NEW), adapted.classes_[D.argmin(axis=1)])


# ---- contracts -----------------------------------------------------------------------


def test_a_query_does_not_depend_on_the_others(meta):
    adapted = meta.adapt(X_NEW[SUPPORT], Y_NEW[SUPPORT])
    together = adapted.predict_proba(X_NEW)
    alone = np.vstack([adapted.predict_proba(X_NEW[i : i + 1]) for i in range(10)])
    assert_allclose(together[:10], alone, atol=1e-6)  # float32


def test_a_number_does_not_depend_on_the_others(waves):
    adapted = waves.adapt(WAVE.X[:10], WAVE.y[:10])
    alone = [adapted.predict(WAVE.X[i : i + 1])[0] for i in range(10)]
    assert_allclose(adapted.predict(WAVE.X)[:10], alone, atol=1e-5)


def test_adapt_leaves_the_parent_as_it_is(meta):
    before = pickle.dumps(meta)
    meta.adapt(X_NEW, Y_NEW, n_steps=2)
    assert pickle.dumps(meta) == before


def test_order_and_names_of_the_support_do_not_matter(meta):
    expected = meta.adapt(X_NEW[SUPPORT], Y_NEW[SUPPORT])
    order = np.random.default_rng(0).permutation(SUPPORT)
    found = meta.adapt(X_NEW[order], Y_NEW[order])
    args = dict(rtol=1e-3, atol=1e-4)
    assert_allclose(found.predict_proba(X_NEW), expected.predict_proba(X_NEW), **args)
    names = np.array(["e", "d", "c", "b", "a"])
    turned = meta.adapt(X_NEW[SUPPORT], names[Y_NEW[SUPPORT] - 28])
    assert_allclose(
        turned.predict_proba(X_NEW)[:, ::-1], expected.predict_proba(X_NEW), **args
    )


def test_one_row_at_a_time(meta):
    adapted = meta.adapt(X_NEW[SUPPORT], Y_NEW[SUPPORT])
    assert adapted.predict(X_NEW[:1]).shape == (1,)


def test_a_rare_class_weighs_as_much_in_the_steps():
    # 1 row against 14, in a space where that tells them apart: the loss of each class
    # counts the same, or all would be taken for the larger one.
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(30), 15)
    X = rng.standard_normal((30, 20))[y] + 0.5 * rng.standard_normal((450, 20))
    model = classifier(head="linear", n_inner_steps=5).fit(X[y < 20], y[y < 20])
    recalls = []
    for c in range(20, 29):
        rows = np.r_[15 * c, 15 * (c + 1) : 15 * (c + 2) - 1]
        adapted = model.adapt(X[rows], y[rows])
        recalls.append(np.mean(adapted.predict(X[15 * c + 1 : 15 * (c + 1)]) == c))
    assert np.mean(recalls) > 0.8


def test_same_random_state_same_bits(meta):
    again = clone(meta).fit(X_SEEN, Y_SEEN)
    assert_array_equal(again.predict_proba(X_NEW), meta.predict_proba(X_NEW))


def test_no_global_generator_is_touched():
    before = torch.random.get_rng_state()
    classifier(max_iter=5).fit(X_SEEN, Y_SEEN).adapt(X_NEW, Y_NEW)
    assert torch.equal(before, torch.random.get_rng_state())


def saved_and_restored(model, X, y, path):
    adapted = model.adapt(X, y)
    skmeta.save(adapted, path)
    for other in (skmeta.load(path), pickle.loads(pickle.dumps(adapted))):
        assert_array_equal(other.predict(X), adapted.predict(X))
        again = other.adapt(X[:20], y[:20]).predict(X)
        assert_array_equal(again, model.adapt(X[:20], y[:20]).predict(X))


def test_a_classifier_is_saved_and_restored(meta, tmp_path):
    saved_and_restored(meta, X_NEW, Y_NEW, tmp_path / "model.skmeta")


def test_a_regressor_is_saved_and_restored(waves, tmp_path):
    saved_and_restored(waves, WAVE.X, WAVE.y, tmp_path / "model.skmeta")


def test_fit_of_what_adapt_returned_is_adapt(meta):
    adapted = meta.adapt(X_NEW[SUPPORT], Y_NEW[SUPPORT])
    episodes = EpisodeSplit(5, k_shot=5, n_query=5, random_state=0)
    found = cross_val_score(adapted, X_NEW, Y_NEW, cv=episodes)
    one_by_one = [
        meta.adapt(X_NEW[a], Y_NEW[a]).score(X_NEW[b], Y_NEW[b])
        for a, b in episodes.split(X_NEW, Y_NEW)
    ]
    assert_allclose(found, one_by_one)


def test_adapt_of_a_pipeline_and_search_over_unseen_classes():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier(max_iter=20)),
        {"mamlfewshotclassifier__inner_lr": [0.0, 0.1]},
        cv=ClassDisjointKFold(2, random_state=0),
        scoring=EpisodicScorer(n_episodes=10),
    ).fit(X_SEEN, Y_SEEN)
    adapted = skmeta.adapt(search, X_NEW[SUPPORT], Y_NEW[SUPPORT], n_steps=1)
    assert adapted.predict(X_NEW).shape == (len(X_NEW),)


def test_images_and_modules():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 6)
    patches = 2 * rng.standard_normal((8, 2, 2)).repeat(4, axis=1).repeat(4, axis=2)
    X = patches[y] + 0.3 * rng.standard_normal((48, 8, 8))
    for encoder, params in (
        ("conv4", {"n_filters": 8, "n_components": 8}),
        (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8)), {}),
    ):
        few = dict(n_query=2, k_shot=2, meta_batch_size=4, inner_lr=0.01)
        model = classifier(encoder=encoder, max_iter=20, **few, **params).fit(X, y)
        assert model.adapt(X[::2], y[::2]).score(X, y) > 0.9
        model = clone(model).set_params(max_iter=2).fit(X, y)
        flat = clone(model).set_params(input_shape=(1, 8, 8))
        flat.fit(X.reshape(48, -1), y)
        assert_allclose(
            flat.predict_proba(X.reshape(48, -1)), model.predict_proba(X), atol=1e-6
        )


def test_several_outputs():
    Y = np.column_stack([WAVES.y, 100 - 2 * WAVES.y])
    for algorithm in ("maml", "ridge"):
        model = regressor(algorithm, max_iter=50).fit(WAVES.X, Y, task=WAVES.task)
        found = model.adapt(WAVES.X[:20], Y[:20]).predict(WAVES.X[:7])
        assert found.shape == (7, 2)
        assert abs(found[:, 1].mean() - 100) < 20


def test_a_regressor_without_tasks_has_one():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, -2.0, 0.5]
    model = regressor("ridge", max_iter=100).fit(X, y)
    assert model.score(X, y) > 0.95


def test_warm_start_goes_on():
    model = classifier(max_iter=30, warm_start=True).fit(X_SEEN, Y_SEEN)
    first = model.loss_curve_[-1]
    model.fit(X_SEEN, Y_SEEN)
    assert model.loss_curve_[-1] < first
    with pytest.raises(ValueError, match="weights of another shape"):
        model.set_params(hidden_layer_sizes=(8,)).fit(X_SEEN, Y_SEEN)


def test_checkpoint_goes_on_to_the_same_bits(tmp_path):
    whole = classifier(max_iter=200).fit(X_SEEN, Y_SEEN)
    path = tmp_path / "fit"
    kept = classifier(max_iter=200, checkpoint=path).fit(X_SEEN, Y_SEEN)
    again = classifier(max_iter=200, checkpoint=path).fit(X_SEEN, Y_SEEN)
    for model in (kept, again):
        assert_array_equal(model.predict_proba(X_NEW), whole.predict_proba(X_NEW))
    with pytest.raises(ValueError, match="another fit|not of this"):
        classifier(max_iter=200, checkpoint=path, inner_lr=0.2).fit(X_SEEN, Y_SEEN)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_adaptations_leave_memory_flat(waves):
    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(50):
        waves.adapt(WAVE.X, WAVE.y)
    before = resident()
    for _ in range(300):
        waves.adapt(WAVE.X, WAVE.y)
    assert resident() - before < 2e6


# ---- what goes wrong -----------------------------------------------------------------


def test_fault_42_one_class(meta):
    with pytest.raises(ValueError, match="y_support has one class"):
        meta.adapt(X_NEW[:5], Y_NEW[:5])


def test_fault_43_no_class_has_two_rows(meta):
    with pytest.raises(ValueError, match="one of them with two rows"):
        clone(meta).fit(X_SEEN[::15], Y_SEEN[::15])
    rows = np.concatenate([np.arange(15 * c, 15 * c + 1 + c % 3) for c in range(28)])
    model = clone(meta).set_params(max_iter=3).fit(X_SEEN[rows], Y_SEEN[rows])
    assert np.isfinite(model.predict_proba(X_NEW)).all()


def test_fault_44_more_ways_than_classes():
    few = Y_SEEN < 3
    with pytest.warns(UserWarning, match="n_way=5 is more than the 3 classes"):
        classifier(max_iter=3).fit(X_SEEN[few], Y_SEEN[few])


@pytest.mark.parametrize("lr", [1e9, 1e30])
def test_fault_46_an_inner_loop_that_diverges(lr):
    with pytest.raises(FloatingPointError, match="inner loop diverged at step"):
        regressor(inner_lr=lr, n_inner_steps=6).fit(WAVES.X, WAVES.y, task=WAVES.task)
    model = regressor(max_iter=5).fit(WAVES.X, WAVES.y, task=WAVES.task)
    before = pickle.dumps(model)
    with pytest.raises(FloatingPointError, match="diverged"):
        model.adapt(1e18 * WAVE.X, WAVE.y, n_steps=50)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize(
    "params",
    [
        {"inner_lr": -0.1},
        {"n_inner_steps": -1},
        {"outer_lr": 0.0},
        {"algorithm": "mml"},
        {"encoder": "mpl"},
        {"hidden_layer_sizes": (0,)},
        {"input_shape": (1, 7, 7)},
        {"device": "nonsense"},
    ],
)
def test_fault_48_parameters(params):
    with pytest.raises(ValueError):
        clone(classifier()).set_params(**params).fit(X_SEEN, Y_SEEN)


def test_reptile_needs_two_steps():
    with pytest.raises(ValueError, match="n_inner_steps of at least 2"):
        classifier("reptile", n_inner_steps=1).fit(X_SEEN, Y_SEEN)


def test_batch_normalisation_is_refused():
    module = torch.nn.Sequential(torch.nn.Linear(30, 8), torch.nn.BatchNorm1d(8))
    with pytest.raises(ValueError, match="BatchNorm1d .* query's prediction"):
        classifier(encoder=module).fit(X_SEEN, Y_SEEN)


def test_numbers_of_steps_and_deviations(waves):
    if waves.algorithm != "ridge":
        with pytest.raises(ValueError, match="n_steps must be a number of steps"):
            waves.adapt(WAVE.X, WAVE.y, n_steps=-1)
        with pytest.raises(ValueError, match="needs algorithm='ridge'"):
            waves.predict(WAVE.X, return_std=True)
    with pytest.raises(ValueError, match="2 column"):
        waves.adapt(WAVE.X, np.column_stack([WAVE.y, WAVE.y]))
