"""Rows of several views, in blocks: bounded memory whatever the number of rows."""

import mmap

import numpy as np
from scipy import sparse

# One block of float64 rows is about this large. Large enough that the Gram product
# of a block runs at the speed of the hardware, small enough to stay out of the way.
BLOCK_BYTES = 16 * 2**20


def row_slices(n_rows, row_bytes, block_bytes=BLOCK_BYTES):
    """Slices that cover ``n_rows`` rows in blocks of about ``block_bytes``."""
    step = max(1, int(block_bytes // max(1, row_bytes)))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def stack_slices(views):
    """Where each view's columns stand in the row-wise concatenation of all views."""
    ends = np.cumsum([0, *(array.shape[1] for array in views.values())])
    return {
        name: slice(int(start), int(end))
        for name, start, end in zip(views, ends[:-1], ends[1:], strict=True)
    }


class Rows:
    """Some or all rows of several views, taken by slices of their numbers."""

    def __init__(self, views, weights=None, index=None):
        self.views = {
            name: array.tocsr() if sparse.issparse(array) else array
            for name, array in views.items()
        }
        self.weights, self.index = weights, index

    def __len__(self):
        if self.index is not None:
            return len(self.index)
        return next(iter(self.views.values())).shape[0]

    @property
    def n(self):
        """The sum of the weights."""
        weight = self.weight(slice(None))
        return float(len(self) if weight is None else weight.sum())

    def take(self, name, step):
        """Rows of a view, in its own dtype; a copy only where they do not adjoin."""
        array = self.views[name]
        return array[step if self.index is None else self.index[step]]

    def weight(self, step):
        """Weights of rows, or None."""
        if self.weights is None:
            return None
        return self.weights[step if self.index is None else self.index[step]]

    def release(self, step):
        """Let go of what the rows hold of memory-mapped files."""
        start, stop = step.start, step.stop
        if self.index is not None:
            start, stop = self.index[step][[0, -1]] + [0, 1]
        for array in self.views.values():
            release(array, int(start), int(stop))

    def blocks(self):
        """Yield ``(rows, weights)``: fresh float64 blocks of all views side by side."""
        slices = stack_slices(self.views)
        n_columns = sum(array.shape[1] for array in self.views.values())
        for step in row_slices(len(self), 8 * n_columns):
            block = np.empty((step.stop - step.start, n_columns))
            for name, where in slices.items():
                rows = self.take(name, step)
                block[:, where] = rows.host() if hasattr(rows, "host") else rows
            self.release(step)
            yield block, self.weight(step)

    def centred(self, mean):
        """Yield the same blocks less ``mean``, times the root of their weights."""
        for block, weight in self.blocks():
            block -= mean
            if weight is not None:
                block *= np.sqrt(weight)[:, None]
            yield block


def is_mapped(array):
    """Whether an array's entries are those of a memory-mapped file."""
    return _map_of(array) is not None


def _map_of(array):
    base = array if isinstance(array, np.ndarray) else None
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base


def release(array, start, stop):
    """Let the operating system have back the pages of rows of a memory-mapped file.

    Pages that were read stay with the process until memory is short, and look like its
    own. Only those of files are let go of, never private copies.
    """
    base = _map_of(array)
    if base is None or base.mode not in ("r", "r+") or not array.flags.c_contiguous:
        return
    file = base
    while not isinstance(file, mmap.mmap):
        file = getattr(file, "base", None)
        if file is None:
            return
    if not hasattr(file, "madvise"):
        return
    origin = np.frombuffer(file, np.uint8).ctypes.data
    row = array.strides[0]
    begin = array.ctypes.data - origin + start * row
    begin -= begin % mmap.PAGESIZE
    end = array.ctypes.data - origin + stop * row
    end -= end % mmap.PAGESIZE  # the next block begins on this page
    if end > begin:
        file.madvise(mmap.MADV_DONTNEED, begin, end - begin)
