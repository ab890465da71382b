"""Encoders: the numpy pass beside torch's, starts, and what they draw from."""

import numpy as np
import pytest
from scipy import sparse

torch = pytest.importorskip("torch")

from skmeta.core.network import (  # noqa: E402
    ACTIVATIONS,
    forward,
    standardisation,
    standardised,
)
from skmeta.nn import encoders  # noqa: E402


def make(activation="relu", hidden=(16, 8), layer_norm=False, dropout=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return encoders.MLP(
        5,
        hidden,
        3,
        activation=activation,
        dropout=dropout,
        layer_norm=layer_norm,
        generator=generator,
    )


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(3, 2, size=(700, 5))


def test_both_sides_have_the_same_activations():
    assert list(encoders.ACTIVATIONS) == list(ACTIVATIONS)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_numpy_pass_is_that_of_torch(X, activation, hidden, layer_norm):
    module = make(activation, hidden, layer_norm).eval()
    means, scales = standardisation(X, np.arange(len(X)))
    with torch.no_grad():
        rows = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
        expected = module(rows).numpy()
    found = forward(module.network(means, scales), X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    again = make(activation, hidden, layer_norm, seed=1)
    again.take(module.network(means, scales))
    np.testing.assert_array_equal(
        forward(again.network(means, scales), X),
        forward(module.network(means, scales), X),
    )


def test_columns_are_standardised_whatever_their_units():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 4)) * [1e-8, 1e8, 1, 1] + [0, 1e12, 0.1, 5]
    X[:, 2] = 0.1
    index = np.sort(rng.permutation(300)[:200])
    rows = standardised(X[index], *standardisation(X, index))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(rows.std(axis=0), [1, 1, 0, 1], atol=1e-4)
    means, scales = standardisation(X, index, standardize=False)
    assert (means == 0).all() and (scales == 1).all()


def test_sparse_columns_are_standardised_as_dense_ones():
    X = sparse.random(200, 6, 0.3, format="csr", random_state=0)
    index = np.arange(20, 180)
    for a, b in zip(
        standardisation(X, index), standardisation(X.toarray(), index), strict=True
    ):
        np.testing.assert_allclose(a, b)


def test_fault_36_nothing_is_drawn_from_the_global_generator():
    before = torch.random.get_rng_state()
    first, second = make(dropout=0.5), make(dropout=0.5)
    X = torch.ones(4, 5)
    a, b = first(X), second(X)
    assert torch.equal(a, b)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(first(X), a)
    first.eval()
    assert torch.equal(first(X), first(X))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("shape", [(40_000,), (399, 101), (7,), (0, 4)])
def test_dropout_drops_its_share_entry_by_entry(share, shape):
    drop = encoders.Dropout(share, torch.Generator().manual_seed(0))
    kept = drop(torch.ones(shape)) != 0
    assert kept.shape == shape
    n = max(1, kept.numel())
    tolerance = 4 * (share * (1 - share) / n) ** 0.5 + 2**-16
    if kept.numel():
        assert kept.float().mean().item() == pytest.approx(1 - share, abs=tolerance)
    if kept.ndim == 2 and n > 100:  # neighbours, drawn from one number, know nothing
        pairs = (kept[:, 1:] & kept[:, :-1]).float().mean().item()
        assert pairs == pytest.approx((1 - share) ** 2, abs=tolerance)


def test_dropout_keeps_the_mean():
    drop = encoders.Dropout(0.3, torch.Generator().manual_seed(0))
    H = drop(torch.ones(20_000))
    assert H.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert H.mean().item() == pytest.approx(1, abs=0.02)
