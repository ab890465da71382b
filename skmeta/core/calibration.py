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


def log_loss(logits, codes):
    """Mean negative log-probability of the right classes."""
    below = logits - logits.max(axis=1, keepdims=True)
    own = below[np.arange(len(codes)), codes]
    return float(np.mean(np.log(np.exp(below).sum(axis=1)) - own))


def best_temperature(logits, codes):
    """The temperature of least log-loss, and that loss.

    Parameters
    ----------
    logits : list of ndarray (n_queries, n_classes)
        Of one episode each; episodes may differ in size.
    codes : list of ndarray of int (n_queries,)
    """
    n_classes = max(part.shape[1] for part in logits)
    below = np.full((sum(map(len, logits)), n_classes), -np.inf)
    start = 0
    for part in logits:
        rows = slice(start, start + len(part))
        below[rows, : part.shape[1]] = part - part.max(axis=1, keepdims=True)
        start += len(part)
    codes = np.concatenate(codes)
    own = below[np.arange(len(codes)), codes]
    spread = np.sqrt(np.mean([np.var(part, axis=1).mean() for part in logits]))
    if not spread > 0:  # of equal logits any is as good
        return 1.0, log_loss(below, codes)

    # A few answers that are wrong by far, as of a column that varies in them alone, are
    # not worth the sureness of all others: each may be chance by this share.
    n_ways = np.isfinite(below).sum(axis=1)

    def loss(log_temperature):
        scale = np.exp(-log_temperature)
        share = np.exp(scale * own) / np.exp(scale * below).sum(axis=1)
        return -np.mean(np.log((1 - CHANCE) * share + CHANCE / n_ways))

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
