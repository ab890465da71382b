"""How the coordinates of training rows vary together, whatever mapped them."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skmeta.core import em
from skmeta.core import moments as mo
from skmeta.core.blocks import row_slices
from skmeta.mapping._fit import moments_by_pattern
from skmeta.mapping._fusion import fill_missing, view_columns


class Statistics(NamedTuple):
    """Means, spreads and covariances; scores are coordinates at unit variance."""

    offsets: np.ndarray  # (m, k): means of the coordinates
    scales: np.ndarray  # (m, k): their standard deviations
    covariance: np.ndarray  # (m * k, m * k) of the scores
    correlations: np.ndarray  # (k,): averaged over the pairs of views
    means: dict  # of the columns of each view
    structure: dict  # covariance of the columns of each view with all scores


def of_coordinates(coordinates, blocks, names):
    """Statistics of coordinates of training rows.

    Parameters
    ----------
    coordinates : dict of str to ndarray (n_rows, k)
        Of each view; rows that lack it may hold anything finite.
    blocks : Blocks
        The training rows.
    names : sequence of str
    """
    m, k = len(names), next(iter(coordinates.values())).shape[1]
    joint = _joint_moments(blocks._replace(arrays=coordinates), names, k)
    variance = mo.variances(joint.n, joint.mean, joint.squares)
    deviations = np.sqrt(variance)
    inverse = np.divide(1, deviations, out=np.zeros(m * k), where=deviations > 0)
    covariance = mo.with_gram(joint).gram / joint.n * inverse * inverse[:, None]
    grid = covariance.reshape(m, k, m, k)
    correlations = (np.einsum("akbk->k", grid) - np.einsum("akak->k", grid)) / (
        m * (m - 1)
    )
    scores = np.column_stack([coordinates[name] for name in names])
    scores = (scores - joint.mean) * inverse
    present = np.column_stack([blocks.mask(name) for name in names])
    scores[~np.repeat(present, k, axis=1)] = 0.0
    complete = present.all(axis=1)
    if complete.sum() < 2:  # no row has all: what is expected stands for what is not
        scores = fill_missing(scores, present, covariance)
        complete = np.ones(len(scores), bool)
    means, structure = {}, {}
    for name in names:
        rows = np.flatnonzero(complete & blocks.mask(name))
        means[name], structure[name] = _columns_with(blocks.arrays[name], rows, scores)
    return Statistics(
        joint.mean.reshape(m, k),
        deviations.reshape(m, k),
        covariance,
        correlations,
        means,
        structure,
    )


def _joint_moments(blocks, names, k):
    patterns = moments_by_pattern(blocks, names)[0]
    complete = patterns.get((True,) * len(names))
    if (
        complete is not None
        and complete.n > 1
        and (len(patterns) == 1 or len(names) < 3)
    ):
        return complete
    slices = [view_columns(i, k) for i in range(len(names))]
    paired = {p: known for p, known in patterns.items() if sum(p) > 1}
    if not paired:
        raise ValueError(f"No row has two of the views {list(names)}; none to align.")
    return em.complete(paired, slices).moments


def _columns_with(array, rows, scores):
    """Means (p,) of columns, and their covariance (p, m * k) with scores."""
    p, n = array.shape[1], len(rows)
    mean, cross = np.zeros(p), np.zeros((p, scores.shape[1]))
    centre = scores[rows].mean(axis=0)
    first = array[rows[:1]]
    shift = np.asarray(first.toarray() if sparse.issparse(first) else first, float)[0]
    for some in row_slices(n, 8 * p):
        block = array[rows[some]]
        block = block.toarray() if sparse.issparse(block) else block
        block = np.subtract(block, shift, dtype=np.float64)
        mean += block.sum(axis=0) / n
        cross += block.T @ (scores[rows[some]] - centre)
    return mean + shift, cross / n
