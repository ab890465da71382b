"""Targets: what is learned from y, and answers in its terms."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

from skmeta.views._labels import read_labels


class Target(NamedTuple):
    """Targets as they are trained on."""

    values: np.ndarray  # (n_rows,) int64 of classes, or (n_rows, n_outputs) float32
    classes: np.ndarray | None
    means: np.ndarray  # (n_outputs,), taken off the targets
    scales: np.ndarray  # (n_outputs,), by which they are divided
    flat: bool  # whether y was 1-D

    @property
    def n_outputs(self):
        """Outputs that are compared with the target."""
        return self.values.shape[1] if self.classes is None else len(self.classes)


def read_classes(y, name, classes=None):
    """Class labels; ``classes`` are those known beforehand."""
    _check_there(y, name)
    found, values = read_labels(y, "y")
    assert_all_finite(found, input_name="y")
    y = found[values]
    check_classification_targets(y)
    if classes is None:
        classes = found
    elif unknown := sorted(set(found.tolist()) - set(classes.tolist())):
        raise ValueError(
            f"y has the label {unknown[0]!r}, which is none of the classes "
            f"{classes.tolist()}."
        )
    else:
        values = np.searchsorted(classes, y)
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs two or more classes to tell apart; y has one class, "
            f"{classes.tolist()[0]!r}."
        )
    k = len(classes)
    return Target(values.astype(np.int64), classes, np.zeros(k), np.ones(k), True)


def read_numbers(y, name, *, standardize, scaling=None):
    """Numbers to come close to; ``scaling`` are means and scales known beforehand."""
    _check_there(y, name)
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    flat = y.ndim == 1
    y = y.reshape(len(y), -1)
    means, scales = np.zeros(y.shape[1]), np.ones(y.shape[1])
    if scaling is not None:
        if len(scaling[0]) != y.shape[1]:
            raise ValueError(
                f"y has {y.shape[1]} column(s), but {len(scaling[0])} in the rows "
                "before; a fit goes on with the same numbers to predict."
            )
        means, scales = scaling
    elif standardize:
        means, deviations = y.mean(axis=0), y.std(axis=0)
        scales = np.where(deviations > 0, deviations, 1.0)
    values = ((y - means) / scales).astype(np.float32)
    return Target(values, None, means, scales, flat)


def _check_there(y, name):
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
