"""Where a fit stands after an epoch, in a file: a killed fit goes on to the same bits.

The file is one of `skmeta._file`. Its header has the format, the fingerprint of the fit
and versions of the libraries; its payload is an npz of arrays, of which "values" is
JSON again.

It is written beside its place and renamed, so that a place holds the state after one
epoch or after the next at any moment. Nothing in it is ever unpickled.
"""

import functools
import hashlib
import inspect
import io
import json
import os
import zipfile
from collections.abc import Mapping

import numpy as np
import torch
from scipy import sparse
from torch import nn

from skmeta import _file
from skmeta.core.blocks import row_slices
from skmeta.exceptions import CorruptFileError, FileVersionError

MARK = _file.CHECKPOINT

REMEDY = "Delete it to start anew, or give another path."

FORMAT = 1

# Of a larger array evenly spaced rows are hashed, as many as this holds.
MAX_HASHED_BYTES = 256 * 2**20


class Checkpoint:
    """A file that holds a fit as it stood after its last epoch.

    Parameters
    ----------
    path : str or path-like
        In a folder that is there.
    fingerprint : str
        Of the fit: the file of another one is refused.
    """

    def __init__(self, path, fingerprint):
        self.path, self.fingerprint = os.path.realpath(path), fingerprint

    def read(self):
        """Values and arrays that `write` was given, or None where there is no file.

        Raises
        ------
        CorruptFileError
            If the file is damaged, cut short, or no checkpoint.
        ValueError
            If it belongs to another fit.
        FileVersionError
            If another version of skmeta wrote it, in another format.
        FileNotFoundError
            If its folder is not there.
        """
        folder, name = os.path.split(self.path)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"{folder!r} is no folder, and the checkpoint {name!r} is to be in it."
            )
        _file.clear(self.path)
        if not os.path.exists(self.path):
            return None
        line, payload = _file.read(self.path, MARK, "checkpoint of a fit", REMEDY)
        try:
            header = json.loads(line)
            version, found = header["format"], header["fingerprint"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._corrupt("its header cannot be read") from error
        if version != FORMAT:
            raise FileVersionError(
                f"The checkpoint {self.path!r} was written by skmeta in format "
                f"{version}, and this one reads format {FORMAT}. Delete it to start "
                "anew, or go on with the version that wrote it."
            )
        if found != self.fingerprint:
            raise self.of_another_fit("its parameters or its data are not the same")
        try:
            with np.load(io.BytesIO(payload), allow_pickle=False) as stored:
                arrays = dict(stored)
            return json.loads(arrays.pop("values").tobytes()), arrays
        except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise self._corrupt("its arrays cannot be read") from error

    def write(self, values, arrays):
        """Put a dict of JSON's values and a dict of arrays in the place of the file."""
        values = np.frombuffer(json.dumps(values).encode(), np.uint8)
        payload = io.BytesIO()
        np.savez(payload, values=values, **arrays)
        header = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "versions": {"numpy": np.__version__, "torch": torch.__version__},
        }
        _file.write(self.path, MARK, header, payload.getbuffer())

    def of_another_fit(self, why):
        """The error that says so."""
        return ValueError(
            f"The checkpoint {self.path!r} belongs to another fit: {why}. Give another "
            "path, or delete the file to start anew."
        )

    def _corrupt(self, why):
        return CorruptFileError(
            f"The checkpoint {self.path!r} is damaged or cut short: {why}. Delete it "
            "to start anew."
        )


# ---- what tells one fit from another -------------------------------------------------


def fingerprint(parameters, arrays):
    """SHA-256 of what a fit is given.

    Parameters
    ----------
    parameters : dict
        Of values, containers, arrays, functions, estimators and torch modules.
    arrays : list of ndarray or sparse matrix
        The data. Of an array of more than 256 MB only evenly spaced rows count, its
        shape and its dtype.

    Returns
    -------
    str
    """
    checksum = hashlib.sha256()
    for part in _parts(parameters):
        checksum.update(part)
        checksum.update(b"\0")
    for array in arrays:
        for part in _array_parts(array):
            checksum.update(part)
    return checksum.hexdigest()


def _parts(value):
    """Bytes that are the same in every process, of nearly any value."""
    yield type(value).__qualname__.encode()
    if isinstance(value, Mapping | list | tuple):
        yield str(len(value)).encode()
    if isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield repr(key).encode()
            yield from _parts(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, set | frozenset):
        yield repr(sorted(value, key=repr)).encode()
    elif isinstance(value, np.random.RandomState | np.random.Generator):
        yield repr(rng_state(value)).encode()
    elif isinstance(value, nn.Module):
        yield repr(value).encode()
        for name, tensor in value.state_dict().items():
            yield name.encode()
            yield from _parts(tensor)
    elif isinstance(value, torch.Tensor):
        yield from _array_parts(to_array(value))
    elif isinstance(value, np.ndarray) or sparse.issparse(value):
        yield from _array_parts(value)
    elif isinstance(value, functools.partial):
        yield from _parts([value.func, value.args, value.keywords])
    elif inspect.ismethod(value):
        yield from _parts([value.__func__, value.__self__])
    elif inspect.isfunction(value):
        yield from _function_parts(value)
    elif inspect.isroutine(value) or isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif inspect.ismodule(value):
        yield value.__name__.encode()
    elif hasattr(value, "get_params"):
        yield from _parts(value.get_params(deep=False))
    elif type(value).__repr__ is object.__repr__:  # it would be an address
        yield from _parts(getattr(value, "__dict__", {}))
    else:
        yield repr(value).encode()


def _function_parts(function):
    """Of a function: its code, and the values that it was made with."""
    yield f"{function.__module__}.{function.__qualname__}".encode()
    yield from _code_parts(function.__code__)
    yield from _parts([function.__defaults__, function.__kwdefaults__])
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not yet given a value
            continue
        if value is not function:  # one that calls itself
            yield from _parts(value)


def _code_parts(code):
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _code_parts(constant)
        else:
            yield from _parts(constant)


def _array_parts(array):
    yield f"{array.shape} {array.dtype}".encode()
    if sparse.issparse(array):
        array = array if array.format in ("csr", "csc") else array.tocsr()
        for part in (array.indptr, array.indices, array.data):
            yield from _array_parts(part)
        return
    if array.dtype == object:
        yield repr(array.tolist()).encode()
        return
    if array.ndim == 0:
        yield array.tobytes()
        return
    n, row_bytes = len(array), max(1, array.nbytes // max(1, len(array)))
    step = max(1, -(-array.nbytes // MAX_HASHED_BYTES))
    index = range(0, n, step)
    for some in row_slices(len(index), row_bytes):
        rows = array[index[some].start : index[some].stop : step]
        yield np.ascontiguousarray(rows).view(np.uint8).data


# ---- states as arrays ----------------------------------------------------------------


def generators_of(space):
    """The distinct torch generators that modules of the space hold."""
    found = {
        id(value): value
        for module in space.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Generator)
    }
    return list(found.values())


def checkpoint_of(estimator, arrays, unbound=()):
    """The `Checkpoint` of a fit of an estimator to some arrays, or None without one.

    Parameters
    ----------
    estimator : estimator
        With the parameters ``checkpoint``, ``device`` and ``random_state``.
    arrays : list of ndarray
    unbound : sequence of str, default=()
        Further parameters that may be others when the fit goes on.

    Raises
    ------
    ValueError
        If ``random_state`` is no number.
    """
    if estimator.checkpoint is None:
        return None
    if estimator.random_state is None:
        raise ValueError(
            "checkpoint= needs random_state to be a number: a fit that was "
            "interrupted could not be gone on with when it is None."
        )
    parameters = estimator.get_params(deep=False)
    for name in ("checkpoint", "device", *unbound):
        parameters.pop(name)
    return Checkpoint(estimator.checkpoint, fingerprint(parameters, arrays))


def to_array(tensor):
    """An array of its own on the host."""
    return tensor.detach().cpu().numpy().copy()


def to_tensors(arrays):
    """Tensors of their own, in memory aligned as torch has it."""
    return {name: torch.tensor(array) for name, array in arrays.items()}


def rng_state(rng):
    """The state of a numpy generator, as JSON has it."""
    if isinstance(rng, np.random.RandomState):
        return _plain(rng.get_state(legacy=False))
    return _plain(rng.bit_generator.state)


def set_rng_state(rng, state):
    """Go on from a state that `rng_state` gave."""
    if isinstance(rng, np.random.RandomState):
        rng.set_state(state)
    else:
        rng.bit_generator.state = state


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def optimiser_arrays(optimiser, space):
    """What an optimiser knows of each parameter: arrays named parameter/quantity."""
    return {
        f"{name}/{quantity}": to_array(value)
        for name, parameter in space.named_parameters()
        for quantity, value in optimiser.state.get(parameter, {}).items()
    }


def load_optimiser(optimiser, space, arrays):
    """Go on from what `optimiser_arrays` gave."""
    named = dict(space.named_parameters())
    names = {parameter: name for name, parameter in named.items()}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    known = {name: {} for name in named}
    for key, value in to_tensors(arrays).items():
        name, quantity = key.rsplit("/", 1)
        if name not in named:  # learned along by a loss before this one
            continue
        if value.shape == named[name].shape:
            # A fused step goes through memory in order: that of weights and moments
            # is to be the same, as where images are in channels_last.
            value = torch.empty_like(named[name]).copy_(value)
        known[name][quantity] = value.detach()
    state = {i: known[names[p]] for i, p in enumerate(parameters) if known[names[p]]}
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
