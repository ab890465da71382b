"""How fast MAML meta-trains: ratios taken in one run, on one thread.

``pytest tests/benchmarks/test_maml_speed.py`` prints one table. Meta-updates of the
training loop stand beside those of learn2learn, where it is installed, of a plain loop
over the tasks of a batch with a copy of the module for each, as learn2learn makes them,
and of a bare loop over stacked weights, `torch.bmm` and autograd, without anything
around it. All draw the same tasks. Repetitions are interleaved and the fastest of each
counts. What is asserted is that all contestants learn alike: no test here fails for
being slow.
"""

from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from skmeta.core.episodes import pool_of  # noqa: E402
from skmeta.datasets import make_sinusoid_tasks  # noqa: E402
from skmeta.nn.convolution import Conv4  # noqa: E402
from skmeta.nn.engines import Perceptron  # noqa: E402
from skmeta.nn.episodes import EpisodeData  # noqa: E402
from skmeta.nn.heads import Linear  # noqa: E402
from skmeta.nn.meta import Learner  # noqa: E402
from skmeta.nn.meta_training import meta_train  # noqa: E402
from skmeta.nn.tasks import LOSSES  # noqa: E402
from skmeta.nn.training import Plan  # noqa: E402

try:
    from learn2learn.algorithms import MAML
except ImportError:
    MAML = None

pytestmark = pytest.mark.usefixtures("one_thread")

LEGEND = f"""\
One thread, torch {torch.__version__}, \
learn2learn {"not installed" if MAML is None else "there"}. MAML of second order.
Seconds are of a meta-update. 'x ...': times faster than ...; '/ ...': time over that \
of ...
wanted: the goal, which fails no test."""

OUTER_LR = 1e-3


class Setting(NamedTuple):
    loss: str
    inner_lr: float
    n_steps: int
    n_tasks: int
    n_updates: int  # in a repetition
    n_slow: int  # in one of those that take the tasks one by one
    rounds: int


SINUSOID = Setting("squared_error", 0.01, 1, 25, 100, 4, 12)
TABLE = Setting("cross_entropy", 0.01, 5, 16, 20, 2, 10)
IMAGES = Setting("cross_entropy", 0.05, 3, 8, 2, 2, 5)


def sinusoid():
    made = make_sinusoid_tasks(1000, 20, random_state=0)
    X, y = (torch.tensor(a.reshape(-1, 1)).float() for a in (made.X, made.y))
    pool = pool_of(np.zeros(len(X), int), made.task)
    return EpisodeData(X, y, pool, 1, 10, 10)


def classes(shape, k_shot, n_query):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(30), 30)
    means = rng.standard_normal((30, *shape))
    X = torch.tensor(means[y] + rng.standard_normal((len(y), *shape))).float()
    return EpisodeData(X, None, pool_of(y), 5, k_shot, n_query)


def perceptron(*widths):
    """A torch module, and the same as an encoder and a head of ours."""
    generator = torch.Generator().manual_seed(0)
    body = Perceptron(widths[0], widths[1:-1], activation="relu", generator=generator)
    head = Linear(widths[-2], widths[-1], generator=generator)
    layers = []
    for W in [*body.layers, head.layer]:
        layers += [linear_of(W), nn.ReLU()]
    return nn.Sequential(*layers[:-1]), body, head


def conv4():
    generator = torch.Generator().manual_seed(0)
    body = Conv4((1, 28, 28), 64, generator=generator, width=32, norm="group")
    head = Linear(64, 5, generator=generator)
    encoder = Conv4((1, 28, 28), 64, generator=generator, width=32, norm="group")
    encoder.load_state_dict(body.state_dict())
    return nn.Sequential(encoder, linear_of(head.layer)), body, head


def linear_of(W):
    layer = nn.utils.skip_init(nn.Linear, W.shape[0] - 1, W.shape[1])
    with torch.no_grad():
        layer.weight.copy_(W[:-1].T)
        layer.bias.copy_(W[-1])
    return layer


# ---- contestants: each goes on training with every call, and tells the loss ----------


def ours(setting, data, made, engine):
    _, body, head = made
    learner = Learner(
        body,
        head,
        LOSSES[setting.loss],
        "maml",
        engine=engine,
        inner_lr=setting.inner_lr,
        n_inner_steps=setting.n_steps,
    )
    rng = np.random.default_rng(0)

    def run(n_updates):
        plan = Plan(setting.n_tasks, 1, OUTER_LR, 0.0, 0.0, "constant", None, 9, 0.0)
        return meta_train(learner, data, plan, rng, n_updates=n_updates).losses[-1]

    return run


def updates(setting, data, n_updates, rng):
    rows = np.arange(n_updates * setting.n_tasks)
    for index in data.batches(rows, setting.n_tasks, rng):
        yield data.batch(index)


def loss_of(Z, y):
    return F.mse_loss(Z, y) if y.is_floating_point() else F.cross_entropy(Z, y)


def by_task(setting, data, module, adapted):
    """A loop over tasks; ``adapted`` makes of the support a module for the query."""
    optimiser = torch.optim.Adam(module.parameters(), lr=OUTER_LR)
    rng = np.random.default_rng(0)

    def run(n_updates):
        total = 0.0
        for tasks in updates(setting, data, n_updates, rng):
            optimiser.zero_grad()
            loss = 0.0
            for t in range(len(tasks)):
                own = adapted(tasks.support.X[t], tasks.support.y[t])
                loss = loss + loss_of(own(tasks.query.X[t]), tasks.query.y[t])
            loss = loss / len(tasks)
            loss.backward()
            optimiser.step()
            total += loss.item()
        return total / n_updates

    return run


def copied(module):
    """The module with copies of its parameters in the graph, as learn2learn has it."""
    own = module.__new__(type(module))
    own.__dict__ = module.__dict__.copy()
    own._parameters = {
        name: None if p is None else p.clone() for name, p in module._parameters.items()
    }
    own._modules = {name: copied(child) for name, child in module._modules.items()}
    return own


def leaves(module):
    """Every parameter as the dict that holds it, and its name there."""
    return [
        (child._parameters, name)
        for child in module.modules()
        for name, p in child._parameters.items()
        if p is not None
    ]


def plain_loop(setting, data, made):
    module = made[0]

    def adapted(X, y):
        own = copied(module)
        for _ in range(setting.n_steps):
            places = leaves(own)
            gradients = torch.autograd.grad(
                loss_of(own(X), y),
                [holder[name] for holder, name in places],
                create_graph=True,
            )
            for (holder, name), gradient in zip(places, gradients, strict=True):
                holder[name] = holder[name] - setting.inner_lr * gradient
        return own

    return by_task(setting, data, module, adapted)


def learn2learn(setting, data, made):
    maml = MAML(made[0], lr=setting.inner_lr)

    def adapted(X, y):
        own = maml.clone()
        for _ in range(setting.n_steps):
            own.adapt(loss_of(own(X), y))
        return own

    return by_task(setting, data, maml, adapted)


def bare_loop(setting, data, made):
    """Stacked weights of a perceptron, and nothing that is not needed."""
    layers = [m for m in made[0] if isinstance(m, nn.Linear)]
    start = [nn.Parameter(p.detach()) for m in layers for p in (m.weight.mT, m.bias)]
    optimiser = torch.optim.Adam(start, lr=OUTER_LR)
    rng, n_tasks = np.random.default_rng(0), setting.n_tasks

    def outputs(weights, X):
        for i in range(0, len(weights), 2):
            X = torch.relu(X) if i else X
            X = torch.baddbmm(weights[i + 1].unsqueeze(1), X, weights[i])
        return X

    def loss(weights, rows):
        return loss_of(outputs(weights, rows.X).flatten(0, 1), rows.y.flatten(0, 1))

    def run(n_updates):
        total = 0.0
        for tasks in updates(setting, data, n_updates, rng):
            optimiser.zero_grad()
            weights = [p.expand(n_tasks, *p.shape) for p in start]
            for _ in range(setting.n_steps):
                gradients = torch.autograd.grad(
                    loss(weights, tasks.support) * n_tasks, weights, create_graph=True
                )
                weights = [
                    torch.sub(p, g, alpha=setting.inner_lr)
                    for p, g in zip(weights, gradients, strict=True)
                ]
            value = loss(weights, tasks.query)
            value.backward()
            optimiser.step()
            total += value.item()
        return total / n_updates

    return run


# ---- the race ------------------------------------------------------------------------

COLUMNS = {
    "x learn2learn": "learn2learn",
    "x plain loop": "plain loop",
    "/ bare": "bare loop",
}


def compare(benchmark, race, table, setting, make, data, engine, title, wanted):
    makers = {"plain loop": plain_loop}
    if MAML is not None:
        makers["learn2learn"] = learn2learn
    if engine == "batched":
        makers["bare loop"] = bare_loop
    contestants = {"meta_train": (ours(setting, data, make(), engine), False)}
    for name, maker in makers.items():
        contestants[name] = maker(setting, data, make()), name != "bare loop"
    # The first meta-updates are the same, but for rounding.
    losses = [run(setting.n_slow) for run, _ in contestants.values()]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-3)
    counts = {
        name: setting.n_slow if slow else setting.n_updates
        for name, (_, slow) in contestants.items()
    }
    race.run(
        benchmark,
        {
            name: lambda run=run, n=counts[name]: run(n)
            for name, (run, _) in contestants.items()
        },
        setting.rounds,
    )
    best = {name: race.best(name) / counts[name] for name in contestants}
    table.section(title, *COLUMNS)
    for name in contestants:
        beside = {column: best.get(other) for column, other in COLUMNS.items()}
        table.add(
            name,
            best[name],
            beside if name == "meta_train" else {},
            wanted=wanted if name == "meta_train" else "",
        )


def test_sinusoid(benchmark, race, table):
    compare(
        benchmark,
        race,
        table,
        SINUSOID,
        lambda: perceptron(1, 40, 40, 1),
        sinusoid(),
        "batched",
        "sinusoid: 1-40-40-1, 25 tasks, 10 rows, 1 inner step",
        ">= 18 x learn2learn or plain loop, <= 1.5 / bare",
    )


def test_table(benchmark, race, table):
    compare(
        benchmark,
        race,
        table,
        TABLE,
        lambda: perceptron(64, 64, 5),
        classes((64,), 5, 15),
        "batched",
        "table: 64-64-5, 16 tasks of 5 ways and 5 shots, 5 inner steps",
        ">= 5 x learn2learn or plain loop",
    )


def test_images(benchmark, race, table):
    compare(
        benchmark,
        race,
        table,
        IMAGES,
        conv4,
        classes((1, 28, 28), 1, 5),
        "grouped",
        "images: conv4 of 32 filters, 28 x 28, 8 tasks of 5 ways and 1 shot, 3 steps",
        ">= 1.3 x learn2learn or plain loop",
    )
