"""Tasks on their way to the device: rows, weights, and the order they are drawn in."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmeta.core.episodes import draw_episodes, pool_of  # noqa: E402
from skmeta.nn import episodes as module  # noqa: E402
from skmeta.nn.episodes import EpisodeData  # noqa: E402
from skmeta.nn.tasks import balanced_weights  # noqa: E402


def classes(counts=(9, 7, 3, 1, 8)):
    y = np.repeat(np.arange(len(counts)), counts)
    X = torch.arange(len(y), dtype=torch.float32)[:, None]
    return X, y, pool_of(y)


def all_tasks(data, n=12, batch_size=4, seed=0):
    numbers = data.batches(np.arange(n), batch_size, np.random.default_rng(seed))
    return [data.batch(index) for index in numbers]


def test_tasks_are_the_episodes_of_the_generator():
    X, y, pool = classes()
    data = EpisodeData(X, None, pool, n_way=3, k_shot=2, n_query=4)
    drawn = draw_episodes(pool, 12, 3, 2, 4, np.random.default_rng(0))
    batches = all_tasks(data)
    assert [len(batch) for batch in batches] == [4, 4, 4]
    support = torch.cat([b.support.X for b in batches])[..., 0].numpy()
    there = drawn.support.reshape(12, -1)
    assert np.array_equal(support[there >= 0], there[there >= 0])
    for batch in batches:
        for rows in (batch.support, batch.query):
            found = y[rows.X[..., 0].long().numpy()]
            for t in range(4):
                # One local class, one class of the data.
                real = rows.weights[t] > 0
                pairs = set(zip(rows.y[t][real].tolist(), found[t][real], strict=True))
                assert len(pairs) == len({a for a, _ in pairs})
            np.testing.assert_allclose(rows.weights.sum(dim=1), 1.0, rtol=1e-6)


def test_fault_43_support_weights_are_balanced_over_unequal_classes():
    X, _, pool = classes()
    data = EpisodeData(X, None, pool, n_way=5, k_shot=4, n_query=3)
    for batch in all_tasks(data):
        rows = batch.support
        expected = balanced_weights(rows.y, rows.weights > 0, 5)
        np.testing.assert_allclose(rows.weights, expected, rtol=1e-6)
        query = batch.query.weights
        positive = query[query > 0].numpy()
        assert query.max(dim=1).values.numpy() == pytest.approx(
            1 / (query > 0).sum(dim=1).numpy()
        )
        assert len(positive) < query.numel()  # the class of one row asks nothing


def test_fault_44_classes_that_a_task_does_not_have_are_marked():
    y = np.repeat([0, 1, 2, 0, 1], 6)
    task = np.repeat([0, 0, 0, 1, 1], 6)
    X = torch.zeros(len(y), 1)
    data = EpisodeData(X, None, pool_of(y, task), n_way=3, k_shot=2, n_query=2)
    (batch,) = all_tasks(data, batch_size=12)
    n_absent = batch.support.absent.sum(dim=1)
    assert sorted(set(n_absent.tolist())) == [0, 1]
    assert batch.query.absent is not None
    assert not (batch.support.weights[:, 4:] > 0)[n_absent == 1].any()
    both = EpisodeData(X, None, pool_of(y, task), n_way=2, k_shot=2, n_query=2)
    assert all_tasks(both)[0].support.absent is None


def test_targets_of_a_regression():
    task = np.repeat(np.arange(5), 8)
    X = torch.arange(40.0)[:, None]
    y = torch.stack([X[:, 0] * 2, X[:, 0] * 3], dim=1)
    pool = pool_of(np.zeros(40, int), task)
    (batch,) = all_tasks(EpisodeData(X, y, pool, 1, 3, 4), batch_size=12)
    assert batch.n_outputs == 2
    for rows, n in ((batch.support, 3), (batch.query, 4)):
        assert rows.X.shape == (12, n, 1)
        assert torch.equal(rows.y, rows.X * torch.tensor([2.0, 3.0]))
        assert torch.allclose(rows.weights, torch.tensor(1 / n))
    rows = torch.cat([batch.support.X, batch.query.X], dim=1)[..., 0]
    assert all(len(set(r.tolist())) == 7 for r in rows)
    assert all(len(set((r // 8).tolist())) == 1 for r in rows)


def test_a_random_number_of_shots():
    X, y, _ = classes((10, 10, 10))
    data = EpisodeData(X, None, pool_of(y), 3, 5, 2, min_shot=2)
    (batch,) = all_tasks(data, n=200, batch_size=200)
    shots = (batch.support.weights > 0).unflatten(1, (3, 5)).sum(dim=2)
    assert sorted(set(shots.flatten().tolist())) == [2, 3, 4, 5]
    assert torch.equal(shots, shots[:, :1].expand_as(shots))  # of all classes the same
    expected = 1 / (3 * shots[:, :1].float())
    assert torch.allclose(
        batch.support.weights.max(dim=1, keepdim=True).values, expected
    )


def test_blocks_that_are_gathered_together_change_nothing(monkeypatch):
    X, _, pool = classes()
    data = EpisodeData(X, None, pool, 3, 2, 2)
    expected = all_tasks(data, n=14)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    found = all_tasks(data, n=14)
    assert [len(batch) for batch in found] == [4, 4, 4, 2]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.support.X, b.support.X)
        assert torch.equal(a.query.weights, b.query.weights)
    # An epoch that was left begins anew.
    numbers = data.batches(np.arange(8), 4, np.random.default_rng(0))
    data.batch(next(iter(numbers)))
    other = all_tasks(data, n=8, seed=1)
    assert torch.equal(other[1].query.X, all_tasks(data, n=8, seed=1)[1].query.X)


def test_images_keep_their_shape():
    X, y, pool = classes((6, 6))
    images = torch.zeros(12, 2, 4, 5)
    (batch,) = all_tasks(EpisodeData(images, None, pool, 2, 1, 3), batch_size=12)
    assert batch.query.X.shape == (12, 6, 2, 4, 5)
