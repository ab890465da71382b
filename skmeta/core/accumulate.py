"""Moments of the rows of several views, read in blocks at the speed of the hardware.

Rows may be memory-mapped, of any numeric dtype, sparse, and some of more: memory beyond
the moments does not grow with their number. Blocks are shifted by about their mean
and added up as they are, ``G += [X - a, 1]' [X - a, 1]``, in one rank-k update each;
what the shift leaves of the mean is taken out at the end. Where the mean drifts away
from the shift, what was had is merged away and the next block brings a new shift. Rows
whose means are small against their spread need no shift, and are multiplied in place.
"""

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dgemm, dsyrk, sgemm, ssyrk

from skmeta.core import moments as mo
from skmeta.core.blocks import BLOCK_BYTES, Rows, row_slices, stack_slices
from skmeta.core.device import moments_on_device, on_device

# Squared distance of mean and shift, in variances, that costs no promised digit.
DRIFT = {np.dtype(np.float64): 100.0, np.dtype(np.float32): 1.0}

# Squared mean, in variances, that is left in where rows are not copied: one bit.
MAX_MEAN = 1.0

# float32 squares of columns of this size neither over- nor underflow.
SINGLE_RANGE = 1e-12, 1e12

MIN_BLOCK_BYTES = 2 * 2**20

# Rows from which a mean is taken that others are shifted by.
SHIFT_ROWS = 256

# Rows that one float32 product adds up before float64 takes over.
SINGLE_ROWS = 4096

# Multiplications below which float64 costs too little to be worth doing without.
SINGLE_WORK = 1e9

# Products of sparse columns are laid out densely in pieces of this size.
PIECE_BYTES = 32 * 2**20


def moments_of(views, weights=None, index=None, *, single=False):
    """The moments of the rows of all views side by side.

    Parameters
    ----------
    views : dict of str to array or sparse matrix (n, p_i)
    weights : ndarray (n,) or None
    index : ndarray of int or None
        The rows that count; None for all.
    single : bool
        Whether products may be taken in float32 where all views are float32 or less;
        they are added up in float64.

    Returns
    -------
    moments : Moments
    in_single : bool
        Whether they were.
    """
    rows = Rows(views, weights, index)
    slices = stack_slices(views)
    if on_device(views.values()):
        return _of_device(rows, slices)
    p = sum(array.shape[1] for array in views.values())
    loose = {n: array for n, array in views.items() if sparse.issparse(array)}
    if not loose and len(rows) <= p:
        block = np.empty((len(rows), p))
        for name, where in slices.items():
            block[:, where] = rows.take(name, slice(None))
        return mo.of_rows(block, rows.weight(slice(None))), False
    if not loose:
        large = float(len(rows)) * p**2 >= SINGLE_WORK
        if single and large and _all_single(views.values()):
            moments = _of_dense(rows, slices, p, np.dtype(np.float32))
            if moments is not None:
                return moments, True
        return _of_dense(rows, slices, p, np.dtype(np.float64)), False
    return _of_mixed(rows, loose, slices, p), False


def _of_device(rows, slices):
    if len(rows) > max(where.stop for where in slices.values()):
        return moments_on_device(rows, slices), False
    host = {name: rows.views[name].host() for name in slices}
    return moments_of(host, rows.weights, rows.index)


def _all_single(arrays):
    return all(a.dtype.kind == "f" and a.dtype.itemsize <= 4 for a in arrays)


# ---- dense views ---------------------------------------------------------------------


def _of_dense(rows, slices, p, dtype):
    """Moments by rank-k updates in ``dtype``, or None where float32 has not the range.

    float32 products are summed up over a few thousand rows, then in float64.
    """
    single = dtype == np.float32
    if (sums := _sums_as_they_are(rows, slices, p, dtype)) is not None:
        total = _taken_out(sums, np.zeros(p))
        return total if np.isfinite(total.gram).all() or not single else None
    update = ssyrk if single else dsyrk
    total, sums, shift = mo.empty(p), None, None
    steps = _dense_steps(len(rows), p, dtype)
    buffer = np.empty((steps[0].stop, p + 1), dtype)
    for step in steps:
        block = buffer[: step.stop - step.start]
        if shift is None:
            some = slice(step.start, min(step.stop, step.start + SHIFT_ROWS))
            shift = _about_the_mean(rows, slices, p, some).astype(dtype)
        for name, where in slices.items():
            np.subtract(
                rows.take(name, step),
                shift[where],
                out=block[:, where],
                casting="unsafe",
            )
        block[:, p] = 1.0
        if (weight := rows.weight(step)) is not None:
            block *= np.sqrt(weight).astype(dtype)[:, None]
        if sums is None:
            if single and not _in_range(block[:, :p]):
                return None
            sums = np.zeros((p + 1, p + 1), order="F")
        if single:  # a Fortran product of the transpose: the lower triangle
            sums += update(1.0, block.T, lower=True)
        else:
            sums = update(1.0, block.T, beta=1.0, c=sums, overwrite_c=True, lower=True)
        rows.release(step)
        if _drifted(sums, DRIFT[dtype]):
            total = mo.merge(total, _taken_out(sums, shift))
            sums = shift = None
    if sums is not None:
        total = mo.merge(total, _taken_out(sums, shift))
    if single and not np.isfinite(total.gram).all():
        return None
    return total


def _dense_steps(n_rows, p, dtype):
    if dtype == np.float32:
        return row_slices(n_rows, 1, SINGLE_ROWS)
    # Rows that are still in the cache when they are multiplied, but enough of them
    # that the sums, which are read and written each time, do not weigh.
    n_bytes = min(max(4 * 8 * p**2, MIN_BLOCK_BYTES), BLOCK_BYTES)
    return row_slices(n_rows, dtype.itemsize * (p + 1), n_bytes)


def _sums_as_they_are(rows, slices, p, dtype):
    """Sums of products about zero (p + 1, p + 1), the lower triangle.

    Without a shift rows are not copied, which takes as long as a narrow product. None
    where a mean is not small against the spread, and where rows are not ready for BLAS.
    """
    single = dtype == np.float32
    views = [rows.views[name] for name in slices]
    plain = all(a.dtype == dtype and a.flags.c_contiguous for a in views)
    plain = plain and rows.weights is None and rows.index is None
    if not plain or len(rows) < SHIFT_ROWS:
        return None
    for array in views:
        head = array[:SHIFT_ROWS].astype(np.float64)
        if (head.mean(axis=0) ** 2 > MAX_MEAN * head.var(axis=0)).any():
            return None
        if single and not _in_range(array[:SINGLE_ROWS]):
            return None
    update, product = (ssyrk, sgemm) if single else (dsyrk, dgemm)
    sums = np.zeros((p + 1, p + 1), order="F")
    places = list(slices.values())
    blocks = {
        (i, j): np.zeros((a.stop - a.start, b.stop - b.start), dtype, order="F")
        for i, a in enumerate(places)
        for j, b in enumerate(places[: i + 1])
    }
    for step in _dense_steps(len(rows), p, dtype):
        turned = [array[step].T for array in views]
        ones = np.ones(step.stop - step.start, dtype)
        for (i, j), c in blocks.items():
            beta = 0.0 if single else 1.0
            if i == j:
                c = update(1.0, turned[i], beta=beta, c=c, overwrite_c=True, lower=True)
                sums[p, places[i]] += turned[i] @ ones
            else:
                c = product(
                    1.0, turned[i], turned[j], beta, c, trans_b=True, overwrite_c=True
                )
            if single:
                sums[places[i], places[j]] += c
        rows.release(step)
    sums[p, p] = len(rows)
    if not single:
        for (i, j), c in blocks.items():
            sums[places[i], places[j]] = c
    return None if _drifted(sums, MAX_MEAN) else sums


def _about_the_mean(rows, slices, p, step):
    """Exactly the value of a constant column, about the mean of any other."""
    shift = np.empty(p)
    for name, where in slices.items():
        some = np.asarray(rows.take(name, step), dtype=np.float64)
        shift[where] = some[0] + (some - some[0]).mean(axis=0)
    return shift


def _in_range(block):
    size = np.abs(block).max(axis=0)
    low, high = SINGLE_RANGE
    return bool(((size == 0) | ((size > low) & (size < high))).all())


def _drifted(sums, limit):
    """Whether the mean of a column is far from the shift, against its spread."""
    p = len(sums) - 1
    squares, offset = np.diagonal(sums)[:p], sums[p, :p]
    if sums[p, p] == 0:
        return False
    of_mean = offset**2 / sums[p, p]
    return bool((of_mean > limit * (squares - of_mean)).any() and of_mean.any())


def _taken_out(sums, shift):
    """The moments of sums of products about a shift."""
    p = len(sums) - 1
    n = float(sums[p, p])
    if n == 0:
        return mo.empty(p)
    offset = sums[p, :p] / n
    gram = np.tril(sums[:p, :p])
    gram += np.tril(gram, -1).T
    gram -= np.multiply.outer(offset, offset * n)
    return mo.Moments(n, shift.astype(np.float64) + offset, gram)


# ---- sparse views --------------------------------------------------------------------


def _of_mixed(rows, loose, slices, p):
    """Moments of dense and sparse views; no sparse view is laid out densely.

    Of a sparse column the zeros are where they are: it is not shifted but where it has
    none, and its mean taken out of the products at the end. A column with a share d of
    equal entries has d / (1 - d) of its variance in its mean: no digits are lost.
    """
    n = rows.n
    weight = rows.weight(slice(None))
    sparse_rows, shift = {}, np.zeros(p)
    for name, where in slices.items():
        if name in loose:
            matrix, shift[where] = without_full_columns(rows.take(name, slice(None)))
            sparse_rows[name] = matrix
    gram, sums = np.zeros((p, p)), np.zeros(p)
    dense = [name for name in slices if name not in loose]
    if dense:
        views = {name: rows.views[name] for name in dense}
        inner = _of_dense(
            Rows(views, rows.weights, rows.index),
            stack_slices(views),
            sum(view.shape[1] for view in views.values()),
            np.dtype(np.float64),
        )
        columns = np.concatenate([np.r_[slices[name]] for name in dense])
        gram[np.ix_(columns, columns)] = inner.gram
        shift[columns] = inner.mean
    for name, matrix in sparse_rows.items():
        here = slices[name]
        weighted = matrix if weight is None else sparse.diags_array(weight) @ matrix
        sums[here] = weighted.sum(axis=0)
        left = weighted.T.tocsr()
        for other, right in sparse_rows.items():
            if slices[other].start <= here.start:
                _add_product(gram[here, slices[other]], left, right)
        for step in row_slices(len(rows), 8 * max(1, len(columns) if dense else 1)):
            for other in dense:
                centred = rows.take(other, step) - shift[slices[other]]
                gram[here, slices[other]] += left[:, step] @ centred
    # The products of sparse views with dense ones have zero sums on the dense side.
    offset = sums / n
    gram -= np.multiply.outer(offset, offset * n)
    for a in slices:
        for b in slices:
            filled = slices[b].start <= slices[a].start
            if a in loose and (b in dense or filled):
                gram[slices[b], slices[a]] = gram[slices[a], slices[b]].T
    return mo.Moments(n, shift + offset, gram)


def without_full_columns(matrix):
    """A matrix whose columns that have no zero are about their mean; the shift."""
    matrix = matrix.tocsc().astype(np.float64)
    n_rows, p = matrix.shape
    full = np.flatnonzero(np.diff(matrix.indptr) == n_rows)
    shift = np.zeros(p)
    for j in full:
        entries = matrix.data[matrix.indptr[j] : matrix.indptr[j + 1]]
        shift[j] = entries[0] + (entries - entries[0]).mean()
        entries -= shift[j]
    return matrix, shift


def _add_product(out, left, right):
    """``out += left @ right`` of sparse matrices, a piece of columns at a time."""
    for columns in row_slices(right.shape[1], 8 * left.shape[0], PIECE_BYTES):
        out[:, columns] += (left @ right[:, columns]).toarray()
