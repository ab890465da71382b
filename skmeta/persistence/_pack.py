"""Estimators as skops can write them to the bit, and back.

skops writes dicts by their keys as text (True and (0, 1) do not come back as they
were), one node for each string of a vocabulary, a file for each numpy scalar, and
sparse matrices compressed. `pack` puts a `Packed` of plain parts in the place of each
of these, in a copy that shares the arrays; arrays on a device come to the host.
"""

import json
import os
import sys
from collections import OrderedDict
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import Bunch

from skmeta._compat import to_host

# The attribute that says where the rows of `fit` were: what is loaded is on the host.
PLACE = "_like"

# What watches a fit is no part of what was fitted.
CALLBACKS = "_skl_callbacks"

SCALARS = (bool, int, float, str, type(None))

DICTS = {"dict": dict, "OrderedDict": OrderedDict, "Bunch": Bunch}

OTHERS = {"set": set, "frozenset": frozenset}

RANGES = {"slice": slice, "range": range}

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")

# Trees of neighbours are read without checks: they are grown anew from their rows.
TREES = ("KDTree", "BallTree")
TREE_METRICS = ("euclidean", "manhattan", "chebyshev")


class Packed(NamedTuple):
    """Plain parts in the place of a value, and the name of what makes it of them."""

    kind: str
    parts: list


def pack(value, memo):
    """A copy of `value` that skops writes exactly; ``memo`` is an empty dict."""
    if type(value) in SCALARS:
        return value
    if id(value) not in memo:
        memo[id(value)] = value, _pack(value, memo)  # alive, so that its id is its own
    return memo[id(value)][1]


def _pack(value, memo):
    kind = type(value)
    name = kind.__name__

    def packed(name, *parts):
        return Packed(name, [pack(part, memo) for part in parts])

    if kind in (list, dict) and _is_json(value):
        return Packed("json", [json.dumps(value)])
    if kind is list:
        if _are_numbers(value):
            return Packed("numbers", [np.array(value)])
        return [pack(v, memo) for v in value]
    if isinstance(value, tuple):
        parts = (pack(v, memo) for v in value)
        return kind(*parts) if hasattr(kind, "_fields") else tuple(parts)
    if DICTS.get(name) is kind:
        return packed(name, list(value), list(value.values()))
    if OTHERS.get(name) is kind:
        return packed(name, sorted(value, key=repr))  # the same bytes every time
    if RANGES.get(name) is kind:
        return packed(name, value.start, value.stop, value.step)
    if isinstance(value, np.dtype) and value.names is None:
        return packed("dtype", value.str)
    if kind is np.random.RandomState:
        return packed("RandomState", value.get_state(legacy=False))
    if kind is np.random.Generator:
        seeds = value.bit_generator.seed_seq.state
        return packed("Generator", value.bit_generator.state, seeds)
    if isinstance(value, np.ma.MaskedArray):
        return packed("masked", value.data, value.mask, value.fill_value)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return packed("objects", value.ravel().tolist(), list(value.shape))
        return value.view(np.ndarray) if isinstance(value, np.memmap) else value
    if sparse.issparse(value):
        rows = value if value.format in ("csr", "csc") else value.tocsr()
        parts = (rows.data, rows.indices, rows.indptr, list(rows.shape))
        is_array = isinstance(value, sparse.sparray)
        return packed("sparse", *parts, rows.format, value.format, is_array)
    if name.removesuffix("64") in TREES and "sklearn.neighbors" in sys.modules:
        return packed("tree", *_tree_parts(value))
    if kind is np.str_:  # an array of it would lose trailing zeros
        return packed("str_", "".join(value))
    if isinstance(value, np.generic | type):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "state_dict") and hasattr(value, "register_forward_hook"):
        raise TypeError(
            f"{name} is a module of torch. Its code is not in the file; save the "
            "module's weights by torch.save, or pickle the estimator if whoever reads "
            "it trusts you."
        )
    if _is_ours(value):
        copy = object.__new__(kind)
        for key, part in vars(value).items():
            if not isinstance(getattr(kind, key, None), cached_property):
                vars(copy)[key] = None if key == PLACE else pack(part, memo)
        vars(copy).pop(CALLBACKS, None)
        return copy
    if hasattr(value, "detach") or hasattr(value, "__array_namespace__"):
        return to_host(value)
    return value


def unpack(value, memo):
    """What `pack` has packed; ``memo`` is an empty dict."""
    if type(value) in SCALARS or isinstance(value, np.ndarray):
        return value
    if id(value) not in memo:
        memo[id(value)] = value, _unpack(value, memo)
    return memo[id(value)][1]


def _unpack(value, memo):
    if isinstance(value, Packed):
        return UNPACK[value.kind](*unpack(value.parts, memo))
    if type(value) is list:
        return [unpack(v, memo) for v in value]
    if isinstance(value, tuple):
        parts = (unpack(v, memo) for v in value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if _is_ours(value):
        for key, part in vars(value).items():
            vars(value)[key] = unpack(part, memo)
    return value


def _is_ours(value):
    """Whether a value is an object with attributes of skmeta or scikit-learn."""
    library = type(value).__module__.partition(".")[0]
    return library in ("skmeta", "sklearn") and hasattr(value, "__dict__")


def _is_json(value):
    """Whether JSON gives exactly this value back."""
    if type(value) is dict:
        return set(map(type, value)) <= {str} and all(map(_is_json, value.values()))
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) in SCALARS


def _are_numbers(values):
    kinds = set(map(type, values))
    return len(kinds) == 1 and issubclass(kinds.pop(), np.number | np.bool_)


def _objects(items, shape):
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array.reshape(shape)


def _random_state(state):
    made = np.random.RandomState()
    made.set_state(_checked(state))
    return made


def _generator(state, seeds):
    if state["bit_generator"] not in BIT_GENERATORS:
        raise ValueError(f"no generator {state['bit_generator']!r}")
    made = getattr(np.random, state["bit_generator"])(np.random.SeedSequence(**seeds))
    made.state = _checked(state)
    return np.random.Generator(made)


def _checked(state):
    """A state whose place in its table is inside; numpy does not look."""
    if not 0 <= state["state"].get("pos", 0) <= len(state["state"].get("key", ())):
        raise ValueError("a random state lies about its place")
    return state


def _masked(data, mask, fill_value):
    return np.ma.MaskedArray(data, mask, fill_value=fill_value)


def _sparse(data, indices, indptr, shape, rows, form, is_array):
    makers = {
        ("csr", True): sparse.csr_array,
        ("csr", False): sparse.csr_matrix,
        ("csc", True): sparse.csc_array,
        ("csc", False): sparse.csc_matrix,
    }
    made = makers[rows, is_array]((data, indices, indptr), shape=tuple(shape))
    made.check_format(full_check=True)  # an index outside is read outside
    return made.asformat(form)


def _tree_parts(tree):
    state = tree.__getstate__()
    metric = type(state[-2]).__name__.removesuffix("64").removesuffix("Distance")
    if metric.lower() not in TREE_METRICS:
        raise TypeError(
            f"A {type(tree).__name__} with the metric {metric.lower()!r} cannot be "
            f"saved, only with one of {list(TREE_METRICS)}; algorithm='brute' has none."
        )
    name = type(tree).__name__.removesuffix("64")
    return name, np.asarray(state[0]), state[4], metric.lower(), state[-1]


def _tree(name, rows, leaf_size, metric, sample_weight):
    from sklearn import neighbors

    if name not in TREES or metric not in TREE_METRICS:
        raise ValueError(f"no tree {name!r} with metric {metric!r}")
    kind = getattr(neighbors, name)
    return kind(rows, leaf_size, metric=metric, sample_weight=sample_weight)


UNPACK = {
    "json": json.loads,
    "numbers": list,
    "dtype": np.dtype,
    "str_": np.str_,
    "objects": _objects,
    "RandomState": _random_state,
    "Generator": _generator,
    "masked": _masked,
    "sparse": _sparse,
    "tree": _tree,
    **{
        n: lambda keys, values, d=d: d(zip(keys, values, strict=True))
        for n, d in DICTS.items()
    },
    **OTHERS,
    **RANGES,
}
