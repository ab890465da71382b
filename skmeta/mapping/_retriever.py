"""`CrossModalRetriever`: find rows of one view by rows of another."""

from copy import deepcopy
from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.covariance import OAS
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import HasMethods, Interval, StrOptions, fit_context, num_rows
from skmeta.core.distances import get_metric
from skmeta.core.retrieval import mean_of_nearest, partner_ranks, top_k
from skmeta.exceptions import check_count
from skmeta.mapping._base import BaseMapper
from skmeta.views._door import open_door


class CrossModalRetriever(MetaEstimatorMixin, BaseEstimator):
    """Find the image for a sentence, the recording for a word.

    Maps two views into one shared space and searches the gallery of one by queries of
    the other. An estimator itself, so that mapping and metric are tuned together.

    Parameters
    ----------
    mapper : mapper
        Such as `CCAMapper`. A clone is fitted; a `FrozenEstimator` of a fitted mapper
        stays as it is.
    query, gallery : str, default=None
        Names of the view that asks and of the view that is searched. None for the
        first and the second of two views ("X" and "Y" after ``fit(X, Y)``).
    metric : str or callable, default="cosine"
        "cosine", "dot", "euclidean", "manhattan", "mahalanobis", or a callable
        ``f(row, row) -> float``.
    k : int, default=10
        Neighbours that `kneighbors` returns and that `score` looks at.
    hubness : {"csls"}, default=None
        Correct for hubs, gallery rows that are near to everything, by cross-domain
        similarity local scaling [1]_, from the gallery and the training rows' queries:
        what a query is answered never depends on other queries.
    metric_params : dict, default=None
        ``{"VI": inverse covariance}`` for "mahalanobis"; without it, the inverse of
        the OAS-shrunk covariance of the training pairs' differences.
    index : object, default=None
        An unfitted search index with ``fit`` and ``kneighbors`` (such as scikit-learn's
        `NearestNeighbors`) or with ``add`` and ``search`` (such as those of faiss) in
        place of exact search. It gets rows that are ready for the metric (of unit
        length for "cosine") and its own distances are returned.

    Attributes
    ----------
    mapper_ : mapper
        The fitted mapper.
    query_, gallery_ : str
        Names of the views.
    gallery_ids_ : ndarray of shape (n_gallery,)
        What `kneighbors` returns for each gallery row.

    See Also
    --------
    skmeta.metrics.RetrievalScorer : The same judgement for a mapper alone.

    Notes
    -----
    Exact search goes through the gallery in blocks, so that memory stays bounded; a
    float16 or memory-mapped gallery is cast block by block. Among equal distances the
    row that comes first in the gallery is returned first. "dot" returns negated
    products, and CSLS ``2 d(q, g) - r(q) - r(g)`` with r the mean distance to the k
    nearest on the other side: smaller is nearer throughout.

    References
    ----------
    .. [1] Conneau, Lample, Ranzato, Denoyer & Jégou (2018), "Word translation without
       parallel data", ICLR, section 2.3.

    Examples
    --------
    >>> from skmeta import CCAMapper, CrossModalRetriever
    >>> from skmeta.datasets import make_paired_views
    >>> views = make_paired_views(300, random_state=0).views
    >>> retriever = CrossModalRetriever(CCAMapper(2), query="view0", gallery="view1")
    >>> retriever = retriever.fit(views[:200]).set_gallery(views["view1"][200:])
    >>> distances, ids = retriever.kneighbors(views["view0"][200:], n_neighbors=3)
    >>> ids.shape
    (100, 3)
    """

    _parameter_constraints = {
        "mapper": [HasMethods(["fit", "transform_view"])],
        "query": [str, None],
        "gallery": [str, None],
        "metric": [str, callable],
        "k": [Interval(Integral, 1, None, closed="left")],
        "hubness": [StrOptions({"csls"}), None],
        "metric_params": [dict, None],
        "index": [
            HasMethods(["fit", "kneighbors"]),
            HasMethods(["add", "search"]),
            None,
        ],
    }

    def __init__(
        self,
        mapper,
        *,
        query=None,
        gallery=None,
        metric="cosine",
        k=10,
        hubness=None,
        metric_params=None,
        index=None,
    ):
        self.mapper = mapper
        self.query = query
        self.gallery = gallery
        self.metric = metric
        self.k = k
        self.hubness = hubness
        self.metric_params = metric_params
        self.index = index

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit the mapper on pairs of rows and index their gallery view.

        Parameters
        ----------
        X, y
            As the mapper takes them.

        Returns
        -------
        CrossModalRetriever
            The fitted retriever itself.

        Raises
        ------
        ValueError
            If a view's name is unknown, or names are needed because there are more
            than two views.
        """
        if self.hubness is not None and self.index is not None:
            raise ValueError(
                "hubness='csls' needs distances to all of the gallery, which an "
                "index= does not give; leave one of them None."
            )
        if self.metric != "mahalanobis":  # which is learned below
            get_metric(*self._choose_metric())
        if isinstance(self.mapper, BaseMapper):  # before any work
            self._view_names(open_door(self.mapper.views, X).names)
        mapper = clone(self.mapper).fit(X, y)
        embedded = mapper.transform_views(X, y)
        query, gallery = self._view_names(tuple(embedded))
        Q, G = embedded[query], embedded[gallery]
        has_query = ~np.isnan(Q).any(axis=1)
        has_gallery = ~np.isnan(G).any(axis=1)
        both = has_query & has_gallery
        choice = self._choose_metric(Q[both], G[both])
        metric = get_metric(*choice)
        self.mapper_, self.query_, self.gallery_ = mapper, query, gallery
        self._metric_choice, self._metric = choice, metric
        self._bank = metric.prepare(Q[has_query]) if self.hubness else None
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            if hasattr(mapper, name):
                setattr(self, name, getattr(mapper, name))
        return self._index(G[has_gallery], np.flatnonzero(has_gallery))

    def set_gallery(self, G, ids=None):
        """Search another gallery.

        Parameters
        ----------
        G : array-like or DataFrame of shape (n_gallery, n_features)
            Rows of the gallery view alone.
        ids : array-like of shape (n_gallery,), default=None
            What `kneighbors` returns for each row; None for 0, 1, ….

        Returns
        -------
        CrossModalRetriever
            The retriever itself.

        Raises
        ------
        ValueError
            If the gallery is empty, or ``ids`` are not one per row.
        """
        check_is_fitted(self)
        n = num_rows(G)
        if n == 0:
            raise ValueError("The gallery is empty: there is nothing to be found in.")
        ids = np.arange(n) if ids is None else _as_ids(ids)
        if ids.shape != (n,):
            raise ValueError(
                f"ids has shape {ids.shape}, but the gallery has {n} rows; ids are one "
                "per row."
            )
        return self._index(self.mapper_.transform_view(G, self.gallery_), ids)

    def kneighbors(self, Q, n_neighbors=None):
        """The nearest gallery rows of each query.

        Parameters
        ----------
        Q : array-like, DataFrame or list of str of shape (n_queries, n_features)
            Rows of the query view alone.
        n_neighbors : int, default=None
            None for ``k``.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Ascending.
        ids : ndarray of shape (n_queries, n_neighbors)

        Raises
        ------
        ValueError
            If ``n_neighbors`` is beyond the gallery, or a query is not finite.
        """
        check_is_fitted(self)
        k = self.k if n_neighbors is None else n_neighbors
        check_count("n_neighbors", k)
        if k > len(self.gallery_ids_):
            raise ValueError(
                f"Expected n_neighbors <= {len(self.gallery_ids_)}, the number of "
                f"gallery rows; got {k}."
            )
        embedded = self.mapper_.transform_view(Q, self.query_)
        distances, rows = self._search(self._metric.prepare(embedded), int(k))
        return distances, self.gallery_ids_[rows]

    def score(self, X, y=None):
        """Recall@k of these pairs: each row's partner is sought among all of them.

        Parameters
        ----------
        X, y
            As the mapper takes them.

        Returns
        -------
        float
            Share of the rows whose own gallery view is among the k nearest to their
            query view. With ``hubness=None`` ties take the mid-rank.
        """
        check_is_fitted(self)
        embedded = self.mapper_.transform_views(X, y)
        for name in (self.query_, self.gallery_):
            if name not in embedded:
                raise ValueError(f"X lacks view {name!r}, so no pair can be scored.")
        Q, G = embedded[self.query_], embedded[self.gallery_]
        both = ~(np.isnan(Q).any(axis=1) | np.isnan(G).any(axis=1))
        if not both.any():
            raise ValueError(
                f"No row has both {self.query_!r} and {self.gallery_!r} to be scored."
            )
        Q, G = self._metric.prepare(Q[both]), self._metric.prepare(G[both])
        k = min(self.k, len(G))
        if self.hubness is None:
            return float(np.mean(partner_ranks(Q, G, self._metric) <= k))
        _, rows = top_k(Q, G, self._metric, k, penalty=self._crowding(G))
        return float(np.mean((rows == np.arange(len(Q))[:, None]).any(axis=1)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.mapper)
        tags.target_tags.required = inner.target_tags.required
        tags.input_tags.sparse = inner.input_tags.sparse
        return tags

    # ---- inside ----------------------------------------------------------------------

    def _view_names(self, names):
        for name in (self.query, self.gallery):
            if name is not None and name not in names:
                raise ValueError(f"Unknown view {name!r}; the views are {list(names)}.")
        query, gallery = self.query, self.gallery
        if len(names) == 2:
            first, second = names
            if query is None:
                query = first if gallery != first else second
            if gallery is None:
                gallery = second if query != second else first
        if query is None or gallery is None:
            raise ValueError(
                f"There are {len(names)} views, {list(names)}: name the one that asks, "
                "query=, and the one that is searched, gallery=."
            )
        if query == gallery:
            raise ValueError(
                f"query and gallery are both {query!r}; retrieval across views needs "
                "two."
            )
        return query, gallery

    @cached_property
    def _metric(self):
        """Functions, which no file holds: made of the names that it holds."""
        return get_metric(*self._metric_choice)

    def _choose_metric(self, Q=None, G=None):
        params = dict(self.metric_params or {})
        if self.metric == "mahalanobis" and "VI" not in params:
            # The differences of pairs have mean zero by construction of the space.
            difference = OAS(assume_centered=True).fit(Q - G)
            params["VI"] = difference.precision_
        return self.metric, params

    def _index(self, embedded, ids):
        G = self._metric.prepare(embedded)
        self._gallery, self.gallery_ids_ = G, ids
        self._penalty = self._crowding(G) if self.hubness else None
        self._fitted_index = None
        if self.index is not None:
            index = deepcopy(self.index)
            if hasattr(index, "kneighbors"):
                index.fit(G)
            else:
                index.add(np.ascontiguousarray(G, dtype=np.float32))
            self._fitted_index = index
        return self

    def _crowding(self, G):
        """Mean distance of gallery rows to the nearest training queries."""
        return mean_of_nearest(G, self._bank, self._metric, self.k)

    def _search(self, Q, k):
        if self._fitted_index is None:
            distances, rows = top_k(
                Q, self._gallery, self._metric, k, penalty=self._penalty
            )
            if self.hubness:
                near = mean_of_nearest(Q, self._gallery, self._metric, self.k)
                distances -= near[:, None]
            return distances, rows
        if hasattr(self._fitted_index, "kneighbors"):
            return self._fitted_index.kneighbors(Q, n_neighbors=k)
        queries = np.ascontiguousarray(Q, dtype=np.float32)
        return self._fitted_index.search(queries, k)


def _as_ids(ids):
    """One array of ids that leaves each as it is: 1 stays 1 beside "a"."""
    if isinstance(ids, list | tuple) and (
        len({type(i) for i in ids}) > 1 or any(np.ndim(i) for i in ids)
    ):
        array = np.empty(len(ids), dtype=object)
        array[:] = ids
        return array
    return np.asarray(ids)
