"""Training rows of several views, as tensors, batch by batch."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse

from skmeta.core.blocks import is_mapped, release, row_slices
from skmeta.core.network import standardised

# Rows up to this size are standardised once and kept on the device.
MAX_RESIDENT_BYTES = 2**30

# Of memory-mapped rows so many are shuffled at a time, in blocks of neighbours: a disk
# reads neighbours together, and what was read is let go of.
WINDOW_BYTES = 2**27
BLOCK_ROWS = 1024


class Table:
    """Rows of one view, standardised; kept as a tensor, or taken as they are needed.

    Sparse rows, memory-mapped ones and those larger than `MAX_RESIDENT_BYTES` stay
    where they are.
    """

    def __init__(self, array, mask, means, scales, device, shape=None):
        self.shape = shape  # of an entry, where it is no row of numbers
        self.array, self.means, self.scales = array, means, scales
        self.device = device
        self.tensor = None
        small = 4 * array.shape[0] * array.shape[1] <= MAX_RESIDENT_BYTES
        if small and not sparse.issparse(array) and not is_mapped(array):
            rows = np.zeros(array.shape, np.float32)
            index = np.flatnonzero(mask)
            for step in row_slices(len(index), 8 * array.shape[1]):
                some = index[step]
                rows[some] = standardised(array[some], means, scales)
            self.tensor = torch.from_numpy(rows).to(device)

    def take(self, index):
        """Entries (n, ...) at an int64 tensor on the host."""
        if self.tensor is not None:
            rows = self.tensor.index_select(0, index.to(self.device))
        else:
            rows = standardised(self.array[index.numpy()], self.means, self.scales)
            rows = torch.from_numpy(rows).to(self.device)
        return rows if self.shape is None else rows.unflatten(1, self.shape)

    @property
    def mapped_bytes(self):
        """Bytes of a row that come from a file, 0 where rows are in memory."""
        if self.tensor is not None or not is_mapped(self.array):
            return 0
        return self.array.itemsize * self.array.shape[1]

    def release(self):
        """Let go of what was read of a file."""
        if self.mapped_bytes:
            release(self.array, 0, len(self.array))


class Batch(NamedTuple):
    """Some of the rows, of every view."""

    inputs: list  # of each view: (n_rows that have it, ...)
    places: list  # of each view: where these rows stand in the batch; None for all
    present: list  # of each view: mask (n,), or None
    groups: list  # of each view: ids (n,) of identical rows, or None
    target: torch.Tensor | None  # (n,) of classes, or (n, n_outputs)
    n: int


class Data(NamedTuple):
    """All rows, of every view."""

    tables: list
    present: list  # of each view: mask (n_rows,) as tensor on the host, or None
    groups: list  # of each view: ids (n_rows,) as tensor on the host, or None
    target: torch.Tensor | None  # on the host
    device: torch.device

    def batches(self, rows, batch_size, rng):
        """The rows in random order, as int64 tensors of about ``batch_size``.

        Memory-mapped rows come from one window of random blocks after another, so that
        no more of them is in memory than a window holds.
        """
        row_bytes = sum(table.mapped_bytes for table in self.tables)
        if row_bytes * len(rows) <= WINDOW_BYTES:
            yield from epoch_batches(rows, batch_size, rng)
            return
        n_together = max(1, WINDOW_BYTES // (row_bytes * BLOCK_ROWS))
        blocks = rng.permutation(-(-len(rows) // BLOCK_ROWS))
        left = rows[:0]
        for start in range(0, len(blocks), n_together):
            window = [
                rows[b * BLOCK_ROWS : (b + 1) * BLOCK_ROWS]
                for b in blocks[start : start + n_together]
            ]
            window = np.concatenate([left, rng.permutation(np.concatenate(window))])
            n_whole = len(window) - len(window) % batch_size
            left = window[n_whole:]
            yield from torch.from_numpy(window[:n_whole]).split(batch_size)
            for table in self.tables:
                table.release()
        if len(left) > 1:
            yield torch.from_numpy(left)

    def batch(self, index):
        """The rows at an int64 tensor on the host."""
        inputs, places, present = [], [], []
        for table, mask in zip(self.tables, self.present, strict=True):
            here = None if mask is None else mask[index]
            if here is None or bool(here.all()):
                places.append(None)
                present.append(None)
                inputs.append(table.take(index))
                continue
            inputs.append(table.take(index[here]))
            places.append(here.nonzero()[:, 0].to(self.device))
            present.append(here.to(self.device))
        groups = [None if g is None else g[index].to(self.device) for g in self.groups]
        target = None if self.target is None else self.target[index].to(self.device)
        return Batch(inputs, places, present, groups, target, len(index))


def identical_rows(array):
    """Ids (n_rows,) int64 that identical rows share, or None where no two are."""
    n = array.shape[0]
    keys = np.empty(n, np.int64)
    if sparse.issparse(array):
        array = array.tocsr().sorted_indices()
        ends = array.indptr
        for i in range(n):
            row = slice(ends[i], ends[i + 1])
            keys[i] = hash((array.indices[row].tobytes(), array.data[row].tobytes()))
    else:
        for i in range(n):
            # adding 0 makes -0.0 the same as 0.0
            keys[i] = hash((array[i] + 0).tobytes())
            if i % BLOCK_ROWS == BLOCK_ROWS - 1:
                release(array, i + 1 - BLOCK_ROWS, i + 1)
    first, ids = np.unique(keys, return_index=True, return_inverse=True)[1:]
    return None if len(first) == n else first[ids]


def epoch_batches(index, batch_size, rng):
    """The rows ``index`` in random order, in batches; none of a single row.

    Parameters
    ----------
    index : ndarray of int (n_rows,)
    batch_size : int
    rng : numpy.random.Generator or RandomState

    Returns
    -------
    list of tensor of int64
    """
    order = torch.from_numpy(rng.permutation(index).astype(np.int64))
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
