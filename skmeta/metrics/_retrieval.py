"""How well rows of one view find rows of another, and the scorers that tune for it."""

import numpy as np
from scipy.linalg import svd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array, check_is_fitted

from skmeta.core.bases import orthonormal_basis, standardised
from skmeta.core.distances import METRICS, get_metric
from skmeta.core.retrieval import label_ranks, partner_ranks
from skmeta.exceptions import check_count
from skmeta.views import Views

__all__ = [
    "METRICS",
    "RetrievalScorer",
    "canonical_correlations",
    "mean_average_precision",
    "median_rank",
    "recall_at_k",
]


def recall_at_k(
    Z_query,
    Z_gallery,
    *,
    k=10,
    metric="cosine",
    y_query=None,
    y_gallery=None,
    metric_params=None,
):
    """Share of queries with something relevant among their k nearest gallery rows.

    Parameters
    ----------
    Z_query : array-like of shape (n_queries, n_components)
    Z_gallery : array-like of shape (n_gallery, n_components)
        Without labels, row i belongs to query i, and the numbers are equal.
    k : int, default=10
        Places that count. From the size of the gallery on, recall is 1.
    metric : str or callable, default="cosine"
        One of `METRICS`, or ``f(row, row) -> float``.
    y_query, y_gallery : array-like of shape (n_queries,) and (n_gallery,), default=None
        Labels: what has the query's label is relevant, and any hit counts.
    metric_params : dict, default=None
        ``{"VI": inverse covariance}`` for "mahalanobis".

    Returns
    -------
    float
        Between 0 and 1. Ties take the mid-rank: a gallery of equal rows is found at
        the middle, not at the top.

    Raises
    ------
    ValueError
        If k is below 1, shapes do not match, a value is not finite, the gallery is
        empty, or only one side has labels.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.metrics import recall_at_k
    >>> Z = np.eye(4)
    >>> recall_at_k(Z, Z[[1, 0, 2, 3]], k=1)
    0.5
    """
    check_count("k", k)
    first, _ = _ranks(Z_query, Z_gallery, metric, y_query, y_gallery, metric_params)
    return float(np.mean(first <= k))


def median_rank(
    Z_query,
    Z_gallery,
    *,
    metric="cosine",
    y_query=None,
    y_gallery=None,
    metric_params=None,
):
    """Median over queries of the rank of the first relevant gallery row, from 1.

    Parameters
    ----------
    Z_query, Z_gallery, metric, y_query, y_gallery, metric_params
        As in `recall_at_k`.

    Returns
    -------
    float
        1 is perfect; infinite where most labels do not occur in the gallery.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.metrics import median_rank
    >>> median_rank(np.eye(5), np.ones((5, 5)))
    3.0
    """
    first, _ = _ranks(Z_query, Z_gallery, metric, y_query, y_gallery, metric_params)
    return float(np.median(first))


def mean_average_precision(
    Z_query,
    Z_gallery,
    *,
    metric="cosine",
    y_query=None,
    y_gallery=None,
    metric_params=None,
):
    """Mean over queries of the average precision of the whole ranked gallery.

    Parameters
    ----------
    Z_query, Z_gallery, metric, y_query, y_gallery, metric_params
        As in `recall_at_k`.

    Returns
    -------
    float
        Without labels, with one relevant row a query, the mean reciprocal rank. A
        query whose label does not occur in the gallery counts 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.metrics import mean_average_precision
    >>> Z = np.eye(4)
    >>> mean_average_precision(Z, Z[[1, 0, 2, 3]])
    0.66...
    """
    _, precision = _ranks(Z_query, Z_gallery, metric, y_query, y_gallery, metric_params)
    return float(np.mean(precision))


def _ranks(Z_query, Z_gallery, metric, y_query, y_gallery, metric_params):
    """Rank of the first relevant row and average precision, by query."""
    metric = get_metric(metric, metric_params)
    Q = check_array(Z_query, dtype=[np.float64, np.float32], input_name="Z_query")
    G = check_array(Z_gallery, dtype=[np.float64, np.float32], input_name="Z_gallery")
    if Q.shape[1] != G.shape[1]:
        raise ValueError(
            f"Z_query has {Q.shape[1]} columns and Z_gallery {G.shape[1]}; both are "
            "coordinates in the same space."
        )
    Q, G = metric.prepare(Q), metric.prepare(G)
    if y_query is None and y_gallery is None:
        if len(Q) != len(G):
            raise ValueError(
                f"Row i of the gallery belongs to query i, but there are {len(Q)} "
                f"queries and {len(G)} gallery rows; pass y_query and y_gallery."
            )
        ranks = partner_ranks(Q, G, metric)
        return ranks, 1.0 / ranks
    if y_query is None or y_gallery is None:
        raise ValueError("Labels are needed on both sides: y_query and y_gallery.")
    y_query, y_gallery = np.asarray(y_query), np.asarray(y_gallery)
    for name, y, Z in (("y_query", y_query, Q), ("y_gallery", y_gallery, G)):
        if y.shape != (len(Z),):
            raise ValueError(
                f"{name} has shape {y.shape}, but there are {len(Z)} rows; labels are "
                "one per row."
            )
    return label_ranks(Q, G, metric, y_query, y_gallery)


def canonical_correlations(X, Y):
    """Sample canonical correlations of two sets of columns, unregularised.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features_x)
    Y : array-like of shape (n_rows, n_features_y)

    Returns
    -------
    ndarray of shape (min(rank of X, rank of Y),)
        Descending, from the singular value decompositions of the centred columns.

    Raises
    ------
    ValueError
        If the numbers of rows differ or a side has no variance.

    References
    ----------
    Björck & Golub (1973), "Numerical methods for computing angles between linear
    subspaces", Mathematics of Computation 27.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from skmeta.metrics import canonical_correlations
    >>> canonical_correlations(*load_linnerud(return_X_y=True)).round(4)
    array([0.7956, 0.2006, 0.0726])
    """
    X = check_array(X, dtype=np.float64, ensure_min_samples=2, input_name="X")
    Y = check_array(Y, dtype=np.float64, ensure_min_samples=2, input_name="Y")
    if len(X) != len(Y):
        raise ValueError(f"X has {len(X)} rows, but Y has {len(Y)}.")
    bases = [_basis(name, A) for name, A in (("X", X), ("Y", Y))]
    values = svd(bases[0].T @ bases[1], compute_uv=False)
    return np.clip(values, 0.0, 1.0)


def _basis(name, array):
    columns, noise = standardised(array.copy())
    if columns.shape[1] == 0:
        raise ValueError(f"{name} has zero variance: all its rows are equal.")
    return orthonormal_basis(columns, noise)


# ---- scorers -------------------------------------------------------------------------


MEASURES = ("recall", "mrr", "median_rank", "map")


class RetrievalScorer:
    """A scorer for `GridSearchCV`: how well held-out rows of one view find another's.

    Parameters
    ----------
    query, gallery : str, default=None
        Names of the views. With None for ``query``, both directions are averaged;
        where there are more than two views and no name, over all pairs.
    k : int, default=10
        For measure "recall".
    measure : {"recall", "mrr", "median_rank", "map"}, default="recall"
        `recall_at_k`, the mean reciprocal rank of the row's own partner, `median_rank`
        (negated, so that greater is better), or `mean_average_precision`.
    metric : str or callable, default="cosine"
        One of `METRICS`, or ``f(row, row) -> float``.
    max_gallery : int, default=None
        Rows are dealt out, in turn, to galleries of at most this many rows, each
        searched by its own rows, and queries averaged. It bounds the work (the square
        of the gallery) and makes folds of different sizes comparable.

    Notes
    -----
    ``scorer(estimator, X, y=None)`` takes a fitted mapper, or a Pipeline whose last
    step is one. ``y`` is the second view after ``fit(X, Y)`` of two arrays, else
    labels: with them, what has the query's label is relevant (but for "mrr").

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.metrics import RetrievalScorer
    >>> views = make_paired_views(200, random_state=0).views
    >>> grid = {"shrinkage": [0.0, 0.5]}
    >>> search = GridSearchCV(CCAMapper(), grid, scoring=RetrievalScorer(k=5))
    >>> search.fit(views).best_params_
    {'shrinkage': ...}
    """

    def __init__(
        self,
        query=None,
        gallery=None,
        *,
        k=10,
        measure="recall",
        metric="cosine",
        max_gallery=None,
        metric_params=None,
    ):
        if measure not in MEASURES:
            raise ValueError(
                f"measure must be one of {list(MEASURES)}; got {measure!r}."
            )
        if max_gallery is not None and max_gallery < 2:
            raise ValueError(f"max_gallery must be at least 2; got {max_gallery!r}.")
        check_count("k", k)
        if query is not None and query == gallery:
            raise ValueError(f"query and gallery are both {query!r}: name two views.")
        get_metric(metric, metric_params)
        self.query = query
        self.gallery = gallery
        self.k = k
        self.measure = measure
        self.metric = metric
        self.max_gallery = max_gallery
        self.metric_params = metric_params

    def __repr__(self):
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"RetrievalScorer({given})"

    def __call__(self, estimator, X, y=None):
        """Score held-out rows: greater is better."""
        if isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        if not hasattr(estimator, "transform_views"):
            raise TypeError(
                "RetrievalScorer scores a mapper such as CCAMapper, or a Pipeline that "
                f"ends with one; got a {type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        views = estimator.transform_views(X, y)
        # After fit(X, Y) y is the second view; otherwise it holds labels.
        named = getattr(estimator, "views", None) is not None or isinstance(X, Views)
        two_arrays = not named
        labels = None if two_arrays or self.measure == "mrr" else y
        if labels is not None and len(labels) != len(X):
            raise ValueError(f"X has {len(X)} rows, but y has {len(labels)} labels.")
        scores = [
            self._score(views[a], views[b], labels) for a, b in self._directions(views)
        ]
        return float(np.mean(scores))

    def _directions(self, views):
        for name in (self.query, self.gallery):
            if name is not None and name not in views:
                raise ValueError(f"No view {name!r}; the views are {list(views)}.")
        pairs = [(a, b) for a in views for b in views if a != b]
        if self.query is not None:
            pairs = [pair for pair in pairs if pair[0] == self.query]
        if self.gallery is not None:
            wanted = self.gallery
            both = self.query is None
            pairs = [p for p in pairs if p[1] == wanted or (both and p[0] == wanted)]
        if not pairs:
            raise ValueError(
                f"query={self.query!r} and gallery={self.gallery!r} leave no pair of "
                f"the views {list(views)}; two different views are needed."
            )
        return pairs

    def _score(self, Z_query, Z_gallery, labels):
        there = ~(np.isnan(Z_query).any(axis=1) | np.isnan(Z_gallery).any(axis=1))
        rows = np.flatnonzero(there)
        if len(rows) == 0:
            raise ValueError("No row has both views, so retrieval cannot be scored.")
        n_groups = -(-len(rows) // (self.max_gallery or len(rows)))
        values, counts = [], []
        for start in range(n_groups):
            group = rows[start::n_groups]
            y = None if labels is None else np.asarray(labels)[group]
            given = dict(metric=self.metric, metric_params=self.metric_params)
            given |= dict(y_query=y, y_gallery=y)
            values.append(self._measure(Z_query[group], Z_gallery[group], given))
            counts.append(len(group))
        return np.average(values, weights=counts)

    def _measure(self, Z_query, Z_gallery, given):
        if self.measure == "recall":
            return recall_at_k(Z_query, Z_gallery, k=self.k, **given)
        if self.measure == "median_rank":
            return -median_rank(Z_query, Z_gallery, **given)
        return mean_average_precision(Z_query, Z_gallery, **given)
