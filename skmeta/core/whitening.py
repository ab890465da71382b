"""Whitening of the views: coordinates in which the shrunk within-view matrix is I.

Every view i has B_i = (1 - c_i) C_i + c_i mu_i I over its columns that vary, mu_i their
mean variance (1 where they are standardised). From moments alone the Cholesky factor of
B_i whitens it; where that would lose digits, the singular value decomposition of the
rows, or of their triangular factor, does.

References
----------
Chen, Wiesel, Eldar & Hero (2010), "Shrinkage algorithms for MMSE covariance
estimation", IEEE Transactions on Signal Processing 58(10), eq. 23 (OAS).
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigh, qr, svd
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpocon

EPS = np.finfo(np.float64).eps

# The rounding error of a correlation found from moments is about cond(B) * EPS. Beyond
# this condition number it would come near the 1e-10 that is promised.
MAX_CONDITION = 1e5

# The same for products of float32, added up in float64, and 1e-6.
MAX_SINGLE_CONDITION = 1e3

# A Gram matrix squares the condition number: directions of less than some 1e-12 of the
# largest variance are lost in it. From this much shrinkage c on they do not matter, as
# their part in a component is at most the root of their variance over c, 1e-5.
MIN_SHRINKAGE_OF_GRAM = 1e-2


class Whitening(NamedTuple):
    """All views in coordinates where each shrunk within-view matrix is I."""

    cross: dict[tuple[int, int], np.ndarray]  # (a, b), a < b -> (rank_a, rank_b)
    lift: list[Callable]  # whitened weights (rank, k) -> column weights (p, k)
    ranks: list[int]


def is_slight(c):
    """Whether so little shrinkage asks for more than an ill-conditioned Gram matrix."""
    return c < MIN_SHRINKAGE_OF_GRAM


def oas_shrinkage(n, n_columns, trace, squared_norm):
    """The OAS shrinkage of an (n_columns, n_columns) covariance with these moments."""
    if n_columns == 0:
        return 1.0
    mean_square, mu = squared_norm / n_columns**2, trace / n_columns
    numerator = mean_square + mu**2
    denominator = (n + 1.0) * (mean_square - mu**2 / n_columns)
    if denominator <= numerator * EPS:  # a scalar covariance: nothing to shrink
        return 1.0
    return float(min(numerator / denominator, 1.0))


# ---- whitening from moments ----------------------------------------------------------


def whiten_moments(
    covariance, slices, shrinkage, n, resolution, *, single=False, complete=False
):
    """Whiten from moments alone, or None where that would cost digits.

    A well-conditioned view goes by its Cholesky factor. It is asked of the unshrunk
    matrix, since shrinkage makes any matrix well-conditioned and hides its rank. One
    that is not goes by its eigenvalues, if it is shrunk enough.

    Parameters
    ----------
    covariance : ndarray (p, p)
        Of all views' varying columns side by side.
    slices : list of slice
        Where each view stands.
    shrinkage : list of float
    n : float
        The count behind the covariance.
    resolution : list of float
        As for `whiten_rows`.
    single : bool
        Whether the products behind the covariance are of float32.
    complete : bool
        Whiten even where that costs digits.

    Returns
    -------
    whitening : Whitening or None
    lost : list of int
        The views that lost digits.
    """
    whiteners, lift, ranks, lost = [], [], [], []
    for i, where in enumerate(slices):
        c, within = shrinkage[i], covariance[where, where]
        factor = None
        if not single:
            factor = _well_conditioned_factor(within, MAX_CONDITION)
            if factor is not None and c > 0:
                factor = cholesky(shrink(within, c), lower=True)
        else:
            factor = _well_conditioned_factor(shrink(within, c), MAX_SINGLE_CONDITION)
            if factor is None:
                return None, lost
        if factor is not None:
            # BLAS's trsm, since LAPACK's trtrs behind scipy's solve_triangular wakes
            # all threads for a matrix of any size: on a busy machine 10 ms for 3 us.
            whiteners.append(partial(dtrsm, 1.0, factor, lower=True))
            lift.append(partial(dtrsm, 1.0, factor, lower=True, trans_a=True))
            ranks.append(len(factor))
            continue
        if is_slight(c):
            if not complete:
                return None, lost
            lost.append(i)
        axes, root = _principal_axes(within, c, resolution[i] ** 2 / n)
        whiteners.append(partial(_project, axes, root))
        lift.append(partial(_combine, axes.T, root))
        ranks.append(len(root))
    cross = {}
    for a, b in combinations(range(len(slices)), 2):
        half = whiteners[a](covariance[slices[a], slices[b]])
        cross[a, b] = whiteners[b](half.T).T
    return Whitening(cross, lift, ranks), lost


def _principal_axes(covariance, c, noise):
    """Eigenvectors with signal, and the root of the shrunk matrix along them."""
    values, vectors = eigh(covariance, driver="evd", check_finite=False)
    kept = with_signal(values, noise)
    mu = np.trace(covariance) / len(covariance)
    return vectors[:, kept], np.sqrt((1.0 - c) * values[kept] + c * mu)


def with_signal(values, noise):
    """Which ascending eigenvalues of a covariance are more than rounding."""
    return values > max(values[-1] * EPS * 8 * len(values), noise)


def _project(axes, root, columns):
    return (axes.T @ columns) / root[:, None]


def _well_conditioned_factor(matrix, max_condition):
    """The lower Cholesky factor, or None where the condition number is too large."""
    try:
        factor = cholesky(matrix, lower=True)
    except LinAlgError:
        return None
    norm = np.abs(matrix).sum(axis=0).max(initial=0.0)
    reciprocal, _ = dpocon(factor, norm, uplo="L")
    return factor if reciprocal * max_condition >= 1.0 else None


def shrink(covariance, c):
    """(1 - c) C + c mu I, mu the mean variance."""
    shrunk = (1.0 - c) * covariance
    if c > 0 and len(shrunk):
        shrunk.flat[:: len(shrunk) + 1] += c * np.trace(covariance) / len(shrunk)
    return shrunk


# ---- whitening from rows -------------------------------------------------------------


def triangular_factor(blocks, n_columns):
    """R of the QR decomposition of rows that come in blocks: R'R is their Gram matrix.

    Orthogonal transformations square no condition number: what is read off R has the
    accuracy of the rows themselves, in memory that does not grow with them.
    """
    factor = np.empty((0, n_columns))
    for rows in blocks:
        factor = qr(np.vstack([factor, rows]), mode="r", overwrite_a=True)[0]
        factor = factor[:n_columns]
    return factor


def gram_of_rows(view):
    """The smaller of the two Gram matrices of rows (r, p)."""
    return view @ view.T if view.shape[0] < view.shape[1] else view.T @ view


def whiten_rows(rows, slices, shrinkage, n, resolution, grams):
    """Whiten by the singular value decomposition of centred rows, or of their factor.

    Parameters
    ----------
    rows : ndarray (r, p)
        With ``rows.T @ rows / n`` the covariance of all views' varying columns.
    slices, shrinkage : list
    n : float
        The count behind the rows.
    resolution : list of float
        Per view, the size (in the 2-norm) of what rounding of the input may have
        added to its rows: singular values below it are no signal.
    grams : list of ndarray or None
        By view what `gram_of_rows` gives, where that is known.
    """
    bases, scales, lift = [], [], []
    for i, where in enumerate(slices):
        view, c, noise = rows[:, where], shrinkage[i], resolution[i]
        left, size, back = svd_of_rows(view, noise, is_slight(c), grams[i])
        mu = size @ size / n / max(1, view.shape[1])
        root = np.sqrt((1.0 - c) * size**2 / n + c * mu)  # of B along each axis
        bases.append(left)
        scales.append(size / np.sqrt(n) / root)
        lift.append(partial(_lifted, back, root))
    cross = {
        (a, b): scales[a][:, None] * (bases[a].T @ bases[b]) * scales[b]
        for a, b in combinations(range(len(slices)), 2)
    }
    return Whitening(cross, lift, [len(s) for s in scales])


def _combine(right, root, whitened):
    return right.T @ (whitened / root[:, None])


def _lifted(back, root, whitened):
    return back(whitened / root[:, None])


def svd_of_rows(view, noise, slight, gram=None):
    """Left vectors, singular values and the map of right coordinates to columns.

    Parameters
    ----------
    view : ndarray (r, p)
    noise : float
        Singular values below it are no signal.
    slight : bool
        `is_slight` of the shrinkage: small singular values count.
    gram : ndarray or None
        What `gram_of_rows` gives, if it is known.
    """
    if view.shape[0] < view.shape[1]:
        gram = gram_of_rows(view) if gram is None else gram
        if (found := _dual_svd(view, gram, noise, slight)) is not None:
            return found
    left, size, right = svd(view, full_matrices=False, check_finite=False)
    floor = max(size[0] * EPS * max(view.shape), noise) if len(size) else 0.0
    kept = size > floor
    return left[:, kept], size[kept], right[kept].T.__matmul__


def _dual_svd(view, gram, noise, slight):
    """The same by the Gram matrix of the rows; right vectors are never formed.

    The Gram matrix squares the condition number, which a shrunk problem does not see;
    None where that would cost digits.
    """
    values, vectors = eigh(gram, driver="evd", check_finite=False)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > max(values[0] * EPS * max(view.shape), noise**2)
    if slight and values[0] > MAX_CONDITION * values[-1]:
        return None
    size, vectors = np.sqrt(values[kept]), vectors[:, kept]
    return vectors, size, partial(_from_rows, view, vectors / size)


def _from_rows(view, combined, coordinates):
    return view.T @ (combined @ coordinates)
