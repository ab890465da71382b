"""What a metric learner learns of its training classes before any head."""

from typing import NamedTuple

import numpy as np

from skmeta._torch import encode
from skmeta.core.classes import (
    Axes,
    class_moments,
    discriminant_axes,
    reliable_axes,
)
from skmeta.core.distances import get_metric
from skmeta.core.projection import project


class Embedding(NamedTuple):
    """From rows to the coordinates that heads see; each step may be None."""

    first: Axes | None = None  # applied to raw rows
    network: object = None  # trained
    last: Axes | None = None  # applied to what the network, or the rows, give

    def __call__(self, X):
        """Coordinates (n_rows, n_components) of rows (n_rows, ...)."""
        Z = X.reshape(len(X), -1)
        if self.first is not None:
            Z = project(Z, self.first.mean, self.first.weights)
        if self.network is not None:
            Z = encode(self.network, Z)
        if self.last is not None:
            Z = project(Z, self.last.mean, self.last.weights)
        return Z


def axes_of(Z, codes, n_classes, kind):
    """Axes that embedded rows of classes teach.

    ``kind`` is "unit" for unit variance within classes, "reliable", or None.
    """
    if kind is None:
        return None
    Z = Z.reshape(len(Z), -1)
    found = discriminant_axes(class_moments(Z, codes, n_classes))
    return reliable_axes(found) if kind == "reliable" else found


def with_axes(embedding, X, codes, n_classes, kind):
    """The embedding, ended by the axes that rows of classes teach."""
    return embedding._replace(last=axes_of(embedding(X), codes, n_classes, kind))


def learned_for_heads(embedding, Z):
    """What a `Given` has of the embedded training rows: a dict of arrays."""
    found = {"mean": Z.mean(axis=0, dtype=np.float64)}
    if embedding.last is not None:
        found["between"] = embedding.last.between
    return found


def learns_metric(metric, params):
    """Whether the metric is learned: "mahalanobis" of which no VI is given."""
    return (
        isinstance(metric, str)
        and metric == "mahalanobis"
        and "VI" not in (params or {})
    )


def metric_of(metric, params):
    """The `Metric`; one that is learned is Euclidean in the embedding."""
    if learns_metric(metric, params):
        return get_metric("euclidean")
    return get_metric(metric, params)
