"""`MAMLFewShotClassifier`, `MAMLFewShotRegressor`: a start from which steps go far."""

from numbers import Integral, Real
from os import PathLike

import numpy as np
from scipy.special import softmax
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
)

from skmeta._compat import Interval, StrOptions, fit_context
from skmeta._progress import Epochs
from skmeta._torch import encode, torch_backend
from skmeta.core.network import ACTIVATIONS
from skmeta.core.projection import project
from skmeta.few_shot._base import BaseFewShot
from skmeta.few_shot._maml_fit import UPDATES, MetaFit
from skmeta.model_selection._splitters import checked_pool

ENCODERS = ("mlp", "conv4", "resnet")
CLASSIFIERS = ("maml", "fomaml", "anil", "reptile", "meta_sgd")


class _MAML(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseFewShot):
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

    def _meta_train(self, X, y, rows, codes, numbers, tasks, epochs):
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        previous = getattr(self, "_meta", None) if self.warm_start else None
        job = MetaFit(self, rows, codes, numbers, tasks, seed, previous)
        if previous is not None and job.recipe != previous.recipe:
            raise ValueError(
                "warm_start=True goes on from weights of another shape; set it to "
                "False, or leave the encoder, the head and the algorithm as they were."
            )
        self._meta, history = job.train(
            on_epoch_begin=lambda epoch: epochs.begin(),
            on_epoch=lambda epoch, loss, score: epochs.end(),
        )
        self.loss_curve_, self.validation_scores_ = history.losses, history.scores
        self.n_iter_ = len(history.losses) * min(UPDATES, self.max_iter)

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
        params = maml.adapted(learner, support, n_outputs, self._steps(n_steps))
        network, head = maml.read(learner, params, self._inputs(), self._meta.recipe)
        return {"network": network, "head": head}

    def _outputs(self, X):
        check_is_fitted(self)
        H = self._features(self._read_X(X, reset=False)).astype(np.float64)
        head = self._task["head"]
        return project(H, np.zeros(len(head) - 1), head[:-1]) + head[-1]


class MAMLFewShotClassifier(ClassifierMixin, _MAML):
    """Tell new classes apart after a few steps from a learned start.

    `fit` learns over many small tasks the weights from which a few steps of gradient
    descent on the rows of a new task go far [1]_, and `adapt` takes these steps.

    Parameters
    ----------
    n_way, k_shot : int, default=5, 5
        Classes of a task in training, and rows of each to step on. They do not bind
        `adapt`.
    algorithm : {"maml", "fomaml", "anil", "reptile", "meta_sgd"}, default="maml"
        "maml" [1]_ differentiates through the steps; "fomaml" [1]_ takes the gradients
        of the steps for constants; "anil" [2]_ steps with the last layer alone;
        "reptile" [3]_ goes towards where the steps lead, and needs two or more;
        "meta_sgd" [4]_ learns a rate for each parameter and step along.
    head : {"prototype", "linear"}, default="prototype"
        What the last layer begins as: that of the means of the support's classes [5]_,
        or the same for every class [6]_. Either takes any number of classes.
    encoder : {"mlp", "conv4", "resnet"}, torch.nn.Module or callable, default="mlp"
        What comes before the last layer; a module, or a function without arguments that
        makes one, gives a row of features for each entry. Batch normalisation is
        refused: "conv4" and "resnet" have group normalisation.
    hidden_layer_sizes : tuple of int or int, default=(64, 64)
        Of "mlp"; the last is the number of features.
    activation : str, default="relu"
        Of "mlp", as in `NeuralSharedSpaceMapper`.
    n_components : int, default=64
        Features of "conv4" and "resnet".
    n_filters : int, default=None
        Filters of the first convolution; None is 64 of "conv4" and 32 of "resnet".
    input_shape : tuple of int, default=None
        Shape of an entry, where X has images as flat rows.
    standardize : bool, default=True
        Whether columns (channels of images) are brought to unit variance by the
        training rows.
    n_query : int, default=15
        Rows of each class by which the steps are judged.
    inner_lr : float, default=0.1
        Rate of the steps. 0 leaves the start as it is: with "prototype" that is a
        prototypical network.
    n_inner_steps : int, default=3
        Steps in training, and in `adapt` unless it is told otherwise; 0 as
        ``inner_lr=0``.
    outer_lr : float, default=3e-3
        The first learning rate of meta-training (AdamW); it falls to 0 along half a
        cosine.
    meta_batch_size : int, default=16
        Tasks of a meta-update.
    max_iter : int, default=1000
        Meta-updates, at most, in epochs of 100.
    weight_decay : float, default=0.0
        Decoupled decay of the weight matrices.
    max_grad_norm : float or None, default=None
        Longest meta-gradient; longer ones are cut to it.
    task_chunk_size : int, default=None
        Tasks whose graphs are in memory at a time; the meta-gradient is that of all.
    early_stopping : bool, default=True
        Whether some classes are held out, training stops when accuracy on episodes of
        them no longer rises, and the best weights are kept. None are with fewer than 6.
    validation_fraction : float, default=0.2
        Share of the classes that is held out.
    n_iter_no_change : int, default=5
        Epochs without an improvement by ``tol`` after which training stops.
    tol : float, default=1e-4
        Smallest improvement.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of an earlier one.
    checkpoint : str or path-like, default=None
        A file in which training is kept as it stands after each epoch, as in
        `NeuralSharedSpaceMapper`.
    device : str, default="auto"
        Where to meta-train: "cpu", "cuda", "mps", or "auto" for the fastest there is.
    random_state : int, RandomState instance or None, default=None
        For tasks and starts. No global generator is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of what it is fitted or adapted to.
    loss_curve_ : list of float
        Mean loss of the query of each epoch.
    validation_scores_ : list of float
        Accuracy on held-out classes after each epoch.
    n_iter_ : int
        Number of meta-updates.
    n_features_in_ : int
        Number of columns, where X has rows of numbers.

    See Also
    --------
    MetricFewShotClassifier : Without steps, and in closed form.
    MAMLFewShotRegressor : The same for numbers.

    Notes
    -----
    Losses weigh the classes of a support alike, whatever their shots. All tasks of a
    meta-update run at once; what is fitted is numpy. Memory of a meta-update is about
    ``task_chunk_size * (n_inner_steps + 1)`` times the weights and the activations of
    one task's rows.

    References
    ----------
    .. [1] Finn, Abbeel & Levine (2017), "Model-agnostic meta-learning for fast
       adaptation of deep networks", ICML.
    .. [2] Raghu, Raghu, Bengio & Vinyals (2020), "Rapid learning or feature reuse?",
       ICLR.
    .. [3] Nichol, Achiam & Schulman (2018), "On first-order meta-learning algorithms".
    .. [4] Li, Zhou, Chen & Li (2017), "Meta-SGD: learning to learn quickly for few-shot
       learning".
    .. [5] Triantafillou et al. (2020), "Meta-dataset", ICLR.
    .. [6] Ye & Chao (2022), "How to train your MAML to excel in few-shot
       classification", ICLR.

    Examples
    --------
    >>> from skmeta import MAMLFewShotClassifier
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> made = make_few_shot_tasks(random_state=0)
    >>> seen, X_new = made.y < 40, made.X[made.y >= 40]
    >>> learner = MAMLFewShotClassifier(random_state=0)
    >>> learner.fit(made.X[seen], made.y[seen])
    MAMLFewShotClassifier(random_state=0)
    >>> rows, labels = X_new[:40:4], ["new"] * 5 + ["newer"] * 5
    >>> learner.adapt(rows, labels, n_steps=5).predict(X_new[[1, 21]])
    array(['new', 'newer'], dtype='<U5')
    """

    _parameter_constraints = {
        "n_way": [Interval(Integral, 2, None, closed="left")],
        "algorithm": [StrOptions(set(CLASSIFIERS))],
        "head": [StrOptions({"prototype", "linear"})],
        **_MAML._parameter_constraints,
    }

    def __init__(
        self,
        n_way=5,
        k_shot=5,
        *,
        algorithm="maml",
        head="prototype",
        encoder="mlp",
        hidden_layer_sizes=(64, 64),
        activation="relu",
        n_components=64,
        n_filters=None,
        input_shape=None,
        standardize=True,
        n_query=15,
        inner_lr=0.1,
        n_inner_steps=3,
        outer_lr=3e-3,
        meta_batch_size=16,
        max_iter=1000,
        weight_decay=0.0,
        max_grad_norm=None,
        task_chunk_size=None,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=5,
        tol=1e-4,
        warm_start=False,
        checkpoint=None,
        device="auto",
        random_state=None,
    ):
        self.n_way = n_way
        self.k_shot = k_shot
        self.algorithm = algorithm
        self.head = head
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
        """Meta-train over tasks of a few classes each, and adapt to all of them.

        Of what `adapt` returned `fit` is `adapt`.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Rows of numbers, or entries of any shape, such as images.
        y : array-like of shape (n_rows,)
            Labels.
        task : array-like of shape (n_rows,), default=None
            Task of each row: the classes of a training task are then of one.

        Returns
        -------
        MAMLFewShotClassifier
            The learner itself.

        Raises
        ------
        ValueError
            If X is not finite, y has one class or is no label, no class has two rows,
            or parameters do not fit each other or the rows.
        FloatingPointError
            If the inner or the outer loop diverges.
        ImportError
            If torch is not installed.
        """
        if self._adapted_with is not None:
            return self._fit_again(X, y)
        self._check_encoder()
        rows = self._read_X(X, reset=True)
        self._check_input_shape()
        classes, codes = self._read_classes(rows, y, "y")
        tasks = self._read_tasks(rows, task)
        checked_pool(classes, codes, tasks, self.n_way)
        with Epochs(self, X, y, -(-self.max_iter // UPDATES)) as epochs:
            self._meta_train(X, y, rows, codes, None, tasks, epochs)
            self._learn(rows, codes, classes, None)
            self._n_features_out = len(self._task["head"]) - 1
        return self

    def _adapt(self, X, y, n_steps=None):
        n_steps = self._steps(n_steps)
        rows = self._read_X(X, reset=False)
        classes, codes = self._read_classes(rows, y, "y_support")
        self._learn(rows, codes, classes, n_steps)

    def _learn(self, rows, codes, classes, n_steps):
        k = len(classes)
        task = self._take_steps(rows, codes, k, k, n_steps)
        temperature = 1.0
        if self._meta.temperatures is not None:
            shots = float(np.exp(np.log(np.bincount(codes)).mean()))
            temperature = self._meta.temperatures.at(shots, k)
        self.classes_, self._task = classes, task | {"temperature": temperature}

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)

        Returns
        -------
        ndarray of shape (n_rows,)
            Labels as they were given.
        """
        outputs = self._outputs(X)
        return self.classes_[np.argmax(outputs, axis=1)]

    def predict_proba(self, X):
        """Probabilities of the classes, calibrated on episodes of held-out classes.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            In the order of ``classes_``.
        """
        outputs = self._outputs(X)
        return softmax(outputs / self._task["temperature"], axis=1)


class MAMLFewShotRegressor(RegressorMixin, _MAML):
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
        "algorithm": [StrOptions({*CLASSIFIERS, "ridge"})],
        "min_shot": [Interval(Integral, 1, None, closed="left"), None],
        **_MAML._parameter_constraints,
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
        if self._adapted_with is not None:
            return self._fit_again(X, y)
        self._check_encoder()
        rows = self._read_X(X, reset=True)
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
        with Epochs(self, X, y, -(-self.max_iter // UPDATES)) as epochs:
            self._meta_train(X, y, rows, None, numbers, tasks, epochs)
            self._learn(rows, numbers, None)
            self._n_features_out = len(self._task["head"]) - 1
        return self

    def _adapt(self, X, y, n_steps=None):
        n_steps = self._steps(n_steps)
        rows = self._read_X(X, reset=False)
        self._learn(rows, self._read_numbers(rows, y, reset=False), n_steps)

    def _read_numbers(self, X, y, *, reset):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(X, y)
        flat = y.ndim == 1
        y = y.reshape(len(y), -1)
        if reset:
            means, scales = np.zeros(y.shape[1]), np.ones(y.shape[1])
            if self.standardize:
                means, deviations = y.mean(axis=0), y.std(axis=0)
                scales = np.where(deviations > 0, deviations, 1.0)
            if not (self.warm_start and hasattr(self, "_meta")):
                self._y_scaling = means, scales
        means, scales = self._y_scaling
        if y.shape[1] != len(means):
            raise ValueError(
                f"y has {y.shape[1]} column(s), but {len(means)} were trained on."
            )
        if reset:
            self._flat_target = flat
        return ((y - means) / scales).astype(np.float32)

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
        phi = np.column_stack([H, np.ones(len(H))])
        spread = np.sqrt(1 + np.square(phi @ self._task["factor"]).sum(axis=1))
        return y, self._as_given(spread[:, None] * self._task["noise"] * scales)

    def _as_given(self, outputs):
        return outputs[:, 0] if self._flat_target else outputs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        return tags
