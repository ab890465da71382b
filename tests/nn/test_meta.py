"""The engine of meta-learning: gradients of all engines and algorithms, and what they
must not depend on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from skmeta.core.network import forward  # noqa: E402
from skmeta.nn import engines, inner, perceptron  # noqa: E402
from skmeta.nn.convolution import Conv4, ResNet  # noqa: E402
from skmeta.nn.engines import Perceptron  # noqa: E402
from skmeta.nn.heads import Prototypes, make_head  # noqa: E402
from skmeta.nn.meta import ALGORITHMS, HEAD, Learner, get_algorithm  # noqa: E402
from skmeta.nn.meta_training import (  # noqa: E402
    Objective,
    adapt,
    task_losses,
)
from skmeta.nn.tasks import (  # noqa: E402
    LOSSES,
    Loss,
    Rows,
    Tasks,
    balanced_weights,
    equal_weights,
)

N_TASKS, N_WAY = 3, 4
# Both differentiate through everything: their gradient is that of a function.
EXACT = ["maml", "anil", "meta_sgd"]


def rows(rng, n, kind, dtype, n_in=3):
    X = torch.tensor(rng.standard_normal((N_TASKS, n, n_in)), dtype=dtype)
    if kind == "regression":
        y = torch.tensor(rng.standard_normal((N_TASKS, n, 2)), dtype=dtype)
        return Rows(X, y, equal_weights(torch.ones(N_TASKS, n, dtype=dtype)))
    y = torch.tensor(np.stack([rng.permutation(n) % N_WAY for _ in range(N_TASKS)]))
    if kind == "query":
        return Rows(X, y, equal_weights(torch.ones(N_TASKS, n, dtype=dtype)))
    present = torch.ones(N_TASKS, n, dtype=torch.bool)
    return Rows(X, y, balanced_weights(y, present, N_WAY).to(dtype))


def make_tasks(kind="classification", dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    support = rows(rng, 9, kind, dtype)
    query = rows(rng, 6, kind if kind == "regression" else "query", dtype)
    return Tasks(support, query, 2 if kind == "regression" else N_WAY)


def make_learner(
    algorithm="maml",
    engine="batched",
    head="prototype",
    *,
    dtype=torch.float64,
    activation="tanh",
    hidden=(6, 5),
    loss=None,
    **options,
):
    generator = torch.Generator().manual_seed(0)
    body = Perceptron(3, hidden, activation=activation, generator=generator)
    regression = head == "regression"
    made = make_head(
        "linear" if regression else head,
        body.n_out,
        2 if regression else None,
        generator=generator,
    )
    if loss is None:
        loss = LOSSES["squared_error" if regression else "cross_entropy"]
    options = {"inner_lr": 0.3, "n_inner_steps": 3, **options}
    learner = Learner(body, made, loss, algorithm, engine=engine, **options)
    return learner.to(dtype).train()


def gradient(learner, tasks, chunk=None):
    """Of the mean loss of the tasks, by all that is learned, as one vector."""
    params = list(learner.parameters())
    value = Objective(task_losses, chunk)(learner, tasks)
    found = torch.autograd.grad(value, params, allow_unused=True)
    return value.detach(), torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).flatten()
            for p, g in zip(params, found, strict=True)
        ]
    )


def kind_of(head):
    return "regression" if head == "regression" else "classification"


def same(a, b, tolerance):
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) < tolerance


# ---- engines -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-10)])
@pytest.mark.parametrize("head", ["prototype", "linear", "regression"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_engines_have_the_same_meta_gradient(algorithm, head, dtype, tolerance):
    dtype = getattr(torch, dtype)
    tasks = make_tasks(kind_of(head), dtype)
    (value, first), *others = (
        gradient(make_learner(algorithm, engine, head, dtype=dtype), tasks)
        for engine in ("batched", "vmap", "loop")
    )
    assert first.abs().max() > 1e-3
    for other_value, other in others:
        assert torch.isclose(value, other_value, rtol=tolerance)
        assert torch.allclose(other, first, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "engine, activation",
    [
        *(("batched", activation) for activation in perceptron.ACTIVATIONS),
        ("vmap", "tanh"),
        ("loop", "tanh"),
    ],
)
@pytest.mark.parametrize("head", ["prototype", "regression"])
def test_the_meta_gradient_agrees_with_finite_differences(head, engine, activation):
    for algorithm in EXACT:
        learner = make_learner(algorithm, engine, head, activation=activation)
        check_differences(learner, make_tasks(kind_of(head)))


def check_differences(learner, tasks, tolerance=1e-7):
    """Central differences in a random direction."""
    found = gradient(learner, tasks)[1]
    rng = np.random.default_rng(1)
    direction = torch.tensor(rng.standard_normal(len(found)), dtype=found.dtype)
    direction /= direction.norm()
    params = list(learner.parameters())
    start = [p.detach().clone() for p in params]
    parts = direction.split([p.numel() for p in params])

    @torch.no_grad()
    def value(step):
        for p, at, part in zip(params, start, parts, strict=True):
            p.copy_(at + step * part.view(p.shape))
        return float(Objective(task_losses)(learner, tasks))

    differences = [(value(h) - value(-h)) / (2 * h) for h in (2e-4, 1e-4)]
    value(0.0)
    expected = (4 * differences[1] - differences[0]) / 3  # Richardson
    assert float(found @ direction) == pytest.approx(expected, rel=1e-6, abs=tolerance)


@pytest.mark.parametrize("head", ["prototype", "linear", "regression"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_chunks_of_tasks_leave_the_gradient_as_it_is(algorithm, head):
    learner, tasks = make_learner(algorithm, head=head), make_tasks(kind_of(head))
    value, whole = gradient(learner, tasks)
    for chunk in (1, 2, 5):
        chunk_value, chunked = gradient(learner, tasks, chunk)
        assert chunk_value == pytest.approx(float(value), rel=1e-12)
        assert same(chunked, whole, 1e-12)


def test_a_loss_of_ones_own_goes_through_torch():
    own = Loss(LOSSES["cross_entropy"].value)
    for algorithm in ALGORITHMS:
        expected = gradient(make_learner(algorithm), make_tasks())[1]
        found = gradient(make_learner(algorithm, loss=own), make_tasks())[1]
        assert same(found, expected, 1e-10)


class Wide(nn.Module):
    """Of any layers: what vmap can do, and what it cannot."""

    def __init__(self, layer, seed=0):
        super().__init__()
        self.layer = layer
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.normal_(0, 0.4, generator=generator)

    def forward(self, X):
        H = self.layer(X)
        return torch.tanh(H[0][:, -1] if isinstance(H, tuple) else H.flatten(1))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3))

    def forward(self, X):
        H = torch.tanh(X @ self.weight)
        return H * 2 if float(H.detach().mean()) > 0 else H


def layer(kind):
    if kind == "branching":
        return Branching()
    with torch.random.fork_rng(devices=[]):
        return Wide(
            {
                "linear": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)),
                "convolution": lambda: nn.Conv1d(1, 2, 2),
                "recurrent": lambda: nn.GRU(1, 4, batch_first=True),
            }[kind]()
        )


class Shaped(nn.Module):
    """Rows of three numbers in the shape that an encoder takes."""

    def __init__(self, module, shape):
        super().__init__()
        self.module, self.shape = module, shape

    def forward(self, X):
        return self.module(X.unflatten(1, self.shape))


@pytest.mark.parametrize(
    "kind, shape, engine",
    [
        ("linear", (3,), "vmap"),
        ("convolution", (1, 3), "loop"),
        ("recurrent", (3, 1), "loop"),
        ("branching", (3,), "loop"),
    ],
)
def test_an_engine_is_chosen_for_any_module(kind, shape, engine):
    body = Shaped(layer(kind), shape).double()
    X = torch.zeros(2, 3, dtype=torch.float64) + 0.1
    assert engines.fastest(body, X) == engine
    for algorithm in EXACT:
        learner = Learner(
            body,
            Prototypes(body(X).shape[1]),
            LOSSES["cross_entropy"],
            algorithm,
            engine=engine,
            inner_lr=0.2,
            n_inner_steps=2,
        ).double()
        check_differences(learner, make_tasks())


def test_engines_of_our_own_encoders():
    generator = torch.Generator().manual_seed(0)
    body = Perceptron(3, (4,), activation="relu", generator=generator)
    assert engines.fastest(body, torch.zeros(2, 3)) == "batched"


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(3), nn.SyncBatchNorm(3)])
def test_batch_normalisation_is_refused(norm):
    body = nn.Sequential(nn.Linear(3, 3), norm)
    with pytest.raises(ValueError, match=r"BatchNorm.* \(1\).*nn.GroupNorm"):
        Learner(
            body,
            Prototypes(3),
            LOSSES["cross_entropy"],
            "maml",
            engine="loop",
            inner_lr=0.1,
            n_inner_steps=1,
        )


def test_dropout_stays_off():
    body = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    learner = make_learner()
    learner.body = body
    assert learner.train().training
    assert not body.training


# ---- algorithms ----------------------------------------------------------------------


def test_fomaml_detaches_the_inner_gradients_only():
    """With a learned layer its gradient is that of the query at the adapted weights."""
    learner, tasks = make_learner("fomaml", head="regression"), make_tasks("regression")
    params = adapt(learner, tasks.support, 2, learner.n_inner_steps)
    params = {name: p.requires_grad_() for name, p in params.items()}
    expected = torch.autograd.grad(
        learner.losses(params, tasks.query).mean(), list(params.values())
    )
    expected = torch.cat([g.sum(dim=0).flatten() for g in expected])
    assert same(gradient(learner, tasks)[1], expected, 1e-12)


def test_fomaml_goes_through_the_prototypes():
    learner, tasks = make_learner("fomaml", n_inner_steps=0), make_tasks()
    assert same(
        gradient(learner, tasks)[1],
        gradient(make_learner("maml", n_inner_steps=0), tasks)[1],
        1e-12,
    )


@pytest.mark.parametrize("engine", ["batched", "loop"])
def test_fomaml_equals_maml_where_the_second_derivative_vanishes(engine):
    """A loss linear in the outputs of a linear model."""
    linear = Loss(
        lambda Z, rows: ((Z * rows.y).sum(dim=2) * rows.weights).sum(dim=1),
        lambda Z, rows: (rows.y * rows.weights.unsqueeze(2), None),
        lambda RZ, rows, cache: torch.zeros_like(RZ),
    )
    options = {"hidden": (), "head": "regression", "loss": linear, "engine": engine}
    first, second = (
        gradient(make_learner(algorithm, **options), make_tasks("regression"))[1]
        for algorithm in ("fomaml", "maml")
    )
    assert same(first, second, 1e-12)
    curved = {**options, "loss": LOSSES["squared_error"]}
    first, second = (
        gradient(make_learner(algorithm, **curved), make_tasks("regression"))[1]
        for algorithm in ("fomaml", "maml")
    )
    assert not same(first, second, 1e-2)


def test_reptile_goes_where_the_steps_lead():
    learner = make_learner("reptile", head="regression", n_inner_steps=4)
    tasks = make_tasks("regression")
    start = learner.start(tasks.support, 2)
    end = {k: p.detach().expand(N_TASKS, *p.shape) for k, p in start.items()}
    for step in range(4):
        batch = tasks.query if step % 2 else tasks.support
        end = inner.descend(
            lambda params, _, batch=batch: learner.losses(params, batch),
            end,
            [learner.inner_lr],
            1,
            second_order=False,
        )
    value, found = gradient(learner, tasks)
    expected = torch.cat(
        [
            ((p - end[k]).mean(dim=0) / learner.inner_lr).flatten()
            for k, p in start.items()
        ]
    )
    assert same(found, expected.detach(), 1e-12)
    assert value == pytest.approx(float(learner.losses(end, tasks.query).mean()))


def test_reptile_needs_two_steps():
    with pytest.raises(ValueError, match="n_inner_steps of at least 2, got 1"):
        get_algorithm("reptile", 1)
    with pytest.raises(ValueError, match=r"choose one of \['maml'"):
        get_algorithm("mamml", 1)


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "anil"])
def test_fault_48_inner_lr_0_is_plain_training(algorithm):
    learner = make_learner(algorithm, head="regression", inner_lr=0.0)
    tasks = make_tasks("regression")
    plain = make_learner(algorithm, head="regression", n_inner_steps=0)
    assert same(gradient(learner, tasks)[1], gradient(plain, tasks)[1], 1e-12)
    Z = learner.body(tasks.query.X) @ learner.head.layer[:-1] + learner.head.layer[-1]
    expected = F.mse_loss(Z, tasks.query.y)
    assert gradient(learner, tasks)[0] == pytest.approx(expected.item())


def test_fault_48_inner_lr_0_is_a_prototypical_network():
    learner, tasks = make_learner(inner_lr=0.0), make_tasks()
    H, Q = learner.body(tasks.support.X), learner.body(tasks.query.X)
    loss = 0.0
    for t in range(N_TASKS):
        means = torch.stack(
            [H[t][tasks.support.y[t] == c].mean(0) for c in range(N_WAY)]
        )
        logits = -torch.cdist(Q[t], means).square()
        loss = loss + F.cross_entropy(logits, tasks.query.y[t]) / N_TASKS
    expected = torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, list(learner.parameters()))]
    )
    value, found = gradient(learner, tasks)
    assert value == pytest.approx(loss.item())
    assert same(found, expected, 1e-10)


def test_anil_leaves_the_encoder_alone():
    learner, tasks = make_learner("anil"), make_tasks()
    params = adapt(learner, tasks.support, N_WAY, 3)
    for name, own in learner.body.named_parameters():
        assert params[name] is own
    assert params[HEAD].shape == (N_TASKS, 6, N_WAY)


def test_meta_sgd_shares_the_rates_of_the_head_and_those_of_the_last_step():
    learner, tasks = make_learner("meta_sgd", n_inner_steps=2), make_tasks()
    assert learner.learned_rates[-1].shape == (2, 6, 1)
    with torch.no_grad():
        for i, rate in enumerate(learner.learned_rates):
            rate[1] *= 0.5 + 0.1 * i
    params = adapt(learner, tasks.support, N_WAY, 4)
    rates = learner.rates()
    start = learner.start(tasks.support, N_WAY)
    expected = inner.descend(
        lambda p, _: learner.losses(p, tasks.support),
        {
            **inner.of_each_task({k: start[k] for k in learner.named}, N_TASKS),
            HEAD: start[HEAD],
        },
        [rates[0], rates[1], rates[1], rates[1]],
        4,
        second_order=False,
    )
    for name, param in params.items():
        assert torch.allclose(param, expected[name], atol=1e-12)
    # As learned rates begin, all of it is `maml`.
    rates_too = gradient(make_learner("meta_sgd"), tasks)[1]
    plain = gradient(make_learner("maml"), tasks)[1]
    assert same(rates_too[: len(plain)], plain, 1e-6)  # rates began in float32


# ---- what must not matter ------------------------------------------------------------


@pytest.mark.parametrize("head", ["prototype", "linear"])
@pytest.mark.parametrize("engine", ["batched", "loop"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rows_that_fill_up_and_classes_that_are_not_there_change_nothing(
    algorithm, engine, head
):
    tasks = make_tasks()
    filled = tasks._replace(
        support=fill_up(tasks.support), query=fill_up(tasks.query), n_outputs=N_WAY + 2
    )
    if algorithm != "reptile":  # its value and direction are of the query too
        found, expected = (
            gradient(make_learner(algorithm, engine, head), t)[1]
            for t in (filled, tasks)
        )
        assert same(found, expected, 1e-10)
    learner = make_learner(algorithm, engine, head)
    found = adapt(learner, filled.support, N_WAY + 2, 3)
    expected = adapt(learner, tasks.support, N_WAY, 3)
    assert torch.allclose(found[HEAD][..., :N_WAY], expected[HEAD], atol=1e-12)


def fill_up(some):
    """Three rows of no weight, and two classes that no task has."""
    n = N_TASKS
    absent = torch.zeros(n, N_WAY + 2, dtype=torch.bool)
    absent[:, N_WAY:] = True
    return Rows(
        torch.cat([some.X, torch.full((n, 3, 3), 7.0, dtype=some.X.dtype)], dim=1),
        torch.cat([some.y, torch.tensor([[0, N_WAY, N_WAY + 1]] * n)], dim=1),
        torch.cat([some.weights, torch.zeros(n, 3, dtype=some.X.dtype)], dim=1),
        absent,
    )


@pytest.mark.parametrize("head", ["prototype", "linear"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_order_of_rows_and_of_classes(algorithm, head):
    learner, support = make_learner(algorithm, head=head), make_tasks().support
    expected = adapt(learner, support, N_WAY, 3)
    order = torch.tensor([4, 2, 8, 0, 1, 3, 7, 6, 5])
    rows = Rows(*(a if a is None else a[:, order] for a in support))
    classes = torch.tensor([2, 0, 3, 1])
    named = rows._replace(y=classes[rows.y])
    found = adapt(learner, named, N_WAY, 3)
    assert torch.allclose(found[HEAD][..., classes], expected[HEAD], atol=1e-12)


def test_unequal_shots_count_the_same():
    y = torch.tensor([[0, 0, 0, 1, 2, 2]])
    present = torch.tensor([[True, True, True, True, True, False]])
    weights = balanced_weights(y, present, 4)
    expected = torch.tensor([[1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 3, 0]])
    assert torch.allclose(weights, expected)
    # Three copies of a row are that row.
    learner, X = (
        make_learner(),
        torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(0)).double(),
    )
    few = Rows(X, torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.5]]).double())
    many = Rows(
        X[:, [0, 0, 0, 1]],
        torch.tensor([[0, 0, 0, 1]]),
        torch.tensor([[1 / 6, 1 / 6, 1 / 6, 0.5]]).double(),
    )
    for name, param in adapt(learner, few, 2, 3).items():
        assert torch.allclose(adapt(learner, many, 2, 3)[name], param, atol=1e-9)


# ---- adapting ------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["batched", "vmap", "loop"])
def test_adapting_keeps_no_graph_and_leaves_the_learner(engine):
    learner, tasks = make_learner(engine=engine), make_tasks()
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    params = adapt(learner, tasks.support, N_WAY, 5)
    assert all(p.grad_fn is None for p in params.values())
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in learner.parameters())
    body = learner.body_of(params, 1)
    Z = perceptron.affine(body(tasks.query.X[1]), params[HEAD][1])
    assert torch.allclose(Z, learner.outputs(params, tasks.query.X)[1], atol=1e-12)


def test_what_is_adapted_is_a_network_in_numpy():
    learner, tasks = make_learner(dtype=torch.float32), make_tasks(dtype=torch.float32)
    params = adapt(learner, tasks.support, N_WAY, 5)
    body, head = learner.body_of(params, 1), params[HEAD][1].numpy()
    means, scales = np.array([1.0, 2.0, 3.0]), np.array([0.5, 2.0, 1.0])
    X = tasks.query.X[1].numpy() / scales + means
    with torch.no_grad():
        Z = learner.outputs(params, tasks.query.X)[1].numpy()
        H = body(tasks.query.X[1]).numpy()
    np.testing.assert_allclose(forward(body.network(means, scales, head), X), Z, 1e-4)
    np.testing.assert_allclose(forward(body.network(means, scales), X), H, 1e-4)
    other = make_learner(dtype=torch.float32).body
    other.take(body.network(means, scales, head))
    for a, b in zip(other.parameters(), body.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("algorithm", ["maml", "meta_sgd"])
@pytest.mark.parametrize("engine", ["batched", "loop"])
def test_fault_46_diverging_steps_are_named(engine, algorithm):
    learner = make_learner(
        algorithm,
        engine,
        "regression",
        activation="relu",
        inner_lr=1e38,
        dtype=torch.float32,
    )
    tasks = make_tasks("regression", torch.float32)
    with pytest.raises(FloatingPointError, match="step [123] of 9 with .*1e"):
        adapt(learner, tasks.support, 2, 9)
    assert all(bool(p.isfinite().all()) for p in learner.parameters())
    fine = make_learner(head="regression", dtype=torch.float32)
    start = fine.start(tasks.support, 2)
    assert fine.diverged_at(start, [tasks.support], 3) is None
    assert fine.diverged(tasks) is None


def test_global_generators_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    learner = make_learner("meta_sgd")
    gradient(learner, make_tasks())
    adapt(learner, make_tasks().support, N_WAY, 2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


# ---- convolutions --------------------------------------------------------------------


def image_tasks():
    rng = np.random.default_rng(0)

    def some(n):
        y = torch.arange(N_WAY).repeat_interleave(n).expand(N_TASKS, -1)
        X = torch.tensor(rng.standard_normal((*y.shape, 1, 8, 8)))
        return Rows(X, y, torch.full(y.shape, 1 / y.shape[1], dtype=torch.float64))

    return Tasks(some(1), some(2), N_WAY)


def image_learner(kind, algorithm, engine):
    generator = torch.Generator().manual_seed(0)
    body = kind((1, 8, 8), 5, generator=generator, width=8, norm="group")
    assert engines.fastest(body, torch.zeros(2, 1, 8, 8)) == "grouped"
    return Learner(
        body,
        Prototypes(5),
        LOSSES["cross_entropy"],
        algorithm,
        engine=engine,
        inner_lr=0.05,
        n_inner_steps=2,
    ).double()


@pytest.mark.parametrize("kind", [Conv4, ResNet])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_convolutions_of_all_tasks_are_those_of_each(algorithm, kind):
    tasks = image_tasks()
    (value, first), (other_value, other) = (
        gradient(image_learner(kind, algorithm, engine), tasks)
        for engine in ("grouped", "loop")
    )
    assert torch.isclose(value, other_value, rtol=1e-10)
    assert torch.allclose(first, other, rtol=1e-8, atol=1e-10)


def test_convolutions_agree_with_finite_differences():
    for engine in ("grouped", "loop"):
        check_differences(image_learner(Conv4, "maml", engine), image_tasks(), 1e-6)


def test_batch_normalised_convolutions_are_refused():
    body = Conv4((1, 8, 8), 5, generator=torch.Generator(), width=8)
    with pytest.raises(ValueError, match="BatchNorm2d"):
        engines.check_independent(body)
