"""`bootstrap_components`: coverage, alignment, weights for rows, and bad input."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmeta import CCAMapper, Views
from skmeta.core.bootstrap import (
    correlation_interval,
    frequencies,
    matched,
    procrustes,
)
from skmeta.datasets import make_paired_views
from skmeta.exceptions import CorrelationOneWarning
from skmeta.inspection import bootstrap_components

MIXING = np.random.default_rng(99)
MAPS = [MIXING.standard_normal((d, d)) for d in (4, 3)]


def rows(n, rho, rng):
    """Views whose population loadings are known: columns are mixtures of scores."""
    s, t = rng.standard_normal((n, 4)), rng.standard_normal((n, 3))
    d = np.zeros(3)
    d[: len(rho)] = rho
    t = t * np.sqrt(1 - d**2) + s[:, :3] * d
    return s @ MAPS[0].T, t @ MAPS[1].T


def true_loadings(k):
    return np.vstack(
        [A[:, :k] / np.linalg.norm(A, axis=1, keepdims=True) for A in MAPS]
    )


def stacked(known, what):
    return np.vstack([bunch[what] for bunch in known.loadings.values()])


def coverage(rho, align, match, n=150, n_draws=60, **options):
    """Share of intervals with the truth inside: of correlations, of loadings."""
    rng, truth = np.random.RandomState(0), true_loadings(len(rho))
    of_correlations, of_loadings = [], []
    for seed in range(n_draws):
        X, Y = rows(n, rho, rng)
        known = bootstrap_components(
            CCAMapper(len(rho), shrinkage=0),
            X,
            Y,
            n_resamples=200,
            align=align,
            random_state=seed,
            **options,
        )
        r = known.correlations
        of_correlations.append((r.low <= rho) & (rho <= r.high))
        turned = truth @ match(truth, stacked(known, "estimate"))
        inside = (stacked(known, "low") <= turned) & (turned <= stacked(known, "high"))
        of_loadings.append(inside)
    return np.mean(of_correlations), np.mean(of_loadings)


@pytest.mark.slow
def test_coverage():
    of_correlations, of_loadings = coverage(np.array([0.8, 0.5]), "order", matched)
    assert 0.9 <= of_correlations <= 1.0
    assert 0.9 <= of_loadings <= 0.98
    near = np.array([0.7, 0.6])
    _, single = coverage(near, "procrustes", matched)
    _, space = coverage(near, "procrustes", procrustes)
    assert space >= 0.9
    assert single < 0.8  # rotated together, no interval of a single component


@pytest.mark.slow
def test_coverage_at_another_level():
    of_correlations, of_loadings = coverage(
        np.array([0.8, 0.5]), "order", matched, confidence_level=0.7
    )
    assert 0.6 <= of_correlations <= 0.8
    assert 0.6 <= of_loadings <= 0.8


def test_coverage_of_few():
    of_correlations, of_loadings = coverage(
        np.array([0.8, 0.4]), "order", matched, n_draws=12
    )
    assert of_correlations >= 0.75
    assert of_loadings >= 0.8


def pair(n=120, rho=(0.8, 0.5), seed=0):
    return rows(n, np.array(rho), np.random.RandomState(seed))


def run(X, Y=None, mapper=None, **options):
    options = {"n_resamples": 30, "random_state": 0} | options
    return bootstrap_components(mapper or CCAMapper(2, shrinkage=0), X, Y, **options)


def test_result():
    X, Y = pair()
    mapper = CCAMapper(2).fit(X, Y)
    known = run(X, Y, mapper)
    assert_array_equal(known.correlations.estimate, mapper.correlations_)
    for name, array in mapper.loadings_.items():
        bunch = known.loadings[name]
        assert_array_equal(bunch.estimate, array)
        assert bunch.low.shape == bunch.high.shape == array.shape
        assert (bunch.low <= bunch.high).all()
        assert (np.abs([bunch.low, bunch.high]) <= 1).all()
        assert (bunch.standard_error > 0).all()


def test_frequencies_are_repeated_rows():
    X, Y = pair()
    known = run(X, Y, n_resamples=2)
    rng = np.random.RandomState(0)
    drawn = []
    for _ in range(2):
        index = np.repeat(np.arange(120), frequencies(None, 120, rng).astype(int))
        drawn.append(CCAMapper(2, shrinkage=0).fit(X[index], Y[index]).correlations_)
    assert len(index) == 120
    assert_allclose(known.correlations.standard_error, np.std(drawn, axis=0, ddof=1))


def test_groups_are_drawn_together():
    codes = np.repeat([0, 1, 2], [2, 3, 1])
    drawn = np.array(
        [frequencies(codes, 6, np.random.RandomState(i)) for i in range(50)]
    )
    assert (drawn[:, [0, 2]] == drawn[:, [1, 4]]).all()
    X, Y = (np.repeat(A, 4, axis=0) for A in pair(60))
    together = run(X, Y, groups=np.arange(240) // 4).correlations
    apart = run(X, Y).correlations
    assert (together.standard_error > 1.5 * apart.standard_error).all()


def test_more_rows_narrower_intervals_and_level():
    few, many = (run(*pair(n)).correlations for n in (60, 1000))
    assert (many.high - many.low < (few.high - few.low) / 2).all()
    lax = run(*pair(60), confidence_level=0.5).correlations
    assert (lax.high - lax.low < few.high - few.low).all()


def test_alignments():
    rng = np.random.default_rng(0)
    L = rng.standard_normal((9, 3))
    swapped = L[:, [2, 0, 1]] * [1, -1, -1]
    for align in (matched, procrustes):
        assert_allclose(swapped @ align(swapped, L), L, atol=1e-12)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    assert_allclose((L @ turn) @ procrustes(L @ turn, L), L, atol=1e-12)


def test_signs_and_order_do_not_widen_intervals():
    X, Y = pair(400, (0.75, 0.7))
    by_order, turned = (run(X, Y, align=a) for a in ("order", "procrustes"))
    assert stacked(turned, "standard_error").mean() < 0.1
    wider = stacked(by_order, "standard_error") / stacked(turned, "standard_error")
    assert wider.mean() > 1.0


def test_interval_makes_up_for_bias():
    z = np.random.default_rng(0).normal(1.2, 0.1, (4000, 1))
    low, high = correlation_interval(np.tanh([1.0]), np.tanh(z), 0.95)
    assert_allclose(
        np.arctanh([low[0], high[0]]), [0.8 - 0.196, 0.8 + 0.196], atol=0.01
    )
    low, high = correlation_interval(np.ones(1), np.ones((9, 1)), 0.95)
    assert_allclose([low, high], 1.0)


def test_three_views_gaps_and_constant_columns():
    views = make_paired_views(150, n_features=(4, 3, 3), random_state=0).views
    a, b, c = (views[f"view{i}"].copy() for i in range(3))
    a[:20], b[20:40] = np.nan, np.nan
    c[:, 1] = 7.0
    known = run(Views(a=a, b=b, c=c), mapper=CCAMapper(2), n_resamples=5)
    assert_array_equal(known.loadings["c"].low[1], 0)
    assert_array_equal(known.loadings["c"].high[1], 0)
    assert np.isfinite(stacked(known, "low")).all()


def test_mapper_and_random_state():
    X, Y = pair()
    unfitted = CCAMapper(2, shrinkage=0)
    one = run(X, Y, unfitted)
    assert not hasattr(unfitted, "correlations_")
    two = run(X, Y, CCAMapper(2, shrinkage=0).fit(X, Y))
    assert_array_equal(one.correlations.low, two.correlations.low)
    other = run(X, Y, random_state=1)
    assert (one.correlations.low != other.correlations.low).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(n_resamples=1), "n_resamples must be an integer of at least 2"),
        (dict(confidence_level=95), "confidence_level must lie between 0 and 1"),
        (dict(align="varimax"), r"one of \['order', 'procrustes'\]; got 'varimax'"),
        (dict(groups=np.zeros(120)), "All rows are in one group"),
        (dict(groups=[1, 2]), r"groups has shape \(2,\), but X has 120 rows"),
    ],
)
def test_bad_input(options, said):
    with pytest.raises(ValueError, match=said):
        run(*pair(), **options)


def test_fault_10_resamples_have_fewer_rows():
    X, Y = pair(11)
    with pytest.warns(CorrelationOneWarning, match="holds about 7 different ones"):
        run(X, Y, n_resamples=2)
    run(X, Y, CCAMapper(2, shrinkage=0.1), n_resamples=2)


def test_loadings_that_would_not_fit():
    with pytest.raises(ValueError, match="10000000000 resamples of 7 loadings on 2"):
        run(*pair(), n_resamples=10**10)


def test_wrong_mapper_and_rows():
    X, Y = pair()
    with pytest.raises(TypeError, match="takes a CCAMapper"):
        bootstrap_components("mapper", X, Y)
    with pytest.raises(ValueError, match="'Y' is not there"):
        run(X, None, CCAMapper(2).fit(X, Y))
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="'X' contains NaN in part of a row"):
        run(X, Y)


def test_resamples_that_cannot_be_fitted_are_named():
    rng = np.random.default_rng(0)
    X, rare = rng.normal(size=(60, 3)), np.arange(60) < 2
    said = r"Resample \d+ of 200, .* of 60 rows, .*View 'Y' has zero variance.* too few"
    with pytest.raises(ValueError, match=said):
        bootstrap_components(CCAMapper(1), X, rare, n_resamples=200, random_state=0)
