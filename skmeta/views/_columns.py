"""Columns of one table as views: a ColumnTransformer, or a dict of columns."""

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_array, validate_data

from skmeta._compat import num_rows, safe_indexing
from skmeta.views._blocks import check_names, check_view, make_blocks
from skmeta.views._named import check_targets
from skmeta.views._rows import is_frame, null_rows, spread_rows, take_rows
from skmeta.views._views import Views


class ColumnsReader:
    """``views=``: a ColumnTransformer, or a dict of names to columns.

    Each view has its own ColumnTransformer of one transformer, fitted on the rows
    that have the view: a text transformer never sees a null.
    """

    shapes = None  # entries of a table are numbers

    def __init__(self, views):
        if isinstance(views, ColumnTransformer):
            if views.transformer_weights:
                raise ValueError(
                    "transformer_weights of the ColumnTransformer have no meaning for "
                    "views; scale a view within its own transformer."
                )
            self.specs = [spec for spec in views.transformers if spec[1] != "drop"]
        elif isinstance(views, dict):
            self.specs = [
                (name, "passthrough", _as_list(columns))
                for name, columns in views.items()
            ]
        else:
            raise TypeError(
                "views must be a ColumnTransformer, a dict of names to columns, or "
                f"None; got a {type(views).__name__}."
            )
        self.names = tuple(name for name, _, _ in self.specs)
        check_names(self.names)
        # Whether rows are read the same whatever rows were learned from.
        self.is_fixed = all(_is_fixed(transformer) for _, transformer, _ in self.specs)

    def fit(self, estimator, X, y=None, *, min_rows=2):
        """Fit each view's transformer and read the training rows."""
        X = self._check_table(X)
        if num_rows(X) < min_rows:
            raise ValueError(
                f"Found {num_rows(X)} sample(s) (n_samples={num_rows(X)}) where a "
                f"minimum of {min_rows} is required."
            )
        check_targets(X, y)
        self.columns = {n: _resolve(X, n, columns) for n, _, columns in self.specs}
        self.transformers, checked = {}, {}
        for name, transformer, _ in self.specs:
            columns = self.columns[name]
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
            self.transformers[name] = single
            checked[name] = self._checked(name, array, mask, None)
        self.specs = None
        self.n_features = {n: array.shape[1] for n, (array, _) in checked.items()}
        return make_blocks(checked, num_rows(X))

    def check_streams(self):
        """Raise if a transformer learns from rows: pieces would not add up."""
        for name, transformer, _ in self.specs:
            if not _is_fixed(transformer):
                raise ValueError(
                    f"The transformer of view {name!r}, {transformer!r}, learns from "
                    "the rows it is fitted on, so that pieces would not add up to the "
                    "whole; fit it beforehand and wrap it in FrozenEstimator, or use "
                    "a stateless one such as HashingVectorizer."
                )

    def same_as(self, other):
        """Whether rows read by another reader are of the same views and columns."""
        return (
            isinstance(other, ColumnsReader)
            and (self.names, self.n_features) == (other.names, other.n_features)
            and all(_equal(self.columns[n], other.columns[n]) for n in self.names)
        )

    def claim(self, estimator, X):
        """Set what scikit-learn's estimators know of the columns of X."""
        validate_data(estimator, self._check_table(X), skip_check_array=True)

    def read(self, estimator, X, y=None):
        """Read new rows of the table."""
        X = self._check_table(X)
        validate_data(estimator, X, reset=False, skip_check_array=True)
        return make_blocks(
            {name: self._read_columns(X, name) for name in self.names}, num_rows(X)
        )

    def read_view(self, estimator, X, view):
        """Read one view: from the table, from its columns alone, or from texts."""
        if isinstance(X, str):
            raise ValueError(f"View {view!r} is a single string; pass a list of one.")
        columns = self.columns[view]
        single = isinstance(columns, str | int | np.integer)
        fitted = self.transformers[view].named_transformers_[view]
        if is_frame(X) and np.ndim(X) == 2:
            if hasattr(estimator, "feature_names_in_"):
                checked = self._read_columns(X, view)  # needs the view's own alone
                return make_blocks({view: checked}, checked[0].shape[0])
            X = X.to_numpy()
        if not (single and _is_flat(X)):
            X = self._check_table(X)
            if X.shape[1] == estimator.n_features_in_:
                return self.read(estimator, X)
        missing = null_rows(np.asarray(X, dtype=object) if isinstance(X, list) else X)
        if missing is not None:
            raise ValueError(
                f"Row {int(np.argmax(missing))} lacks view {view!r}, and nothing else "
                "of the row is there to be mapped."
            )
        if single and not _is_flat(X):
            X = X[:, 0]  # its transformer takes one column as a sequence
        checked = self._checked(view, _apply(fitted, X), None, view)
        return make_blocks({view: checked}, checked[0].shape[0])

    def _check_table(self, X):
        if isinstance(X, Views):
            raise TypeError(
                "views= names columns of one table, but X is a Views; leave "
                "views=None for an X that is a Views."
            )
        if is_frame(X):
            return X
        if sparse.issparse(X):
            return X.tocsr()  # not every format has columns
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
        return spread_rows(array, mask), mask


def _is_fixed(transformer):
    """Whether a transformer is what it is, whatever rows it is fitted on."""
    if isinstance(transformer, str | FrozenEstimator):
        return True
    if isinstance(transformer, Pipeline):
        return all(_is_fixed(step) for _, step in transformer.steps)
    return not get_tags(transformer).requires_fit


def _equal(a, b):
    return type(a) is type(b) and np.array_equal(a, b)


def _apply(transformer, rows):
    """Arrays, whatever output is set for users."""
    with config_context(transform_output="default"):
        return transformer.transform(rows)


def _as_list(columns):
    """A single column as a list of one: a numeric view is a table."""
    return [columns] if isinstance(columns, str | int | np.integer) else columns


def _resolve(X, name, columns):
    """The columns of a view, by name where the table has names."""
    columns = columns(X) if callable(columns) else columns
    if columns is None:
        raise ValueError(f"View {name!r} selects no columns: they are None.")
    _check_columns(X, name, columns)
    chosen = safe_indexing(X, columns, axis=1)
    if np.ndim(chosen) == 2 and chosen.shape[1] == 0:
        raise ValueError(f"View {name!r} selects no columns.")
    names = list(X.columns) if is_frame(X) else []
    if not names or len(set(names)) < len(names):
        return columns
    if not all(isinstance(n, str) for n in names):
        return columns
    return list(chosen.columns) if np.ndim(chosen) == 2 else chosen.name


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
