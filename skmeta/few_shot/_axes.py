"""How much the covariances of few training classes are to be trusted."""

from functools import cache

import numpy as np

from skmeta.core.classes import (
    Shrinkage,
    class_moments,
    discriminant_axes,
    reliable_axes,
)
from skmeta.core.heads import HEADS
from skmeta.core.projection import project
from skmeta.few_shot._held_out import Fold, accuracies, draw

WITHIN = (0.05, 0.3, 0.6, 1.0)
BETWEEN = (0.05, 0.3, 0.7, 1.0)
# Where the search begins, and where it ends if nothing can be held out.
START = Shrinkage(0.6, 0.7, True)
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
    return Fold(project(fold.Z, axes.mean, axes.weights), fold.pool, given)


def along_unit_axes(fold, moments, shrinkage):
    """The fold, in the coordinates of the axes of "gaussian"."""
    axes = axes_of(moments, shrinkage, "unit")
    given = fold.given._replace(axes=axes._replace(weights=None))
    return Fold(project(fold.Z, axes.mean, axes.weights), fold.pool, given)


def choose(head, folds, moments, place, shots, n_way, n_query, seed):
    """The shrinkage that is best on episodes of held-out classes, by shots.

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
    shots : sequence of int
    n_way, n_query : int
    seed : int

    Returns
    -------
    dict of int to Shrinkage
    """
    if not folds:
        return dict.fromkeys(shots, START)
    drawn = [
        [list(draw(fold, N_EPISODES, n_way, k, n_query, seed)) for k in shots]
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

    chosen = {}
    for j, k in enumerate(shots):  # one after another of the three
        best = START
        for name, values in (
            ("by_column", (True, False)),
            ("within", WITHIN),
            ("between", BETWEEN),
        ):
            tried = [best._replace(**{name: value}) for value in values]
            best = max(tried, key=lambda shrinkage: scores(shrinkage)[j])
        chosen[k] = best
    return chosen
