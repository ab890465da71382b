"""Two arrays, ``fit(X, Y)``, as views."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array, validate_data

from skmeta._compat import foreign_namespace, move_to
from skmeta.views._blocks import check_view, make_blocks
from skmeta.views._named import (
    check_columns,
    column_names,
    read_named,
    same_columns,
    takes_shapes,
)
from skmeta.views._rows import flat_rows, is_frame, is_torch, pandas_index, to_numpy
from skmeta.views._views import Views, check_same_index

PAIR = ("X", "Y")  # names of the views in fit(X, Y)


class PairReader:
    """``fit(X, Y)``: Y stands in the y slot and is the second view."""

    is_fixed = True  # rows are read the same whatever rows were learned from

    names = PAIR
    shapes = None  # of entries that are no rows of numbers, by view

    def fit(self, estimator, X, y, *, min_rows=2):
        """Learn the widths of both views from the training rows and read them."""
        if y is None:
            raise ValueError(
                f"{type(estimator).__name__} with views=None requires y to be passed, "
                "but the target y is None: y is the second view. Several views in one "
                "X are a Views, or columns that views= names."
            )
        self._check_not_views(X, y)
        y = _beside(y, X)
        self.shapes = {} if takes_shapes(estimator) else None
        X_table = self._table(X, "X", min_rows=min_rows)
        first = check_view(X_table, "X", min_rows=min_rows)
        second = self._check_y(y, min_rows=min_rows)
        self.y_ndim = len(self._table(y, "Y", min_rows=min_rows).shape)
        self.n_features = {"X": first[0].shape[1], "Y": second[0].shape[1]}
        self.columns = {"X": column_names(X), "Y": column_names(y)}
        return self._pair(X, first, y, second)

    def check_streams(self):
        """Nothing is learned but widths."""

    def same_as(self, other):
        """Whether rows read by another reader are of the same views and columns."""
        return isinstance(other, PairReader) and same_columns(self, other)

    def claim(self, estimator, X):
        """Set what scikit-learn's estimators know of the columns of X."""
        validate_data(estimator, flat_rows(X, "X", self.shapes), skip_check_array=True)

    def read(self, estimator, X, y=None):
        """Read new rows: X alone, both arrays, or a `Views` of "X" and "Y"."""
        if isinstance(X, Views):
            return read_named(X, self)
        self._check_not_views(X, y)
        # Names and number of columns by scikit-learn's rules, the values by ours.
        X = self._table(X, "X", min_rows=1)
        validate_data(estimator, X, reset=False, skip_check_array=True)
        first = check_view(X, "X")
        if y is None:
            return make_blocks({"X": first}, first[0].shape[0])
        check_columns("Y", y, self.columns)
        second = self._check_y(_beside(y, X), n_features=self.n_features["Y"])
        return self._pair(X, first, y, second)

    def read_view(self, estimator, X, view):
        """Read rows of one view alone (or out of a `Views`)."""
        if isinstance(X, Views):
            return self.read(estimator, X)
        if view == "X":
            return self.read(estimator, X)
        check_columns("Y", X, self.columns)
        second = self._check_y(X, n_features=self.n_features["Y"])
        return make_blocks({"Y": second}, second[0].shape[0])

    def _pair(self, X, first, y, second):
        n_rows, n_rows_y = first[0].shape[0], second[0].shape[0]
        if n_rows != n_rows_y:
            raise ValueError(
                f"X has {n_rows} rows, but Y has {n_rows_y}: row i of Y belongs to row "
                "i of X."
            )
        indexes = {"X": pandas_index(X), "Y": pandas_index(y)}
        if all(index is not None for index in indexes.values()):
            check_same_index(indexes)
        return make_blocks({"X": first, "Y": second}, n_rows)

    def _check_y(self, y, *, n_features=None, min_rows=1):
        y = self._table(y, "Y", min_rows=min_rows)
        if len(y.shape) == 1:
            y = _as_column(y)
        return check_view(y, "Y", n_features=n_features, min_rows=min_rows)

    def _table(self, array, name, *, min_rows):
        flat = flat_rows(array, name, self.shapes)
        return _as_table(flat, name, min_rows=min_rows)

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
    if foreign_namespace(array) is not None:
        return array
    if is_torch(array):
        return to_numpy(array)
    if name == "Y" and np.asarray(array).dtype.kind in "US":
        raise ValueError(
            "Y holds text: could not convert it to float. Y is the second view, not "
            "labels; with labels as y, say by views= which columns of X are the views."
        )
    return check_array(
        array,
        dtype="numeric",
        ensure_all_finite=False,
        ensure_2d=name == "X",
        ensure_min_samples=min_rows,
        input_name=name,
    )


def _beside(y, X):
    """Y in the namespace and on the device of X: everything follows X."""
    where, other = foreign_namespace(X), foreign_namespace(y)
    if where is None and other is None:
        return y
    xp, device = where or (np, "cpu")
    return move_to(y if other else np.asarray(y), xp=xp, device=device)


def _as_column(y):
    """A single column as a table of one."""
    if is_frame(y):
        return y.to_frame()
    return y[:, None]
