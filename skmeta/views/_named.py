"""A `Views` of named arrays as views."""

import numpy as np

from skmeta._compat import num_rows
from skmeta.views._blocks import (
    check_finite,
    check_names,
    check_view,
    make_blocks,
)
from skmeta.views._rows import (
    flat_rows,
    is_frame,
    null_rows,
    spread_rows,
    take_rows,
)
from skmeta.views._views import Views


class ViewsReader:
    """``fit(views)``: the views come ready."""

    is_fixed = True  # rows are read the same whatever rows were learned from

    shapes = None  # of entries that are no rows of numbers, by view

    def __init__(self, X):
        self.names = tuple(X.keys())
        check_names(self.names)

    def fit(self, estimator, X, y=None, *, min_rows=2):
        """Learn widths and column names, and read the training rows."""
        check_targets(X, y)
        self.shapes = {} if takes_shapes(estimator) else None
        checked = _checked_views(X, self.names, min_rows=min_rows, shapes=self.shapes)
        self.n_features = {n: array.shape[1] for n, (array, _) in checked.items()}
        self.columns = {n: column_names(X[n]) for n in self.names}
        return make_blocks(checked, len(X))

    def check_streams(self):
        """Nothing is learned but widths."""

    def same_as(self, other):
        """Whether rows read by another reader are of the same views and columns."""
        return isinstance(other, ViewsReader) and same_columns(self, other)

    def claim(self, estimator, X):
        """Forget what an earlier fit on another form knew of the columns of X."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)

    def read(self, estimator, X, y=None):
        """Read new rows of a `Views`, which may be without some of the views."""
        if not isinstance(X, Views):
            raise TypeError(
                f"{type(estimator).__name__} was fitted on Views of "
                f"{list(self.names)}; got a {type(X).__name__}. Pass Views, or one "
                "view alone to transform_view(X, view)."
            )
        check_targets(X, y)
        return read_named(X, self)

    def read_view(self, estimator, X, view):
        """Read rows of one view alone, or out of a `Views`."""
        if isinstance(X, Views):
            return self.read(estimator, X)
        return read_named(Views.from_dict({view: X}), self)


def takes_shapes(estimator):
    """Whether views may be arrays of any shape, with one entry a row."""
    return getattr(estimator, "_takes_shapes", False)


def column_names(array):
    """Column names of a table, None where it has none."""
    if is_frame(array) and hasattr(array, "columns"):
        return list(array.columns)
    return None


def same_columns(a, b):
    """Whether two readers have the same views, widths and, if known, column names."""
    return (a.names, a.n_features) == (b.names, b.n_features) and all(
        None in (a.columns[n], b.columns[n]) or a.columns[n] == b.columns[n]
        for n in a.names
    )


def check_columns(name, array, expected):
    """The columns of a view are those of `fit`, in their order."""
    found, expected = column_names(array), expected.get(name)
    if found is not None and expected is not None and found != expected:
        raise ValueError(
            f"The columns of view {name!r} differ from those it was fitted with, or "
            f"stand in another order: {found[:5]} beside {expected[:5]}."
        )


def check_targets(X, y):
    """Targets are one a row."""
    if y is not None and num_rows(y) != num_rows(X):
        raise ValueError(f"X has {num_rows(X)} rows, but y has {num_rows(y)}.")


def read_named(X, reader):
    """Read a `Views` of some of the views of a reader."""
    names = reader.names
    if unknown := [name for name in X if name not in names]:
        raise ValueError(
            f"Unknown view {unknown[0]!r}; the estimator was fitted on {list(names)}."
        )
    for name in X:
        check_columns(name, X[name], reader.columns)
    checked = _checked_views(
        X, [n for n in names if n in X], reader.n_features, shapes=reader.shapes
    )
    return make_blocks(checked, len(X))


def _checked_views(X, names, n_features=None, *, min_rows=1, shapes=None):
    """``{name: (array, mask)}``; what ``present=`` masks out is never looked at."""
    marked = X.marked()
    checked = {}
    for name in names:
        array, mask = X[name], marked.get(name)
        if isinstance(array, list) and (null := null_rows(array)) is not None:
            mask = ~null if mask is None else mask & ~null
        array = flat_rows(array, name, shapes)
        width = n_features[name] if n_features else None
        if mask is None or mask.all():
            array, mask = check_view(array, name, n_features=width, min_rows=min_rows)
        else:
            array, mask = _check_where(array, mask, name, width)
        checked[name] = array, mask
    return checked


def _width(array):
    """Columns of an array of which no entry is looked at; 1 where it does not tell."""
    shape = getattr(array, "shape", ())
    return shape[1] if len(shape) == 2 else 1


def _check_where(array, mask, name, n_features):
    """Check the rows that have the view; zeros stand for those that lack it."""
    rows = np.flatnonzero(mask)
    if len(rows) == 0:
        width = n_features or _width(array)
        return np.zeros((len(mask), width)), mask
    if isinstance(array, np.ndarray) and array.ndim == 2:
        # What lacks the view is never looked at, so that nothing has to be copied.
        head, _ = check_view(array[rows[:1]], name, n_features=n_features)
        if head.dtype == array.dtype:
            return array, check_finite(array, name, rows)
    some, inner = check_view(take_rows(array, rows), name, n_features=n_features)
    full = spread_rows(some, mask)
    if inner is not None:
        mask = mask.copy()
        mask[rows[~inner]] = False
    return full, mask
