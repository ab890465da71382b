"""Convolutional networks in numpy: against plain sums, and rows beside other rows."""

import math
import pickle
import tracemalloc

import numpy as np
import pytest
from scipy.signal import correlate

from skmeta.core import convnet
from skmeta.core.convnet import ConvNetwork, forward

SHAPES = [
    (1, 28, 28),
    (4, 32, 32),
    (3, 8, 8),
    (2, 15, 23),
    (1, 5, 4),
    (1, 40, 6),
    (1, 50, 90),
]


def unit(rng, arrays, name, n_in, n_out, side=3):
    weights = rng.normal(size=(n_out, n_in, side, side)) / (side * np.sqrt(n_in))
    arrays[f"{name}.convolution.weight"] = weights.astype(np.float32)
    for part, low, high in [
        ("weight", 0.5, 1.5),
        ("bias", -1, 1),
        ("running_mean", -1, 1),
        ("running_var", 0.5, 2),
    ]:
        values = rng.uniform(low, high, n_out).astype(np.float32)
        arrays[f"{name}.norm.{part}"] = values
    arrays[f"{name}.norm.num_batches_tracked"] = np.array(3)


def make(kind, shape, width=5, n_out=4, seed=0):
    rng, arrays = np.random.default_rng(seed), {}
    if kind == "conv4":
        for i in range(4):
            unit(rng, arrays, f"blocks.{i}", width if i else shape[0], width)
        n_halvings = sum(convnet.conv4_pools(shape))
        n_features = width * (shape[1] >> n_halvings) * (shape[2] >> n_halvings)
    else:
        unit(rng, arrays, "stem", shape[0], width)
        for i, (n_in, n_filters) in enumerate([(1, 1), (1, 2), (2, 4)]):
            n_in, n_filters = n_in * width, n_filters * width
            unit(rng, arrays, f"blocks.{i}.first", n_in, n_filters)
            unit(rng, arrays, f"blocks.{i}.second", n_filters, n_filters)
            if i:
                unit(rng, arrays, f"blocks.{i}.shortcut", n_in, n_filters, side=1)
        pool = 2 if min(shape[1:]) >= 16 else 1
        sides = [math.ceil(math.ceil(side // pool / 2) / 2) for side in shape[1:]]
        n_features = 4 * width * min(sides[0], 4) * min(sides[1], 4)
    weights = rng.normal(size=(n_out, n_features)) / np.sqrt(n_features)
    arrays["linear.weight"] = weights.astype(np.float32)
    arrays["linear.bias"] = rng.normal(size=n_out).astype(np.float32)
    means, scales = rng.normal(size=shape[0]), rng.uniform(0.5, 2, shape[0])
    return ConvNetwork(kind, shape, means, scales, arrays)


def convolved(arrays, name, H, stride=1):
    """One image (n_in, height, width), convolved and normalised in float64."""
    weights = arrays[f"{name}.convolution.weight"].astype(float)
    border = weights.shape[-1] // 2
    padded = np.pad(H, ((0, 0), (border, border), (border, border)))
    # scipy's correlation over channels, rows and columns: one channel is left.
    H = np.concatenate([correlate(padded, w, "valid", "direct") for w in weights])
    weight, bias, mean, variance = (
        arrays[f"{name}.norm.{part}"][:, None, None].astype(float)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    H = (H - mean) / np.sqrt(variance + 1e-5) * weight + bias
    return H[:, ::stride, ::stride]


def pooled(H):
    n, height, width = H.shape
    H = H[:, : height // 2 * 2, : width // 2 * 2]
    return H.reshape(n, height // 2, 2, width // 2, 2).max(axis=(2, 4))


def averaged(H, axis):
    """Means over four cells of an axis, each of all pixels that it touches."""
    n = H.shape[axis]
    if n <= 4:
        return H
    pixel = np.arange(n)
    cells = [(pixel + 1 > i * n / 4) & (pixel < (i + 1) * n / 4) for i in range(4)]
    return np.stack([H.compress(c, axis).mean(axis) for c in cells], axis)


def reference(network, image):
    """The output of one image, as the papers have it: layer by layer, in float64."""
    arrays, side = network.arrays, min(network.shape[1:])
    means, scales = network.means[:, None, None], network.scales[:, None, None]
    H = (image.reshape(network.shape).astype(float) - means) * scales
    if network.kind == "conv4":
        for i in range(4):
            H = np.maximum(convolved(arrays, f"blocks.{i}", H), 0)
            # The last blocks halve the shorter side down to 1.
            if 2 ** (4 - i) <= side:
                H = pooled(H)
        features = H.ravel()
    else:
        H = np.maximum(convolved(arrays, "stem", H), 0)
        if side >= 16:
            H = pooled(H)
        for i in range(3):
            name, stride = f"blocks.{i}", 2 if i else 1
            residual = convolved(arrays, f"{name}.first", H, stride)
            residual = convolved(arrays, f"{name}.second", np.maximum(residual, 0))
            H = convolved(arrays, f"{name}.shortcut", H, stride) if i else H
            H = np.maximum(residual + H, 0)
        features = averaged(averaged(H, 1), 2).ravel()
    return arrays["linear.weight"].astype(float) @ features + arrays["linear.bias"]


def images(shape, n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", convnet.KINDS)
def test_it_is_the_network_of_the_papers(kind, shape):
    network, X = make(kind, shape), images(shape, 3)
    wanted = [reference(network, image) for image in X]
    for rows in (X, X.reshape(3, -1), X.astype(np.float32)):
        found = forward(network, rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.float16])
@pytest.mark.parametrize("kind", convnet.KINDS)
def test_rows_of_any_real_dtype(kind, dtype):
    network = make(kind, (2, 8, 9))
    X = (20 * np.abs(images((2, 8, 9), 5))).astype(dtype)
    if dtype is not bool:
        network = network._replace(means=network.means + 20, scales=network.scales / 20)
    wanted = [reference(network, image) for image in X]
    np.testing.assert_allclose(forward(network, X), wanted, rtol=0, atol=1e-5)


def test_an_offset_of_float64_rows_costs_no_digits():
    network, X = make("conv4", (2, 8, 8)), images((2, 8, 8), 5)
    far = network._replace(means=network.means + 1e7)
    np.testing.assert_allclose(
        forward(far, X + 1e7), forward(network, X), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("n_out", [1, 4])
@pytest.mark.parametrize("width", [5, 32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", convnet.KINDS)
def test_a_row_has_the_same_output_among_any_others(kind, shape, width, n_out):
    network = make(kind, shape, width, n_out)
    X = images(shape, 21)
    found = forward(network, X)
    for i in (0, 3, 15, 16, 20):
        np.testing.assert_array_equal(forward(network, X[i : i + 1])[0], found[i])
    order = np.random.default_rng(0).permutation(21)
    np.testing.assert_array_equal(forward(network, X[order]), found[order])


@pytest.mark.parametrize("kind", convnet.KINDS)
def test_no_rows_and_rows_that_are_not_finite(kind):
    network = make(kind, (1, 8, 8))
    assert forward(network, np.zeros((0, 64))).shape == (0, 4)
    X = images((1, 8, 8), 3)
    found = forward(network, X)
    X[1] = np.nan
    found_beside_nan = forward(network, X)
    np.testing.assert_array_equal(found_beside_nan[[0, 2]], found[[0, 2]])


def test_blocks_of_rows_are_bounded():
    for shape in SHAPES[:-1]:
        assert convnet._image_bytes(make("conv4", shape, width=64)) < 2**20
    large = make("resnet", (3, 100, 100), width=64)
    X = images(large.shape, 12).astype(np.float32)
    forward(large, X[:1])
    tracemalloc.start()
    forward(large, X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_it_pickles():
    network, X = make("resnet", (1, 8, 8)), images((1, 8, 8), 2)
    again = pickle.loads(pickle.dumps(network))
    assert again.n_out == 4
    np.testing.assert_array_equal(forward(again, X), forward(network, X))
