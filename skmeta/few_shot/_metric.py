"""`MetricFewShotClassifier`: new classes from a few rows, by nearness."""

import copy
from numbers import Integral, Real

import numpy as np
from scipy.special import softmax
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import Interval, StrOptions, fit_context
from skmeta.core.blocks import row_slices
from skmeta.core.distances import METRICS
from skmeta.core.heads import HEADS, Given, answer, learn
from skmeta.core.projection import ROWS_AT_A_TIME
from skmeta.few_shot._base import BaseFewShot
from skmeta.few_shot._embedding import (
    Embedding,
    learn_embedding,
    learned_for_heads,
    learns_metric,
    metric_of,
)
from skmeta.few_shot._held_out import (
    Fold,
    accuracies,
    calibrate,
    class_folds,
    held_pool,
)

ENCODERS = ("auto", "identity", "whitened")

# Episodes by which "auto" compares encoders.
N_CHOICE = 300
# Logits of so many bytes at a time.
BLOCK_BYTES = 16 * 2**20


class MetricFewShotClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseFewShot
):
    """Tell new classes apart from a few rows of each, as many others have taught."""

    _parameter_constraints = {
        "head": [StrOptions(set(HEADS))],
        "metric": [StrOptions(set(METRICS)), callable],
        "metric_params": [dict, None],
        "encoder": [StrOptions(set(ENCODERS))],
        "n_way": [Interval(Integral, 2, None, closed="left")],
        "k_shot": [Interval(Integral, 1, None, closed="left")],
        "n_query": [Interval(Integral, 1, None, closed="left")],
        "penalty": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "transductive": ["boolean"],
        "random_state": ["random_state"],
    }

    _learned = (
        "encoder_",
        "n_features_in_",
        "feature_names_in_",
        "_embedding",
        "_calibration",
        "_for_heads",
        "_n_features_out",
        "_entry_shape",
        "_entry_ndim",
    )
    _adapts = ("transductive",)
    _fitted_mark = "_state"

    def __init__(
        self,
        head="prototype",
        metric="euclidean",
        *,
        metric_params=None,
        encoder="auto",
        n_way=5,
        k_shot=5,
        n_query=15,
        penalty="auto",
        transductive=False,
        random_state=None,
    ):
        self.head = head
        self.metric = metric
        self.metric_params = metric_params
        self.encoder = encoder
        self.n_way = n_way
        self.k_shot = k_shot
        self.n_query = n_query
        self.penalty = penalty
        self.transductive = transductive
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, *, task=None):
        """Learn from many classes, and adapt to all of them."""
        if self._adapted_with is not None:
            return self._fit_again(X, y)
        self._check_parameters()
        X = self._read_X(X, reset=True)
        classes, codes = self._read_classes(X, y, "y")
        tasks = self._read_tasks(X, task)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self._meta_train(X, codes, tasks, len(classes), np.random.default_rng(seed))
        self._learn(X, codes, classes)
        return self

    def _adapt(self, X, y, n_steps=None):
        X = self._read_X(X, reset=False)
        classes, codes = self._read_classes(X, y, "y_support")
        self._learn(X, codes, classes)

    def predict(self, X):
        """Labels of rows."""
        logits = self._logits(X)
        return self.classes_[np.argmax(logits, axis=1)]

    def predict_proba(self, X):
        """Probabilities of the classes."""
        return softmax(self._logits(X), axis=1)

    def transform(self, X):
        """Coordinates in which rows of a class lie near to each other."""
        check_is_fitted(self)
        return self._embedding(self._read_X(X, reset=False))

    # ---- inside ----------------------------------------------------------------------

    def _check_parameters(self):
        metric_of(self.metric, self.metric_params)
        if self.transductive and not HEADS[self.head].refines:
            able = [name for name, head in HEADS.items() if head.refines]
            raise ValueError(
                f"transductive=True refines prototypes, which head={self.head!r} does "
                f"not have; choose one of {able}."
            )

    def _axes(self, encoder):
        if self.head == "gaussian":
            return "unit"
        learned = HEADS[self.head].uses_metric and learns_metric(
            self.metric, self.metric_params
        )
        return "reliable" if encoder == "whitened" or learned else None

    def _meta_train(self, X, codes, tasks, n_classes, rng):
        self._fine = {}
        held_out = list(class_folds(codes, n_classes, rng))
        encoders = self._candidates(n_classes)
        folds = {
            encoder: self._folds(X, codes, tasks, held_out, encoder)
            for encoder in encoders
        }
        self.encoder_ = encoders[0]
        if len(encoders) > 1:
            self.encoder_ = self._best(folds, rng)
        self._calibration = None
        if folds[self.encoder_]:
            self._calibration = calibrate(
                self.head,
                folds[self.encoder_],
                self.penalty,
                self.n_way,
                self.k_shot,
                rng,
            )
        self._embedding = learn_embedding(
            X, codes, n_classes, self._axes(self.encoder_)
        )
        Z = self._embedding(X)
        self._n_features_out = Z.shape[1]
        self._for_heads = learned_for_heads(self._embedding, Z)

    def _candidates(self, n_classes):
        if self.encoder != "auto":
            return [self.encoder]
        if n_classes < 10 or self.head in ("simpleshot", "gaussian"):
            return ["identity"]
        return ["identity", "whitened"]

    def _folds(self, X, codes, tasks, held_out, encoder):
        folds = []
        for held in held_out:
            pool = held_pool(codes, tasks, held)
            if pool is None:
                continue
            learned = held if held.all() else ~held
            names, own = np.unique(codes[learned], return_inverse=True)
            embedding = learn_embedding(
                X[learned], own, len(names), self._axes(encoder)
            )
            given = self._given(learned_for_heads(embedding, embedding(X[learned])))
            folds.append(Fold(embedding(X[held]), pool, given))
        return folds

    def _best(self, folds, rng):
        """The encoder that is best on episodes of classes that were held out."""
        head, seed = HEADS[self.head], int(rng.integers(2**32))
        scores = {}
        for encoder, parts in folds.items():
            again = np.random.default_rng(seed)
            scores[encoder] = np.mean(
                [
                    accuracies(
                        head,
                        fold,
                        -(-N_CHOICE // len(parts)),
                        self.n_way,
                        self.k_shot,
                        self.n_query,
                        again,
                    ).mean()
                    for fold in parts
                ]
            )
        return max(scores, key=scores.get)

    def _learn(self, X, codes, classes):
        """Adapt to classes."""
        head = HEADS[self.head]
        Z = self._embedding(X)
        self._fine = {}
        if self._calibration is not None:
            shots = float(np.exp(np.log(np.bincount(codes)).mean()))
            temperature = self._calibration.temperatures.at(shots, len(classes))
            self._fine = {
                "temperature": temperature,
                "penalty": self._calibration.penalty,
            }
        self.classes_ = classes
        self._state = learn(head, Z, codes, len(classes), self._given(self._for_heads))

    def _given(self, learned):
        """What the head is given beside the support."""
        penalty = {} if self.penalty == "auto" else {"penalty": self.penalty}
        return Given(
            metric_of(self.metric, self.metric_params),
            **(penalty | learned | self._fine),
        )

    def _on_embedded(self, X):
        """The same learner of embedded rows, and these rows."""
        Z = self._embedding(self._read_X(X, reset=False))
        learner = copy.copy(self)
        if learner._adapted_with is None:
            learner._adapted_with = self.get_params(deep=False)
        vars(learner).pop("feature_names_in_", None)
        learner._embedding = Embedding(None, None)
        learner.n_features_in_ = Z.shape[1]
        learner._entry_shape, learner._entry_ndim = (Z.shape[1],), 1
        return learner, Z

    def _logits(self, X):
        check_is_fitted(self)
        Z = self._embedding(self._read_X(X, reset=False))
        head, given = HEADS[self.head], self._given(self._for_heads)
        if self.transductive:
            return answer(head, self._state, Z, given, transductive=True)
        n, k = len(Z), len(self.classes_)
        # Equal rows have equal logits among any others, as in `projection`.
        Z = np.pad(Z, ((0, -n % ROWS_AT_A_TIME), (0, 0)))
        width = max(len(self._state.get("support", ())), k, Z.shape[1])
        result = np.empty((len(Z), k))
        for step in row_slices(
            len(Z) // ROWS_AT_A_TIME, 8 * ROWS_AT_A_TIME * width, BLOCK_BYTES
        ):
            rows = slice(step.start * ROWS_AT_A_TIME, step.stop * ROWS_AT_A_TIME)
            result[rows] = answer(head, self._state, Z[rows], given)
        return result[:n]
