"""Fitted estimators in files that run no code, notice damage, and stay whole."""

import json
import sys

import numpy
import scipy
import sklearn
from sklearn.base import BaseEstimator

from skmeta import _file
from skmeta.exceptions import (
    CorruptFileError,
    FileVersionError,
    UntrustedTypeError,
)
from skmeta.persistence._check import Refused, check, compact
from skmeta.persistence._pack import pack, unpack
from skmeta.persistence._trust import TRUSTED

__all__ = ["load", "save"]

# Of the file as a whole. A greater one is for what this release could not read.
FORMAT = 1

REMEDY = "Restore it from a copy, or save the model again."


def save(estimator, path):
    """Write an estimator to a file from which `load` makes it again, to the bit.

    The file holds arrays, plain values and names of types, no code. It is written
    beside its place and renamed when it is complete: whatever interrupts this, the
    old file stays as it was. What was fitted on a GPU is saved as numpy arrays.

    Parameters
    ----------
    estimator : estimator
        Of skmeta or scikit-learn, fitted or not, with any such estimators inside.
    path : str or path-like
        An existing file there is replaced.

    Raises
    ------
    UntrustedTypeError
        If some of it is of a type that `load` does not make: a function or class of
        your own, a decision tree (scikit-learn reads trees without checks).
    OSError
        If the file cannot be written.
    ImportError
        If skops is not installed.

    See Also
    --------
    load : The estimator in a file.

    Examples
    --------
    >>> import os, tempfile
    >>> import skmeta
    >>> views = skmeta.datasets.make_paired_views(50, random_state=0).views
    >>> mapper = skmeta.CCAMapper(2).fit(views)
    >>> path = os.path.join(tempfile.mkdtemp(), "mapper.skmeta")
    >>> skmeta.save(mapper, path)
    >>> (skmeta.load(path).transform(views) == mapper.transform(views)).all()
    np.True_
    """
    skops_io = _skops_io()
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"save writes estimators; got a {type(estimator).__name__}. Arrays have "
            "numpy.save."
        )
    try:
        payload = compact(skops_io.dumps(pack(estimator, {})))
        refused = _untrusted(payload)
    except RecursionError as error:
        raise UntrustedTypeError(
            f"This {type(estimator).__name__} holds itself, or is nested too deeply to "
            "be saved."
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UntrustedTypeError(
            f"This {type(estimator).__name__} holds what cannot be saved: {error}"
        ) from error
    if refused:
        raise UntrustedTypeError(
            f"This {type(estimator).__name__} holds {', '.join(refused)}, "
            "which skmeta.load would not make again: only types of skmeta, "
            "scikit-learn (without trees), numpy and scipy are. Save its parts, or "
            "pickle it if whoever reads it trusts you."
        )
    _file.write(path, _file.MODEL, {"format": FORMAT, **_versions()}, payload)


def load(path):
    """Make the estimator of a file that `save` wrote.

    Nothing in a file is run: types come from a fixed table, and there is no fallback
    to anything that would. Memory is bounded by the size of the file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator
        Its methods give what those of the saved one gave, to the bit. What was saved
        on a GPU is on the CPU.

    Raises
    ------
    CorruptFileError
        If the file is damaged in any bit, cut short, or no file of `save`.
    FileVersionError
        If a newer release wrote it, and what it needs is not in this one; the message
        says which version has it.
    UntrustedTypeError
        If it holds a type that is not in the table.
    OSError
        If the file cannot be read.
    ImportError
        If skops is not installed.

    See Also
    --------
    save : Write an estimator to a file.

    Notes
    -----
    A file is safe to load, but a model in it is as good as who made it: load files
    whose results you would trust.

    Examples
    --------
    >>> import os, tempfile
    >>> import skmeta
    >>> path = os.path.join(tempfile.mkdtemp(), "mapper.skmeta")
    >>> skmeta.save(skmeta.CCAMapper(2), path)
    >>> skmeta.load(path)
    CCAMapper(n_components=2)
    """
    skops_io = _skops_io()
    try:
        line, payload = _file.read(path, _file.MODEL, "file of skmeta.save", REMEDY)
        header, payload = json.loads(line), bytes(payload)
        _check_format(path, header)
    except (CorruptFileError, FileVersionError, OSError, MemoryError):
        raise
    except Exception as error:
        raise _corrupt(path, error) from error
    try:
        if refused := _untrusted(payload):
            raise _refusal(path, header, refused)
        estimator = unpack(skops_io.loads(payload, trusted=TRUSTED), {})
        if not isinstance(estimator, BaseEstimator):
            raise Refused(f"it holds a {type(estimator).__name__}, no estimator")
    except (FileVersionError, UntrustedTypeError, MemoryError, Warning):
        raise
    except Exception as error:
        for library in ("skops", "skmeta", "sklearn"):
            if _is_newer(header[library], _versions()[library]):
                raise _needs(path, library, header[library], str(error)) from error
        raise _corrupt(path, error) from error
    return estimator


def _untrusted(payload):
    """Names of the types in a skops file that are not to be made."""
    found = check(payload)
    if not found:  # skops reads no node that is none of ours
        found = set(_skops_io().get_untrusted_types(data=payload)).difference(TRUSTED)
    return sorted(found)


def _skops_io():
    try:
        from skops import io
        from skops.io import exceptions  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'Models in files need skops: pip install "skmeta[io]".'
        ) from error
    return io


def _versions():
    """Of what a file may depend on."""
    from skops import __version__ as skops_version

    return {
        "skmeta": sys.modules["skmeta"].__version__,
        "sklearn": sklearn.__version__,
        "skops": skops_version,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }


def _check_format(path, header):
    if type(header["format"]) is not int or header["format"] < 1:
        raise Refused(f"format {header['format']!r} does not exist")
    if not isinstance(header["skmeta"], str):
        raise Refused("the version of skmeta is no text")
    if header["format"] > FORMAT:  # of whose header nothing else is known
        raise _needs(path, "skmeta", header["skmeta"], f"format {header['format']}")
    if not all(isinstance(header[library], str) for library in _versions()):
        raise Refused("versions are no text")


def _refusal(path, header, names):
    """The error for types that are not in the table, or not in it yet."""
    versions = _versions()
    for name in names:
        library = name.partition(".")[0]
        if library in versions and _is_newer(header[library], versions[library]):
            return _needs(path, library, header[library], name)
    return UntrustedTypeError(
        f"{path!s} holds {', '.join(names)}, which skmeta does not trust; nothing of "
        "it was loaded. skmeta.save writes no such file."
    )


def _needs(path, library, version, what):
    package = {"sklearn": "scikit-learn"}.get(library, library)
    return FileVersionError(
        f"{path!s} was written by {package} {version} and needs it ({what}); this is "
        f'{package} {_versions()[library]}: pip install "{package}>={version}".'
    )


def _is_newer(version, other):
    return _release(version) > _release(other)


def _release(version):
    """``(1, 9, 0)`` of "1.9.0rc1"; a development version counts as its release."""
    numbers = []
    for part in version.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _corrupt(path, error):
    return CorruptFileError(
        f"{path!s} is not what skmeta.save writes: {error or type(error).__name__}."
    )
