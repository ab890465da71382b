"""The rows and the fitted state that questions are asked of."""

from numbers import Integral

import numpy as np

from skmeta._compat import validate_parameters
from skmeta.mapping._linear import LinearMapper, checked_n_components
from skmeta.views._door import open_door
from skmeta.views._labels import read_labels


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
    if np.shape(groups) != (n_rows,):
        raise ValueError(
            f"groups has shape {np.shape(groups)}, but X has {n_rows} rows; groups are "
            "labels, one per row."
        )
    return read_labels(groups, "groups")[1]
