"""Sufficient statistics of rows: count, means and centred cross-products.

The two functions `update` and `merge` are the whole of it: moments of pieces merge
to the moments of the whole, in any order, on any machine. `fit`, streaming,
cross-validation by folds and permutation tests all stand on them.

References
----------
Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance:
analysis and recommendations", The American Statistician 37(3), eq. 2.1.
"""

from typing import NamedTuple

import numpy as np

# A column's spread below this many units in the last place of its mean is what
# rounding makes of a constant.
CONSTANT_ULPS = 16

EPS = np.finfo(np.float64).eps

# Squares below this have lost digits to underflow.
SMALLEST_SQUARES = np.finfo(np.float64).tiny / EPS


class Moments(NamedTuple):
    """Count, means and centred Gram matrix of the columns of all views side by side."""

    n: float  # sum of the weights: the number of rows where there are none
    mean: np.ndarray  # (n_columns,)
    gram: np.ndarray  # (n_columns, n_columns): sum of w (x - mean) (x - mean)'


def empty(n_columns):
    """The moments of no rows: the neutral element of `merge`."""
    return Moments(0.0, np.zeros(n_columns), np.zeros((n_columns, n_columns)))


def merge(a, b):
    """The moments of the rows of both (the pairwise update of Chan et al.)."""
    n = a.n + b.n
    if n == 0:
        return a
    delta = b.mean - a.mean
    gram = np.multiply.outer(delta, delta * (a.n / n * b.n))
    gram += a.gram
    gram += b.gram
    return Moments(n, a.mean + delta * (b.n / n), gram)


def update(moments, rows, weights=None):
    """The moments after ``rows`` have come in, each counted ``weights`` times.

    ``rows`` (n_rows, n_columns) float64 is overwritten.
    """
    n, mean = centre(rows, weights)
    return merge(moments, Moments(n, mean, rows.T @ rows))


def centre(rows, weights=None):
    """Centre ``rows`` in place, scaled by the root of their weights; count and mean.

    The first row is subtracted before the mean is taken: a constant column is then
    exactly zero, and a large offset costs the mean no digits.
    """
    shift = rows[0].copy()
    rows -= shift
    if weights is None:
        n, mean = float(len(rows)), rows.mean(axis=0)
        rows -= mean
    else:
        n = float(weights.sum())
        mean = weights @ rows / n if n > 0 else np.zeros_like(shift)
        rows -= mean
        rows *= np.sqrt(weights)[:, None]
    return n, shift + mean


def of_blocks(blocks, n_columns):
    """The moments of an iterable of ``(rows, weights)``."""
    moments = empty(n_columns)
    for rows, weights in blocks:
        moments = update(moments, rows, weights)
    return moments


def variances(n, mean, sums_of_squares):
    """Variances (n in the denominator) of centred sums, a constant column's exactly 0.

    Centring leaves a constant column with the rounding errors of its mean, which a
    division by its "standard deviation" would blow up to noise of unit variance.
    """
    variance = np.maximum(sums_of_squares, 0.0) / n
    noise = CONSTANT_ULPS * EPS * np.abs(mean)
    constant = (np.sqrt(variance) <= noise) | (sums_of_squares < SMALLEST_SQUARES)
    return np.where(constant, 0.0, variance)
