"""Exact search and ranking of one set of rows by another, in bounded memory."""

from typing import NamedTuple

import numpy as np

from skmeta.core.blocks import row_slices
from skmeta.core.distances import pair_distances, rounding

QUERIES_PER_BLOCK = 512
# A tile of scores is about this large: it stays in the cache while it is gone through,
# and its product still runs at the speed of the hardware.
TILE_BYTES = 2 * 2**20


def _query_slices(n_query, step):
    return [slice(s, min(s + step, n_query)) for s in range(0, n_query, step)]


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
    # Differences of rows do not see a common offset, whose products would round.
    centre = G[:1024].mean(axis=0) if metric.shifts else None
    gallery = _Gallery(G, _squares(G, centre, metric), penalty)
    # Where k is large, what is kept of each query takes the memory.
    step = max(1, min(QUERIES_PER_BLOCK, TILE_BYTES // (2 * k)))
    for here in _query_slices(len(Q), step):
        queries = Q[here] if centre is None else Q[here] - centre
        distances[here], indices[here] = _nearest(queries, gallery, centre, metric, k)
    return distances, indices


class _Gallery(NamedTuple):
    """Rows to be found, all of them or a tile."""

    rows: np.ndarray  # (n_gallery, d)
    squares: np.ndarray | None  # (n_gallery,) squared lengths of the centred rows
    penalty: np.ndarray | None  # (n_gallery,)

    def tile(self, there, centre):
        squares, penalty = (a if a is None else a[there] for a in self[1:])
        rows = self.rows[there]
        return _Gallery(rows if centre is None else rows - centre, squares, penalty)


def _squares(G, centre, metric):
    if metric.pairs is None:
        return None
    squares = np.empty(len(G), np.result_type(G, np.float32))
    for some in row_slices(len(G), 8 * G.shape[1], TILE_BYTES):
        rows = G[some] if centre is None else G[some] - centre
        squares[some] = np.einsum("ij,ij->i", rows, rows, dtype=squares.dtype)
    return squares


def _nearest(Q, gallery, centre, metric, k):
    """`top_k` of one block of queries, from which the centre is taken already."""
    G, penalty = gallery.rows, gallery.penalty
    best, where = np.empty((len(Q), 0)), np.empty((len(Q), 0), np.intp)
    pending, n_pending = [], 0
    floor = np.full((len(Q), 1), -np.inf)  # what the k-th best score reaches
    dtype = np.result_type(Q, G, np.float32)
    row_bytes = dtype.itemsize * (len(Q) + G.shape[1])
    slices = row_slices(len(G), row_bytes, TILE_BYTES)
    buffer = np.empty(len(Q) * slices[0].stop, dtype)
    for there in slices:
        tile = gallery.tile(there, centre)
        scores, room = _scores(Q, tile, metric, buffer)
        rows, columns, floor = _candidates(scores, room, floor, k)
        if metric.pairs is None:
            values = -scores[rows, columns]
        else:
            values = pair_distances(Q, tile.rows, metric, rows, columns)
            if penalty is not None:
                values = 2.0 * values - tile.penalty[columns]
        pending.append((rows, columns + there.start, values))
        n_pending += len(rows)
        # Sorting is put off until the pending are as many as the best: among rows in
        # random order, until the number of rows gone through has doubled.
        if n_pending >= k * len(Q) or there.stop == len(G):
            best, where = _merge(best, where, pending, k)
            pending, n_pending = [], 0
            floor = np.fmax(floor, _reached(Q, metric, best[:, -1:], penalty))
    return best, where


def _by_products(metric, penalty):
    """Whether products rank: not where a root is taken before the penalty."""
    return metric.reach is not None and (penalty is None or not metric.squared)


def _scores(Q, tile, metric, buffer):
    """What ranks a tile, higher for nearer, and a bound (n_query, 1) of its rounding.

    Products, where the rest of a distance belongs to the query or to the gallery row
    alone; else distances, negated.
    """
    G, squares, penalty = tile
    room = rounding(Q, G, squares, metric)
    if not _by_products(metric, penalty):
        D = metric.block(Q, G)
        if penalty is not None:
            D = 2.0 * (np.sqrt(D) if metric.squared else D) - penalty
            room = 2.0 * (np.sqrt(room) if metric.squared else room)
        return np.negative(D, out=D), room
    scores = buffer[: len(Q) * len(G)].reshape(len(Q), len(G))
    Q, G = (rows.astype(scores.dtype, copy=False) for rows in (Q, G))
    np.matmul(Q, G.T, out=scores)
    if metric.squared:
        scores -= (squares / 2).astype(scores.dtype)
    if penalty is not None:
        scores += (penalty / 2).astype(scores.dtype)
        room = room + np.finfo(scores.dtype).eps * np.abs(penalty).max()
    return scores, room


def _reached(Q, metric, values, penalty):
    """The scores of what is found at these distances (n_query, 1)."""
    if not _by_products(metric, penalty):
        return -values
    return metric.reach(Q, values if penalty is None else values / 2)


def _candidates(scores, room, floor, k):
    """Rows and columns of what may be among the k nearest, and the raised floor."""
    found = _reaching(scores, floor - room)
    if len(found) > 4 * k * len(scores):
        floor = np.fmax(floor, _kth_score(scores, k) - room)
        found = _reaching(scores, floor - room)
    return *np.divmod(found, scores.shape[1]), floor


def _reaching(scores, threshold):
    # Rounded down, and what overflowed to NaN reaches everything.
    threshold = np.nextafter(threshold.astype(scores.dtype), -np.inf)
    below = scores < threshold
    return np.flatnonzero(np.logical_not(below, out=below))


def _kth_score(scores, k):
    """A score (n_query, 1) that at least k of each row reach, and few more.

    The k-th of the maxima of groups of columns, which are many times faster to find
    than the k-th of all columns.
    """
    n, width = scores.shape
    n_groups = min(width, 8 * k)
    size = width // n_groups
    groups = scores[:, : size * n_groups].reshape(n, size, n_groups)
    largest = groups.max(axis=1)
    return np.partition(largest, n_groups - k, axis=1)[:, n_groups - k, None]


def _merge(best, where, pending, k):
    """The best k a row of what was had and of the pending rows, indices and values."""
    n, had = best.shape
    pending = [(np.repeat(np.arange(n), had), where.ravel(), best.ravel()), *pending]
    rows, indices, values = map(np.concatenate, zip(*pending, strict=True))
    # Those of a row come by index, or else by value and index, and the sort is stable:
    # ties go to the lower index. Short integers are sorted without comparisons.
    order = np.lexsort((values, rows.astype(np.min_scalar_type(n))))
    counts = np.bincount(rows, minlength=n)
    starts = np.cumsum(counts) - counts
    picked = order[starts[:, None] + np.arange(k)]
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
    gallery_slices = row_slices(len(G), 8 * min(len(Q), QUERIES_PER_BLOCK))
    for here in _query_slices(len(Q), QUERIES_PER_BLOCK):
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
