"""`NeuralSharedSpaceMapper` against a target, and with encoders of the user's."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.utils import get_tags

from skmeta import NeuralSharedSpaceMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.metrics import RetrievalScorer, mean_average_precision

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HALVES = {"average": slice(0, 10), "worst": slice(10, 30)}


def make(n_components=4, **options):
    given = {"hidden_layer_sizes": (32,), "max_iter": 40, "learning_rate_init": 0.01}
    given |= {"dropout": 0.0, "random_state": 0}
    return NeuralSharedSpaceMapper(n_components, **{**given, **options})


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return train_test_split(X, y, random_state=0)


@pytest.fixture(scope="module")
def digits():
    """The upper and the lower half of small digits, and their labels."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8)
    views = Views(upper=images[:, None, :4], lower=images[:, None, 4:])
    return views[:1200], y[:1200], views[1200:], y[1200:]


# ---- a target ------------------------------------------------------------------------


def test_cross_entropy_classifies_as_well_as_logistic_regression(cancer):
    X, X_test, y, y_test = cancer
    labels = np.array(["malignant", "benign"])[y]
    mapper = make(loss="cross_entropy", views=HALVES).fit(X, labels)
    assert_array_equal(mapper.classes_, ["benign", "malignant"])
    expected = np.array(["malignant", "benign"])[y_test]
    accuracy = np.mean(mapper.predict(X_test) == expected)
    assert accuracy == mapper.score(X_test, expected) > 0.94
    probabilities = mapper.predict_proba(X_test)
    assert probabilities.shape == (len(X_test), 2)
    assert_allclose(probabilities.sum(axis=1), 1)
    assert_array_equal(mapper.classes_[probabilities.argmax(1)], mapper.predict(X_test))


def test_the_head_is_logistic_in_the_fused_coordinates(cancer):
    X, X_test, y, _ = cancer
    mapper = make(loss="cross_entropy", views=HALVES).fit(X, y)
    logits = mapper.transform(X_test) @ mapper.coef_.T + mapper.intercept_
    assert_allclose(
        np.log(mapper.predict_proba(X_test)),
        logits - np.logaddexp.reduce(logits, axis=1, keepdims=True),
        atol=1e-6,
    )


def test_mse_of_a_linear_map_comes_to_least_squares():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 8)) * 10.0 ** rng.integers(-3, 4, 8)
    y = X @ (rng.normal(size=8) / X.std(axis=0)) * 1e4 + 1e6
    views = {"a": slice(0, 3), "b": slice(3, 8)}
    mapper = make(
        8, loss="mse", views=views, hidden_layer_sizes=(), weight_decay=0, max_iter=300
    ).fit(X, y)
    assert mapper.predict(X).shape == (400,)
    assert mapper.score(X, y) == r2_score(y, mapper.predict(X)) > 0.9999
    assert_allclose(mapper.predict(X), Ridge(0).fit(X, y).predict(X), rtol=1e-2)


def test_several_numbers_are_predicted_at_once():
    made = make_paired_views(500, random_state=0)
    y = made.shared @ np.array([[1.0, 0.0, 5.0], [0.0, 100.0, 1.0]])
    mapper = make(loss="mse").fit(made.views[:400], y[:400])
    predicted = mapper.predict(made.views[400:])
    assert predicted.shape == (100, 3)
    assert mapper.score(made.views[400:], y[400:]) == r2_score(y[400:], predicted) > 0.8


@pytest.mark.parametrize("fusion", ["concat", "mean", "worst"])
def test_the_head_reads_the_coordinates_that_fusion_makes(cancer, fusion):
    X, X_test, y, y_test = cancer
    mapper = make(loss="cross_entropy", views=HALVES, fusion=fusion).fit(X, y)
    Z = mapper.transform(X_test)
    assert mapper.coef_.shape == (2, Z.shape[1])
    assert mapper.score(X_test, y_test) > 0.93
    if fusion == "worst":
        hidden = X_test.copy()
        hidden[:, :10] = 0
        assert_array_equal(mapper.predict(hidden), mapper.predict(X_test))


def test_posterior_coordinates_are_not_there_to_be_trained_on(cancer):
    with pytest.raises(ValueError, match="only known afterwards"):
        make(loss="mse", views=HALVES, fusion="posterior").fit(cancer[0], cancer[2])


def test_rows_that_lack_a_view_are_predicted(cancer):
    X, X_test, y, y_test = cancer
    rng = np.random.default_rng(0)
    lacking = X.copy()
    lacking[rng.random(len(X)) < 0.3, 10:] = np.nan
    mapper = make(loss="cross_entropy", views=HALVES).fit(lacking, y)
    assert mapper.score(X_test, y_test) > 0.93
    alone = X_test.copy()
    alone[:, 10:] = np.nan
    assert mapper.score(alone, y_test) > 0.85


def test_tags_are_those_of_a_classifier_or_a_regressor():
    assert is_classifier(make(loss="cross_entropy"))
    assert is_regressor(make(loss="mse"))
    assert not is_classifier(make()) and not is_regressor(make())
    assert get_tags(make(loss="supcon")).target_tags.required
    assert not hasattr(make(loss="mse"), "predict_proba")
    assert not hasattr(make(loss="supcon", views=HALVES), "predict")


def test_a_search_stratifies_and_scores_it_as_a_classifier(cancer):
    X, _, y, _ = cancer
    search = GridSearchCV(
        make(loss="cross_entropy", views=HALVES, max_iter=5),
        {"alignment": [0.0, 0.3], "fusion": ["concat", "mean"]},
        cv=3,
    ).fit(X, y)
    assert search.best_score_ > 0.9
    assert search.predict_proba(X).shape == (len(X), 2)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "supcon"])
def test_without_views_a_target_would_be_the_second_view(loss):
    X, y = np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 2
    with pytest.raises(ValueError, match="without views= an array y is the second"):
        make(loss=loss).fit(X, y)


@pytest.mark.parametrize(
    ("y", "loss", "match"),
    [
        (None, "cross_entropy", "requires y to be passed"),
        (np.zeros(60), "cross_entropy", "one class, 0.0"),
        (np.zeros(60), "supcon", "one class, 0.0"),
        (np.linspace(0, 1, 60), "cross_entropy", "continuous"),
        (np.r_[np.nan, np.zeros(59)], "mse", "NaN"),
        ([np.nan, "a", "b"] * 20, "cross_entropy", "y has no label for row 0"),
        (np.arange(59), "mse", "60 rows, but y has 59"),
    ],
)
def test_fault_42_and_other_targets_that_cannot_be(y, loss, match):
    views = make_paired_views(60, random_state=0).views
    with pytest.raises(ValueError, match=match):
        make(loss=loss).fit(views, y)


def test_head_none_compares_the_coordinates_themselves():
    made = make_paired_views(300, random_state=0)
    y = np.digitize(made.shared[:, 0], [-0.5, 0.5])
    with pytest.raises(ValueError, match="8 fused coordinates .* 3 classes"):
        make(loss="cross_entropy", head=None).fit(made.views, y)
    mapper = make(3, loss="cross_entropy", head=None, fusion="mean")
    mapper.fit(made.views, y)
    assert not hasattr(mapper, "coef_")
    Z = mapper.transform(made.views)
    assert_array_equal(mapper.predict(made.views), Z.argmax(axis=1))
    assert mapper.score(made.views, y) > 0.7


def test_the_classical_model_is_that_of_plain_torch(monkeypatch):
    """Two linear layers side by side, MSELoss, Adam: the same loss curve to 1e-6."""
    from skmeta.nn import data as nn_data

    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(300, 7)), rng.normal(size=(300, 5))
    y = rng.normal(size=(300, 6))
    first, second = torch.nn.Linear(7, 3), torch.nn.Linear(5, 3)
    used, drawn = [], nn_data.Data.batch
    monkeypatch.setattr(
        nn_data.Data, "batch", lambda self, i: used.append(i.clone()) or drawn(self, i)
    )
    mapper = make(
        3,
        loss="mse",
        head=None,
        encoders={"a": first, "b": second},
        standardize=False,
        early_stopping=False,
        learning_rate="constant",
        learning_rate_init=0.001,
        weight_decay=0,
        batch_size=64,
        max_iter=20,
    ).fit(Views(a=A, b=B), y)
    assert used and len(used) == 100

    tensors = [torch.tensor(a, dtype=torch.float32) for a in (A, B, y)]
    optimiser = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.001)
    curve = []
    for epoch in range(20):
        total = 0.0
        for index in used[5 * epoch : 5 * epoch + 5]:
            a, b, target = (t[index] for t in tensors)
            loss = torch.nn.MSELoss()(torch.cat([first(a), second(b)], dim=1), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(index)
        curve.append(total / 300)
    assert_allclose(mapper.loss_curve_, curve, atol=1e-6)
    expected = torch.cat([first(tensors[0]), second(tensors[1])], dim=1)
    assert_allclose(
        mapper.transform(Views(a=A, b=B)), expected.detach().numpy(), atol=1e-5
    )


# ---- contrast and target together ----------------------------------------------------


def test_supcon_brings_rows_of_a_class_together_across_views(digits):
    views, y, test, y_test = digits
    options = {"hidden_layer_sizes": (64,), "max_iter": 30}
    measure = {"y_query": y_test, "y_gallery": y_test}
    found = {}
    for loss in ("info_nce", "supcon"):
        mapper = make(16, loss=loss, **options).fit(views, y)
        Z = mapper.transform_views(test)
        found[loss] = mean_average_precision(Z["upper"], Z["lower"], **measure)
    assert found["supcon"] > max(0.6, found["info_nce"] + 0.1)


def test_alignment_adds_the_contrastive_loss():
    made = make_paired_views(600, correlations=(0.95, 0.9, 0.9), random_state=0)
    y = (made.shared[:, 0] > 0).astype(int)
    train, test = made.views[:400], made.views[400:]
    options = {"loss": "cross_entropy", "max_iter": 60}
    alone = make(6, **options).fit(train, y[:400])
    both = make(6, alignment=1.0, **options).fit(train, y[:400])
    named = make(6, alignment={"info_nce": 1.0}, **options).fit(train, y[:400])
    assert_array_equal(both.transform(test), named.transform(test))
    assert both.score(test, y[400:]) > 0.8
    scorer = RetrievalScorer("view0", "view1", k=10)
    assert scorer(both, test) > 2 * scorer(alone, test)


@pytest.mark.parametrize(
    "alignment", [{"mse": 1.0}, {"nonsense": 1.0}, {"info_nce": -1.0}]
)
def test_alignment_takes_losses_of_views(alignment, cancer):
    with pytest.raises(ValueError, match="alignment="):
        make(loss="cross_entropy", views=HALVES, alignment=alignment).fit(
            cancer[0], cancer[2]
        )


def test_numbers_and_labels_cannot_both_be_the_target(cancer):
    with pytest.raises(ValueError, match="against numbers and 'supcon' against labels"):
        make(loss="mse", views=HALVES, alignment={"supcon": 1.0}).fit(
            cancer[0], cancer[2]
        )


def test_a_loss_object_of_a_library_plugs_in():
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    ntxent = losses.NTXentLoss(temperature=0.1)

    def loss(Za, Zb):
        labels = torch.arange(len(Za)).repeat(2)
        return ntxent(torch.cat([Za, Zb]), labels)

    views = make_paired_views(600, correlations=(0.95, 0.9, 0.9), random_state=0).views
    # Its memory is the third power of the batch.
    mapper = make(6, loss=loss, batch_size=32, max_iter=30).fit(views[:400])
    assert RetrievalScorer("view0", "view1", k=10)(mapper, views[400:]) > 0.5


# ---- encoders of the user's ----------------------------------------------------------


def convolution():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 4 * 8, 8),
    )


def test_modules_and_factories_encode_entries_of_any_shape(digits):
    views, _, test, _ = digits
    mapper = make(8, encoders={"upper": convolution}, max_iter=15).fit(views)
    Z = mapper.transform_views(test)
    assert Z["upper"].shape == Z["lower"].shape == (len(test), 8)
    found = RetrievalScorer("upper", "lower", k=10)(mapper, test)
    assert found > 5 * 10 / len(test)
    one = mapper.transform_view(test["upper"][5:6], "upper")
    assert_array_equal(one, Z["upper"][5:6])
    module = convolution()
    before = module[0].weight.detach().clone()
    again = make(8, encoders={"upper": module}, max_iter=2).fit(views)
    assert torch.equal(module[0].weight, before)
    restored = pickle.loads(pickle.dumps(again))
    assert_array_equal(
        restored.transform_view(test["upper"], "upper"),
        again.transform_view(test["upper"], "upper"),
    )


def test_fault_35_and_36_modules_with_global_randomness_leave_it_alone(digits):
    views = digits[0][:200]
    state = torch.random.get_rng_state()
    mapper = make(8, encoders={"upper": convolution}, max_iter=3)
    first = mapper.fit(views).transform(views)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    assert_array_equal(clone(mapper).fit(views).transform(views), first)


@pytest.mark.parametrize(
    ("encoders", "match"),
    [
        ({"nowhere": "mlp"}, "names view 'nowhere'; the views are"),
        ({"upper": "transformer"}, "choose one of"),
        ({"upper": lambda: torch.nn.Flatten()}, "n_components=4"),
        ({"upper": lambda: 3}, "made a int"),
    ],
)
def test_encoders_that_cannot_be(digits, encoders, match):
    with pytest.raises((ValueError, TypeError), match=match):
        make(encoders=encoders).fit(digits[0])


def test_conv4_needs_images():
    with pytest.raises(ValueError, match="takes images"):
        make(encoders={"view0": "conv4"}).fit(make_paired_views(60).views)


def test_entries_are_of_the_shape_they_were_fitted_with(digits):
    mapper = make(max_iter=2).fit(digits[0])
    turned = np.swapaxes(digits[2]["upper"], 2, 3)
    with pytest.raises(ValueError, match=r"entries of shape \(1, 8, 4\), but was"):
        mapper.transform_view(turned, "upper")
    predicted = mapper.predict_view(digits[2], source="upper", target="lower")
    assert predicted.shape == digits[2]["lower"].shape


def test_channels_not_pixels_are_standardised(digits):
    views = digits[0][:300]
    one = make(max_iter=3).fit(views).transform(views)
    scaled = Views(upper=views["upper"] * 100 + 7, lower=views["lower"])
    other = make(max_iter=3).fit(scaled).transform(scaled)
    assert_allclose(other, one, atol=1e-4)


# ---- how long it trains --------------------------------------------------------------


def test_the_score_of_held_out_rows_is_the_users_choice(cancer):
    X, _, y, _ = cancer
    options = {"loss": "cross_entropy", "views": HALVES, "max_iter": 6}
    default = make(**options).fit(X, y).validation_scores_
    assert_allclose(
        make(scoring="accuracy", **options).fit(X, y).validation_scores_,
        default,
        atol=1e-12,
    )
    loss = make(scoring="loss", **options).fit(X, y).validation_scores_
    assert all(score < 0 for score in loss)
    calls = []

    def scorer(estimator, X, y):
        calls.append(len(X))
        return -accuracy_score(y, estimator.predict(X))

    mapper = make(scoring=scorer, **options).fit(X, y)
    assert_allclose(mapper.validation_scores_, -np.array(default), atol=1e-12)
    assert set(calls) == {round(0.1 * len(X))}


def test_a_retrieval_scorer_can_stop_the_fit():
    views = make_paired_views(300, random_state=0).views
    scorer = RetrievalScorer("view0", "view1", k=3)
    mapper = make(scoring=scorer, max_iter=5).fit(views)
    assert len(mapper.validation_scores_) == 5
    assert 0 <= min(mapper.validation_scores_) <= max(mapper.validation_scores_) <= 1


def test_warm_start_goes_on_from_the_weights_before():
    views = make_paired_views(300, random_state=0).views
    options = {"early_stopping": False, "learning_rate": "constant"}
    mapper = make(max_iter=20, warm_start=True, **options).fit(views)
    before = mapper.loss_curve_[-1]
    mapper.set_params(max_iter=1).fit(views)
    assert mapper.n_iter_ == 1 and mapper.loss_curve_[0] < before + 0.1
    assert mapper.set_params(warm_start=False).fit(views).loss_curve_[0] > before + 0.5
    mapper.set_params(warm_start=True, n_components=5)
    with pytest.raises(ValueError, match="other views, columns or components"):
        mapper.fit(views)


def test_partial_fit_learns_from_pieces():
    made = make_paired_views(900, correlations=(0.95, 0.9, 0.9), random_state=0)
    mapper = make(6)
    for _ in range(25):
        for start in range(0, 600, 200):
            mapper.partial_fit(made.views[start : start + 200])
    assert mapper.n_iter_ == 75
    options = {"learning_rate": "constant", "early_stopping": False, "max_iter": 25}
    whole = make(6, batch_size=200, **options).fit(made.views[:600])
    scorer = RetrievalScorer("view0", "view1", k=10)
    by_chance = 10 / 300
    assert scorer(mapper, made.views[600:]) > 10 * by_chance
    assert scorer(mapper, made.views[600:]) > scorer(whole, made.views[600:]) - 0.03


def test_partial_fit_of_classes_to_come(cancer):
    X, X_test, y, y_test = cancer
    order = np.argsort(y, kind="stable")
    mapper = make(loss="cross_entropy", views=HALVES)
    mapper.partial_fit(X[order[:50]], y[order[:50]], classes=[0, 1])
    rng = np.random.default_rng(0)
    for _ in range(40):
        rows = rng.choice(len(X), 200, replace=False)
        mapper.partial_fit(X[rows], y[rows])
    assert mapper.score(X_test, y_test) > 0.93
    with pytest.raises(ValueError, match="has the label"):
        mapper.partial_fit(X[:50], np.full(50, 7))


def test_it_stands_in_a_cross_validation_beside_the_columns(cancer):
    X, _, y, _ = cancer
    mapper = make(loss="cross_entropy", views=HALVES, max_iter=20)
    scores = cross_val_score(mapper, X, y, cv=3)
    plain = cross_val_score(LogisticRegression(max_iter=5000), X, y, cv=3)
    assert scores.mean() > plain.mean() - 0.02
