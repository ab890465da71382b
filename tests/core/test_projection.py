"""Projection against the formula in float64, whatever the array."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmeta.core import projection
from skmeta.core.projection import project


def parts(rng, n=100, p=7, k=3, offset=2.0):
    rows = rng.standard_normal((n, p)) + offset
    return rows, rows.mean(axis=0), rng.standard_normal((p, k))


@pytest.fixture(params=[1, 2 * 2**20])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(projection, "BLOCK_BYTES", request.param)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 100])
def test_equals_the_formula(block_bytes, n):
    rows, mean, weights = parts(np.random.default_rng(0))
    found = project(rows[:n], mean, weights)
    assert found.shape == (n, 3)
    assert_allclose(found, (rows[:n] - mean) @ weights, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i8", "?", ">f8"])
@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed"])
def test_any_dtype_and_memory_order_and_the_input_stays(block_bytes, dtype, order):
    rng = np.random.default_rng(1)
    rows, mean, weights = parts(rng)
    rows = np.abs(rows * 3).astype(dtype)
    if order == "F":
        rows = np.asfortranarray(rows)
    elif order != "C":
        wide = np.repeat(np.repeat(rows, 2, axis=0), 2, axis=1)
        rows = wide[::2, ::2] if order == "strided" else wide[::-2, ::-2]
    rows.flags.writeable = False
    before = rows.copy()
    found = project(rows, mean, weights)
    assert found.dtype == (np.float32 if dtype in ("f2", "f4") else np.float64)
    atol = 1e-12 if found.dtype == np.float64 else 2e-5
    assert_allclose(found, (rows.astype(float) - mean) @ weights, atol=atol)
    assert_array_equal(rows, before)


def test_memory_mapped_rows(tmp_path):
    rows, mean, weights = parts(np.random.default_rng(2))
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    found = project(mapped, mean, weights)
    assert type(found) is np.ndarray
    assert_array_equal(found, project(rows, mean, weights))


@pytest.mark.parametrize(("dtype", "offset"), [("f8", 1e6), ("f4", 1e4)])
def test_an_offset_costs_no_digits(dtype, offset):
    rows, _, weights = parts(np.random.default_rng(3), offset=offset)
    rows = rows.astype(dtype)
    wide = rows.astype(np.longdouble)
    mean = wide.mean(axis=0)
    expected = (wide - mean) @ weights
    found = project(rows, mean.astype(float), weights)
    eps = np.finfo(dtype).eps
    # A mean of float64 is itself known to no more than its rounding.
    atol = 20 * eps + 20 * offset * np.finfo("f8").eps
    assert_allclose(found, expected.astype(float), atol=atol)


def test_weights_beyond_float32():
    rows, _, weights = parts(np.random.default_rng(4))
    rows, weights = (rows * 1e-35).astype("f4"), weights * 1e45
    mean = rows.mean(axis=0, dtype=float)
    found = project(rows, mean, weights)
    assert found.dtype == np.float32
    assert_allclose(found, (rows - mean) @ weights, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 21, 33])
def test_equal_rows_have_equal_coordinates(n):
    rows, mean, weights = parts(np.random.default_rng(5), p=50, k=37)
    expected = project(rows[:1], mean, weights)
    assert_array_equal(project(rows[[0] * n], mean, weights), expected.repeat(n, 0))
