"""How fast `NeuralSharedSpaceMapper` trains: ratios taken in one run, on one thread.

``pytest tests/benchmarks/test_neural_speed.py`` prints one table. An epoch of the
training loop stands beside one of a plain loop over a ``DataLoader``, one of skorch and
the bare matrix products of as many steps, forward and backward; set-up is in none of
them. Below, a whole fit stands beside a whole fit of skorch. Repetitions are
interleaved and the fastest of each counts. What is asserted is that all contestants
learn alike: no test here fails for being slow.
"""

import math
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from skmeta import NeuralSharedSpaceMapper  # noqa: E402
from skmeta.nn import backend  # noqa: E402

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skorch import NeuralNet
except ImportError:
    NeuralNet = object

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

LEGEND = f"""\
One thread, torch {torch.__version__}, \
skorch {"not installed" if NeuralNet is object else "there"}. InfoNCE of two views.
'/ ...': time over that of ...; 'x ...': times faster than ...
wanted: the goal, which fails no test."""

LEARNING_RATE = 1e-3
START = math.log(1 / 0.07)  # of the inverse temperature


class Size(NamedTuple):
    n: int
    p: int
    q: int
    hidden: int
    k: int
    batch: int
    epochs: int  # in a repetition
    rounds: int

    @property
    def steps(self):
        return self.epochs * math.ceil(self.n / self.batch)


LARGE = Size(50_000, 384, 512, 256, 64, batch=512, epochs=1, rounds=4)
LARGE_128 = LARGE._replace(batch=128)
SMALL = Size(5_000, 30, 50, 64, 32, batch=128, epochs=3, rounds=15)


def paired_rows(size):
    """Two float32 views that share ten factors."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((size.n, 10), np.float32)
    return [
        factors @ rng.standard_normal((10, p), np.float32)
        + rng.standard_normal((size.n, p), np.float32)
        for p in (size.p, size.q)
    ]


# ---- contestants: each goes on training with every call, and tells the loss ----------


def our_epochs(size, X, Y):
    """`skmeta.nn.training.train` on tables and encoders that are there."""
    terms = (backend.Term("info_nce", backend.get_loss("info_nce")),)
    here = np.ones(size.n, bool)
    data = backend.make_data(
        [X, Y],
        [(A.mean(axis=0, dtype=float), A.std(axis=0, dtype=float)) for A in (X, Y)],
        [here, here],
        [None, None],
        torch.device("cpu"),
    )
    space = backend.make_space(
        {"X": (size.p, None), "Y": (size.q, None)},
        {},
        size.k,
        (size.hidden,),
        terms,
        generator=backend.torch_generator(0),
        activation="relu",
        dropout=0.0,
        layer_norm=False,
    )
    plan = backend.Plan(
        batch_size=size.batch,
        max_iter=size.epochs,
        learning_rate=LEARNING_RATE,
        weight_decay=1e-2,
        warmup=0.0,
        schedule="constant",
        max_norm=None,
        n_iter_no_change=10,
        tol=0.0,
    )
    rng = np.random.RandomState(0)

    def run():
        objective = backend.objective(terms)
        history = backend.train(space, objective, data, np.arange(size.n), plan, rng)
        return history.losses[-1]

    return run


class TwoTowers(nn.Module):
    """What a user of torch writes: a perceptron a view, and a temperature."""

    def __init__(self, p, q, hidden, k):
        super().__init__()
        self.first, self.second = (
            nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, k))
            for d in (p, q)
        )
        self.log_scale = nn.Parameter(torch.tensor(START))

    def forward(self, first, second):
        return self.first(first), self.second(second), self.log_scale


def clip_loss(Za, Zb, log_scale):
    """As CLIP's authors give it (Radford et al. 2021, figure 3)."""
    logits = log_scale.exp() * F.normalize(Za) @ F.normalize(Zb).T
    labels = torch.arange(len(Za))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def loop_epochs(size, X, Y):
    torch.manual_seed(0)
    towers = TwoTowers(size.p, size.q, size.hidden, size.k)
    optimiser = torch.optim.AdamW(towers.parameters(), lr=LEARNING_RATE)
    rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader = DataLoader(rows, batch_size=size.batch, shuffle=True)

    def run():
        for _ in range(size.epochs):
            total = 0.0
            for first, second in loader:
                optimiser.zero_grad()
                loss = clip_loss(*towers(first, second))
                loss.backward()
                optimiser.step()
                total += loss.item() * len(first)
        return total / size.n

    return run


class Net(NeuralNet):
    """skorch on two views: what compares them is the loss."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return clip_loss(*y_pred)


def skorch_net(size):
    return Net(
        TwoTowers,
        criterion=nn.Identity,
        optimizer=torch.optim.AdamW,
        lr=LEARNING_RATE,
        max_epochs=size.epochs,
        batch_size=size.batch,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        module__p=size.p,
        module__q=size.q,
        module__hidden=size.hidden,
        module__k=size.k,
    )


def skorch_epochs(size, X, Y):
    torch.manual_seed(0)
    net = skorch_net(size).initialize()

    def run():
        net.partial_fit({"first": X, "second": Y})
        return net.history[-1, "train_loss"]

    return run


def gemm_epochs(size, X, Y):
    """The matrix products of the steps, forward and backward, and nothing else."""
    views = [torch.from_numpy(A[: size.batch]) for A in (X, Y)]
    generator = torch.Generator().manual_seed(0)
    first = [
        torch.rand(size.hidden, A.shape[1], generator=generator) / A.shape[1]
        for A in views
    ]
    second = [torch.rand(size.k, size.hidden, generator=generator) for _ in views]

    def step():
        hidden = [A @ W.T for A, W in zip(views, first, strict=True)]
        Za, Zb = (H @ W.T for H, W in zip(hidden, second, strict=True))
        S = Za @ Zb.T
        gradients = S @ Zb, S.T @ Za
        for A, H, G, W in zip(views, hidden, gradients, second, strict=True):
            G.T @ H, (G @ W).T @ A

    def run():
        for _ in range(size.steps):
            step()

    return run


# ---- the race ------------------------------------------------------------------------

COLUMNS = {"/GEMMs": "bare GEMMs", "x loop": "plain loop", "x skorch": "skorch"}


def compare(benchmark, race, table, size, wanted):
    X, Y = paired_rows(size)
    epochs = {
        "train": our_epochs,
        "bare GEMMs": gemm_epochs,
        "plain loop": loop_epochs,
        "skorch": skorch_epochs,
    }
    if NeuralNet is object:
        del epochs["skorch"]
    contestants = {name: make(size, X, Y) for name, make in epochs.items()}
    losses = [run() for name, run in contestants.items() if name != "bare GEMMs"]
    np.testing.assert_allclose(losses, losses[0], rtol=0.1)
    race.run(benchmark, contestants, size.rounds)

    title = "{} pairs of {} and {}, hidden {}, k = {}, batch {}".format(*size)
    table.section(f"epochs of training ({size.epochs}): {title}", *COLUMNS)
    for name in contestants:
        beside = {
            column: race.best(other)
            for column, other in COLUMNS.items()
            if name == "train" or column[0] == "/"
        }
        goal = wanted if name == "train" else ""
        table.add(name, race.best(name), beside, wanted=goal)


def compare_fits(race, table, size, epochs):
    size = size._replace(epochs=epochs)
    X, Y = paired_rows(size)
    mapper = NeuralSharedSpaceMapper(
        size.k,
        hidden_layer_sizes=(size.hidden,),
        batch_size=size.batch,
        learning_rate="constant",
        max_iter=size.epochs,
        n_iter_no_change=size.epochs,
        dropout=0.0,
        early_stopping=False,
        random_state=0,
    )
    contestants = {"fit": partial(mapper.fit, X, Y)}
    if NeuralNet is not object:
        net = skorch_net(size)
        contestants["skorch"] = partial(net.fit, {"first": X, "second": Y})
    for _ in range(3):
        for name, fit in contestants.items():
            race.time(name, fit)
    table.section(f"whole fit of {epochs} epochs, batch {size.batch}", "x skorch")
    for name in contestants:
        beside = {"x skorch": race.best("skorch")} if name == "fit" else {}
        table.add(name, race.best(name), beside)


def test_large(benchmark, race, table):
    compare(benchmark, race, table, LARGE, "<= 1.4 /GEMMs")


def test_large_batch_128(benchmark, race, table):
    compare(benchmark, race, table, LARGE_128, ">= 1.9 x skorch")


def test_small(benchmark, race, table):
    compare(benchmark, race, table, SMALL, ">= 3 x skorch")


def test_fit_large(race, table):
    compare_fits(race, table, LARGE, epochs=4)


def test_fit_small(race, table):
    compare_fits(race, table, SMALL, epochs=20)
