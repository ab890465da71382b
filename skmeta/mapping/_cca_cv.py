"""`CCAMapperCV`: shrinkage and number of components chosen by cross-validation."""

from numbers import Integral, Real

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from skmeta._compat import HasMethods, Interval, StrOptions, fit_context
from skmeta.core.projection import float_dtype
from skmeta.mapping._cca import CCAMapper
from skmeta.mapping._fit import warn_of
from skmeta.mapping._folds import Folds, Search, candidates_of, read_splits
from skmeta.mapping._linear import (
    LinearMapper,
    checked_n_components,
    checked_weights,
    like_of,
)
from skmeta.model_selection import fewest_components
from skmeta.views._door import open_door

SHRINKAGES = ("auto", 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


class CCAMapperCV(LinearMapper):
    """Map views linearly into one shared space, with shrinkage that suits new rows.

    A `CCAMapper` whose shrinkage, and number of components, are those that
    cross-validation finds best: the whole path for about the price of one fit, since
    folds are known by their moments, and each view of a fold is decomposed once for
    all shrinkages. The answer is that of ``GridSearchCV(CCAMapper(...), ...)``.

    Parameters
    ----------
    shrinkages : sequence of float or "auto", or dict of str to sequence
        The candidates, each as ``shrinkage`` of `CCAMapper` has it. A dict gives them
        by view, and all combinations are tried; views that it does not name have
        "auto".
    n_components : int, None, or sequence of either, default=None
        Number of components, as in `CCAMapper`. Of a sequence the fewest are taken that
        are within one standard error of the best
        (`skmeta.model_selection.fewest_components`). They are nested, so that trying
        them costs nothing.
    cv : int, splitter or iterable, default=5
        How rows are held out, as in `GridSearchCV`. Where every row is held out once,
        the moments of all folds are those of one pass over the rows.
    scoring : None, str or callable, default=None
        None is the correlation of corresponding components of held-out rows, summed
        over components (`CCAMapper.score`), from moments alone. Otherwise any scorer,
        such as a `RetrievalScorer`, at the price of mapping the held-out rows.
    views, fusion, correlation_power, unpaired, standardize
        As in `CCAMapper`. Transformers of a ColumnTransformer that learn from rows are
        fitted in every fold.

    Attributes
    ----------
    best_params_ : dict
        The best candidate: "shrinkage", and "n_components" if that was a grid.
    best_score_ : float
        Its mean score of held-out rows.
    best_index_ : int
        Its place among the candidates.
    cv_results_ : dict of str to ndarray
        As in `GridSearchCV`, without times: "params", "param_shrinkage",
        "split0_test_score", "mean_test_score", "std_test_score", "rank_test_score".
    n_splits_ : int
        Number of folds.
    correlations_, weights_, loadings_, means_, structure_, score_covariance_
        As in `CCAMapper`, of the best candidate fitted to all rows.
    shrinkage_, rank_, n_iter_, view_relations_, n_features_in_, feature_names_in_
        Likewise.

    See Also
    --------
    CCAMapper : One shrinkage, or one by a formula.
    skmeta.plotting.SearchSurfaceDisplay : The scores of all candidates.

    Notes
    -----
    The moments of a fold's training rows are those of the other folds merged, and are
    standardised within. With C = V L V' a view's covariance, the shrunk one is
    V ((1 - c) L + c mu) V' at every c, so that one decomposition serves the path.
    ``sample_weight`` are frequencies, in held-out rows too. Views so wide that no
    moments are formed of them are fitted once for each candidate.

    Examples
    --------
    >>> from skmeta import CCAMapperCV
    >>> from skmeta.datasets import make_paired_views
    >>> views = make_paired_views(200, n_features=(60, 50), random_state=0).views
    >>> mapper = CCAMapperCV([0.01, 0.1, 0.3, 0.6, 0.9], n_components=2).fit(views)
    >>> mapper.best_params_
    {'shrinkage': 0.6}
    """

    _parameter_constraints = {
        "shrinkages": ["array-like", dict],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            "array-like",
            None,
        ],
        "views": [HasMethods(["fit", "transform"]), dict, None],
        "cv": ["cv_object"],
        "scoring": [str, callable, None],
        "fusion": [str],
        "correlation_power": [Interval(Real, 0, None, closed="left")],
        "unpaired": [StrOptions({"auto", "drop", "em"})],
        "standardize": ["boolean", dict],
    }

    def __init__(
        self,
        shrinkages=SHRINKAGES,
        *,
        n_components=None,
        cv=5,
        scoring=None,
        views=None,
        fusion="concat",
        correlation_power=2.0,
        unpaired="auto",
        standardize=True,
    ):
        self.shrinkages = shrinkages
        self.n_components = n_components
        self.cv = cv
        self.scoring = scoring
        self.views = views
        self.fusion = fusion
        self.correlation_power = correlation_power
        self.unpaired = unpaired
        self.standardize = standardize

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, groups=None, sample_weight=None):
        """Choose among the candidates, and fit the best to all rows.

        Parameters
        ----------
        X, y
            As in `CCAMapper.fit`.
        groups : array-like of shape (n_rows,), default=None
            For splitters that keep groups together.
        sample_weight : array-like of shape (n_rows,), default=None
            Frequencies: how many times each row counts, in training rows and, with
            ``scoring=None``, in held-out ones.

        Returns
        -------
        CCAMapperCV
            The fitted mapper itself.

        Raises
        ------
        ValueError
            As in `CCAMapper.fit`, also of the training rows of a fold; if there are no
            candidates; if ``cv`` gives no splits, or one without rows; or if
            ``scoring`` gives no number, or NaN in a fold of each candidate.
        """
        reader = open_door(self.views, X)
        blocks = reader.fit(self, X, y)
        names = reader.names
        search = Search(
            shrinkages=candidates_of(self.shrinkages, names),
            counts=[checked_n_components(k, reader.n_features) for k in self._counts()],
            scorer=self.scoring and check_scoring(self._mapper(), scoring=self.scoring),
            options=self._options(names),
            weights=checked_weights(sample_weight, X),
        )
        splits = check_cv(self.cv, y).split(X, y, groups)
        splits = read_splits(splits, blocks.n_rows)
        folds = Folds(self._mapper, reader, blocks, X, y, splits, search)
        scores = np.stack([fold.scores() for fold in folds], axis=-1)
        results, best = self._ranked(search, scores)
        learned = folds.fit_whole(*np.unravel_index(best, search.shape))
        reader.claim(self, X)
        self._reader = reader
        self._dtypes = {n: float_dtype(a.dtype) for n, a in blocks.arrays.items()}
        self._store(learned)
        self.cv_results_, self.n_splits_ = results, len(splits)
        self.best_index_, self.best_params_ = best, results["params"][best]
        self.best_score_ = float(results["mean_test_score"][best])
        warn_of(learned)
        self._like = like_of(blocks)
        self._place()
        return self

    def _counts(self):
        """Candidates for the number of components, in the order of a grid."""
        counts = [self.n_components]
        if self._is_grid and np.ndim(self.n_components):
            counts = list(self.n_components)
        if not counts or not all(map(_is_count, counts)):
            raise ValueError(
                "n_components must be a positive number, None, or several of these; "
                f"got {self.n_components!r}."
            )
        return counts

    @property
    def _is_grid(self):
        """Whether there are numbers of components to choose from."""
        return not (
            self.n_components is None or isinstance(self.n_components, Integral)
        )

    def _mapper(self, n_components=None, shrinkage="auto"):
        """The mapper that a candidate stands for."""
        return CCAMapper(
            n_components,
            views=self.views,
            shrinkage=shrinkage,
            fusion=self.fusion,
            correlation_power=self.correlation_power,
            unpaired=self.unpaired,
            standardize=self.standardize,
        )

    def _ranked(self, search, scores):
        """`cv_results_` of scores (n_counts, n_shrinkages, n_splits), and the best."""
        n_splits = scores.shape[-1]
        scores = scores.reshape(-1, n_splits)
        counts, shrinkages = self._counts(), [given for given, _ in search.shrinkages]
        params = [
            {"n_components": k, "shrinkage": c} if self._is_grid else {"shrinkage": c}
            for k in counts
            for c in shrinkages
        ]
        results = {
            f"param_{name}": _objects([p[name] for p in params]) for name in params[0]
        }
        results["params"] = params
        for i in range(n_splits):
            results[f"split{i}_test_score"] = scores[:, i].copy()
        mean = results["mean_test_score"] = scores.mean(axis=1)
        results["std_test_score"] = scores.std(axis=1)
        if np.isnan(mean).all():
            raise ValueError(
                f"No candidate has a score: {self.scoring!r} gave NaN in a fold of "
                "each of them."
            )
        worst = np.nanmin(mean) - 1.0  # as a fold that could not be scored
        filled = np.where(np.isnan(mean), worst, mean)
        results["rank_test_score"] = rankdata(-filled, "min").astype(np.int32)
        best = fewest_components(results) if self._is_grid else int(np.argmax(filled))
        return results, best


def _is_count(k):
    if isinstance(k, bool):
        return False
    return k is None or (isinstance(k, Integral) and k >= 1)


def _objects(values):
    """A masked array, as `GridSearchCV` has its parameters, one entry each."""
    array = np.ma.masked_all(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array
