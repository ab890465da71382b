"""Training rows of several views, as tensors, batch by batch."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse

from skmeta.core.blocks import row_slices
from skmeta.core.network import standardised

# Rows up to this size are standardised once and kept on the device.
MAX_RESIDENT_BYTES = 2**30


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
        if small and not sparse.issparse(array) and not isinstance(array, np.memmap):
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
