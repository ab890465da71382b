"""Convolutional encoders: the numpy pass beside torch's, starts, and training."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmeta.core.convnet import forward  # noqa: E402
from skmeta.nn import convolution  # noqa: E402

KINDS = {"conv4": convolution.Conv4, "resnet": convolution.ResNet}
SHAPES = [(1, 28, 28), (4, 32, 32), (3, 8, 8), (2, 15, 23), (3, 17, 9), (1, 4, 5)]


def make(kind, shape, n_out=6, *, seed=0, width=12, dropout=0.0):
    generator = torch.Generator().manual_seed(seed)
    return KINDS[kind](shape, n_out, dropout=dropout, generator=generator, width=width)


def step(module, loss, rate):
    """Descend by the signs of the gradients."""
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            parameter -= rate * gradient.sign()


def settled(module, n=20, seed=0):
    """The module after some steps of training, its statistics no longer 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    module.train()
    for _ in range(4):
        X = torch.randn(n, *module.shape, generator=generator)
        step(module, module(X).square().mean(), 1e-3)
    return module.eval()


def images(shape, n=21, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    means = rng.uniform(100, 150, shape[0])
    return X, means, rng.uniform(0.01, 0.02, shape[0])


def expected(module, X, means, scales):
    rows = (X.astype(np.float64) - means[:, None, None]) * scales[:, None, None]
    with torch.no_grad():
        return module.eval()(torch.tensor(rows, dtype=torch.float32)).numpy()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_numpy_pass_is_that_of_torch(kind, shape):
    module = settled(make(kind, shape))
    X, means, scales = images(shape)
    network = module.network(means, scales)
    assert (network.kind, network.shape, network.n_out) == (kind, shape, 6)
    wanted = expected(module, X, means, scales)
    assert wanted.std() > 0.01
    for rows in (X, X.reshape(len(X), -1), X.astype(np.float32), X.astype(float)):
        found = forward(network, rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_numpy_pass_of_the_default_width_and_a_large_image(kind):
    shape = (3, 100, 90)
    generator = torch.Generator().manual_seed(0)
    module = settled(KINDS[kind](shape, 1, generator=generator), n=3)
    X, means, scales = images(shape, n=4)
    network = module.network(means, scales)
    found = forward(network, X)
    np.testing.assert_allclose(
        found, expected(module, X, means, scales), rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(forward(network, X[3:]), found[3:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_starts_from_another_bit_by_bit(kind):
    module, other = settled(make(kind, (3, 9, 12))), make(kind, (3, 9, 12), seed=1)
    X, means, scales = images((3, 9, 12))
    network = module.network(means, scales)
    other.take(network)
    again = other.network(means, scales)
    assert list(again.arrays) == list(network.arrays)
    for name, array in network.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert again.arrays[name].shape == array.shape
        np.testing.assert_array_equal(again.arrays[name], array)
    np.testing.assert_array_equal(
        expected(other, X, means, scales), expected(module, X, means, scales)
    )
    # Training goes on as it would have.
    settled(module, seed=5)
    settled(other, seed=5)
    for a, b in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    # Neither has changed the arrays.
    name = "linear.weight"
    assert (network.arrays[name] != module.linear.weight.detach().numpy()).any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_the_generators(kind):
    before = torch.random.get_rng_state()
    X = torch.ones(4, 2, 8, 8)
    first, second = make(kind, (2, 8, 8), dropout=0.5), make(kind, (2, 8, 8))
    second.dropout.share = 0.5
    a, b = first(X), second(X)
    assert torch.equal(a, b)
    assert not torch.equal(first(X), a)
    other = make(kind, (2, 8, 8), seed=1)
    assert not torch.equal(other.linear.weight, first.linear.weight)
    assert torch.equal(torch.random.get_rng_state(), before)
    first.eval()
    assert torch.equal(first(X), first(X))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_start_with_the_spread_of_he(kind):
    for name, value in make(kind, (3, 8, 8), width=40).state_dict().items():
        if name.endswith("convolution.weight"):
            fan = value[0].numel()
            assert value.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.1), name
        elif name.endswith(("norm.weight", "running_var")):
            assert (value == 1).all()


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (2, 28, 28)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_batches_of_few_rows_can_be_trained_on(kind, shape, n):
    module = make(kind, shape)
    Z = module(torch.randn(n, *shape, generator=torch.Generator().manual_seed(0)))
    assert Z.shape == (n, 6)
    Z.square().sum().backward()
    assert all(torch.isfinite(v).all() for v in module.state_dict().values())
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (2, 28, 28), (1, 30, 9)])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_weight(kind, shape):
    module = make(kind, shape)
    module(
        torch.randn(8, *shape, generator=torch.Generator())
    ).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("kind", KINDS)
def test_training_learns_where_a_dot_stands(kind):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 8, 100)
    X = torch.tensor(rng.normal(0, 0.3, (100, 1, 8, 8)), dtype=torch.float32)
    X[np.arange(100), 0, rows, rng.integers(0, 8, 100)] += 3
    y = torch.tensor(rows > 3, dtype=torch.long)
    module = make(kind, (1, 8, 8), 2)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(module(X), y)
        step(module, loss, 2e-3)
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("shape", [(28, 28), (1, 3, 28), (1, 28, 2), (9,), (0, 8, 8)])
@pytest.mark.parametrize("kind", KINDS)
def test_other_shapes_are_refused(kind, shape):
    with pytest.raises(ValueError, match=r"channels, height, width.*at least 4"):
        make(kind, shape)


# ---- group normalisation -------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape, width", [((3, 16, 18), 16), ((1, 8, 8), 6)])
def test_normalised_groups_of_filters_in_numpy_and_torch(kind, shape, width):
    generator = torch.Generator().manual_seed(0)
    module = KINDS[kind](
        shape, 5, generator=generator, width=width, norm="group"
    ).eval()
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "norm" in name:
                p.add_(torch.rand(p.shape, generator=generator) - 0.5)
    X = np.random.default_rng(0).standard_normal((7, *shape)).astype(np.float32)
    network = module.network(np.zeros(shape[0]), np.ones(shape[0]))
    with torch.no_grad():
        wanted = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(forward(network, X), wanted, atol=2e-5)
    # An image's encoding has nothing to do with those beside it, in training too.
    module.train()
    with torch.no_grad():
        alone = module(torch.from_numpy(X[:1])).numpy()
    np.testing.assert_allclose(alone, wanted[:1], atol=2e-5)
