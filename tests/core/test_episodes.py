"""Episodes: what is in them, and that all are as likely as they should be."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import chisquare

from skmeta.core.episodes import NONE, draw_episodes, draw_subsets, pool_of


def rng(seed=0):
    return np.random.default_rng(seed)


def is_row(index):
    return index != NONE


# ---- subsets -------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "k"), [(5, 3), (3, 3), (4, 1)])
def test_all_ordered_subsets_are_as_likely(size, k):
    drawn = draw_subsets(np.full(60_000, size), k, rng())
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert_array_equal(found, sorted(permutations(range(size), k)))
    assert chisquare(counts).pvalue > 1e-3


def test_sets_smaller_than_the_subset_give_all_they_have():
    drawn = draw_subsets(np.array([0, 1, 2, 5]), 3, rng())
    assert_array_equal(is_row(drawn).sum(axis=1), [0, 1, 2, 3])
    assert_array_equal(np.sort(drawn[2, :2]), [0, 1])
    assert (drawn[2, 2], drawn[1, 1]) == (NONE, NONE)


# ---- episodes ------------------------------------------------------------------------


def test_rows_are_of_their_class_and_none_comes_twice():
    classes = rng().integers(0, 40, 3000)
    episodes = draw_episodes(pool_of(classes), 200, 5, 3, 7, rng(1))
    assert episodes.support.shape == (200, 5, 3)
    assert episodes.query.shape == (200, 5, 7)
    for part in (episodes.support, episodes.query):
        assert (classes[part] == episodes.classes[:, :, None]).all()
    rows = np.concatenate([episodes.support, episodes.query], axis=2).reshape(200, -1)
    assert (np.diff(np.sort(rows, axis=1), axis=1) > 0).all()
    assert (np.diff(np.sort(episodes.classes, axis=1), axis=1) > 0).all()


def test_classes_and_rows_are_as_likely_as_each_other():
    classes = np.repeat([0, 1, 2, 3], [4, 8, 16, 32])
    episodes = draw_episodes(pool_of(classes), 20_000, 2, 1, 1, rng())
    assert chisquare(np.bincount(episodes.classes.ravel())).pvalue > 1e-3
    for part in (episodes.support, episodes.query):
        counts = np.bincount(part.ravel(), minlength=60)
        for c in range(4):
            assert chisquare(counts[classes == c]).pvalue > 1e-3


def test_the_generator_is_all_there_is():
    pool = pool_of(rng().integers(0, 9, 300))
    first, again = (draw_episodes(pool, 50, 3, 2, 4, rng(5)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert_array_equal(a, b)


def test_inside_a_task():
    tasks = rng(1).integers(0, 6, 900)
    classes = rng(2).integers(0, 4, 900) + 10 * (tasks % 2)
    episodes = draw_episodes(pool_of(classes, tasks), 300, 3, 2, 2, rng())
    rows = np.concatenate([episodes.support, episodes.query], axis=2).reshape(300, -1)
    assert (tasks[rows] == tasks[rows[:, :1]]).all()
    assert set(tasks[rows[:, 0]]) == set(range(6))


def test_rows_without_a_class_are_never_drawn():
    classes = np.where(np.arange(90) % 3 == 0, -1, np.arange(90) % 3)
    episodes = draw_episodes(pool_of(classes), 100, 2, 5, 5, rng())
    assert (classes[episodes.support] > 0).all()


@pytest.mark.parametrize(
    ("n_rows", "support", "query"), [(1, 1, 0), (2, 1, 1), (4, 3, 1), (6, 3, 3)]
)
def test_fault_43_a_small_class_gives_what_it_has(n_rows, support, query):
    classes = np.repeat([0, 1], [n_rows, 50])
    episodes = draw_episodes(pool_of(classes), 30, 2, 3, 4, rng())
    small = episodes.classes == 0
    assert (is_row(episodes.support[small]).sum(axis=1) == support).all()
    assert (is_row(episodes.query[small]).sum(axis=1) == query).all()
    both = np.concatenate([episodes.support, episodes.query], axis=2)[small]
    for rows in both:
        rows = rows[is_row(rows)]
        assert len(set(rows)) == len(rows)
    assert (is_row(episodes.query[~small]).sum(axis=1) == 4).all()


def test_a_task_of_fewer_classes_has_them_all():
    tasks = np.repeat([0, 1, 2], [20, 20, 20])
    classes = np.concatenate([np.arange(20) % 2, np.arange(20) % 5, np.zeros(20, int)])
    episodes = draw_episodes(pool_of(classes, tasks), 200, 4, 1, 1, rng())
    n_way = is_row(episodes.classes).sum(axis=1)
    assert set(n_way) == {2, 4}  # the task of one class is left out
    assert (episodes.support[~is_row(episodes.classes)] == NONE).all()
