"""`skmeta._progress`: epochs as scikit-learn's callbacks see them."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta._compat import fit_context
from skmeta._progress import Epochs, SupportsCallbacks, with_callbacks

callback = pytest.importorskip("sklearn.callback")

X = np.random.RandomState(0).randn(40, 3)
y = X @ [1.0, 2.0, 3.0]


class Descent(RegressorMixin, SupportsCallbacks, BaseEstimator):
    """Least squares by steps along the gradient."""

    _parameter_constraints = {}

    def __init__(self, rate=0.3, max_iter=12, fail_at=None):
        self.rate, self.max_iter, self.fail_at = rate, max_iter, fail_at

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        weights, losses = np.zeros(X.shape[1]), []
        self.made_ = 0

        def attributes():
            self.made_ += 1
            return {"weights_": weights.copy(), "loss_curve_": losses}

        with Epochs(self, X, y, self.max_iter) as epochs:
            for i in range(self.max_iter):
                epochs.begin()
                if i == self.fail_at:
                    raise FloatingPointError("it fails")
                weights = weights - self.rate * X.T @ (X @ weights - y) / len(X)
                losses.append(float(np.mean((X @ weights - y) ** 2)))
                if epochs.end(attributes):
                    break
            self.weights_, self.loss_curve_ = weights, losses
        return self

    def predict(self, X):
        return X @ self.weights_


class Record:
    """What hooks are called, where; asks to stop where ``stop`` says so."""

    def __init__(self, stop=lambda n: False):
        self.stop, self.calls = stop, []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self.calls.append(f"end {context.task_name}")
        return self.stop(self.calls.count("end epoch"))


class Everywhere(Record):
    """It goes down to the estimators inside."""

    max_propagation_depth = None


class Patience:
    """Stop where the loss of a fitted copy is small."""

    def __init__(self, below):
        self.below, self.seen = below, []

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        self.seen.append((fitted_estimator, fitted_estimator.predict(X)))
        return fitted_estimator.loss_curve_[-1] < self.below


def test_hooks_are_called_in_order():
    record = Record()
    model = Descent(max_iter=2).set_callbacks(record).fit(X, y)
    assert record.calls == [
        "setup",
        "begin fit",
        "begin epoch",
        "end epoch",
        "begin epoch",
        "end epoch",
        "end fit",
        "teardown",
    ]
    assert model.made_ == 0  # nobody wanted to see a fitted copy


def test_without_callbacks_nothing_is_made():
    model = Descent().fit(X, y)
    assert model.made_ == 0 and len(model.loss_curve_) == 12
    assert not [name for name in vars(model) if "callback" in name]


def test_a_callback_stops_the_fit():
    model = Descent().set_callbacks(Record(lambda n: n == 3)).fit(X, y)
    assert len(model.loss_curve_) == 3
    again = Descent(max_iter=3).fit(X, y)
    np.testing.assert_array_equal(model.weights_, again.weights_)


def test_a_callback_sees_fitted_copies():
    patience = Patience(1.0)
    model = Descent().set_callbacks(patience).fit(X, y)
    assert model.loss_curve_[-1] < 1.0 <= model.loss_curve_[-2]
    copies = [copy for copy, _ in patience.seen]
    assert model not in copies
    # One of each epoch, and one of the whole fit.
    assert len(copies) == len(model.loss_curve_) + 1 == model.made_ + 1
    first, last = patience.seen[0][1], patience.seen[-1][1]
    assert np.abs(first - y).mean() > np.abs(last - y).mean()
    np.testing.assert_array_equal(last, model.predict(X))


def test_a_fit_that_fails_is_torn_down():
    record = Record()
    with pytest.raises(FloatingPointError, match="it fails"):
        Descent(fail_at=1).set_callbacks(record).fit(X, y)
    assert record.calls[-2:] == ["begin epoch", "teardown"]
    assert "end fit" not in record.calls


def test_the_scoring_monitor_scores_each_epoch():
    monitor = callback.ScoringMonitor(scoring="r2")
    model = Descent(max_iter=5).set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == list(range(5))
    scores = [row["r2"] for row in rows]
    assert scores == sorted(scores) and scores[-1] == model.score(X, y)


def test_the_progress_bar(capsys):
    pytest.importorskip("rich")
    Descent(max_iter=4).set_callbacks(callback.ProgressBar()).fit(X, y)
    shown = capsys.readouterr().out
    assert "Descent - fit" in shown and "100%" in shown


def test_the_bar_is_full_where_the_fit_stops_early(capsys):
    pytest.importorskip("rich")
    stop = Record(lambda n: n == 2)
    Descent(max_iter=40).set_callbacks(callback.ProgressBar(), stop).fit(X, y)
    assert "100%" in capsys.readouterr().out


def test_it_goes_through_a_pipeline():
    record = Everywhere()
    pipe = make_pipeline(StandardScaler(), Descent(max_iter=3))
    pipe.set_callbacks(record).fit(X, y)
    assert record.calls.count("end epoch") == 3
    assert record.calls.count("setup") == record.calls.count("teardown") == 1


def epochs_of(monitor):
    logs = monitor.get_logs(select="all")
    return [row for log in logs for row in log.data if row["task_name"] == "epoch"]


def test_it_goes_through_a_search():
    monitor = callback.ScoringMonitor(scoring="r2")
    estimator = Descent(max_iter=3).set_callbacks(monitor)
    GridSearchCV(estimator, {"rate": [0.1, 0.3]}, cv=2).fit(X, y)
    assert len(epochs_of(monitor)) == 3 * (2 * 2 + 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_goes_through_a_search_in_processes():
    pytest.importorskip("torch")
    from skmeta import NeuralSharedSpaceMapper

    monitor = callback.ScoringMonitor(scoring="r2")
    mapper = NeuralSharedSpaceMapper(
        2,
        views={"a": [0], "b": slice(0, None)},
        loss="mse",
        hidden_layer_sizes=(4,),
        max_iter=3,
        random_state=0,
    ).set_callbacks(monitor)
    search = GridSearchCV(mapper, {"weight_decay": [0.0, 0.1]}, cv=2, n_jobs=2)
    search.fit(X, y)
    assert len(epochs_of(monitor)) == 3 * (2 * 2 + 1)


def test_a_propagated_callback_goes_through_a_search():
    record = Everywhere(lambda n: False)
    search = GridSearchCV(Descent(max_iter=3), {"rate": [0.1, 0.3]}, cv=2)
    search.set_callbacks(record).fit(X, y)
    assert record.calls.count("end epoch") == 3 * (2 * 2 + 1)
    assert record.calls.count("setup") == record.calls.count("teardown") == 1


def test_a_clone_keeps_its_callbacks():
    record = Record()
    clone(Descent(max_iter=1).set_callbacks(record)).fit(X, y)
    assert record.calls[-1] == "teardown"


def test_the_decorator_does_what_fit_context_does():
    class Plain(SupportsCallbacks, BaseEstimator):
        @with_callbacks
        def fit(self, X, y=None):
            with Epochs(self, X, y, 1) as epochs:
                epochs.begin()
                epochs.end()
            return self

    record = Record()
    Plain().set_callbacks(record).fit(X)
    assert record.calls[-2:] == ["end fit", "teardown"]


def test_it_fits_where_scikit_learn_has_no_callbacks():
    code = """
import sys
import sklearn.base
sys.modules["sklearn.callback"] = None
from skmeta._progress import Epochs, SupportsCallbacks, with_callbacks

class Model(SupportsCallbacks, sklearn.base.BaseEstimator):
    @with_callbacks
    def fit(self, X, y=None):
        with Epochs(self, X, y, 2) as epochs:
            for _ in range(2):
                epochs.begin()
                assert epochs.end(lambda: 1 / 0) is False
        return self

assert not hasattr(Model().fit([[1.0]]), "set_callbacks")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
