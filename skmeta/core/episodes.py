"""Episodes: small tasks drawn from many classes, as arrays of row numbers.

All episodes are drawn at once by one numpy Generator, so that they are the same on
every device and for every candidate of a search. Subsets are drawn by Floyd's
algorithm, of all sets at a time: the price is that of the numbers drawn, whatever the
number of rows.

References
----------
Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra (2016), "Matching networks for one
shot learning", NeurIPS (episodes).
Bentley & Floyd (1987), "A sample of brilliance", Communications of the ACM 30(9).
"""

from typing import NamedTuple

import numpy as np

NONE = -1  # in place of a row or class that there is not


class Episodes(NamedTuple):
    """Row numbers by episode and class; `NONE` where a class has no more rows."""

    support: np.ndarray  # (n_episodes, n_way, k_shot)
    query: np.ndarray  # (n_episodes, n_way, n_query)
    classes: np.ndarray  # (n_episodes, n_way) codes; `NONE` where a task has no more


class Pool(NamedTuple):
    """The rows of each class of each task, as slices of one array."""

    rows: np.ndarray  # (n_rows,) sorted by task and class
    starts: np.ndarray  # (n_cells,) where the rows of a class of a task begin
    counts: np.ndarray  # (n_cells,)
    classes: np.ndarray  # (n_cells,) codes
    first_cells: np.ndarray  # (n_tasks,) the first of the classes of a task
    n_classes: np.ndarray  # (n_tasks,)
    tasks: np.ndarray  # (n_tasks,) codes


def pool_of(classes, tasks=None):
    """Sort rows by class, or by task and class.

    Parameters
    ----------
    classes : ndarray of int (n_rows,)
        Codes; rows of a negative code belong to no class.
    tasks : ndarray of int (n_rows,) or None
        Codes. A class of two tasks is two classes.
    """
    tasks = np.zeros(len(classes), np.intp) if tasks is None else tasks
    order = np.lexsort((classes, tasks))
    order = order[classes[order] >= 0]
    labels, where = classes[order], tasks[order]
    new = np.ones(len(order), bool)
    new[1:] = (labels[1:] != labels[:-1]) | (where[1:] != where[:-1])
    starts = np.flatnonzero(new)
    found, first_cells, n_classes = np.unique(
        where[starts], return_index=True, return_counts=True
    )
    return Pool(
        order,
        starts,
        np.diff(np.append(starts, len(order))),
        labels[starts],
        first_cells,
        n_classes,
        found,
    )


def cells_of(codes, tasks):
    """Codes (n_rows,) in which a class of two tasks is two classes.

    Where no class has rows of two tasks they are the codes as they were.
    """
    if tasks is None:
        return codes
    pairs, cells = np.unique(
        np.column_stack([tasks, codes]), axis=0, return_inverse=True
    )
    return codes if len(pairs) == codes.max() + 1 else cells.reshape(-1)


def draw_episodes(pool, n_episodes, n_way, k_shot, n_query, rng):
    """Draw episodes of ``n_way`` classes of one task each.

    A class with fewer than ``k_shot + n_query`` rows gives what it has: one row at
    least to the support, the next to the query, then as many to the support as it
    should have. Of a class with one row nothing is asked, and an episode of which
    nothing is asked is drawn again. Tasks with a single class are left out.

    Parameters
    ----------
    pool : Pool
    n_episodes, n_way, k_shot, n_query : int
        Where a task has fewer classes, an episode has as many as there are.
    rng : numpy.random.Generator

    Returns
    -------
    Episodes
    """
    eligible = eligible_tasks(pool, n_way)
    episodes = _draw(pool, eligible, n_episodes, n_way, k_shot, n_query, rng)
    while len(again := np.flatnonzero((episodes.query == NONE).all(axis=(1, 2)))):
        others = _draw(pool, eligible, len(again), n_way, k_shot, n_query, rng)
        for array, other in zip(episodes, others, strict=True):
            array[again] = other
    return episodes


def eligible_tasks(pool, n_way):
    """Numbers of the tasks of which episodes can be made.

    They have two classes, or one where one is wanted, and a class with two rows.
    """
    largest = np.maximum.reduceat(pool.counts, pool.first_cells)
    return np.flatnonzero((pool.n_classes >= min(2, n_way)) & (largest > 1))


def _draw(pool, eligible, n_episodes, n_way, k_shot, n_query, rng):
    tasks = eligible[rng.integers(len(eligible), size=n_episodes)]
    chosen = draw_subsets(pool.n_classes[tasks], n_way, rng)
    none = chosen == NONE
    cells = np.where(none, 0, pool.first_cells[tasks][:, None] + chosen)

    counts = np.where(none, 0, pool.counts[cells]).ravel()
    drawn = draw_subsets(counts, k_shot + n_query, rng)
    starts = pool.starts[cells].ravel()[:, None]
    rows = np.where(
        drawn == NONE, NONE, pool.rows[np.where(drawn < 0, 0, starts + drawn)]
    )
    # What a class has goes to the support first, but for one row that is asked for.
    n_support = np.minimum(k_shot, np.maximum(1, counts - 1))[:, None]
    place = np.arange(k_shot + n_query)
    support = np.where(place[:k_shot] < n_support, rows[:, :k_shot], NONE)
    asked = n_support + np.arange(n_query)
    query = np.take_along_axis(
        np.column_stack([rows, np.full(len(rows), NONE)]),
        np.minimum(asked, k_shot + n_query),
        axis=1,
    )
    shape = n_episodes, n_way
    return Episodes(
        support.reshape(*shape, k_shot),
        query.reshape(*shape, n_query),
        np.where(none, NONE, pool.classes[cells]),
    )


def draw_subsets(sizes, k, rng):
    """Of each range(size) a random subset of k numbers, in random order.

    Parameters
    ----------
    sizes : ndarray of int (n_sets,)
    k : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int (n_sets, k)
        All of them, then `NONE`, where a size is less than k.
    """
    sizes = np.asarray(sizes)
    wanted, k = k, min(k, int(sizes.max(initial=0)))
    drawn = np.full((len(sizes), k), NONE)
    for step in range(k):
        # Floyd: the last number allowed grows from size - k to size - 1; a number that
        # is in the subset already is replaced by it.
        last = sizes - k + step
        number = rng.integers(0, np.maximum(last, 0) + 1)
        taken = (drawn[:, :step] == number[:, None]).any(axis=1)
        drawn[:, step] = np.where(last < 0, NONE, np.where(taken, last, number))
    keys = rng.random(drawn.shape)
    keys[drawn == NONE] = 2.0
    drawn = np.take_along_axis(drawn, keys.argsort(axis=1), axis=1)
    return np.pad(drawn, ((0, 0), (0, wanted - k)), constant_values=NONE)


class Trial(NamedTuple):
    """One episode: row numbers, and the places of their classes in it."""

    support: np.ndarray  # (n_support,)
    support_codes: np.ndarray  # (n_support,) 0 to n_classes - 1
    query: np.ndarray  # (n_query,)
    query_codes: np.ndarray  # (n_query,)
    n_classes: int


def trials(episodes):
    """Yield each of the episodes as a `Trial`."""
    n_classes = (episodes.classes != NONE).sum(axis=1)
    parts = []
    for rows in (episodes.support, episodes.query):
        there = rows != NONE
        place = np.broadcast_to(np.arange(rows.shape[1])[:, None], rows.shape[1:])
        parts.append([(r[m], place[m]) for r, m in zip(rows, there, strict=True)])
    for (support, own), (query, asked), k in zip(*parts, n_classes, strict=True):
        yield Trial(support, own, query, asked, int(k))
