"""Held-out scores of all candidates of a linear mapper, fold by fold."""

from itertools import product
from numbers import Real
from typing import NamedTuple

import numpy as np

from skmeta._compat import safe_indexing
from skmeta.core import path as paths
from skmeta.core import patterns as pt
from skmeta.core.cca import Source, dtype_eps, truncated
from skmeta.core.projection import float_dtype
from skmeta.mapping._by_view import by_view
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
    if not given or given == [{}]:
        raise ValueError("shrinkages is empty: there is nothing to choose from.")
    found = [(c, by_view(c, names, "shrinkage", "auto")) for c in given]
    for _, amounts in found:
        for c in amounts.values():
            if c != "auto" and not (isinstance(c, Real) and 0 <= c <= 1):
                raise ValueError(
                    f"shrinkages must be numbers from 0 to 1, or 'auto'; got {c!r}."
                )
    return found


def _listed(values):
    if isinstance(values, str) or np.ndim(values) == 0:
        return [values]
    return list(values)


class Folds:
    """The folds of a fit: moments are formed once, and merged.

    ``mapper`` makes an unfitted `CCAMapper` of a number of components and a shrinkage.
    """

    def __init__(self, mapper, reader, blocks, X, y, splits, search):
        self.mapper, self.reader, self.blocks = mapper, reader, blocks
        self.X, self.y, self.splits, self.search = X, y, splits, search
        self.in_rows = reader.is_fixed and not too_wide(blocks, reader.names)
        self.pieces = None
        if self.in_rows and _is_partition(splits, blocks.n_rows):
            self.pieces = [self._moments(test) for _, test in splits]

    def __iter__(self):
        for i, (train, test) in enumerate(self.splits):
            yield (
                self._of_rows(i, train, test)
                if self.in_rows
                else self._of_tables(train, test)
            )

    def _moments(self, rows):
        return _moments(self.blocks, self.reader.names, self.search.weights, rows)

    def _of_rows(self, i, train, test):
        """A fold of rows that have been read."""
        if self.pieces is None:
            patterns, held = self._moments(train), self._moments(test)
        else:
            patterns, held = _merged(self.pieces, leave_out=i), self.pieces[i]
        return Fold(self, self.reader, self.blocks, train, test, patterns, held)

    def _of_tables(self, train, test):
        """A fold of which the views are learned from its training rows."""
        shell, names = self.mapper(), self.reader.names
        X, y = self.part(train)
        reader = open_door(shell.views, X)
        blocks = reader.fit(shell, X, y)
        reader.claim(shell, X)
        weights = self.search.weights
        patterns = held = None
        if not too_wide(blocks, names):
            within = None if weights is None else weights[train]
            patterns = _moments(blocks, names, within, None)
            if self.search.scorer is None:
                within = None if weights is None else weights[test]
                read = reader.read(shell, *self.part(test))
                held = _moments(read, names, within, None)
        return Fold(self, reader, blocks, train, test, patterns, held)

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
            return fit_blocks(self.blocks, names, search.weights, **options)
        everything = (True,) * len(names)
        present = np.column_stack([self.blocks.mask(name) for name in names])
        index = dict(pt.rows_by_pattern(present, search.weights)).get(everything)
        return fit_patterns(
            _merged(self.pieces),
            names,
            self.reader.n_features,
            eps=_eps(self.blocks),
            source=Source(self.blocks.arrays, search.weights, index),
            **options,
        )


class Fold:
    """Moments of its training rows and, where they serve, of those held out."""

    def __init__(self, folds, reader, blocks, train, test, patterns, held):
        self.folds, self.reader, self.blocks = folds, reader, blocks
        self.train, self.test, self.patterns, self.held = train, test, patterns, held
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
                "No held-out row of a fold has two views, so no correlation can be "
                "scored; take fewer folds, or a splitter that spreads such rows."
            )
        sums = np.concatenate([[0.0], np.cumsum(found)])
        return [sums[min(k, len(found))] for k in self.folds.search.counts]

    def _by_mappers(self, given, shrinkage):
        """By mappers of each number of components, and the rows as they were given."""
        folds, most = self.folds, max(self.folds.search.counts)
        search = folds.search
        if self.patterns is None:
            whole = fit_blocks(
                self.blocks,
                self.reader.names,
                None if search.weights is None else search.weights[self.train],
                n_components=most,
                shrinkage=shrinkage,
                **search.options,
            )
        else:
            path, _, amounts = self._path(shrinkage)
            solution = paths.solve_at(path, amounts, most)
            whole = Learned(solution, None, path.data.n, self.problem.n_iter)
        dtypes = {n: float_dtype(a.dtype) for n, a in self.blocks.arrays.items()}
        (X, _), held_out = folds.part(self.train[:1]), folds.part(self.test)
        scores = []
        for k in search.counts:
            learned = whole._replace(solution=truncated(whole.solution, k))
            mapper = folds.mapper(k, given)._as_learned(self.reader, X, dtypes, learned)
            score = mapper.score if search.scorer is None else search.scorer
            given_rows = held_out if search.scorer is None else (mapper, *held_out)
            scores.append(score(*given_rows))
        return scores

    def _path(self, shrinkage):
        """The path that a shrinkage is on, held-out moments along it, and amounts."""
        search, names = self.folds.search, self.reader.names
        # Unshrunk, a view's units do not matter but to rounding.
        standardize = {
            n: search.options["standardize"][n] or shrinkage[n] == 0 for n in names
        }
        slight = {n: c != "auto" and paths.is_slight(c) for n, c in shrinkage.items()}
        found = self._path_of(standardize, slight)
        amounts = paths.amounts_at(found[0], shrinkage)
        exact = {n: paths.is_slight(c) for n, c in zip(names, amounts, strict=True)}
        if exact != slight:
            found = self._path_of(standardize, exact)
        return *found, amounts

    def _path_of(self, standardize, slight):
        key = (*standardize.values(), *slight.values())
        if key not in self.paths:
            search, names = self.folds.search, self.reader.names
            if self.problem is None:
                self.problem = problem_of(
                    self.patterns,
                    names,
                    self.reader.n_features,
                    search.options["unpaired"],
                )
            problem = self.problem
            path = paths.path_of(
                problem.moments,
                problem.slices,
                standardize=standardize,
                slight=slight,
                eps=_eps(self.blocks),
                source=self._source() if problem.counts is None else None,
                counts=problem.counts,
            )
            held = None if self.held is None else paths.hold_out(path, self.held)
            self.paths[key] = path, held
        return self.paths[key]

    def _source(self):
        """The training rows that have every view."""
        weights, rows = self.folds.search.weights, None
        if self.reader is self.folds.reader:
            rows = self.train
        elif weights is not None:
            weights = weights[self.train]
        names = self.reader.names
        present = np.column_stack([self.blocks.mask(name) for name in names])
        index = dict(pt.rows_by_pattern(present, weights, rows))
        return Source(self.blocks.arrays, weights, index[(True,) * len(names)])


def _is_partition(splits, n):
    """Whether each row is held out once, and all others are trained on meanwhile."""
    held = np.concatenate([test for _, test in splits]) if splits else []
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


def _moments(blocks, names, weights, rows):
    """Moments by pattern of some rows, neighbours without a copy."""
    if (
        rows is not None
        and len(rows)
        and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
    ):
        step = slice(int(rows[0]), int(rows[0]) + len(rows))
        blocks = Blocks(
            {name: array[step] for name, array in blocks.arrays.items()},
            {name: mask[step] for name, mask in blocks.present.items()},
            len(rows),
        )
        weights, rows = None if weights is None else weights[step], None
    with np.errstate(over="ignore", invalid="ignore"):  # reported with the view's name
        return moments_by_pattern(blocks, names, weights, rows=rows)[0]


def _merged(pieces, leave_out=None):
    merged = {}
    for i, piece in enumerate(pieces):
        if i != leave_out:
            merged = pt.merge(merged, piece)
    return merged


def _eps(blocks):
    return {name: dtype_eps(array.dtype) for name, array in blocks.arrays.items()}
