"""Parameters that may differ from view to view."""

from numbers import Real

import numpy as np


def by_view(value, names, parameter, default):
    """A value for each view, of one for all or of a dict by name."""
    if not isinstance(value, dict):
        return dict.fromkeys(names, value)
    if unknown := [name for name in value if name not in names]:
        raise ValueError(
            f"{parameter}= names view {unknown[0]!r}, but the views are {list(names)}."
        )
    for name, v in value.items():
        if parameter == "standardize":
            valid = isinstance(v, bool | np.bool_)
        else:
            valid = is_shrinkage(v)
        if not valid:
            expected = "a bool" if parameter == "standardize" else "in [0, 1] or 'auto'"
            raise ValueError(f"{parameter}[{name!r}] must be {expected}; got {v!r}.")
    return {name: value.get(name, default) for name in names}


def is_shrinkage(value):
    """Whether it is a share, or "auto"."""
    if isinstance(value, str):
        return value == "auto"
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 1
