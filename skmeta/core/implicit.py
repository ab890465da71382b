"""CCA of views too wide for their Gram matrix, from products with their rows alone.

Sparse rows are never laid out densely: their means are taken out of the products. The
leading eigenvectors of A w = lambda B w come by Lanczos; B is solved for by its
Cholesky factor where a view is narrow, by conjugate gradients where it is wide, which
shrinkage makes well-conditioned.

References
----------
Lehoucq, Sorensen & Yang (1998), "ARPACK users' guide", SIAM.
Hestenes & Stiefel (1952), "Methods of conjugate gradients for solving linear systems",
Journal of Research of the National Bureau of Standards 49(6).
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve, eigh, eigvalsh
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from skmeta.core.accumulate import moments_of, without_full_columns
from skmeta.core.blocks import row_slices
from skmeta.core.cca import (
    Standardised,
    check_variance,
    dtype_eps,
    in_units,
    resolution,
)
from skmeta.core.components import normalise
from skmeta.core.moments import variances
from skmeta.core.whitening import oas_shrinkage, shrink, with_signal

# Views of at most this many columns are solved for by their Cholesky factor.
NARROW = 2048

# Relative residual of a solution, and accuracy of an eigenvalue beside the largest that
# views can have without shrinkage, of the order of 1: 1e-8 is promised.
RESIDUAL = 1e-13
ACCURACY = 1e-12

MAX_STEPS = 5000

# Columns for which a wide view is solved at once.
COLUMNS_AT_ONCE = 32

# Lanczos solves for the wide view some ten times a component, elimination once a column
# of the narrow one.
MAX_SHARE = 16


class Centred(NamedTuple):
    """Standardised rows of one view, of its columns that vary, never formed."""

    rows: object  # array or CSR matrix (n, p), divided by the columns' scales
    mean: np.ndarray  # (p,) of `rows`
    root: np.ndarray | None  # (n,) roots of the weights

    def times(self, matrix):
        """(p, j) -> (n, j)."""
        return self._weighted(self.rows @ matrix - self.mean @ matrix)

    def adjoint(self, matrix):
        """(n, j) -> (p, j)."""
        matrix = self._weighted(matrix)
        return self.rows.T @ matrix - np.multiply.outer(self.mean, matrix.sum(axis=0))

    def _weighted(self, matrix):
        return matrix if self.root is None else (self.root * matrix.T).T


def project_sparse(array, mean, weights):
    """``(array - mean) @ weights`` of sparse rows."""
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    product = array.astype(np.float64) @ weights - mean @ weights
    return product.astype(dtype, copy=False)


def solve_implicit(slices, *, n_components, shrinkage, standardize, rows):
    """What `cca.solve` finds, for views of which at least one is very wide.

    Parameters
    ----------
    slices : dict of str to slice
    n_components, shrinkage, standardize
        As for `cca.solve`; no shrinkage is 0.
    rows : Rows
        The rows that count.

    Returns
    -------
    dict
        The fields of `cca.Solution`.

    Raises
    ------
    ArithmeticError
        If the conjugate gradients or Lanczos do not converge.
    """
    data, centred = _standardised(rows, slices, standardize)
    amount = [
        _oas(view, data.n) if c == "auto" else float(c)
        for c, view in zip(shrinkage.values(), centred, strict=True)
    ]
    noise = [
        resolution(dtype_eps(rows.views[name].dtype), data, where) ** 2 / data.n
        for name, where in zip(slices, data.slices, strict=True)
    ]
    inner = [
        _Within(*view, data.n) for view in zip(centred, amount, noise, strict=True)
    ]
    ranks = [min(view.rank, len(rows) - 1) for view in inner]
    k = min(n_components, *ranks)
    values, directions = _leading(centred, inner, data, k)
    deviation = data.deviation[data.kept] / data.scale[data.kept]

    sums = np.hstack([v.times(w) for v, w in zip(centred, directions, strict=True)])
    structure = np.vstack([view.adjoint(sums) for view in centred]) / data.n
    scores = normalise(directions, data.slices, structure, deviation)
    widths = {n: s.stop - s.start for n, s in zip(slices, data.slices, strict=True)}
    return dict(
        n=data.n,
        shrinkage=dict(zip(slices, amount, strict=True)),
        ranks=dict(zip(slices, ranks, strict=True)),
        n_varying=widths,
        ill_conditioned=[],
        **in_units(scores, values, n_components, slices, data),
    )


def _standardised(rows, slices, standardize):
    weight = rows.weight(slice(None))
    n, p = rows.n, max(where.stop for where in slices.values())
    mean, variance, scale = np.empty(p), np.empty(p), np.ones(p)
    taken = {}
    for name, where in slices.items():
        array = rows.take(name, slice(None))
        mean[where], squares = _mean_and_squares(array, weight, n)
        variance[where] = variances(n, mean[where], squares)
        taken[name] = array
    check_variance(variance, slices)
    deviation = np.sqrt(variance)
    for name, where in slices.items():
        if standardize[name]:
            scale[where] = np.where(deviation[where] > 0, deviation[where], 1.0)
    kept = np.flatnonzero(deviation)
    ends = np.concatenate([[0], np.cumsum(deviation > 0)])
    inner = [slice(int(ends[s.start]), int(ends[s.stop])) for s in slices.values()]
    root = None if weight is None else np.sqrt(weight)
    centred = []
    for name, where in slices.items():
        live = deviation[where] > 0
        centre, size = mean[where][live], scale[where][live]
        if sparse.issparse(taken[name]):
            matrix, shift = without_full_columns(taken[name].tocsc()[:, live])
            matrix = (matrix @ sparse.diags_array(1.0 / size)).tocsr()
            centred.append(Centred(matrix, (centre - shift) / size, root))
        else:
            array = (taken[name][:, live] - centre) / size
            centred.append(Centred(array, np.zeros(len(size)), root))
    data = Standardised(n, mean, deviation, scale, kept, inner, None, None)
    return data, centred


def _mean_and_squares(array, weight, n):
    """Weighted means and sums of centred squares of the columns."""
    if not sparse.issparse(array):
        moments = moments_of({"": array}, weight)[0]
        return moments.mean, moments.squares
    matrix, shift = without_full_columns(array)
    weight = np.ones(matrix.shape[0]) if weight is None else weight
    mean = (weight @ matrix) / n
    stored = matrix.copy()  # be they zeros or not
    stored.data[:] = 1.0
    stored = weight @ stored
    centred = matrix.copy()
    centred.data -= np.repeat(mean, np.diff(matrix.indptr))
    centred.data **= 2
    return mean + shift, weight @ centred + (n - stored) * mean**2


def _oas(view, n):
    """OAS from the trace and the squared norm of the covariance, a piece at a time."""
    n_rows, p = view.rows.shape
    trace = float(_variances(view, n).sum())
    square = 0.0
    for piece in row_slices(min(n_rows, p), 8 * min(n_rows, p)):
        block = _of_rows(view, piece) if n_rows < p else _of_columns(view, piece)
        square += np.vdot(block, block)
    return oas_shrinkage(n, p, trace, square / n**2)


def _of_rows(view, piece):
    """Rows of the (n, n) Gram matrix of the centred rows."""
    some = view.rows[piece]
    to_mean = view.rows @ view.mean  # (n,)
    block = _laid_out(some @ view.rows.T) + view.mean @ view.mean
    block -= to_mean
    block -= to_mean[piece, None]
    if view.root is not None:
        block *= view.root
        block *= view.root[piece, None]
    return block


def _of_columns(view, piece):
    """Columns of the (p, p) Gram matrix of the centred rows."""
    some = view.rows[:, piece]
    if view.root is None:
        n, left = view.rows.shape[0], view.rows.T
    else:
        weight = view.root**2
        n, left = weight.sum(), view.rows.T * weight
        if sparse.issparse(view.rows):
            left = view.rows.T @ sparse.diags_array(weight)
    return _laid_out(left @ some) - n * np.multiply.outer(view.mean, view.mean[piece])


def _laid_out(block):
    return block.toarray() if sparse.issparse(block) else block


def _leading(centred, inner, data, k):
    """Leading eigenvalues and column weights by view, of unit length in B."""
    slices = data.slices
    p = slices[-1].stop
    if len(centred) == 2:
        narrow = int(inner[0].factor is None)
        width = centred[narrow].rows.shape[1]
        if inner[narrow].factor is not None and width <= MAX_SHARE * k:
            return _by_elimination(centred, inner, narrow, data.n, k)

    def between(vector):
        parts = [v.times(vector[s]) for v, s in zip(centred, slices, strict=True)]
        total = sum(parts)
        return (
            np.concatenate(
                [
                    v.adjoint(total - part)
                    for v, part in zip(centred, parts, strict=True)
                ]
            )
            / data.n
        )

    def by_view(method):
        def product(vector):
            vector = vector.ravel()
            return np.concatenate(
                [
                    getattr(view, method)(vector[where])
                    for view, where in zip(inner, slices, strict=True)
                ]
            )

        return LinearOperator((p, p), matvec=product, dtype=np.float64)

    within, inverse = by_view("times"), by_view("solve")
    # A fixed start: the answer depends on the rows alone.
    start = np.random.default_rng(0).standard_normal(p)

    def eigen(product, count, start):
        # A + B has the vectors of A, and eigenvalues larger by 1: to be accurate
        # relative to one of about 0 would take for ever.
        operator = LinearOperator(
            (p, p),
            matvec=lambda v: product(v.ravel()) + within @ v.ravel(),
            dtype=np.float64,
        )
        try:
            values, vectors = eigsh(
                operator,
                count,
                M=within,
                Minv=inverse,
                which="LA",
                v0=start,
                tol=ACCURACY,
            )
        except ArpackError as error:
            raise ArithmeticError(str(error)) from error
        return values[::-1] - 1.0, vectors[:, ::-1]

    values, vectors = eigen(between, k, start)
    while True:
        # A Krylov space of one start has one vector of each repeated value. Any that
        # it missed is the largest of what is left.
        images = np.column_stack([within @ v for v in vectors.T])

        def rest(vector, images=images, values=values):
            return between(vector) - images @ (values * (images.T @ vector))

        value, vector = eigen(rest, 1, start[::-1])
        if value[0] <= values[k - 1] + 1e-9 * (1.0 + values[k - 1]):
            break
        order = np.argsort(-np.append(values, value))
        values = np.append(values, value)[order]
        vectors = np.column_stack([vectors, vector])[:, order]
    return values[:k], [vectors[where, :k] for where in slices]


def _by_elimination(centred, inner, narrow, n, k):
    """Two views, one of them narrow: eliminate the other, solve for all of the one.

    With B_a^{-1} C_ab = T what is left is C_ba T w = lambda^2 B_b w.
    """
    wide = 1 - narrow
    eye = np.eye(centred[narrow].rows.shape[1])
    cross = centred[wide].adjoint(centred[narrow].times(eye)) / n  # (p_wide, p_narrow)
    solved = inner[wide].solve(cross)
    product = cross.T @ solved
    within = inner[narrow].times(eye)
    values, vectors = eigh(
        (product + product.T) / 2,
        (within + within.T) / 2,
        subset_by_index=(len(eye) - k, len(eye) - 1),
    )
    values, vectors = values[::-1], vectors[:, ::-1]
    weights = [vectors, vectors]
    weights[wide] = solved @ vectors
    return np.sqrt(np.maximum(values, 0.0)), weights


def conjugate_gradients(times, right, preconditioner):
    """Solve for each column of ``right`` at once; their products share the sparse rows.

    Raises
    ------
    ArithmeticError
        If a residual is not within `RESIDUAL` of its right side after `MAX_STEPS`.
    """
    found = np.zeros_like(right)
    residual = right.copy()
    conditioned = (preconditioner * residual.T).T
    direction = conditioned.copy()
    size = np.sum(residual * conditioned, axis=0)
    goal = RESIDUAL * np.linalg.norm(right, axis=0)
    for _ in range(MAX_STEPS):
        going = np.linalg.norm(residual, axis=0) > goal
        if not going.any():
            return found
        image = times(direction)
        curvature = np.sum(direction * image, axis=0)
        step = np.divide(size, curvature, out=np.zeros_like(size), where=going)
        found += step * direction
        residual -= step * image
        conditioned = (preconditioner * residual.T).T
        new = np.sum(residual * conditioned, axis=0)
        direction *= np.divide(new, size, out=np.zeros_like(size), where=going)
        direction += conditioned
        size = new
    raise ArithmeticError(f"no convergence in {MAX_STEPS} steps")


class _Within:
    """Products with the shrunk within-view matrix of one view, and with its inverse."""

    def __init__(self, view, shrinkage, noise, n):
        self.view, self.n = view, n
        self.rank = p = view.rows.shape[1]  # at most, of a wide view
        self.factor = None
        self.keep = 1.0 - shrinkage
        if p <= NARROW:
            eye = np.eye(p)
            covariance = view.adjoint(view.times(eye)) / n
            self.add = shrinkage * np.trace(covariance) / p
            covariance = (covariance + covariance.T) / 2
            values = eigvalsh(covariance)
            self.rank = int(np.count_nonzero(with_signal(values, noise)))
            self.factor = cho_factor(shrink(covariance, shrinkage))
            return
        self.diagonal = _variances(view, n)
        self.add = shrinkage * self.diagonal.mean()

    def times(self, vector):
        inner = self.view.adjoint(self.view.times(vector)) / self.n
        return self.keep * inner + self.add * vector

    def solve(self, vector):
        if self.factor is not None:
            return cho_solve(self.factor, vector)
        parts = []
        columns = vector.reshape(len(vector), -1)
        for some in row_slices(columns.shape[1], 1, COLUMNS_AT_ONCE):
            parts.append(
                conjugate_gradients(
                    self.times,
                    columns[:, some],
                    1.0 / (self.keep * self.diagonal + self.add),
                )
            )
        return np.hstack(parts).reshape(vector.shape)


def _variances(view, n):
    """Variances (p,) of the columns of sparse or dense standardised rows."""
    rows, mean = view.rows, view.mean
    weight = np.ones(rows.shape[0]) if view.root is None else view.root**2
    squares = rows.multiply(rows) if sparse.issparse(rows) else rows**2
    return (weight @ squares) / n - mean**2
