"""How much the covariances of few training classes are to be trusted."""

from functools import cache

import numpy as np

from skmeta.core.classes import (
    Shrinkage,
    class_moments,
    discriminant_axes,
    reliable_axes,
)
from skmeta.core.distances import unit_rows
from skmeta.core.heads import HEADS
from skmeta.core.projection import project
from skmeta.few_shot._held_out import Fold, accuracies, draw

WITHIN = (0.05, 0.3, 0.6, 1.0)
BETWEEN = (0.05, 0.4, 0.8, 1.0)
# Where the search begins, and where it ends if nothing can be held out.
START = Shrinkage(0.6, 0.8, False)
# Another has to be better by so much: some of what is best is so by chance.
MARGIN = 0.01
# Episodes a fold.
N_EPISODES = 30


def moments_of(classes, embedding):
    """`ClassMoments` of embedded classes."""
    Z = embedding(classes.X)
    return class_moments(Z, classes.codes, classes.n_classes)


def axes_of(moments, shrinkage, kind):
    """Axes for "gaussian", or the "reliable" ones, which embed."""
    axes = discriminant_axes(moments, shrinkage)
    return reliable_axes(axes) if kind == "reliable" else axes


def along_reliable_axes(fold, moments, shrinkage):
    """The fold, in the coordinates of reliable axes."""
    axes = axes_of(moments, shrinkage, "reliable")
    given = fold.given._replace(mean=np.zeros(axes.weights.shape[1]))
    Z = project(fold.Z, axes.mean, axes.weights)
    return Fold(unit_rows(Z) if fold.unit else Z, fold.pool, given)


def along_unit_axes(fold, moments, shrinkage):
    """The fold, in the coordinates of the axes of "gaussian"."""
    axes = axes_of(moments, shrinkage, "unit")
    given = fold.given._replace(axes=axes._replace(weights=None))
    Z = project(fold.Z, axes.mean, axes.weights)
    return Fold(Z, fold.pool, given)


def choose(head, folds, moments, place, shots, n_way, n_query, seed):
    """The shrinkages that are best on episodes of held-out classes.

    Parameters
    ----------
    head : str
        Of `HEADS`.
    folds : list of Fold
        Held-out rows, embedded.
    moments : list of ClassMoments
        Of the classes of the other folds.
    place : callable
        ``(fold, moments, shrinkage) -> Fold`` with the axes in their place.
    shots : sequence of tuple of int
        For each the numbers of shots of the episodes, which count alike.
    n_way, n_query : int
    seed : int

    Returns
    -------
    chosen : list of Shrinkage
        For each of ``shots``.
    score : float
        Mean accuracy with them; 0 where nothing is held out.
    """
    if not folds:
        return [START] * len(shots), 0.0
    drawn = [
        [
            [t for k in group for t in draw(fold, N_EPISODES, n_way, k, n_query, seed)]
            for group in shots
        ]
        for fold in folds
    ]

    @cache
    def scores(shrinkage):
        found = np.zeros(len(shots))
        for fold, own, by_shots in zip(folds, moments, drawn, strict=True):
            placed = place(fold, own, shrinkage)
            for j, some in enumerate(by_shots):
                found[j] += accuracies(HEADS[head], placed, some).mean()
        return found

    chosen = [START] * len(shots)
    for j in range(len(shots)):
        for name, values in (  # one after another
            ("by_column", (True, False)),
            ("within", WITHIN),
            ("between", BETWEEN),
        ):
            tried = [chosen[j]._replace(**{name: value}) for value in values]
            best = max(tried, key=lambda shrinkage: scores(shrinkage)[j])
            if scores(best)[j] > scores(chosen[j])[j] + MARGIN * len(folds):
                chosen[j] = best
    found = [scores(shrinkage)[j] for j, shrinkage in enumerate(chosen)]
    return chosen, float(np.mean(found)) / len(folds)
