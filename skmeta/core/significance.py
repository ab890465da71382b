"""Which canonical correlations are more than chance: permutations, and Wilks' tests.

Let U (n, p) and V (n, q) be the canonical variables of two views, completed to
orthonormal bases of what the views span. Step k asks whether what is left after the
first k components is related: of the columns k, k + 1, ... of both. A permutation P of
the rows leaves U and V orthonormal, so that everything it changes is in R = U'PV, and
step k sees the trailing block R_k of it.

All blocks have their determinants from one factorisation. Since

    det(I - R_k R_k') = det J_k,   J_k = [[I, R_k], [R_k', I]],

and J_k is made of rows and columns of J_0, these are the leading principal minors of
J_0 with its rows and columns in the order of last component first, left and right in
turn. The Cholesky factor of a matrix has the roots of the ratios of successive leading
minors on its diagonal. Where p > q, the last p - q left variables belong to every
block; eliminated first, they leave I - E'E in place of the right identity, E being
their rows of R.

References
----------
Winkler, Renaud, Smith & Nichols (2020), "Permutation inference for canonical
correlation analysis", NeuroImage 220.
Bartlett (1947), "Multivariate analysis", Supplement to the JRSS 9(2).
Rao (1951), "An asymptotic expansion of the distribution of Wilks' criterion",
Bulletin of the International Statistical Institute 33(2).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import svd
from scipy.special import chdtrc, fdtrc

from skmeta.core.blocks import row_slices

# Matrices whose Cholesky factors are taken at a time stay in the cache.
JOINT_BYTES = 4 * 2**20

# Statistics that agree to this are those of the same rows in another order.
TIE = 1e-10

# 1 - r^2 below this is that of a correlation of 1, and rounding: it counts as this, so
# that permutations which bring back such correlations are ties.
LEAST_REST = 1e-12

# Of a smaller ratio of minors the Cholesky factor has lost too many digits for that.
LEAST_MINOR = 1e-8


class Variables(NamedTuple):
    """Canonical variables of two views, completed to bases of what each spans."""

    left: np.ndarray  # (n, p), orthonormal
    right: np.ndarray  # (n, q), orthonormal
    correlations: np.ndarray  # (min(p, q),), descending


def canonical_variables(left, right):
    """Completed canonical variables of two orthonormal bases (n, p) and (n, q)."""
    U, values, Vt = svd(left.T @ right, check_finite=False)
    return Variables(left @ U, right @ Vt.T, np.clip(values, 0.0, 1.0))


# ---- statistics of what is left after 0, 1, ... components ---------------------------


def wilks_statistics(cross):
    """-log of Wilks' lambda of all trailing blocks: (m, p, q) -> (m, min(p, q))."""
    m, p, q = cross.shape
    if p < q:
        return wilks_statistics(cross.transpose(0, 2, 1))
    square, extra = cross[:, q - 1 :: -1, ::-1], cross[:, q:, ::-1]  # last first
    joint = np.empty((m, 2 * q, 2 * q))
    joint[:, 0::2, 0::2] = np.eye(q)
    joint[:, 0::2, 1::2] = square
    joint[:, 1::2, 0::2] = square.transpose(0, 2, 1)
    joint[:, 1::2, 1::2] = np.eye(q)
    if p > q:
        joint[:, 1::2, 1::2] -= extra.transpose(0, 2, 1) @ extra
    try:
        factor = np.linalg.cholesky(joint)
    except np.linalg.LinAlgError:
        return _wilks_by_values(cross)
    minors = np.diagonal(factor, axis1=1, axis2=2) ** 2
    by_pair = np.log(minors).reshape(m, q, 2).sum(axis=2)
    found = -np.cumsum(by_pair, axis=1)[:, ::-1]
    near_one = (minors < LEAST_MINOR).any(axis=1)
    if near_one.any():
        found[near_one] = _wilks_by_values(cross[near_one])
    return found


def _wilks_by_values(cross):
    """The same by the correlations of each block, where one is 1 or nearly."""
    rest = []
    for k in range(min(cross.shape[1:])):
        values = np.linalg.svd(cross[:, k:, k:], compute_uv=False)
        rest.append(np.log(np.maximum(1.0 - values**2, LEAST_REST)).sum(axis=1))
    return -np.column_stack(rest)


def roy_statistics(cross):
    """Largest correlation of all trailing blocks: (m, p, q) -> (m, min(p, q))."""
    if cross.shape[1] < cross.shape[2]:
        return roy_statistics(cross.transpose(0, 2, 1))
    largest = [
        np.linalg.eigvalsh(block.transpose(0, 2, 1) @ block)[:, -1]
        for block in (cross[:, k:, k:] for k in range(cross.shape[2]))
    ]
    return np.sqrt(np.clip(np.column_stack(largest), 0.0, 1.0))


STATISTICS = {"wilks": wilks_statistics, "roy": roy_statistics}


# ---- permutations --------------------------------------------------------------------


def within_groups(codes, rng):
    """A function that draws permutations of rows within groups (n,), None for all."""
    if codes is None:
        return lambda n: rng.permutation(n)
    by_group = np.argsort(codes, kind="stable")

    def permute(n):
        drawn = np.empty(n, dtype=np.intp)
        drawn[by_group] = np.lexsort((rng.random_sample(n), codes))
        return drawn

    return permute


def permuted_statistics(variables, n_permutations, permute, statistic):
    """Statistics (n_permutations, k) of all steps, of rows in random order.

    Parameters
    ----------
    variables : Variables
    n_permutations : int
    permute : callable
        ``permute(n)`` draws a permutation of n rows.
    statistic : callable
        One of `STATISTICS`.
    """
    left, right, _ = variables
    if left.shape[1] < right.shape[1]:
        left, right = right, left
    n, q = right.shape
    right, turned = np.ascontiguousarray(right), np.ascontiguousarray(left.T)
    null = np.empty((n_permutations, q))
    rows = np.empty((n, q))
    for step in row_slices(n_permutations, 8 * (2 * q) ** 2, JOINT_BYTES):
        cross = np.empty((step.stop - step.start, left.shape[1], q))
        for product in cross:
            np.take(right, permute(n), axis=0, out=rows, mode="clip")
            np.matmul(turned, rows, out=product)
        null[step] = statistic(cross)
    return null


def observed_statistics(variables, statistic):
    """The statistics (k,) of the rows as they are."""
    p, q = variables.left.shape[1], variables.right.shape[1]
    cross = np.zeros((1, p, q))
    np.fill_diagonal(cross[0], variables.correlations)
    return statistic(cross)[0]


def step_down_pvalues(observed, null):
    """p-values (k,) of all steps; none is below that of an earlier step.

    The rows as they are count as one of the permutations, so that no p-value is 0.
    """
    reached = null >= observed - TIE * np.abs(observed)
    plain = (1.0 + reached.sum(axis=0)) / (1.0 + len(null))
    return np.maximum.accumulate(plain)


# ---- without permutations ------------------------------------------------------------


class WilksSteps(NamedTuple):
    """Tests of what is left after 0, 1, ... components, along the last axis (k)."""

    wilks: np.ndarray
    chi2: np.ndarray
    chi2_df: np.ndarray
    chi2_pvalues: np.ndarray
    f: np.ndarray
    f_df: np.ndarray  # (k, 2)
    f_pvalues: np.ndarray


def wilks_steps(correlations, n, p, q):
    """Wilks' lambda of all steps, Bartlett's chi-square and Rao's F.

    Parameters
    ----------
    correlations : ndarray (..., min(p, q))
        Unregularised, descending.
    n : float
        Rows; more than p + q.
    p, q : int
        Dimensions of the two views.
    """
    k = np.arange(min(p, q))
    with np.errstate(divide="ignore"):  # a correlation of 1
        logs = np.log1p(-np.square(correlations))
    log_wilks = np.cumsum(logs[..., ::-1], axis=-1)[..., ::-1]
    scale = n - 1.0 - (p + q + 1.0) / 2.0
    df = (p - k) * (q - k)
    # Rao (1951): Lambda^(1/s) is a ratio of sums of squares, exactly where s <= 2.
    squares = (p - k) ** 2 + (q - k) ** 2 - 5.0
    s = np.ones(len(k))
    some = squares > 0
    s[some] = np.sqrt((df[some] ** 2 - 4.0) / squares[some])
    df_error = scale * s - df / 2.0 + 1.0
    chi2 = -scale * log_wilks
    f = np.expm1(-log_wilks / s) * df_error / df
    return WilksSteps(
        np.exp(log_wilks),
        chi2,
        df,
        chdtrc(df, chi2),
        f,
        np.column_stack([df, df_error]),
        fdtrc(df, df_error, f),
    )
