"""Rows by class: means, the spread within classes and between them.

References
----------
Searle, Casella & McCulloch (1992), "Variance components", section 3.6 (the analysis of
variance estimator with unequal numbers of rows).
Ioffe (2006), "Probabilistic linear discriminant analysis", ECCV.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from skmeta.core.whitening import shrink


class ClassMoments(NamedTuple):
    """Covariances within classes and between their means."""

    mean: np.ndarray  # (n_features,): of the classes' means
    scales: np.ndarray  # (n_features,): 1 / deviation within classes; 0 without any
    within: np.ndarray  # (n_features, n_features), of rows times the scales
    between: np.ndarray  # the same of the classes' means: B + W / n
    degrees: float  # of freedom of ``within``: rows less classes
    n_classes: int
    rows_per_class: float  # n for which ``between`` is B + W / n


def class_means(rows, codes, n_classes):
    """Means (..., n_classes, n_features) of rows (..., n_rows, n_features), and counts.

    Each class has rows.
    """
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=n_classes)
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(rows[..., order, :], starts, axis=-2, dtype=np.float64)
    return sums / counts[:, None], counts


def typical_shots(codes):
    """Rows of a class: the geometric mean over classes that have some."""
    counts = np.bincount(codes)
    return float(np.exp(np.log(counts[counts > 0]).mean()))


def class_moments(rows, codes, n_classes):
    """The moments of rows (n_rows, n_features) by class, each class weighing the same.

    Columns are brought to unit variance within classes, so that units do not count.
    """
    rows = rows.astype(np.float64)
    means, counts = class_means(rows, codes, n_classes)
    mean = means.mean(axis=0)
    degrees = len(rows) - n_classes
    # Of one row of each class nothing tells what is within from what is between.
    centred = rows - (means[codes] if degrees else mean)
    squares = np.einsum("ij,ij->j", centred, centred)
    deviation = np.sqrt(squares / max(degrees, 1))
    varies = deviation > 1e-12 * np.abs(rows).max(axis=0, initial=0.0)
    scales = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    centred *= scales
    spread = (means - mean) * scales
    return ClassMoments(
        mean,
        scales,
        centred.T @ centred / max(degrees, 1),
        spread.T @ spread / max(n_classes - 1, 1),
        degrees,
        n_classes,
        1.0 / np.mean(1.0 / counts),  # the mean over classes of W / n_i
    )


class Shrinkage(NamedTuple):
    """How far covariances of few classes are drawn towards simpler ones."""

    within: float  # of the one within towards a multiple of the identity, 0 to 1
    between: float  # of the one between towards a multiple of the one within
    by_column: bool  # whether columns are brought to unit variance within classes first


class Axes(NamedTuple):
    """Coordinates in which rows of a class have unit variance and no correlation."""

    mean: np.ndarray  # (n_features,)
    weights: np.ndarray  # (n_features, n_axes)
    between: np.ndarray  # (n_axes,): variance of the classes' means, descending


def discriminant_axes(moments, shrinkage):
    """Diagonalise the covariances within and between classes at once.

    Few classes say nothing of most directions: their covariance between is of a rank
    below their number, and shrinkage grants new classes the others.

    Parameters
    ----------
    moments : ClassMoments
    shrinkage : Shrinkage

    Returns
    -------
    Axes
    """
    varies = moments.scales > 0
    scales = moments.scales[varies]
    units = np.ones_like(scales) if shrinkage.by_column else 1.0 / scales
    scale = units.max(initial=0.0)
    units = units / (scale if scale > 0 else 1.0)  # of rows times the scales
    square = np.multiply.outer(units, units)
    within = moments.within[np.ix_(varies, varies)] * square
    # The means of n rows vary by W / n around those of their classes.
    between = moments.between[np.ix_(varies, varies)] * square
    between -= within / moments.rows_per_class
    # A direction without any variance is not more certain than rounding allows.
    values, vectors = eigh(between, shrink(within, max(shrinkage.within, 1e-8)))
    values, vectors = values[::-1], vectors[:, ::-1]
    # Towards a multiple of the covariance within: of the axes, that is the identity.
    level = max(values.mean(), 0.0) if len(values) else 0.0
    values = (1.0 - shrinkage.between) * values + shrinkage.between * level
    weights = np.zeros((len(moments.mean), vectors.shape[1]))
    weights[varies] = (scales * units)[:, None] * vectors
    return Axes(moments.mean, weights, np.maximum(values, 0.0))


def reliable_axes(axes):
    """The axes, each shrunk by what a class's mean tells of a row along it.

    A row and another of the same class correlate by B / (B + 1) along an axis: squared
    distances weighted by it see nothing of the axes along which classes do not differ.
    """
    reliability = axes.between / (axes.between + 1.0)
    kept = reliability > 0
    if not kept.any():  # nothing tells the classes apart
        return axes
    root = np.sqrt(reliability[kept])
    return Axes(axes.mean, axes.weights[:, kept] * root, axes.between[kept])
