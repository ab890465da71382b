"""The rows and the fitted state that questions are asked of."""

from numbers import Integral

import numpy as np

from skmeta._compat import validate_parameters
from skmeta.mapping._linear import LinearMapper, checked_n_components
from skmeta.views._door import open_door
from skmeta.views._rows import null_rows


def check_mapper(mapper, function):
    """Raise where it is no linear mapper of views."""
    if not isinstance(mapper, LinearMapper):
        what = mapper.__name__ if isinstance(mapper, type) else type(mapper).__name__
        raise TypeError(
            f"{function} takes a CCAMapper, such as CCAMapper(shrinkage=0), as its "
            f"first argument; got {what}."
        )


def is_fitted(mapper):
    """Whether a mapper has seen rows."""
    return "_reader" in vars(mapper)


def n_components_of(mapper, n_features):
    """How many components a mapper has or is to have, None for all."""
    if is_fitted(mapper):
        return mapper.correlations_.shape[0]
    if not isinstance(mapper.n_components, Integral):  # a grid is no number yet
        return None
    return checked_n_components(mapper.n_components, n_features)


def check_count(value, name, least=1):
    """Raise where it is no integer of at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {value}.")


def read_blocks(mapper, X, y):
    """Blocks of rows and the reader, which is the mapper's own where it is fitted."""
    if not is_fitted(mapper):
        validate_parameters(mapper)  # as its fit does
        reader = open_door(mapper.views, X)
        return reader.fit(mapper, X, y), reader
    reader = mapper._reader
    blocks = reader.read(mapper, X, y)
    if lacking := [name for name in reader.names if name not in blocks.arrays]:
        raise ValueError(
            f"View {lacking[0]!r} is not there, and rows of all views are needed: "
            "after fit(X, Y) of two arrays pass both, else a Views of all."
        )
    return blocks, reader


def check_groups(groups, n_rows):
    """Codes (n_rows,) of groups, None for None."""
    if groups is None:
        return None
    given, groups = groups, np.asarray(groups)
    if groups.shape != (n_rows,):
        raise ValueError(
            f"groups has shape {groups.shape}, but X has {n_rows} rows; groups are "
            "labels, one per row."
        )
    # As given: an array of a list has the NaN beside strings as the string "nan".
    if (missing := null_rows(given)) is not None:
        raise ValueError(
            f"groups has no label for row {int(np.argmax(missing))}; give it one or "
            "drop the row."
        )
    try:
        return np.unique(groups, return_inverse=True)[1]
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in groups})
        raise TypeError(
            f"groups has labels of types {kinds}, which have no order; make them all "
            "numbers or all strings."
        ) from error
