"""Splits of which the classes, or whole episodes, are the units."""

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from skmeta.core.episodes import NONE, draw_episodes, eligible_tasks, pool_of
from skmeta.exceptions import check_count, warn
from skmeta.views._labels import read_class_labels, read_labels


class ClassDisjointKFold(BaseCrossValidator):
    """Folds without a class in common: how well is learned for classes never seen.

    Each class is in one test fold, with all its rows. Folds have the same number of
    classes, or one more.

    Parameters
    ----------
    n_splits : int, default=3
        Number of folds.
    shuffle : bool, default=True
        Whether classes are dealt in random order, or in that of their labels.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same folds at each call.

    See Also
    --------
    EpisodeSplit : Folds that are episodes.
    sklearn.model_selection.GroupKFold : The same by groups, balanced by rows.

    Examples
    --------
    >>> from skmeta.model_selection import ClassDisjointKFold
    >>> y = ["a", "a", "b", "b", "c", "c"]
    >>> for train, test in ClassDisjointKFold(3, shuffle=False).split(y, y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 4 5] [2 3]
    [0 1 2 3] [4 5]
    """

    def __init__(self, n_splits=3, *, shuffle=True, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds."""
        return self.n_splits

    def split(self, X, y, groups=None):
        """Yield rows to train on and rows to test on.

        Parameters
        ----------
        X : array-like or Views of n_rows rows
        y : array-like of shape (n_rows,)
            Labels.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If there are fewer classes than folds, or y holds no labels.
        """
        check_count("n_splits", self.n_splits, least=2)
        names, codes = read_split_labels(X, y)
        if len(names) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} folds without a class in common need as "
                f"many classes; y has {len(names)}."
            )
        order = np.arange(len(names))
        if self.shuffle:
            order = check_random_state(self.random_state).permutation(order)
        fold = np.empty(len(names), np.intp)
        for i, classes in enumerate(np.array_split(order, self.n_splits)):
            fold[classes] = i
        for i in range(self.n_splits):
            held = fold[codes] == i
            yield np.flatnonzero(~held), np.flatnonzero(held)


class EpisodeSplit(BaseCrossValidator):
    """Folds that are episodes: a few rows of a few classes, and others of the same.

    A fold's training rows are the support of an episode and its test rows the query, so
    that `cross_val_score` of any classifier is its accuracy after learning from the
    support alone. What `adapt` of a few-shot learner returns adapts anew in each.

    Parameters
    ----------
    n_episodes : int, default=100
        Number of folds.
    n_way : int, default=5
        Classes of an episode.
    k_shot : int, default=1
        Rows of each class in the support.
    n_query : int, default=15
        Rows of each class in the query.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same episodes at each call.

    See Also
    --------
    ClassDisjointKFold : Folds without a class in common.

    Notes
    -----
    A class with fewer rows than ``k_shot + n_query`` gives what it has: one row at
    least to the support, the next to the query, then as many to the support as it
    should have. Of a class with a single row nothing is asked.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> from skmeta.model_selection import EpisodeSplit
    >>> made = make_few_shot_tasks(random_state=0)
    >>> episodes = EpisodeSplit(200, n_way=5, k_shot=1, random_state=0)
    >>> neighbour = KNeighborsClassifier(1)
    >>> for X in (made.X, made.X @ made.directions):
    ...     print(f"{cross_val_score(neighbour, X, made.y, cv=episodes).mean():.2f}")
    0.23
    0.81
    """

    def __init__(
        self, n_episodes=100, *, n_way=5, k_shot=1, n_query=15, random_state=None
    ):
        self.n_episodes = n_episodes
        self.n_way = n_way
        self.k_shot = k_shot
        self.n_query = n_query
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of episodes."""
        return self.n_episodes

    def split(self, X, y, groups=None):
        """Yield the support and the query of each episode.

        Parameters
        ----------
        X : array-like or Views of n_rows rows
        y : array-like of shape (n_rows,)
            Labels.
        groups : array-like of shape (n_rows,), default=None
            Tasks. An episode is of one task, and has classes of that task alone.

        Yields
        ------
        support, query : ndarray of int

        Raises
        ------
        ValueError
            If no episode can be made: there is one class, or no class has two rows.

        Warns
        -----
        UserWarning
            If there are fewer than ``n_way`` classes; episodes have all of them then.
        """
        for name, least in (
            ("n_episodes", 1),
            ("n_way", 2),
            ("k_shot", 1),
            ("n_query", 1),
        ):
            check_count(name, getattr(self, name), least)
        names, codes = read_split_labels(X, y)
        tasks = None
        if groups is not None:
            check_consistent_length(y, groups)
            tasks = read_labels(groups, "groups")[1]
        pool = checked_pool(names, codes, tasks, self.n_way)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        episodes = draw_episodes(
            pool,
            self.n_episodes,
            self.n_way,
            self.k_shot,
            self.n_query,
            np.random.default_rng(seed),
        )
        for support, query in zip(episodes.support, episodes.query, strict=True):
            yield support[support != NONE], query[query != NONE]


def checked_pool(names, codes, tasks, n_way):
    """The `Pool` of labelled rows, of which episodes can be made.

    Parameters
    ----------
    names : ndarray (n_classes,)
    codes : ndarray of int (n_rows,)
    tasks : ndarray of int (n_rows,) or None
    n_way : int
    """
    names = names.tolist()  # as Python writes them
    if len(names) < 2:
        raise ValueError(
            f"Episodes need two classes, and y has {len(names)}"
            + (f": {names[0]!r}." if len(names) else ".")
        )
    pool = pool_of(codes, tasks)
    if len(eligible_tasks(pool, n_way)) == 0:
        counts = ", ".join(
            f"{names[c]!r}: {n}"
            for c, n in zip(pool.classes[:5], pool.counts[:5], strict=True)
        )
        rest = ", ..." if len(pool.classes) > 5 else ""
        where = "" if tasks is None else " in any task"
        raise ValueError(
            "An episode needs two classes, one of them with two rows: one to learn "
            f"from and one to be asked for. There are none{where}; rows by class: "
            f"{counts}{rest}."
        )
    warn_of_few_classes(int(pool.n_classes.max()), n_way)
    return pool


def warn_of_few_classes(most, n_way):
    """Warn where episodes cannot have ``n_way`` classes."""
    if most < n_way:
        warn(
            f"n_way={n_way} is more than the {most} classes there are; episodes have "
            f"{most}.",
            UserWarning,
        )


def read_split_labels(X, y):
    """Names (n_classes,) and codes (n_rows,) of labels."""
    if y is None:
        raise ValueError("The labels y are needed to split by class; got None.")
    check_consistent_length(X, y)
    return read_class_labels(y, "y")
