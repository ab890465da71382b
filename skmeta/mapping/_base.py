"""What every mapper does with the scores of its views."""

from abc import ABCMeta, abstractmethod
from functools import partial
from itertools import combinations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import (
    check_feature_names_in,
    check_same_namespace,
    foreign_namespace,
    move_to,
    to_host,
)
from skmeta.core.device import OnDevice
from skmeta.core.gaussian import log_density, pointwise_information, regression
from skmeta.core.projection import float_dtype
from skmeta.mapping._fusion import (
    fill_missing,
    fusion_matrix,
    fusion_names,
    fusion_offset,
    patterns,
    view_columns,
)
from skmeta.views import Views
from skmeta.views._blocks import RESERVED
from skmeta.views._pair import PairReader


def _two_arrays(mapper):
    """Whether the mapper can be, or is, in the form fit(X, Y)."""
    reader = getattr(mapper, "_reader", None)
    if reader is None:
        return mapper.views is None
    return isinstance(reader, PairReader)


class BaseMapper(TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Views in, one shared space out.

    A concrete mapper has the parameters ``views`` and ``fusion``, and sets ``_reader``,
    ``_dtypes``, ``correlations_``, ``score_covariance_``, ``means_`` and ``structure_``
    in `fit`.
    """

    @abstractmethod
    def _view_scores(self, name, array):
        """Unit-variance scores (n, k) of rows of one view, where the rows are."""

    @abstractmethod
    def _affine(self):
        """Scales and offsets (m, k) that make scores of each view its coordinates."""

    # ---- coordinates -----------------------------------------------------------------

    def transform(self, X, y=None):
        """Map rows into the shared space.

        Parameters
        ----------
        X : array-like, DataFrame or Views of shape (n_rows, ...)
            In the form in which the mapper was fitted. Rows, and in a `Views` whole
            views, may be missing: their block is the conditional mean given the views
            that are there.
        y : array-like of shape (n_rows, n_features_of_Y), default=None
            After ``fit(X, Y)`` of two arrays: the second view. Otherwise ignored.

        Returns
        -------
        Z : ndarray of shape (n_rows, n_features_out)
            The views' coordinates joined by ``fusion``. After ``fit(X, Y)`` of two
            arrays: the coordinates of X alone, or with ``y`` (or a `Views` of "X" and
            "Y") the tuple of both.

        Raises
        ------
        ValueError
            If a row has no view, or rows are not as they were at `fit`.
        """
        blocks = self._read("transform", X, y)
        if _two_arrays(self):
            if set(blocks.arrays) == {"X"}:
                return self._coordinates("X", blocks.arrays["X"])
            return self._pair_coordinates(blocks)
        return self._fused(blocks)

    def _fused(self, blocks):
        """Rows of the joined coordinates, missing views filled in."""
        scores, dtype = self._all_scores(blocks)
        Z = scores @ self._fusion_matrix() + self._fusion_offset()
        return blocks.back(Z.astype(dtype, copy=False))

    def transform_view(self, X, view):
        """Map rows of one view into the shared space.

        Parameters
        ----------
        X : array-like, DataFrame, list of str or Views
            Rows of that view alone (its columns, its array; for a view of one text
            column a list of strings), or the full input.
        view : str
            Its name.

        Returns
        -------
        Z : ndarray of shape (n_rows, n_components)

        Raises
        ------
        ValueError
            If there is no such view, or a row lacks it.
        """
        blocks = self._read_view("transform_view", X, view)
        return self._coordinates(view, blocks.arrays[view])

    def transform_views(self, X, y=None):
        """Map every view of the rows into the shared space, each by itself.

        Parameters
        ----------
        X, y
            As in `transform`; after ``fit(X, Y)`` of two arrays, ``y`` is the second.

        Returns
        -------
        dict of str to ndarray of shape (n_rows, n_components)
            One per view that is there; NaN in the rows that lack it.
        """
        blocks = self._read("transform_views", X, y)
        result = {}
        for name, array in blocks.arrays.items():
            mask = blocks.mask(name)
            if not mask.any():
                continue
            Z = self._coordinates(name, array)
            if not mask.all():
                Z = to_host(Z)
                Z[~mask] = np.nan
                Z = blocks.back(Z)
            result[name] = Z
        return result

    # ---- from one view to another ----------------------------------------------------

    def predict_view(self, X, *, source=None, target):
        """Predict the columns of one view from other views.

        The least-squares prediction from the scores that are present,
        ``C_tO C_OO^+ s_O``, of all components and views jointly, from the unshrunk
        training moments.

        Parameters
        ----------
        X : array-like, DataFrame, list of str or Views
            The full input, or rows of ``source`` alone.
        source : str or list of str, default=None
            The views to predict from; None for all that are there, but the target.
        target : str
            The view to predict.

        Returns
        -------
        ndarray of shape (n_rows, n_features_of_target)
            In the units of the view's columns (as its transformer made them, under a
            ColumnTransformer).
        """
        return self._predicted("predict_view", X, source, target)

    def _predicted(self, method, X, source, target):
        check_is_fitted(self)
        self._check_view_name(target)
        if source is None:
            blocks = self._read(method, X)
            given = [name for name in self._reader.names if name != target]
        else:
            given = [source] if isinstance(source, str) else list(source)
            for name in given:
                self._check_view_name(name)
            if len(given) == 1:
                blocks = self._read_view(method, X, given[0])
            else:
                blocks = self._read(method, X)
        if target in given:
            raise ValueError(f"View {target!r} is both the source and the target.")
        arrays = {n: array for n, array in blocks.arrays.items() if n in given}
        blocks = blocks._replace(arrays=arrays)
        scores, present, dtype = self._scores_and_mask(blocks)
        if not present.any(axis=1).all():
            raise ValueError(
                f"Row {int(np.argmin(present.any(axis=1)))} has none of the views "
                f"{given} to predict {target!r} from."
            )
        scores = fill_missing(scores, present, self._host("score_covariance_"))
        seen = np.repeat([n in given for n in self._reader.names], self._n_components)
        coefficients = regression(
            self._host("score_covariance_")[np.ix_(seen, seen)],
            self._host("structure_")[target][:, seen].T,
        )
        predicted = scores[:, seen] @ coefficients + self._host("means_")[target]
        dtype = np.result_type(dtype, self._dtypes[target])
        return blocks.back(self._shaped(target, predicted.astype(dtype, copy=False)))

    @available_if(_two_arrays)
    def predict(self, X):
        """Predict Y from X, after ``fit(X, Y)`` of two arrays.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)

        Returns
        -------
        ndarray of shape (n_rows, n_features_of_Y), or (n_rows,) if Y was 1-D
        """
        predicted = self._predicted("predict", X, "X", "Y")
        return predicted[:, 0] if self._reader.y_ndim == 1 else predicted

    def inverse_transform(self, Z, Z_y=None):
        """Reconstruct the views' columns from coordinates in the shared space.

        Parameters
        ----------
        Z : array-like of shape (n_rows, n_features_out)
            What `transform` gives.
        Z_y : array-like of shape (n_rows, n_components), default=None
            After ``fit(X, Y)`` of two arrays: the coordinates of Y.

        Returns
        -------
        Views, ndarray or tuple of ndarray
            The least-squares reconstruction of every view as a `Views`. After
            ``fit(X, Y)`` of two arrays: of X from its own coordinates, and with
            ``Z_y`` the tuple of both views, each from its own.
        """
        check_is_fitted(self)
        if (where := foreign_namespace(Z)) is not None:
            xp, device = where
            host = self.inverse_transform(
                to_host(Z), None if Z_y is None else to_host(Z_y)
            )
            if isinstance(host, Views):
                moved = {n: move_to(a, xp=xp, device=device) for n, a in host.items()}
                return Views.from_dict(moved)
            if isinstance(host, tuple):
                return move_to(*host, xp=xp, device=device)
            return move_to(host, xp=xp, device=device)
        if _two_arrays(self):
            first = self._reconstruct("X", self._check_z(Z, "X"), "X")
            if Z_y is None:
                return first
            return first, self._reconstruct("Y", self._check_z(Z_y, "Y"), "Y")
        Z = self._check_z(Z, self._fusion)
        return Views.from_dict(
            {
                name: self._reconstruct(name, Z, self._fusion)
                for name in self._reader.names
            }
        )

    # ---- how well rows fit -----------------------------------------------------------

    def score(self, X, y=None):
        """Held-out correlation of corresponding components.

        Parameters
        ----------
        X, y
            As in `transform`; after ``fit(X, Y)`` of two arrays, ``y`` is the second.

        Returns
        -------
        float
            Pearson correlations of corresponding components, averaged over pairs of
            views and summed over components (a mean would always favour one
            component). Components without variance count 0.
        """
        check_is_fitted(self)
        if _two_arrays(self) and y is None and not isinstance(X, Views):
            raise ValueError(
                "score compares views: after fit(X, Y) of two arrays it requires y to "
                "be passed, but the target y is None."
            )
        blocks = self._read("score", X, y)
        scores, present, _ = self._scores_and_mask(blocks)
        k, total = self._n_components, []
        for a, b in combinations(range(present.shape[1]), 2):
            rows = present[:, a] & present[:, b]
            if rows.any():
                first, second = scores[rows][:, view_columns(a, k)], scores[rows]
                total.append(_correlations(first, second[:, view_columns(b, k)]).sum())
        if not total:
            raise ValueError("No row has two views, so no correlation can be scored.")
        return float(np.mean(total))

    def score_samples(self, X, y=None):
        """How usual each row is, in its views and in how they go together.

        Parameters
        ----------
        X, y
            As in `transform`; after ``fit(X, Y)`` of two arrays, ``y`` is the second.

        Returns
        -------
        ndarray of shape (n_rows,)
            The log-density of the row's unit-variance scores, of the views that are
            there, under the Gaussian of the training scores. Wrong pairs score low,
            and so do rare rows: `score_pairs` tells them apart.
        """
        return self._of_scores("score_samples", X, y, log_density)

    def score_pairs(self, X, y=None):
        """How well each row's views fit each other, however rare they are.

        Parameters
        ----------
        X, y
            As in `transform`; after ``fit(X, Y)`` of two arrays, ``y`` is the second.

        Returns
        -------
        ndarray of shape (n_rows,)
            The logarithm of how much more likely the row's views are together than as
            strangers: `score_samples` of all its views, less that of each alone. 0 for
            a row of one view. Wrong pairs score low. Training rows score too high;
            score rows that the mapper has not seen, such as those held out by folds.
        """
        information = partial(pointwise_information, width=self._n_components)
        return self._of_scores("score_pairs", X, y, information)

    def _of_scores(self, method, X, y, function):
        """``function(scores, covariance)`` of the views that each row has."""
        blocks = self._read(method, X, y)
        scores, present, _ = self._scores_and_mask(blocks)
        covariance = self._host("score_covariance_")
        result = np.empty(len(scores))
        for pattern, rows in patterns(present):
            seen = np.repeat(pattern, self._n_components)
            result[rows] = function(
                scores[np.ix_(rows, seen)], covariance[np.ix_(seen, seen)]
            )
        return blocks.back(result)

    # ---- scikit-learn ----------------------------------------------------------------

    def get_feature_names_out(self, input_features=None):
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against the columns seen in `fit`.

        Returns
        -------
        ndarray of str
            ``{view}__{i}`` where a column belongs to one view, else the class name
            in lower case and a number.
        """
        check_is_fitted(self)
        if hasattr(self, "n_features_in_"):
            check_feature_names_in(self, input_features)
        fusion = "X" if _two_arrays(self) else self._fusion
        names = fusion_names(
            fusion, self._reader.names, self._n_components, type(self).__name__.lower()
        )
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.views is None
        tags.input_tags.sparse = True
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # ---- inside ----------------------------------------------------------------------

    @property
    def _n_components(self):
        return self.correlations_.shape[0]

    @property
    def _fusion(self):
        return self._check_fusion(self._reader.names)

    def _check_fusion(self, names):
        if self.fusion not in (*RESERVED, *names):
            raise ValueError(
                f"fusion must be one of {list(RESERVED)} or the name of a view, of "
                f"{list(names)}; got {self.fusion!r}."
            )
        return self.fusion

    def _check_view_name(self, name):
        if name not in self._reader.names:
            raise ValueError(
                f"Unknown view {name!r}; the views are {list(self._reader.names)}."
            )

    def _host(self, name):
        """Something learned, as numpy arrays."""
        return to_host(getattr(self, name))

    def _read(self, method, X, y=None):
        """Rows for a method that a user has called."""
        check_is_fitted(self)
        self._check_place(method, X)
        return self._reader.read(self, X, y)

    def _check_place(self, method, X):
        """Under array_api_dispatch, rows are where the rows of `fit` were."""
        arrays = X.values() if isinstance(X, Views) else [X]
        for array in arrays:
            if foreign_namespace(array) or foreign_namespace(self.correlations_):
                check_same_namespace(
                    array, self, attribute="correlations_", method=method
                )

    def _read_view(self, method, X, view):
        check_is_fitted(self)
        self._check_view_name(view)
        self._check_place(method, X)
        blocks = self._reader.read_view(self, X, view)
        if not (mask := blocks.mask(view)).all():
            raise ValueError(
                f"Row {int(np.argmin(mask))} lacks view {view!r}; transform() with "
                f"fusion={view!r} fills it from the views that are there."
            )
        return blocks

    def _coordinates(self, name, array):
        """Coordinates of one view alone, in its float dtype."""
        Z, i = self._view_scores(name, array), self._reader.names.index(name)
        scale, offset = (a[i].astype(float_dtype(array.dtype)) for a in self._affine())
        if isinstance(array, OnDevice):
            return Z * array.device.from_host(scale) + array.device.from_host(offset)
        Z *= scale
        if offset.any():
            Z += offset
        return Z

    def _pair_coordinates(self, blocks):
        """Coordinates of both of two arrays, each in its float dtype."""
        names = self._reader.names
        gaps = blocks.present or len(blocks.arrays) < len(names)
        scores = self._all_scores(blocks)[0] if gaps else None
        pair = []
        for i, name in enumerate(names):
            mask = blocks.mask(name)
            if mask.all():
                pair.append(self._coordinates(name, blocks.arrays[name]))
                continue
            scales, offsets = self._affine()
            filled = scores[:, view_columns(i, self._n_components)]
            filled = filled * scales[i] + offsets[i]
            pair.append(blocks.back(filled.astype(self._dtypes[name], copy=False)))
        return tuple(pair)

    def _scores_and_mask(self, blocks):
        """Scores (n, m * k), present (n, m), and the dtype for what comes out."""
        names, k = self._reader.names, self._n_components
        scores = np.zeros((blocks.n_rows, len(names) * k))
        present = np.column_stack([blocks.mask(name) for name in names])
        dtypes = []
        for i, name in enumerate(names):
            rows = present[:, i]
            if not rows.any():
                continue
            array = blocks.arrays[name]
            dtypes.append(float_dtype(array.dtype))
            here = slice(None) if rows.all() else np.flatnonzero(rows)
            some = array if rows.all() else array[here]
            scores[here, view_columns(i, k)] = to_host(self._view_scores(name, some))
        return scores, present, np.result_type(*(dtypes or [np.float64]))

    def _all_scores(self, blocks):
        """Scores with missing views filled in, and the dtype for what comes out."""
        scores, present, dtype = self._scores_and_mask(blocks)
        return fill_missing(scores, present, self._host("score_covariance_")), dtype

    def _fusion_matrix(self, fusion=None):
        return fusion_matrix(
            fusion or self._fusion,
            self._reader.names,
            self._affine()[0],
            self._host("correlations_"),
            self._host("score_covariance_"),
        )

    def _fusion_offset(self, fusion=None):
        return fusion_offset(
            fusion or self._fusion, self._reader.names, self._affine()[1]
        )

    def _check_z(self, Z, fusion):
        Z = np.asarray(Z)
        width = self._fusion_matrix(fusion).shape[1]
        if Z.ndim != 2 or Z.shape[1] != width:
            raise ValueError(
                f"Coordinates must have shape (n_rows, {width}), as transform gives "
                f"them; got {Z.shape}."
            )
        if Z.dtype.kind not in "fiu" or not np.isfinite(Z).all():
            raise ValueError(
                "Coordinates must be finite real numbers; got NaN, infinity or "
                f"another dtype ({Z.dtype})."
            )
        return Z

    def _reconstruct(self, name, Z, fusion):
        """Least squares on fused coordinates f = F's: C_ts F (F' C F)^+ f."""
        fused = self._fusion_matrix(fusion)
        coefficients = regression(
            fused.T @ self._host("score_covariance_") @ fused,
            fused.T @ self._host("structure_")[name].T,
        )
        centred = Z - self._fusion_offset(fusion)
        result = centred @ coefficients + self._host("means_")[name]
        dtype = np.result_type(float_dtype(Z.dtype), self._dtypes[name])
        return self._shaped(name, result.astype(dtype, copy=False))

    def _shaped(self, name, rows):
        """Rows of a view in the shape in which its entries came."""
        shape = (self._reader.shapes or {}).get(name)
        return rows if shape is None else rows.reshape(len(rows), *shape)


def _correlations(A, B):
    """Pearson correlations of corresponding columns, 0 where one is constant."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    product = np.linalg.norm(A, axis=0) * np.linalg.norm(B, axis=0)
    dot = np.einsum("ij,ij->j", A, B)
    return np.divide(dot, product, out=np.zeros_like(dot), where=product > 0)
