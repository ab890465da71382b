"""All shrinkages of one problem, from one decomposition of each view.

Shrinkage leaves the principal axes of a view where they are: with C_i = V L V', the
shrunk matrix is V ((1 - c) L + c mu) V'. Along the axes whitening is a division, and a
candidate costs what decomposing the small cross-covariance costs. Held-out rows are
brought to the same axes once, so that the correlations of their scores need no weights
in the units of the columns.
"""

from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from skmeta.core import moments as mo
from skmeta.core.cca import (
    Standardised,
    has_rows,
    resolution,
    rows_of,
    solution_of,
    standardised,
)
from skmeta.core.components import align
from skmeta.core.whitening import (
    MAX_CONDITION,
    Whitening,
    oas_shrinkage,
    svd_of_rows,
    triangular_factor,
    with_signal,
)


class Axes(NamedTuple):
    """The principal axes of a view's varying columns, standardised."""

    values: np.ndarray  # (r,) variances along them
    vectors: np.ndarray  # (p, r)
    mean_variance: float


class Path(NamedTuple):
    """A problem along its axes, to be solved at any shrinkage."""

    data: Standardised
    slices: dict[str, slice]  # where each view stands among all columns
    axes: list[Axes]
    cross: dict[tuple[int, int], np.ndarray]  # (a, b), a < b -> (r_a, r_b)
    counts: dict[str, float] | None  # by view the rows that shrinkage is for
    lost: list[str]  # views of which moments lost digits, and no rows known
    for_all: bool  # whether it serves slight shrinkages and others alike


def path_of(moments, slices, *, standardize, slight, eps, source=None, counts=None):
    """Bring a problem to its axes.

    Parameters
    ----------
    moments, slices, standardize, eps, source
        As for `cca.solve_moments`.
    slight : dict of str to bool
        By view, `whitening.is_slight` of the shrinkages that it will be solved at.
    counts : dict of str to float, or None
        By view, the number of rows that its shrinkage is for; None for ``moments.n``.

    Returns
    -------
    Path
    """
    data = standardised(moments, slices, standardize)
    noise = [resolution(eps[name], data, slices[name]) for name in slices]
    axes, lost, for_all = None, [], False
    if data.rows is None:
        axes, lost, for_all = _of_covariance(data, slices, slight, noise, source)
        if axes is None:
            factor = triangular_factor(rows_of(source, data), len(data.kept))
            data = data._replace(covariance=None, rows=factor)
    if axes is None:
        axes = [
            _of_rows(data.rows[:, where], data.n, floor, slight[name])
            for (name, where), floor in zip(_named(slices, data), noise, strict=True)
        ]
    cross = {}
    for a, b in combinations(range(len(axes)), 2):
        first, second = data.slices[a], data.slices[b]
        left, right = axes[a].vectors, axes[b].vectors
        if data.rows is None:
            cross[a, b] = left.T @ data.covariance[first, second] @ right
        else:
            rows = data.rows
            cross[a, b] = (rows[:, first] @ left).T @ (rows[:, second] @ right)
            cross[a, b] /= data.n
    return Path(data, slices, axes, cross, counts, lost, for_all)


def _named(slices, data):
    return zip(slices, data.slices, strict=True)


def _of_covariance(data, slices, slight, noise, source):
    """Axes from moments, or None where those would cost digits that rows have."""
    axes, lost, for_all = [], [], True
    for (name, where), floor in zip(_named(slices, data), noise, strict=True):
        within = data.covariance[where, where]
        mean_variance = np.trace(within) / max(1, len(within))
        values, vectors = eigh(within, driver="evd", check_finite=False)
        if values[0] * MAX_CONDITION < values[-1]:
            for_all = False
            if slight[name]:
                if has_rows(source):
                    return None, [], False
                lost.append(name)
            kept = with_signal(values, floor**2 / data.n)
            values, vectors = values[kept], vectors[:, kept]
        axes.append(Axes(values, vectors, mean_variance))
    return axes, lost, for_all


def _of_rows(view, n, floor, slight):
    """Axes from centred rows (r, p), or from their triangular factor."""
    mean_variance = np.vdot(view, view) / n / max(1, view.shape[1])
    _, size, back = svd_of_rows(view, floor, slight)
    return Axes(size**2 / n, back(np.eye(len(size))), mean_variance)


# ---- at a shrinkage ------------------------------------------------------------------


def amounts_at(path, shrinkage):
    """The shrinkage of each view: a number as it is, "auto" by OAS.

    Parameters
    ----------
    path : Path
    shrinkage : dict of str to float or "auto"

    Returns
    -------
    list of float
    """
    amounts = []
    for (name, where), axes in zip(
        _named(path.slices, path.data), path.axes, strict=True
    ):
        c = shrinkage[name]
        if c == "auto":
            n = path.data.n if path.counts is None else path.counts[name]
            width = where.stop - where.start
            c = oas_shrinkage(
                n, width, axes.mean_variance * width, axes.values @ axes.values
            )
        amounts.append(float(c))
    return amounts


def _whitening(path, amounts, lifts):
    roots = [
        np.sqrt((1.0 - c) * axes.values + c * axes.mean_variance)
        for axes, c in zip(path.axes, amounts, strict=True)
    ]
    cross = {
        (a, b): block / roots[a][:, None] / roots[b]
        for (a, b), block in path.cross.items()
    }
    lift = [
        partial(lifts, axes, root) for axes, root in zip(path.axes, roots, strict=True)
    ]
    return Whitening(cross, lift, [len(root) for root in roots])


def _to_axes(axes, root, whitened):
    return whitened / root[:, None]


def _to_columns(axes, root, whitened):
    return axes.vectors @ (whitened / root[:, None])


def directions_at(path, amounts, n_components):
    """Directions [(r_i, k)] along the axes of each view; k may be less where ranks are.

    They are those of `solve_at`, each up to a factor.
    """
    return align(_whitening(path, amounts, _to_axes), n_components)[1]


def solve_at(path, amounts, n_components):
    """The `cca.Solution` at these amounts of shrinkage."""
    return solution_of(
        _whitening(path, amounts, _to_columns),
        path.data,
        path.slices,
        n_components=n_components,
        amounts=amounts,
        ill_conditioned=path.lost,
    )


# ---- held-out rows -------------------------------------------------------------------


class Held(NamedTuple):
    """Second moments of held-out rows along the axes, of two views that they have."""

    a: int
    b: int
    within_a: np.ndarray  # (r_a, r_a)
    within_b: np.ndarray  # (r_b, r_b)
    cross: np.ndarray  # (r_a, r_b)


def hold_out(path, patterns):
    """Bring the moments of held-out rows to the axes.

    Parameters
    ----------
    path : Path
    patterns : dict of tuple of bool to Moments
        Of the held-out rows, by the views that they have.

    Returns
    -------
    list of Held
        One for each pair of views that some row has.
    """
    data, found = path.data, []
    names = list(path.slices)
    for a, b in combinations(range(len(names)), 2):
        pooled = None
        for pattern, moments in patterns.items():
            if pattern[a] and pattern[b]:
                some = mo.select(moments, _columns(path.slices, pattern, (a, b)))
                pooled = some if pooled is None else mo.merge(pooled, some)
        if pooled is None:
            continue
        vectors, at, varying = [], 0, []
        for i in (a, b):
            where, inner = path.slices[names[i]], data.slices[i]
            kept = data.kept[inner]
            varying.append(at + kept - where.start)
            vectors.append(path.axes[i].vectors / data.scale[kept, None])
            at += where.stop - where.start
        found.append(Held(a, b, *_along(pooled, varying, vectors)))
    return found


def _columns(slices, pattern, pair):
    """Where the columns of two views stand among those that a pattern has."""
    start, found = 0, []
    for i, where in enumerate(slices.values()):
        width = where.stop - where.start
        if i in pair:
            found.append(np.arange(start, start + width))
        if pattern[i]:
            start += width
    return np.concatenate(found)


def _along(moments, varying, vectors):
    if moments.gram is None:
        first, second = (
            moments.factor[:, some] @ v
            for some, v in zip(varying, vectors, strict=True)
        )
        return first.T @ first, second.T @ second, first.T @ second
    (x, y), (v, w), gram = varying, vectors, moments.gram
    return (
        v.T @ gram[np.ix_(x, x)] @ v,
        w.T @ gram[np.ix_(y, y)] @ w,
        v.T @ gram[np.ix_(x, y)] @ w,
    )


def held_out_correlations(held, directions):
    """Pearson correlations (k,) of held-out scores, averaged over pairs of views.

    A component without variance counts 0. None if no row has two views.
    """
    found = []
    for a, b, within_a, within_b, cross in held:
        u, v = directions[a], directions[b]
        covariance = np.einsum("ij,ij->j", u, cross @ v)
        squares = [
            np.maximum(np.einsum("ij,ij->j", t, within @ t), 0.0)
            for t, within in ((u, within_a), (v, within_b))
        ]
        size = np.sqrt(squares[0] * squares[1])
        found.append(
            np.divide(covariance, size, out=np.zeros_like(size), where=size > 0)
        )
    return np.mean(found, axis=0) if found else None
