"""A `Views` of named arrays as views."""

import numpy as np

from skmeta.views._blocks import check_names, check_view, make_blocks
from skmeta.views._rows import is_frame, take_rows
from skmeta.views._views import Views


class ViewsReader:
    """``fit(views)``: the views come ready."""

    def fit(self, estimator, X, y=None):
        """Learn names, widths and column names, and read the training rows."""
        self.names = tuple(X.keys())
        check_names(self.names)
        checked = _checked_views(X, self.names, min_rows=2)
        self.n_features = {n: array.shape[1] for n, (array, _) in checked.items()}
        self.columns = {n: _columns(X[n]) for n in self.names}
        return make_blocks(checked, len(X))

    def read(self, estimator, X, y=None):
        """Read new rows of a `Views`, which may be without some of the views."""
        if not isinstance(X, Views):
            raise TypeError(
                f"{type(estimator).__name__} was fitted on Views of "
                f"{list(self.names)}; got a {type(X).__name__}. Pass Views, or one "
                "view alone to transform_view(X, view)."
            )
        return read_named(X, self.names, self.n_features, self.columns)

    def read_view(self, estimator, X, view):
        """Read rows of one view alone, or out of a `Views`."""
        if isinstance(X, Views):
            return self.read(estimator, X)
        return read_named(
            Views.from_dict({view: X}), self.names, self.n_features, self.columns
        )


def _columns(array):
    """Column names of a table, None where it has none."""
    if is_frame(array) and hasattr(array, "columns"):
        return list(array.columns)
    return None


def read_named(X, names, n_features, columns):
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
    return make_blocks(checked, len(X))


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
