"""Episodes of held-out classes: what to choose by, and how sure to be."""

from collections import defaultdict
from itertools import product
from typing import NamedTuple

import numpy as np

from skmeta.core.blocks import row_slices
from skmeta.core.calibration import Table, best_temperature, log_loss
from skmeta.core.episodes import draw_episodes, eligible_tasks, pool_of, trials
from skmeta.core.heads import HEADS, answer, learn

# Fewer classes are not dealt into folds: what is learned of them is judged on them.
MIN_CLASSES_TO_FOLD = 6
N_FOLDS = 3

# Where temperatures are found, as far as there are rows and classes.
SHOTS = (1, 5, 20)
WAYS = (2, 5, 20)
N_CALIBRATION = 30  # episodes at each number of shots and ways
N_CALIBRATION_QUERIES = 5  # rows of a class
MAX_TEMPERATURE_STEPS = 5  # of a head whose predictions depend on the temperature

PENALTIES = (0.01, 0.1, 1.0, 10.0)


class Fold(NamedTuple):
    """Embedded rows of classes, and what a head is given about others."""

    Z: np.ndarray  # (n_rows, n_components)
    pool: object  # `Pool` of rows of Z
    given: object  # `Given`
    unit: bool = False  # whether rows have length one, and are to have it


def class_folds(codes, n_classes, rng, *, share=None):
    """Yield masks (n_rows,) of the rows that are held out, class by class.

    Every class once, in `N_FOLDS` folds; with a ``share``, one fold of that share of
    the classes. All rows, once, where there are too few classes.
    """
    if n_classes < MIN_CLASSES_TO_FOLD:
        yield np.ones(len(codes), bool)
        return
    fold = np.empty(n_classes, np.intp)
    place = np.arange(n_classes)
    if share is not None:
        n_held = min(max(2, round(share * n_classes)), n_classes - 2)
        fold[rng.permutation(n_classes)] = place >= n_held
        yield fold[codes] == 0
        return
    fold[rng.permutation(n_classes)] = place % N_FOLDS
    for i in range(N_FOLDS):
        yield fold[codes] == i


def held_pool(codes, tasks, held, n_way=2):
    """The `Pool` of held-out rows, or None where no episode can be made of them."""
    rows = np.flatnonzero(held)
    pool = pool_of(codes[rows], None if tasks is None else tasks[rows])
    if len(pool.counts) == 0 or len(eligible_tasks(pool, n_way)) == 0:
        return None
    return pool


def logits_of(head, Z, drawn, given):
    """Logits (n_query, n_classes) of each trial, after learning its support.

    Trials of the same numbers of rows are learned at once, a block of them at a time.
    """
    alike = defaultdict(list)
    for i, trial in enumerate(drawn):
        codes = trial.support_codes.tobytes(), trial.query_codes.tobytes()
        alike[codes, trial.n_classes].append(i)
    found = [None] * len(drawn)
    for members in alike.values():
        one = drawn[members[0]]
        n_rows = len(one.support) + len(one.query) * one.n_classes
        for step in row_slices(len(members), 8 * n_rows * Z.shape[1]):
            some = members[step]
            support = Z[np.stack([drawn[i].support for i in some])]
            query = Z[np.stack([drawn[i].query for i in some])]
            state = learn(head, support, one.support_codes, one.n_classes, given)
            for i, logits in zip(some, answer(head, state, query, given), strict=True):
                found[i] = logits
    return found


def draw(fold, n_episodes, n_way, k_shot, n_query, seed):
    """List of `Trial` of a fold; the same for the same seed."""
    rng = np.random.default_rng(seed)
    drawn = draw_episodes(fold.pool, n_episodes, n_way, k_shot, n_query, rng)
    return list(trials(drawn))


def accuracies(head, fold, drawn):
    """Accuracy (n_trials,) of trials of a fold."""
    found = logits_of(head, fold.Z, drawn, fold.given)
    return np.array(
        [
            np.mean(logits.argmax(axis=1) == trial.query_codes)
            for logits, trial in zip(found, drawn, strict=True)
        ]
    )


class Calibration(NamedTuple):
    """What makes probabilities of logits."""

    penalty: float  # of a head that has one
    temperatures: Table


def nearest(by_shots, shots):
    """What a dict by numbers of shots has for the nearest of them, by ratio."""
    return min(by_shots.items(), key=lambda item: abs(np.log(item[0] / shots)))[1]


def calibrate(name, by_shots, penalty, n_way, k_shot, rng):
    """The penalty of least log-loss, and temperatures by shots and ways.

    Parameters
    ----------
    name : str
        Of `HEADS`.
    by_shots : dict of int to list of Fold
        As the head sees them at so many shots.
    penalty : float or "auto"
    n_way, k_shot : int
        Numbers at which temperatures are found beside those of `WAYS` and `SHOTS`.
    rng : numpy.random.Generator
    """
    head = HEADS[name]
    pools = [fold.pool for fold in next(iter(by_shots.values()))]
    shots, ways = calibration_grid(pools, n_way, k_shot)
    drawn = {
        (i, j): _draw(nearest(by_shots, k), k, n, rng)
        for (i, k), (j, n) in product(enumerate(shots), enumerate(ways))
    }
    penalties = PENALTIES if penalty == "auto" and head.uses_penalty else (penalty,)
    if not head.uses_penalty:
        penalties = (1.0,)
    best = None
    for value in penalties:
        found = {cell: _temperature(head, part, value) for cell, part in drawn.items()}
        loss = np.mean([loss for _, loss in found.values()])
        if best is None or loss < best[0]:
            best = loss, value, found
    _, penalty, found = best
    temperatures = np.empty((len(shots), len(ways)))
    for cell, (temperature, _) in found.items():
        temperatures[cell] = temperature
    return Calibration(penalty, Table(np.array(shots), np.array(ways), temperatures))


def _draw(folds, k_shot, n_way, rng):
    """Pairs of a fold and its trials."""
    n = -(-N_CALIBRATION // len(folds))
    draws = (
        draw_episodes(fold.pool, n, n_way, k_shot, N_CALIBRATION_QUERIES, rng)
        for fold in folds
    )
    return [
        (fold, list(trials(drawn))) for fold, drawn in zip(folds, draws, strict=True)
    ]


def _temperature(head, drawn, penalty):
    """The best temperature for some trials, and its loss."""
    codes = [trial.query_codes for _, some in drawn for trial in some]

    def logits(temperature):
        changed = {"temperature": temperature, "penalty": penalty}
        return [
            found
            for fold, some in drawn
            for found in logits_of(head, fold.Z, some, fold.given._replace(**changed))
        ]

    best, loss = best_temperature(logits(1.0), codes)
    if not head.soft:
        return best, loss
    # The temperature is inside: each is tried, by steps of less and less.
    log_best, step = np.log(best), np.log(4.0)
    losses = {log_best: log_loss(logits(best), codes)}
    for _ in range(MAX_TEMPERATURE_STEPS):
        for other in (log_best - step, log_best + step):
            if other not in losses:
                losses[other] = log_loss(logits(np.exp(other)), codes)
        nearest = min(losses, key=losses.get)
        if nearest == log_best:
            step /= 2
        log_best = nearest
    return float(np.exp(log_best)), losses[log_best]


def calibration_grid(pools, n_way, k_shot):
    """Numbers of shots and ways at which episodes can be drawn of each pool."""
    counts = np.concatenate([pool.counts for pool in pools])
    most_shots = max(1, int(np.median(counts)) - 1)
    most_ways = max(2, min(int(pool.n_classes.max()) for pool in pools))
    return (
        sorted({min(k, most_shots) for k in (*SHOTS, k_shot)}),
        sorted({min(n, most_ways) for n in (*WAYS, n_way)}),
    )
