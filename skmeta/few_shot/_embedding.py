"""What a metric learner learns of its training classes before any head."""

from typing import NamedTuple

import numpy as np

from skmeta.core.classes import (
    Axes,
    class_moments,
    discriminant_axes,
    reliable_axes,
)
from skmeta.core.distances import get_metric
from skmeta.core.projection import project


class Embedding(NamedTuple):
    """From rows to the coordinates that heads see."""

    network: object  # trained, or None
    axes: Axes | None  # applied after it

    def __call__(self, X):
        """Coordinates (n_rows, n_components) of rows (n_rows, ...)."""
        Z = X.reshape(len(X), -1)
        if self.axes is not None:
            Z = project(Z, self.axes.mean, self.axes.weights)
        return Z


def learn_embedding(X, codes, n_classes, axes):
    """The embedding that rows of the training classes give, without training.

    ``axes`` is None, "unit" for unit variance within classes, or "reliable".
    """
    if axes is None:
        return Embedding(None, None)
    flat = X.reshape(len(X), -1)
    found = discriminant_axes(class_moments(flat, codes, n_classes))
    return Embedding(None, reliable_axes(found) if axes == "reliable" else found)


def learned_for_heads(embedding, Z):
    """What a `Given` has of the embedded training rows: a dict of arrays."""
    found = {"mean": Z.mean(axis=0, dtype=np.float64)}
    if embedding.axes is not None:
        found["between"] = embedding.axes.between
    return found


def learns_metric(metric, params):
    """Whether the metric is learned: "mahalanobis" of which no VI is given."""
    return metric == "mahalanobis" and "VI" not in (params or {})


def metric_of(metric, params):
    """The `Metric`; one that is learned is Euclidean in the embedding."""
    if learns_metric(metric, params):
        return get_metric("euclidean")
    return get_metric(metric, params)
