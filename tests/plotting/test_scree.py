"""`ScreeDisplay`: correlations of training rows, of others, and of chance."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.inspection import permutation_test_components
from skmeta.plotting import ScreeDisplay


def test_the_line_is_the_correlations(fitted):
    display = ScreeDisplay.from_estimator(fitted.mapper)
    np.testing.assert_array_equal(
        display.line_.get_xydata(), np.c_[np.arange(3), fitted.mapper.correlations_]
    )
    assert not hasattr(display, "held_out_line_")


def test_held_out_correlations_sum_to_the_score(fitted):
    display = ScreeDisplay.from_estimator(fitted.mapper, fitted.X, fitted.y)
    drawn = display.held_out_line_.get_ydata()
    assert drawn.sum() == pytest.approx(fitted.mapper.score(fitted.X, fitted.y))
    Z = list(fitted.mapper.transform_views(fitted.X, fitted.y).values())
    one = np.corrcoef(Z[0][:, 1], Z[1][:, 1])[0, 1]
    assert drawn[1] == pytest.approx(one)


def test_held_out_of_three_views_with_gaps():
    views = make_paired_views(200, n_features=(5, 4, 6), random_state=0).views
    mapper = CCAMapper(2).fit(views)
    gap = np.array(views["view1"])
    gap[:30] = np.nan
    rows = Views(view0=views["view0"], view1=gap, view2=views["view2"])
    display = ScreeDisplay.from_estimator(mapper, rows)
    assert display.held_out.sum() == pytest.approx(mapper.score(rows))


def test_a_test_brings_its_correlations_null_and_pvalues(simple):
    rng = np.random.default_rng(0)
    test = SimpleNamespace(
        correlations=np.array([0.9, 0.5, 0.2, 0.1]),
        pvalues=np.array([0.001, 0.05, 0.4, 0.6]),
        null_correlations=rng.uniform(0, 0.4, (200, 4)),
    )
    display = ScreeDisplay.from_estimator(simple.mapper, simple.X, test=test)
    np.testing.assert_array_equal(display.line_.get_ydata(), [0.9, 0.5, 0.2])
    np.testing.assert_array_equal(display.significant_.get_xdata(), [0, 1])
    np.testing.assert_array_equal(display.insignificant_.get_xdata(), [2])
    top = np.quantile(test.null_correlations[:, :3], 0.95, axis=0)
    band = display.null_band_.get_paths()[0].vertices
    for place, value in enumerate(top):
        assert value == pytest.approx(band[band[:, 0] == place][:, 1].max())
    assert len(display.held_out_line_.get_ydata()) == 3


def test_alpha_moves_the_band_and_the_filling():
    null = np.random.default_rng(0).uniform(size=(100, 2))
    display = ScreeDisplay([0.9, 0.4], null=null, pvalues=[0.01, 0.08]).plot(alpha=0.1)
    assert len(display.significant_.get_xdata()) == 2
    labels = display.ax_.get_legend_handles_labels()[1]
    assert "paired at random, 90 %" in labels


def test_what_the_permutation_test_gives_is_drawn(simple):
    test = permutation_test_components(
        CCAMapper(3), simple.X, n_permutations=99, random_state=0
    )
    display = ScreeDisplay.from_estimator(simple.mapper, test=test)
    np.testing.assert_allclose(display.line_.get_ydata(), test.correlations[:3])
    n_found = int((test.pvalues <= 0.05).sum())
    assert len(display.significant_.get_xdata()) == n_found


def test_where_correlations_are_tested_their_null_is_drawn(simple):
    test = permutation_test_components(
        CCAMapper(3), simple.X, n_permutations=99, statistic="roy", random_state=0
    )
    display = ScreeDisplay.from_estimator(simple.mapper, test=test)
    np.testing.assert_array_equal(display.null, test.null[:, :3])
    wilks = permutation_test_components(
        CCAMapper(3), simple.X, n_permutations=99, random_state=0
    )
    assert ScreeDisplay.from_estimator(simple.mapper, test=wilks).null is None


def test_bad_input(simple):
    with pytest.raises(TypeError, match="test needs 'correlations'.*got a dict"):
        ScreeDisplay.from_estimator(simple.mapper, test={})
    with pytest.raises(ValueError, match="held_out is of 1 components, but"):
        ScreeDisplay([0.9, 0.2], held_out=[0.1]).plot()
    with pytest.raises(ValueError, match="correlations has NaN"):
        ScreeDisplay([0.9, np.nan]).plot()
    with pytest.raises(ValueError, match="null must have 2 axes"):
        ScreeDisplay([0.9], null=[0.1]).plot()
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1; got 5"):
        ScreeDisplay([0.9]).plot(alpha=5)


def test_one_view_alone_is_told_of(simple):
    X, Y = simple.X.values()
    mapper = CCAMapper(2).fit(X, Y)
    with pytest.raises(ValueError, match=r"views, of \['X'\].*pass both"):
        ScreeDisplay.from_estimator(mapper, X)


def test_of_one_row_nothing_correlates(simple):
    with pytest.raises(ValueError, match="X has no two rows with the same two views"):
        ScreeDisplay.from_estimator(simple.mapper, simple.X[:1])


def test_components_are_whole_numbers_in_any_axes():
    _, ax = plt.subplots()
    ax.set_xticks([0.0, 0.5])
    ScreeDisplay([0.9]).plot(ax=ax)
    ticks = ax.get_xticks()
    assert 0 in ticks and (ticks == np.round(ticks)).all()


def test_a_held_out_correlation_hides_no_other():
    display = ScreeDisplay([0.9], held_out=[0.9]).plot()
    assert display.held_out_line_.get_markerfacecolor() == "none"
