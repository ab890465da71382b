"""From checked views to a solution: which rows count, and which solver."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skmeta.core import em
from skmeta.core import patterns as pt
from skmeta.core.blocks import Rows, stack_slices
from skmeta.core.cca import Solution, Source, dtype_eps, solve_moments
from skmeta.core.implicit import solve_implicit
from skmeta.core.moments import Moments
from skmeta.exceptions import (
    ConditionWarning,
    CorrelationOneWarning,
    RankWarning,
    warn,
)

# Moments with sparse views beyond this size are not formed.
MAX_GRAM_BYTES = 512 * 2**20


class Learned(NamedTuple):
    """A solution and what there is to say of how it came about."""

    solution: Solution
    patterns: dict | None
    n_rows: float  # that have every view
    n_iter: int = 0
    change: float = 0.0


def moments_by_pattern(blocks, names, weights=None, *, rows=None, single=False):
    """Moments of the rows, or some of them, by which views they have."""
    present = np.column_stack([blocks.mask(name) for name in names])
    return pt.of_patterns(blocks.arrays, present, weights, rows=rows, single=single)


def fit_blocks(blocks, names, weights, *, unpaired, **options):
    """Fit to rows that are at hand."""
    if too_wide(blocks, names):
        return _fit_implicitly(blocks, names, weights, unpaired, options)
    # Overflow is found afterwards, and reported with the name of the view.
    with np.errstate(over="ignore", invalid="ignore"):
        patterns, in_single = moments_by_pattern(blocks, names, weights, single=True)
    present = np.column_stack([blocks.mask(name) for name in names])
    index = dict(pt.rows_by_pattern(present, weights)).get((True,) * len(names))
    return fit_patterns(
        patterns,
        names,
        {name: array.shape[1] for name, array in blocks.arrays.items()},
        eps={name: dtype_eps(array.dtype) for name, array in blocks.arrays.items()},
        source=Source(blocks.arrays, weights, index, in_single),
        unpaired=unpaired,
        **options,
    )


def too_wide(blocks, names):
    """Whether a sparse view makes moments that would be far larger than the rows."""
    columns = sum(
        blocks.arrays[name].shape[1] for name in names if name in blocks.arrays
    )
    loose = any(map(sparse.issparse, blocks.arrays.values()))
    return loose and 8 * columns**2 > MAX_GRAM_BYTES


def refuse_width(blocks, why):
    """Raise that moments would not fit, with the view to blame and what to do."""
    widest = max(blocks.arrays, key=lambda name: blocks.arrays[name].shape[1])
    p = blocks.arrays[widest].shape[1]
    raise ValueError(
        f"View {widest!r} has {p} columns, whose moments would take "
        f"{8 * p**2 / 2**30:.1f} GB, and {why}; reduce it first, for example by "
        "TruncatedSVD."
    )


def _fit_implicitly(blocks, names, weights, unpaired, options):
    """Fit to products with rows; no moments are formed or kept."""
    present = np.column_stack([blocks.mask(name) for name in names])
    by_pattern = dict(pt.rows_by_pattern(present, weights))
    everything = (True,) * len(names)
    if set(_used(by_pattern, unpaired)) - {everything}:
        refuse_width(
            blocks, "EM, for the rows that lack a view, needs them; set unpaired='drop'"
        )
    shrinkage = options["shrinkage"]
    if plain := [name for name, c in shrinkage.items() if c == 0]:
        refuse_width(blocks, f"without shrinkage (of {plain[0]!r}) the fit needs them")
    total = blocks.n_rows if weights is None else weights.sum()
    if everything not in by_pattern:
        _refuse_complete(0, total, names)
    rows = Rows(blocks.arrays, weights, by_pattern[everything])
    if rows.n < 2:
        _refuse_complete(rows.n, total, names)
    try:
        found = solve_implicit(stack_slices(blocks.arrays), rows=rows, **options)
    except ArithmeticError:
        refuse_width(
            blocks, f"with so little shrinkage ({shrinkage}) the fit needs them"
        )
    return Learned(Solution(**found), None, len(rows))


def fit_patterns(patterns, names, n_features, *, unpaired, source=None, **options):
    """Fit to moments, and to rows where the moments do not tell enough."""
    problem = problem_of(patterns, names, n_features, unpaired)
    if problem.counts is not None:
        source = None  # what EM has filled in is in no rows
    solution = solve_moments(
        problem.moments, problem.slices, source=source, n=problem.counts, **options
    )
    if problem.counts is None:
        return Learned(solution, patterns, _count(source, problem.moments))
    return Learned(
        solution, patterns, problem.moments.n, problem.n_iter, problem.change
    )


class Problem(NamedTuple):
    """Moments of all views side by side, of rows that have them all or by EM."""

    moments: Moments
    slices: dict[str, slice]
    counts: dict[str, float] | None  # by view the rows that have it, after EM
    n_iter: int = 0
    change: float = 0.0


def problem_of(patterns, names, n_features, unpaired):
    """What is to be solved, given moments by pattern."""
    ends = np.cumsum([0, *(n_features[name] for name in names)])
    slices = {
        name: slice(int(a), int(b))
        for name, a, b in zip(names, ends[:-1], ends[1:], strict=True)
    }
    everything = (True,) * len(names)
    complete = patterns.get(everything)
    n_complete = 0.0 if complete is None else complete.n
    used = _used(patterns, unpaired)
    if set(used) - {everything}:
        _check_some_pairs(used, names)
        done = em.complete(used, list(slices.values()))
        counts = {name: pt.n_rows(used, i) for i, name in enumerate(names)}
        return Problem(done.moments, slices, counts, done.n_iterations, done.change)
    if n_complete < 2:
        _refuse_complete(n_complete, pt.n_rows(patterns), names)
    return Problem(complete, slices, None)


def _refuse_complete(n_complete, total, names):
    raise ValueError(
        f"Only {n_complete:g} of {total:g} rows have every view of {list(names)}; "
        "a minimum of 2 is required"
        + (", or unpaired='em'." if len(names) > 2 else ".")
    )


def _used(patterns, unpaired):
    """The patterns to learn from: EM is needed if one of them lacks a view.

    Rows of a single view do not say how views hang together, and where they are many
    against those that do, or lack the others for a reason, EM is worse than without.
    """
    m = len(next(iter(patterns)))
    least = {"drop": m, "auto": 2, "em": 1}[unpaired]
    return {p: known for p, known in patterns.items() if sum(p) >= least}


def _check_some_pairs(patterns, names):
    for i, name in enumerate(names):
        if not any(p[i] and sum(p) > 1 for p in patterns):
            raise ValueError(
                f"No row has view {name!r} together with another view, so nothing is "
                "known of how it belongs to the others; leave it out or add such rows."
            )


def _count(source, moments):
    """Rows, not frequencies, where that is known."""
    if source is None or source.weights is None:
        return moments.n
    if source.index is None:
        return float(np.count_nonzero(source.weights))
    return float(len(source.index))


def warn_of(learned):
    """Warn of what is legitimate but doubtful."""
    solution = learned.solution
    k = len(solution.correlations)
    plain = [name for name, c in solution.shrinkage.items() if c == 0]
    for name, rank in solution.ranks.items():
        columns = solution.n_varying[name]
        if rank < k:
            warn(
                f"View {name!r} has rank {rank}, fewer than the {k} components: "
                f"the last {k - rank} are zero. Set n_components={rank} or less.",
                RankWarning,
            )
        elif name in plain and rank < columns:
            warn(
                f"View {name!r} has rank {rank} but {columns} columns that vary: "
                "some are combinations of others, and its weights are not unique. "
                "Drop such columns, or shrink (shrinkage='auto').",
                RankWarning,
            )
    for name in solution.ill_conditioned:
        warn(
            f"View {name!r} is ill-conditioned: some of its columns are nearly "
            "combinations of others, and what their differences say is lost in its "
            "moments, which are all that is known of it. Shrink (shrinkage='auto'), "
            "drop such columns, or fit dense rows at once.",
            ConditionWarning,
        )
    ranks = sorted(solution.ranks[name] for name in plain)[-2:]
    if len(ranks) == 2 and sum(ranks) >= learned.n_rows:
        warn(
            f"With {learned.n_rows:g} rows and views of rank {ranks[0]} and "
            f"{ranks[1]}, correlations of 1 hold by construction and say nothing about "
            "new rows. Shrink (shrinkage='auto'), or reduce the views' columns.",
            CorrelationOneWarning,
        )
    if learned.change > em.TOLERANCE:
        warn(
            f"EM stopped after {learned.n_iter} iterations, still changing by "
            f"{learned.change:.1g}; rows that lack a view weigh too much against those "
            "that have it. Consider unpaired='drop'.",
            ConvergenceWarning,
        )
