"""The Bayesian head beside the textbook's formulas."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from skmeta.nn.bayes import BayesianLearner  # noqa: E402
from skmeta.nn.engines import Perceptron  # noqa: E402
from skmeta.nn.tasks import Rows, Tasks, equal_weights  # noqa: E402

N_TASKS, WIDTH = 3, 5


def make_learner(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    body = Perceptron(2, (6, WIDTH), activation="tanh", generator=generator)
    learner = BayesianLearner(body, WIDTH, 2, generator=generator).to(dtype)
    with torch.no_grad():
        learner.log_scale.normal_(0, 0.5, generator=generator)
        learner.log_noise.normal_(-1, 0.5, generator=generator)
    return learner.train()


def make_tasks(n_support, n_query=4, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)

    def some(n):
        X, y = (torch.tensor(rng.standard_normal((N_TASKS, n, 2))) for _ in range(2))
        weights = equal_weights(torch.ones(N_TASKS, n, dtype=torch.float64))
        return Rows(X.to(dtype), y.to(dtype), weights.to(dtype))

    return Tasks(some(n_support), some(n_query), 2)


# Fewer rows than features, as many, and more: two routes to the same.
@pytest.mark.parametrize("n", [1, WIDTH, WIDTH + 1, 20])
def test_the_prediction_is_that_of_a_gaussian_process(n):
    """Outputs of support and query are jointly normal: condition on the support's."""
    learner, tasks = make_learner(), make_tasks(n)
    with torch.no_grad():
        means, deviations = learner.predict(tasks.support, tasks.query.X)
        posterior = learner.posterior(tasks.support)
        phi = learner.phi(torch.cat([tasks.support.X, tasks.query.X], dim=1)).numpy()
    M, s = learner.prior.detach().numpy(), learner.scale().detach().numpy()
    sigma = learner.noise().detach().numpy()
    for t in range(N_TASKS):
        for j in range(2):
            K = sigma[j] ** 2 * ((phi[t] * s**2) @ phi[t].T + np.eye(len(phi[t])))
            weights = np.linalg.solve(K[:n, :n], K[:n, n:])
            residuals = tasks.support.y[t, :, j].numpy() - phi[t, :n] @ M[:, j]
            mean = phi[t, n:] @ M[:, j] + weights.T @ residuals
            variance = np.diag(K[n:, n:] - K[n:, :n] @ weights)
            np.testing.assert_allclose(means[t, :, j], mean, rtol=1e-9)
            np.testing.assert_allclose(deviations[t, :, j] ** 2, variance, rtol=1e-9)
    asked = torch.from_numpy(phi[:, n:])
    torch.testing.assert_close(asked @ posterior.weights, means)
    spread = 1 + (asked @ posterior.factor).square().sum(dim=2, keepdim=True)
    torch.testing.assert_close(spread.sqrt() * posterior.noise, deviations)


@pytest.mark.parametrize("n", [3, 20])
def test_the_loss_is_the_likelihood_and_its_gradient_that_of_differences(n):
    learner, tasks = make_learner(), make_tasks(n)
    means, deviations = learner.predict(tasks.support, tasks.query.X)
    normal = torch.distributions.Normal(means, deviations)
    expected = -normal.log_prob(tasks.query.y).mean(dim=(1, 2))
    torch.testing.assert_close(learner.task_losses(tasks), expected)
    params = list(learner.parameters())
    found = torch.autograd.grad(learner.task_losses(tasks).mean(), params)
    generator = torch.Generator().manual_seed(1)
    ways = [torch.randn(p.shape, generator=generator).double() for p in params]

    @torch.no_grad()
    def moved(h):
        for p, way in zip(params, ways, strict=True):
            p += h * way
        value = float(learner.task_losses(tasks).mean())
        for p, way in zip(params, ways, strict=True):
            p -= h * way
        return value

    expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
    assert sum(float((g * w).sum()) for g, w in zip(found, ways, strict=True)) == (
        pytest.approx(expected, rel=1e-6)
    )


@pytest.mark.parametrize("n", [3, 20])
def test_rows_that_fill_up_a_task_change_nothing(n):
    learner, tasks = make_learner(), make_tasks(n)
    filled = Rows(
        torch.cat([tasks.support.X, torch.full((N_TASKS, 9, 2), 5.0).double()], 1),
        torch.cat([tasks.support.y, torch.full((N_TASKS, 9, 2), 5.0).double()], 1),
        torch.cat([tasks.support.weights, torch.zeros(N_TASKS, 9).double()], 1),
    )
    with torch.no_grad():
        for a, b in zip(
            learner.predict(filled, tasks.query.X),
            learner.predict(tasks.support, tasks.query.X),
            strict=True,
        ):
            torch.testing.assert_close(a, b)


def test_the_prior_is_what_no_rows_leave():
    learner, tasks = make_learner(), make_tasks(4)
    nothing = tasks.support._replace(weights=torch.zeros(N_TASKS, 4).double())
    with torch.no_grad():
        means, deviations = learner.predict(nothing, tasks.query.X)
        phi = learner.phi(tasks.query.X)
        torch.testing.assert_close(means, phi @ learner.prior)
        spread = 1 + (phi * learner.scale()).square().sum(dim=2, keepdim=True)
        torch.testing.assert_close(deviations, spread.sqrt() * learner.noise())


def test_noise_and_scales_stay_within_bounds():
    learner, tasks = make_learner(torch.float32), make_tasks(20, dtype=torch.float32)
    with torch.no_grad():
        learner.log_noise.fill_(-500.0)
        learner.log_scale.fill_(500.0)
        means, deviations = learner.predict(tasks.support, tasks.query.X)
    assert bool(means.isfinite().all())
    assert float(deviations.min()) >= math.exp(-7.01)
    assert bool(
        torch.autograd.grad(learner.task_losses(tasks).mean(), learner.prior)[0]
        .isfinite()
        .all()
    )


def test_batch_normalisation_is_refused():
    body = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="BatchNorm1d"):
        BayesianLearner(body, 3, 1, generator=torch.Generator())
