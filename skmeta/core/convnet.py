"""Forward passes of small convolutional networks in numpy, for trained encoders.

What torch trains (`skmeta.nn.convolution`) is kept as its arrays, and computed here by
matrix products alone, images with their channels last.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from skmeta.core.blocks import row_slices

# Images taken at a time are about this large with their neighbourhoods laid out.
BLOCK_BYTES = 2 * 2**20
NORM_EPS = 1e-5  # added to a variance, as torch's normalisations have it
GROUP_FILTERS = 8  # that are normalised together
# Images with a shorter side are not pooled before the residual blocks.
MIN_SIDE_TO_POOL = 16
# Along a side, over which the last filters of a residual network are averaged.
CELLS = 4


class ConvNetwork(NamedTuple):
    """A convolutional network of ``(images - means) * scales``."""

    kind: str  # a key of `KINDS`
    shape: tuple  # (channels, height, width)
    means: np.ndarray  # (channels,)
    scales: np.ndarray  # (channels,)
    # Of torch's names: weights, and statistics of batch normalisation; without those,
    # groups of filters are normalised.
    arrays: dict

    @property
    def n_out(self):
        """Number of outputs."""
        return len(self.arrays["linear.bias"])


def n_groups(n_filters):
    """Number of groups of filters that are normalised together."""
    return n_filters // GROUP_FILTERS if n_filters % GROUP_FILTERS == 0 else 1


def conv4_pools(shape):
    """Of each block of `Conv4`, whether it halves the sides of images.

    A side of 8 can be halved three times: it is the first block that does not, so
    that no block is left to convolve a single pixel.
    """
    n_halvings = int(min(shape[1:])).bit_length() - 1
    return [block + n_halvings >= 4 for block in range(4)]


def resnet_cells(shape):
    """Weights with which `ResNet` averages its last filters over cells of the image.

    Where in an image a feature stands tells as much as which it is: there are up to
    four cells along a side.

    Returns
    -------
    tuple of ndarray (n_cells, n_pixels)
        Along the height and the width.
    """
    sides = shape[1:]
    if min(sides) >= MIN_SIDE_TO_POOL:
        sides = [side // 2 for side in sides]
    return tuple(_cells((side + 3) // 4) for side in sides)  # two strides of 2


def _cells(n_pixels):
    n = min(n_pixels, CELLS)
    weights = np.zeros((n, n_pixels), np.float32)
    for i in range(n):
        cell = slice(i * n_pixels // n, -(-(i + 1) * n_pixels // n))
        weights[i, cell] = 1.0 / (cell.stop - cell.start)
    return weights


def forward(network, X):
    """Outputs (n_rows, n_out), float32, of images as rows or as (n_rows, *shape).

    Products are taken image by image: an output is the same whatever the other rows.
    """
    apply = KINDS[network.kind](network)
    result = np.empty((len(X), network.n_out), np.float32)
    for rows in row_slices(len(X), _image_bytes(network), BLOCK_BYTES):
        images = _standardised(network, X[rows])
        result[rows] = apply(np.moveaxis(images, 1, -1))
    return result


def _standardised(network, rows):
    # float64 rows lose no digits to an offset; uint8 and float32 stay float32.
    dtype = np.result_type(rows.dtype, np.float32)
    means, scales = (
        np.asarray(a, dtype).reshape(-1, 1, 1) for a in (network.means, network.scales)
    )
    centred = np.subtract(rows.reshape(-1, *network.shape), means, dtype=dtype)
    return np.multiply(centred, scales, out=centred).astype(np.float32, copy=False)


def _image_bytes(network):
    channels, height, width = network.shape
    # The first convolution, or the second, which is of pooled images: those after it
    # have fewer pixels by more than they have more filters.
    filters = next(a.shape[0] for a in network.arrays.values() if a.ndim == 4)
    pooled = 4 if min(height, width) >= MIN_SIDE_TO_POOL else 1
    return 4 * height * width * 9 * max(channels, filters // pooled)


def _conv4(network):
    layers = [_folded(network.arrays, f"blocks.{i}") for i in range(4)]
    pools = conv4_pools(network.shape)

    def apply(H):
        for layer, pool in zip(layers, pools, strict=True):
            H = _convolved(H, layer.weights)
            # The maximum of rectified, shifted entries: shifted and rectified after it.
            H = _normalised(_pooled(H) if pool else H, layer)
            H = _rectified(H, layer.biases)
        # As torch flattens: channels first.
        return _linear(network.arrays, np.moveaxis(H, -1, 1).reshape(len(H), -1))

    return apply


def _resnet(network):
    arrays = network.arrays
    stem = _folded(arrays, "stem")
    n_blocks = sum(name.endswith("second.convolution.weight") for name in arrays)
    blocks = [
        [
            _folded(arrays, f"blocks.{i}.{part}")
            for part in ("first", "second", "shortcut")
        ]
        for i in range(n_blocks)
    ]
    pool = min(network.shape[1:]) >= MIN_SIDE_TO_POOL
    along_height, along_width = resnet_cells(network.shape)

    def apply(H):
        H = _convolved(H, stem.weights)
        H = _normalised(_pooled(H) if pool else H, stem)
        H = _rectified(H, stem.biases)
        for first, second, shortcut in blocks:
            stride = 1 if shortcut is None else 2
            residual = _normalised(_convolved(H, first.weights, stride), first)
            residual = _rectified(residual, first.biases)
            residual = _normalised(_convolved(residual, second.weights), second)
            if shortcut is not None:
                H = _normalised(_convolved(H, shortcut.weights, stride), shortcut)
                H = H + shortcut.biases
            residual += H
            H = _rectified(residual, second.biases)
        n, height, width, n_filters = H.shape
        H = along_height @ H.reshape(n, height, -1)
        H = along_width @ H.reshape(n, -1, width, n_filters)
        return _linear(arrays, np.moveaxis(H, -1, 1).reshape(n, -1))

    return apply


KINDS = {"conv4": _conv4, "resnet": _resnet}


class _Layer(NamedTuple):
    weights: np.ndarray  # (side * side * n_in, n_filters): rows, columns, channels
    biases: np.ndarray  # (n_filters,)
    gains: np.ndarray | None = None  # (n_filters,), of normalised groups of filters


def _folded(arrays, name):
    """A convolution and what normalises it, batch normalisation folded in; or None."""
    if f"{name}.convolution.weight" not in arrays:
        return None
    weights = arrays[f"{name}.convolution.weight"].astype(np.float64)
    if f"{name}.norm.running_mean" not in arrays:
        gain, shift = (arrays[f"{name}.norm.{part}"] for part in ("weight", "bias"))
        weights = weights.transpose(2, 3, 1, 0).reshape(-1, len(gain))
        return _Layer(weights.astype(np.float32), shift, gain)
    gain, shift, mean, variance = (
        arrays[f"{name}.norm.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = gain / np.sqrt(variance + NORM_EPS)
    weights = weights.transpose(2, 3, 1, 0).reshape(-1, len(gain)) * gain
    return _Layer(weights.astype(np.float32), (shift - mean * gain).astype(np.float32))


def _convolved(H, weights, stride=1):
    """Images (n, height, width, n_in) convolved by filters of 3 by 3 or 1 by 1.

    ``weights`` are (side * side * n_in, n_filters). The neighbourhoods of an image's
    pixels are laid out as rows, and multiplied image by image. Products of all images
    at once would be no faster, and would sum a row in an order that depends on where
    it stands.
    """
    if len(weights) == H.shape[-1]:
        windows = H[:, ::stride, ::stride]
    else:
        n, height, width, n_in = H.shape
        padded = np.zeros((n, height + 2, width + 2, n_in), np.float32)
        padded[:, 1:-1, 1:-1] = H
        windows = sliding_window_view(padded, (3, 3), axis=(1, 2))
        windows = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    n, height, width = windows.shape[:3]
    windows = windows.reshape(n, height * width, len(weights))
    return (windows @ weights).reshape(n, height, width, -1)


def _normalised(H, layer):
    """Groups of filters of an image at mean 0 and variance 1, and their gains."""
    if layer.gains is None:
        return H
    shape = H.shape
    H = H.reshape(len(H), -1, n_groups(shape[-1]), shape[-1] // n_groups(shape[-1]))
    H = H - H.mean(axis=(1, 3), keepdims=True)
    variance = np.square(H).mean(axis=(1, 3), keepdims=True)
    H /= np.sqrt(variance + np.float32(NORM_EPS))
    return H.reshape(shape) * layer.gains


def _pooled(H):
    """The largest of each square of 2 by 2; an odd last row or column is left out."""
    height, width = H.shape[1] // 2 * 2, H.shape[2] // 2 * 2
    H = H[:, :height, :width]
    H = np.maximum(H[:, ::2], H[:, 1::2])
    return np.maximum(H[:, :, ::2], H[:, :, 1::2])


def _rectified(H, biases):
    H += biases
    return np.maximum(H, 0, out=H)


def _linear(arrays, H):
    # Row by row, as the images.
    products = H[:, None] @ arrays["linear.weight"].T
    return products[:, 0] + arrays["linear.bias"]
