"""Rows that stay where they are: on a GPU, or in another library's arrays.

What is as long as the rows is computed there, by the Array API; what is as wide as the
columns comes to the host, where the decompositions are.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skmeta.core import moments as mo
from skmeta.core.blocks import row_slices

# A device has memory and wants large products.
BLOCK_BYTES = 256 * 2**20


class Device(NamedTuple):
    """Where arrays are, and how they come to the host and back."""

    xp: Any  # the namespace of the Array API
    to_host: Callable  # array -> ndarray
    from_host: Callable  # ndarray -> array
    widest: Any  # the widest float dtype there is
    floats: dict  # dtype of the namespace -> numpy dtype


class OnDevice:
    """A table of numbers in another namespace, sliced by rows as an ndarray is."""

    def __init__(self, array, device):
        self.array, self.device = array, device

    @property
    def shape(self):
        """``(n_rows, n_columns)``."""
        return tuple(self.array.shape)

    @property
    def dtype(self):
        """The numpy dtype that the rows have on the host."""
        return self.device.floats.get(self.array.dtype, np.dtype(np.float64))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            return OnDevice(self.array[rows, :], self.device)
        index = self.device.from_host(np.asarray(rows, dtype=np.int64))
        return OnDevice(self.device.xp.take(self.array, index, axis=0), self.device)

    def host(self):
        """The rows as an ndarray."""
        return self.device.to_host(self.array)

    def cast(self, dtype):
        """The array itself, of a dtype of the namespace."""
        return self.device.xp.astype(self.array, dtype, copy=False)


def on_device(arrays):
    """Whether any of ``arrays`` is not on the host."""
    return any(isinstance(array, OnDevice) for array in arrays)


def moments_on_device(rows, slices):
    """The moments of long rows, in two passes over them where they are."""
    device = rows.views[next(iter(slices))].device
    xp, wide = device.xp, device.widest
    width = max(where.stop for where in slices.values())
    steps = row_slices(len(rows), 8 * width, BLOCK_BYTES)

    def taken(step):
        parts = [rows.take(name, step).cast(wide) for name in slices]
        weight = rows.weight(step)
        if weight is not None:
            weight = xp.astype(device.from_host(weight), wide, copy=False)[:, None]
        return xp.concat(parts, axis=1), weight

    first = taken(slice(0, 1))[0]  # exactly the value of a constant column
    total = xp.zeros_like(first)
    for step in steps:
        block, weight = taken(step)
        block = block - first
        block = block if weight is None else block * weight
        total = total + xp.sum(block, axis=0, keepdims=True)
    n = rows.n
    mean = first + total / n
    gram, left = None, xp.zeros_like(first)
    for step in steps:
        block, weight = taken(step)
        block = block - mean
        weighted = block if weight is None else block * weight
        left = left + xp.sum(weighted, axis=0, keepdims=True)
        product = xp.matmul(weighted.T, block)
        gram = product if gram is None else gram + product
    offset = device.to_host(left).astype(np.float64)[0] / n
    gram = device.to_host(gram).astype(np.float64)
    gram -= np.multiply.outer(offset, offset * n)
    mean = device.to_host(mean).astype(np.float64)[0] + offset
    return mo.Moments(n, mean, (gram + gram.T) / 2)


def project_on_device(rows, mean, weights):
    """``(rows - mean) @ weights`` there, in the float dtype of the rows."""
    device = rows.device
    known = rows.array.dtype in device.floats
    dtype = rows.array.dtype if known else device.widest
    there = [device.from_host(array) for array in (mean, weights)]
    centre, w = (device.xp.astype(array, dtype, copy=False) for array in there)
    return device.xp.matmul(rows.cast(dtype) - centre, w)
