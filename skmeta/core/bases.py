"""Orthonormal bases of what columns vary along, and residuals in reduced rows.

References
----------
Björck & Golub (1973), "Numerical methods for computing angles between linear
subspaces", Mathematics of Computation 27.
Huh & Jhun (2001), "Random permutation testing in multiple linear regression",
Communications in Statistics - Theory and Methods 30(10).
"""

import numpy as np
from scipy.linalg import qr, svd
from scipy.linalg.lapack import dormqr

from skmeta.core.moments import centre, variances
from skmeta.core.whitening import EPS


def standardised(rows, eps=EPS):
    """Columns (n, p_kept) that vary, at unit variance; size of their rounding.

    Parameters
    ----------
    rows : ndarray (n, p), float64
        Overwritten.
    eps : float
        The relative rounding of what was stored.

    Returns
    -------
    columns : ndarray (n, p_kept)
    noise : float
        Bound of the 2-norm of what rounding by ``eps`` may have added to them.
    """
    largest = np.abs(rows).max(axis=0)
    rows /= np.where(largest > 0, largest, 1.0)  # squares must not overflow
    n, mean = centre(rows)
    deviation = np.sqrt(variances(n, mean, np.einsum("ij,ij->j", rows, rows)))
    kept = deviation > 0
    mean, deviation = mean[kept], deviation[kept]
    size = np.hypot(mean, deviation) / deviation
    return rows[:, kept] / deviation, eps * np.sqrt(n) * np.linalg.norm(size) / 2


def residual_rows(confounds, columns):
    """Residuals of ``columns`` (n, p) after confounds, in n - r rows that may permute.

    Residuals lie in the n - r dimensions that the constant and the confounds leave, so
    n of them are correlated, and no permutation of them is as likely as another. Their
    coordinates Q'X in an orthonormal basis Q of these dimensions are not (Huh & Jhun).
    Q is that of Householder reflections and is never formed.

    Parameters
    ----------
    confounds : ndarray (n, c)
        As `standardised` gives them; c may be 0.
    columns : ndarray (n, p)

    Returns
    -------
    ndarray (n - r, p)
        r is the rank of the confounds with a constant.
    """
    n = len(columns)
    design = np.column_stack([np.ones(n), confounds])
    (reflections, scalars), factor, _ = qr(design, mode="raw", pivoting=True)
    size = np.abs(np.diagonal(factor))
    r = int(np.count_nonzero(size > size[0] * EPS * max(design.shape)))
    arguments = ("L", "T", reflections[:, :r], scalars[:r], columns)
    length = int(dormqr(*arguments, lwork=-1)[1][0])
    return dormqr(*arguments, lwork=length)[0][r:]


def orthonormal_basis(columns, noise=0.0):
    """Orthonormal basis (n, rank) of the span of centred columns (n, p).

    Singular values below ``noise``, or what is rounding against columns at unit
    variance, are no dimension: residuals of what confounds explain are not blown up.
    """
    left, size, _ = svd(columns, full_matrices=False, check_finite=False)
    if len(size) == 0:
        return left
    largest = max(size[0], np.sqrt(len(columns)))
    return left[:, size > max(largest * EPS * max(columns.shape), noise)]
