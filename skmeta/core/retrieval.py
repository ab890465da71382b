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
    """
    distances = np.empty((len(Q), k), np.result_type(Q, G))
    indices = np.empty((len(Q), k), np.intp)
    query_slices, gallery_slices = _tiles(len(Q), len(G))
    for here in query_slices:
        best, where = _top_k_of_tile_row(Q[here], G, gallery_slices, metric, k, penalty)
        if metric.exact is not None:
            best = metric.exact(Q[here], G[where])
            if penalty is not None:
                best = 2.0 * best - penalty[where]
            order = np.lexsort((where, best), axis=1)
            best = np.take_along_axis(best, order, axis=1)
            where = np.take_along_axis(where, order, axis=1)
        distances[here], indices[here] = best, where
    return distances, indices


def _top_k_of_tile_row(Q, G, gallery_slices, metric, k, penalty):
    n = len(Q)
    best = np.empty((n, 0))
    where = np.empty((n, 0), np.intp)
    for there in gallery_slices:
        D = metric.block(Q, G[there])
        if penalty is not None:
            D = 2.0 * metric.finish(D) - penalty[there]
        if best.shape[1] == k:
            # Later rows have higher indices: on a tie the earlier one stays.
            closer = D < best[:, -1:]
        elif D.shape[1] > k:
            closer = np.partition(D, k - 1, axis=1)[:, k - 1 : k] >= D
        else:
            closer = np.ones(D.shape, bool)
        rows, columns = np.nonzero(closer)
        if len(rows) == 0:
            continue
        best, where = _merge(
            best, where, rows, D[rows, columns], columns + there.start, k
        )
    return best, where


def _merge(best, where, rows, values, indices, k):
    """The best k a row of what was had and of new candidates given by row."""
    n, had = best.shape
    rows = np.concatenate([np.repeat(np.arange(n), had), rows])
    values = np.concatenate([best.ravel(), values])
    indices = np.concatenate([where.ravel(), indices])
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


def _tie_width(Q, G, metric, values):
    """Differences from ``values`` (n_query, 1) below this are rounding."""
    eps = 16 * np.finfo(np.result_type(Q, G)).eps
    if not metric.by_products:
        return eps * np.abs(values)
    largest = np.linalg.norm(G, axis=1).max(initial=0.0)
    return eps * (np.linalg.norm(Q, axis=1, keepdims=True) + largest) ** 2


def partner_ranks(Q, G, metric):
    """Rank (n,) of gallery row i for query row i, from 1; ties take the mid-rank."""
    ranks = np.empty(len(Q))
    query_slices, gallery_slices = _tiles(len(Q), len(G))
    for here in query_slices:
        own = np.diagonal(metric.block(Q[here], G[here]))[:, None]
        width = _tie_width(Q[here], G, metric, own)
        better, tied = 0, 0
        for there in gallery_slices:
            D = metric.block(Q[here], G[there])
            D -= own
            better += np.count_nonzero(-width > D, axis=1)
            tied += np.count_nonzero(np.abs(D) <= width, axis=1)
        ranks[here] = better + (tied + 1) / 2
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
    first = np.full(len(Q), np.inf)
    precision = np.zeros(len(Q))
    # A row of distances is sorted whole: as many queries at a time as fit in a block.
    for here in row_slices(len(Q), 48 * len(G)):
        D = metric.block(Q[here], G)
        order = np.argsort(D, axis=1, kind="stable")
        D = np.take_along_axis(D, order, axis=1)
        relevant = y_gallery[order] == y_query[here, None]
        # Tied rows form a group; each takes the middle of its group's places.
        width = _tie_width(Q[here], G, metric, D[:, :-1])
        new = np.ones(D.shape, bool)
        new[:, 1:] = np.diff(D, axis=1) > width
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
