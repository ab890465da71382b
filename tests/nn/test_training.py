"""The training loop by itself: what it keeps, when it stops, what goes wrong."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from skmeta.nn.data import epoch_batches  # noqa: E402
from skmeta.nn.training import MIN_STEPS_NO_CHANGE, Plan, train  # noqa: E402

PLAN = Plan(
    batch_size=16,
    max_iter=5,
    learning_rate=0.05,
    weight_decay=0.0,
    warmup=0.0,
    schedule="constant",
    max_norm=None,
    n_iter_no_change=100,
    tol=1e-4,
)


class Lines(nn.Module):
    """Two linear encoders; with ``norm`` running means before them."""

    def __init__(self, norm=False, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.encoders = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(3) if norm else nn.Identity(),
                nn.utils.skip_init(nn.Linear, 3, 2),
            )
            for _ in range(2)
        )
        with torch.no_grad():
            for encoder in self.encoders:
                for p in encoder[1].parameters():
                    p.uniform_(-0.5, 0.5, generator=generator)


class Rows:
    """Rows of two views; those that were taken are noted."""

    def __init__(self, n=64, seed=0):
        rng = np.random.RandomState(seed)
        U = rng.randn(n, 2)
        self.arrays = [
            torch.tensor(U @ rng.randn(2, 3) + 0.1 * rng.randn(n, 3)).float()
            for _ in range(2)
        ]
        self.taken = []

    def batches(self, rows, batch_size, rng):
        return epoch_batches(rows, batch_size, rng)

    def batch(self, index):
        self.taken.append(index.numpy())
        return [X[index] for X in self.arrays]


def distance(space, batch):
    """Encodings far apart in different rows, near in the same."""
    Za, Zb = (f(X) for f, X in zip(space.encoders, batch, strict=True))
    S = Za @ Zb.T
    return nn.functional.cross_entropy(S, torch.arange(len(S)))


def fit(space=None, objective=distance, n=64, rng=None, data=None, **options):
    space = Lines() if space is None else space
    names = set(options) & set(Plan._fields)
    plan = PLAN._replace(**{name: options.pop(name) for name in names})
    rng = np.random.RandomState(0) if rng is None else rng
    data = Rows(n) if data is None else data
    return space, train(space, objective, data, np.arange(n), plan, rng, **options)


def weights(space):
    return {name: value.clone() for name, value in space.state_dict().items()}


def assert_same(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name])), name


# ---- what it keeps -------------------------------------------------------------------


def test_the_weights_of_the_best_epoch_stay():
    seen = []
    scores = iter([1.0, 3.0, 2.0, 3.0, 0.0])

    def score(space):
        seen.append(weights(space))
        return next(scores)

    space, history = fit(score=score)
    assert history.scores == [1.0, 3.0, 2.0, 3.0, 0.0]
    assert history.best == 3  # of equals the later
    assert_same(weights(space), seen[3])
    assert not space.training


def test_without_a_score_the_last_weights_stay():
    seen = []
    space, history = fit(on_epoch=lambda *_: seen.append(1))
    assert history.scores == [] and history.best == 4 and len(seen) == 5
    assert history.losses[-1] < history.losses[0]


def test_a_score_that_is_never_a_number_keeps_the_last_weights():
    space, history = fit(score=lambda space: math.nan)
    assert_same(weights(space), weights(fit()[0]))


def test_it_stops_when_nothing_improves():
    options = {"n_iter_no_change": 3, "score": lambda space: 1.0}
    history = fit(n=210, batch_size=2, max_iter=50, **options)[1]
    assert len(history.losses) == 1 + 3 and history.converged
    # Passes of few steps tell little: there are four in one here.
    history = fit(n=64, batch_size=16, max_iter=50, **options)[1]
    assert len(history.losses) == 1 + MIN_STEPS_NO_CHANGE // 4 and history.converged


def test_what_is_called_each_epoch():
    calls = []

    def on_epoch(epoch, loss, score):
        calls.append(("end", epoch, loss, score))
        return epoch == 2

    history = fit(
        score=lambda space: 0.5,
        on_epoch_begin=lambda epoch: calls.append(("begin", epoch)),
        on_epoch=on_epoch,
    )[1]
    assert history.converged and len(history.losses) == 3
    expected = []
    for epoch, loss in enumerate(history.losses):
        expected += [("begin", epoch), ("end", epoch, loss, 0.5)]
    assert calls == expected


def test_going_on_from_the_optimisers_state_is_one_fit():
    whole, rng = fit(max_iter=6)[0], np.random.RandomState(0)
    space, state = Lines(), None
    for _ in range(3):
        history = fit(space, max_iter=2, rng=rng, optimiser_state=state)[1]
        state = history.optimiser_state
        assert all(isinstance(array, np.ndarray) for array in state.values())
    assert_same(weights(space), weights(whole))
    cold = Lines()
    rng = np.random.RandomState(0)
    for _ in range(3):
        fit(cold, max_iter=2, rng=rng)
    assert not torch.equal(cold.encoders[0][1].weight, space.encoders[0][1].weight)


def test_a_frozen_weight_stays():
    space = Lines()
    space.encoders[0][1].weight.requires_grad_(False)
    before = weights(space)
    history = fit(space, weight_decay=0.5)[1]
    assert torch.equal(space.encoders[0][1].weight, before["encoders.0.1.weight"])
    assert not torch.equal(space.encoders[1][1].weight, before["encoders.1.1.weight"])
    assert not any("encoders.0.1.weight" in name for name in history.optimiser_state)


def test_without_the_fused_kernel_it_is_the_same_fit(monkeypatch):
    plain = torch.optim.AdamW

    def refuses(*args, fused=None, **options):
        if fused:
            raise RuntimeError("`fused=True` requires ...")
        return plain(*args, **options)

    fused = fit()[1].losses
    monkeypatch.setattr(torch.optim, "AdamW", refuses)
    np.testing.assert_allclose(fit()[1].losses, fused, rtol=1e-5)


def test_the_gradient_is_cut_to_max_norm():
    # One step of Adam is the same whatever the gradient's length: two are not.
    one, other = (fit(max_iter=2, max_norm=m)[1].losses for m in (None, 1e-3))
    assert one != other
    assert fit(max_iter=2, max_norm=1e9)[1].losses == one


# ---- precision and compilation -------------------------------------------------------


def test_bf16_is_of_the_encoders_while_they_train():
    seen = []

    def objective(space, batch):
        Z = [f(X) for f, X in zip(space.encoders, batch, strict=True)]
        seen.extend(z.dtype for z in Z)
        rounded = Z[0].detach().bfloat16().float()
        seen.append(bool(torch.equal(rounded, Z[0])))
        return distance(space, batch)

    space, history = fit(objective=objective, precision="bf16")
    assert set(seen) == {torch.float32, True}
    whole, plain = fit()
    assert list(space.state_dict()) == list(whole.state_dict())
    assert all(v.dtype == torch.float32 for v in space.state_dict().values())
    assert history.losses != plain.losses
    np.testing.assert_allclose(history.losses, plain.losses, rtol=0.02)
    assert not any("forward" in vars(encoder) for encoder in space.encoders)


def test_scores_are_taken_in_float32():
    found = []

    def score(space):
        space.eval()
        Z = space.encoders[0](torch.full((1, 3), 0.123456789))
        found.append(bool(torch.equal(Z.bfloat16().float(), Z)))
        return 0.0

    fit(score=score, precision="bf16")
    assert not any(found)


def test_encoders_are_put_back_where_a_fit_fails():
    def fails(space, batch):
        raise OSError("broken off")

    space = Lines()
    with pytest.raises(OSError, match="broken off"):
        fit(space, objective=fails, precision="bf16")
    assert not any("forward" in vars(encoder) for encoder in space.encoders)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_compiled_encoders_are_the_same(precision, tmp_path):
    from skmeta.nn.checkpoint import Checkpoint

    plain = fit(n=70, precision=precision)[1]
    space, history = fit(n=70, precision=precision, compile=True)
    assert list(space.state_dict()) == list(Lines().state_dict())
    np.testing.assert_allclose(history.losses, plain.losses, rtol=1e-2)

    def stop(epoch, loss, score):
        if epoch == 2:
            raise KeyboardInterrupt

    for on_epoch in (stop, None):
        torch.compiler.reset()
        try:
            resumed, _ = fit(
                n=70,
                precision=precision,
                compile=True,
                on_epoch=on_epoch,
                checkpoint=Checkpoint(tmp_path / "fit", "fit"),
            )
        except KeyboardInterrupt:
            continue
    assert_same(weights(resumed), weights(space))


# ---- what goes wrong -----------------------------------------------------------------


def breaks_at(step, how):
    """The objective, which at a step is not finite."""
    count = [0]

    def objective(space, batch):
        count[0] += 1
        value = distance(space, batch)
        return how(space, value) if count[0] == step else value

    return objective


def broken_root(space, value):
    """A finite value with an infinite gradient."""
    zero = (space.encoders[0][1].weight * 0).sum()
    return value + torch.sqrt(zero)


BREAKS = {
    "nan": lambda space, value: value * math.nan,
    "inf": lambda space, value: value + math.inf,
    "gradient": broken_root,
    "decomposition": lambda space, value: torch.linalg.cholesky(
        -torch.eye(2) * value
    ).sum(),
}


@pytest.mark.parametrize("how", BREAKS)
def test_fault_47_a_loss_that_is_not_finite_stops_the_fit(how):
    space = Lines(norm=True)
    with pytest.raises(FloatingPointError, match=r"step 7 \(epoch 2, .*rate 0.05\)"):
        fit(space, objective=breaks_at(7, BREAKS[how]))
    # The weights are those of six steps.
    seen = []

    def six(space, batch):
        seen.append(weights(space))
        return distance(space, batch)

    fit(Lines(norm=True), objective=six)
    assert_same(weights(space), seen[6])


def test_fault_47_running_means_are_the_last_finite_ones():
    data = Rows()
    batch, calls = data.batch, []

    def broken(index):
        calls.append(index)
        rows = batch(index)
        return [X * math.nan for X in rows] if len(calls) == 7 else rows

    data.batch = broken
    space = Lines(norm=True)
    with pytest.raises(FloatingPointError, match="became nan at step 7"):
        fit(space, data=data)
    assert all(torch.isfinite(value).all() for value in space.state_dict().values())
    assert space.encoders[0][0].num_batches_tracked == 6


@pytest.mark.parametrize("n", [17, 33, 49])
def test_fault_49_no_batch_has_a_single_row(n):
    data = Rows(n)
    fit(n=n, data=data, max_iter=2)
    assert min(map(len, data.taken)) > 1
    assert sorted(np.concatenate(data.taken)) == sorted([*range(n)] * 2)


def test_batches_that_tell_nothing_are_left_out():
    plain = fit(n=32, max_iter=1)[1].losses
    count = [0]

    def every_other(space, batch):
        count[0] += 1
        return None if count[0] % 2 == 0 else distance(space, batch)

    history = fit(n=32, max_iter=1, objective=every_other)[1]
    assert math.isfinite(history.losses[0]) and history.losses != plain
    with pytest.raises(ValueError, match="raise batch_size"):
        fit(objective=lambda space, batch: None)


def test_fault_35_36_the_same_bits_and_no_global_generator():
    before = torch.get_rng_state()
    one, other = fit(), fit()
    assert_same(weights(one[0]), weights(other[0]))
    assert one[1].losses == other[1].losses
    assert torch.equal(before, torch.get_rng_state())
