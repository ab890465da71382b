"""What a metric learner learns of its training classes before any head."""

from typing import NamedTuple

from skmeta._torch import encode
from skmeta.core.classes import Axes
from skmeta.core.distances import get_metric, unit_rows
from skmeta.core.projection import project


class Embedding(NamedTuple):
    """From rows to the coordinates that heads see; each step may be None."""

    first: Axes | None = None  # applied to rows
    network: object = None  # trained
    last: Axes | None = None  # applied to what the network, or the rows, give
    unit: bool = False  # whether rows are brought to length one, before and after

    def __call__(self, X):
        """Coordinates (n_rows, n_components) of rows (n_rows, ...)."""
        Z = X.reshape(len(X), -1)
        if self.unit:
            Z = unit_rows(Z)
        if self.first is not None:
            Z = project(Z, self.first.mean, self.first.weights)
        if self.network is not None:
            Z = encode(self.network, Z)
        if self.last is not None:
            Z = project(Z, self.last.mean, self.last.weights)
            if self.unit:
                Z = unit_rows(Z)
        return Z


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
