"""The one door through which X becomes views: nothing else asks what X is.

`open_door` picks a reader for the form in which several views enter: two arrays, a
`Views`, or the columns of one table. A reader learns the views' names, columns and
transformers from the training rows and reads new rows the same way.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_array, validate_data

from skmeta._compat import num_rows, safe_indexing
from skmeta.views._rows import (
    is_frame,
    is_torch,
    null_rows,
    null_rows_of_floats,
    pandas_index,
    take_rows,
    to_numpy,
)
from skmeta.views._views import Views, check_same_index

PAIR = ("X", "Y")  # names of the views in fit(X, Y)
RESERVED = ("concat", "mean", "posterior")  # words of fusion=


class Blocks(NamedTuple):
    """Numeric views of the same rows."""

    arrays: dict[str, np.ndarray]  # (n_rows, n_features): any real dtype, not copied
    present: dict[str, np.ndarray]  # masks (n_rows,), only of views that rows lack
    n_rows: int

    def mask(self, name):
        """Which rows have the view."""
        if name not in self.arrays:
            return np.zeros(self.n_rows, bool)
        return self.present.get(name, np.ones(self.n_rows, bool))


def open_door(views, X):
    """The reader for this ``views=`` parameter and this kind of X."""
    if views is not None:
        return ColumnsReader(views)
    if isinstance(X, Views):
        return ViewsReader()
    if isinstance(X, dict) and not sparse.issparse(X):
        raise TypeError(
            "X is a dict; a dict of views is Views.from_dict(X), and views= says which "
            "columns of one table make which view."
        )
    return PairReader()


# ---- checking one view ---------------------------------------------------------------


def check_view(array, name, *, n_features=None, min_rows=1):
    """One view as a 2-D array of a real dtype, and the mask of its rows or None.

    The dtype stays as it is where it is a real number's, so that memory-mapped and
    half-precision arrays are cast block by block where they are used.
    """
    label = f"view {name!r}"
    if sparse.issparse(array):
        raise TypeError(
            f"View {name!r} is sparse, and a dense array is needed here; reduce it, "
            "for example by TruncatedSVD in a pipeline after the vectorizer."
        )
    if is_torch(array):
        array = to_numpy(array)
    if isinstance(array, list) and array and not np.isscalar(array[0]):
        lengths = sorted({np.shape(row)[:1] for row in array if row is not None})
        if len(lengths) > 1:
            raise ValueError(
                f"View {name!r} is a list of sequences of different lengths; a "
                "table with the same columns in every row is needed here."
            )
    array = check_array(
        array,
        dtype="numeric",
        ensure_all_finite=False,
        ensure_2d=False,
        allow_nd=True,
        ensure_min_samples=min_rows,
        input_name=label,
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
    return array, _check_finite(array, name)


def _check_finite(array, name):
    """Mask of rows that have the view, None if all; an error for holes in a row."""
    if array.dtype.kind != "f":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        accumulate = np.float32 if array.dtype == np.float16 else None
        if np.isfinite(np.sum(array, dtype=accumulate)):
            return None
    if (infinite := np.isinf(array)).any():
        row, column = np.argwhere(infinite)[0]
        raise ValueError(
            f"View {name!r} contains infinity: row {row}, column {column}. Replace it "
            "by a finite value or drop the row."
        )
    missing = null_rows_of_floats(array, axes=(1,))
    holes = np.isnan(array)
    if missing is not None:
        holes[missing] = False
    if holes.any():
        row, column = np.argwhere(holes)[0]
        raise ValueError(
            f"View {name!r} contains NaN in part of a row: row {row}, column {column}. "
            "Put an imputer, such as SimpleImputer, before it; only a row that lacks "
            "the whole view (all NaN) counts as missing."
        )
    return None if missing is None else ~missing


def _check_names(names):
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


def _blocks(checked, n_rows):
    """`Blocks` of ``{name: (array, mask or None)}``."""
    return _check_rows(
        Blocks(
            {name: array for name, (array, _) in checked.items()},
            {name: mask for name, (_, mask) in checked.items() if mask is not None},
            n_rows,
        )
    )


# ---- two arrays ----------------------------------------------------------------------


class PairReader:
    """``fit(X, Y)``: Y stands in the y slot and is the second view."""

    names = PAIR

    def fit(self, estimator, X, y):
        """Learn the widths of both views from the training rows and read them."""
        if y is None:
            raise ValueError(
                f"{type(estimator).__name__} with views=None requires y to be passed, "
                "but the target y is None: y is the second view. Several views in one "
                "X are a Views, or columns that views= names."
            )
        self._check_not_views(X, y)
        first = self._check_x(estimator, X, reset=True)
        second = self._check_y(y, min_rows=2)
        self.y_ndim = len(_as_table(y, "Y", min_rows=2).shape)
        self.n_features = {"X": first[0].shape[1], "Y": second[0].shape[1]}
        return self._pair(X, first, y, second)

    def read(self, estimator, X, y=None):
        """Read new rows: X alone, both arrays, or a `Views` of "X" and "Y"."""
        if isinstance(X, Views):
            return _read_named(X, self.names, self.n_features, {})
        self._check_not_views(X, y)
        first = self._check_x(estimator, X, reset=False)
        if y is None:
            return _blocks({"X": first}, len(first[0]))
        second = self._check_y(y, n_features=self.n_features["Y"])
        return self._pair(X, first, y, second)

    def read_view(self, estimator, X, view):
        """Read rows of one view alone (or out of a `Views`)."""
        if isinstance(X, Views):
            return self.read(estimator, X)
        if view == "X":
            return self.read(estimator, X)
        second = self._check_y(X, n_features=self.n_features["Y"])
        return _blocks({"Y": second}, len(second[0]))

    def _pair(self, X, first, y, second):
        if len(first[0]) != len(second[0]):
            raise ValueError(
                f"X has {len(first[0])} rows, but Y has {len(second[0])}: row i of Y "
                "belongs to row i of X."
            )
        indexes = {"X": pandas_index(X), "Y": pandas_index(y)}
        if all(index is not None for index in indexes.values()):
            check_same_index(indexes)
        return _blocks({"X": first, "Y": second}, len(first[0]))

    def _check_x(self, estimator, X, *, reset):
        # Names and number of columns by scikit-learn's rules, the values by ours.
        min_rows = 2 if reset else 1
        X = _as_table(X, "X", min_rows=min_rows)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return check_view(X, "X", min_rows=min_rows)

    def _check_y(self, y, *, n_features=None, min_rows=1):
        y = _as_table(y, "Y", min_rows=min_rows)
        if len(y.shape) == 1:
            y = _as_column(y)
        return check_view(y, "Y", n_features=n_features, min_rows=min_rows)

    def _check_not_views(self, X, y):
        for name, array in (("X", X), ("y", y)):
            if isinstance(array, Views):
                raise TypeError(
                    f"{name} is a Views, but the estimator is fitted in the form "
                    "fit(X, Y) of two arrays; pass Views as X alone, at fit too."
                )


def _as_table(array, name, *, min_rows):
    """An array or frame that scikit-learn can count the rows and columns of."""
    if is_frame(array) or sparse.issparse(array):
        return array
    if is_torch(array):
        return to_numpy(array)
    return check_array(
        array,
        dtype="numeric",
        ensure_all_finite=False,
        ensure_2d=name == "X",
        ensure_min_samples=min_rows,
        input_name=name,
    )


def _as_column(y):
    """A single column as a table of one."""
    if is_frame(y):
        return y.to_frame()
    return y.reshape(-1, 1)


# ---- Views ---------------------------------------------------------------------------


class ViewsReader:
    """``fit(views)``: the views come ready."""

    def fit(self, estimator, X, y=None):
        """Learn names, widths and column names, and read the training rows."""
        self.names = tuple(X.keys())
        _check_names(self.names)
        checked = _checked_views(X, self.names, min_rows=2)
        self.n_features = {n: array.shape[1] for n, (array, _) in checked.items()}
        self.columns = {n: _columns(X[n]) for n in self.names}
        return _blocks(checked, len(X))

    def read(self, estimator, X, y=None):
        """Read new rows of a `Views`, which may be without some of the views."""
        if not isinstance(X, Views):
            raise TypeError(
                f"{type(estimator).__name__} was fitted on Views of "
                f"{list(self.names)}; got a {type(X).__name__}. Pass Views, or one "
                "view alone to transform_view(X, view)."
            )
        return _read_named(X, self.names, self.n_features, self.columns)

    def read_view(self, estimator, X, view):
        """Read rows of one view alone, or out of a `Views`."""
        if isinstance(X, Views):
            return self.read(estimator, X)
        return _read_named(
            Views.from_dict({view: X}), self.names, self.n_features, self.columns
        )


def _columns(array):
    """Column names of a table, None where it has none."""
    if is_frame(array) and hasattr(array, "columns"):
        return list(array.columns)
    return None


def _read_named(X, names, n_features, columns):
    if unknown := [name for name in X if name not in names]:
        raise ValueError(
            f"Unknown view {unknown[0]!r}; the estimator was fitted on {list(names)}."
        )
    for name in X:
        found, expected = _columns(X[name]), columns.get(name)
        if found is not None and expected is not None and found != expected:
            raise ValueError(
                f"The columns of view {name!r} differ from those it was fitted with, "
                f"or stand in another order: {found[:5]} beside {expected[:5]}."
            )
    checked = _checked_views(X, [n for n in names if n in X], n_features)
    return _blocks(checked, len(X))


def _checked_views(X, names, n_features=None, min_rows=1):
    """``{name: (array, mask)}``; what ``present=`` masks out is never looked at."""
    marked = X.marked()
    checked = {}
    for name in names:
        array, mask = X[name], marked.get(name)
        width = n_features[name] if n_features else None
        if mask is None or mask.all():
            array, mask = check_view(array, name, n_features=width, min_rows=min_rows)
        else:
            array, mask = _check_where(array, mask, name, width)
        checked[name] = array, mask
    return checked


def _check_where(array, mask, name, n_features):
    """Check the rows that have the view; zeros stand for those that lack it."""
    rows = np.flatnonzero(mask)
    if len(rows) == 0:
        return np.zeros((len(mask), n_features or 1)), mask
    some, inner = check_view(take_rows(array, rows), name, n_features=n_features)
    full = np.zeros((len(mask), some.shape[1]), some.dtype)
    full[rows] = some
    if inner is not None:
        mask = mask.copy()
        mask[rows[~inner]] = False
    return full, mask


# ---- columns of one table ------------------------------------------------------------


class ColumnsReader:
    """``views=``: a ColumnTransformer, or a dict of names to columns.

    Each view has its own ColumnTransformer of one transformer, fitted on the rows
    that have the view: a text transformer never sees a null.
    """

    def __init__(self, views):
        if isinstance(views, ColumnTransformer):
            self.specs = [spec for spec in views.transformers if spec[1] != "drop"]
        elif isinstance(views, dict):
            self.specs = [(name, "passthrough", c) for name, c in views.items()]
        else:
            raise TypeError(
                "views must be a ColumnTransformer, a dict of names to columns, or "
                f"None; got a {type(views).__name__}."
            )
        self.names = tuple(name for name, _, _ in self.specs)
        _check_names(self.names)

    def fit(self, estimator, X, y=None):
        """Fit each view's transformer and read the training rows."""
        X = self._check_table(X)
        if num_rows(X) < 2:
            raise ValueError(
                f"Found {num_rows(X)} sample(s) (n_samples={num_rows(X)}) where a "
                "minimum of 2 is required."
            )
        validate_data(estimator, X, skip_check_array=True)
        self.transformers, self.columns, checked = {}, {}, {}
        for name, transformer, columns in self.specs:
            columns = columns(X) if callable(columns) else columns
            _check_selection(X, name, columns)
            rows, mask = self._rows_with(X, name, columns)
            if rows is None:
                raise ValueError(f"No row has view {name!r}: every entry is null.")
            single = clone(
                ColumnTransformer(
                    [(name, transformer, columns)],
                    sparse_threshold=1.0,
                    verbose_feature_names_out=False,
                )
            )
            if mask is not None and y is not None:
                y_rows = take_rows(y, np.flatnonzero(mask))
            else:
                y_rows = y
            with config_context(transform_output="default"):
                array = single.fit_transform(rows, y_rows)
            self.transformers[name], self.columns[name] = single, columns
            checked[name] = self._checked(name, array, mask, None)
        self.specs = None
        self.n_features = {n: array.shape[1] for n, (array, _) in checked.items()}
        return _blocks(checked, num_rows(X))

    def read(self, estimator, X, y=None):
        """Read new rows of the table."""
        X = self._check_table(X)
        validate_data(estimator, X, reset=False, skip_check_array=True)
        return _blocks(
            {name: self._read_columns(X, name) for name in self.names}, num_rows(X)
        )

    def read_view(self, estimator, X, view):
        """Read one view: from the table, from its columns alone, or from texts."""
        columns = self.columns[view]
        transformer = self.transformers[view]
        fitted = transformer.named_transformers_[view]
        if is_frame(X) and np.ndim(X) == 2:
            checked = self._read_columns(X, view)  # needs the view's columns only
        elif np.ndim(columns) == 0 and not isinstance(columns, slice) and _is_flat(X):
            # One column that its transformer takes as a sequence: a list of texts.
            missing = null_rows(X if is_frame(X) else np.asarray(X, dtype=object))
            if missing is not None:
                raise ValueError(
                    f"Entry {int(np.argmax(missing))} of view {view!r} is missing; "
                    "nothing of the row is left to map."
                )
            checked = self._checked(view, _apply(fitted, X), None, view)
        else:
            X = self._check_table(X)
            if X.shape[1] == estimator.n_features_in_:
                return self.read(estimator, X)
            checked = self._checked(view, _apply(fitted, X), None, view)
        return _blocks({view: checked}, len(checked[0]))

    def _check_table(self, X):
        if isinstance(X, Views):
            raise TypeError(
                "views= names columns of one table, but X is a Views; leave "
                "views=None for an X that is a Views."
            )
        if is_frame(X) or sparse.issparse(X):
            return X
        return check_array(X, dtype=None, ensure_all_finite=False)

    def _rows_with(self, X, name, columns):
        """The rows that have the view, and their mask or None if all have it."""
        _check_columns(X, name, columns)
        missing = null_rows(safe_indexing(X, columns, axis=1))
        if missing is None:
            return X, None
        if missing.all():
            return None, ~missing
        return take_rows(X, np.flatnonzero(~missing)), ~missing

    def _read_columns(self, X, name):
        rows, mask = self._rows_with(X, name, self.columns[name])
        if rows is None:
            return np.zeros((len(mask), self.n_features[name])), mask
        return self._checked(name, _apply(self.transformers[name], rows), mask, name)

    def _checked(self, name, array, mask, fitted):
        width = None if fitted is None else self.n_features[name]
        array, inner = check_view(array, name, n_features=width)
        if inner is not None:
            raise ValueError(
                f"The transformer of view {name!r} gives NaN for row "
                f"{int(np.argmin(inner))}; put an imputer into it."
            )
        if mask is None:
            return array, None
        full = np.zeros((len(mask), array.shape[1]), array.dtype)
        full[mask] = array
        return full, mask


def _apply(transformer, rows):
    """Arrays, whatever output is set for users."""
    with config_context(transform_output="default"):
        return transformer.transform(rows)


def _check_selection(X, name, columns):
    if isinstance(columns, list | tuple | np.ndarray) and len(columns) == 0:
        raise ValueError(f"View {name!r} selects no columns.")


def _check_columns(X, name, columns):
    """Name the columns of a view that a table does not have."""
    wanted = [columns] if isinstance(columns, str) else columns
    if not is_frame(X) or not isinstance(wanted, list | tuple | np.ndarray):
        return
    wanted = [c for c in wanted if isinstance(c, str)]
    if absent := [c for c in wanted if c not in X.columns]:
        raise ValueError(
            f"View {name!r} needs columns {wanted}; {absent} are not there."
        )


def _is_flat(X):
    if is_frame(X):
        return np.ndim(X) == 1
    return isinstance(X, list | tuple | np.ndarray) and np.ndim(X) == 1
