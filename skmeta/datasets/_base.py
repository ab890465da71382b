"""Finds and reads the sets: the small ones in the package, the full ones outside."""

import csv
import io
import lzma
import os
from importlib.resources import files
from pathlib import Path

import numpy as np

ENVIRONMENT_VARIABLE = "SKMETA_DATA"


def _bytes(filename):
    return files("skmeta.datasets").joinpath("data", filename).read_bytes()


def read_array(name, array):
    """One array of a packaged set: a new, writable one in C order at each call."""
    data = lzma.decompress(_bytes(f"{name}.{array}.npy.xz"))
    return np.ascontiguousarray(np.load(io.BytesIO(data), allow_pickle=False))


def read_table(name):
    """The rows of a packaged set as dict column -> list of str."""
    text = lzma.decompress(_bytes(f"{name}.csv.xz")).decode("utf-8")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def read_description(name):
    """What a packaged set is: the text of its page."""
    return _bytes(f"{name}.md").decode("utf-8")


def find_data(name):
    """Folder of a full data set on this machine, of which the package has a part.

    Parameters
    ----------
    name : str
        A folder in the one that the environment variable ``SKMETA_DATA`` names, such
        as ``"emoji"``, ``"debian_packages"`` or ``"omniglot"``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If ``SKMETA_DATA`` is not set, or names a folder without this set.

    Examples
    --------
    >>> from skmeta.datasets import find_data
    >>> folder = find_data("omniglot")  # doctest: +SKIP
    >>> sorted(path.name for path in folder.glob("*.npz"))  # doctest: +SKIP
    ['omniglot.npz']
    """
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if not root:
        raise FileNotFoundError(
            f"The full data set {name!r} was looked for, but the environment variable "
            f"{ENVIRONMENT_VARIABLE} is not set: set {ENVIRONMENT_VARIABLE} to the "
            f"folder that holds the folder {name!r}."
        )
    root = Path(root).expanduser()
    folder = root / name
    if not folder.is_dir():
        there = sorted(path.parent.name for path in root.glob("[!.]*/README.md"))
        raise FileNotFoundError(
            f"The full data set {name!r} is not in {str(root)!r}, which has "
            f"{', '.join(there) or 'no data sets'}: set {ENVIRONMENT_VARIABLE} to the "
            f"folder that holds the folder {name!r}."
        )
    return folder
