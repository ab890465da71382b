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

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skmeta.core.accumulate import moments_of
from skmeta.core.blocks import Rows, stack_slices
from skmeta.core.components import align, normalise
from skmeta.core.moments import variances, with_gram
from skmeta.core.whitening import (
    EPS,
    gram_of_rows,
    oas_shrinkage,
    triangular_factor,
    whiten_moments,
    whiten_rows,
)


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
    ill_conditioned: list[str]  # views of which moments lost digits, and no rows known


# ---- the whole -----------------------------------------------------------------------


class Source(NamedTuple):
    """Where moments came from, for what they cannot tell."""

    views: dict  # of str to array (n, p_i)
    weights: np.ndarray | None  # (n,)
    index: np.ndarray | None = None  # rows that count; None for all
    in_single: bool = False  # whether the moments' products were taken in float32


def solve(views, *, n_components, shrinkage, standardize, weights=None, index=None):
    """Fit all components to rows.

    Parameters
    ----------
    views : dict of str to array (n, p_i)
        Two or more, of any real dtype, dense or sparse; read in blocks.
    n_components : int
        Where a view's rank is smaller, the trailing components are zero.
    shrinkage : dict of str to float or "auto"
    standardize : dict of str to bool
    weights : ndarray (n,), positive, or None
        Frequencies.
    index : ndarray of int or None
        The rows that count; None for all.

    Raises
    ------
    ValueError
        If a view has no variance, or values whose squares overflow.
    """
    # Overflow is found afterwards, and reported with the name of the view.
    with np.errstate(over="ignore", invalid="ignore"):
        moments, in_single = moments_of(views, weights, index, single=True)
    return solve_moments(
        moments,
        stack_slices(views),
        n_components=n_components,
        shrinkage=shrinkage,
        standardize=standardize,
        eps={name: dtype_eps(array.dtype) for name, array in views.items()},
        source=Source(views, weights, index, in_single),
    )


def solve_moments(
    moments, slices, *, n_components, shrinkage, standardize, eps, source=None, n=None
):
    """Fit all components to moments, and to the rows behind them where these are known.

    Parameters
    ----------
    moments : Moments
        Of all views side by side.
    slices : dict of str to slice
        Where each view stands.
    n_components, shrinkage, standardize
        As for `solve`.
    eps : dict of str to float
        By view, the relative rounding of its entries.
    source : Source or None
        Without it, what moments do not resolve is lost, and `Solution.ill_conditioned`
        names the views of which that is true.
    n : dict of str to float, or None
        By view, the number of rows that its shrinkage is for; None for ``moments.n``.
    """
    # Unshrunk, a view's units do not matter but to rounding.
    standardize = {n: standardize[n] or shrinkage[n] == 0 for n in slices}
    data = standardised(moments, slices, standardize)
    amount, grams = _shrinkage(data, shrinkage, moments.n, n)
    noise = [resolution(eps[name], data, slices[name]) for name in slices]
    problem = data.slices, amount, data.n, noise
    lost = []
    whitening = None
    if data.rows is None:
        single = source is not None and source.in_single
        whitening, lost = whiten_moments(
            data.covariance, *problem, single=single, complete=not has_rows(source)
        )
        if whitening is None and single:
            moments = moments_of(source.views, source.weights, source.index)[0]
            return solve_moments(
                moments,
                slices,
                n_components=n_components,
                shrinkage=shrinkage,
                standardize=standardize,
                eps=eps,
                source=source._replace(in_single=False),
                n=n,
            )
        if whitening is None:
            factor = triangular_factor(rows_of(source, data), len(data.kept))
            data = data._replace(covariance=None, rows=factor)
    if whitening is None:
        whitening = whiten_rows(data.rows, *problem, grams)
    names = list(slices)
    return solution_of(
        whitening,
        data,
        slices,
        n_components=n_components,
        amounts=amount,
        ill_conditioned=[names[i] for i in lost],
    )


def solution_of(whitening, data, slices, *, n_components, amounts, ill_conditioned=()):
    """The components of whitened views, in the units of the columns."""
    eigenvalues, directions = align(whitening, n_components)
    deviation = data.deviation[data.kept] / data.scale[data.kept]
    structure = data.structure(directions)
    scores = normalise(directions, data.slices, structure, deviation)
    return Solution(
        n=data.n,
        shrinkage=dict(zip(slices, amounts, strict=True)),
        ranks=dict(zip(slices, whitening.ranks, strict=True)),
        n_varying={
            name: where.stop - where.start
            for name, where in zip(slices, data.slices, strict=True)
        },
        ill_conditioned=list(ill_conditioned),
        **in_units(scores, eigenvalues, n_components, slices, data),
    )


def truncated(solution, k):
    """The solution of the first ``k`` components: they nest."""
    m, found = len(solution.weights), len(solution.correlations)
    grid = solution.score_covariance.reshape(m, found, m, found)

    def first(arrays):
        return {name: array[:, :k] for name, array in arrays.items()}

    return solution._replace(
        weights=first(solution.weights),
        loadings=first(solution.loadings),
        structure={
            name: array.reshape(-1, m, found)[:, :, :k].reshape(-1, m * k)
            for name, array in solution.structure.items()
        },
        score_covariance=grid[:, :k, :, :k].reshape(m * k, m * k),
        correlations=solution.correlations[:k],
        eigenvalues=solution.eigenvalues[:k],
    )


def dtype_eps(dtype):
    """The relative rounding of what was stored as ``dtype``."""
    return max(EPS, np.finfo(dtype).eps) if dtype.kind == "f" else EPS


def has_rows(source):
    """Whether there are dense rows to go back to."""
    return source is not None and not any(map(sparse.issparse, source.views.values()))


class Standardised(NamedTuple):
    """The columns that vary, of all views side by side, standardised."""

    n: float
    mean: np.ndarray  # (p,) of all columns
    deviation: np.ndarray  # (p,) of all columns
    scale: np.ndarray  # (p,) by which columns are divided
    kept: np.ndarray  # (p_kept,) indices of the columns that vary
    slices: list[slice]  # where each view stands among them
    covariance: np.ndarray | None  # (p_kept, p_kept), or else
    rows: np.ndarray | None  # (r, p_kept) with rows' rows / n the covariance

    def structure(self, weights):
        """Covariance (p, m * k) of all columns with each view's weighted sums."""
        parts = list(zip(self.slices, weights, strict=True))
        if self.rows is None:
            return np.hstack([self.covariance[:, where] @ w for where, w in parts])
        sums = np.hstack([self.rows[:, where] @ w for where, w in parts])
        return self.rows.T @ sums / self.n


def standardised(moments, slices, standardize):
    """The columns that vary, in units of their deviations where that is wanted."""
    n, mean, p = moments.n, moments.mean, len(moments.mean)
    # Longer than the widest view: its Gram matrix has all that can be known of it.
    widest = max(where.stop - where.start for where in slices.values())
    if moments.gram is None and len(moments.factor) >= widest:
        moments = with_gram(moments)
    with np.errstate(over="ignore", invalid="ignore"):
        variance = variances(n, mean, moments.squares)
    check_variance(variance, slices)

    deviation = np.sqrt(variance)
    scale = np.ones(p)
    for name, where in slices.items():
        if standardize[name]:
            scale[where] = np.where(deviation[where] > 0, deviation[where], 1.0)
    kept = np.flatnonzero(deviation)
    ends = np.concatenate([[0], np.cumsum(deviation > 0)])
    inner = [slice(int(ends[s.start]), int(ends[s.stop])) for s in slices.values()]
    if moments.gram is None:
        all_vary = len(kept) == p
        rows = (moments.factor if all_vary else moments.factor[:, kept]) / scale[kept]
        covariance = None
    else:
        rows = None
        covariance = (
            moments.gram[np.ix_(kept, kept)] if len(kept) < p else moments.gram.copy()
        )
        covariance /= n * scale[kept]
        covariance /= scale[kept, None]
    return Standardised(n, mean, deviation, scale, kept, inner, covariance, rows)


def check_variance(variance, slices):
    """Raise where a view has no variance, or one that overflows."""
    for name, where in slices.items():
        if not np.isfinite(variance[where]).all():
            raise ValueError(
                f"View {name!r} has values so large that their squares overflow "
                "float64; divide its columns by a constant."
            )
        if not variance[where].any():
            raise ValueError(
                f"View {name!r} has zero variance: to within rounding all its rows are "
                "equal, and nothing in it can be correlated with another view; leave "
                "it out."
            )


def _shrinkage(data, shrinkage, n, n_by_view):
    """The amounts by view, and what Gram matrices of rows were formed on the way."""
    amounts, grams = [], []
    for (name, c), where in zip(shrinkage.items(), data.slices, strict=True):
        grams.append(None)
        if c == "auto":
            if data.rows is None:
                matrix = data.covariance[where, where]
                trace, square = np.trace(matrix), np.vdot(matrix, matrix)
            else:
                gram = grams[-1] = gram_of_rows(data.rows[:, where])
                trace = np.trace(gram) / data.n
                square = np.vdot(gram, gram) / data.n**2
            count = n if n_by_view is None else n_by_view[name]
            c = oas_shrinkage(count, where.stop - where.start, trace, square)
        amounts.append(float(c))
    return amounts, grams


def rows_of(source, data):
    """Standardised rows of the columns that vary, in blocks."""
    for rows in Rows(*source[:3]).centred(data.mean):
        yield rows[:, data.kept] / data.scale[data.kept]


def resolution(eps, data, where):
    """Bound of the 2-norm of what rounding by ``eps`` may have added to the rows."""
    deviation = data.deviation[where]
    size = np.hypot(data.mean[where], deviation) / data.scale[where]
    return eps * np.sqrt(data.n) * np.linalg.norm(size[deviation > 0]) / 2


def in_units(scores, values, k, slices, data):
    """By view, for all columns in their units, zero where there is no component."""
    m, found, p = len(slices), len(values), len(data.mean)
    kept, scale = data.kept, data.scale[data.kept, None]
    weights, structure = np.zeros((p, k)), np.zeros((p, m, k))
    weights[kept, :found] = np.vstack(scores.weights) / scale
    structure[kept, :, :found] = (scores.structure * scale).reshape(-1, m, found)
    covariance = np.zeros((m, k, m, k))
    covariance[:, :found, :, :found] = scores.covariance.reshape(m, found, m, found)
    loadings = np.vstack([structure[s, i] for i, s in enumerate(slices.values())])
    loadings[kept] /= data.deviation[kept, None]
    padding = np.zeros(k - found)

    def by_view(array):
        return {name: array[where] for name, where in slices.items()}

    return dict(
        means=by_view(data.mean),
        deviations=by_view(data.deviation),
        weights=by_view(weights),
        loadings=by_view(loadings),
        structure=by_view(structure.reshape(p, m * k)),
        score_covariance=covariance.reshape(m * k, m * k),
        correlations=np.concatenate([scores.correlations, padding]),
        eigenvalues=np.concatenate([values, padding]),
    )
