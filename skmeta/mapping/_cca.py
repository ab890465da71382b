"""`CCAMapper`: regularised canonical correlation analysis as a mapper of views."""

import warnings
from numbers import Integral, Real

import numpy as np

from skmeta._compat import (
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    fit_context,
)
from skmeta.core.cca import solve
from skmeta.core.projection import float_dtype, project
from skmeta.exceptions import CorrelationOneWarning, RankWarning
from skmeta.mapping._base import BaseMapper
from skmeta.views._door import open_door

MAX_DEFAULT_COMPONENTS = 64


class CCAMapper(BaseMapper):
    """Map two or more views of the same rows linearly into one shared space.

    Regularised canonical correlation analysis (CCA), exact: components are pairs of
    directions, one in each view, along which the views correlate most. Rows of
    different views that belong together come to lie close together, so that one can
    be found by the other, and the views can be fused for the next step of a pipeline.

    Parameters
    ----------
    n_components : int, default=None
        Number of components; None for the number of columns of the narrowest view,
        but at most 64.
    views : ColumnTransformer, dict of str to columns, or None, default=None
        How several views enter. Each named transformer of a `ColumnTransformer`
        is a view of the table X; so is each entry of a dict of names to columns
        (names, indices, a slice, a mask or a callable). With None, X is a `Views`, or
        there are two arrays, ``fit(X, Y)``.

        .. caution::
           Without ``views`` an array ``y`` is the second view, never labels.
    shrinkage : float, "auto", or dict of str to either, default="auto"
        How far each view's correlation matrix C is shrunk towards the identity,
        (1 - c) C + c I: 0 is CCA, 1 is PLS (the SVD of the cross-covariance). "auto" is
        the oracle approximating shrinkage [4]_. A dict gives it by view; views that it
        does not name have "auto".
    fusion : {"concat", "mean", "posterior"} or name of a view, default="concat"
        How the views' coordinates become one row: side by side, averaged, as the
        posterior mean of what the views share [3]_, or those of one view, filled
        in from the others where it is missing.
    correlation_power : float, default=2.0
        Coordinates are unit-variance scores times the component's correlation to
        this power [5]_, so that components that carry little across views weigh
        little in distances. 0 leaves the scores as they are.
    standardize : bool or dict of str to bool, default=True
        Bring columns to unit variance first, so that the answer does not depend on
        their units. A dict gives it by view; views that it does not name have True.

    Attributes
    ----------
    correlations_ : ndarray of shape (n_components,)
        Pearson correlations of the training scores, averaged over the pairs of
        views. Components are ordered by the eigenvalues of the shrunk problem, so that
        fewer components are the first of more; without shrinkage the correlations
        descend.
    weights_ : dict of str to ndarray of shape (n_features, n_components)
        By view: centred columns times these are the unit-variance scores.
    loadings_ : dict of str to ndarray of shape (n_features, n_components)
        By view: correlation of each column with each component of that view.
    means_ : dict of str to ndarray of shape (n_features,)
        By view: means of the columns.
    structure_ : dict of str to ndarray of shape (n_features, n_views * n_components)
        By view: covariance of each column with every view's components.
    score_covariance_ : ndarray of shape (n_views * n_components,) * 2
        Covariance of the training scores of all views.
    shrinkage_ : dict of str to float
        By view: the shrinkage used.
    rank_ : dict of str to int
        By view: the number of dimensions found.
    n_features_in_ : int
        Number of columns of X; not after a fit on `Views`.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where they are all strings.

    Warns
    -----
    RankWarning
        If a view has fewer dimensions than components (the trailing ones are zero),
        or, without shrinkage, than columns.
    CorrelationOneWarning
        If without shrinkage there are so few rows that correlations of 1 hold by
        construction.

    See Also
    --------
    CrossModalRetriever : Find rows of one view by rows of another.
    sklearn.cross_decomposition.CCA : Unregularised, iterative, of two arrays.

    Notes
    -----
    With B holding the shrunk within-view matrices and A the cross-covariance blocks,
    the components solve ``A w = lambda B w`` [1]_ [2]_. Variances have the number of
    rows (the sum of ``sample_weight``) in the denominator. Each component's sign is
    such that the first column whose loading is within 1e-6 of the largest in size is
    positive. float16 and float32 rows are mapped to float32, all others to float64;
    what is learned is float64. No training row is kept. Rows that lack a view do not
    enter the fit.

    References
    ----------
    .. [1] Hotelling (1936), "Relations between two sets of variates", Biometrika 28.
    .. [2] Kettenring (1971), "Canonical analysis of several sets of variables",
       Biometrika 58.
    .. [3] Bach & Jordan (2005), "A probabilistic interpretation of canonical
       correlation analysis", TR 688, University of California, Berkeley.
    .. [4] Chen, Wiesel, Eldar & Hero (2010), "Shrinkage algorithms for MMSE
       covariance estimation", IEEE Transactions on Signal Processing 58(10), eq. 23.
    .. [5] Gong, Ke, Isard & Lazebnik (2014), "A multi-view embedding space for
       modeling internet images, tags, and their semantics", IJCV 106.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> views = make_paired_views(500, correlations=(0.9, 0.7), random_state=0).views
    >>> mapper = CCAMapper(n_components=2).fit(views)
    >>> mapper.transform(views).shape
    (500, 4)
    >>> mapper.transform_view(views["view1"], "view1").shape
    (500, 2)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "views": [HasMethods(["fit", "transform"]), dict, None],
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"}), dict],
        "fusion": [str],
        "correlation_power": [Interval(Real, 0, None, closed="left")],
        "standardize": ["boolean", dict],
    }

    def __init__(
        self,
        n_components=None,
        *,
        views=None,
        shrinkage="auto",
        fusion="concat",
        correlation_power=2.0,
        standardize=True,
    ):
        self.n_components = n_components
        self.views = views
        self.shrinkage = shrinkage
        self.fusion = fusion
        self.correlation_power = correlation_power
        self.standardize = standardize

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, sample_weight=None):
        """Learn the shared space of the training rows.

        Parameters
        ----------
        X : array-like, DataFrame or Views of shape (n_rows, ...)
            The table that ``views`` takes apart, or a `Views`, or the first view.
        y : array-like of shape (n_rows, n_features) or (n_rows,), default=None
            The second view where X is a single array and ``views`` is None. Otherwise
            targets, which only the transformers of a ColumnTransformer see.
        sample_weight : array-like of shape (n_rows,), default=None
            Frequencies: how many times each row counts.

        Returns
        -------
        CCAMapper
            The fitted mapper itself.

        Raises
        ------
        ValueError
            If numbers of rows differ, a view has NaN in part of a row, infinity or no
            variance, or ``n_components`` exceeds the narrowest view's columns.
        TypeError
            If a view is sparse or no table.
        """
        reader = open_door(self.views, X)
        self._check_fusion(reader.names)
        shrinkage = _by_view(self.shrinkage, reader.names, "shrinkage", "auto")
        standardize = _by_view(self.standardize, reader.names, "standardize", True)
        blocks = reader.fit(self, X, y)
        k = self._check_n_components(reader.n_features)
        views, weights = _complete_rows(blocks, X, sample_weight)
        solution = solve(
            views,
            n_components=k,
            shrinkage=shrinkage,
            standardize=standardize,
            weights=weights,
        )
        reader.claim(self, X)
        self._reader = reader
        self._dtypes = {n: float_dtype(a.dtype) for n, a in views.items()}
        self._store(solution)
        self._warn(solution, len(next(iter(views.values()))))
        return self

    def _check_n_components(self, n_features):
        narrowest = min(n_features, key=n_features.get)
        bound = n_features[narrowest]
        if self.n_components is None:
            return min(MAX_DEFAULT_COMPONENTS, bound)
        if self.n_components > bound:
            raise ValueError(
                f"n_components={self.n_components} is more than the {bound} columns of "
                f"the narrowest view, {narrowest!r}; at most {bound} components exist."
            )
        return self.n_components

    def _store(self, solution):
        self.correlations_ = solution.correlations
        self.weights_ = solution.weights
        self.loadings_ = solution.loadings
        self.means_ = solution.means
        self.structure_ = solution.structure
        self.score_covariance_ = solution.score_covariance
        self.shrinkage_ = solution.shrinkage
        self.rank_ = solution.ranks

    def _warn(self, solution, n_rows):
        k = len(solution.correlations)
        plain = [name for name, c in solution.shrinkage.items() if c == 0]
        for name, rank in solution.ranks.items():
            columns = solution.n_varying[name]
            if rank < k:
                warnings.warn(
                    f"View {name!r} has rank {rank}, fewer than the {k} components: "
                    f"the last {k - rank} are zero. Set n_components={rank} or less.",
                    RankWarning,
                    stacklevel=4,
                )
            elif name in plain and rank < columns:
                warnings.warn(
                    f"View {name!r} has rank {rank} but {columns} columns that vary: "
                    "some are combinations of others, and its weights are not unique. "
                    "Drop such columns, or shrink (shrinkage='auto').",
                    RankWarning,
                    stacklevel=4,
                )
        ranks = sorted(solution.ranks[name] for name in plain)[-2:]
        if len(ranks) == 2 and sum(ranks) >= n_rows:
            warnings.warn(
                f"With {n_rows} rows and views of rank {ranks[0]} and {ranks[1]}, "
                "correlations of 1 hold by construction and say nothing about new "
                "rows. Shrink (shrinkage='auto'), or reduce the views' columns.",
                CorrelationOneWarning,
                stacklevel=4,
            )

    def _view_scores(self, name, array):
        return project(array, self.means_[name], self.weights_[name])


def _by_view(value, names, parameter, default):
    """A value for each view, of one for all or of a dict by name."""
    if not isinstance(value, dict):
        return dict.fromkeys(names, value)
    if unknown := [name for name in value if name not in names]:
        raise ValueError(
            f"{parameter}= names view {unknown[0]!r}, but the views are {list(names)}."
        )
    for name, v in value.items():
        if parameter == "standardize":
            valid = isinstance(v, bool | np.bool_)
        else:
            valid = v == "auto" if isinstance(v, str) else _is_share(v)
        if not valid:
            expected = "a bool" if parameter == "standardize" else "in [0, 1] or 'auto'"
            raise ValueError(f"{parameter}[{name!r}] must be {expected}; got {v!r}.")
    return {name: value.get(name, default) for name in names}


def _is_share(value):
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 1


def _complete_rows(blocks, X, sample_weight):
    """Views and weights of the rows that count and have every view."""
    keep = np.ones(blocks.n_rows, bool)
    for name in blocks.present:
        keep &= blocks.mask(name)
    if keep.sum() < 2:
        raise ValueError(
            f"Only {int(keep.sum())} of {blocks.n_rows} rows have every view of "
            f"{list(blocks.arrays)}; a minimum of 2 is required."
        )
    weights = None
    if sample_weight is not None:
        weights = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        keep &= weights > 0
        if keep.sum() < 2:
            raise ValueError(
                f"Found {int(keep.sum())} sample(s) with positive sample_weight while "
                "a minimum of 2 is required."
            )
    if keep.all():
        return blocks.arrays, weights
    views = {name: array[keep] for name, array in blocks.arrays.items()}
    return views, None if weights is None else weights[keep]
