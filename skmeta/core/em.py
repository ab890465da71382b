"""Moments of all rows where many lack a view: EM for a joint Gaussian.

The patterns' moments are sufficient: an iteration does not see the rows. What a row
lacks is expected given what it has, by a covariance that is shrunk, since with few rows
the regression of one view on another is fitted to noise otherwise.

References
----------
Dempster, Laird & Rubin (1977), "Maximum likelihood from incomplete data via the EM
algorithm", Journal of the Royal Statistical Society B 39(1).
Little & Rubin (2002), "Statistical analysis with missing data", 2nd ed., section 11.2.
"""

from itertools import accumulate
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, svd

from skmeta.core import moments as mo
from skmeta.core import patterns as pt
from skmeta.core.whitening import EPS, oas_shrinkage

MAX_ITERATIONS = 500

# Change of a correlation in one iteration at which it ends.
TOLERANCE = 1e-5


class Completed(NamedTuple):
    """The moments of all rows, and how they were come by."""

    moments: mo.Moments
    n_iterations: int
    change: float  # of the last iteration; more than `TOLERANCE` if it did not converge


class Axes(NamedTuple):
    """Standardised coordinates of one view, in the span of its rows."""

    mean: np.ndarray  # (p,)
    scale: np.ndarray  # (p,)
    basis: np.ndarray | None  # (p, r) orthonormal; None for the columns themselves

    @property
    def width(self):
        """Number of coordinates."""
        return len(self.mean) if self.basis is None else self.basis.shape[1]

    def turn(self, rows):
        """Centred rows (n, p) -> (n, r)."""
        rows = rows / self.scale
        return rows if self.basis is None else rows @ self.basis

    def back(self, rows):
        """(n, r) -> (n, p)."""
        rows = rows if self.basis is None else rows @ self.basis.T
        return rows * self.scale


def complete(patterns, slices):
    """The moments of all columns had every row every view, by EM.

    Parameters
    ----------
    patterns : dict of tuple of bool to Moments
    slices : list of slice
        Where each view stands among all columns.
    """
    axes = [_axes(pt.of_view(patterns, slices, i)) for i in range(len(slices))]
    ends = list(accumulate((a.width for a in axes), initial=0))
    inner = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    seen = [
        (pt.columns_of(pattern, inner), _turned(moments, pattern, axes))
        for pattern, moments in patterns.items()
    ]
    shrinkage = _shrinkage(patterns)
    start = _block_diagonal(patterns, slices, axes, inner)
    found, n_iterations, change = _iterate(seen, start, shrinkage)
    return Completed(_in_columns(found, axes, inner), n_iterations, change)


def _axes(moments):
    """Pooled means and deviations, and the span of a view that has not full rank."""
    variance = mo.variances(moments.n, moments.mean, moments.squares)
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    if moments.factor is None or len(moments.factor) >= len(scale):
        gram = mo.with_gram(moments).gram / scale / scale[:, None]
        size, right = eigh(gram)
        kept = size > size[-1] * EPS * 8 * len(scale)
        basis = None if kept.all() else right[:, kept]
        return Axes(moments.mean, scale, basis)
    _, size, right = svd(moments.factor / scale, full_matrices=False)
    floor = size[0] * EPS * len(scale)
    return Axes(moments.mean, scale, right[size > floor].T)


def _turned(moments, pattern, axes):
    """Moments of a pattern in the views' axes, by their Gram matrix."""
    here = [a for a, has in zip(axes, pattern, strict=True) if has]
    cuts = np.cumsum([len(a.mean) for a in here])[:-1]

    def turn(rows):
        parts = np.split(rows, cuts, axis=1)
        return np.hstack([a.turn(r) for a, r in zip(here, parts, strict=True)])

    offset = moments.mean - np.concatenate([a.mean for a in here])
    if moments.gram is None:
        factor = turn(moments.factor)
        gram = factor.T @ factor
    else:
        gram = turn(turn(moments.gram).T)
    return mo.Moments(moments.n, turn(offset[None])[0], gram)


def _shrinkage(patterns):
    """The OAS shrinkage of the rows that say most of how views hang together.

    Of their columns: axes depend on whether there are fewer rows than columns.
    """
    most = max(
        patterns, key=lambda pattern: (sum(pattern), patterns[pattern].n, pattern)
    )
    moments = patterns[most]
    variance = mo.variances(moments.n, moments.mean, moments.squares)
    live = np.flatnonzero(variance)
    scale = np.sqrt(moments.n * variance[live])
    if moments.gram is None:
        rows = moments.factor[:, live] / scale
        product = rows @ rows.T  # has the norm of the correlation matrix
    else:
        product = moments.gram[np.ix_(live, live)] / scale / scale[:, None]
    return oas_shrinkage(moments.n, len(live), len(live), np.vdot(product, product))


def _block_diagonal(patterns, slices, axes, inner):
    """The pooled covariance of each view, and none between views."""
    covariance = np.zeros((inner[-1].stop,) * 2)
    for i, (a, where) in enumerate(zip(axes, inner, strict=True)):
        pooled = pt.of_view(patterns, slices, i)
        one = _turned(pooled, (True,), [a])
        covariance[where, where] = one.gram / one.n
    return covariance


def _iterate(seen, covariance, shrinkage):
    p, mean = len(covariance), np.zeros(len(covariance))
    expected, change = None, np.inf
    n_iterations = 0
    while change > TOLERANCE and n_iterations < MAX_ITERATIONS:
        n_iterations += 1
        shrunk = (1 - shrinkage) * covariance
        shrunk.flat[:: p + 1] += shrinkage
        if shrinkage == 0:  # what is determined exactly must still be invertible
            shrunk.flat[:: p + 1] += 1e-10
        expected = mo.empty(p)
        for columns, moments in seen:
            full = _expected(moments, columns, mean, shrunk)
            expected = mo.merge(expected, full)
        new = expected.gram / expected.n
        change = float(np.abs(new - covariance).max())
        covariance, mean = new, expected.mean
    return expected, n_iterations, change


def _expected(moments, columns, mean, covariance):
    """Moments of all columns, expected given those of some (the E step)."""
    p = len(mean)
    others = np.setdiff1d(np.arange(p), columns)
    full_mean, gram = np.empty(p), np.zeros((p, p))
    full_mean[columns] = moments.mean
    gram[np.ix_(columns, columns)] = moments.gram
    if len(others):
        between = covariance[np.ix_(columns, others)]
        factor = cho_factor(covariance[np.ix_(columns, columns)])
        coefficients = cho_solve(factor, between)  # (n_seen, n_others)
        offset = moments.mean - mean[columns]
        full_mean[others] = mean[others] + offset @ coefficients
        crossed = moments.gram @ coefficients
        left = covariance[np.ix_(others, others)] - between.T @ coefficients
        gram[np.ix_(columns, others)] = crossed
        gram[np.ix_(others, columns)] = crossed.T
        gram[np.ix_(others, others)] = (
            coefficients.T @ crossed + moments.n * (left + left.T) / 2
        )
    return mo.Moments(moments.n, full_mean, gram)


def _in_columns(found, axes, inner):
    """Moments in the views' own columns and units."""

    def back(rows):
        parts = [a.back(rows[:, s]) for a, s in zip(axes, inner, strict=True)]
        return np.hstack(parts)

    mean = np.concatenate([a.mean for a in axes]) + back(found.mean[None])[0]
    if all(a.basis is None for a in axes):
        return mo.Moments(found.n, mean, back(back(found.gram).T))
    values, vectors = eigh(found.gram)
    factor = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return mo.Moments(found.n, mean, None, back(factor))
