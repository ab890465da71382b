"""Linear projection of rows of any dtype, in blocks and without loss to an offset."""

import numpy as np

from skmeta.core.blocks import row_slices


def float_dtype(dtype):
    """The float dtype in which rows of ``dtype`` are computed with and returned."""
    return np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)


def project(array, mean, weights):
    """``(array - mean) @ weights`` as float32 for float16 and float32, else float64."""
    dtype = float_dtype(array.dtype)
    centre, w = mean.astype(dtype), weights.astype(dtype)
    if not (np.isfinite(w).all() and np.isfinite(centre).all()):
        centre, w = mean, weights  # out of float32's range
    # Rounding the mean to float32 shifts every row by the same amount: put it back.
    shift = (centre - mean) @ weights
    result = np.empty((len(array), weights.shape[1]), dtype)
    for rows in row_slices(len(array), centre.itemsize * array.shape[1]):
        block = array[rows].astype(centre.dtype)  # a copy: the input stays as it is
        block -= centre
        result[rows] = block @ w + shift
    return result
