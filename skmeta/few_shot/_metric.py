"""`MetricFewShotClassifier`: new classes from a few rows, by nearness."""

import copy
from numbers import Integral, Real
from os import PathLike

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
from skmeta._progress import Epochs
from skmeta.core.classes import typical_shots
from skmeta.core.distances import METRICS
from skmeta.core.episodes import cells_of
from skmeta.core.heads import HEADS, answer, answer_in_blocks, learn
from skmeta.core.network import ACTIVATIONS
from skmeta.few_shot._base import BaseFewShot, checked_answers
from skmeta.few_shot._embedding import Embedding, metric_of
from skmeta.few_shot._held_out import nearest
from skmeta.few_shot._metric_fit import CLOSED, Classes, given_of, meta_train
from skmeta.few_shot._training import EncoderFit, Previous
from skmeta.model_selection._splitters import warn_of_few_classes

TRAINED_ENCODERS = ("mlp", "conv4", "resnet")


class MetricFewShotClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseFewShot
):
    """Tell new classes apart from a few rows of each, as many others have taught.

    `fit` learns over many classes how rows of a class lie near to each other, and
    `adapt` makes of a few rows of new classes, any number of them, a classifier of
    these. It is an ordinary classifier of the classes it was fitted to as well.

    Parameters
    ----------
    head : str, default="prototype"
        How a query is compared with the support: "prototype" [1]_, the class whose mean
        is nearest; "matching" [2]_, attention to each row, averaged over a class;
        "relation" [3]_, a learned score of a query beside a mean; "ridge" [4]_, least
        squares in closed form; "simpleshot" [5]_, the nearest mean of centred rows of
        length one; "gaussian" [6]_, the two-covariance model, whose class means are
        as uncertain as they have few rows.
    metric : str or callable, default="euclidean"
        Of "prototype", "matching" and "simpleshot": "euclidean" (its square, negative,
        is a logit), "manhattan", "cosine", "dot", "mahalanobis" (learned: along the
        axes that the training classes teach, unless ``metric_params`` has VI), or a
        function ``f(row, row) -> float`` of distance.
    metric_params : dict, default=None
        ``{"VI": inverse covariance}`` for "mahalanobis".
    encoder : str, torch.nn.Module or callable, default="auto"
        What embeds rows: "identity" leaves them as they are; "unit" brings them to
        length one; "whitened" takes the axes along which classes differ by more than
        their rows do, in closed form; "mlp", a perceptron that begins as these;
        "conv4" [2]_ and "resnet" [7]_ for images of shape (channels, height, width) or
        (height, width); a module, or a function
        without arguments that makes one, of ``n_components`` columns. "auto" is
        whichever of the first three and a trained one ("mlp", or "conv4" of images) is
        best on episodes of training classes that are held out: `encoder_` says which.
        From fewer than 10 classes, and for "simpleshot", it is "identity"; "gaussian"
        trains none.
    n_components : int, default=None
        Columns of a trained embedding. None is 64, or with "mlp" the number of axes.
    hidden_layer_sizes : tuple of int or int, default=(256,)
        Of "mlp".
    activation : str, default="relu"
        Of "mlp", as in `NeuralSharedSpaceMapper`.
    dropout : float, default=0.2
        Share of hidden units that are zero in a step of training.
    n_filters : int, default=None
        Filters of the first convolution; None is 64 of "conv4" and 32 of "resnet".
    input_shape : tuple of int, default=None
        Shape of an entry, where X has images as flat rows.
    augment : str or callable, default=None
        How rows are changed at random while they are trained on: "affine", "noise", or
        a function ``(batch, generator) -> batch``.
    class_rotations : bool, default=False
        Whether square images turned by 90, 180 and 270 degrees are further classes.
    sampling : {"classes", "episodes"}, default="classes"
        What a batch of training is: ``batch_shots`` rows of each of ``batch_classes``
        classes, every row of which serves as a one-shot prototype for the others, or
        one episode of ``n_way``, ``k_shot`` and ``n_query``.
    batch_classes, batch_shots : int, default=20, 6
        Of a batch with ``sampling="classes"``.
    share_within_task : float, default=1.0
        Where `fit` is given tasks: the share of batches of one task's classes alone.
    averaging : float, default=0.99
        Decay of the running average of the weights, which is what is kept; 0 keeps the
        weights themselves.
    n_way, k_shot, n_query : int, default=5, 5, 15
        Classes, rows of each in the support and in the query of the episodes that
        choose and judge encoders. They do not bind `adapt`.
    penalty : float or "auto", default="auto"
        Of "ridge", in units of the mean variance of the support; "auto" is found on
        held-out episodes.
    transductive : bool, default=False
        Whether all queries of a call refine the prototypes before they are answered
        [8]_: a prediction then depends on the other queries.
    learning_rate_init : float, default=1e-3
        The first learning rate of AdamW; it falls to 0 along half a cosine.
    weight_decay : float, default=1e-2
        Decoupled decay of the weight matrices.
    max_iter : int, default=100
        Passes over the rows, at most, of at least ten batches.
    validation_fraction : float, default=0.2
        Share of the classes that training does not see, by which it is judged after
        each pass, and encoders are chosen. With fewer than 6 classes there are none.
    n_iter_no_change : int, default=10
        Passes without an improvement by ``tol`` after which training stops.
    tol : float, default=1e-4
        Smallest improvement of the accuracy.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of an earlier one, where it had trained
        any.
    checkpoint : str or path-like, default=None
        A file in which training is kept as it stands after each pass, as in
        `NeuralSharedSpaceMapper`.
    precision : {"float32", "bf16"}, default="float32"
        Of the encoder while it is trained.
    compile : bool, default=False
        Whether torch compiles the encoder first: minutes, which long fits earn back.
    device : str, default="auto"
        Where to train: "cpu", "cuda", "mps", or "auto" for the fastest there is.
    random_state : int, RandomState instance or None, default=None
        For episodes, starts, batches, dropout. The same number gives the same learner
        on the same machine. No global generator is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of what it is fitted or adapted to.
    encoder_ : str
        What embeds rows: ``encoder``, or what "auto" chose.
    encoder_scores_ : dict of str to float
        Of each encoder that "auto" compared: accuracy on held-out episodes.
    loss_curve_ : list of float
        Mean loss of each pass; empty where nothing was trained.
    validation_scores_ : list of float
        Accuracy on episodes of held-out classes after each pass.
    n_iter_ : int
        Number of passes; 1 where nothing was trained.
    n_features_in_ : int
        Number of columns, where X has rows of numbers.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where they are all strings.

    See Also
    --------
    skmeta.adapt : The same for a Pipeline that ends with a learner.
    skmeta.metrics.EpisodicScorer : Accuracy on new classes, for searches.
    skmeta.model_selection.ClassDisjointKFold : Folds without a class in common.

    Notes
    -----
    Probabilities are calibrated: logits are divided by the temperature of least
    log-loss on episodes of held-out classes, at 1, 5, 20 and ``k_shot`` shots and 2, 5,
    20 and ``n_way`` classes, interpolated in between. What is fitted is numpy, and
    nothing of the support is kept but what the head is made of ("matching" keeps it).

    References
    ----------
    .. [1] Snell, Swersky & Zemel (2017), "Prototypical networks for few-shot learning",
       NeurIPS.
    .. [2] Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra (2016), "Matching
       networks for one shot learning", NeurIPS.
    .. [3] Sung et al. (2018), "Learning to compare: relation network for few-shot
       learning", CVPR.
    .. [4] Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with
       differentiable closed-form solvers", ICLR.
    .. [5] Wang, Chao, Weinberger & van der Maaten (2019), "SimpleShot".
    .. [6] Ioffe (2006), "Probabilistic linear discriminant analysis", ECCV.
    .. [7] He, Zhang, Ren & Sun (2016), "Deep residual learning for image recognition",
       CVPR.
    .. [8] Ren et al. (2018), "Meta-learning for semi-supervised few-shot
       classification", ICLR, eq. 3.

    Examples
    --------
    >>> from skmeta import MetricFewShotClassifier
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> made = make_few_shot_tasks(random_state=0)
    >>> seen, X_new = made.y < 40, made.X[made.y >= 40]
    >>> learner = MetricFewShotClassifier(head="gaussian", random_state=0)
    >>> learner.fit(made.X[seen], made.y[seen])
    MetricFewShotClassifier(...)
    >>> rows, labels = X_new[:40:4], ["new"] * 5 + ["newer"] * 5
    >>> learner.adapt(rows, labels).predict(X_new[[1, 21]])
    array(['new', 'newer'], dtype='<U5')
    """

    _parameter_constraints = {
        "head": [StrOptions(set(HEADS))],
        "metric": [StrOptions(set(METRICS)), callable],
        "metric_params": [dict, None],
        "encoder": [str, callable],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "n_filters": [Interval(Integral, 1, None, closed="left"), None],
        "input_shape": ["array-like", None],
        "augment": [str, callable, None],
        "class_rotations": ["boolean"],
        "sampling": [StrOptions({"classes", "episodes"})],
        "batch_classes": [Interval(Integral, 2, None, closed="left")],
        "batch_shots": [Interval(Integral, 2, None, closed="left")],
        "share_within_task": [Interval(Real, 0, 1, closed="both")],
        "averaging": [Interval(Real, 0, 1, closed="left")],
        "n_way": [Interval(Integral, 2, None, closed="left")],
        "k_shot": [Interval(Integral, 1, None, closed="left")],
        "n_query": [Interval(Integral, 1, None, closed="left")],
        "penalty": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "transductive": ["boolean"],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "precision": [StrOptions({"float32", "bf16"})],
        "compile": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
    }

    _learned = (
        "encoder_",
        "encoder_scores_",
        "loss_curve_",
        "validation_scores_",
        "n_iter_",
        "n_features_in_",
        "feature_names_in_",
        "_embedding",
        "_calibration",
        "_for_heads",
        "_head_weights",
        "_learned_by_task",
        "_axes",
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
        n_components=None,
        hidden_layer_sizes=(256,),
        activation="relu",
        dropout=0.2,
        n_filters=None,
        input_shape=None,
        augment=None,
        class_rotations=False,
        sampling="classes",
        batch_classes=20,
        batch_shots=6,
        share_within_task=1.0,
        averaging=0.99,
        n_way=5,
        k_shot=5,
        n_query=15,
        penalty="auto",
        transductive=False,
        learning_rate_init=1e-3,
        weight_decay=1e-2,
        max_iter=100,
        validation_fraction=0.2,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        checkpoint=None,
        precision="float32",
        compile=False,
        device="auto",
        random_state=None,
    ):
        self.head = head
        self.metric = metric
        self.metric_params = metric_params
        self.encoder = encoder
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.n_filters = n_filters
        self.input_shape = input_shape
        self.augment = augment
        self.class_rotations = class_rotations
        self.sampling = sampling
        self.batch_classes = batch_classes
        self.batch_shots = batch_shots
        self.share_within_task = share_within_task
        self.averaging = averaging
        self.n_way = n_way
        self.k_shot = k_shot
        self.n_query = n_query
        self.penalty = penalty
        self.transductive = transductive
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.precision = precision
        self.compile = compile
        self.device = device
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, *, task=None):
        """Learn over many classes, and adapt to all of them.

        Of what `adapt` returned `fit` is `adapt`.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Rows of numbers, or entries of any shape, such as images.
        y : array-like of shape (n_rows,)
            Labels.
        task : array-like of shape (n_rows,), default=None
            Task of each row: an episode is then of one task, and has classes of that
            task alone.

        Returns
        -------
        MetricFewShotClassifier
            The learner itself.

        Raises
        ------
        ValueError
            If X is not finite, y has one class or is no label, or parameters do not
            fit each other or the rows.
        FloatingPointError
            If training diverges.
        ImportError
            If an encoder is to be trained and torch is not installed.
        """
        return self._fit_or_adapt(X, y, task)

    def _fit(self, X, y, task):
        self._check_parameters()
        previous = None
        if self.warm_start and getattr(self, "_head_weights", None) is not None:
            previous = Previous(self.encoder_, self._embedding, self._head_weights)
        rows = self._read_X(X, reset=previous is None)
        classes, codes = self._read_classes(rows, y, "y")
        tasks = self._read_tasks(rows, task)
        self._check_entries()
        warn_of_few_classes(len(classes), self.n_way)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with Epochs(self, X, y, self.max_iter) as epochs:
            cells = cells_of(codes, tasks)
            names = np.empty(cells.max() + 1, classes.dtype)
            names[cells] = classes[codes]
            self._meta_train(Classes(rows, cells, tasks, names), seed, epochs, previous)
            self._learn(rows, codes, classes)

    def _adapt(self, X, y, n_steps=None):
        if n_steps is not None:
            raise ValueError(
                f"n_steps={n_steps!r}: {type(self).__name__} has no inner loop, and "
                "adapts in closed form."
            )
        X = self._read_X(X, reset=False)
        classes, codes = self._read_classes(X, y, "y_support")
        self._learn(X, codes, classes)

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
        logits = self._logits(X)
        return self.classes_[np.argmax(logits, axis=1)]

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            In the order of ``classes_``.
        """
        return softmax(self._logits(X), axis=1)

    def transform(self, X):
        """Embed rows: those of a class lie near to each other.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)

        Returns
        -------
        ndarray of shape (n_rows, n_features_out)
            What the head compares.
        """
        check_is_fitted(self)
        X = self._read_X(X, reset=False)
        return self._embedding(X).astype(X.dtype, copy=False)

    # ---- inside ----------------------------------------------------------------------

    def _check_parameters(self):
        metric_of(self.metric, self.metric_params)
        self._check_transductive()

    def _check_transductive(self):
        if self.transductive and not HEADS[self.head].refines:
            able = [name for name, head in HEADS.items() if head.refines]
            raise ValueError(
                f"transductive=True refines prototypes, which head={self.head!r} does "
                f"not have; choose one of {able}."
            )

    def _check_entries(self):
        """Raise where the encoder is unknown, or takes no such entries."""
        known = ("auto", *CLOSED, *TRAINED_ENCODERS)
        if isinstance(self.encoder, str) and self.encoder not in known:
            raise ValueError(
                f"encoder={self.encoder!r} is unknown; choose one of {list(known)}, a "
                "torch.nn.Module, or a function without arguments that makes one."
            )
        if self.head == "relation" and self.encoder in ("identity", "unit"):
            raise ValueError(
                f"head='relation' is learned along with the encoder, and encoder="
                f"{self.encoder!r} is not trained; choose 'whitened', 'mlp' or 'auto'."
            )
        if callable(self.metric) and self.encoder not in ("auto", *CLOSED):
            raise ValueError(
                "A metric that is a function cannot be trained through; choose "
                "encoder='identity' or 'whitened', or one of the metrics "
                f"{sorted(METRICS)}."
            )
        self._check_input_shape()

    def _meta_train(self, classes, seed, epochs, previous):
        rng = np.random.default_rng(seed)
        self.loss_curve_, self.validation_scores_, self.n_iter_ = [], [], 1

        def trainer(name, classes, held):
            job = EncoderFit(
                self, name, classes, held, int(rng.integers(2**31)), previous
            )
            trained = job.train(
                on_epoch_begin=lambda epoch: epochs.begin(),
                on_epoch=lambda epoch, loss, score: epochs.end(),
            )
            history = trained.history
            self.loss_curve_, self.validation_scores_ = history.losses, history.scores
            self.n_iter_ = len(history.losses)
            return trained

        learned = meta_train(self, classes, rng, trainer)
        self.encoder_, self._embedding = learned.encoder, learned.embedding
        self._for_heads, self._calibration = learned.for_heads, learned.calibration
        self._head_weights = learned.head_weights
        self._axes, self.encoder_scores_ = learned.axes, learned.scores

    def _learn(self, X, codes, classes):
        """Adapt to classes."""
        head = HEADS[self.head]
        Z = self._embedding(X)
        self._n_features_out = Z.shape[1]
        fine = {}
        shots = typical_shots(codes)
        if self._calibration is not None:
            temperature = self._calibration.temperatures.at(shots, len(classes))
            fine = {"temperature": temperature, "penalty": self._calibration.penalty}
        if self._axes:
            fine["axes"] = nearest(self._axes, shots)
        self.classes_, self._fine = classes, fine
        given = given_of(self, self._for_heads, fine)
        self._state = learn(head, Z, codes, len(classes), given)

    def _on_embedded(self, X):
        """The same learner of embedded rows, and these rows."""
        Z = self._embedding(self._read_X(X, reset=False))
        learner = copy.copy(self)
        if learner._adapted_with is None:
            learner._adapted_with = self.get_params(deep=False)
        vars(learner).pop("feature_names_in_", None)
        learner._embedding = Embedding()
        learner.n_features_in_ = Z.shape[1]
        learner._entry_shape, learner._entry_ndim = (Z.shape[1],), 1
        return learner, Z

    def _logits(self, X):
        check_is_fitted(self)
        X = self._read_X(X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            return checked_answers(self._answer(self._embedding(X)))

    def _answer(self, Z):
        head, given = HEADS[self.head], given_of(self, self._for_heads, self._fine)
        if self.transductive:
            self._check_transductive()  # it may be chosen at any time
            return answer(head, self._state, Z, given, transductive=True)
        return answer_in_blocks(head, self._state, Z, given)
