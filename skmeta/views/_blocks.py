"""Checked numeric views of the same rows: what every form of input becomes."""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array

from skmeta._compat import foreign_namespace, move_to, to_host, widest_float
from skmeta.core.blocks import release, row_slices
from skmeta.core.device import Device, OnDevice
from skmeta.views._rows import is_torch, to_numpy

RESERVED = ("concat", "mean", "posterior")  # words of fusion=


class Blocks(NamedTuple):
    """Numeric views of the same rows."""

    arrays: dict[str, np.ndarray]  # (n_rows, n_features): any real dtype, not copied
    present: dict[str, np.ndarray]  # masks (n_rows,), only of views that rows lack
    n_rows: int

    def back(self, result):
        """A numpy result, to where the rows are."""
        for array in self.arrays.values():
            if isinstance(array, OnDevice):
                return array.device.from_host(result)
        return result

    def mask(self, name):
        """Which rows have the view."""
        if name not in self.arrays:
            return np.zeros(self.n_rows, bool)
        return self.present.get(name, np.ones(self.n_rows, bool))


def check_view(array, name, *, n_features=None, min_rows=1):
    """One view as a 2-D array or CSR matrix of a real dtype, and the mask of its rows.

    The mask is None where every row has the view.

    The dtype stays as it is where it is a real number's, so that memory-mapped and
    half-precision arrays are cast block by block where they are used.
    """
    label = f"view {name!r}"
    if (where := foreign_namespace(array)) is not None:
        return _check_foreign(array, where, name, n_features, min_rows)
    if is_torch(array):
        array = to_numpy(array)
    if isinstance(array, list) and array and not np.isscalar(array[0]):
        lengths = sorted({np.shape(row)[:1] for row in array if row is not None})
        if len(lengths) > 1:
            raise ValueError(
                f"View {name!r} is a list of sequences of different lengths; a "
                "table with the same columns in every row is needed here."
            )
    if sparse.issparse(array) and array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: view {name!r} has dtype {array.dtype}."
        )
    try:
        array = check_array(
            array,
            accept_sparse="csr",
            dtype="numeric",
            ensure_all_finite=False,
            ensure_2d=False,
            allow_nd=True,
            ensure_min_samples=min_rows,
            input_name=label,
        )
    except ValueError as error:
        if "fill value" in str(error):
            raise ValueError(
                f"View {name!r} has pandas columns that are sparse about a value other "
                "than 0; lay it out by frame.sparse.to_dense()."
            ) from error
        if "could not convert" not in str(error) and "numeric" not in str(error):
            raise
        raise ValueError(
            f"View {name!r} holds text or categories ({error}); encode it, under a "
            "ColumnTransformer by a transformer of its own."
        ) from error
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"View {name!r} has dtype {array.dtype}, and numbers are needed; convert "
            "dates and durations to numbers of days or seconds."
        )
    if array.ndim != 2:
        raise ValueError(
            f"View {name!r} has shape {array.shape}, and a table of shape "
            "(n_rows, n_features) is needed here; "
            + (
                "reshape it by array.reshape(len(array), -1)."
                if array.ndim > 2
                else "reshape a single column by array.reshape(-1, 1)."
            )
        )
    if array.shape[1] == 0:
        raise ValueError(f"View {name!r} has 0 feature(s), a minimum of 1 is required.")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"View {name!r} has {array.shape[1]} features, but was fitted with "
            f"{n_features}."
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if sparse.issparse(array) and not array.has_canonical_format:
        array = array.copy()  # entries stored twice are their sum, squared as one
        array.sum_duplicates()
    return array, check_finite(array, name)


def _check_foreign(array, where, name, n_features, min_rows):
    """A table that stays on its device; only rows with holes are looked at here."""
    xp, device = where
    whole = bool(xp.isdtype(array.dtype, "real floating"))
    if whole and array.ndim == 2 and bool(xp.all(xp.isfinite(array))):
        sample = np.zeros((1, 0)) if 0 in array.shape else np.zeros((1, array.shape[1]))
        check_view(sample, name, n_features=n_features)
        if array.shape[0] < min_rows:
            check_view(to_host(array), name, min_rows=min_rows)
        mask = None
    else:  # what is wrong is said of the rows on the host
        checked, mask = check_view(
            to_host(array), name, n_features=n_features, min_rows=min_rows
        )
        array = move_to(checked, xp=xp, device=device)
    return OnDevice(array, device_of(array)), mask


def _move(array, xp, device, widest):
    if widest == xp.float32 and array.dtype == np.float64:
        array = array.astype(np.float32)  # all that the device has
    return move_to(array, xp=xp, device=device)


def device_of(array):
    """Where an array of another namespace is, for `OnDevice`."""
    xp, device = foreign_namespace(array)
    widest = widest_float(xp, device)
    return Device(
        xp,
        to_host,
        partial(_move, xp=xp, device=device, widest=widest),
        widest,
        {xp.float32: np.dtype(np.float32), xp.float64: np.dtype(np.float64)},
    )


def check_finite(array, name, index=None):
    """Mask of the rows that have the view, None if all do; an error for holes in a row.

    With ``index`` (row numbers in order) no other rows are looked at, and the mask
    leaves them out.
    """
    missing = None if index is None else np.ones(array.shape[0], bool)
    if index is not None:
        missing[index] = False
    if array.dtype.kind == "f" and sparse.issparse(array):
        _check_finite_entries(array, name)
    elif array.dtype.kind == "f":
        index = np.arange(len(array)) if index is None else index
        for step in row_slices(len(index), array.itemsize * array.shape[1]):
            rows = index[step]
            whole = len(rows) == rows[-1] - rows[0] + 1
            block = array[rows[0] : rows[-1] + 1] if whole else array[rows]
            if not _all_finite(block):
                missing = np.zeros(len(array), bool) if missing is None else missing
                missing[rows] = _null_block(block, name, rows)
            release(array, int(rows[0]), int(rows[-1]) + 1)
    return None if missing is None else ~missing


def _check_finite_entries(array, name):
    if not np.isfinite(array.data).all():
        entries = array.tocoo()
        at = int(np.argmin(np.isfinite(entries.data)))
        _raise_hole(name, entries.data[at], entries.row[at], entries.col[at])


def _all_finite(block):
    with np.errstate(over="ignore", invalid="ignore"):
        accumulate = np.float32 if block.dtype == np.float16 else None
        return np.isfinite(np.sum(block, dtype=accumulate)) or np.isfinite(block).all()


def _null_block(block, name, numbers):
    """Mask of all-NaN rows; an error for infinity and for NaN in part of a row."""
    if (infinite := np.isinf(block)).any():
        row, column = np.argwhere(infinite)[0]
        _raise_hole(name, np.inf, numbers[row], column)
    holes = np.isnan(block)
    missing = holes.all(axis=1)
    holes[missing] = False
    if holes.any():
        row, column = np.argwhere(holes)[0]
        _raise_hole(name, np.nan, numbers[row], column)
    return missing


def _raise_hole(name, value, row, column):
    if np.isinf(value):
        raise ValueError(
            f"View {name!r} contains infinity: row {row}, column {column}. Replace it "
            "by a finite value or drop the row."
        )
    raise ValueError(
        f"View {name!r} contains NaN in part of a row: row {row}, column {column}. "
        "Put an imputer, such as SimpleImputer, before it; only a row that lacks "
        "the whole view (all NaN) counts as missing."
    )


def check_names(names):
    """Names are strings, each of one view, and no words of ``fusion=``."""
    if odd := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"Names of views are strings; got {odd[0]!r}.")
    if len(set(names)) < len(names):
        raise ValueError(f"Names of views must differ; got {list(names)}.")
    if taken := [name for name in names if name in RESERVED]:
        raise ValueError(
            f"{taken[0]!r} is a word of fusion= and no name for a view; rename it."
        )
    if len(names) < 2:
        raise ValueError(
            f"Two or more views are needed to map one onto another; got {list(names)}."
        )


def _check_rows(blocks):
    """Every row must have a view."""
    some = np.any([blocks.mask(name) for name in blocks.arrays], axis=0)
    if not some.all():
        raise ValueError(
            f"Row {int(np.argmin(some))} has no view at all "
            f"({int((~some).sum())} of {len(some)} rows have none); drop such rows."
        )
    return blocks


def make_blocks(checked, n_rows):
    """`Blocks` of ``{name: (array, mask or None)}``."""
    return _check_rows(
        Blocks(
            {name: array for name, (array, _) in checked.items()},
            {name: mask for name, (_, mask) in checked.items() if mask is not None},
            n_rows,
        )
    )
