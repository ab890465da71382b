"""What can be asked of any container of rows: some of them, and which are null.

Optional libraries are recognised by their objects; none is imported.
"""

import sys

import numpy as np
from scipy import sparse

from skmeta._compat import safe_indexing


def is_frame(rows):
    """Whether ``rows`` are a pandas or polars DataFrame or Series."""
    return _is_pandas(rows) or _is_polars(rows)


def _is_pandas(rows):
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(rows, pandas.DataFrame | pandas.Series)


def _is_polars(rows):
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(rows, polars.DataFrame | polars.Series)


def is_torch(rows):
    """Whether ``rows`` are a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(rows, torch.Tensor)


def to_numpy(tensor):
    """A numpy array of a torch tensor, wherever it is and whatever graph it is in."""
    return tensor.detach().cpu().numpy()


def pandas_index(rows):
    """The index of pandas rows, None of others."""
    return rows.index if _is_pandas(rows) else None


def take_rows(rows, key):
    """The rows at an integer array or slice, in the same kind of container."""
    if is_torch(rows):
        if isinstance(key, slice) and (key.step or 1) > 0:
            return rows[key]
        return rows[np.arange(len(rows))[key].tolist()]
    if sparse.issparse(rows):
        # Not every sparse format can be indexed, and dok_array is a dict.
        return (rows if rows.format in ("csr", "lil") else rows.tocsr())[key]
    if isinstance(rows, list):
        return rows[key] if isinstance(key, slice) else [rows[i] for i in key]
    return safe_indexing(rows, key)


def flat_rows(array, name, shapes):
    """Entries of any shape, one a row, as rows of numbers.

    ``shapes`` are those of the entries by view, which those of a view not seen before
    are added to; None where entries have to be rows of numbers.
    """
    if shapes is None or is_frame(array) or sparse.issparse(array):
        return array
    if isinstance(array, list):
        if not array or np.ndim(array[0]) < 2:
            return array
        if len({np.shape(entry) for entry in array}) > 1:
            return array
        array = np.asarray(array)
    if len(getattr(array, "shape", ())) < 3:
        return array
    array = to_numpy(array) if is_torch(array) else array
    known = shapes.setdefault(name, tuple(array.shape[1:]))
    if tuple(array.shape[1:]) != known:
        raise ValueError(
            f"View {name!r} has entries of shape {tuple(array.shape[1:])}, but was "
            f"fitted with entries of shape {known}."
        )
    return array.reshape(len(array), int(np.prod(known)))


def spread_rows(array, mask):
    """Rows put where ``mask`` is True among rows of zeros."""
    if sparse.issparse(array):
        counts = np.zeros(len(mask), array.indptr.dtype)
        counts[mask] = np.diff(array.indptr)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        shape = (len(mask), array.shape[1])
        return sparse.csr_array((array.data, array.indices, indptr), shape=shape)
    full = np.zeros((len(mask), array.shape[1]), array.dtype)
    full[mask] = array
    return full


def null_rows(rows):
    """Mask of the rows in which every entry is null, or None where no row is."""
    mask = _null_mask(rows)
    return mask if mask is not None and mask.any() else None


def _null_mask(rows):
    if sparse.issparse(rows):
        return None
    if _is_pandas(rows):
        null = rows.isna()
        return null.all(axis=1).to_numpy() if rows.ndim == 2 else null.to_numpy()
    if _is_polars(rows):
        columns = rows.get_columns() if hasattr(rows, "get_columns") else [rows]
        return np.all([_polars_null(column) for column in columns], axis=0)
    if isinstance(rows, list):
        return np.fromiter((_is_null_row(row) for row in rows), bool, len(rows))
    array = to_numpy(rows) if is_torch(rows) else np.asarray(rows)
    axes = tuple(range(1, array.ndim))
    if array.dtype.kind == "f":
        return null_rows_of_floats(array, axes)
    if array.dtype.kind == "O":
        null = np.fromiter((is_null(v) for v in array.flat), bool, array.size)
        return null.reshape(array.shape).all(axis=axes)
    if array.dtype.kind in "mM":
        return np.isnat(array).all(axis=axes)
    return None


def null_rows_of_floats(array, axes):
    """Mask of all-NaN rows, or None; looks on where the first column has one."""
    first = array[(slice(None), *(0 for _ in axes))] if array.size else array
    candidates = np.flatnonzero(np.isnan(first))
    if len(candidates) == 0:
        return None
    mask = np.zeros(len(array), bool)
    mask[candidates] = np.isnan(array[candidates]).all(axis=axes)
    return mask


def _polars_null(column):
    null = column.is_null()
    if column.dtype.is_float():
        null = null | column.is_nan().fill_null(False)
    return null.to_numpy()


def _is_null_row(row):
    if isinstance(row, list | tuple | np.ndarray) and len(row):
        array = np.asarray(row)
        return array.dtype.kind == "f" and bool(np.isnan(array).all())
    return is_null(row)


def is_null(value):
    """None, NaN and pandas' NA (whose comparison with itself is no boolean)."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")
