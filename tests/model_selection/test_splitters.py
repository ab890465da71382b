"""Folds by class, and folds that are episodes."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skmeta import Views
from skmeta.datasets import make_few_shot_tasks
from skmeta.model_selection import ClassDisjointKFold, EpisodeSplit

MADE = make_few_shot_tasks(30, 8, random_state=0)
X, Y = MADE.X, MADE.y
NAMES = np.array([f"class {c}" for c in Y], dtype=object)


def same(a, b):
    for (train, test), (train_b, test_b) in zip(a, b, strict=True):
        assert_array_equal(train, train_b)
        assert_array_equal(test, test_b)


# ---- classes -------------------------------------------------------------------------


@pytest.mark.parametrize("y", [Y, NAMES, pd.Series(NAMES), list(NAMES), Y > 14])
@pytest.mark.parametrize("n_splits", [2, 4])
def test_folds_have_no_class_in_common(y, n_splits):
    if n_splits > len(set(y)):
        return
    labels, seen = np.asarray(y), np.zeros(len(X), int)
    for train, test in ClassDisjointKFold(n_splits, random_state=0).split(X, y):
        assert not set(labels[train]) & set(labels[test])
        assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(X)))
        share = len(set(labels)) / n_splits
        assert np.floor(share) <= len(set(labels[test])) <= np.ceil(share)
        seen[test] += 1
    assert (seen == 1).all()


def test_classes_are_dealt_at_random_or_in_order():
    first = next(ClassDisjointKFold(3, shuffle=False).split(X, Y))[1]
    assert set(Y[first]) == set(range(10))
    splits = [list(ClassDisjointKFold(3, random_state=s).split(X, Y)) for s in (0, 0)]
    same(*splits)
    other = list(ClassDisjointKFold(3, random_state=1).split(X, Y))
    assert any(
        set(Y[a[1]]) != set(Y[b[1]]) for a, b in zip(splits[0], other, strict=True)
    )


@pytest.mark.parametrize(
    ("options", "y", "match"),
    [
        ({"n_splits": 31}, Y, "need as many classes; y has 30"),
        ({"n_splits": 1}, Y, "n_splits must be an integer of at least 2; got 1"),
        ({}, None, "The labels y are needed"),
        ({}, Y[:-1], "inconsistent numbers of samples"),
        ({}, X[:, 0], "numbers that are no labels"),
        ({}, np.array([np.nan, *Y[1:]]), "y has no label for row 0"),
        ({}, np.array([None, *NAMES[1:]]), "y has no label for row 0"),
        ({}, np.array([*Y[:-1], np.nan], dtype=object), "y has no label for row 239"),
        ({}, [np.nan, *NAMES[1:]], "y has no label for row 0"),
        ({}, pd.Series([pd.NA, *NAMES[1:]]), "y has no label for row 0"),
        (
            {},
            np.array([1, *NAMES[1:]], dtype=object),
            r"y has labels of types \['int', 'str'\], which have no order",
        ),
    ],
)
def test_classes_that_cannot_be_split(options, y, match):
    with pytest.raises(ValueError, match=match):
        next(ClassDisjointKFold(**options).split(X, y))


# ---- episodes ------------------------------------------------------------------------


@pytest.mark.parametrize("y", [Y, NAMES, pd.Series(NAMES)])
def test_support_and_query_are_of_the_same_classes(y):
    labels = np.asarray(y)
    split = EpisodeSplit(20, n_way=4, k_shot=2, n_query=3, random_state=0)
    assert split.get_n_splits(X, y) == 20
    for support, query in split.split(X, y):
        assert not set(support) & set(query)
        found, counts = np.unique(labels[support], return_counts=True)
        assert_array_equal(counts, [2, 2, 2, 2])
        assert_array_equal(np.unique(labels[query], return_counts=True)[1], [3] * 4)
        assert set(labels[query]) == set(found)


def test_the_seed_is_all_there_is():
    split = EpisodeSplit(10, random_state=3)
    same(split.split(X, Y), pickle.loads(pickle.dumps(split)).split(X, Y))
    assert any(
        not np.array_equal(a[0], b[0])
        for a, b in zip(
            split.split(X, Y), EpisodeSplit(10, random_state=4).split(X, Y), strict=True
        )
    )


def test_tasks_are_kept_apart():
    task = np.array(["a", "b", "c"])[Y % 3]
    split = EpisodeSplit(40, n_way=3, random_state=0)
    tasks = set()
    for support, query in split.split(X, Y, groups=task):
        assert len(set(task[np.r_[support, query]])) == 1
        tasks.add(task[support[0]])
    assert tasks == {"a", "b", "c"}


def test_each_row_has_a_task():
    task = [np.nan, *np.array(["a", "b", "c"])[Y[1:] % 3]]
    with pytest.raises(ValueError, match="groups has no label for row 0; leave such"):
        next(EpisodeSplit().split(X, Y, groups=task))


def test_dates_are_labels():
    dates = np.array("2020-01-01", "datetime64[D]") + Y
    same(*(ClassDisjointKFold(3, shuffle=False).split(X, y) for y in (Y, dates)))


def test_in_scikit_learn():
    split = EpisodeSplit(100, random_state=0)
    Z = X @ MADE.directions
    raw, known = (
        cross_val_score(KNeighborsClassifier(1), rows, Y, cv=split) for rows in (X, Z)
    )
    assert known.mean() - raw.mean() > 0.3
    search = GridSearchCV(
        LogisticRegression(), {"C": [0.01, 1.0]}, cv=EpisodeSplit(5, random_state=0)
    )
    assert clone(search).fit(Z, NAMES).best_score_ > 0.5
    views = Views(a=X, b=X)
    assert len(list(split.split(views, Y))) == 100


def test_fault_42_one_class():
    with pytest.raises(ValueError, match="need two classes, and y has 1: 'only'"):
        next(EpisodeSplit().split(X, np.full(len(X), "only")))


def test_fault_43_small_classes():
    y = np.repeat([0, 1, 2], [1, 2, 60])
    split = EpisodeSplit(60, n_way=3, k_shot=3, n_query=4, random_state=0)
    for support, query in split.split(y, y):
        assert_array_equal(np.bincount(y[support]), [1, 1, 3])
        assert_array_equal(np.bincount(y[query], minlength=3), [0, 1, 4])
    singles = np.r_[np.arange(40), 40, 40]  # an episode of singles asks nothing
    for support, query in EpisodeSplit(30, n_way=2, random_state=0).split(
        singles, singles
    ):
        assert len(query) == 1 and singles[query[0]] == 40
        assert 40 in singles[support]
    with pytest.raises(ValueError, match="rows by class: 0: 1, 1: 1, .* 4: 1, ..."):
        next(EpisodeSplit().split(range(9), range(9)))
    task = np.arange(6) % 3
    with pytest.raises(ValueError, match="none in any task; rows by class: 7: 2"):
        next(EpisodeSplit().split(task, np.full(6, 7) + task, groups=task))


def test_fault_44_fewer_classes_than_ways():
    y = np.arange(60) % 3
    with pytest.warns(UserWarning, match="n_way=5 is more than the 3 classes"):
        episodes = list(EpisodeSplit(4, random_state=0).split(y, y))
    assert all(set(y[support]) == {0, 1, 2} for support, _ in episodes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(EpisodeSplit(4, n_way=3, random_state=0).split(y, y))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_episodes": 0}, "n_episodes must be an integer of at least 1; got 0"),
        ({"n_way": 1}, "n_way must be an integer of at least 2"),
        ({"k_shot": 0}, "k_shot must be"),
        ({"n_query": 1.5}, "n_query must be an integer of at least 1; got 1.5"),
    ],
)
def test_bad_numbers(options, match):
    with pytest.raises(ValueError, match=match):
        next(EpisodeSplit(**options).split(X, Y))
