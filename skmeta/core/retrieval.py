"""Exact search and ranking of one set of rows by another, in bounded memory."""

import numpy as np

from skmeta.core.blocks import row_slices

QUERIES_PER_BLOCK = 512


def _tiles(n_query, n_gallery):
    """Slices over queries, and over the gallery, whose tiles are of bounded size."""
    queries = [
        slice(s, min(s + QUERIES_PER_BLOCK, n_query))
        for s in range(0, n_query, QUERIES_PER_BLOCK)
    ]
    return queries, row_slices(n_gallery, 8 * min(n_query, QUERIES_PER_BLOCK))


# ---- the k nearest -------------------------------------------------------------------


def top_k(Q, G, metric, k, *, penalty=None):
    """The k nearest gallery rows of each query, nearest first.

    Parameters
    ----------
    Q, G : ndarray (n_query, d), (n_gallery, d)
        Already prepared by the metric.
    metric : Metric
    k : int, at most n_gallery
    penalty : ndarray (n_gallery,) or None
        With it, rows are ranked by ``2 * distance - penalty`` and that is returned.

    Returns
    -------
    distances, indices : ndarray (n_query, k)
        Among equal distances the lower index comes first.

    Notes
    -----
    Products of matrices only choose the candidates, by a running threshold and with
    room for their rounding. The distances of candidates are found pair by pair, so
    that an answer does not depend on which rows stand beside it.
    """
    distances = np.empty((len(Q), k), np.result_type(Q, G))
    indices = np.empty((len(Q), k), np.intp)
    query_slices, gallery_slices = _tiles(len(Q), len(G))
    # Differences of rows do not see a common offset, whose products would round.
    centre = G[:1024].mean(axis=0) if metric.shifts else 0.0
    for here in query_slices:
        queries = Q[here] - centre
        best = np.full((len(queries), 0), np.inf)
        where = np.empty((len(queries), 0), np.intp)
        for there in gallery_slices:
            tile = G[there] - centre if metric.shifts else G[there]
            extra = None if penalty is None else penalty[there]
            found = _candidates(queries, tile, metric, k, best, extra)
            if len(found[0]):
                best, where = _merge(best, where, *found, there.start, k)
        distances[here], indices[here] = best, where
    return distances, indices


def _candidates(Q, G, metric, k, best, penalty):
    """Pairs of a tile that may be among the k nearest: rows, columns, values."""
    D = metric.block(Q, G)
    room = _rounding(Q, G, metric)  # (n_query, 1), in the units of D
    if penalty is not None:
        D = 2.0 * (np.sqrt(D) if metric.squared else D) - penalty
        room = 2.0 * (np.sqrt(room) if metric.squared else room)
        bound = best[:, -1:]
    else:
        bound = best[:, -1:] ** 2 if metric.squared else best[:, -1:]
    if best.shape[1] < k:
        bound = np.full((len(Q), 1), np.inf)
        if D.shape[1] > k:
            bound = np.partition(D, k - 1, axis=1)[:, k - 1 : k] + room
    rows, columns = np.nonzero(bound + room >= D)
    if metric.pairs is None:
        values = D[rows, columns]
    else:
        values = _pair_distances(Q, G, metric, rows, columns)
        if penalty is not None:
            values = 2.0 * values - penalty[columns]
    return rows, columns, values


def _rounding(Q, G, metric):
    """Bound (n_query, 1) of the rounding of a block of products."""
    if metric.pairs is None:
        return np.zeros((len(Q), 1))
    eps = 4 * np.finfo(np.result_type(Q, G)).eps * np.sqrt(Q.shape[1])
    q = np.linalg.norm(Q, axis=1, keepdims=True)
    g = np.linalg.norm(G, axis=1).max(initial=0.0)
    return eps * ((q + g) ** 2 if metric.squared else np.maximum(q * g, 1e-300))


def _pair_distances(Q, G, metric, rows, columns):
    values = np.empty(len(rows))
    for some in row_slices(len(rows), 16 * Q.shape[1]):
        values[some] = metric.pairs(Q[rows[some]], G[columns[some]])
    return values


def _merge(best, where, rows, columns, values, start, k):
    """The best k a row of what was had and of new candidates given by row."""
    n, had = best.shape
    rows = np.concatenate([np.repeat(np.arange(n), had), rows])
    values = np.concatenate([best.ravel(), values])
    indices = np.concatenate([where.ravel(), columns + start])
    order = np.lexsort((indices, values, rows))
    counts = np.bincount(rows, minlength=n)
    starts = np.cumsum(counts) - counts
    picked = order[starts[:, None] + np.arange(min(k, counts.min()))]
    return values[picked], indices[picked]


def mean_of_nearest(Q, G, metric, k):
    """Mean distance (n_query,) to the k nearest of G: how crowded it is around a row.

    The local scaling of CSLS (Conneau et al. 2018, "Word translation without parallel
    data", ICLR, section 2.3).
    """
    return top_k(Q, G, metric, min(k, len(G)))[0].mean(axis=1)


# ---- ranks of what is relevant -------------------------------------------------------


def _for_ranks(Q, G):
    """Both sides in one size that squares neither over- nor underflow; ranks stay."""
    Q, G = Q.astype(np.float64, copy=False), G.astype(np.float64, copy=False)
    size = max(np.abs(Q).max(initial=0.0), np.abs(G).max(initial=0.0))
    if size > 0 and not 1e-100 < size < 1e100:
        Q, G = Q / size, G / size
    return Q, G


def _tie_width(Q, G, metric, values):
    """Differences from ``values`` (n_query, j) below this are rounding."""
    eps = 16 * np.finfo(np.float64).eps
    if metric.pairs is None or metric.squared:  # exact distances
        return eps * np.where(np.isfinite(values), np.abs(values), 0.0)
    return eps * np.linalg.norm(Q, axis=1)[:, None] * np.linalg.norm(G, axis=1)


def partner_ranks(Q, G, metric):
    """Rank (n,) of gallery row i for query row i, from 1; ties take the mid-rank."""
    Q, G = _for_ranks(Q, G)
    ranks = np.empty(len(Q))
    query_slices, gallery_slices = _tiles(len(Q), len(G))
    for here in query_slices:
        own = np.diagonal(metric.exact(Q[here], G[here]))[:, None]
        better, within = 0, 0
        for there in gallery_slices:
            D = metric.exact(Q[here], G[there])
            width = _tie_width(Q[here], G[there], metric, own)
            better += np.count_nonzero(own - width > D, axis=1)
            within += np.count_nonzero(own + width >= D, axis=1)
        ranks[here] = (better + within + 1) / 2
    return ranks


def label_ranks(Q, G, metric, y_query, y_gallery):
    """For each query, the rank of its first relevant row and its average precision.

    Relevant is what has the query's label. Ties take their mid-ranks: of t tied rows,
    r of them relevant, the first relevant one is expected at place (t + 1) / (r + 1).

    Returns
    -------
    first, precision : ndarray (n_query,)
        infinite and 0 where no row is relevant.
    """
    Q, G = _for_ranks(Q, G)
    first = np.full(len(Q), np.inf)
    precision = np.zeros(len(Q))
    # A row of distances is sorted whole: as many queries at a time as fit in a block.
    for here in row_slices(len(Q), 48 * len(G)):
        D = metric.exact(Q[here], G)
        width = np.broadcast_to(_tie_width(Q[here], G, metric, D), D.shape)
        order = np.argsort(D, axis=1, kind="stable")
        D = np.take_along_axis(D, order, axis=1)
        width = np.take_along_axis(width, order, axis=1)
        relevant = y_gallery[order] == y_query[here, None]
        # Tied rows form a group; each takes the middle of its group's places.
        new = np.ones(D.shape, bool)
        new[:, 1:] = D[:, 1:] > D[:, :-1] + width[:, 1:]
        for i, (starts, hits) in enumerate(zip(new, relevant, strict=True)):
            if not hits.any():
                continue
            begin = np.flatnonzero(starts)
            size = np.diff(np.append(begin, len(starts)))
            found = np.add.reduceat(hits, begin, dtype=np.intp)
            group = np.flatnonzero(found)
            g = group[0]
            first[here.start + i] = begin[g] + (size[g] + 1) / (found[g] + 1)
            middle = begin[group] + (size[group] + 1) / 2
            before = np.cumsum(found[group]) - found[group]
            mean_place = before + (found[group] + 1) / 2
            precision[here.start + i] = (
                found[group] @ (mean_place / middle) / found.sum()
            )
    return first, precision
