"""Components of resamples: aligned with those of the rows, and intervals of them.

References
----------
Schönemann (1966), "A generalized solution of the orthogonal Procrustes problem",
Psychometrika 31.
Davison & Hinkley (1997), "Bootstrap methods and their application", section 5.2.
"""

import numpy as np
from scipy.linalg import svd
from scipy.optimize import linear_sum_assignment

# Correlations nearer to 1 have no finite Fisher transform.
MOST = 1.0 - 1e-12


def frequencies(codes, n, rng):
    """How many times each of n rows is drawn: rows, or whole groups, with return.

    Parameters
    ----------
    codes : ndarray of int (n,) or None
        Of groups.
    """
    n_units = n if codes is None else int(codes.max()) + 1
    drawn = rng.multinomial(n_units, np.full(n_units, 1.0 / n_units))
    return (drawn if codes is None else drawn[codes]).astype(np.float64)


def matched(loadings, wanted):
    """Signed permutation (k, k) that brings loadings (p, k) nearest to the wanted."""
    products = loadings.T @ wanted
    rows, columns = linear_sum_assignment(-np.abs(products))
    rotation = np.zeros_like(products)
    rotation[rows, columns] = np.where(products[rows, columns] < 0, -1.0, 1.0)
    return rotation


def procrustes(loadings, wanted):
    """Orthogonal matrix (k, k) that brings loadings (p, k) nearest to the wanted."""
    left, _, right = svd(loadings.T @ wanted)
    return left @ right


ALIGNMENTS = {"order": matched, "procrustes": procrustes}


def percentile_interval(drawn, level):
    """Lower and upper bounds of what was drawn, (m, ...) -> two of (...)."""
    tail = (1.0 - level) / 2.0
    return np.quantile(drawn, [tail, 1.0 - tail], axis=0)


def correlation_interval(estimate, drawn, level):
    """Basic interval, by Fisher's z, of correlations (k,) from those drawn (m, k).

    Resamples are to the rows what the rows are to the population: as much as their
    correlations are above those of the rows, these are above the true ones.
    """
    z, drawn_z = (np.arctanh(np.clip(r, -MOST, MOST)) for r in (estimate, drawn))
    low, high = percentile_interval(drawn_z, level)
    return np.tanh(2 * z - high), np.tanh(2 * z - low)
