"""`MAMLFewShotClassifier`: new classes by a few steps from a learned start."""

from numbers import Integral

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin

from skmeta._compat import Interval, StrOptions, fit_context
from skmeta.core.classes import typical_shots
from skmeta.core.episodes import cells_of
from skmeta.few_shot._maml_base import ALGORITHMS, BaseMAML
from skmeta.model_selection._splitters import checked_pool


class MAMLFewShotClassifier(ClassifierMixin, BaseMAML):
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
        Rate of the steps; convolutional encoders want less, such as 0.01. 0 leaves the
        start as it is: with "prototype" that is a prototypical network.
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
    one task's rows; `fit` ends by adapting to all rows, whose activations are in memory
    at once.

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
        "algorithm": [StrOptions(set(ALGORITHMS))],
        "head": [StrOptions({"prototype", "linear"})],
        **BaseMAML._parameter_constraints,
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
        return self._fit_or_adapt(X, y, task)

    def _fit(self, X, y, task):
        self._check_encoder()
        self._check_steps()
        rows = self._read_X(X, reset=not self._goes_on)
        self._check_input_shape()
        classes, codes = self._read_classes(rows, y, "y")
        tasks = self._read_tasks(rows, task)
        checked_pool(classes, codes, tasks, self.n_way)
        with self._epochs(X, y) as epochs:
            self._meta_train(rows, cells_of(codes, tasks), None, tasks, epochs)
            self._learn(rows, codes, classes, None)
            self._n_features_out = len(self._task["head"]) - 1

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
            temperature = self._meta.temperatures.at(typical_shots(codes), k)
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
        """Probabilities of the classes, calibrated on episodes.

        They are of held-out classes, or of those trained on where none are held out.

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
