"""Batches of several rows of each of several classes, and how they are split.

A batch is embedded once. In a split some rows of each class are its support and the
others are asked for: with one row of support, every row serves as a one-shot prototype
for all others in turn.
"""

from typing import NamedTuple

import numpy as np
import torch

from skmeta.core.episodes import NONE, draw_episodes, draw_subsets


class ClassBatch(NamedTuple):
    """Rows of classes."""

    X: torch.Tensor  # (n_classes * n_per_class, ...); padding is of any row
    there: torch.Tensor  # (n_classes, n_per_class) bool
    support: torch.Tensor  # (n_splits, n_per_class) bool: places that are support


class ClassBatches:
    """Rows of a pool, in batches for `skmeta.nn.training.train`.

    Parameters
    ----------
    table : Table
    pool : Pool
        Of the rows to train on.
    n_classes, n_per_class : int
        Of a batch.
    k_shot : int
        Places of a class that are support in a split.
    n_splits : int or None
        Splits of a batch: with None every place is the first of a support once.
    within : Pool or None
        Pool by task, from which a share of the batches is drawn.
    share_within : float
        That share.
    turns : bool
        Whether a class turned by 90, 180 or 270 degrees is another class.
    """

    def __init__(
        self,
        table,
        pool,
        *,
        n_classes,
        n_per_class,
        k_shot=1,
        n_splits=None,
        within=None,
        share_within=0.0,
        turns=False,
    ):
        self.table, self.pool, self.within = table, pool, within
        self.n_classes, self.n_per_class = n_classes, n_per_class
        self.share_within, self.turns = share_within, turns
        n_splits = n_per_class if n_splits is None else n_splits
        place = np.arange(n_per_class)
        starts = np.arange(n_splits)[:, None]
        self.support = torch.from_numpy((place - starts) % n_per_class < k_shot)

    def batches(self, rows, batch_size, rng):
        """Rows (n_classes, n_per_class) of each batch, `NONE` where there are none.

        ``rows`` says by its length how many batches an epoch has.
        """
        n = max(1, -(-len(rows) // batch_size))
        generator = np.random.default_rng(rng.randint(2**31 - 1))
        n_within = generator.binomial(n, self.share_within) if self.within else 0
        parts = [self._draw(self.pool, n - n_within, generator)]
        if n_within:
            parts.append(self._draw(self.within, n_within, generator))
        drawn = np.concatenate([p for p in parts if len(p)])
        yield from map(torch.from_numpy, generator.permutation(drawn))

    def _draw(self, pool, n, rng):
        """Rows (n, n_classes, n_per_class); with turns, plus the turn * n_rows."""
        if n == 0:
            return np.empty((0, self.n_classes, self.n_per_class), np.int64)
        m = self.n_per_class
        if not self.turns:
            drawn = draw_episodes(pool, n, self.n_classes, m - 1, 1, rng)
            return np.concatenate([drawn.support, drawn.query], axis=2)
        n_rows = len(self.table.array)
        task = rng.integers(len(pool.tasks), size=n)
        chosen = draw_subsets(4 * pool.n_classes[task], self.n_classes, rng)
        none = chosen == NONE
        cells = pool.first_cells[task][:, None] + np.where(none, 0, chosen) // 4
        counts = np.where(none, 0, pool.counts[cells]).ravel()
        drawn = draw_subsets(counts, m, rng).reshape(n, -1, m)
        rows = pool.rows[np.where(drawn < 0, 0, drawn + pool.starts[cells][..., None])]
        turned = rows + n_rows * (chosen % 4)[..., None]
        return np.where(drawn == NONE, NONE, turned)

    def batch(self, index):
        """The batch of rows (n_classes, n_per_class)."""
        index = index.to(torch.int64)
        there = index != NONE
        flat = index.clamp(min=0).flatten()
        if not self.turns:
            X = self.table.take(flat)
        else:
            turn = torch.div(flat, len(self.table.array), rounding_mode="floor")
            X = turned(self.table.take(flat % len(self.table.array)), turn)
        device = X.device
        return ClassBatch(X, there.to(device), self.support.to(device))


def turned(X, turn):
    """Images (n, channels, side, side), each turned by ``turn`` quarters."""
    result = X.clone()
    for quarter in (1, 2, 3):
        which = (turn == quarter).nonzero()[:, 0].to(X.device)
        if len(which):
            result[which] = torch.rot90(X[which], quarter, dims=(2, 3))
    return result
