"""`NeuralSharedSpaceMapper`: neural encoders of views as a mapper."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skmeta._compat import HasMethods, Interval, StrOptions, fit_context
from skmeta.core.device import OnDevice
from skmeta.core.network import ACTIVATIONS, forward, standardisation, unit
from skmeta.core.projection import float_dtype
from skmeta.exceptions import RankWarning
from skmeta.mapping._base import BaseMapper
from skmeta.mapping._fit import fit_blocks
from skmeta.mapping._statistics import of_coordinates
from skmeta.views._door import open_door

# With fewer rows than this there are none to spare for validation.
MIN_ROWS_TO_SPLIT = 20


class NeuralSharedSpaceMapper(BaseMapper):
    """Map two or more views of the same rows into one shared space by neural encoders.

    One encoder a view, a multilayer perceptron, trained together in torch so that the
    encodings of rows that belong together come to lie close together. It stands
    wherever `CCAMapper` stands.

    Parameters
    ----------
    n_components : int, default=32
        Number of components.
    views : ColumnTransformer, dict of str to columns, or None, default=None
        How several views enter, as in `CCAMapper`.

        .. caution::
           Without ``views`` an array ``y`` is the second view, never labels.
    hidden_layer_sizes : tuple of int, default=(256,)
        Widths of the hidden layers of each encoder; an empty tuple is a linear map.
    activation : str, default="relu"
        Of the hidden layers: "identity", "relu", "tanh", "logistic", "gelu", "silu".
    dropout : float, default=0.0
        Share of the hidden units that are zero in a step of training.
    layer_norm : bool, default=False
        Whether hidden layers are normalised [10]_ before the activation.
    loss : str or callable, default="info_nce"
        What training makes small: "info_nce" [1]_ [2]_, "siglip" [3]_, "triplet" with
        semi-hard negatives [4]_, "cca" [5]_, "cca_ey" [6]_, "vicreg" [7]_ or
        "barlow_twins" [8]_; or a function ``(Za, Zb) -> scalar`` of torch tensors of
        shape (n_rows, n_components). With three and more views it is averaged over the
        pairs of views. In the first three, rows that are identical in a view are
        answers to each other. With "cca" an exact CCA of the encodings ends the fit.
    fusion : {"concat", "mean", "posterior"} or name of a view, default="concat"
        How the views' coordinates become one row, as in `CCAMapper`.
    standardize : bool, default=True
        Bring columns to unit variance first.
    batch_size : int, default=256
        Rows in a step of training.
    learning_rate_init : float, default=1e-3
        The highest learning rate of AdamW [9]_.
    learning_rate : {"cosine", "constant"}, default="cosine"
        Whether the rate falls to 0 at ``max_iter`` along half a cosine.
    warmup_fraction : float, default=0.0
        Share of all steps in which the rate first rises from 0.
    weight_decay : float, default=1e-2
        Decoupled decay of the weight matrices.
    max_grad_norm : float or None, default=None
        Longest gradient; longer ones are cut to it.
    max_iter : int, default=200
        Passes over the rows, at most.
    early_stopping : bool, default=True
        Whether some rows are held out, the fit stops when their score no longer rises,
        and the weights of the best pass are kept. The score is the mean reciprocal rank
        of a row's partner over both directions with "info_nce", "siglip" and
        "triplet", and minus the loss with others. With fewer than 20 rows none are held
        out.
    validation_fraction : float, default=0.1
        Share of the rows that is held out. Rows that are identical in a view stay
        together.
    n_iter_no_change : int, default=10
        Passes without an improvement by ``tol`` after which the fit stops: of the
        score, or of the training loss where no rows are held out.
    tol : float, default=1e-4
        Smallest improvement.
    device : str, default="auto"
        Where to train: "cpu", "cuda", "mps", or "auto" for the fastest there is.
    random_state : int, RandomState instance or None, default=None
        For starts, batches, held-out rows and dropout. The same number gives the same
        mapper on the same machine. No global generator is touched.

    Attributes
    ----------
    encoders_ : dict of str to tuple
        By view: the encoder as numpy arrays.
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

    See Also
    --------
    CCAMapper : Linear, exact, and without torch.

    Notes
    -----
    Coordinates are the encodings, of length one where the loss compares directions
    ("info_nce", "siglip", "triplet"). What is fitted is numpy, and mapping rows needs
    no torch. A row that lacks a view trains the encoders of those it has. Sparse and
    memory-mapped views are taken batch by batch.

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
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "layer_norm": ["boolean"],
        "loss": [str, callable],
        "fusion": [str],
        "standardize": ["boolean"],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions({"cosine", "constant"})],
        "warmup_fraction": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
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
        dropout=0.0,
        layer_norm=False,
        loss="info_nce",
        fusion="concat",
        standardize=True,
        batch_size=256,
        learning_rate_init=1e-3,
        learning_rate="cosine",
        warmup_fraction=0.0,
        weight_decay=1e-2,
        max_grad_norm=None,
        max_iter=200,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        device="auto",
        random_state=None,
    ):
        self.n_components = n_components
        self.views = views
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.loss = loss
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
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
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
            The second view where X is a single array and ``views`` is None. Otherwise
            targets, which only the transformers of a ColumnTransformer see.

        Returns
        -------
        NeuralSharedSpaceMapper
            The fitted mapper itself.

        Raises
        ------
        ValueError
            If the rows are not as `CCAMapper` has them, the loss or the device is not
            known, or with "cca" a batch has no more rows than there are components.
        FloatingPointError
            If the loss is no longer finite; the mapper then has the last finite
            weights.
        ImportError
            If torch is not installed.
        """
        nn = _torch_backend()
        hidden = _widths(self.hidden_layer_sizes)
        loss = nn.get_loss(self.loss)
        device = nn.resolve_device(self.device)
        reader = open_door(self.views, X)
        self._check_fusion(reader.names)
        blocks = _on_host(reader.fit(self, X, y))
        rng = check_random_state(self.random_state)
        arrays = [blocks.arrays[name] for name in reader.names]
        masks = [blocks.mask(name) for name in reader.names]
        ids = [nn.identical_rows(array) for array in arrays]
        training, validation = self._split(ids, masks, rng)
        self._check_batches(loss, min(self.batch_size, len(training)))

        seed = int(rng.randint(np.iinfo(np.int32).max))
        inputs = [
            standardisation(array, np.flatnonzero(mask), self.standardize)
            for array, mask in zip(arrays, masks, strict=True)
        ]
        space = nn.make_space(
            [array.shape[1] for array in arrays],
            hidden,
            self.n_components,
            loss=loss,
            seed=seed,
            activation=self.activation,
            dropout=self.dropout,
            layer_norm=self.layer_norm,
        ).to(device)
        data = nn.make_data(arrays, inputs, masks, ids, device)
        score = None
        if len(validation):
            score = nn.validation_score(loss, data, validation)
        plan = nn.Plan(
            batch_size=self.batch_size,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate_init,
            weight_decay=self.weight_decay,
            warmup=self.warmup_fraction,
            schedule=self.learning_rate,
            max_norm=self.max_grad_norm,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
        )
        history, failure = None, None
        try:
            history = nn.train(
                space, nn.objective(loss), data, training, plan, rng, score=score
            )
        except FloatingPointError as error:
            failure = error
        networks = {
            name: encoder.network(*scaling)
            for name, encoder, scaling in zip(
                reader.names, space.encoders, inputs, strict=True
            )
        }
        reader.claim(self, X)
        self._reader = reader
        self._dtypes = {n: float_dtype(a.dtype) for n, a in blocks.arrays.items()}
        self._store(networks, loss, blocks)
        if failure is not None:
            raise failure
        self.loss_curve_ = history.losses
        self.validation_scores_ = history.scores
        self.n_iter_ = len(history.losses)
        if not history.converged:
            warnings.warn(
                f"The fit stopped at max_iter={self.max_iter} and was still improving; "
                "raise max_iter.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    # ---- inside ----------------------------------------------------------------------

    def _split(self, ids, masks, rng):
        """Rows to train on, and held-out ones that have at least two views."""
        n = len(masks[0])
        if not self.early_stopping or n < MIN_ROWS_TO_SPLIT:
            return np.arange(n), np.arange(0)
        groups = _joined(ids, masks)
        order = rng.permutation(groups.max() + 1)
        sizes = np.bincount(groups)[order]
        wanted = max(2, round(self.validation_fraction * n))
        chosen = order[np.cumsum(sizes) <= wanted]
        held = np.isin(groups, chosen)
        if held.sum() < 2 or (~held).sum() < 2:
            return np.arange(n), np.arange(0)
        paired = np.sum(masks, axis=0) > 1
        return np.flatnonzero(~held), np.flatnonzero(held & paired)

    def _check_batches(self, loss, n):
        k = self.n_components
        if not loss.whitened:
            return
        if n <= k:
            raise ValueError(
                f"With loss={self.loss!r} a batch must have more rows than components, "
                f"or every correlation in it is 1; got {n} rows and {k} components. "
                "Raise batch_size, or choose loss='cca_ey', which is made for small "
                "batches."
            )
        if n < 4 * k:
            warnings.warn(
                f"A batch of {n} rows says little about {k} components: their "
                "correlations in it are near 1 whatever the rows are. Take at least "
                f"{4 * k} rows, or loss='cca_ey'.",
                RankWarning,
                stacklevel=4,
            )

    def _store(self, networks, loss, blocks):
        self.encoders_ = networks
        self._unit = loss.cosine
        names = self._reader.names
        coordinates = self._encode_all(blocks)
        if loss.whitened:
            coordinates = self._align(coordinates, blocks)
        found = of_coordinates(coordinates, blocks, names)
        self._offsets, self._scales = found.offsets, found.scales
        self.score_covariance_ = found.covariance
        self.correlations_ = found.correlations
        self.means_, self.structure_ = found.means, found.structure

    def _align(self, coordinates, blocks):
        """An exact CCA of the encodings, taken into the last layers."""
        solution = fit_blocks(
            blocks._replace(arrays=coordinates),
            self._reader.names,
            None,
            unpaired="auto",
            n_components=self.n_components,
            shrinkage=dict.fromkeys(coordinates, 0.0),
            standardize=dict.fromkeys(coordinates, True),
        ).solution
        for name, network in self.encoders_.items():
            last, weights = network.layers[-1], solution.weights[name]
            turned = last._replace(
                weights=(last.weights @ weights).astype(np.float32),
                biases=((last.biases - solution.means[name]) @ weights).astype(
                    np.float32
                ),
            )
            self.encoders_[name] = network._replace(
                layers=(*network.layers[:-1], turned)
            )
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
        Z = forward(self.encoders_[name], array)
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
        return tags


def _torch_backend():
    try:
        from skmeta.nn import backend
    except ImportError as error:
        raise ImportError(
            "NeuralSharedSpaceMapper is trained by torch, which is not installed: "
            'pip install "skmeta[torch]".'
        ) from error
    return backend


def _widths(hidden_layer_sizes):
    widths = tuple(np.atleast_1d(hidden_layer_sizes).tolist())
    if any(not isinstance(w, int) or w < 1 for w in widths):
        raise ValueError(
            "hidden_layer_sizes must be whole numbers from 1, one a hidden layer; got "
            f"{hidden_layer_sizes!r}."
        )
    return widths


def _on_host(blocks):
    return blocks._replace(
        arrays={
            name: array.host() if isinstance(array, OnDevice) else array
            for name, array in blocks.arrays.items()
        }
    )


def _joined(ids, masks):
    """Groups (n_rows,) of rows that are linked by being identical in a view."""
    n = len(masks[0])
    links = [
        (np.flatnonzero(mask), same[mask])
        for same, mask in zip(ids, masks, strict=True)
        if same is not None
    ]
    if not links:
        return np.arange(n)
    ends = [np.concatenate(side) for side in zip(*links, strict=True)]
    graph = coo_array((np.ones(len(ends[0])), tuple(ends)), shape=(n, n))
    return connected_components(graph, directed=False)[1]
