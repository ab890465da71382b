"""Moments by missingness pattern: of the rows that have the same views.

A pattern is a tuple of bool, one per view. Nothing is filled in and nothing projected
is kept, so that pieces merge exactly whatever they lack.
"""

import numpy as np

from skmeta.core import moments as mo
from skmeta.core.accumulate import moments_of
from skmeta.core.blocks import Rows
from skmeta.core.whitening import triangular_factor


def of_patterns(views, present, weights=None, *, rows=None, single=False):
    """Moments of rows by pattern.

    Parameters
    ----------
    views : dict of str to array or sparse matrix (n, p_i)
    present : ndarray of bool (n, m)
        Which rows have which view; rows without any do not count.
    weights : ndarray (n,), or None
        Rows of weight 0 do not count.
    rows : ndarray of int, or None
        The rows that count; None for all.

    Returns
    -------
    patterns : dict of tuple of bool to Moments
        Of the columns of the views that are there, side by side.
    in_single : bool
        Whether any products were taken in float32.
    """
    patterns, in_single = {}, False
    for pattern, index in rows_by_pattern(present, weights, rows):
        some = {n: views[n] for n, has in zip(views, pattern, strict=True) if has}
        moments, lower = moments_of(some, weights, index, single=single)
        patterns[pattern] = moments
        in_single |= lower
    return patterns, in_single


def factored(views, present, weights=None, rows=None):
    """The same by triangular factors, which have twice the digits of Gram matrices."""
    patterns = of_patterns(views, present, weights, rows=rows)[0]
    for pattern, index in rows_by_pattern(present, weights, rows):
        known = patterns[pattern]
        if known.factor is None:
            some = {n: views[n] for n, has in zip(views, pattern, strict=True) if has}
            blocks = Rows(some, weights, index).centred(known.mean)
            factor = triangular_factor(blocks, len(known.mean))
            patterns[pattern] = known._replace(gram=None, factor=factor)
    return patterns


def rows_by_pattern(present, weights=None, rows=None):
    """Pairs of a pattern and the rows (indices, or None for all) that have it."""
    counts = present.any(axis=1)
    if weights is not None:
        counts = counts & (weights > 0)
    if present.all() and counts.all():
        return [((True,) * present.shape[1], rows)]
    rows = np.flatnonzero(counts) if rows is None else rows[counts[rows]]
    found, inverse = np.unique(present[rows], axis=0, return_inverse=True)
    return [
        (tuple(map(bool, pattern)), rows[inverse.ravel() == i])
        for i, pattern in enumerate(found)
    ]


def merge(a, b):
    """The patterns of the rows of both."""
    merged = dict(a)
    for pattern, moments in b.items():
        merged[pattern] = mo.merge(a[pattern], moments) if pattern in a else moments
    return merged


def columns_of(pattern, slices):
    """Indices of the columns of the views that are there, among all."""
    return np.concatenate(
        [np.r_[where] for where, has in zip(slices, pattern, strict=True) if has]
    )


def of_view(patterns, slices, i):
    """Moments of one view over all rows that have it, None if no row has."""
    pooled = None
    for pattern, moments in patterns.items():
        if not pattern[i]:
            continue
        widths = [s.stop - s.start for s in slices[: i + 1]]
        start = int(np.dot(widths[:i], pattern[:i]))
        some = mo.select(moments, slice(start, start + widths[i]))
        pooled = some if pooled is None else mo.merge(pooled, some)
    return pooled


def n_rows(patterns, i=None):
    """The sum of the weights of all rows, or of those that have view ``i``."""
    return sum(m.n for pattern, m in patterns.items() if i is None or pattern[i])
