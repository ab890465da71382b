"""`Views`: the modalities of the same rows in one row-sliceable container."""

import numpy as np
from scipy import sparse

from skmeta.views._join import join
from skmeta.views._rows import (
    is_frame,
    is_torch,
    null_rows,
    pandas_index,
    take_rows,
)


class Views:
    """Several modalities of the same rows, sliced together.

    A mapping from names to arrays whose length is its number of rows. It goes where
    scikit-learn expects X: `train_test_split`, `cross_val_score`, `GridSearchCV`.

    Parameters
    ----------
    **arrays : array-like of shape (n_rows, ...)
        One per view, under its name: numpy, pandas, polars, scipy.sparse or torch, of
        two or more dimensions, or a list with one entry per row. A row that lacks a
        view is NaN (or null) throughout that view.

    Raises
    ------
    ValueError
        If there is no view, if the numbers of rows differ, or if pandas objects have
        different indexes (use `Views.join`).

    See Also
    --------
    Views.from_dict : For names that are no identifiers, and masks of what is present.
    Views.join : For tables whose rows stand in different orders, or partly lack.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import Views
    >>> views = Views(image=np.ones((5, 3)), text=np.zeros((5, 2)))
    >>> views[1:4]
    Views(n_rows=3, image: (3, 3) float64, text: (3, 2) float64)
    >>> views["text"].shape
    (5, 2)
    """

    def __init__(self, **arrays):
        self._set(arrays, None)

    @classmethod
    def from_dict(cls, arrays, *, present=None):
        """Make `Views` of a dict, marking which rows have which view.

        Parameters
        ----------
        arrays : dict of str to array-like of shape (n_rows, ...)
        present : dict of str to array-like of bool of shape (n_rows,), default=None
            For views whose kind of array has no NaN: True where the row has the view.
            The entries of rows that lack it are never looked at. A `Views` in place
            of the dict keeps its own masks.

        Returns
        -------
        Views

        Examples
        --------
        >>> from skmeta import Views
        >>> import numpy as np
        >>> ids = np.array([[3, 1], [0, 0]])
        >>> views = Views.from_dict({"ids": ids}, present={"ids": [True, False]})
        >>> views.present["ids"]
        array([ True, False])
        """
        if isinstance(arrays, Views):
            present = arrays.marked() | dict(present or {})
        views = cls.__new__(cls)
        views._set(dict(arrays.items()), present)
        return views

    @classmethod
    def join(cls, *, how="outer", on=None, **frames):
        """Align tables by their index, or by a key column, into `Views`.

        Parameters
        ----------
        how : {"outer", "inner", "left"}, default="outer"
            Rows of any table, of every table, or of the first. A row that a table
            does not have is missing in that view.
        on : str, default=None
            A column of every table that names the rows; it is left out of the views.
            Without it, the index of pandas tables.
        **frames : DataFrame or Series
            One per view, under its name. All pandas, or all polars (with ``on``).

        Returns
        -------
        Views
            Rows in the order in which their keys first appear.

        Raises
        ------
        ValueError
            If a key appears twice in a table, if ``on`` is not a column of every
            table, or if no row is left.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmeta import Views
        >>> rna = pd.DataFrame({"a": [1.0, 2.0]}, index=["p1", "p2"])
        >>> protein = pd.DataFrame({"b": [3.0]}, index=["p2"])
        >>> Views.join(rna=rna, protein=protein).present["protein"]
        array([False,  True])
        """
        arrays, present = join(frames, how=how, on=on)
        return cls.from_dict(arrays, present=present)

    def _set(self, arrays, present):
        if not arrays:
            raise ValueError(
                "Views needs at least one view, such as Views(image=A, text=B)."
            )
        for name, array in arrays.items():
            if not isinstance(name, str):
                raise TypeError(
                    f"Names of views are strings; got {name!r} of type "
                    f"{type(name).__name__}."
                )
            arrays[name] = _check_container(name, array)
        _check_lengths(arrays)
        _check_indexes(arrays)
        self._arrays = arrays
        self._present = _check_present(present, arrays, len(self))

    # ---- a mapping of names ----------------------------------------------------------

    def keys(self):
        """Names of the views."""
        return self._arrays.keys()

    def values(self):
        """Arrays of the views."""
        return self._arrays.values()

    def items(self):
        """Pairs of name and array."""
        return self._arrays.items()

    def __iter__(self):
        return iter(self._arrays)

    def __contains__(self, name):
        return name in self._arrays

    @property
    def present(self):
        """Which rows have which view: a dict of boolean arrays of shape (n_rows,)."""
        result = {}
        for name, array in self._arrays.items():
            null = null_rows(array)
            mask = np.ones(len(self), bool) if null is None else ~null
            result[name] = mask & self._present.get(name, True)
        return result

    def marked(self):
        """The masks given as ``present=``: a dict of boolean arrays."""
        return dict(self._present)

    # ---- a container of rows ---------------------------------------------------------

    def __len__(self):
        return _n_rows(next(iter(self._arrays.values())))

    @property
    def shape(self):
        """``(n_rows,)``."""
        return (len(self),)

    def __getitem__(self, key):
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]
        if isinstance(key, str):
            if key not in self._arrays:
                raise KeyError(f"No view {key!r}; the views are {list(self._arrays)}.")
            return self._arrays[key]
        if isinstance(key, list) and key and all(isinstance(k, str) for k in key):
            arrays = {name: self[name] for name in key}
            masks = {n: m for n, m in self._present.items() if n in arrays}
            return Views.from_dict(arrays, present=masks)
        rows = self._row_key(key)
        return Views.from_dict(
            {name: take_rows(array, rows) for name, array in self._arrays.items()},
            present={name: mask[rows] for name, mask in self._present.items()},
        )

    def _row_key(self, key):
        """A slice, or integers of any other key, so that every container takes it."""
        if isinstance(key, slice):
            return key
        rows = np.asarray(key)
        if rows.ndim == 0 and rows.dtype.kind in "iu":
            rows = rows[None]
        if rows.size == 0:
            rows = rows.astype(np.intp)
        if rows.dtype.kind == "b" and rows.shape == (len(self),):
            return np.flatnonzero(rows)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise IndexError(
                "Views are indexed by a name, or by rows: a slice, integers, or a "
                f"boolean mask of length {len(self)}; got {key!r}."
            )
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(
                f"Row {rows[np.argmax(np.abs(rows))]} is out of range for "
                f"{len(self)} rows."
            )
        rows = rows.astype(np.intp)
        return rows % len(self) if rows.size else rows

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"Views of {list(self._arrays)} are no single array. Take one view by its "
            f"name, such as views[{next(iter(self._arrays))!r}], or put a mapper such "
            "as CCAMapper before what needs one array."
        )

    def __repr__(self):
        parts = [f"{name}: {_describe(array)}" for name, array in self.items()]
        return f"Views({', '.join([f'n_rows={len(self)}', *parts])})"


def _n_rows(array):
    return array.shape[0] if hasattr(array, "shape") else len(array)


def _describe(array):
    if isinstance(array, list):
        return f"list of {len(array)}"
    kind = f" {array.dtype}" if hasattr(array, "dtype") else f" {type(array).__name__}"
    return f"{tuple(array.shape)}{kind}"


def _check_container(name, array):
    if isinstance(array, tuple):
        array = list(array)
    if not (sparse.issparse(array) or is_frame(array) or is_torch(array)) and not (
        isinstance(array, list)
    ):
        if not hasattr(array, "__array__") and not hasattr(array, "shape"):
            raise TypeError(
                f"View {name!r} is a {type(array).__name__}; expected an array, a "
                "DataFrame, a sparse matrix, a tensor, or a list with one entry a row."
            )
        if np.ndim(array) == 0:
            raise ValueError(
                f"View {name!r} is a single value; expected one row per sample."
            )
    return array


def _check_lengths(arrays):
    counts = {name: _n_rows(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name!r} has {n} rows" for name, n in counts.items())
        raise ValueError(
            f"All views are of the same rows, but {found}; align them, by "
            "Views.join if they are tables with an index or a key."
        )


def _check_indexes(arrays):
    indexes = {name: pandas_index(array) for name, array in arrays.items()}
    indexes = {name: index for name, index in indexes.items() if index is not None}
    check_same_index(indexes)


def check_same_index(indexes):
    """Raise where pandas indexes of the same length differ (FAULTS 75)."""
    first, *others = indexes.items() or [(None, None)]
    for name, index in others:
        if not index.equals(first[1]):
            at = int(np.argmax(np.asarray(index) != np.asarray(first[1])))
            raise ValueError(
                f"Views {first[0]!r} and {name!r} have different indexes: row {at} is "
                f"{first[1][at]!r} in one and {index[at]!r} in the other. Align "
                f"them by Views.join({first[0]}=..., {name}=..., how='outer'), or drop "
                "the indexes if the rows already correspond (reset_index(drop=True))."
            )


def _check_present(present, arrays, n_rows):
    present = dict(present or {})
    if unknown := set(present) - set(arrays):
        raise ValueError(
            f"present= names {sorted(unknown)}, but the views are {list(arrays)}."
        )
    for name, mask in present.items():
        mask = np.asarray(mask)
        if mask.shape != (n_rows,) or mask.dtype.kind != "b":
            raise ValueError(
                f"present[{name!r}] must be a boolean array of shape ({n_rows},); got "
                f"shape {mask.shape} and dtype {mask.dtype}."
            )
        present[name] = mask.copy()
    return present
