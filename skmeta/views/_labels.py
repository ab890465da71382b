"""Labels of rows: classes, groups, tasks."""

import numpy as np
from sklearn.utils.validation import column_or_1d

from skmeta.views._rows import null_rows


def read_class_labels(y, name):
    """`read_labels` of classes: numbers have to be whole.

    That each row is a class of its own is what few shots are, and no sign of a
    regression.
    """
    classes, codes = read_labels(y, name)
    if classes.dtype.kind in "fc" and not np.array_equal(classes, np.round(classes)):
        raise ValueError(
            f"Unknown label type: continuous. {name} holds numbers that are no labels "
            "(not integers), and classes need labels."
        )
    return classes, codes


def read_labels(labels, name):
    """Labels in order (n_labels,), and the place of each row's among them (n_rows,).

    Raises
    ------
    ValueError
        If a label is missing, or they have no order.
    """
    # Looked for before there is an array, in which NaN beside strings reads "nan", and
    # beside numbers that are objects spoils their order.
    if (missing := null_rows(labels)) is not None:
        raise ValueError(
            f"{name} has no label for row {int(np.argmax(missing))}; leave such rows "
            "out, or give them one."
        )
    labels = column_or_1d(labels, warn=True)
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"{name} has labels of types {kinds}, which have no order; make them all "
            "numbers or all strings."
        ) from error
