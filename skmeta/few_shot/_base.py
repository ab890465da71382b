"""What all few-shot learners share: rows and labels in, and `adapt`."""

import copy
import math
from abc import ABCMeta, abstractmethod
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from skmeta._compat import clone_parametrized
from skmeta._progress import SupportsCallbacks
from skmeta.core.projection import float_dtype
from skmeta.views._labels import read_class_labels, read_labels

# Integers of up to 16 bits, such as pixels, are exact in float32.
SMALL = (np.uint8, np.int8, np.uint16, np.int16, np.bool_)


class BaseFewShot(SupportsCallbacks, BaseEstimator, metaclass=ABCMeta):
    """A learner that `fit` trains over many tasks, and `adapt` makes fit for one.

    A concrete class names in ``_learned`` the attributes that meta-training sets: they
    are what an adapted learner keeps through `clone`, together with the parameters that
    it was trained with.
    """

    _learned = ()
    _adapts = ()  # parameters that `adapt` reads, which may change after meta-training
    _adapted_with = None  # parameters at meta-training, of what `adapt` returned

    def adapt(self, X_support, y_support, *, n_steps=None):
        """Learn a new task from a few rows: a new estimator, and this one stays as is.

        Parameters
        ----------
        X_support : array-like of shape (n_rows, ...)
            Rows of the task, as those that were meta-trained on.
        y_support : array-like of shape (n_rows,)
            Their targets. Classes may be any, and have any numbers of rows.
        n_steps : int, default=None
            Steps of the inner loop, where there is one.

        Returns
        -------
        estimator
            Fitted to the task. It shares what was meta-learned, keeps it through
            `clone`, and its `fit` is `adapt`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If rows are not as those trained on, or there is one class.
        """
        check_is_fitted(self)
        adapted = copy.copy(self)
        if adapted._adapted_with is None:
            adapted._adapted_with = self.get_params(deep=False)
        adapted._adapt(X_support, y_support, n_steps)
        return adapted

    @abstractmethod
    def _adapt(self, X, y, n_steps=None):
        """Set what one task gives, in place."""

    def _fit_or_adapt(self, X, y, task):
        """`fit`: `_fit`, or, of what `adapt` returned, `adapt` to other rows."""
        with self._whole_or_not_at_all():
            if self._adapted_with is None:
                self._fit(X, y, task)
            else:
                self._fit_again(X, y)
        return self

    @abstractmethod
    def _fit(self, X, y, task):
        """Meta-train, and adapt to all rows, in place."""

    def _fit_again(self, X, y):
        now = self.get_params(deep=False)
        for name, value in self._adapted_with.items():
            if name in self._adapts:
                continue
            if now[name] is not value and not _same(now[name], value):
                raise ValueError(
                    f"{name} was {value!r} when this estimator was meta-trained, and "
                    f"is {now[name]!r} now. What `adapt` returned adapts anew in `fit` "
                    "and does not meta-train; set parameters of an estimator that was "
                    "not adapted, and fit that."
                )
        self._adapt(X, y)

    @contextmanager
    def _whole_or_not_at_all(self):
        """A fit that fails leaves the estimator as it was."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def __sklearn_clone__(self):
        cloned = clone_parametrized(self)
        if self._adapted_with is not None:
            for name in ("_adapted_with", *self._learned):
                if name in vars(self):
                    setattr(cloned, name, vars(self)[name])
            # Equal to those that it was made with, as `clone` has them.
            cloned._adapted_with = cloned.get_params(deep=False)
        return cloned

    def __sklearn_is_fitted__(self):
        return hasattr(self, self._fitted_mark)

    # ---- rows and labels -------------------------------------------------------------

    def _read_X(self, X, *, reset):
        """Rows (n_rows, ...) as float32 or float64; all entries of the same shape."""
        if reset or (ndim := getattr(self, "_entry_ndim", 1)) == 1:
            found = getattr(X, "ndim", 2)
            if found <= 2:
                X = validate_data(self, X, reset=reset, dtype="numeric")
                if reset:
                    self._entry_shape = (X.shape[1],)
                    self._entry_ndim = 1
                return np.asarray(X, _dtype_of(X.dtype))
            ndim = found - 1
        X = check_array(X, allow_nd=True, dtype="numeric", estimator=self)
        if reset:
            self._entry_shape, self._entry_ndim = X.shape[1:], ndim
            vars(self).pop("n_features_in_", None)
            vars(self).pop("feature_names_in_", None)
        elif X.shape[1:] != self._entry_shape:
            raise ValueError(
                f"X has entries of shape {X.shape[1:]}, but "
                f"{type(self).__name__} was trained on entries of shape "
                f"{self._entry_shape}."
            )
        return np.asarray(X, _dtype_of(X.dtype))

    def _check_input_shape(self):
        """Raise where ``input_shape`` is not that of the rows that were read."""
        if self.input_shape is None:
            return
        shape = tuple(self.input_shape)
        entry = self._entry_shape
        if self._entry_ndim > 1 and shape not in (entry, (1, *entry)):
            raise ValueError(
                f"input_shape={shape} is for flat rows of such images; X has entries "
                f"of shape {entry}. Leave it None."
            )
        if self._entry_ndim == 1 and math.prod(shape) != entry[0]:
            raise ValueError(
                f"input_shape={shape} has {math.prod(shape)} numbers, but rows of X "
                f"have {entry[0]}."
            )

    def _read_classes(self, X, y, name):
        """Classes (n_classes,), and the code of each row's."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        classes, codes = read_class_labels(y, name)
        check_consistent_length(X, codes)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs two or more classes to tell apart; "
                f"{name} has one class, {classes.tolist()[0]!r}."
            )
        return classes, codes

    def _read_tasks(self, X, task):
        """Codes (n_rows,) of tasks, or None; keeps which, for those who score."""
        self._learned_by_task = task is not None
        if task is None:
            return None
        codes = read_labels(task, "task")[1]
        check_consistent_length(X, codes)
        return codes


def checked_answers(found):
    """What is predicted, or an error where it is not finite."""
    if not np.isfinite(found).all():
        raise ValueError(
            "An answer is not finite: numbers in X, here or in the support, are so "
            "large that their products overflow. Scale X."
        )
    return found


def _dtype_of(dtype):
    return np.float32 if dtype in SMALL else float_dtype(dtype)


def _same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    try:
        return bool(a == b)
    except (ValueError, TypeError):  # arrays
        return np.array_equal(a, b)
