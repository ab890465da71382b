"""Rows of several views, in blocks: bounded memory whatever the number of rows."""

import numpy as np

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


def stacked_blocks(views, weights=None):
    """Yield ``(rows, weights)``: float64 blocks of all views side by side.

    Each block is a fresh array that the receiver may overwrite; the views
    themselves may be memory-mapped, of any numeric dtype and any memory order.
    """
    slices = stack_slices(views)
    n_rows = len(next(iter(views.values())))
    n_columns = sum(array.shape[1] for array in views.values())
    for rows in row_slices(n_rows, 8 * n_columns):
        block = np.empty((rows.stop - rows.start, n_columns))
        for name, array in views.items():
            block[:, slices[name]] = array[rows]
        yield block, None if weights is None else weights[rows]
