"""`MetricFewShotClassifier` and `adapt`, as a user calls them."""

import pickle
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmeta
from skmeta import MetricFewShotClassifier
from skmeta.core.heads import HEADS
from skmeta.datasets import make_few_shot_tasks
from skmeta.metrics import EpisodicScorer
from skmeta.model_selection import ClassDisjointKFold, EpisodeSplit

MADE = make_few_shot_tasks(60, 20, random_state=0)
SEEN = MADE.y < 40
X_SEEN, Y_SEEN = MADE.X[SEEN], MADE.y[SEEN]
X_NEW, Y_NEW = MADE.X[~SEEN], MADE.y[~SEEN]


def learner(head="prototype", encoder="identity", **params):
    params = {"random_state": 0} | params
    if head == "relation":  # is trained
        params = {"max_iter": 20, "batch_classes": 10} | params
        encoder = "whitened"
    return MetricFewShotClassifier(head, encoder=encoder, **params)


@pytest.fixture(scope="module", params=sorted(HEADS))
def meta(request):
    return learner(request.param).fit(X_SEEN, Y_SEEN)


# ---- what few shots give -------------------------------------------------------------


def accuracy(model, k_shot=1):
    scorer = EpisodicScorer(n_way=5, k_shot=k_shot, n_episodes=150)
    return scorer.evaluate(model, X_NEW, Y_NEW)


def test_what_is_learned_of_other_classes_helps():
    # The best of given means has .87 here; raw distances see what is no class's.
    raw = accuracy(learner().fit(X_SEEN, Y_SEEN))
    assert accuracy(KNeighborsClassifier(1)).mean == pytest.approx(raw.mean)
    for head, least in (
        ("prototype", 0.7),
        ("matching", 0.7),
        ("ridge", 0.65),
        ("simpleshot", 0.65),
    ):
        model = learner(head, "whitened").fit(X_SEEN, Y_SEEN)
        assert accuracy(model).interval[0] > max(least, raw.interval[1])
    assert accuracy(learner("gaussian").fit(X_SEEN, Y_SEEN)).interval[0] > 0.7


def test_the_learned_metric_is_mahalanobis():
    model = learner(metric="mahalanobis").fit(X_SEEN, Y_SEEN)
    assert accuracy(model).mean > 0.7
    VI = np.linalg.inv(MADE.within)
    given = learner(metric="mahalanobis", metric_params={"VI": VI}).fit(X_SEEN, Y_SEEN)
    # the true one, which does not know along what the classes differ
    assert 0.3 < accuracy(given).mean < accuracy(model).mean


def test_auto_takes_what_is_best_on_classes_held_out():
    model = learner(encoder="auto", max_iter=3).fit(X_SEEN, Y_SEEN)
    scores = model.encoder_scores_
    assert list(scores) == ["identity", "unit", "whitened", "mlp"]
    assert model.encoder_ == max(scores, key=scores.get) != "identity"
    # Where classes differ in all directions there is nothing to learn but noise.
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 4)
    X = 0.8 * rng.standard_normal((12, 200))[y] + rng.standard_normal((48, 200))
    assert learner(encoder="auto", max_iter=3).fit(X, y).encoder_ == "identity"


def test_prototype_on_raw_rows_is_nearest_centroid():
    meta = learner().fit(X_SEEN, Y_SEEN)
    expected = NearestCentroid().fit(X_NEW[::2], Y_NEW[::2])
    found = meta.adapt(X_NEW[::2], Y_NEW[::2])
    assert_array_equal(found.predict(X_NEW[1::2]), expected.predict(X_NEW[1::2]))


# ---- contracts -----------------------------------------------------------------------


def test_a_query_does_not_depend_on_the_others(meta):
    adapted = meta.adapt(X_NEW[:100], Y_NEW[:100])
    together = adapted.predict_proba(X_NEW)
    alone = np.vstack([adapted.predict_proba(X_NEW[i : i + 1]) for i in range(20)])
    assert_array_equal(together[:20], alone)


def test_adapt_leaves_the_parent_as_it_is(meta):
    before = pickle.dumps(meta)
    adapted = meta.adapt(X_NEW[:100], Y_NEW[:100])
    adapted.set_params(n_query=3)
    assert pickle.dumps(meta) == before
    assert_array_equal(adapted.classes_, np.unique(Y_NEW[:100]))


def test_the_order_of_the_support_does_not_matter(meta):
    order = np.random.default_rng(0).permutation(100)
    expected = meta.adapt(X_NEW[:100], Y_NEW[:100]).predict_proba(X_NEW)
    found = meta.adapt(X_NEW[order], Y_NEW[order]).predict_proba(X_NEW)
    assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize(
    "names", [[7, 3, 11], ["γ", "👩‍🚀", "a"], [True, False], [2.0, -1.0]]
)
def test_labels_come_back_as_they_were(meta, names):
    k = len(names)
    y = np.array(names)[np.arange(4 * k) % k]
    rows = X_NEW[np.arange(4 * k) % k * 20 + np.arange(4 * k) // k]
    adapted = meta.adapt(rows, y)
    codes = meta.adapt(rows, np.arange(4 * k) % k)
    found = adapted.predict(X_NEW)
    assert found.dtype == y.dtype
    assert_array_equal(found, np.array(names)[codes.predict(X_NEW)])
    assert_array_equal(adapted.classes_, np.unique(y))


def test_one_row_at_a_time_and_unequal_shots(meta):
    rows = np.r_[0, 20:25, 40:43]
    adapted = meta.adapt(X_NEW[rows], Y_NEW[rows])
    assert adapted.predict(X_NEW[:1]).shape == (1,)
    chances = adapted.predict_proba(X_NEW)
    assert_allclose(chances.sum(axis=1), 1)
    assert chances.shape == (len(X_NEW), 3)


def test_same_random_state_same_bits(meta):
    again = clone(meta).fit(X_SEEN, Y_SEEN)
    assert pickle.dumps(again) == pickle.dumps(clone(meta).fit(X_SEEN, Y_SEEN))
    assert_array_equal(again.predict_proba(X_NEW), meta.predict_proba(X_NEW))


def test_no_global_generator_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    learner("ridge").fit(X_SEEN, Y_SEEN)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_saved_and_restored(meta, tmp_path):
    adapted = meta.adapt(X_NEW[:100], Y_NEW[:100])
    skmeta.save(adapted, tmp_path / "model.skmeta")
    for other in (
        skmeta.load(tmp_path / "model.skmeta"),
        pickle.loads(pickle.dumps(adapted)),
    ):
        assert_array_equal(other.predict_proba(X_NEW), adapted.predict_proba(X_NEW))
        again = other.adapt(X_NEW[100:200], Y_NEW[100:200])
        expected = meta.adapt(X_NEW[100:200], Y_NEW[100:200])
        assert_array_equal(again.predict_proba(X_NEW), expected.predict_proba(X_NEW))


def test_fit_of_what_adapt_returned_is_adapt(meta):
    adapted = meta.adapt(X_NEW[:100], Y_NEW[:100])
    expected = meta.adapt(X_NEW[100:200], Y_NEW[100:200]).predict_proba(X_NEW)
    for model in (adapted, clone(adapted), clone(clone(adapted))):
        found = model.fit(X_NEW[100:200], Y_NEW[100:200])
        assert_array_equal(found.predict_proba(X_NEW), expected)
    episodes = EpisodeSplit(50, k_shot=1, random_state=0)
    found = cross_val_score(adapted, X_NEW, Y_NEW, cv=episodes)
    one_by_one = [
        meta.adapt(X_NEW[a], Y_NEW[a]).score(X_NEW[b], Y_NEW[b])
        for a, b in episodes.split(X_NEW, Y_NEW)
    ]
    assert_allclose(found, one_by_one)


def test_parameters_of_meta_training_do_not_change_afterwards(meta):
    adapted = clone(meta.adapt(X_NEW[:100], Y_NEW[:100])).set_params(n_way=3)
    with pytest.raises(ValueError, match="n_way was 5 when .* meta-trained, and is 3"):
        adapted.fit(X_NEW[:100], Y_NEW[:100])


def test_tasks_are_kept_apart():
    # Classes of a task differ in one column, and tasks in another, by much more.
    rng = np.random.default_rng(0)
    y = np.tile(np.repeat([0, 1], 10), 12)
    task = np.repeat(np.arange(12), 20)
    X = 0.1 * rng.standard_normal((240, 2))
    X[:, 0] += y
    X[:, 1] += 10 * task
    within = learner("ridge", n_way=2).fit(X, y, task=task)
    loss = log_loss(y[:20], within.adapt(X[:20:2], y[:20:2]).predict_proba(X[:20]))
    assert loss < 0.2


# ---- probabilities -------------------------------------------------------------------


@pytest.mark.parametrize("k_shot", [1, 5])
def test_probabilities_come_true_as_often_as_they_say(meta, k_shot):
    adapted = meta.adapt(X_NEW[:100], Y_NEW[:100])
    episodes = list(EpisodeSplit(60, k_shot=k_shot, random_state=0).split(X_NEW, Y_NEW))
    sure, right = [], []
    for support, query in episodes:
        model = adapted.adapt(X_NEW[support], Y_NEW[support])
        chances = model.predict_proba(X_NEW[query])
        sure.append(chances.max(axis=1))
        right.append(model.classes_[chances.argmax(axis=1)] == Y_NEW[query])
    assert abs(np.mean(np.concatenate(sure)) - np.mean(np.concatenate(right))) < 0.05


# ---- transductive --------------------------------------------------------------------


@pytest.mark.parametrize("head", [h for h in HEADS if HEADS[h].refines])
def test_queries_refine_prototypes_where_they_may(head):
    inductive = learner(head, "whitened").fit(X_SEEN, Y_SEEN)
    found = clone(inductive).set_params(transductive=True).fit(X_SEEN, Y_SEEN)
    assert accuracy(found).mean > accuracy(inductive).mean + 0.01


def test_transductive_may_be_chosen_after_adaptation():
    adapted = learner().fit(X_SEEN, Y_SEEN).adapt(X_NEW[:40:4], Y_NEW[:40:4])
    expected = learner(transductive=True).fit(X_SEEN, Y_SEEN)
    expected = expected.adapt(X_NEW[:40:4], Y_NEW[:40:4]).predict_proba(X_NEW)
    adapted.set_params(transductive=True)
    assert_allclose(adapted.predict_proba(X_NEW), expected)


# ---- Pipelines and searches ----------------------------------------------------------


def test_adapt_of_a_pipeline_freezes_its_transformers():
    pipeline = make_pipeline(StandardScaler(), learner("ridge"))
    pipeline.fit(X_SEEN, Y_SEEN)
    before = pickle.dumps(pipeline)
    adapted = skmeta.adapt(pipeline, X_NEW[:100], Y_NEW[:100])
    scaled = pipeline[0].transform(X_NEW)
    expected = pipeline[-1].adapt(scaled[:100], Y_NEW[:100]).predict_proba(scaled)
    assert_array_equal(adapted.predict_proba(X_NEW), expected)
    assert pickle.dumps(pipeline) == before
    again = clone(adapted).fit(X_NEW[100:200], Y_NEW[100:200])
    expected = skmeta.adapt(pipeline, X_NEW[100:200], Y_NEW[100:200])
    assert_array_equal(again.predict_proba(X_NEW), expected.predict_proba(X_NEW))


def test_adapt_takes_a_search_and_refuses_others():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), learner()),
        {
            "metricfewshotclassifier__encoder": ["identity", "whitened"],
            "metricfewshotclassifier__metric": ["euclidean", "cosine"],
        },
        cv=ClassDisjointKFold(3, random_state=0),
        scoring=EpisodicScorer(n_episodes=50),
    ).fit(X_SEEN, Y_SEEN)
    assert search.best_params_["metricfewshotclassifier__encoder"] == "whitened"
    adapted = skmeta.adapt(search, X_NEW[::4], Y_NEW[::4])
    assert adapted.score(X_NEW, Y_NEW) > 0.5
    with pytest.raises(TypeError, match="got a KNeighborsClassifier"):
        skmeta.adapt(KNeighborsClassifier(), X_NEW, Y_NEW)


def test_names_of_what_transform_gives():
    model = (
        learner(encoder="whitened").fit(X_SEEN, Y_SEEN).set_output(transform="pandas")
    )
    frame = model.transform(X_NEW)
    assert frame.columns[0] == "metricfewshotclassifier0"
    # distances between them are those of the head
    Z = frame.to_numpy()
    adapted = model.adapt(X_NEW[::20], Y_NEW[::20])
    D = ((Z[:, None] - Z[::20]) ** 2).sum(axis=2)
    assert_array_equal(adapted.predict(X_NEW), np.unique(Y_NEW)[D.argmin(axis=1)])


def test_images_of_any_shape():
    images = X_SEEN.reshape(-1, 2, 3, 5)
    model = learner("ridge").fit(images, Y_SEEN)
    flat = learner("ridge").fit(X_SEEN, Y_SEEN)
    new = X_NEW.reshape(-1, 2, 3, 5)
    assert_array_equal(
        model.adapt(new[:100], Y_NEW[:100]).predict(new),
        flat.adapt(X_NEW[:100], Y_NEW[:100]).predict(X_NEW),
    )
    with pytest.raises(
        ValueError, match=r"shape \(30, 1, 1\).*trained on .* \(2, 3, 5\)"
    ):
        model.predict(X_NEW[:, :, None, None])


# ---- what goes wrong -----------------------------------------------------------------


def test_fault_42_one_class(meta):
    message = "two or more classes to tell apart; y_support has one class, 5"
    with pytest.raises(ValueError, match=message):
        meta.adapt(X_NEW[:5], np.full(5, 5))
    with pytest.raises(ValueError, match="y has one class"):
        clone(meta).fit(X_SEEN[:20], Y_SEEN[:20])


def test_fault_43_classes_of_few_rows(meta):
    # from one row of a class on: what cannot be asked for is support alone
    rows = np.concatenate([np.arange(20 * c, 20 * c + 1 + c % 3) for c in range(40)])
    model = clone(meta).fit(X_SEEN[rows], Y_SEEN[rows])
    assert np.isfinite(model.predict_proba(X_NEW)).all()
    rows = np.arange(0, 800, 20)
    if meta.head == "relation":
        message = "needs two classes, one of them with two rows.*rows by class: 0: 1, "
        with pytest.raises(ValueError, match=message):
            clone(meta).fit(X_SEEN[rows], Y_SEEN[rows])
        return
    model = clone(meta).fit(X_SEEN[rows], Y_SEEN[rows])
    assert np.isfinite(model.predict_proba(X_NEW)).all()


def test_fault_45_unseen_label_in_query(meta):
    adapted = meta.adapt(X_NEW[:100], Y_NEW[:100])
    with pytest.raises(ValueError, match="not|label|class"):
        log_loss(Y_NEW, adapted.predict_proba(X_NEW), labels=adapted.classes_)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.full((4, 30), np.nan), [0, 0, 1, 1], "NaN"),
        (np.full((4, 30), np.inf), [0, 0, 1, 1], "infinity"),
        (np.ones((4, 3)), [0, 0, 1, 1], "3 features.*30"),
        (np.ones((4, 30)), [0, 1, 1], "[Ii]nconsistent"),
        (np.ones((4, 30)), [0, 1, None, 1], "row 2"),
        (np.ones((4, 30)), [0.5, 1, 2, 1], "Unknown label type"),
        (np.ones((4, 30)), None, "requires y"),
        (np.ones((0, 30)), [], "0 sample|minimum of 1|empty"),
    ],
)
def test_bad_supports(meta, X, y, message):
    before = pickle.dumps(meta)
    with pytest.raises(ValueError, match=message):
        meta.adapt(X, y)
    assert pickle.dumps(meta) == before


def test_transductive_needs_prototypes():
    with pytest.raises(ValueError, match="head='ridge' does not have; choose one of"):
        learner("ridge", transductive=True).fit(X_SEEN, Y_SEEN)


def test_equal_rows_are_finite(meta):
    adapted = meta.adapt(np.ones((6, 30)), [0, 0, 0, 1, 1, 1])
    assert_allclose(adapted.predict_proba(np.ones((2, 30))), 0.5)


# ---- encoders that are trained -------------------------------------------------------


def small(encoder, head="prototype", **params):
    params = {"max_iter": 2, "batch_classes": 8, "averaging": 0.9} | params
    return learner(head, encoder, n_way=3, k_shot=2, n_query=3, **params)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_a_module_embeds_rows(head):
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(30, 64)
    before = module.weight.detach().clone()
    for encoder in (module, lambda: torch.nn.Linear(30, 64)):
        model = MetricFewShotClassifier(
            head,
            encoder=encoder,
            max_iter=2,
            n_way=3,
            n_components=64,
            random_state=0,
        ).fit(X_SEEN, Y_SEEN)
        assert model.encoder_ == "module"
        assert model.transform(X_NEW).shape == (len(X_NEW), 64)
        adapted = model.adapt(X_NEW[:100], Y_NEW[:100])
        assert np.isfinite(adapted.predict_proba(X_NEW)).all()
    assert torch.equal(module.weight, before)  # a copy is trained


@pytest.mark.parametrize("encoder", ["conv4", "resnet"])
@pytest.mark.parametrize("sampling", ["classes", "episodes"])
def test_images_are_embedded_and_need_no_torch_afterwards(encoder, sampling):
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 6)
    X = rng.standard_normal((12, 8, 8))[y] + 0.3 * rng.standard_normal((72, 8, 8))
    params = dict(sampling=sampling, n_filters=8, n_components=16, max_iter=3)
    model = small(encoder, class_rotations=True, augment="noise", **params)
    model.fit(X, y, task=y % 2)
    assert model.transform(X).shape == (72, 16)
    # Random patterns are not what convolutions are for: six times chance.
    assert model.adapt(X[::2], y[::2]).score(X, y) > 0.5
    flat = clone(model).set_params(input_shape=(1, 8, 8))
    flat.fit(X.reshape(72, -1), y, task=y % 2)
    assert_allclose(flat.transform(X.reshape(72, -1)), model.transform(X), atol=1e-5)
    restored = pickle.loads(pickle.dumps(model))
    assert_array_equal(restored.transform(X), model.transform(X))


def test_training_begins_as_the_whitened_rows():
    pytest.importorskip("torch")
    model = small("mlp", averaging=0.0, learning_rate_init=1e-9, dropout=0.0)
    Z = model.fit(X_SEEN, Y_SEEN).transform(X_NEW)
    first = model._embedding.first
    expected = (X_NEW - first.mean) @ first.weights
    assert_allclose(Z, expected, atol=1e-4)


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path):
    pytest.importorskip("torch")
    whole = small("mlp").fit(X_SEEN, Y_SEEN).transform(X_NEW)
    for _ in range(2):
        kept = small("mlp", checkpoint=tmp_path / "fit").fit(X_SEEN, Y_SEEN)
        assert_array_equal(kept.transform(X_NEW), whole)


def test_metrics_that_are_not_trained_through_leave_auto_the_others():
    def largest(a, b):
        return np.abs(a - b).max()

    VI = np.linalg.inv(MADE.within)
    for metric, params in ((largest, None), ("mahalanobis", {"VI": VI})):
        model = learner(metric=metric, metric_params=params, encoder="auto")
        model.fit(X_SEEN[::4], Y_SEEN[::4])
        assert "mlp" not in model.encoder_scores_
    with pytest.raises(ValueError, match="cannot be trained through"):
        learner(metric=largest, encoder="mlp").fit(X_SEEN, Y_SEEN)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"encoder": "mpl"}, "encoder='mpl' is unknown; choose one of"),
        ({"encoder": "conv4"}, "encoder='conv4' takes images.* has rows of numbers"),
        ({"encoder": "conv4", "input_shape": (1, 5, 5)}, "25 numbers, but .* have 30"),
        ({"head": "relation", "encoder": "unit"}, "encoder='unit' is not trained"),
        ({"encoder": "mlp", "augment": "affine"}, "takes images"),
        ({"encoder": "mlp", "class_rotations": True}, "turns square images"),
        ({"encoder": "mlp", "augment": lambda X, g: X[:1]}, "tensor of the same shape"),
        ({"encoder": "mlp", "device": "nonsense"}, "device='nonsense' is not there"),
        ({"encoder": "mlp", "checkpoint": "x", "random_state": None}, "random_state"),
    ],
)
def test_what_training_refuses(params, message):
    pytest.importorskip("torch")
    model = MetricFewShotClassifier(**({"random_state": 0} | params))
    with pytest.raises(ValueError, match=message):
        model.fit(X_SEEN, Y_SEEN)


def test_transductive_chosen_later_needs_prototypes_too():
    adapted = learner("ridge").fit(X_SEEN, Y_SEEN).adapt(X_NEW[:40], Y_NEW[:40])
    adapted.set_params(transductive=True)
    with pytest.raises(ValueError, match="head='ridge' does not have"):
        adapted.predict(X_NEW)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_any_share_of_classes_may_be_held_out(share):
    pytest.importorskip("torch")
    model = small("mlp", validation_fraction=share).fit(X_SEEN, Y_SEEN)
    assert len(model.validation_scores_) == model.n_iter_ == 2


def test_classes_of_two_rows_that_are_held_out_leave_none_to_train_on():
    pytest.importorskip("torch")
    # One class alone has two rows: it trains, or nothing does, but no error of numpy's.
    rows = np.r_[0:2, 20:800:20]
    for seed in range(6):
        try:
            small("mlp", random_state=seed).fit(X_SEEN[rows], Y_SEEN[rows])
        except ValueError as error:
            assert "one of them with two rows" in str(error)


def test_fault_47_training_that_diverges_says_so():
    pytest.importorskip("torch")
    for averaging in (0.0, 0.9):
        model = small("mlp", learning_rate_init=1e30, averaging=averaging)
        with pytest.raises(FloatingPointError, match="at step .* learning_rate_init"):
            model.fit(X_SEEN, Y_SEEN)


def test_a_factory_of_something_else_is_a_type_error():
    pytest.importorskip("torch")
    with pytest.raises(TypeError, match="the encoder made a int; a torch.nn.Module"):
        small(lambda: 3).fit(X_SEEN, Y_SEEN)


def test_warm_start_goes_on():
    pytest.importorskip("torch")
    model = small("mlp", warm_start=True, max_iter=3).fit(X_SEEN, Y_SEEN)
    first, losses = model.transform(X_NEW), model.loss_curve_
    model.set_params(max_iter=1, learning_rate_init=1e-9).fit(X_SEEN, Y_SEEN)
    assert_allclose(model.transform(X_NEW), first, atol=1e-4)  # it stays where it was
    assert model.loss_curve_[0] < losses[0]
    with pytest.raises(ValueError, match="weights of another shape"):
        model.set_params(hidden_layer_sizes=(8,)).fit(X_SEEN, Y_SEEN)
    model.set_params(hidden_layer_sizes=(256,), activation="tanh")
    with pytest.raises(ValueError, match="another activation"):
        model.fit(X_SEEN, Y_SEEN)
    with pytest.raises(ValueError, match="features"):
        model.fit(X_SEEN[:, 1:], Y_SEEN)
    with pytest.raises(ValueError, match="goes on from an encoder 'mlp'"):
        model.set_params(encoder="whitened", head="relation").fit(X_SEEN, Y_SEEN)


@pytest.mark.parametrize(
    "params",
    [
        {"encoder": "whitened", "head": "relation"},
        {"encoder": "conv4", "input_shape": (5, 6), "n_filters": 4},
        {"encoder": lambda: __import__("torch").nn.Linear(30, 64)},
        {"encoder": "auto"},
        {"encoder": "identity"},
    ],
)
def test_warm_start_of_every_encoder(params):
    pytest.importorskip("torch")
    params = {"warm_start": True, "max_iter": 2, "averaging": 0.0} | params
    model = small(**params).fit(X_SEEN, Y_SEEN)
    before, first = model.adapt(X_NEW, Y_NEW), model.encoder_
    model.set_params(max_iter=1, learning_rate_init=1e-9).fit(X_SEEN, Y_SEEN)
    assert model.encoder_ == first
    after = model.adapt(X_NEW, Y_NEW)
    share = np.mean(after.predict(X_NEW) == before.predict(X_NEW))
    assert share > (0.6 if first == "conv4" else 0.99)  # its statistics follow


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
def test_a_compiled_fit_comes_close():
    pytest.importorskip("torch")
    plain, compiled = (
        small("mlp", dropout=0.0, compile=compile).fit(X_SEEN, Y_SEEN)
        for compile in (False, True)
    )
    assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-2)
    assert_allclose(compiled.validation_scores_, plain.validation_scores_, atol=0.02)
