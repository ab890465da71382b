"""The one registry of metrics. Smaller is nearer, whatever the metric.

A metric is a `prepare` step for each side (done once a row) and a fast `block` of
distances (or their squares) between prepared rows. Products of matrices round by the
size of the rows, and by where in the matrix a row stands: `exact` and `pairs` do not.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances

from skmeta.core.blocks import row_slices


class Metric(NamedTuple):
    """How near rows are."""

    prepare: Callable  # (n, d) -> (n, d)
    block: Callable  # (n_query, d), (n_gallery, d) -> (n_query, n_gallery)
    exact: Callable  # the same without the rounding of products of matrices
    pairs: Callable | None = None  # (n, d), (n, d) -> (n,) exact; None: block is exact
    squared: bool = False  # a block has the squares of the distances
    shifts: bool = False  # distances stay the same when both sides are shifted
    # Q, (n_query, 1) distances -> the products at which they lie, less half the square
    # of the gallery row where `squared`; None: products do not rank
    reach: Callable | None = None


def _same(array):
    return array


def unit_rows(Z):
    """Rows at length 1; a row of zeros stays one, at distance 1 from everything."""
    # The largest entry comes out first, so that squares neither over- nor underflow.
    largest = np.abs(Z).max(axis=-1, keepdims=True, initial=0.0)
    Z = Z / np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(Z, axis=-1, keepdims=True)
    return Z / np.where(norms > 0, norms, 1)


def _cosine_block(Q, G):
    D = Q @ G.T
    return np.subtract(1.0, D, out=D)


def _cosine_pairs(Q, G):
    return 1.0 - np.einsum("ij,ij->i", Q, G)


def _cosine_reach(Q, D):
    return 1.0 - D


def _dot_block(Q, G):
    D = Q @ G.T
    return np.negative(D, out=D)


def _dot_pairs(Q, G):
    return -np.einsum("ij,ij->i", Q, G)


def _dot_reach(Q, D):
    return -D


def _squared_block(Q, G):
    D = Q @ G.T
    D *= -2.0
    D += np.einsum("ij,ij->i", Q, Q)[:, None]
    D += np.einsum("ij,ij->i", G, G)
    return np.maximum(D, 0.0, out=D)


def _euclidean_pairs(Q, G):
    return np.linalg.norm(Q - G, axis=1)


def _squared_reach(Q, D):
    # |q - g|^2 = |q|^2 - 2 (q'g - |g|^2 / 2)
    return (np.einsum("ij,ij->i", Q, Q, dtype=float)[:, None] - D**2) / 2


_euclidean_exact = partial(cdist, metric="euclidean")
_manhattan_block = partial(cdist, metric="cityblock")


def _callable_block(Q, G, function, params):
    D = pairwise_distances(Q, G, metric=function, **params)
    if np.isnan(D).any():
        raise ValueError(f"The metric {function!r} gives NaN for some pairs of rows.")
    return D


def _euclidean():
    return _of_differences(_same)


def _of_differences(prepare):
    return Metric(
        prepare,
        _squared_block,
        _euclidean_exact,
        pairs=_euclidean_pairs,
        squared=True,
        shifts=True,
        reach=_squared_reach,
    )


def _manhattan():
    return Metric(_same, _manhattan_block, _manhattan_block)


def _cosine():
    return Metric(
        unit_rows,
        _cosine_block,
        _cosine_block,
        pairs=_cosine_pairs,
        reach=_cosine_reach,
    )


def _dot():
    return Metric(_same, _dot_block, _dot_block, pairs=_dot_pairs, reach=_dot_reach)


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

    return _of_differences(partial(_times, root))


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
        block = partial(_callable_block, function=metric, params=params)
        return Metric(_same, block, block)
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


def rounding(Q, G, squares, metric):
    """Bound (n_query, 1) of the rounding of a block of products.

    ``squares`` has the squared lengths (n_gallery,) of the rows of G.
    """
    if metric.pairs is None:
        return np.zeros((len(Q), 1))
    eps = 4 * np.finfo(np.result_type(Q, G)).eps * np.sqrt(Q.shape[1])
    dtype = np.result_type(Q, np.float32)
    q = np.sqrt(np.einsum("ij,ij->i", Q, Q, dtype=dtype))[:, None].astype(float)
    g = np.sqrt(squares.max(initial=0.0))
    return eps * ((q + g) ** 2 if metric.squared else np.maximum(q * g, 1e-300))


def pair_distances(Q, G, metric, rows, columns):
    """Exact distances (n_pairs,) of rows of Q to rows of G, in bounded memory."""
    values = np.empty(len(rows))
    for some in row_slices(len(rows), 16 * Q.shape[1]):
        values[some] = metric.pairs(Q[rows[some]], G[columns[some]])
    return values
