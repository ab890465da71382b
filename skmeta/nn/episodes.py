"""Training tasks: drawn on the host for a whole epoch, gathered on the device.

An epoch of `skmeta.nn.training.train` is some meta-updates, and its rows are tasks: of
``rows = np.arange(n_updates * meta_batch_size)`` and ``batch_size=meta_batch_size``
each batch is one meta-update.
"""

from typing import NamedTuple

import numpy as np
import torch

from skmeta.core.episodes import NONE, draw_episodes
from skmeta.nn.tasks import Rows, Tasks

# Rows of several meta-updates are gathered at a time: of small tasks that alone takes
# as long as some of their layers.
BLOCK_BYTES = 8 * 2**20


class EpisodeData:
    """Tasks drawn anew for each epoch by the generator of the training.

    Parameters
    ----------
    X : tensor (n_rows, ...)
        On the device.
    y : tensor (n_rows, n_outputs) or None
        Targets of a regression; None for classification.
    pool : Pool
        Of `skmeta.core.episodes.pool_of`; of a regression all rows of a task one class.
    n_way, k_shot, n_query : int
        ``n_way=1`` for a regression.
    min_shot : int or None, default=None
        Where it is less than ``k_shot``, tasks have as many support rows a class as is
        drawn from ``min_shot`` to ``k_shot``, each its own number.
    """

    def __init__(self, X, y, pool, n_way, k_shot, n_query, min_shot=None):
        self.X, self.y, self.pool = X, y, pool
        self.n_way, self.k_shot, self.n_query = n_way, k_shot, n_query
        self.min_shot = k_shot if min_shot is None else min_shot
        self.drawn, self.gathered = None, {}

    def batches(self, rows, batch_size, rng):
        """Draw ``len(rows)`` tasks; yields the numbers of those of each meta-update."""
        episodes = draw_episodes(
            self.pool, len(rows), self.n_way, self.k_shot, self.n_query, rng
        )
        if self.min_shot < self.k_shot:
            shots = rng.integers(self.min_shot, self.k_shot + 1, size=(len(rows), 1, 1))
            few = np.where(np.arange(self.k_shot) < shots, episodes.support, NONE)
            episodes = episodes._replace(support=few)
        self.gathered = {}
        self.drawn = Drawn.of(episodes, self.y is not None, self.X.device, self.X.dtype)
        for start in range(0, len(rows), batch_size):
            yield range(start, min(start + batch_size, len(rows)))

    def batch(self, index):
        """The tasks of such numbers."""
        if index.start not in self.gathered:
            n = len(index)
            entry = self.X[0].numel() * self.X.element_size()
            n_rows = self.n_way * (self.k_shot + self.n_query)
            n_batches = max(1, BLOCK_BYTES // (n * n_rows * entry))
            block = self.drawn.tasks(self.X, self.y, index.start, n * n_batches)
            self.gathered = {
                index.start + i * n: part for i, part in enumerate(block.split(n))
            }
        return self.gathered.pop(index.start)


class Drawn(NamedTuple):
    """Episodes as the rows of their support and query, and what each row weighs."""

    support: torch.Tensor  # (n_tasks, n_way * k_shot) of int64
    query: torch.Tensor
    support_weights: torch.Tensor
    query_weights: torch.Tensor
    support_y: torch.Tensor | None  # (1, n_way * k_shot) of classes 0 to n_way - 1
    query_y: torch.Tensor | None
    absent: torch.Tensor | None  # (n_tasks, n_way)
    n_way: int

    @classmethod
    def of(cls, episodes, regression, device, dtype):
        """Those of `skmeta.core.episodes.draw_episodes`, on a device."""
        n_way, parts = episodes.support.shape[1], []
        for rows, weights_of in (
            (episodes.support, balanced),
            (episodes.query, equal),
        ):
            present = rows != NONE
            index = np.where(present, rows, 0).reshape(len(rows), -1)
            weights = weights_of(present).reshape(len(rows), -1)
            y = torch.arange(n_way).repeat_interleave(rows.shape[2])[None]
            parts.append(
                [
                    torch.from_numpy(index),
                    torch.from_numpy(weights).to(dtype),
                    None if regression else y,
                ]
            )
        absent = episodes.classes == NONE
        absent = torch.from_numpy(absent) if absent.any() else None
        tensors = [*(t for pair in zip(*parts, strict=True) for t in pair), absent]
        return cls(*(None if t is None else t.to(device) for t in tensors), n_way)

    def tasks(self, X, y, start, n):
        """Some of them, with their rows."""
        some = slice(start, start + n)
        absent = None if self.absent is None else self.absent[some]
        support, query = (
            _rows(X, y, index[some], weights[some], labels, absent)
            for index, weights, labels in (
                (self.support, self.support_weights, self.support_y),
                (self.query, self.query_weights, self.query_y),
            )
        )
        return Tasks(support, query, self.n_way if y is None else y.shape[1])


def _rows(X, y, index, weights, labels, absent):
    flat = index.flatten()
    shape = index.shape
    inputs = X.index_select(0, flat).view(*shape, *X.shape[1:])
    if y is None:
        return Rows(inputs, labels.expand(shape), weights, absent)
    return Rows(inputs, y.index_select(0, flat).view(*shape, -1), weights, absent)


def balanced(present):
    """Weights (n_tasks, n_way, n_rows) by which each class counts the same."""
    counts = present.sum(axis=2, keepdims=True)
    n_classes = (counts > 0).sum(axis=1, keepdims=True)
    return present / np.maximum(counts * n_classes, 1)


def equal(present):
    """Weights (n_tasks, n_way, n_rows) by which each row of a task counts the same."""
    return present / np.maximum(present.sum(axis=(1, 2), keepdims=True), 1)
