"""From the scores of all views to one row: the linear algebra of ``fusion=``.

`scores` are (n, m * k): the k unit-variance components of view 0, then of view 1, ….
"""

import numpy as np

from skmeta.core.gaussian import regression


def view_columns(i, k):
    """Where the scores of the i-th view stand."""
    return slice(i * k, (i + 1) * k)


def fill_missing(scores, present, covariance):
    """Replace the scores of missing views by their conditional mean, in place.

    Parameters
    ----------
    scores : ndarray (n, m * k)
    present : ndarray of bool (n, m)
    covariance : ndarray (m * k, m * k)
    """
    k = scores.shape[1] // present.shape[1]
    for pattern, rows in patterns(present):
        if pattern.all():
            continue
        seen = np.repeat(pattern, k)
        coefficients = regression(
            covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, ~seen)]
        )
        scores[np.ix_(rows, ~seen)] = scores[np.ix_(rows, seen)] @ coefficients
    return scores


def patterns(present):
    """Yield each pattern of present views (m,) with the rows (indices) that have it."""
    if present.all():
        yield np.ones(present.shape[1], bool), np.arange(len(present))
        return
    found, inverse = np.unique(present, axis=0, return_inverse=True)
    for i, pattern in enumerate(found):
        yield pattern, np.flatnonzero(inverse.ravel() == i)


def fusion_matrix(fusion, names, scales, correlations, covariance):
    """The linear map (m * k, n_out) from all views' scores to fused coordinates.

    A view's own coordinates are its scores times its row of ``scales`` (m, k).
    "posterior" is a_k E[g_k | scores], where g_k is the unit-variance sum of all views'
    k-th scores and a_k = sqrt(m rho_k / (1 + (m - 1) rho_k)): at two views and no
    shrinkage the posterior mean of probabilistic CCA (Bach & Jordan 2005, "A
    probabilistic interpretation of canonical correlation analysis", section 4).
    """
    m, k = len(names), len(correlations)
    if fusion == "concat":
        return np.diag(scales.ravel())
    if fusion == "mean":
        return np.vstack([np.diag(scale) for scale in scales]) / m
    if fusion == "posterior":
        rho = np.clip(correlations, 0.0, 1.0)
        grid = covariance.reshape(m, k, m, k)
        variance = np.einsum("akbk->k", grid)  # of the sum of the k-th scores
        weight = np.zeros(k)
        live = variance > 0
        weight[live] = np.sqrt(m * rho / (1 + (m - 1) * rho))[live]
        weight[live] /= np.sqrt(variance[live])
        return np.tile(np.diag(weight), (m, 1))
    i = names.index(fusion)
    result = np.zeros((m * k, k))
    result[view_columns(i, k)] = np.diag(scales[i])
    return result


def fusion_offset(fusion, names, offsets):
    """What is added to fused coordinates (n_out,): ``offsets`` (m, k), fused."""
    if fusion == "concat":
        return offsets.ravel()
    if fusion == "mean":
        return offsets.mean(axis=0)
    if fusion == "posterior":
        return np.zeros(offsets.shape[1])
    return offsets[names.index(fusion)]


def fusion_names(fusion, names, k, prefix):
    """Names of the fused columns."""
    if fusion == "concat":
        return [f"{name}__{i}" for name in names for i in range(k)]
    if fusion in ("mean", "posterior"):
        return [f"{prefix}{i}" for i in range(k)]
    return [f"{fusion}__{i}" for i in range(k)]
