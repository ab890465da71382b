"""Heads of few-shot classifiers in closed form: from a support to logits of queries.

A head is two functions: ``fit(Z, codes, n_classes, given) -> state`` of the embedded
support and ``logits(state, Q, given) -> (n_queries, n_classes)``, the state a dict of
arrays and ``given`` what was learned over tasks (`Given`). `learn` and `answer` call
them.

References
----------
Snell, Swersky & Zemel (2017), "Prototypical networks for few-shot learning", NeurIPS.
Vinyals et al. (2016), "Matching networks for one shot learning", NeurIPS, eq. 1.
Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with differentiable
closed-form solvers", ICLR, eq. 4.
Wang, Chao, Weinberger & van der Maaten (2019), "SimpleShot".
Sung et al. (2018), "Learning to compare: relation network for few-shot learning", CVPR.
Ioffe (2006), "Probabilistic linear discriminant analysis", ECCV.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from skmeta.core.blocks import row_slices
from skmeta.core.classes import Axes, class_means
from skmeta.core.distances import Metric, unit_rows
from skmeta.core.projection import ROWS_AT_A_TIME


class Given(NamedTuple):
    """What a head is given beside the support."""

    metric: Metric | None = None
    temperature: float = 1.0  # logits are divided by it
    penalty: float = 1.0  # of "ridge", in units of the mean variance of the support
    mean: np.ndarray | None = None  # (n_features,) of the training rows
    axes: Axes | None = None  # of "gaussian"
    relation: tuple | None = None  # weights and biases of two layers


class Head(NamedTuple):
    """A head, and what it is made of."""

    fit: Callable
    logits: Callable
    prepare: Callable | None = None  # (Z, given) -> Z, of support and queries first
    uses_metric: bool = False
    refines: bool = False  # whether "prototypes" may be refined by queries
    uses_penalty: bool = False
    uses_mean: bool = False  # of the training rows, `Given.mean`
    needs_training: bool = False  # by torch
    soft: bool = False  # the temperature is inside: it changes what is predicted


def similarities(Q, P, metric):
    """How near rows are (..., n_queries, n_rows): -d^2 of squared metrics, else -d.

    With "cosine" and "dot" that is the cosine less 1, and the product.
    """
    if P.ndim > 2:
        one_by_one = zip(Q, P, strict=True)
        return np.stack([similarities(q, p, metric) for q, p in one_by_one])
    if metric.shifts:  # products round by the size of the rows
        shift = P.mean(axis=0)
        Q, P = Q - shift, P - shift
    return -metric.block(metric.prepare(Q), metric.prepare(P))


def _prototypes(Z, codes, n_classes, given):
    means, counts = class_means(Z, codes, n_classes)
    return {"prototypes": means, "counts": counts}


def _nearest_prototype(state, Q, given):
    return similarities(Q, state["prototypes"], given.metric) / given.temperature


def _keep_support(Z, codes, n_classes, given):
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=n_classes)
    return {"support": Z[..., order, :], "counts": counts}


def _attention(state, Q, given):
    """Log of the attention to a class's rows, averaged over them."""
    counts = state["counts"]
    starts = np.cumsum(counts) - counts
    S = similarities(Q, state["support"], given.metric) / given.temperature
    largest = np.maximum.reduceat(S, starts, axis=-1)  # (..., n_queries, n_classes)
    S = np.exp(S - np.repeat(largest, counts, axis=-1))
    return largest + np.log(np.add.reduceat(S, starts, axis=-1) / counts)


def _ridge(Z, codes, n_classes, given):
    """Least squares to one-hot targets; classes weigh the same, whatever their shots.

    With fewer rows than columns by the matrix of products of rows (Woodbury).
    """
    means, counts = class_means(Z, codes, n_classes)
    mean = means.mean(axis=-2, keepdims=True)
    root = np.sqrt(1.0 / (n_classes * counts[codes]))[:, None]
    X = (Z - mean) * root  # (..., n_rows, n_features)
    Y = (np.eye(n_classes)[codes] - 1.0 / n_classes) * root
    n, p = X.shape[-2:]
    X_t = np.swapaxes(X, -1, -2)
    variance = np.einsum("...ij,...ij->...", X, X)[..., None, None]
    penalty = np.where(variance > 0, given.penalty * variance / min(n, p), 1.0)
    if n < p:
        Y = np.broadcast_to(Y, (*X.shape[:-2], *Y.shape))
        weights = X_t @ np.linalg.solve(X @ X_t + penalty * np.eye(n), Y)
    else:
        weights = np.linalg.solve(X_t @ X + penalty * np.eye(p), X_t @ Y)
    return {"weights": weights, "mean": mean, "counts": counts}


def _linear(state, Q, given):
    return (Q - state["mean"]) @ state["weights"] / given.temperature


def _centred_unit(Z, given):
    return unit_rows(Z - given.mean)


def _along_axes(Z, given):
    if given.axes.weights is None:  # they lie along them
        return Z
    return (Z - given.axes.mean) @ given.axes.weights


def _predictive(state, Q, given):
    """Log-density of queries, in coordinates of unit variance within classes.

    A prior N(0, B) of a class's mean and n rows of mean z give the posterior
    N(B n z / (B n + 1), B / (B n + 1)); a query varies by 1 around that.
    """
    B, n = given.axes.between, state["counts"][:, None]
    shrunk = B * n / (B * n + 1.0)  # (n_classes, n_features)
    variance = 1.0 + B / (B * n + 1.0)
    precision = 1.0 / variance
    centres = state["prototypes"] * shrunk
    # sum of (q - c)^2 / v, as products
    logits = Q @ np.swapaxes(centres * precision, -1, -2)
    logits -= 0.5 * (Q**2 @ precision.T)
    constant = np.sum(centres**2 * precision + np.log(variance), axis=-1)
    logits -= 0.5 * constant[..., None, :]
    return logits / given.temperature


def _related(state, Q, given):
    """A perceptron's score of each prototype beside each query."""
    weights, biases, out_weights, out_biases = given.relation
    P, d = state["prototypes"], Q.shape[-1]
    of_prototypes = P @ weights[:d]  # (..., n_classes, width)
    of_queries = Q @ weights[d:] + biases
    H = of_prototypes[..., None, :, :] + of_queries[..., :, None, :]
    np.maximum(H, 0.0, out=H)
    return ((H @ out_weights)[..., 0] + out_biases) / given.temperature


HEADS = {
    "prototype": Head(_prototypes, _nearest_prototype, uses_metric=True, refines=True),
    "matching": Head(_keep_support, _attention, uses_metric=True, soft=True),
    "relation": Head(_prototypes, _related, needs_training=True),
    "ridge": Head(_ridge, _linear, uses_penalty=True),
    "simpleshot": Head(
        _prototypes,
        _nearest_prototype,
        prepare=_centred_unit,
        uses_metric=True,
        refines=True,
        uses_mean=True,
    ),
    "gaussian": Head(_prototypes, _predictive, prepare=_along_axes, refines=True),
}


def learn(head, Z, codes, n_classes, given):
    """The state of a head after a support of rows (n_rows, n_features).

    Supports (n_supports, n_rows, n_features) of the same codes may be learned at once;
    `answer` then takes queries (n_supports, n_queries, n_features).
    """
    if head.prepare is not None:
        Z = head.prepare(Z, given)
    return head.fit(Z, codes, n_classes, given)


# Rounds of refinement: further ones change few answers.
N_REFINEMENTS = 10


def answer(head, state, Q, given, *, transductive=False):
    """Logits (..., n_queries, n_classes) of queries (..., n_queries, n_features).

    With ``transductive`` all queries, of one support, refine the prototypes first, each
    by the probabilities that it has of being of the class.
    """
    if head.prepare is not None:
        Q = head.prepare(Q, given)
    logits = head.logits(state, Q, given)
    if not transductive:
        return logits
    sums = state["prototypes"] * state["counts"][:, None]
    for _ in range(N_REFINEMENTS):
        shares = softmax(logits, axis=1)  # (n_queries, n_classes)
        counts = state["counts"] + shares.sum(axis=0)
        prototypes = (sums + shares.T @ Q) / counts[:, None]
        refined = state | {"prototypes": prototypes, "counts": counts}
        logits = head.logits(refined, Q, given)
    return logits


def answer_in_blocks(head, state, Q, given):
    """`answer` in bounded memory, and for equal rows whatever stands beside them.

    Rows are padded to full tiles, as in `skmeta.core.projection`.
    """
    n, n_classes = len(Q), len(state["counts"])
    Q = np.pad(Q, ((0, -n % ROWS_AT_A_TIME), (0, 0)))
    width = max(len(state.get("support", ())), n_classes, Q.shape[1])
    if given.relation is not None:  # a perceptron of each query beside each class
        width = max(width, n_classes * given.relation[0].shape[1])
    logits = np.empty((len(Q), n_classes))
    tile_bytes = 8 * ROWS_AT_A_TIME * width
    for step in row_slices(len(Q) // ROWS_AT_A_TIME, tile_bytes):
        rows = slice(step.start * ROWS_AT_A_TIME, step.stop * ROWS_AT_A_TIME)
        logits[rows] = answer(head, state, Q[rows], given)
    return logits[:n]
