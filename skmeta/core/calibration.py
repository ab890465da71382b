"""Temperatures of logits: probabilities that come true as often as they say.

References
----------
Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural networks", ICML.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

# Temperatures are looked for this far (in log) around the spread of the logits.
REACH, STEP = 7.0, 0.5
TOLERANCE = 0.01
# Share of answers that are taken for chance.
CHANCE = 0.02


class Table(NamedTuple):
    """Values at some numbers of shots and of ways, interpolated by logarithms."""

    shots: np.ndarray  # (n_shots,) ascending
    ways: np.ndarray  # (n_ways,) ascending
    values: np.ndarray  # (n_shots, n_ways), positive

    def at(self, shots, ways):
        """The value at a number of shots and ways, held beyond the ends."""
        by_ways = [
            np.interp(np.log(ways), np.log(self.ways), np.log(row))
            for row in self.values
        ]
        return float(np.exp(np.interp(np.log(shots), np.log(self.shots), by_ways)))


class _Answers(NamedTuple):
    """Logits of queries, of episodes of any number of classes."""

    below: np.ndarray  # (n_queries, n_classes) less the largest; -inf where none are
    own: np.ndarray  # (n_queries,) of the right classes
    n_ways: np.ndarray  # (n_queries,)

    @classmethod
    def of(cls, logits, codes):
        """Those of lists of them, an episode each."""
        n_ways = np.repeat([part.shape[1] for part in logits], [len(p) for p in logits])
        below = np.full((len(n_ways), n_ways.max()), -np.inf)
        start = 0
        for part in logits:
            rows = slice(start, start + len(part))
            below[rows, : part.shape[1]] = part - part.max(axis=1, keepdims=True)
            start += len(part)
        codes = np.concatenate(codes)
        return cls(below, below[np.arange(len(codes)), codes], n_ways)

    def loss(self, temperature):
        """Mean log-loss; each answer may be chance by a share of `CHANCE`.

        So a few that are wrong by far, as of a column that varies in them alone, are
        not worth the sureness of all others.
        """
        share = np.exp(self.own / temperature)
        share = share / np.exp(self.below / temperature).sum(axis=1)
        return float(-np.mean(np.log((1 - CHANCE) * share + CHANCE / self.n_ways)))


def log_loss(logits, codes):
    """Log-loss of the right classes, as `best_temperature` makes small."""
    return _Answers.of(logits, codes).loss(1.0)


def best_temperature(logits, codes):
    """The temperature of least log-loss, and that loss.

    Parameters
    ----------
    logits : sequence of ndarray (n_queries, n_classes)
        Of one episode each; episodes may differ in size.
    codes : sequence of ndarray of int (n_queries,)
    """
    answers = _Answers.of(logits, codes)
    spread = np.sqrt(np.mean([np.var(part, axis=1).mean() for part in logits]))
    if not spread > 0:  # of equal logits any is as good
        return 1.0, answers.loss(1.0)

    def loss(log_temperature):
        return answers.loss(np.exp(log_temperature))

    # It may have more than one minimum: the best of a grid, and its neighbourhood.
    grid = np.log(spread) + np.arange(-REACH, REACH + STEP, STEP)
    nearest = min(grid, key=loss)
    found = minimize_scalar(
        loss,
        bounds=(nearest - STEP, nearest + STEP),
        method="bounded",
        options={"xatol": TOLERANCE},
    )
    return float(np.exp(found.x)), float(found.fun)
