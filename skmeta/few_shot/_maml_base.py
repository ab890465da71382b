"""What the learners by steps of gradient descent share."""

from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import Interval, StrOptions
from skmeta._progress import Epochs
from skmeta._torch import encode, torch_backend
from skmeta.core.network import ACTIVATIONS
from skmeta.core.projection import project
from skmeta.few_shot._base import BaseFewShot, checked_answers
from skmeta.few_shot._maml_fit import MetaFit, epochs_of

ENCODERS = ("mlp", "conv4", "resnet")
ALGORITHMS = ("maml", "fomaml", "anil", "reptile", "meta_sgd")


class BaseMAML(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseFewShot):
    """What the classifier and the regressor share."""

    _parameter_constraints = {
        "k_shot": [Interval(Integral, 1, None, closed="left")],
        "encoder": [str, callable],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_filters": [Interval(Integral, 1, None, closed="left"), None],
        "input_shape": ["array-like", None],
        "standardize": ["boolean"],
        "n_query": [Interval(Integral, 1, None, closed="left")],
        "inner_lr": [Interval(Real, 0, None, closed="left")],
        "n_inner_steps": [Interval(Integral, 0, None, closed="left")],
        "outer_lr": [Interval(Real, 0, None, closed="neither")],
        "meta_batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "task_chunk_size": [Interval(Integral, 1, None, closed="left"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "device": [str],
        "random_state": ["random_state"],
    }

    _learned = (
        "loss_curve_",
        "validation_scores_",
        "n_iter_",
        "n_features_in_",
        "feature_names_in_",
        "_meta",
        "_y_scaling",
        "_learned_by_task",
        "_flat_target",
        "_n_features_out",
        "_entry_shape",
        "_entry_ndim",
    )
    _adapts = ("n_inner_steps",)
    _fitted_mark = "_task"

    def transform(self, X):
        """Embed rows, by the adapted encoder.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)

        Returns
        -------
        ndarray of shape (n_rows, n_features_out)
            What the last layer takes.
        """
        check_is_fitted(self)
        X = self._read_X(X, reset=False)
        return self._features(X).astype(X.dtype, copy=False)

    # ---- inside ----------------------------------------------------------------------

    def _features(self, X):
        return encode(self._task["network"], X.reshape(len(X), -1))

    def _check_encoder(self):
        if isinstance(self.encoder, str) and self.encoder not in ENCODERS:
            raise ValueError(
                f"encoder={self.encoder!r} is unknown; choose one of {list(ENCODERS)}, "
                "a torch.nn.Module, or a function without arguments that makes one."
            )

    def _epochs(self, X, y):
        """What callbacks see of a fit."""
        return Epochs(self, X, y, epochs_of(self.max_iter)[0])

    def _meta_train(self, rows, codes, numbers, tasks, epochs):
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        previous = self._meta if self._goes_on else None
        job = MetaFit(self, rows, codes, numbers, tasks, seed, previous)
        if previous is not None and not job.recipe.shares_weights(previous.recipe):
            raise ValueError(
                "warm_start=True goes on from weights of another shape; set it to "
                "False, or leave the encoder, the head and the algorithm as they were."
            )
        self._meta, history = job.train(
            on_epoch_begin=lambda epoch: epochs.begin(),
            on_epoch=lambda epoch, loss, score: epochs.end(),
        )
        self.loss_curve_, self.validation_scores_ = history.losses, history.scores
        self.n_iter_ = len(history.losses) * epochs_of(self.max_iter)[1]

    def _learner(self):
        """The meta-learned start, in torch."""
        torch_backend(type(self).__name__)
        from skmeta.nn import backend, maml_backend

        recipe = self._meta.recipe
        generator = backend.torch_generator(0)
        device = backend.resolve_device("cpu")
        with backend.torch_randomness(0, device, {"X": recipe.encoder}):
            learner = maml_backend.make_learner(recipe, generator)
        return maml_backend, maml_backend.take(learner, self._meta.arrays)

    def _inputs(self):
        return self._meta.means, self._meta.scales

    @property
    def _goes_on(self):
        return self.warm_start and hasattr(self, "_meta")

    def _check_steps(self):
        if self.algorithm == "reptile" and self.inner_lr == 0:
            raise ValueError(
                "algorithm='reptile' goes towards where the steps lead, and with "
                "inner_lr=0 they lead nowhere."
            )

    def _steps(self, n_steps):
        if n_steps is None:
            return self.n_inner_steps
        if (
            not isinstance(n_steps, Integral)
            or isinstance(n_steps, bool)
            or n_steps < 0
        ):
            raise ValueError(
                f"n_steps must be a number of steps from 0; got {n_steps!r}."
            )
        return int(n_steps)

    def _take_steps(self, rows, y, n_outputs, classes, n_steps):
        """The network and head after steps on some rows."""
        maml, learner = self._learner()
        X = maml.as_tensor(
            rows.reshape(len(rows), -1), self._inputs(), self._meta.recipe.shape, "cpu"
        )
        support = maml.support_rows(X, y, classes)
        params = maml.adapt(learner, support, n_outputs, self._steps(n_steps))
        network, head = maml.read(learner, params, self._inputs(), self._meta.recipe)
        return {"network": network, "head": head}

    def _outputs(self, X):
        check_is_fitted(self)
        X, head = self._read_X(X, reset=False), self._task["head"]
        with np.errstate(over="ignore", invalid="ignore"):
            H = self._features(X).astype(np.float64)
            found = project(H, np.zeros(len(head) - 1), head[:-1]) + head[-1]
        return checked_answers(found)
