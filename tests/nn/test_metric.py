"""Training of metric heads: against the heads in numpy, and loops written out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from skmeta.core.distances import get_metric  # noqa: E402
from skmeta.core.episodes import NONE, draw_episodes, pool_of  # noqa: E402
from skmeta.core.heads import HEADS, Given, answer, learn  # noqa: E402
from skmeta.nn.class_batches import ClassBatch, ClassBatches, turned  # noqa: E402
from skmeta.nn.data import Table  # noqa: E402
from skmeta.nn.metric import MetricSpace, episode_score, objective  # noqa: E402
from skmeta.nn.metric_heads import MetricHead, read_relation  # noqa: E402

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def split(d=5, counts=(3, 1, 2), n_queries=7, seed=0):
    """A support with places that are empty, and queries."""
    rng = np.random.default_rng(seed)
    there = np.arange(max(counts)) < np.array(counts)[:, None]
    support = rng.standard_normal((len(counts), max(counts), d))
    return support, there, rng.standard_normal((n_queries, d))


@pytest.mark.parametrize("d", [3, 12])  # fewer and more columns than rows
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("prototype", "euclidean"),
        ("prototype", "manhattan"),
        ("prototype", "cosine"),
        ("prototype", "dot"),
        ("matching", "euclidean"),
        ("matching", "cosine"),
        ("ridge", "euclidean"),
        ("relation", "euclidean"),
    ],
)
def test_heads_are_those_in_numpy(name, metric, d):
    support, there, Q = split(d)
    head = MetricHead(name, metric, d, generator=generator()).double()
    found = head(*(torch.tensor(a)[None] for a in (support, there, Q)))[0]
    given = Given(get_metric(metric), temperature=1 / head.log_scale.exp().item())
    if name == "ridge":
        given = given._replace(penalty=head.log_penalty.exp().item())
    if name == "relation":
        given = given._replace(temperature=1.0, **read_relation(head))
    codes = np.repeat(np.arange(3), there.sum(axis=1))
    state = learn(HEADS[name], support[there], codes, 3, given)
    expected = answer(HEADS[name], state, Q, given)
    if name == "matching":  # up to what is the same for all classes
        found = found - found[:, :1]
        expected = expected - expected[:, :1]
    assert_allclose(found.detach(), expected, atol=1e-10)


def test_a_class_without_a_row_is_no_answer():
    support, there, Q = split()
    there[1] = False
    for name in ("prototype", "matching", "ridge"):
        head = MetricHead(name, "euclidean", 5, generator=generator()).double()
        logits = head(*(torch.tensor(a)[None] for a in (support, there, Q)))
        assert torch.isinf(logits[0, :, 1]).all()
        others = head(*(torch.tensor(a)[None] for a in (support[::2], there[::2], Q)))
        if name == "prototype":
            assert_allclose(logits[0, :, ::2].detach(), others[0].detach())


def space(head="prototype", encoder=None, **options):
    head = MetricHead(head, "euclidean", 4, generator=generator())
    return MetricSpace(encoder or nn.Identity(), head, **options)


def test_every_row_is_a_prototype_for_the_others_once():
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.standard_normal((3, 4, 4)), dtype=torch.float32)
    support = torch.eye(4, dtype=torch.bool)
    batch = ClassBatch(X.flatten(0, 1), torch.ones(3, 4, dtype=torch.bool), support)
    model = space()
    scale, losses = model.head.log_scale.exp(), []
    for slot in range(4):
        for c in range(3):
            for m in range(4):
                if m == slot:
                    continue
                squares = ((X[c, m] - X[:, slot]) ** 2).sum(dim=1)
                losses.append(
                    F.cross_entropy((-scale * squares)[None], torch.tensor([c]))
                )
    found = objective(model, batch)
    assert_allclose(found.item(), torch.stack(losses).mean().item(), rtol=1e-5)


def test_rows_that_are_not_there_count_for_nothing():
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.standard_normal((12, 4)), dtype=torch.float32)
    there = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    support = torch.eye(4, dtype=torch.bool)
    first = objective(space(), ClassBatch(X, there, support))
    X[~there.flatten()] = 1e6
    assert_allclose(
        first.item(), objective(space(), ClassBatch(X, there, support)).item()
    )


def batches(n_per=6, **options):
    y = np.repeat(np.arange(10), 6)
    X = np.arange(60.0)[:, None] * np.ones(4)
    table = Table(X, np.ones(60, bool), np.zeros(4), np.ones(4), CPU)
    data = ClassBatches(table, pool_of(y), n_classes=4, n_per_class=3, **({} | options))
    return data, y


def test_batches_have_rows_of_different_classes_none_twice():
    data, y = batches()
    rng = np.random.RandomState(0)
    drawn = list(data.batches(np.arange(48), 12, rng))
    assert len(drawn) == 4
    for index in drawn:
        assert_array_equal(y[index], y[index][:, :1].repeat(3, axis=1))
        assert len(np.unique(y[index][:, 0])) == 4
        assert len(np.unique(index)) == 12
        assert_array_equal(data.batch(index).X[:, 0], index.flatten())


def test_a_share_of_batches_is_of_one_task():
    y = np.repeat(np.arange(10), 6)
    within = pool_of(y, y // 5)
    data, _ = batches(within=within, share_within=1.0)
    for index in data.batches(np.arange(240), 12, np.random.RandomState(0)):
        assert len(np.unique(y[index] // 5)) == 1
    data, _ = batches(within=within, share_within=0.0)
    mixed = [
        len(np.unique(y[index] // 5))
        for index in data.batches(np.arange(240), 12, np.random.RandomState(0))
    ]
    assert max(mixed) == 2


def test_turned_images_are_other_classes():
    images = torch.arange(2 * 9.0).view(2, 1, 3, 3)
    found = turned(images, torch.tensor([0, 3]))
    assert torch.equal(found[0], images[0])
    assert torch.equal(torch.rot90(found[1], 1, dims=(1, 2)), images[1])
    X = np.random.default_rng(0).standard_normal((60, 9))
    shape = (1, 3, 3)
    table = Table(X, np.ones(60, bool), np.zeros(9), np.ones(9), CPU, shape)
    y = np.repeat(np.arange(10), 6)
    data = ClassBatches(table, pool_of(y), n_classes=20, n_per_class=3, turns=True)
    (index,) = data.batches(np.arange(60), 60, np.random.RandomState(0))
    rows, turn = index % 60, index // 60
    assert (turn == turn[:, :1]).all()
    # twenty of forty classes, none twice
    assert len(np.unique(np.column_stack([y[rows[:, 0]], turn[:, 0]]), axis=0)) == 20
    batch = data.batch(index).X
    for i in (0, 7, 31):
        quarter = int(turn.flatten()[i])
        raw = torch.tensor(X[rows.flatten()[i]]).view(shape).float()
        assert torch.equal(batch[i], torch.rot90(raw, quarter, dims=(1, 2)))


def test_weights_that_stay_are_a_running_average():
    encoder = nn.Linear(4, 4, bias=False)
    model = space(encoder=encoder, averaging=0.5)
    expected = encoder.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            encoder.weight.fill_(step)
        model.follow()
        share = 1 - min(0.5, (1 + step) / (10 + step))
        expected += share * (step - expected)
    assert torch.allclose(model.best_encoder.weight, expected)
    model.eval()
    X = torch.ones(2, 4)
    assert torch.allclose(model.encode(X), X @ expected.T)
    assert not model.average.weight.requires_grad


def test_score_is_the_accuracy_of_episodes():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 5)
    X = rng.standard_normal((8, 4))[y] + 0.7 * rng.standard_normal((40, 4))
    table = Table(X, np.ones(40, bool), np.zeros(4), np.ones(4), CPU)
    episodes = draw_episodes(pool_of(y), 30, 3, 2, 2, np.random.default_rng(1))
    found = episode_score(table, episodes)(space())
    right = []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        means = np.stack([X[rows[rows != NONE]].mean(axis=0) for rows in support])
        for c, rows in enumerate(query):
            for row in rows[rows != NONE]:
                right.append(((X[row] - means) ** 2).sum(axis=1).argmin() == c)
    assert_allclose(found, np.mean(right))
