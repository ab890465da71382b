"""Meta-training through the one training loop, and what learners make of new tasks."""

import gc
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmeta.core.episodes import pool_of  # noqa: E402
from skmeta.datasets import make_few_shot_tasks, make_sinusoid_tasks  # noqa: E402
from skmeta.nn.bayes import BayesianLearner  # noqa: E402
from skmeta.nn.checkpoint import Checkpoint  # noqa: E402
from skmeta.nn.engines import Perceptron  # noqa: E402
from skmeta.nn.episodes import EpisodeData  # noqa: E402
from skmeta.nn.heads import make_head  # noqa: E402
from skmeta.nn.meta import ALGORITHMS, Learner  # noqa: E402
from skmeta.nn.meta_training import adapt, meta_train  # noqa: E402
from skmeta.nn.tasks import LOSSES, Rows  # noqa: E402
from skmeta.nn.training import Plan  # noqa: E402

PLAN = Plan(
    batch_size=25,
    max_iter=3,
    learning_rate=0.01,
    weight_decay=0.0,
    warmup=0.0,
    schedule="cosine",
    max_norm=None,
    n_iter_no_change=1000,
    tol=0.0,
)


def sinusoid_data(n_tasks=500, **options):
    made = make_sinusoid_tasks(n_tasks, 20, random_state=0)
    X, y = (torch.tensor(a.reshape(-1, 1)).float() for a in (made.X, made.y))
    pool = pool_of(np.zeros(len(X), int), made.task)
    return EpisodeData(X, y, pool, n_way=1, k_shot=10, n_query=10, **options)


def sinusoid_learner(algorithm="maml", inner_lr=0.01, n_inner_steps=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    body = Perceptron(1, (40, 40), activation="relu", generator=generator)
    return Learner(
        body,
        make_head("linear", 40, 1, generator=generator),
        LOSSES["squared_error"],
        algorithm,
        engine="batched",
        inner_lr=inner_lr,
        n_inner_steps=n_inner_steps,
    )


def sinusoid_error(learner, n_steps=1, n_tasks=300, k_shot=10):
    made = make_sinusoid_tasks(n_tasks, k_shot + 20, random_state=1)
    X, y = (torch.tensor(a.reshape(n_tasks, -1, 1)).float() for a in (made.X, made.y))
    weights = [torch.full((n_tasks, n), 1 / n) for n in (k_shot, 20)]
    support = Rows(X[:, :k_shot], y[:, :k_shot], weights[0])
    query = Rows(X[:, k_shot:], y[:, k_shot:], weights[1])
    with torch.no_grad():
        if isinstance(learner, BayesianLearner):
            means, _ = learner.predict(support, query.X)
            return float((means - query.y).square().mean())
        params = adapt(learner, support, 1, n_steps)
        return float(learner.losses(params, query).mean())


def fit(learner, data, plan=PLAN, *, n_updates=50, seed=0, **options):
    rng = np.random.default_rng(seed)
    return meta_train(learner, data, plan, rng, n_updates=n_updates, **options)


def state(learner):
    return torch.cat([p.detach().flatten() for p in learner.parameters()])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_few_steps_go_further_after_training(algorithm):
    steps = 1 if algorithm in ("maml", "meta_sgd") else 3
    learner = sinusoid_learner(algorithm, n_inner_steps=steps)
    start = sinusoid_error(learner, steps)
    history = fit(learner, sinusoid_data(), n_updates=70)
    wanted = {"maml": 2.0, "meta_sgd": 1.9, "fomaml": 3.0}.get(algorithm, 4.0)
    assert sinusoid_error(learner, steps) < min(wanted, 0.9 * start)
    assert history.losses[-1] < history.losses[0]


def test_a_bayesian_head_learns_the_sinusoid():
    generator = torch.Generator().manual_seed(0)
    body = Perceptron(1, (40, 40), activation="tanh", generator=generator)
    learner = BayesianLearner(body, 40, 1, generator=generator)
    fit(learner, sinusoid_data(min_shot=1), n_updates=80)
    assert sinusoid_error(learner) < 0.8


def test_classes_never_seen():
    made = make_few_shot_tasks(40, 20, random_state=0)
    X = torch.tensor(made.X).float()
    trained = made.y < 30
    data = EpisodeData(X, None, pool_of(np.where(trained, made.y, -1)), 5, 5, 5)
    fresh = EpisodeData(X, None, pool_of(np.where(trained, -1, made.y)), 5, 5, 10)
    (tasks,) = [
        fresh.batch(i)
        for i in fresh.batches(np.arange(100), 100, np.random.default_rng(0))
    ]

    def accuracy(learner):
        params = adapt(learner, tasks.support, 5, 5)
        with torch.no_grad():
            found = learner.outputs(params, tasks.query.X).argmax(dim=2)
        return float((found == tasks.query.y).float().mean())

    for head in ("prototype", "linear"):
        generator = torch.Generator().manual_seed(0)
        body = Perceptron(30, (64,), activation="relu", generator=generator)
        learner = Learner(
            body,
            make_head(head, 64),
            LOSSES["cross_entropy"],
            "maml",
            engine="batched",
            inner_lr=0.1,
            n_inner_steps=3,
        )
        before = accuracy(learner)
        fit(learner, data, PLAN._replace(batch_size=8), n_updates=50)
        assert accuracy(learner) > before + 0.1


def test_the_same_generator_the_same_bits_and_chunks_the_same_fit():
    first, second, chunked, other = (sinusoid_learner() for _ in range(4))
    plan = PLAN._replace(max_iter=1)
    fit(first, sinusoid_data(), plan)
    fit(second, sinusoid_data(), plan)
    fit(chunked, sinusoid_data(), plan, task_chunk_size=10)
    fit(other, sinusoid_data(), plan, seed=1)
    assert torch.equal(state(first), state(second))
    assert torch.allclose(state(first), state(chunked), atol=1e-3)
    assert not torch.allclose(state(first), state(other), atol=1e-3)


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path):
    whole = sinusoid_learner()
    fit(whole, sinusoid_data())
    checkpoint = Checkpoint(os.fspath(tmp_path / "fit"), "fingerprint")

    def killed(epoch, loss, score):
        if epoch == 1:
            raise KeyboardInterrupt

    half = sinusoid_learner()
    with pytest.raises(KeyboardInterrupt):
        fit(half, sinusoid_data(), checkpoint=checkpoint, on_epoch=killed)
    again = sinusoid_learner()
    fit(again, sinusoid_data(), checkpoint=checkpoint)
    assert torch.equal(state(whole), state(again))


def test_the_best_by_score_is_kept():
    learner, kept = sinusoid_learner(), []

    def score(learner):
        kept.append(state(learner).clone())
        return [1.0, 3.0, 2.0][len(kept) - 1]

    history = fit(learner, sinusoid_data(), n_updates=10, score=score)
    assert history.best == 1
    assert torch.equal(state(learner), kept[1])


@pytest.mark.parametrize("inner_lr", [1e6, 1e20])
def test_fault_46_an_inner_loop_that_diverges_in_training(inner_lr):
    learner = sinusoid_learner(inner_lr=inner_lr, n_inner_steps=5)
    with pytest.raises(FloatingPointError, match=r"step \d of 5 with inner_lr=1e\+"):
        fit(learner, sinusoid_data())
    assert bool(state(learner).isfinite().all())


def test_fault_47_an_outer_loop_that_diverges():
    learner = sinusoid_learner()
    with pytest.raises(FloatingPointError, match="outer_lr|inner loop"):
        fit(learner, sinusoid_data(), PLAN._replace(learning_rate=1e30))
    assert bool(state(learner).isfinite().all())


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
@pytest.mark.slow
def test_2000_adaptations_leave_memory_flat():
    learner = sinusoid_learner()
    made = make_sinusoid_tasks(1, 10, random_state=0)
    support = Rows(
        torch.tensor(made.X[None]).float(),
        torch.tensor(made.y[None, :, None]).float(),
        torch.full((1, 10), 0.1),
    )

    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(200):
        adapt(learner, support, 1, 5)
    before = resident()
    for _ in range(2000):
        adapt(learner, support, 1, 5)
    assert resident() - before < 2e6
