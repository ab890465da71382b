"""From whitened views to components: directions, and their unit-variance scores."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, svd
from scipy.sparse.linalg import ArpackError, svds

# Lanczos pays where few of many components are wanted.
LANCZOS_MIN_SIZE = 1000
LANCZOS_MAX_SHARE = 0.1
LANCZOS_RESTARTS = 50  # repeated values converge slowly, and are decomposed in full

# Squares of singular values above this share of the largest have lost few digits.
LEAST_SQUARE = 1e-3

# A view whose share of a unit eigenvector is below this takes no part in it.
NO_SHARE = 1e-10


# ---- alignment -----------------------------------------------------------------------


def align(whitening, n_components):
    """Leading eigenvalues (k,) and column weights [(p_i, k)].

    k is ``n_components``, or the smallest rank of a view where that is less.
    """
    k = min(n_components, *whitening.ranks)
    if len(whitening.ranks) == 2:
        left, values, right = _leading_triplets(whitening.cross[0, 1], k)
        whitened = [left, right.T]
    else:
        ends = np.cumsum([0, *whitening.ranks])
        joint = np.zeros((ends[-1], ends[-1]))
        for (a, b), block in whitening.cross.items():
            joint[ends[a] : ends[a + 1], ends[b] : ends[b + 1]] = block
            joint[ends[b] : ends[b + 1], ends[a] : ends[a + 1]] = block.T
        values, vectors = eigh(joint, subset_by_index=(ends[-1] - k, ends[-1] - 1))
        values, vectors = values[::-1], vectors[:, ::-1]
        whitened = np.split(vectors, ends[1:-1])
        for share in whitened:
            share[:, np.linalg.norm(share, axis=0) < NO_SHARE] = 0.0
    return values, [f(w) for f, w in zip(whitening.lift, whitened, strict=True)]


def _leading_triplets(matrix, k):
    """The k leading singular triplets, by Lanczos where k is small against the size."""
    smaller = min(matrix.shape)
    if k <= smaller // 2 and smaller < LANCZOS_MIN_SIZE:
        found = _by_squares(matrix, k)
        if found is not None:
            return found
    if smaller >= LANCZOS_MIN_SIZE and k <= LANCZOS_MAX_SHARE * smaller:
        # A fixed start: the answer depends on the matrix alone.
        start = np.random.default_rng(0).standard_normal(smaller)
        try:
            left, values, right = svds(
                matrix, k=k, v0=start, solver="arpack", maxiter=LANCZOS_RESTARTS
            )
            # A Krylov space of one start has one vector of each repeated value. Any
            # that it missed is the largest of what is left.
            rest = svds(
                matrix - (left * values) @ right, k=1, v0=start[::-1], solver="arpack"
            )[1]
            if rest[0] <= values.min() * (1 + 1e-10):
                return left[:, ::-1], values[::-1], right[::-1]
        except ArpackError:
            pass  # the full decomposition cannot fail to converge
    left, values, right = svd(matrix, full_matrices=False, check_finite=False)
    return left[:, :k], values[:k], right[:k]


def _by_squares(matrix, k):
    """The triplets by the leading eigenvectors of A'A, None where that costs digits."""
    if matrix.shape[0] < matrix.shape[1]:
        found = _by_squares(matrix.T, k)
        return found and (found[2].T, found[1], found[0].T)
    p = matrix.shape[1]
    squares, right = eigh(matrix.T @ matrix, subset_by_index=(p - k, p - 1))
    squares, right = squares[::-1], right[:, ::-1]
    if squares[-1] <= squares[0] * LEAST_SQUARE:
        return None
    values = np.sqrt(squares)
    return (matrix @ right) / values, values, right.T


# ---- from weights to scores ----------------------------------------------------------


class Scores(NamedTuple):
    """Unit-variance components and all second moments that involve them."""

    weights: list[np.ndarray]  # (p_i, k): columns -> unit-variance scores
    correlations: np.ndarray  # (k,) of the scores, averaged over pairs of views
    covariance: np.ndarray  # (m * k, m * k) of the scores of all views
    structure: np.ndarray  # (p, m * k): covariance of every column with every score


def normalise(weights, slices, structure, deviation):
    """Scale weights to unit-variance scores and fix their signs.

    Parameters
    ----------
    weights : list of ndarray (p_i, k)
    slices : list of slice
        Where each view's columns stand among all.
    structure : ndarray (p, m * k)
        Unshrunk covariance of every column with the weighted sums of each view.
    deviation : ndarray (p,)
        Standard deviations of the columns as they are here.

    Notes
    -----
    One sign a component for all views: among the columns of all views, the first one
    whose loading is within 1e-6 of the largest in size is positive. Neither the order
    of the rows nor the linear algebra library decides it.
    """
    m, k = len(weights), weights[0].shape[1]
    own = [
        (where, slice(i * k, (i + 1) * k), w)
        for i, (where, w) in enumerate(zip(slices, weights, strict=True))
    ]
    variance = np.concatenate(
        [np.einsum("ij,ij->j", w, structure[where, here]) for where, here, w in own]
    )
    # A view that takes no part in a component has no score to bring to unit variance.
    scale = np.zeros_like(variance)
    scale[variance > 0] = 1.0 / np.sqrt(variance[variance > 0])

    loadings = np.vstack(
        [structure[where, here] * scale[here] for where, here, _ in own]
    )
    loadings /= deviation[:, None]
    largest = np.abs(loadings).max(axis=0, initial=0.0)
    first = np.argmax(np.abs(loadings) >= largest - 1e-6, axis=0)
    sign = np.where(loadings[first, np.arange(k)] < 0, -1.0, 1.0)
    scale *= np.tile(sign, m)

    weights = [w * scale[here] for _, here, w in own]
    structure = structure * scale
    covariance = np.vstack(
        [w.T @ structure[where] for where, w in zip(slices, weights, strict=True)]
    )
    covariance = (covariance + covariance.T) / 2
    grid = covariance.reshape(m, k, m, k)
    pairs = [np.diagonal(grid[a, :, b]) for a, b in combinations(range(m), 2)]
    return Scores(weights, np.mean(pairs, axis=0), covariance, structure)
