"""`bootstrap_components`: how well loadings and correlations are known."""

from numbers import Real

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch, check_random_state

from skmeta._compat import to_host
from skmeta.core.bootstrap import (
    ALIGNMENTS,
    correlation_interval,
    frequencies,
    percentile_interval,
)
from skmeta.exceptions import CorrelationOneWarning, check_count, warn
from skmeta.inspection._read import (
    check_groups,
    check_mapper,
    is_fitted,
    read_blocks,
)
from skmeta.mapping._fit import fit_blocks

# Loadings of all resamples are kept, for their percentiles.
MAX_DRAWN_BYTES = 4 * 2**30

# A resample holds this share of the rows, 1 - 1/e, each at least once.
DISTINCT = 0.632


def bootstrap_components(
    mapper,
    X,
    y=None,
    *,
    n_resamples=1000,
    confidence_level=0.95,
    groups=None,
    align="order",
    random_state=None,
):
    """Intervals of the loadings and correlations of a mapper, from resampled rows.

    Parameters
    ----------
    mapper : CCAMapper
        Fitted to X and y; or unfitted, and a clone of it is fitted. The shrinkage that
        it found is used for all resamples.
    X, y
        The rows that it was fitted to.
    n_resamples : int, default=1000
        Each costs a fit.
    confidence_level : float, default=0.95
        Of each interval by itself.
    groups : array-like of shape (n_rows,), default=None
        Rows that belong together (of a subject, a site) are drawn together.
    align : {"order", "procrustes"}, default="order"
        How the components of a resample are matched with the mapper's. With "order"
        each is matched with one of them, and its sign: the intervals are of the
        loadings of that component. With "procrustes" all are rotated together towards
        the mapper's [1]_: the intervals are of loadings up to a rotation of the
        components, which is what can be known where correlations are nearly equal, and
        are too narrow for a single component.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same resamples at each call.

    Returns
    -------
    Bunch
        ``correlations`` : Bunch
            ``estimate``, ``low``, ``high`` and ``standard_error``, (n_components,).
            The estimate is the mapper's, which is too high; the interval makes up for
            that, and may lie below it.
        ``loadings`` : dict of str to Bunch
            By view the same, (n_features, n_components).

    Raises
    ------
    ValueError
        If a parameter has no meaning, all rows are in one group, the loadings of all
        resamples would take more than 4 GB, and where ``mapper.fit`` raises, of the
        rows or of a resample (in which a rare column may be constant).
    TypeError
        If ``mapper`` is no `CCAMapper`.

    Warns
    -----
    CorrelationOneWarning
        If without shrinkage the different rows of a resample, about .63 of all, are so
        few that its correlations are 1 by construction.

    Notes
    -----
    A resample is a set of frequencies of the rows, which go to the moments as weights.
    Intervals of loadings are those of percentiles, of correlations basic ones on
    Fisher's z [2]_. Constant columns have loadings of 0.

    References
    ----------
    .. [1] Schönemann (1966), "A generalized solution of the orthogonal Procrustes
       problem", Psychometrika 31.
    .. [2] Davison & Hinkley (1997), "Bootstrap methods and their application",
       section 5.2.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.inspection import bootstrap_components
    >>> views = make_paired_views(300, n_features=(5, 4), random_state=0).views
    >>> mapper = CCAMapper(2).fit(views)
    >>> known = bootstrap_components(mapper, views, n_resamples=100, random_state=0)
    >>> bool(known.correlations.low[0] < 0.9 < known.correlations.high[0])
    True
    """
    check_mapper(mapper, "bootstrap_components")
    check_count("n_resamples", n_resamples, least=2)
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level must lie between 0 and 1; got {confidence_level!r}."
        )
    if align not in ALIGNMENTS:
        raise ValueError(f"align must be one of {list(ALIGNMENTS)}; got {align!r}.")
    if not is_fitted(mapper):
        mapper = clone(mapper).fit(X, y)
    blocks, reader = read_blocks(mapper, X, y)
    codes = check_groups(groups, blocks.n_rows)
    if codes is not None and not codes.any():
        raise ValueError(
            "All rows are in one group, so that every resample is the rows as they "
            "are; groups are drawn whole, and there must be two or more, better many."
        )
    rng = check_random_state(random_state)

    wanted = {name: to_host(mapper.loadings_[name]) for name in reader.names}
    stacked = np.vstack(list(wanted.values()))
    estimate = to_host(mapper.correlations_)
    options = mapper._options(reader.names) | {"shrinkage": mapper.shrinkage_}
    _check_size(n_resamples, stacked)
    _warn_of_few_rows(mapper, blocks)
    correlations = np.empty((n_resamples, *estimate.shape))
    loadings = np.empty((n_resamples, *stacked.shape))
    for i in range(n_resamples):
        weights = frequencies(codes, blocks.n_rows, rng)
        try:
            solution = fit_blocks(
                blocks, reader.names, weights, n_components=len(estimate), **options
            ).solution
        except ValueError as error:
            raise ValueError(
                f"Resample {i + 1} of {n_resamples}, which holds "
                f"{np.count_nonzero(weights)} of {blocks.n_rows} rows, cannot be "
                f"fitted ({error}) Rows are too few, or too few of them tell a view's "
                "columns from constants."
            ) from error
        found = np.vstack([solution.loadings[name] for name in reader.names])
        correlations[i] = solution.correlations
        loadings[i] = found @ ALIGNMENTS[align](found, stacked)

    low, high = percentile_interval(loadings, confidence_level)
    error = loadings.std(axis=0, ddof=1)
    ends = np.cumsum([len(block) for block in wanted.values()])[:-1]
    by_view = (np.split(array, ends) for array in (stacked, low, high, error))
    return Bunch(
        correlations=_bunch(
            estimate,
            *correlation_interval(estimate, correlations, confidence_level),
            correlations.std(axis=0, ddof=1),
        ),
        loadings={
            name: _bunch(*parts)
            for name, parts in zip(wanted, zip(*by_view, strict=True), strict=True)
        },
    )


def _bunch(estimate, low, high, error):
    return Bunch(estimate=estimate, low=low, high=high, standard_error=error)


def _check_size(n_resamples, loadings):
    n_bytes = 8 * n_resamples * loadings.size
    if n_bytes > MAX_DRAWN_BYTES:
        raise ValueError(
            f"{n_resamples} resamples of {loadings.shape[0]} loadings on "
            f"{loadings.shape[1]} components would take {n_bytes / 2**30:.1f} GB; fit "
            "with fewer n_components, or take fewer n_resamples."
        )


def _warn_of_few_rows(mapper, blocks):
    plain = [name for name, c in mapper.shrinkage_.items() if c == 0]
    ranks = sorted(mapper.rank_[name] for name in plain)[-2:]
    n_rows = np.all([blocks.mask(name) for name in mapper.rank_], axis=0).sum()
    if len(ranks) == 2 and sum(ranks) >= DISTINCT * n_rows:
        warn(
            f"A resample of {n_rows} rows holds about {DISTINCT * n_rows:.0f} "
            f"different ones, and views of rank {ranks[0]} and {ranks[1]}: "
            "correlations of 1 hold by construction, and intervals say nothing. Shrink "
            "(shrinkage='auto'), or reduce the views' columns.",
            CorrelationOneWarning,
        )
