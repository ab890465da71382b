"""Batches of rows in memory and of rows in files."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmeta.nn import data as nn_data  # noqa: E402
from skmeta.nn.backend import make_data  # noqa: E402


def data_of(*arrays):
    n = len(arrays[0])
    inputs = [(np.zeros(a.shape[1]), np.ones(a.shape[1])) for a in arrays]
    masks = [np.ones(n, bool)] * len(arrays)
    return make_data(arrays, inputs, masks, [None] * len(arrays), torch.device("cpu"))


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(9000.0).reshape(3000, 3))
    return np.load(tmp_path / "rows.npy", mmap_mode="r")


def test_rows_of_a_file_come_once_each_in_windows_of_blocks(mapped, monkeypatch):
    monkeypatch.setattr(nn_data, "BLOCK_ROWS", 100)
    monkeypatch.setattr(nn_data, "WINDOW_BYTES", 100 * 24 * 5)  # five blocks
    data = data_of(mapped)
    rows = np.arange(1, 3000)
    batches = list(data.batches(rows, 64, np.random.RandomState(0)))
    again = list(data.batches(rows, 64, np.random.RandomState(0)))
    other = list(data.batches(rows, 64, np.random.RandomState(1)))
    order = torch.cat(batches)
    assert torch.equal(order, torch.cat(again))
    assert not torch.equal(order, torch.cat(other))
    assert np.array_equal(np.sort(order.numpy()), rows)
    assert {len(batch) for batch in batches[:-1]} == {64}
    # What is read at a time is of a few blocks.
    assert len(np.unique((batches[0].numpy() - 1) // 100)) <= 6
    assert len(np.unique((order.numpy()[:500] - 1) // 100)) <= 6
    found = data.batch(batches[0]).inputs[0].numpy()
    np.testing.assert_array_equal(found, mapped[batches[0].numpy()])


def test_a_file_that_one_window_holds_is_shuffled_as_rows_in_memory(mapped):
    rows = np.arange(3000)
    of_file = data_of(mapped).batches(rows, 128, np.random.RandomState(0))
    in_memory = data_of(np.array(mapped)).batches(rows, 128, np.random.RandomState(0))
    assert all(torch.equal(a, b) for a, b in zip(of_file, in_memory, strict=True))


def test_identical_rows_share_an_id():
    rows = np.array([[1.0, 0.0], [2.0, 3.0], [1.0, -0.0], [2.0, 3.0], [5.0, 5.0]])
    np.testing.assert_array_equal(nn_data.identical_rows(rows), [0, 1, 0, 1, 4])
    assert nn_data.identical_rows(rows[[0, 1, 4]]) is None
