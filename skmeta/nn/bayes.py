"""A Bayesian linear head on learned features, adapted to a task in closed form.

Outputs are ``y = W' phi + e``, of features ``phi = [h, 1]`` with noise of variance
``sigma_j^2`` in output j and a prior ``W_ij ~ N(M_ij, sigma_j^2 s_i^2)``. Features, M,
s and sigma are learned, so that what the support of a task says of its query is likely.

With ``psi = s * phi``, rows Psi of the support and ``P = I + Psi' Psi``,

    E y = M' phi + (Y - Phi M)' Psi P^-1 psi,   var y_j = sigma_j^2 (1 + psi' P^-1 psi),

and where there are fewer rows than features, the same by ``I + Psi Psi'`` (Woodbury).

References
----------
Harrison, Sharma & Pavone (2018), "Meta-learning priors for efficient online Bayesian
regression", WAFR, equations 4 to 9.
Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with differentiable
closed-form solvers", ICLR.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from skmeta.nn import engines

# Variances stay within these: noise that is learned away would make of rounding errors
# of the features evidence against the prior. As logarithms, of standardised targets.
MIN_LOG_NOISE, MAX_LOG_SCALE = -7.0, 7.0


class Posterior(NamedTuple):
    """What a support makes of the head, in float64."""

    weights: torch.Tensor  # (n_tasks, n_features + 1, n_outputs), their means
    factor: torch.Tensor  # (n_tasks, n_features + 1, n_features + 1): F of var F F'
    noise: torch.Tensor  # (n_outputs,) standard deviations


class BayesianLearner(nn.Module):
    """An encoder under a Bayesian linear head.

    Parameters
    ----------
    body : nn.Module
        The encoder: rows (n, ...) in, features (n, n_features) out.
    n_features, n_outputs : int
    generator : torch.Generator
        For the prior means.
    """

    def __init__(self, body, n_features, n_outputs, *, generator):
        super().__init__()
        engines.check_independent(body)
        self.body, self.n_features = body, n_features
        self.features = engines.shared(body)
        self.prior = nn.Parameter(engines.drawn(n_features, n_outputs, generator))
        self.log_scale = nn.Parameter(torch.zeros(n_features + 1))
        self.log_noise = nn.Parameter(torch.full((n_outputs,), -1.0))
        self._named = dict(body.named_parameters())

    tasks_at_once = None

    def train(self, mode=True):
        """Dropout of an encoder stays off, as in the other learners."""
        super().train(mode)
        self.body.eval()
        return self

    def phi(self, X):
        """Features and a one (n_tasks, n_rows, n_features + 1), in float64."""
        H = self.features(self._named, X)
        return torch.constant_pad_nd(H, (0, 1), 1.0).double()

    def scale(self):
        """Prior standard deviations (n_features + 1,) of the weights, by the noise."""
        return self.log_scale.double().clamp(max=MAX_LOG_SCALE).exp()

    def noise(self):
        """Standard deviations (n_outputs,) of the noise."""
        return self.log_noise.double().clamp(min=MIN_LOG_NOISE).exp()

    def predict(self, support, X):
        """Means (n_tasks, n_rows, n_outputs) and standard deviations of rows X."""
        phi, psi, residuals = self._support(support)
        asked = self.phi(X)
        means = asked @ self.prior.double()
        asked = asked * self.scale()
        if psi.shape[1] < psi.shape[2]:
            root = _root(psi @ psi.mT)
            cross = psi @ asked.mT  # (n_tasks, n_support, n_rows)
            means = means + cross.mT @ torch.cholesky_solve(residuals, root)
            known = torch.linalg.solve_triangular(root, cross, upper=False)
            spread = asked.square().sum(dim=2) - known.square().sum(dim=1)
        else:
            root = _root(psi.mT @ psi)
            means = means + asked @ torch.cholesky_solve(psi.mT @ residuals, root)
            left = torch.linalg.solve_triangular(root, asked.mT, upper=False)
            spread = left.square().sum(dim=1)
        spread = (1 + spread.clamp(min=0)).sqrt()
        return means, spread.unsqueeze(2) * self.noise()

    def _support(self, support):
        # A row that fills up a task is one of zeros, which says nothing of W.
        present = (support.weights > 0).unsqueeze(2)
        phi = self.phi(support.X) * present
        residuals = support.y * present - phi @ self.prior.double()
        return phi, phi * self.scale(), residuals

    def task_losses(self, tasks):
        """Negative log likelihood of the query given the support, a mean over rows."""
        means, deviations = self.predict(tasks.support, tasks.query.X)
        errors = (tasks.query.y - means) / deviations
        each = 0.5 * errors.square() + deviations.log() + 0.5 * math.log(2 * math.pi)
        return (each.mean(dim=2) * tasks.query.weights).sum(dim=1)

    def diverged(self, tasks):
        """None: there is no inner loop."""

    @torch.no_grad()
    def posterior(self, support):
        """What the support of each task makes of the head."""
        _, psi, residuals = self._support(support)
        scale = self.scale()
        root = _root(psi.mT @ psi)
        change = torch.cholesky_solve(psi.mT @ residuals, root)
        eye = torch.eye(len(scale), dtype=psi.dtype, device=psi.device)
        factor = torch.linalg.solve_triangular(root.mT, eye.expand_as(root), upper=True)
        return Posterior(
            self.prior.double() + scale[:, None] * change,
            scale[:, None] * factor,
            self.noise(),
        )


def _root(gram):
    """Cholesky factor of ``I + gram``."""
    eye = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    try:
        return torch.linalg.cholesky(eye + gram)
    except torch.linalg.LinAlgError as error:
        raise FloatingPointError(
            "The features of the support are too large, or not finite, for its "
            "equations to be solved: scale X, or leave standardize=True."
        ) from error
