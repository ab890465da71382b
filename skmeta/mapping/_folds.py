"""Held-out scores of all candidates of a linear mapper, fold by fold."""

from functools import reduce
from itertools import product, repeat
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import indexable

from skmeta._compat import safe_indexing
from skmeta.core import path as paths
from skmeta.core import patterns as pt
from skmeta.core.cca import Source, dtype_eps, truncated
from skmeta.core.projection import float_dtype
from skmeta.core.whitening import is_slight
from skmeta.mapping._by_view import by_view, is_shrinkage
from skmeta.mapping._fit import (
    Learned,
    fit_blocks,
    fit_patterns,
    moments_by_pattern,
    problem_of,
    too_wide,
)
from skmeta.views._blocks import Blocks
from skmeta.views._door import open_door


class Search(NamedTuple):
    """What is tried, and by what it is judged."""

    shrinkages: list  # pairs of a candidate as it was given, and by view
    counts: list[int]  # of components
    scorer: object  # None: correlation of held-out rows
    options: dict  # standardize, unpaired
    weights: np.ndarray | None

    @property
    def shape(self):
        """Number of counts and of shrinkages."""
        return len(self.counts), len(self.shrinkages)


def candidates_of(shrinkages, names):
    """Pairs of a candidate as `CCAMapper.shrinkage` has it, and the same by view.

    Raises
    ------
    ValueError
        If there are none, or one is no number in [0, 1] nor "auto".
    """
    if isinstance(shrinkages, dict):
        if unknown := [name for name in shrinkages if name not in names]:
            raise ValueError(
                f"shrinkages= names view {unknown[0]!r}, but the views are "
                f"{list(names)}."
            )
        grids = map(_listed, shrinkages.values())
        given = [dict(zip(shrinkages, c, strict=True)) for c in product(*grids)]
    else:
        given = _listed(shrinkages)
    if all(isinstance(c, dict) and not c for c in given):
        raise ValueError("shrinkages is empty: there is nothing to choose from.")
    found = [(c, by_view(c, names, "shrinkage", "auto")) for c in given]
    for _, amounts in found:
        for c in amounts.values():
            if not is_shrinkage(c):
                raise ValueError(
                    f"shrinkages must be numbers from 0 to 1, or 'auto'; got {c!r}."
                )
    return found


def _listed(values):
    if isinstance(values, str) or np.ndim(values) == 0:
        return [values]
    return list(values)


def read_splits(splits, n_rows):
    """Pairs of rows to train on and rows held out, each as integers from 0 on.

    Raises
    ------
    ValueError
        If there are no splits, or one has no rows or what are none.
    """
    found = [
        (_row_numbers(train, n_rows, "trains on"), _row_numbers(test, n_rows, "tests"))
        for train, test in splits
    ]
    if not found:
        raise ValueError("cv gives no splits: nothing is held out.")
    return found


def _row_numbers(rows, n_rows, does):
    """Rows as a splitter may give them: integers, from either end, or a mask."""
    rows = np.asarray(rows)
    if rows.dtype.kind == "b" and rows.shape == (n_rows,):
        rows = np.flatnonzero(rows)
    if rows.ndim != 1 or len(rows) == 0:
        raise ValueError(
            f"A split of cv {does} rows of shape {rows.shape}; expected one or more "
            "indices, or a mask of all rows."
        )
    if rows.dtype.kind not in "iu" or not -n_rows <= rows.min() <= rows.max() < n_rows:
        raise ValueError(
            f"A split of cv {does} rows from {rows.min()} to {rows.max()} of dtype "
            f"{rows.dtype}; expected integers below {n_rows}, or a mask of {n_rows}."
        )
    return rows % n_rows


class Part(NamedTuple):
    """Some rows of views that have been read."""

    blocks: Blocks
    names: tuple[str, ...]
    weights: np.ndarray | None
    rows: np.ndarray | None  # None for all

    @property
    def _present(self):
        return np.column_stack([self.blocks.mask(name) for name in self.names])

    def moments(self):
        """Moments by pattern; of neighbours without a copy of the rows."""
        blocks, names, weights, rows = self
        start = None if rows is None else int(rows[0])
        if start is not None and np.array_equal(rows, start + np.arange(len(rows))):
            step = slice(start, start + len(rows))
            blocks = Blocks(
                {name: array[step] for name, array in blocks.arrays.items()},
                {name: mask[step] for name, mask in blocks.present.items()},
                len(rows),
            )
            weights, rows = None if weights is None else weights[step], None
        # Overflow is found afterwards, and reported with the name of the view.
        with np.errstate(over="ignore", invalid="ignore"):
            return moments_by_pattern(blocks, names, weights, rows=rows)[0]

    def factored(self):
        """The same with all digits of the rows."""
        return pt.factored(self.blocks.arrays, self._present, self.weights, self.rows)

    def source(self):
        """The rows that have every view, for what moments cannot tell."""
        index = dict(pt.rows_by_pattern(self._present, self.weights, self.rows))
        complete = index.get((True,) * len(self.names), np.arange(0))
        return Source(self.blocks.arrays, self.weights, complete)

    def eps(self):
        """By view, the relative rounding of its entries."""
        return {name: dtype_eps(a.dtype) for name, a in self.blocks.arrays.items()}


class Folds:
    """The folds of a fit: moments are formed once, and merged.

    ``mapper`` makes an unfitted `CCAMapper` of a number of components and a shrinkage.
    """

    def __init__(self, mapper, reader, blocks, X, y, splits, search):
        self.mapper, self.reader, self.search = mapper, reader, search
        self.X, self.y = indexable(X, y)
        self.splits = splits
        self.whole = Part(blocks, reader.names, search.weights, None)
        self.in_rows = reader.is_fixed and not too_wide(blocks, reader.names)
        self.pieces = None
        if self.in_rows and _is_partition(splits, blocks.n_rows):
            self.pieces = [
                self.whole._replace(rows=test).moments() for _, test in splits
            ]

    def __iter__(self):
        if not self.in_rows:
            for split in self.splits:
                yield self._of_tables(*split)
            return
        known = repeat((None, None))
        if self.pieces is not None:
            known = zip(_all_but_each(self.pieces), self.pieces, strict=True)
        for split, moments in zip(self.splits, known, strict=False):
            yield self._of_rows(*split, moments)

    def _of_rows(self, train, test, moments):
        """A fold of rows that have been read."""
        parts = [self.whole._replace(rows=rows) for rows in (train, test)]
        if self.pieces is None:
            moments = [part.moments() for part in parts]
        return Fold(self, self.reader, train, test, parts, moments)

    def _of_tables(self, train, test):
        """A fold of which the views are learned from its training rows."""
        search, shell = self.search, self.mapper()
        X, y = self.part(train)
        reader = open_door(shell.views, X)
        parts = [self._as_part(reader, reader.fit(shell, X, y), train)]
        reader.claim(shell, X)
        if search.scorer is None:
            held = reader.read(shell, *self.part(test))
            parts.append(self._as_part(reader, held, test))
        moments = [None, None]
        if not too_wide(parts[0].blocks, reader.names):
            moments[: len(parts)] = [part.moments() for part in parts]
        return Fold(self, reader, train, test, parts, moments)

    def _as_part(self, reader, blocks, rows):
        weights = self.search.weights
        weights = None if weights is None else weights[rows]
        return Part(blocks, reader.names, weights, None)

    def part(self, rows):
        """Some of the rows, as they were given."""
        y = None if self.y is None else safe_indexing(self.y, rows)
        return safe_indexing(self.X, rows), y

    def fit_whole(self, count, shrinkage):
        """The candidate of these numbers, fitted to all rows."""
        search, names = self.search, self.reader.names
        options = {
            "shrinkage": search.shrinkages[shrinkage][1],
            "n_components": search.counts[count],
            **search.options,
        }
        if self.pieces is None:
            return fit_blocks(self.whole.blocks, names, search.weights, **options)
        return fit_patterns(
            _merged(self.pieces),
            names,
            self.reader.n_features,
            eps=self.whole.eps(),
            source=self.whole.source(),
            **options,
        )


class Fold:
    """Rows to train on and rows held out: as given, as read, and their moments."""

    def __init__(self, folds, reader, train, test, parts, moments):
        self.folds, self.reader, self.parts = folds, reader, parts
        self.train, self.test = train, test
        self.patterns, self.held = moments
        self.problem, self.paths = None, {}

    def scores(self):
        """Scores (n_counts, n_shrinkages) of the held-out rows."""
        search = self.folds.search
        columns = [
            self._by_moments(amounts)
            if search.scorer is None and self.held is not None
            else self._by_mappers(given, amounts)
            for given, amounts in search.shrinkages
        ]
        return np.column_stack(columns)

    def _by_moments(self, shrinkage):
        path, held, amounts = self._path(shrinkage)
        most = max(self.folds.search.counts)
        found = paths.held_out_correlations(
            held, paths.directions_at(path, amounts, most)
        )
        if found is None:
            raise ValueError(
                "No held-out row of a fold has two views and a weight above 0, so no "
                "correlation can be scored; take fewer folds, or a splitter that "
                "spreads such rows."
            )
        sums = np.concatenate([[0.0], np.cumsum(found)])
        return [sums[min(k, len(found))] for k in self.folds.search.counts]

    def _by_mappers(self, given, shrinkage):
        """By mappers of each number of components, and the rows as they were given."""
        folds, most = self.folds, max(self.folds.search.counts)
        search, train = folds.search, self.parts[0]
        if self.patterns is None:
            whole = fit_blocks(
                train.blocks,
                train.names,
                train.weights,
                n_components=most,
                shrinkage=shrinkage,
                **search.options,
            )
        else:
            path, _, amounts = self._path(shrinkage)
            solution = paths.solve_at(path, amounts, most)
            whole = Learned(solution, None, path.data.n, self.problem.n_iter)
        dtypes = {n: float_dtype(a.dtype) for n, a in train.blocks.arrays.items()}
        X, held_out = folds.part(self.train[:1])[0], folds.part(self.test)
        if folds.y is None:
            held_out = held_out[:1]  # a scorer need not take y
        scores = []
        for k in search.counts:
            learned = whole._replace(solution=truncated(whole.solution, k))
            mapper = folds.mapper(k, given)._as_learned(self.reader, X, dtypes, learned)
            score = mapper.score if search.scorer is None else search.scorer
            given_rows = held_out if search.scorer is None else (mapper, *held_out)
            scores.append(_number(score(*given_rows)))
        return scores

    def _path(self, shrinkage):
        """The path that a shrinkage is on, held-out moments along it, and amounts."""
        search, names = self.folds.search, self.reader.names
        # Unshrunk, a view's units do not matter but to rounding.
        standardize = {
            n: search.options["standardize"][n] or shrinkage[n] == 0 for n in names
        }
        slight = {n: c != "auto" and is_slight(c) for n, c in shrinkage.items()}
        found = self._path_of(standardize, slight)
        amounts = paths.amounts_at(found[0], shrinkage)
        exact = {n: is_slight(c) for n, c in zip(names, amounts, strict=True)}
        if exact != slight:
            found = self._path_of(standardize, exact)
        return *found, amounts

    def _path_of(self, standardize, slight):
        key = tuple(standardize.values()), tuple(slight.values())
        for (units, _), found in self.paths.items():
            if units == key[0] and found[0].for_all:
                return found
        if key not in self.paths:
            if self.problem is None:
                reader, unpaired = self.reader, self.folds.search.options["unpaired"]
                self.problem = problem_of(
                    self.patterns, reader.names, reader.n_features, unpaired
                )
            problem, train = self.problem, self.parts[0]
            path = paths.path_of(
                problem.moments,
                problem.slices,
                standardize=standardize,
                slight=slight,
                eps=train.eps(),
                source=train.source() if problem.counts is None else None,
                counts=problem.counts,
            )
            held = self.held
            if held is not None:
                if path.data.rows is not None and any(slight.values()):
                    held = self.parts[1].factored()
                held = paths.hold_out(path, held)
            self.paths[key] = path, held
        return self.paths[key]


def _number(score):
    """What a scorer gave, as a float."""
    if getattr(score, "size", 0) == 1:  # an array of one, or numpy's own number
        score = score.item()
    if not isinstance(score, Real):
        raise ValueError(
            f"scoring must give a number; got {score!r} ({type(score).__name__})."
        )
    return float(score)


def _is_partition(splits, n):
    """Whether each row is held out once, and all others are trained on meanwhile."""
    held = np.concatenate([test for _, test in splits])
    if len(held) != n or np.bincount(held, minlength=n).max() > 1:
        return False
    for train, test in splits:
        others = np.ones(n, bool)
        others[test] = False
        if len(train) != n - len(test) or not others[train].all():
            return False
        if np.bincount(train, minlength=n).max(initial=0) > 1:
            return False
    return True


def _merged(pieces, others=None):
    """The moments of all pieces and, if given, of other rows."""
    return reduce(pt.merge, pieces, others or {})


def _all_but_each(pieces, others=None):
    """For each piece, the moments of all others: of K, in K log K merges."""
    if len(pieces) == 1:
        yield others or {}
        return
    half = len(pieces) // 2
    first, second = pieces[:half], pieces[half:]
    yield from _all_but_each(first, _merged(second, others))
    yield from _all_but_each(second, _merged(first, others))
