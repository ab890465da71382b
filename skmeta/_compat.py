"""The only file that touches scikit-learn's private names."""

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import _clone_parametrized as clone_parametrized
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._array_api import (
    _max_precision_float_dtype as widest_float,
)
from sklearn.utils._array_api import (
    check_same_namespace,
    get_namespace_and_device,
    move_to,
)
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_rows


def to_host(value):
    """A numpy array of an array of any namespace; a dict of them likewise."""
    if isinstance(value, dict):
        return {key: to_host(array) for key, array in value.items()}
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    with config_context(array_api_dispatch=True):
        return move_to(value, xp=np, device="cpu")


def validate_parameters(estimator):
    """Raise if a parameter of an estimator is none that it takes."""
    estimator._validate_params()


def foreign_namespace(array):
    """Namespace and device of an array that is not numpy's, under array_api_dispatch.

    None without dispatch, and for arrays of numpy and what is no array.
    """
    if not get_config()["array_api_dispatch"] or isinstance(array, np.ndarray | list):
        return None
    if not (hasattr(array, "__array_namespace__") or hasattr(array, "__dlpack__")):
        return None
    xp, is_array_api, device = get_namespace_and_device(array)
    if not is_array_api or xp.__name__.endswith("numpy"):
        return None
    return xp, device


__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_feature_names_in",
    "check_same_namespace",
    "check_sample_weight",
    "clone_parametrized",
    "fit_context",
    "foreign_namespace",
    "move_to",
    "num_rows",
    "safe_indexing",
    "to_host",
    "validate_parameters",
    "widest_float",
]
