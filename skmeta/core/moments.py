"""Sufficient statistics of rows: count, means and centred cross-products.

`merge` is the whole of it: moments of pieces merge to the moments of the whole, in any
order, on any machine. `fit`, streaming, cross-validation by folds and permutation tests
all stand on it. Fewer rows than columns are kept as they are, turned, since they are
then smaller than their Gram matrix and have twice its digits.

References
----------
Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance:
analysis and recommendations", The American Statistician 37(3), eq. 2.1.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dger

# A column's spread below this many units in the last place of its mean is what
# rounding makes of a constant.
CONSTANT_ULPS = 16

EPS = np.finfo(np.float64).eps

# Squares below this have lost digits to underflow.
SMALLEST_SQUARES = np.finfo(np.float64).tiny / EPS


class Moments(NamedTuple):
    """Count, means and centred Gram matrix of the columns of all views side by side.

    Of ``gram`` and ``factor`` one is None.
    """

    n: float  # sum of the weights: the number of rows where there are none
    mean: np.ndarray  # (n_columns,)
    gram: np.ndarray | None  # (n_columns, n_columns): sum of w (x - mean) (x - mean)'
    factor: np.ndarray | None = None  # (r <= n_columns, n_columns): F'F is the Gram

    @property
    def squares(self):
        """Diagonal (n_columns,) of the Gram matrix."""
        if self.gram is not None:
            return np.diagonal(self.gram)
        return np.einsum("ij,ij->j", self.factor, self.factor)


def empty(n_columns):
    """The moments of no rows: the neutral element of `merge`."""
    return Moments(0.0, np.zeros(n_columns), None, np.zeros((0, n_columns)))


def merge(a, b):
    """The moments of the rows of both (the pairwise update of Chan et al.)."""
    n = a.n + b.n
    if a.n == 0 or b.n == 0:
        return b if a.n == 0 else a
    delta = b.mean - a.mean
    mean = a.mean + delta * (b.n / n)
    step = delta * np.sqrt(a.n / n * b.n)
    if a.gram is None and b.gram is None:
        rows = np.vstack([a.factor, b.factor, step])
        return _of_centred(n, mean, rows)
    gram = np.multiply.outer(step, step)
    for moments in (a, b):
        gram += with_gram(moments).gram
    return Moments(n, mean, gram)


def of_rows(rows, weights=None):
    """The moments of ``rows`` (n_rows, n_columns) float64, which are overwritten.

    Centred rows have one dimension less than their number. A Householder reflection
    brings it to the first row, which is then zero and left out: what pieces keep is as
    many rows as the whole keeps, and none is a row of the data.
    """
    n, mean = centre(rows, weights)
    normal = np.ones(len(rows)) if weights is None else np.sqrt(weights)
    size = np.linalg.norm(normal)
    if size > 0:
        normal /= size
        normal[0] += 1.0
        across = (normal @ rows) / normal[0]
        if rows.flags.c_contiguous and rows.size:  # in place, without a second array
            dger(-1.0, across, normal, a=rows.T, overwrite_a=True)
        else:
            rows -= np.multiply.outer(normal, across)
    return _of_centred(n, mean, rows[1:])


def _of_centred(n, mean, rows):
    if len(rows) <= rows.shape[1]:
        return Moments(n, mean, None, rows)
    return Moments(n, mean, rows.T @ rows)


def with_gram(moments):
    """The same moments, by their Gram matrix."""
    if moments.gram is not None:
        return moments
    factor = moments.factor
    return moments._replace(gram=factor.T @ factor, factor=None)


def select(moments, columns):
    """The moments of some of the columns: an index array or slice."""
    if moments.gram is None:
        factor = moments.factor[:, columns]
        return _of_centred(moments.n, moments.mean[columns], factor)
    gram = moments.gram[columns][:, columns]
    return Moments(moments.n, moments.mean[columns], gram)


def n_bytes(moments):
    """The size of what `moments` hold."""
    return moments.mean.nbytes + sum(
        array.nbytes for array in (moments.gram, moments.factor) if array is not None
    )


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


def variances(n, mean, sums_of_squares):
    """Variances (n in the denominator) of centred sums, a constant column's exactly 0.

    Centring leaves a constant column with the rounding errors of its mean, which a
    division by its "standard deviation" would blow up to noise of unit variance.
    """
    variance = np.maximum(sums_of_squares, 0.0) / n
    noise = CONSTANT_ULPS * EPS * np.abs(mean)
    constant = (np.sqrt(variance) <= noise) | (sums_of_squares < SMALLEST_SQUARES)
    return np.where(constant, 0.0, variance)
