"""`CCAMapper`: regularised canonical correlation analysis as a mapper of views."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import HasMethods, Interval, StrOptions, fit_context
from skmeta.core.cca import dtype_eps
from skmeta.core.moments import n_bytes
from skmeta.core.patterns import merge as merge_patterns
from skmeta.core.projection import float_dtype
from skmeta.mapping._bases import n_significant
from skmeta.mapping._by_view import by_view
from skmeta.mapping._fit import (
    fit_blocks,
    fit_patterns,
    moments_by_pattern,
    refuse_width,
    too_wide,
    warn_of,
)
from skmeta.mapping._linear import (
    LEARNED_ARRAYS,
    LinearMapper,
    checked_n_components,
    checked_weights,
    like_of,
)
from skmeta.views import Views
from skmeta.views._door import open_door
from skmeta.views._pair import PairReader

# Moments larger than this do not stay in a fitted mapper unless asked for.
MAX_KEPT_BYTES = 64 * 2**20

# What is learned, once it is asked for.
LEARNED = (*LEARNED_ARRAYS, "shrinkage_", "rank_", "n_iter_", "_deviations")


class CCAMapper(LinearMapper):
    """Map two or more views of the same rows linearly into one shared space.

    Regularised canonical correlation analysis (CCA), exact: components are pairs of
    directions, one in each view, along which the views correlate most. Rows of
    different views that belong together come to lie close together, so that one can
    be found by the other, and the views can be fused for the next step of a pipeline.

    Parameters
    ----------
    n_components : int, "auto" or None, default=None
        Number of components; None for the number of columns of the narrowest view,
        but at most 64. "auto" for those of two views that are more than chance, by
        1,000 permutations at the level of .05, at least one
        (`skmeta.inspection.permutation_test_components`).
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
    unpaired : {"auto", "drop", "em"}, default="auto"
        What rows that lack a view are good for. With "drop" the space is that of the
        rows that have every view. With "em" it is that of all rows, by the EM algorithm
        for a joint Gaussian [6]_. "auto" is "em" where three or more views have gaps,
        else "drop": of two views, rows that lack one say little about how they hang
        together, and can mislead where pairs are few.
    standardize : bool or dict of str to bool, default=True
        Bring columns to unit variance first, so that the answer does not depend on
        their units. A dict gives it by view; views that it does not name have True.
    keep_moments : bool, default=False
        Keep what `merge` and `partial_fit` need after `fit`, even if it is larger than
        64 MB.
    random_state : int, RandomState instance or None, default=None
        For the permutations of ``n_components="auto"``; nothing else is random.

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
    view_relations_ : dict of str to dict of str to float
        ``view_relations_[a][b]``: the share of view a's variance, its columns at unit
        variance, that is of factors common with view b, as far as the components go;
        ``view_relations_[a][a]`` is the share common with no other view.
    n_iter_ : int
        Iterations of EM; 0 where it was not needed.
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
    ConditionWarning
        If a view is so ill-conditioned that its moments have lost digits, and the rows
        are no longer known, or sparse.
    ConvergenceWarning
        If EM stops before it has converged.
    UserWarning
        With ``n_components="auto"``, if no component is more than chance.

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
    what is learned is float64. No training row is kept, but the moments of each set of
    rows that have the same views, so that fits of pieces merge to the fit of the whole.
    Sparse views are never laid out densely.

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
    .. [6] Little & Rubin (2002), "Statistical analysis with missing data", 2nd ed.,
       section 11.2.

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
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "views": [HasMethods(["fit", "transform"]), dict, None],
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"}), dict],
        "fusion": [str],
        "correlation_power": [Interval(Real, 0, None, closed="left")],
        "unpaired": [StrOptions({"auto", "drop", "em"})],
        "standardize": ["boolean", dict],
        "keep_moments": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=None,
        *,
        views=None,
        shrinkage="auto",
        fusion="concat",
        correlation_power=2.0,
        unpaired="auto",
        standardize=True,
        keep_moments=False,
        random_state=None,
    ):
        self.n_components = n_components
        self.views = views
        self.shrinkage = shrinkage
        self.fusion = fusion
        self.correlation_power = correlation_power
        self.unpaired = unpaired
        self.standardize = standardize
        self.keep_moments = keep_moments
        self.random_state = random_state

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
            variance, ``n_components`` exceeds the narrowest view's columns, or is
            "auto" and cannot be tested.
        TypeError
            If a view is no table.
        """
        reader = open_door(self.views, X)
        options = self._all_options(reader.names)
        blocks = reader.fit(self, X, y)
        k = self._n_components_of(blocks, reader, sample_weight)
        if self.keep_moments and too_wide(blocks, reader.names):
            refuse_width(blocks, "keep_moments=True keeps them")
        weights = checked_weights(sample_weight, X)
        learned = fit_blocks(blocks, reader.names, weights, n_components=k, **options)
        reader.claim(self, X)
        self._reader = reader
        self._dtypes = {n: float_dtype(a.dtype) for n, a in blocks.arrays.items()}
        self._keep(learned.patterns, always=self.keep_moments)
        self._pending = False
        self._store(learned)
        warn_of(learned)
        self._like = like_of(blocks)
        self._place()
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, sample_weight=None):
        """Learn from more rows, as if they had been there from the start.

        Fitting in pieces, in any order, equals fitting at once. The components are
        solved for when they are next asked for, not at every piece.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. Under a ColumnTransformer, whose transformers must be frozen
            or stateless.

        Returns
        -------
        CCAMapper
            The mapper itself.

        Raises
        ------
        ValueError
            As in `fit`; if a transformer learns from rows; or if the moments of an
            earlier fit were not kept.
        """
        self._check_streams()
        first = not self.__sklearn_is_fitted__()
        if first:
            reader = open_door(self.views, X)
            reader.check_streams()
            self._all_options(reader.names)
            blocks = reader.fit(self, X, y, min_rows=1)
        else:
            reader, self_patterns = self._reader, self._known_moments("partial_fit")
            if isinstance(reader, PairReader) and y is None and not _is_views(X):
                raise ValueError(
                    f"{type(self).__name__} with views=None requires y to be passed, "
                    "but the target y is None: y is the second view."
                )
            blocks = reader.read(self, X, y)
        checked_n_components(self.n_components, reader.n_features)
        if too_wide(blocks, reader.names):
            refuse_width(blocks, "partial_fit needs them")
        patterns = moments_by_pattern(
            blocks, reader.names, checked_weights(sample_weight, X)
        )[0]
        if first:
            reader.claim(self, X)
            self._reader, self._dtypes = reader, {}
        else:
            patterns = merge_patterns(self_patterns, patterns)
        self._dtypes = _joint_dtypes(
            self._dtypes, {n: float_dtype(a.dtype) for n, a in blocks.arrays.items()}
        )
        self._like = like_of(blocks)
        return self._with_pending(patterns)

    def merge(self, other):
        """The mapper that a fit to the rows of both would have given.

        Parameters
        ----------
        other : CCAMapper
            Fitted to other rows of the same views.

        Returns
        -------
        CCAMapper
            A new mapper, with the parameters of this one.

        Raises
        ------
        ValueError
            If the views differ, or the moments of one of them were not kept.
        TypeError
            If ``other`` is no `CCAMapper`.
        """
        if not isinstance(other, CCAMapper):
            raise TypeError(f"merge takes a CCAMapper; got a {type(other).__name__}.")
        self._check_streams()
        check_is_fitted(self)
        check_is_fitted(other)
        if not self._reader.same_as(other._reader):
            raise ValueError(
                "The mappers have seen different views or columns: "
                f"{self._reader.n_features} and {other._reader.n_features}; only fits "
                "of the same views can be merged."
            )
        patterns = merge_patterns(
            self._known_moments("merge"), other._known_moments("merge")
        )
        merged = clone(self)
        merged._reader = self._reader
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(merged, name, getattr(self, name))
        merged._dtypes = _joint_dtypes(self._dtypes, other._dtypes)
        merged._like = self._like
        return merged._with_pending(patterns)

    def _as_learned(self, reader, X, dtypes, learned):
        """The mapper itself, with what others have fitted."""
        reader.claim(self, X)
        self._reader, self._dtypes, self._like = reader, dtypes, None
        self._patterns, self._moments_size, self._pending = None, 0, False
        self._store(learned)
        return self

    # ---- moments ---------------------------------------------------------------------

    def _n_components_of(self, blocks, reader, sample_weight):
        if self.n_components != "auto":
            return checked_n_components(self.n_components, reader.n_features)
        if sample_weight is not None:
            raise ValueError(
                'n_components="auto" permutes rows, and takes no sample_weight; repeat '
                "rows, or give a number."
            )
        return n_significant(
            blocks, reader.names, check_random_state(self.random_state)
        )

    def _check_streams(self):
        if self.n_components == "auto":
            raise ValueError(
                'n_components="auto" permutes rows, which are not kept from piece to '
                "piece; give a number."
            )

    def _all_options(self, names):
        shrinkage = by_view(self.shrinkage, names, "shrinkage", "auto")
        return {"shrinkage": shrinkage, **self._options(names)}

    def _keep(self, patterns, always):
        size = sum(map(n_bytes, patterns.values())) if patterns else 0
        self._moments_size = size
        self._patterns = patterns if always or size <= MAX_KEPT_BYTES else None

    def _known_moments(self, method):
        if not self._patterns:
            raise ValueError(
                f"{method} needs the moments of the rows seen so far, which were not "
                f"kept because they take {self._moments_size / 2**20:.0f} MB; fit with "
                "keep_moments=True."
                if self._moments_size
                else f"{method} needs moments of the rows, and views this wide were "
                "fitted without any; reduce them, for example by TruncatedSVD."
            )
        return self._patterns

    def _with_pending(self, patterns):
        """These moments, to be solved when something learned is asked for."""
        for name in LEARNED:
            vars(self).pop(name, None)
        self._keep(patterns, always=True)
        self._pending = True
        return self

    def __sklearn_is_fitted__(self):
        return "_reader" in vars(self)

    def __getattr__(self, name):
        if name in LEARNED and vars(self).get("_pending"):
            self._settle()
            return vars(self)[name]
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}"
        )

    def _settle(self):
        reader = self._reader
        learned = fit_patterns(
            self._patterns,
            reader.names,
            reader.n_features,
            n_components=checked_n_components(self.n_components, reader.n_features),
            eps={
                n: dtype_eps(self._dtypes.get(n, np.dtype(float))) for n in reader.names
            },
            **self._all_options(reader.names),
        )
        self._store(learned)
        warn_of(learned)
        self._place()
        self._pending = False


def _joint_dtypes(a, b):
    return {
        name: np.result_type(*(d[name] for d in (a, b) if name in d))
        for name in {**a, **b}
    }


def _is_views(X):
    return isinstance(X, Views)
