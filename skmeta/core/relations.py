"""How much of each view's variance is common with each other view."""

import numpy as np
from scipy.linalg import eigh, svd

# Scores with less than this share of the largest variance are rounding.
RELATIVE_RANK = 1e-10


def view_relations(names, covariance, structure, deviations):
    """Shares of variance that are of common factors.

    In the model x_i = W_i z + e_i, with z the factors that two views share, the columns
    of W_i are the loadings of the canonical variates, each times the root of its
    canonical correlation (Bach & Jordan 2005, section 4). What a view shares is the
    trace of W_i W_i'; what it has for itself is what it shares with no combination of
    the other views.

    Parameters
    ----------
    names : sequence of str
    covariance : ndarray (m * k, m * k)
        Of the scores of all views.
    structure : dict of str to ndarray (p, m * k)
        Covariance of each column with the scores.
    deviations : dict of str to ndarray (p,)
        Standard deviations of the columns, 0 where constant.

    Returns
    -------
    dict of str to dict of str to float
    """
    m = len(names)
    k = len(covariance) // m
    own = [np.arange(i * k, (i + 1) * k) for i in range(m)]
    relations = {}
    for i, name in enumerate(names):
        live = deviations[name] > 0
        columns = structure[name][live][:, own[i]] / deviations[name][live, None]
        others = np.concatenate([own[j] for j in range(m) if j != i])
        shares = {
            other: _common(columns, covariance, own[i], own[j])
            for j, other in enumerate(names)
            if j != i
        }
        shares[name] = 1.0 - _common(columns, covariance, own[i], others)
        relations[name] = {other: shares[other] for other in names}
    return relations


def _common(columns, covariance, own, others):
    """Mean over columns of the variance of the factors common to two sets of scores."""
    half, other_half = (_inverse_root(covariance[np.ix_(s, s)]) for s in (own, others))
    left, rho, _ = svd(half @ covariance[np.ix_(own, others)] @ other_half)
    loadings = columns @ half @ left[:, : len(rho)]
    return float((loadings**2 @ np.clip(rho, 0.0, 1.0)).mean())


def _inverse_root(covariance):
    values, vectors = eigh(covariance)
    kept = values > values[-1] * RELATIVE_RANK
    root = np.zeros_like(values)
    root[kept] = 1.0 / np.sqrt(values[kept])
    return vectors * root @ vectors.T
