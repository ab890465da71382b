"""Forward passes of multilayer perceptrons in numpy: a trained encoder, to be read.

What torch trains (`skmeta.nn`) is kept as these arrays, so that a fitted estimator
holds nothing of torch and needs none to map rows.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import erf, expit
from sklearn.utils.sparsefuncs import mean_variance_axis

from skmeta.core.blocks import release, row_slices
from skmeta.core.projection import ROWS_AT_A_TIME

# Blocks of rows whose hidden layers stay in the cache.
BLOCK_BYTES = 4 * 2**20
NORM_EPS = 1e-5  # under the root of a layer's variance, as torch's LayerNorm has it

ACTIVATIONS = {
    "identity": lambda H: H,
    "relu": lambda H: np.maximum(H, 0),
    "tanh": np.tanh,
    "logistic": expit,
    "gelu": lambda H: H * (0.5 + 0.5 * erf(H / np.sqrt(2, dtype=H.dtype))),
    "silu": lambda H: H * expit(H),
}


class Layer(NamedTuple):
    """``activation(norm(X @ weights + biases))``; the last of a network is affine."""

    weights: np.ndarray  # (n_in, n_out)
    biases: np.ndarray  # (n_out,)
    gain: np.ndarray | None = None  # (n_out,), of the layer normalisation
    shift: np.ndarray | None = None


class Network(NamedTuple):
    """A multilayer perceptron of ``(rows - means) * scales``, and a map beside it."""

    means: np.ndarray  # (n_features,)
    scales: np.ndarray  # (n_features,)
    layers: tuple[Layer, ...]
    activation: str
    skip: np.ndarray | None = None  # (n_features, n_out): a linear map that is added

    @property
    def n_out(self):
        """Number of outputs."""
        return len(self.layers[-1].biases)


def arrays_of(network):
    """All arrays in nested tuples and dicts, in their order."""
    if isinstance(network, np.ndarray):
        return [network]
    if isinstance(network, dict):
        network = network.values()
    elif not isinstance(network, tuple):
        return []
    return [array for part in network for array in arrays_of(part)]


def same_shapes(one, other):
    """Whether two networks have arrays of the same shapes."""
    shapes = [[array.shape for array in arrays_of(each)] for each in (one, other)]
    return shapes[0] == shapes[1]


def standardisation(array, index, standardize=True, shape=None):
    """Means and scales (n_features,) that bring rows ``index`` to unit variance.

    Columns that do not vary have scale 0. Entries of a ``shape`` that begins with
    their channels have one mean and one scale a channel.
    """
    p = array.shape[1]
    if not standardize:
        return np.zeros(p), np.ones(p)
    mean, variance = _column_moments(array, index)
    if shape is not None:
        grid = mean.reshape(shape[0], -1)  # (n_channels, n_entries)
        centre = grid.mean(axis=1, keepdims=True)
        variance = variance.reshape(grid.shape) + (grid - centre) ** 2
        spread = np.ones_like(grid)
        mean = (centre * spread).ravel()
        variance = (variance.mean(axis=1, keepdims=True) * spread).ravel()
    # The spread of rounded equal values is no variation.
    deviations = np.sqrt(variance)
    varies = deviations > 10 * np.finfo(np.float64).eps * np.abs(mean)
    scales = np.zeros(p)
    np.divide(1.0, deviations, out=scales, where=varies)
    return mean, scales


def _column_moments(array, index):
    p = array.shape[1]
    if sparse.issparse(array):
        return mean_variance_axis(array[index].astype(np.float64), axis=0)
    n, steps = len(index), row_slices(len(index), 8 * p)
    # Differences from the first row: a constant column's are exactly zero.
    first = array[index[0]].astype(np.float64)
    shift, sums = np.zeros(p), np.zeros(p)
    for step in steps:
        shift += np.subtract(array[index[step]], first).sum(axis=0) / n
        release(array, int(index[step][0]), int(index[step][-1]) + 1)
    for step in steps:
        rows = np.subtract(array[index[step]], first)
        sums += np.square(rows - shift).sum(axis=0)
        release(array, int(index[step][0]), int(index[step][-1]) + 1)
    return first + shift, sums / n


def standardised(rows, means, scales):
    """Rows as the first layer takes them: float32, dense.

    The difference is taken in float64, so that an offset costs no digits.
    """
    if sparse.issparse(rows):
        rows = rows.toarray()
    return np.multiply(np.subtract(rows, means), scales).astype(np.float32)


def forward(network, X):
    """Outputs (n_rows, n_out), float32, of rows (n_rows, n_features)."""
    widest = max(len(network.means), *(len(layer.biases) for layer in network.layers))
    n = X.shape[0]
    result = np.empty((n, network.n_out), np.float32)
    for rows in row_slices(
        -(-n // ROWS_AT_A_TIME), 8 * ROWS_AT_A_TIME * widest, BLOCK_BYTES
    ):
        rows = slice(rows.start * ROWS_AT_A_TIME, min(rows.stop * ROWS_AT_A_TIME, n))
        taken = standardised(X[rows], network.means, network.scales)
        # As in `projection`: equal rows have equal outputs among any others.
        H = padded = np.pad(taken, ((0, -len(taken) % ROWS_AT_A_TIME), (0, 0)))
        for layer in network.layers[:-1]:
            H = H @ layer.weights + layer.biases
            if layer.gain is not None:
                H = _normalised(H) * layer.gain + layer.shift
            H = ACTIVATIONS[network.activation](H)
        H = H @ network.layers[-1].weights + network.layers[-1].biases
        if network.skip is not None:
            H += padded @ network.skip
        result[rows] = H[: len(taken)]
    return result


def _normalised(H):
    centred = H - H.mean(axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1, keepdims=True)
    return centred / np.sqrt(variance + NORM_EPS)


def unit(Z):
    """Rows of length one; a row of zeros stays."""
    return Z / np.sqrt(np.sum(Z * Z, axis=1, keepdims=True) + 1e-16)
