"""Orthonormal bases of views, and how many components are more than chance."""

import numpy as np
from scipy import sparse

from skmeta.core.bases import orthonormal_basis, residual_rows, standardised
from skmeta.core.cca import dtype_eps
from skmeta.core.device import OnDevice
from skmeta.core.significance import (
    STATISTICS,
    canonical_variables,
    observed_statistics,
    permuted_statistics,
    step_down_pvalues,
    within_groups,
)
from skmeta.exceptions import warn

# A sparse view laid out densely, which a basis of its columns is in any case.
MAX_DENSE_BYTES = 512 * 2**20

N_PERMUTATIONS = 1000
ALPHA = 0.05


def n_significant(blocks, names, rng):
    """The number of components of two views that are more than chance, at least one.

    Those whose step-down p-value is at most `ALPHA`.
    """
    if len(names) != 2:
        raise ValueError(
            f'n_components="auto" tests the components of two views, and there are '
            f"{len(names)}: {list(names)}; give a number."
        )
    bases = view_bases(blocks, names, complete_rows(blocks, names))
    variables = canonical_variables(*bases)
    statistic = STATISTICS["wilks"]
    null = permuted_statistics(
        variables, N_PERMUTATIONS, within_groups(None, rng), statistic
    )
    observed = observed_statistics(variables, statistic)
    pvalues = step_down_pvalues(observed, null)
    count = int((pvalues <= ALPHA).sum())
    if count == 0:
        warn(
            f"No component is more than chance (p = {pvalues[0]:.2g}): the views may "
            "have nothing in common. One component is kept.",
            UserWarning,
        )
    return max(1, count)


def complete_rows(blocks, names):
    """Indices of the rows that have every view."""
    rows = np.flatnonzero(np.all([blocks.mask(name) for name in names], axis=0))
    if len(rows) < 2:
        raise ValueError(
            f"Only {len(rows)} of {blocks.n_rows} rows have every view of "
            f"{list(names)}; a minimum of 2 is required."
        )
    return rows


def dense_rows(blocks, name, rows):
    """A fresh float64 array of some rows of one view."""
    array = blocks.arrays[name][rows]
    if isinstance(array, OnDevice):
        array = array.host()
    if sparse.issparse(array):
        n_bytes = 8 * array.shape[0] * array.shape[1]
        if n_bytes > MAX_DENSE_BYTES:
            raise ValueError(
                f"View {name!r} is sparse, and a basis of its {array.shape[1]} columns "
                f"would take {n_bytes / 2**30:.1f} GB; reduce it first, for example by "
                "TruncatedSVD."
            )
        array = array.toarray()
    return np.array(array, dtype=np.float64)


def view_bases(blocks, names, rows, design=None):
    """An orthonormal basis (n, rank) of each view's columns, or of their residuals.

    Raises
    ------
    ValueError
        If the ranks add up to more than the dimensions of the rows.
    """
    bases = [_basis(blocks, name, rows, design) for name in names]
    _check_rows_left(bases, names, design is not None)
    return bases


def _basis(blocks, name, rows, design):
    eps = dtype_eps(blocks.arrays[name].dtype)
    columns, noise = standardised(dense_rows(blocks, name, rows), eps)
    if columns.shape[1] == 0:
        raise ValueError(
            f"View {name!r} has zero variance: to within rounding all its rows are "
            "equal, and nothing in it can be correlated with another view."
        )
    if design is not None:
        columns = residual_rows(design, columns)
    basis = orthonormal_basis(columns, noise)
    if basis.shape[1] == 0:
        raise ValueError(
            f"The confounds leave nothing of view {name!r}: they explain all its "
            "columns, or are as many as the rows."
        )
    return basis


def _check_rows_left(bases, names, after_confounds):
    n_left = len(bases[0]) - (0 if after_confounds else 1)  # the mean is taken out
    ranks = [basis.shape[1] for basis in bases]
    if sum(ranks) > n_left:
        raise ValueError(
            f"Views {names[0]!r} and {names[1]!r} have ranks {ranks[0]} and {ranks[1]} "
            f"in the {n_left} dimensions of their rows: correlations of 1 hold by "
            "construction in every permutation. Reduce the views' columns, for example "
            "by PCA, or take more rows."
        )
