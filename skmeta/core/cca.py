"""Regularised canonical correlation analysis of two or more views, exact.

With B_i the shrunk within-view matrices of `whitening` and A holding the unshrunk
cross-covariance blocks and zeros on the diagonal, the components solve
A w = lambda B w. At two views and no shrinkage this is Hotelling's CCA, at shrinkage 1
the singular value decomposition of the cross-covariance (PLS-SVD). Views are whitened,
the whitened cross-covariances decomposed, and the weights brought to unit-variance
scores.

References
----------
Hotelling (1936), "Relations between two sets of variates", Biometrika 28.
Kettenring (1971), "Canonical analysis of several sets of variables", Biometrika 58
(SUMCOR in the form of the generalised eigenproblem).
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, svd
from scipy.sparse.linalg import ArpackError, svds

from skmeta.core import moments as mo
from skmeta.core.blocks import stack_slices, stacked_blocks
from skmeta.core.whitening import (
    EPS,
    oas_shrinkage,
    triangular_factor,
    whiten_moments,
    whiten_rows,
)

# Lanczos pays where few of many components are wanted.
LANCZOS_MIN_SIZE = 400
LANCZOS_MAX_SHARE = 0.1

# A view whose share of a unit eigenvector is below this takes no part in it.
NO_SHARE = 1e-10


class Solution(NamedTuple):
    """Fitted CCA, by view, in the units of the columns."""

    n: float
    means: dict[str, np.ndarray]  # (p,)
    deviations: dict[str, np.ndarray]  # (p,) standard deviations, 0 where constant
    weights: dict[str, np.ndarray]  # (p, k): centred columns -> unit-variance scores
    loadings: dict[str, np.ndarray]  # (p, k): correlations with the view's own scores
    structure: dict[str, np.ndarray]  # (p, m * k): covariances with all views' scores
    score_covariance: np.ndarray  # (m * k, m * k)
    correlations: np.ndarray  # (k,)
    eigenvalues: np.ndarray  # (k,)
    shrinkage: dict[str, float]
    ranks: dict[str, int]
    n_varying: dict[str, int]  # columns that are not constant


# ---- the whole -----------------------------------------------------------------------


def solve(views, *, n_components, shrinkage, standardize, weights=None):
    """Fit all components.

    Parameters
    ----------
    views : dict of str to array (n, p_i)
        Two or more, of any real dtype; read in blocks.
    n_components : int
        Where a view's rank is smaller, the trailing components are zero.
    shrinkage : dict of str to float or "auto"
    standardize : dict of str to bool
    weights : ndarray (n,), positive, or None
        Frequencies.

    Raises
    ------
    ValueError
        If a view has no variance, or values whose squares overflow.
    """
    slices = stack_slices(views)
    width = max(where.stop - where.start for where in slices.values())
    p = sum(array.shape[1] for array in views.values())
    if len(next(iter(views.values()))) <= width:
        # Wider than long: the rows are smaller than their Gram matrix.
        rows = np.concatenate([b for b, _ in stacked_blocks(views)])
        n, mean = mo.centre(rows, weights)
        gram, squares = None, np.einsum("ij,ij->j", rows, rows)
    else:
        rows = None
        n, mean, gram = mo.of_blocks(stacked_blocks(views, weights), p)
        squares = np.diagonal(gram)
    variance = mo.variances(n, mean, squares)
    _check_variance(variance, slices)

    varies = variance > 0
    deviation = np.sqrt(variance)
    scale = np.ones(p)
    for name, where in slices.items():
        if standardize[name]:
            scale[where] = np.where(varies[where], deviation[where], 1.0)
    kept = np.flatnonzero(varies)
    ends = np.concatenate([[0], np.cumsum(varies)])
    inner = [slice(int(ends[s.start]), int(ends[s.stop])) for s in slices.values()]

    if gram is None:
        rows = rows[:, kept] / scale[kept]
        covariance = None
    else:
        covariance = gram[np.ix_(kept, kept)]
        covariance /= n * scale[kept]
        covariance /= scale[kept, None]
    amount = {
        name: _oas(rows, covariance, where, n) if shrinkage[name] == "auto"
        else float(shrinkage[name])
        for name, where in zip(slices, inner, strict=True)
    }  # fmt: skip

    whitening = None
    if covariance is not None:
        whitening = whiten_moments(covariance, inner, list(amount.values()))
        if whitening is None:
            blocks = _standardised_blocks(views, weights, mean, scale, kept)
            rows = triangular_factor(blocks, len(kept))
    if whitening is None:
        noise = [
            _resolution(array.dtype, n, mean[where], deviation[where], scale[where])
            for array, where in zip(views.values(), slices.values(), strict=True)
        ]
        whitening = whiten_rows(rows, inner, list(amount.values()), n, noise)

    def times_covariance(stacked):
        if rows is None:
            return covariance @ stacked
        return rows.T @ (rows @ stacked) / n

    eigenvalues, directions = align(whitening, n_components)
    scores = normalise(directions, inner, times_covariance)
    return _in_units(
        scores, eigenvalues, n_components, slices, kept, n, mean, deviation, scale
    )._replace(
        shrinkage=amount,
        ranks=dict(zip(slices, whitening.ranks, strict=True)),
        n_varying={
            name: s.stop - s.start for name, s in zip(slices, inner, strict=True)
        },
    )


def _check_variance(variance, slices):
    for name, where in slices.items():
        if not np.isfinite(variance[where]).all():
            raise ValueError(
                f"View {name!r} has values so large that their squares overflow "
                "float64; divide its columns by a constant."
            )
        if not variance[where].any():
            raise ValueError(
                f"View {name!r} has zero variance: all its rows are equal, so that "
                "nothing in it can be correlated with another view; leave it out."
            )


def _oas(rows, covariance, where, n):
    if covariance is not None:
        c = covariance[where, where]
        return oas_shrinkage(n, len(c), np.trace(c), np.vdot(c, c))
    view = rows[:, where]
    small = view @ view.T if view.shape[0] < view.shape[1] else view.T @ view
    return oas_shrinkage(
        n, view.shape[1], np.trace(small) / n, np.vdot(small, small) / n**2
    )


def _standardised_blocks(views, weights, mean, scale, kept):
    for rows, weight in stacked_blocks(views, weights):
        rows -= mean
        if weight is not None:
            rows *= np.sqrt(weight)[:, None]
        yield rows[:, kept] / scale[kept]


def _resolution(dtype, n, mean, deviation, scale):
    """Bound of the 2-norm of what rounding to ``dtype`` may have added to the rows."""
    eps = max(EPS, np.finfo(dtype).eps) if dtype.kind == "f" else EPS
    size = np.where(deviation > 0, np.hypot(mean, deviation) / scale, 0.0)
    return eps * np.sqrt(n) * np.linalg.norm(size) / 2


def _in_units(scores, values, k, slices, kept, n, mean, deviation, scale):
    """Back to all columns, in their units, with zeros where there is no component."""
    m, found, p = len(slices), len(values), len(mean)
    weights, structure = np.zeros((p, k)), np.zeros((p, m, k))
    weights[kept, :found] = np.vstack(scores.weights) / scale[kept, None]
    structure[kept, :, :found] = (scores.structure * scale[kept, None]).reshape(
        len(kept), m, found
    )
    covariance = np.zeros((m, k, m, k))
    covariance[:, :found, :, :found] = scores.covariance.reshape(m, found, m, found)
    own = np.vstack([structure[s, i] for i, s in enumerate(slices.values())])
    loadings = np.zeros((p, k))
    loadings[kept] = own[kept] / deviation[kept, None]
    padding = np.zeros(k - found)

    def by_view(array):
        return {name: array[where] for name, where in slices.items()}

    return Solution(
        n=n,
        means=by_view(mean),
        deviations=by_view(deviation),
        weights=by_view(weights),
        loadings=by_view(loadings),
        structure=by_view(structure.reshape(p, m * k)),
        score_covariance=covariance.reshape(m * k, m * k),
        correlations=np.concatenate([scores.correlations, padding]),
        eigenvalues=np.concatenate([values, padding]),
        shrinkage={},
        ranks={},
        n_varying={},
    )


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
    if smaller >= LANCZOS_MIN_SIZE and k <= LANCZOS_MAX_SHARE * smaller:
        # A fixed start: the answer depends on the matrix alone.
        start = np.random.default_rng(0).standard_normal(smaller)
        try:
            left, values, right = svds(matrix, k=k, v0=start, solver="arpack")
            return left[:, ::-1], values[::-1], right[::-1]
        except ArpackError:
            pass  # the full decomposition cannot fail to converge
    left, values, right = svd(matrix, full_matrices=False, check_finite=False)
    return left[:, :k], values[:k], right[:k]


# ---- from weights to scores ----------------------------------------------------------


class Scores(NamedTuple):
    """Unit-variance components and all second moments that involve them."""

    weights: list[np.ndarray]  # (p_i, k): columns -> unit-variance scores
    correlations: np.ndarray  # (k,) of the scores, averaged over pairs of views
    covariance: np.ndarray  # (m * k, m * k) of the scores of all views
    structure: np.ndarray  # (p, m * k): covariance of every column with every score


def normalise(weights, slices, times_covariance):
    """Scale weights to unit-variance scores and fix their signs.

    Parameters
    ----------
    weights : list of ndarray (p_i, k)
    slices : list of slice
        Where each view's columns stand among all.
    times_covariance : callable
        ``(p, j) -> (p, j)``, the product of the unshrunk covariance of all columns.

    Notes
    -----
    One sign a component for all views: among the columns of all views, the first one
    whose loading is within 1e-6 of the largest in size is positive. Neither the order
    of the rows nor the linear algebra library decides it.
    """
    m, k = len(weights), weights[0].shape[1]
    p = slices[-1].stop
    stacked = np.zeros((p, m * k))
    for i, (where, w) in enumerate(zip(slices, weights, strict=True)):
        stacked[where, i * k : (i + 1) * k] = w
    structure = times_covariance(stacked)
    variance = np.einsum("ij,ij->j", stacked, structure)
    # A view that takes no part in a component has no score to bring to unit variance.
    scale = np.zeros_like(variance)
    scale[variance > 0] = 1.0 / np.sqrt(variance[variance > 0])

    loadings = np.vstack(
        [
            structure[where, i * k : (i + 1) * k] * scale[i * k : (i + 1) * k]
            for i, where in enumerate(slices)
        ]
    )
    largest = np.abs(loadings).max(axis=0, initial=0.0)
    first = np.argmax(np.abs(loadings) >= largest - 1e-6, axis=0)
    sign = np.where(loadings[first, np.arange(k)] < 0, -1.0, 1.0)
    scale *= np.tile(sign, m)

    stacked *= scale
    structure = structure * scale
    covariance = stacked.T @ structure
    covariance = (covariance + covariance.T) / 2
    grid = covariance.reshape(m, k, m, k)
    pairs = [np.diagonal(grid[a, :, b]) for a, b in combinations(range(m), 2)]
    return Scores(
        [stacked[where, i * k : (i + 1) * k] for i, where in enumerate(slices)],
        np.mean(pairs, axis=0),
        covariance,
        structure,
    )
