"""`NeuralSharedSpaceMapper`: neural encoders of views as a mapper."""

from numbers import Integral, Real
from os import PathLike

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import (
    HasMethods,
    Interval,
    StrOptions,
    fit_context,
)
from skmeta._progress import Epochs, SupportsCallbacks
from skmeta._torch import encode
from skmeta.core.device import OnDevice
from skmeta.core.network import ACTIVATIONS, unit
from skmeta.core.projection import float_dtype
from skmeta.exceptions import warn
from skmeta.mapping._base import BaseMapper, _two_arrays
from skmeta.mapping._fit import fit_blocks
from skmeta.mapping._neural_checks import CLASSIFICATION, REGRESSION
from skmeta.mapping._neural_fit import Job, rows_of
from skmeta.mapping._statistics import of_coordinates

# Of more training rows an even share gives the statistics of the coordinates.
MAX_STATISTICS_ROWS = 2**16


def _predicts_target(mapper):
    return mapper._target_loss is not None


def _predicts(mapper):
    return _predicts_target(mapper) or _two_arrays(mapper)


def _predicts_classes(mapper):
    return mapper._target_loss == CLASSIFICATION


class NeuralSharedSpaceMapper(SupportsCallbacks, BaseMapper):
    """Map two or more views of the same rows into one shared space by neural encoders.

    One encoder a view, trained together in torch so that the encodings of rows that
    belong together come to lie close together, or so that they predict a target. It
    stands wherever `CCAMapper` stands; with a target it is a classifier or a regressor
    as well.

    Parameters
    ----------
    n_components : int, default=32
        Number of components.
    views : ColumnTransformer, dict of str to columns, or None, default=None
        How several views enter, as in `CCAMapper`.

        .. caution::
           Without ``views`` an array ``y`` is the second view, never labels. A
           `Views` may hold arrays of any shape, such as images.
    hidden_layer_sizes : tuple of int or int, default=(256,)
        Widths of the hidden layers of the multilayer perceptron that encodes a view;
        an empty tuple is a linear map.
    activation : str, default="relu"
        Of these hidden layers: "identity", "relu", "tanh", "logistic", "gelu", "silu".
    dropout : float, default=0.5
        Share of the hidden units that are zero in a step of training. Layers of less
        than about 50 units want less of it.
    layer_norm : bool, default=False
        Whether these hidden layers are normalised [10]_ before the activation.
    encoders : dict of str to encoder, default=None
        Encoders of some views, by their names: "mlp", which all others have, "conv4"
        (four convolutions [11]_) and "resnet" (a small residual net [12]_) for images
        of shape (channels, height, width), or a ``torch.nn.Module``, which is copied,
        or a function without arguments that makes one. A module takes entries of the
        view's shape and gives ``n_components`` columns.
    augment : dict of str to augmentation, default=None
        By view: how its batches are changed at random while they are trained on.
        "affine" (small rotations, shifts, shears and changes of scale of images),
        "noise", or a function ``(batch, generator) -> batch`` of the standardised
        entries and the ``torch.Generator`` to draw from.
    loss : str or callable, default="info_nce"
        What training makes small. Of the views alone: "info_nce" [1]_ [2]_, "siglip"
        [3]_, "triplet" with semi-hard negatives [4]_, "cca" [5]_, "cca_ey" [6]_,
        "vicreg" [7]_ or "barlow_twins" [8]_; or a function ``(Za, Zb) -> scalar`` of
        torch tensors of shape (n_rows, n_components). With three and more views it is
        averaged over the pairs of views. In the first three, rows that are identical
        in a view are answers to each other. With "cca" an exact CCA of the encodings
        ends the fit.

        Against y: "cross_entropy" of labels and "mse" of numbers, which make the mapper
        a classifier or a regressor, and "supcon" [13]_, where rows of the same label
        belong together; these need ``views``, or an X that is a `Views`.
    head : {"linear"} or None, default="linear"
        What predicts the target of "cross_entropy" and "mse" from the fused
        coordinates; None compares the target with the coordinates themselves.
    alignment : float or dict of str to float, default=0.0
        Losses of the views (or "supcon") that are added to ``loss``, by their weights;
        a number is the weight of "info_nce". So a shared space is learned for a target.
    fusion : {"concat", "mean", "posterior"} or name of a view, default="concat"
        How the views' coordinates become one row, as in `CCAMapper`.
    standardize : bool or dict of str to bool, default=True
        For all views or by name: bring columns to unit variance first. In images, and
        other entries of more than one axis, each channel (their first axis) is as one
        column. With a linear head it holds for numbers to predict as well.
    batch_size : int, default=256
        Rows in a step of training.
    learning_rate_init : float, default=3e-3
        The highest learning rate of AdamW [9]_.
    learning_rate : {"cosine", "constant"}, default="cosine"
        Whether the rate falls to 0 at ``max_iter`` along half a cosine.
    warmup_fraction : float, default=0.0
        Share of all steps in which the rate first rises from 0.
    weight_decay : float, default=1e-2
        Decoupled decay of the weight matrices.
    max_grad_norm : float or None, default=None
        Longest gradient; longer ones are cut to it.
    max_iter : int, default=100
        Passes over the rows, at most.
    early_stopping : bool, default=True
        Whether some rows are held out, the fit stops when their score no longer rises,
        and the weights of the best pass are kept. None are held out of fewer than 20
        rows, nor for the loss "cca" where they would be fewer than four times the
        components, of which they could tell nothing.
    validation_fraction : float, default=0.1
        Share of the rows that is held out, at most: rows that are identical in a view
        stay together; with a loss against y, or where that leaves none to hold out,
        those that are so in all views.
    scoring : None, "loss", str or callable, default=None
        The score of the rows that are held out. None is the mean reciprocal rank of a
        row's partner over both directions with "info_nce", "siglip" and "triplet", the
        mean average precision of rows of the same label with "supcon", accuracy or R^2
        of a target, and minus the loss with others. "loss" is minus the loss; otherwise
        a scorer as in `GridSearchCV`, such as a `RetrievalScorer`.
    n_iter_no_change : int, default=10
        Passes without an improvement by ``tol`` after which the fit stops, and at least
        100 steps: of the score, or of the training loss where no rows are held out.
    tol : float, default=1e-4
        Smallest improvement.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of an earlier one on the same views.
    checkpoint : str or path-like, default=None
        A file in which the fit is kept as it stands after each pass. A fit that was
        interrupted, however it was, goes on from it when it is called again with the
        same data and parameters, and ends with the same mapper to the bit;
        ``random_state`` has to be a number. One that has ended is there at once. Delete
        the file to start anew. A file is of one fit: the folds of a search, which fit
        many, cannot share it.
    precision : {"float32", "bf16"}, default="float32"
        Of the encoders while they are trained.
    compile : bool, default=False
        Whether ``torch.compile`` compiles them for training: worth its seconds in long
        fits, and in need of a C++ compiler.
    device : str, default="auto"
        Where to train: "cpu", "cuda", "mps", or "auto" for the fastest there is.
    random_state : int, RandomState instance or None, default=None
        For starts, batches, held-out rows and dropout. The same number gives the same
        mapper on the same machine. No global generator is touched.

    Attributes
    ----------
    encoders_ : dict of str to tuple
        By view: the encoder as numpy arrays.
    classes_ : ndarray of shape (n_classes,)
        Labels, with a loss against them.
    coef_ : ndarray of shape (n_outputs, n_features_out)
        Of the linear head on the fused coordinates.
    intercept_ : ndarray of shape (n_outputs,)
        Of the linear head.
    correlations_ : ndarray of shape (n_components,)
        Pearson correlations of the training rows' components, averaged over the pairs
        of views.
    means_ : dict of str to ndarray of shape (n_features,)
        By view: means of the columns.
    structure_ : dict of str to ndarray of shape (n_features, n_views * n_components)
        By view: covariance of each column with every view's unit-variance components.
    score_covariance_ : ndarray of shape (n_views * n_components,) * 2
        Covariance of the unit-variance components of all views.
    loss_curve_ : list of float
        Mean loss of each pass.
    validation_scores_ : list of float
        Score of the held-out rows after each pass; empty where there are none.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of columns of X; not after a fit on `Views`.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where they are all strings.

    Warns
    -----
    ConvergenceWarning
        If it stops at ``max_iter`` and was still improving.
    RankWarning
        With ``loss="cca"``, if a batch has fewer than four times as many rows as
        there are components.
    UserWarning
        If no rows can be held out, because too few are distinct, or if their score was
        never a number.

    See Also
    --------
    CCAMapper : Linear, exact, and without torch.

    Notes
    -----
    Coordinates are the encodings, of length one where the loss compares directions
    ("info_nce", "siglip", "triplet", "supcon"). What is fitted is numpy, and mapping
    rows needs no torch, but with modules of your own. A row that lacks a view trains
    the encoders of those it has; for a head, the mean of the batch stands for the
    view. Sparse and memory-mapped views are taken batch by batch. Modules of your own
    may draw from torch's global generator, which is seeded for them and put back
    afterwards.

    References
    ----------
    .. [1] van den Oord, Li & Vinyals (2018), "Representation learning with contrastive
       predictive coding", eq. 4.
    .. [2] Radford et al. (2021), "Learning transferable visual models from natural
       language supervision", ICML.
    .. [3] Zhai, Mustafa, Kolesnikov & Beyer (2023), "Sigmoid loss for language image
       pre-training", ICCV, eq. 1.
    .. [4] Schroff, Kalenichenko & Philbin (2015), "FaceNet", CVPR, section 3.2.
    .. [5] Andrew, Arora, Bilmes & Livescu (2013), "Deep canonical correlation
       analysis", ICML.
    .. [6] Chapman, Wells & Aguila (2024), "Unconstrained stochastic CCA", ICLR.
    .. [7] Bardes, Ponce & LeCun (2022), "VICReg", ICLR, eq. 6.
    .. [8] Zbontar, Jing, Misra, LeCun & Deny (2021), "Barlow twins", ICML, eq. 1.
    .. [9] Loshchilov & Hutter (2019), "Decoupled weight decay regularization", ICLR.
    .. [10] Ba, Kiros & Hinton (2016), "Layer normalization".
    .. [11] Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra (2016), "Matching
       networks for one shot learning", NeurIPS, section 4.1.
    .. [12] He, Zhang, Ren & Sun (2016), "Deep residual learning for image
       recognition", CVPR.
    .. [13] Khosla et al. (2020), "Supervised contrastive learning", NeurIPS, eq. 2.

    Examples
    --------
    >>> from skmeta import NeuralSharedSpaceMapper
    >>> from skmeta.datasets import make_paired_views
    >>> views = make_paired_views(300, random_state=0).views
    >>> mapper = NeuralSharedSpaceMapper(n_components=8, random_state=0)
    >>> mapper.fit_transform(views).shape
    (300, 16)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "views": [HasMethods(["fit", "transform"]), dict, None],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "layer_norm": ["boolean"],
        "encoders": [dict, None],
        "augment": [dict, None],
        "loss": [str, callable],
        "head": [StrOptions({"linear"}), None],
        "alignment": [Interval(Real, 0, None, closed="left"), dict],
        "fusion": [str],
        "standardize": ["boolean", dict],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions({"cosine", "constant"})],
        "warmup_fraction": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "scoring": [str, callable, None],
        "warm_start": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "checkpoint": [str, PathLike, None],
        "precision": [StrOptions({"float32", "bf16"})],
        "compile": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=32,
        *,
        views=None,
        hidden_layer_sizes=(256,),
        activation="relu",
        dropout=0.5,
        layer_norm=False,
        encoders=None,
        augment=None,
        loss="info_nce",
        head="linear",
        alignment=0.0,
        fusion="concat",
        standardize=True,
        batch_size=256,
        learning_rate_init=3e-3,
        learning_rate="cosine",
        warmup_fraction=0.0,
        weight_decay=1e-2,
        max_grad_norm=None,
        max_iter=100,
        early_stopping=True,
        validation_fraction=0.1,
        scoring=None,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        checkpoint=None,
        precision="float32",
        compile=False,
        device="auto",
        random_state=None,
    ):
        self.n_components = n_components
        self.views = views
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.encoders = encoders
        self.augment = augment
        self.loss = loss
        self.head = head
        self.alignment = alignment
        self.fusion = fusion
        self.standardize = standardize
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.warmup_fraction = warmup_fraction
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.warm_start = warm_start
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.checkpoint = checkpoint
        self.precision = precision
        self.compile = compile
        self.device = device
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Train the encoders.

        Parameters
        ----------
        X : array-like, DataFrame or Views of shape (n_rows, ...)
            The table that ``views`` takes apart, or a `Views`, or the first view.
        y : array-like of shape (n_rows, n_features) or (n_rows,), default=None
            Labels or numbers to predict, with a loss against them. Otherwise the
            second view where X is a single array and ``views`` is None, or targets
            that only the transformers of a ColumnTransformer see.

        Returns
        -------
        NeuralSharedSpaceMapper
            The fitted mapper itself.

        Raises
        ------
        ValueError
            If the rows are not as `CCAMapper` has them, y is not what the loss needs,
            the loss, an encoder or the device is not known, or with "cca" a batch has
            no more rows than there are components.
        FloatingPointError
            If the loss is no longer finite; the mapper then has the last finite
            weights.
        CorruptFileError
            If the file of ``checkpoint`` is damaged.
        ImportError
            If torch is not installed.
        """
        job = Job(self, X, y, self._trained if self.warm_start else None)
        with Epochs(self, X, y, self.max_iter) as epochs:
            history, failure = job.train(
                self.max_iter,
                on_epoch_begin=lambda epoch: epochs.begin(),
                on_epoch=lambda *_: epochs.end(
                    lambda: vars(job.as_it_stands(job.blocks))
                ),
            )
            job.reader.claim(self, X)
            with np.errstate(over="ignore", invalid="ignore"):  # is found below
                self._store(job, job.blocks)
            failure = failure or self._overflow()
            if failure is not None:
                for name in ("loss_curve_", "validation_scores_", "n_iter_"):
                    vars(self).pop(name, None)  # of the fit before
                raise failure
            self.loss_curve_ = history.losses
            self.validation_scores_ = history.scores
            self.n_iter_ = len(history.losses)
        if history.scores and np.isnan(history.scores).all():
            warn(
                f"The score of the held-out rows was NaN after each of the "
                f"{self.n_iter_} passes: none was the best, and the last weights are "
                "kept. Choose another scoring=, or early_stopping=False.",
                UserWarning,
            )
        if not history.converged:
            warn(
                f"The fit stopped at max_iter={self.max_iter} and was still improving; "
                "raise max_iter.",
                ConvergenceWarning,
            )
        return self

    def _overflow(self):
        """What to raise where weights are finite, and encodings by them are not."""
        if np.isfinite(self.score_covariance_).all():
            return None
        return FloatingPointError(
            "The weights have become so large that the training rows' encodings are "
            "not finite; lower learning_rate_init, or clip gradients by max_grad_norm."
        )

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, classes=None):
        """Go over some rows once, and go on from there at the next call.

        The learning rate stays at ``learning_rate_init``; no rows are held out. What
        standardises the columns is that of the first call. Statistics of the
        coordinates, such as `correlations_`, are those of the rows of the last call.

        Parameters
        ----------
        X, y
            As in `fit`.
        classes : array-like, default=None
            All labels that will come, at the first call with "cross_entropy"; those
            of its y by default.

        Returns
        -------
        NeuralSharedSpaceMapper
            The mapper itself.

        Raises
        ------
        ValueError
            As in `fit`, and if a transformer under ``views`` learns from rows.
        """
        job = Job(self, X, y, self._trained, piece=True, classes=classes)
        history, failure = job.train(1)
        if not job.going_on:
            job.reader.claim(self, X)
        before = getattr(self, "loss_curve_", []) if job.going_on else []
        with np.errstate(over="ignore", invalid="ignore"):  # is found below
            self._store(job, job.blocks)
        failure = failure or self._overflow()
        if failure is not None:
            raise failure
        self._rng, self._optimiser = job.rng, history.optimiser_state
        self.loss_curve_ = [*before, *history.losses]
        self.validation_scores_, self.n_iter_ = [], len(self.loss_curve_)
        return self

    @available_if(_predicts)
    def predict(self, X):
        """Predict the target; after ``fit(X, Y)`` of two arrays, Y from X.

        Parameters
        ----------
        X : array-like, DataFrame or Views of shape (n_rows, ...)
            Rows as in `transform`; views may be missing.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Labels with "cross_entropy", numbers with "mse".
        """
        if not _predicts_target(self):
            return super().predict(X)
        output = self._output(X)
        if self._target_loss == CLASSIFICATION:
            return self.classes_[np.argmax(output, axis=1)]
        return output[:, 0] if self._flat_target else output

    @available_if(_predicts_classes)
    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like, DataFrame or Views of shape (n_rows, ...)

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            In the order of ``classes_``.
        """
        output = self._output(X)
        output = np.exp(output - output.max(axis=1, keepdims=True))
        return output / output.sum(axis=1, keepdims=True)

    def _output(self, X):
        blocks = self._read("predict", X)
        loss, fusion = self._trained_for
        if loss != self._target_loss:
            raise ValueError(
                f"loss={self.loss!r} now, but the mapper was fitted "
                f"{f'with loss={loss!r}' if loss else 'without a target'}; fit it "
                "again to predict."
            )
        # The coordinates that it was trained on, whatever `transform` gives by now.
        scores, _ = self._all_scores(blocks)
        Z = scores @ self._fusion_matrix(fusion) + self._fusion_offset(fusion)
        if self._head is None:
            return Z
        return Z @ self.coef_.T + self.intercept_

    def score(self, X, y=None):
        """Held-out correlation, or accuracy or R^2 of a target.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        float
            With "cross_entropy" the share of right labels, with "mse" R^2, averaged
            over outputs. Otherwise the correlations of corresponding components, as in
            `CCAMapper`.
        """
        if not _predicts_target(self):
            return super().score(X, y)
        check_is_fitted(self)
        if y is None:
            raise ValueError("score requires y to be passed, but the target y is None.")
        measure = accuracy_score if is_classifier(self) else r2_score
        return float(measure(y, self.predict(X)))

    # ---- inside ----------------------------------------------------------------------

    _takes_shapes = True

    @property
    def _target_loss(self):
        return self.loss if self.loss in (REGRESSION, CLASSIFICATION) else None

    @property
    def _trained(self):
        """What a fit goes on from, None before the first."""
        if not hasattr(self, "encoders_"):
            return None
        return self.encoders_, self._learned, self._head

    def _store(self, job, blocks):
        """Keep what a job has trained, and how the coordinates of rows vary."""
        networks, learned, head = job.trained()
        loss, target = job.terms[0].loss, job.target
        self._reader = job.reader
        self._dtypes = {n: float_dtype(a.dtype) for n, a in blocks.arrays.items()}
        self._rng = self._optimiser = None  # `partial_fit` alone goes on with them
        self.encoders_, self._unit, self._turns = networks, loss.cosine, None
        self._learned, self._head = learned, head
        self._trained_for = self._target_loss, self.fusion
        for name in ("classes_", "coef_", "intercept_"):
            vars(self).pop(name, None)  # of a fit with another loss
        if target is not None and target.classes is not None:
            self.classes_ = target.classes
        if target is not None:
            self._flat_target = target.flat
            self._target_scaling = target.means, target.scales
        if head is not None:
            scales = target.scales[:, None]
            self.coef_ = head[0] * scales
            self.intercept_ = head[1] * target.scales + target.means
        every = -(-blocks.n_rows // MAX_STATISTICS_ROWS)
        if every > 1:
            blocks = rows_of(blocks, np.arange(0, blocks.n_rows, every))
        coordinates = self._encode_all(blocks)
        if loss.whitened:
            coordinates = self._align(coordinates, blocks)
        found = of_coordinates(coordinates, blocks, job.reader.names)
        self._offsets, self._scales = found.offsets, found.scales
        self.score_covariance_ = found.covariance
        self.correlations_ = found.correlations
        self.means_, self.structure_ = found.means, found.structure

    def _align(self, coordinates, blocks):
        """An exact CCA of the encodings, which orders the components."""
        solution = fit_blocks(
            blocks._replace(arrays=coordinates),
            self._reader.names,
            None,
            unpaired="auto",
            n_components=self.n_components,
            shrinkage=dict.fromkeys(coordinates, 0.0),
            standardize=dict.fromkeys(coordinates, True),
        ).solution
        self._turns = {n: (solution.means[n], w) for n, w in solution.weights.items()}
        return self._encode_all(blocks)

    def _encode_all(self, blocks):
        """Coordinates of each view, zeros in the rows that lack it."""
        coordinates = {}
        for name, array in blocks.arrays.items():
            mask = blocks.mask(name)
            if mask.all():
                coordinates[name] = self._encode(name, array)
                continue
            coordinates[name] = np.zeros((blocks.n_rows, self.n_components), np.float32)
            coordinates[name][mask] = self._encode(name, array[np.flatnonzero(mask)])
        return coordinates

    def _encode(self, name, array):
        Z = encode(self.encoders_[name], array)
        if self._turns is not None:
            means, weights = self._turns[name]
            Z = ((Z - means) @ weights).astype(np.float32)
        return unit(Z) if self._unit else Z

    def _affine(self):
        return self._scales, self._offsets

    def _view_scores(self, name, array):
        i = self._reader.names.index(name)
        if isinstance(array, OnDevice):
            there = array.device.from_host
            return there(self._view_scores(name, array.host()))
        scale = self._scales[i]
        inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
        scores = (self._encode(name, array) - self._offsets[i]) * inverse
        return scores.astype(float_dtype(array.dtype))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        tags.array_api_support = False
        if self._target_loss == CLASSIFICATION:
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags()
        if self._target_loss == REGRESSION:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
            tags.target_tags.multi_output = True
            tags.target_tags.single_output = True
        if self.loss in (REGRESSION, CLASSIFICATION, "supcon"):
            tags.target_tags.required = True
        return tags
