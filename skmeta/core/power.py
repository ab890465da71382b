"""What canonical correlations are found in n rows: draws of sample moments, no rows.

Canonical correlations depend on the columns only through the spaces they span, so that
rows of any normal views with population correlations rho are as good as (x, e) standard
normal and y = D'x + (I - D'D)^(1/2) e, D holding rho. By Bartlett's decomposition n
centred rows of (x, e) are Q T' with Q orthonormal and T lower triangular, the squares
of its diagonal chi-square of n - 1, n - 2, ... degrees of freedom, what is below it
standard normal. In the coordinates of Q

    x = [T_xx', 0],    y = [T_xx' D + T_ex' S, T_ee' S],    S = (I - D'D)^(1/2):

x spans the first p of them, and the sample correlations are the singular values of the
first p rows of an orthonormal basis of y. A draw costs the same for any n.

References
----------
Bartlett (1934), "On the theory of statistical regression", Proceedings of the Royal
Society of Edinburgh 53.
"""

from typing import NamedTuple

import numpy as np

from skmeta.core.blocks import row_slices
from skmeta.core.significance import wilks_steps

# Matrices that are decomposed at a time.
DRAWN_BYTES = 16 * 2**20

# The search ends when the bounds of the number of rows differ by this factor.
CLOSE = 1.02


def found_correlations(rho, n, p, q, n_draws, rng):
    """Sample canonical correlations, and what they would be on new rows.

    Parameters
    ----------
    rho : ndarray (k,)
        Population correlations; the others are 0.
    n : int
        Rows; more than p + q.
    p, q : int
        Columns of the two views.
    n_draws : int
    rng : RandomState

    Returns
    -------
    found : ndarray (n_draws, min(p, q)), descending
    new : ndarray (n_draws, min(p, q))
        Population correlations of the components found.
    """
    if p < q:  # fewer columns to be made orthonormal
        return found_correlations(rho, n, q, p, n_draws, rng)
    found, new = np.empty((2, n_draws, q))
    d = np.zeros(q)
    d[: len(rho)] = rho
    s = np.sqrt(1.0 - d**2)
    square = np.arange(q)
    for step in row_slices(n_draws, 8 * (p + q) ** 2, DRAWN_BYTES):
        T = _bartlett(step.stop - step.start, p + q, n - 1, rng)
        upper = T.transpose(0, 2, 1)  # rows are coordinates, columns variables
        Y = upper[:, :, p:] * s
        Y[:, :, square] += upper[:, :, :q] * d
        basis, factor = np.linalg.qr(Y)
        U, values, Vt = np.linalg.svd(basis[:, :p], full_matrices=False)
        found[step] = np.minimum(values, 1.0)
        # Weights: of x the columns of T_xx'^-1 U, of y those of R^-1 V.
        a = np.linalg.solve(upper[:, :p, :p], U)
        b = np.linalg.solve(factor, Vt.transpose(0, 2, 1))
        shared = np.einsum("j,mjk,mjk->mk", d, a[:, :q], b)
        lengths = np.einsum("mjk,mjk->mk", a, a) * np.einsum("mjk,mjk->mk", b, b)
        new[step] = shared / np.sqrt(lengths)
    return found, new


def _bartlett(m, width, df, rng):
    """Lower factors (m, width, width) of Wishart matrices of independent columns."""
    T = np.tril(rng.standard_normal((m, width, width)), -1)
    diagonal = np.arange(width)
    T[:, diagonal, diagonal] = np.sqrt(rng.chisquare(df - diagonal, (m, width)))
    return T


class Row(NamedTuple):
    """What is to be expected of n rows, by component (k,)."""

    n: int
    bias: np.ndarray  # mean of the correlations found, less the true ones
    power: np.ndarray  # share of draws in which the component is significant
    new: np.ndarray  # mean correlation, on new rows, of the components found


def expectation(rho, n, p, q, *, n_draws, alpha, rng):
    """`Row` for n rows, with Rao's F test of Wilks' lambda step by step."""
    found, new = found_correlations(rho, n, p, q, n_draws, rng)
    k = len(rho)
    pvalues = np.maximum.accumulate(wilks_steps(found, n, p, q).f_pvalues, axis=1)
    return Row(
        n,
        found[:, :k].mean(axis=0) - rho,
        (pvalues[:, :k] <= alpha).mean(axis=0),
        new[:, :k].mean(axis=0),
    )


def fewest_rows(expect, enough, least, most):
    """Rows tried, ascending, and the fewest that are enough, None if ``most`` is not.

    Doubled until they are enough, then halfway (geometrically) between.

    Parameters
    ----------
    expect : callable
        ``expect(n)`` gives a `Row`.
    enough : callable
        ``enough(row)``; rows that are enough stay so when there are more.
    least, most : int
    """
    tried, n = {}, least
    while True:
        tried[n] = expect(n)
        if enough(tried[n]) or n == most:
            break
        n = min(2 * n, most)
    high = n if enough(tried[n]) else None
    low = max((m for m in tried if m < n), default=None)
    while (
        high is not None and low is not None and high > low * CLOSE and high > low + 1
    ):
        n = int(round(np.sqrt(low * high)))
        n = min(max(n, low + 1), high - 1)
        tried[n] = expect(n)
        if enough(tried[n]):
            high = n
        else:
            low = n
    return [tried[m] for m in sorted(tried)], high
