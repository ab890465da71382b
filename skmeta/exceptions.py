"""Warnings and errors on which a user can act, each its own class."""

import sys
import warnings
from collections.abc import Iterable
from numbers import Integral

__all__ = [
    "ConditionWarning",
    "CorrelationOneWarning",
    "CorruptFileError",
    "FileVersionError",
    "RankWarning",
    "UntrustedTypeError",
]


class CorruptFileError(ValueError):
    """A model file is damaged, cut short, or was not written by `skmeta.save`."""


class FileVersionError(ValueError):
    """A model file needs another version of a library, which the message names."""


class UntrustedTypeError(TypeError):
    """A model is of types that `skmeta.load` does not make, which the message names."""


class RankWarning(UserWarning):
    """A view has fewer dimensions than columns, or than components asked for."""


class CorrelationOneWarning(UserWarning):
    """Correlations of 1 hold by construction: there are too few rows."""


class ConditionWarning(UserWarning):
    """Moments of a view have lost digits, and its rows are not there to be asked."""


def warn(message, category):
    """Warn at the line of the user's that called, whatever lies between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_library(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_library(frame):
    library = frame.f_globals.get("__name__", "").partition(".")[0]
    return library in ("skmeta", "sklearn")


def check_count(name, value, least=1):
    """An int of at least ``least``, or an error that says so."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{name} must be an integer of at least {least}; got {value!r}."
        )
    return int(value)


def check_widths(hidden_layer_sizes):
    """Widths of hidden layers as a tuple of int, or an error that says what they are.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
    """
    one = not isinstance(hidden_layer_sizes, Iterable)
    given = (hidden_layer_sizes,) if one else tuple(hidden_layer_sizes)
    if not all(isinstance(w, Integral) and w >= 1 for w in given):
        raise ValueError(
            "hidden_layer_sizes must be whole numbers from 1, one a hidden layer; got "
            f"{hidden_layer_sizes!r}."
        )
    return tuple(map(int, given))
