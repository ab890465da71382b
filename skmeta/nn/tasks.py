"""Rows of several tasks at once, and what a task loses on them.

A loss is taken of each task by itself: outputs ``(n_tasks, n_rows, n_outputs)`` in,
``(n_tasks,)`` out, so that the gradient of their sum is that of every task. Rows weigh
what `Rows.weights` says, and those that fill up a task weigh nothing.
"""

from typing import NamedTuple

import torch
from torch.nn import functional as F


class Rows(NamedTuple):
    """Some rows of each of several tasks."""

    X: torch.Tensor  # (n_tasks, n_rows, ...)
    y: torch.Tensor  # (n_tasks, n_rows) of classes, or (n_tasks, n_rows, n_outputs)
    weights: torch.Tensor  # (n_tasks, n_rows), of sum 1 in a task
    absent: torch.Tensor | None = None  # (n_tasks, n_way) mask of classes not there

    def split(self, n):
        """The rows of ``n`` tasks at a time."""
        parts = [part.split(n) for part in self if part is not None]
        return [Rows(*some) for some in zip(*parts, strict=True)]


class Tasks(NamedTuple):
    """Several tasks: rows to adapt on, and rows to be judged on."""

    support: Rows
    query: Rows
    n_outputs: int  # classes of a task, or outputs of a regression

    def __len__(self):
        return len(self.support.X)

    def split(self, n):
        """The same tasks, ``n`` at a time."""
        return [
            Tasks(support, query, self.n_outputs)
            for support, query in zip(
                self.support.split(n), self.query.split(n), strict=True
            )
        ]


class Loss(NamedTuple):
    """A loss of each task, and what it becomes in the hand-written gradients.

    Without the last two gradients are torch's own.
    """

    value: object  # (Z, rows) -> (n_tasks,)
    gradient: object = None  # (Z, rows) -> derivative by Z, what curvature needs
    curvature: object = None  # (RZ, rows, what it needs) -> derivative of the gradient


def balanced_weights(y, present, n_way):
    """Weights (n_tasks, n_rows) by which each class of a task counts the same.

    Parameters
    ----------
    y : tensor of int64 (n_tasks, n_rows)
    present : tensor of bool (n_tasks, n_rows)
    n_way : int
    """
    one_hot = F.one_hot(y, n_way) * present.unsqueeze(2)  # (n_tasks, n_rows, n_way)
    counts = one_hot.sum(dim=1)
    own = counts.gather(1, y).clamp(min=1)
    n_classes = (counts > 0).sum(dim=1, keepdim=True).clamp(min=1)
    return present / (own * n_classes)


def equal_weights(present):
    """Weights (n_tasks, n_rows) by which each row of a task counts the same."""
    return present / present.sum(dim=1, keepdim=True).clamp(min=1)


# ---- losses --------------------------------------------------------------------------


def _cross_entropy(Z, rows):
    each = F.cross_entropy(
        _open(Z, rows).flatten(0, 1), rows.y.flatten(), reduction="none"
    )
    # A row that fills up a class that is not there has an infinite loss, of no weight.
    each = each.view(rows.y.shape).masked_fill(rows.weights == 0, 0.0)
    return (each * rows.weights).sum(dim=1)


def _cross_entropy_gradient(Z, rows):
    shares = torch.softmax(_open(Z, rows), dim=2)
    weights = rows.weights.unsqueeze(2)
    delta = shares * weights
    return delta.scatter_add_(2, rows.y.unsqueeze(2), -weights), shares


def _cross_entropy_curvature(RZ, rows, shares):
    weighted = shares * RZ
    change = torch.addcmul(
        weighted, shares, weighted.sum(dim=2, keepdim=True), value=-1
    )
    return change.mul_(rows.weights.unsqueeze(2))


def _open(Z, rows):
    """Logits, of which those of classes that a task does not have count nothing."""
    if rows.absent is None:
        return Z
    return Z.masked_fill(rows.absent.unsqueeze(1), -torch.inf)


def _squared_error(Z, rows):
    return ((Z - rows.y).square().mean(dim=2) * rows.weights).sum(dim=1)


def _squared_error_gradient(Z, rows):
    weights = rows.weights.unsqueeze(2) * (2 / Z.shape[2])
    return (Z - rows.y).mul_(weights), weights


def _squared_error_curvature(RZ, rows, weights):
    return RZ * weights


LOSSES = {
    "cross_entropy": Loss(
        _cross_entropy, _cross_entropy_gradient, _cross_entropy_curvature
    ),
    "squared_error": Loss(
        _squared_error, _squared_error_gradient, _squared_error_curvature
    ),
}
