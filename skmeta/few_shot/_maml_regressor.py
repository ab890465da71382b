"""`MAMLFewShotRegressor`: numbers of a new task from a learned start, or prior."""

from numbers import Integral

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_consistent_length

from skmeta._compat import Interval, StrOptions, fit_context
from skmeta.core.gaussian import predictive_deviations
from skmeta.few_shot._maml_base import ALGORITHMS, BaseMAML
from skmeta.views._target import read_numbers


class MAMLFewShotRegressor(RegressorMixin, BaseMAML):
    """Predict the numbers of a new task after a few rows, from a learned start.

    `fit` learns over many tasks, told apart by ``task=``, and `adapt` makes of a few
    rows of a new one a regressor of it: by steps of gradient descent [1]_, or in closed
    form with ``algorithm="ridge"``, which knows how sure it is.

    Parameters
    ----------
    k_shot : int, default=10
        Rows to step on of a task in training. It does not bind `adapt`.
    min_shot : int, default=None
        Where it is less than ``k_shot``, each training task has a random number of rows
        from it to ``k_shot``, so that fewer rows do as well. None is ``k_shot``, and 1
        with "ridge".
    algorithm : str, default="maml"
        "maml", "fomaml", "anil", "reptile" and "meta_sgd" as in
        `MAMLFewShotClassifier`; "ridge": learned features under a Bayesian linear head
        with learned prior means and variances [2]_ [3]_, in closed form.
    encoder, hidden_layer_sizes, activation, n_components, n_filters, input_shape
        As in `MAMLFewShotClassifier`; ``hidden_layer_sizes`` is (40, 40).
    standardize : bool, default=True
        Whether columns of X, and of y, are brought to unit variance by the training
        rows.
    n_query : int, default=10
        Rows of a task by which the steps are judged.
    inner_lr : float, default=0.01
        Rate of the steps.
    n_inner_steps : int, default=1
        Steps in training, and in `adapt` unless it is told otherwise.
    outer_lr, meta_batch_size, max_iter, weight_decay, max_grad_norm, task_chunk_size, \
early_stopping, validation_fraction, n_iter_no_change, tol, warm_start, checkpoint, \
device, random_state
        As in `MAMLFewShotClassifier`; tasks are held out in place of classes, none of
        fewer than 20.

    Attributes
    ----------
    loss_curve_ : list of float
        Mean loss of the query of each epoch.
    validation_scores_ : list of float
        Minus the squared error on held-out tasks after each epoch, of standardised y.
    n_iter_ : int
        Number of meta-updates.
    n_features_in_ : int
        Number of columns, where X has rows of numbers.

    See Also
    --------
    MAMLFewShotClassifier : The same for labels.

    Notes
    -----
    Without ``task`` all rows are one task, and those of training tasks are random
    disjoint rows of it.

    References
    ----------
    .. [1] Finn, Abbeel & Levine (2017), "Model-agnostic meta-learning for fast
       adaptation of deep networks", ICML.
    .. [2] Harrison, Sharma & Pavone (2018), "Meta-learning priors for efficient online
       Bayesian regression", WAFR, eq. 4 to 9.
    .. [3] Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with
       differentiable closed-form solvers", ICLR.

    Examples
    --------
    >>> from skmeta import MAMLFewShotRegressor
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> made = make_sinusoid_tasks(200, random_state=0)
    >>> learner = MAMLFewShotRegressor(algorithm="ridge", random_state=0)
    >>> learner.fit(made.X, made.y, task=made.task)
    MAMLFewShotRegressor(algorithm='ridge', random_state=0)
    >>> new = make_sinusoid_tasks(1, random_state=1)
    >>> adapted = learner.adapt(new.X[:10], new.y[:10])
    >>> found, deviations = adapted.predict(new.X[10:], return_std=True)
    >>> found.shape, deviations.shape
    ((10,), (10,))
    """

    _parameter_constraints = {
        "algorithm": [StrOptions({*ALGORITHMS, "ridge"})],
        "min_shot": [Interval(Integral, 1, None, closed="left"), None],
        **BaseMAML._parameter_constraints,
    }

    def __init__(
        self,
        k_shot=10,
        *,
        min_shot=None,
        algorithm="maml",
        encoder="mlp",
        hidden_layer_sizes=(40, 40),
        activation="relu",
        n_components=64,
        n_filters=None,
        input_shape=None,
        standardize=True,
        n_query=10,
        inner_lr=0.01,
        n_inner_steps=1,
        outer_lr=3e-3,
        meta_batch_size=25,
        max_iter=3000,
        weight_decay=0.0,
        max_grad_norm=None,
        task_chunk_size=None,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        checkpoint=None,
        device="auto",
        random_state=None,
    ):
        self.k_shot = k_shot
        self.min_shot = min_shot
        self.algorithm = algorithm
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.n_components = n_components
        self.n_filters = n_filters
        self.input_shape = input_shape
        self.standardize = standardize
        self.n_query = n_query
        self.inner_lr = inner_lr
        self.n_inner_steps = n_inner_steps
        self.outer_lr = outer_lr
        self.meta_batch_size = meta_batch_size
        self.max_iter = max_iter
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.task_chunk_size = task_chunk_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, *, task=None):
        """Meta-train over tasks, and adapt to all rows together.

        Of what `adapt` returned `fit` is `adapt`.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Rows of numbers, or entries of any shape.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Numbers.
        task : array-like of shape (n_rows,), default=None
            Task of each row; None is one task.

        Returns
        -------
        MAMLFewShotRegressor
            The learner itself.

        Raises
        ------
        ValueError
            If X or y is not finite, no task has two rows, or parameters do not fit
            each other or the rows.
        FloatingPointError
            If the inner or the outer loop diverges.
        ImportError
            If torch is not installed.
        """
        return self._fit_or_adapt(X, y, task)

    def _fit(self, X, y, task):
        self._check_encoder()
        self._check_steps()
        if self.min_shot is not None and self.min_shot > self.k_shot:
            raise ValueError(
                f"min_shot={self.min_shot} is more than k_shot={self.k_shot}."
            )
        rows = self._read_X(X, reset=not self._goes_on)
        self._check_input_shape()
        numbers = self._read_numbers(rows, y, reset=True)
        tasks = self._read_tasks(rows, task)
        counts = np.bincount(np.zeros(len(rows), int) if tasks is None else tasks)
        if counts.max() < 2:
            raise ValueError(
                "A task needs two rows, one to learn from and one to be asked for; "
                f"n_samples = {len(rows)} in {len(counts)} task(s), none of which has "
                "two."
            )
        with self._epochs(X, y) as epochs:
            self._meta_train(rows, None, numbers, tasks, epochs)
            self._learn(rows, numbers, None)
            self._n_features_out = len(self._task["head"]) - 1

    def _adapt(self, X, y, n_steps=None):
        if n_steps is not None and self._meta.recipe.algorithm == "ridge":
            raise ValueError(
                f"n_steps={n_steps!r}: algorithm='ridge' has no inner loop, and adapts "
                "in closed form."
            )
        n_steps = self._steps(n_steps)
        rows = self._read_X(X, reset=False)
        self._learn(rows, self._read_numbers(rows, y, reset=False), n_steps)

    def _read_numbers(self, X, y, *, reset):
        """Numbers (n_rows, n_outputs), standardised as those trained on."""
        goes_on = not reset or self._goes_on
        target = read_numbers(
            y,
            type(self).__name__,
            standardize=self.standardize,
            scaling=self._y_scaling if goes_on else None,
        )
        check_consistent_length(X, target.values)
        if reset:
            self._y_scaling = target.means, target.scales
            self._flat_target = target.flat
        return target.values

    def _learn(self, rows, numbers, n_steps):
        if self._meta.recipe.algorithm != "ridge":
            n_outputs = numbers.shape[1]
            self._task = self._take_steps(rows, numbers, n_outputs, None, n_steps)
            return
        maml, learner = self._learner()
        shape = self._meta.recipe.shape
        X = maml.as_tensor(rows.reshape(len(rows), -1), self._inputs(), shape, "cpu")
        posterior = learner.posterior(maml.support_rows(X, numbers))
        network, _ = maml.read(learner, None, self._inputs(), self._meta.recipe)
        self._task = {
            "network": network,
            "head": posterior.weights[0].numpy(),
            "factor": posterior.factor[0].numpy(),
            "noise": posterior.noise.numpy(),
        }

    def predict(self, X, return_std=False):
        """Predict numbers.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
        return_std : bool, default=False
            With ``algorithm="ridge"``: whether to give the predictive standard
            deviations as well, noise included.

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        deviations : ndarray of the same shape
            With ``return_std``.
        """
        outputs = self._outputs(X)
        means, scales = self._y_scaling
        y = self._as_given(outputs * scales + means)
        if not return_std:
            return y
        if "factor" not in self._task:
            raise ValueError(
                "return_std=True needs algorithm='ridge'; algorithm="
                f"{self.algorithm!r} does not know how sure it is."
            )
        H = self._features(self._read_X(X, reset=False)).astype(np.float64)
        task = self._task
        deviations = predictive_deviations(H, task["factor"], task["noise"])
        return y, self._as_given(deviations * scales)

    def _as_given(self, outputs):
        return outputs[:, 0] if self._flat_target else outputs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        return tags
