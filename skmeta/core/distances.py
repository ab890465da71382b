"""The one registry of metrics. Smaller is nearer, whatever the metric.

A metric is a `prepare` step for each side (done once a row), a `block` of values that
order pairs of prepared rows, and `finish`, which makes distances of these. `exact` has
the distances of given pairs without the rounding that products of matrices bring.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances


class Metric(NamedTuple):
    """How near rows are."""

    prepare: Callable  # (n, d) -> (n, d)
    block: Callable  # (n_query, d), (n_gallery, d) -> (n_query, n_gallery)
    finish: Callable  # increasing: values of a block -> distances
    exact: Callable | None = None  # (n, d), (n, j, d) -> (n, j)
    by_products: bool = True  # a block is rounded like products of whole rows


def _same(array):
    return array


def unit_rows(Z):
    """Rows at length 1; a row of zeros stays one, at distance 1 from everything."""
    # The largest entry comes out first, so that squares neither over- nor underflow.
    largest = np.abs(Z).max(axis=1, keepdims=True, initial=0.0)
    Z = Z / np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    return Z / np.where(norms > 0, norms, 1)


def _cosine_block(Q, G):
    D = Q @ G.T
    np.subtract(1.0, D, out=D)
    return D


def _dot_block(Q, G):
    D = Q @ G.T
    return np.negative(D, out=D)


def _squared_block(Q, G):
    D = Q @ G.T
    D *= -2.0
    D += np.einsum("ij,ij->i", Q, Q)[:, None]
    D += np.einsum("ij,ij->i", G, G)
    return np.maximum(D, 0.0, out=D)


def _euclidean_exact(Q, G):
    return np.linalg.norm(Q[:, None] - G, axis=2)


def _manhattan_block(Q, G):
    return cdist(Q, G, "cityblock")


def _euclidean():
    return Metric(_same, _squared_block, np.sqrt, _euclidean_exact)


def _manhattan():
    return Metric(_same, _manhattan_block, _same, by_products=False)


def _cosine():
    return Metric(unit_rows, _cosine_block, _same)


def _dot():
    return Metric(_same, _dot_block, _same)


def _times(root, Z):
    if Z.shape[1] != len(root):
        raise ValueError(
            f"metric_params['VI'] is for {len(root)} coordinates, but the rows have "
            f"{Z.shape[1]}."
        )
    return Z @ root.astype(Z.dtype, copy=False)


def _mahalanobis(VI=None):
    if VI is None:
        raise ValueError(
            "metric='mahalanobis' needs the inverse covariance here: pass "
            "metric_params={'VI': array of shape (n_components, n_components)}."
        )
    VI = np.asarray(VI, dtype=float)
    if VI.ndim != 2 or VI.shape[0] != VI.shape[1] or not np.allclose(VI, VI.T):
        raise ValueError(
            "metric='mahalanobis' needs a symmetric matrix metric_params={'VI': ...}; "
            f"got an array of shape {VI.shape}."
        )
    values, vectors = eigh(VI)
    if values[0] < -1e-8 * max(values[-1], 0.0) or values[-1] <= 0:
        raise ValueError(
            "metric='mahalanobis' needs a positive semi-definite "
            f"metric_params={{'VI': ...}}; its smallest eigenvalue is {values[0]:.3g}."
        )
    root = vectors * np.sqrt(np.maximum(values, 0.0))  # VI = root root'

    return Metric(partial(_times, root), _squared_block, np.sqrt, _euclidean_exact)


METRICS = {
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "cosine": _cosine,
    "dot": _dot,
    "mahalanobis": _mahalanobis,
}


def get_metric(metric, metric_params=None):
    """The `Metric` of a name in `METRICS` or of a callable ``f(row, row) -> float``.

    Raises
    ------
    ValueError
        If the name is none of `METRICS`, or a parameter is not the metric's.
    """
    params = dict(metric_params or {})
    if callable(metric):
        block = partial(pairwise_distances, metric=metric, **params)
        return Metric(_same, block, _same, by_products=False)
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(
            f"metric must be one of {sorted(METRICS)} or a callable "
            f"f(row, row) -> float; got {metric!r}."
        )
    if unknown := set(params) - ({"VI"} if metric == "mahalanobis" else set()):
        raise ValueError(
            f"metric={metric!r} takes no metric_params {sorted(unknown)}; only "
            "'mahalanobis' takes 'VI' and a callable takes its own."
        )
    return METRICS[metric](**params)
