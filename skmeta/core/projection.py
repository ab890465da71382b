"""Linear projection of rows of any dtype, in blocks and without loss to an offset."""

import numpy as np

from skmeta.core.blocks import row_slices

# Centred rows are still in the cache when the product reads them.
BLOCK_BYTES = 2 * 2**20
# Products take rows several at a time and sum those that are left over in another
# order: with none left over, equal rows have equal coordinates (float64, one thread).
ROWS_AT_A_TIME = 16

# A mean whose own scores are no larger than this, in units of a score's deviation, may
# be taken off after the product: it costs no digits that count.
MAX_SHIFT = {np.dtype(np.float64): 1e3, np.dtype(np.float32): 4.0}


def float_dtype(dtype):
    """The float dtype in which rows of ``dtype`` are computed with and returned."""
    return np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)


def project(array, mean, weights):
    """``(array - mean) @ weights`` as float32 for float16 and float32, else float64."""
    n, dtype = len(array), float_dtype(array.dtype)
    with np.errstate(over="ignore"):
        centre, w = mean.astype(dtype), weights.astype(dtype)
    if not (np.isfinite(w).all() and np.isfinite(centre).all()):
        centre, w = mean, weights  # out of float32's range
    # Rounding the mean to float32 shifts every row by the same amount: put it back.
    shift = ((centre - mean) @ weights).astype(dtype)
    n_groups = -(-n // ROWS_AT_A_TIME)
    result = np.empty((n_groups * ROWS_AT_A_TIME, weights.shape[1]), dtype)
    group_bytes = ROWS_AT_A_TIME * array.shape[1] * centre.itemsize
    groups = row_slices(n_groups, group_bytes, BLOCK_BYTES)
    n_buffer = groups[0].stop * ROWS_AT_A_TIME if groups else 0
    at_once = _may_shift_scores(array, centre, w)
    if at_once:
        shift = -(mean @ weights).astype(dtype)
    buffer = np.zeros((n_buffer, array.shape[1]), centre.dtype)
    for group in groups:
        rows = slice(group.start * ROWS_AT_A_TIME, group.stop * ROWS_AT_A_TIME)
        taken = array[rows]
        if at_once and len(taken) == rows.stop - rows.start:
            centred = taken
        else:
            centred = buffer[: rows.stop - rows.start]
            off = 0.0 if at_once else centre
            np.subtract(taken, off, out=centred[: len(taken)], dtype=centre.dtype)
        np.matmul(centred, w, out=result[rows], casting="same_kind")
        if shift.any():
            result[rows] += shift
    return result[:n]


def _may_shift_scores(array, centre, w):
    """Whether rows may be projected as they are, and the mean taken off the scores."""
    if not array.dtype == centre.dtype == w.dtype or not array.flags.c_contiguous:
        return False
    return bool((np.abs(centre) @ np.abs(w)).max(initial=0.0) <= MAX_SHIFT[w.dtype])
