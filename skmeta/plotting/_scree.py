"""`ScreeDisplay`: how far each component correlates across views."""

from itertools import combinations

import numpy as np

from skmeta._compat import to_host
from skmeta.mapping._base import _correlations
from skmeta.plotting._checks import check_mapper, check_numbers
from skmeta.plotting._style import (
    COLOURS,
    clear_spines,
    import_matplotlib,
    legend_inside,
    open_axes,
)


class ScreeDisplay:
    """Correlations by component, beside those of rows paired at random.

    What stands out of the grey is more than chance makes of as many rows and columns.

    Parameters
    ----------
    correlations : array-like of shape (n_components,)
        Of the training rows.
    null : array-like of shape (n_permutations, n_components), default=None
        The same of rows paired at random.
    pvalues : array-like of shape (n_components,), default=None
        Of a test of each component.
    held_out : array-like of shape (n_components,), default=None
        Correlations of rows that the mapper has not seen.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    line_, held_out_line_ : Line2D
        Of the training rows and of others.
    significant_, insignificant_ : Line2D
        Filled and hollow markers of the training rows' line; with p-values.
    null_band_ : FillBetweenPolyCollection
        From 0 to the null's quantile.

    See Also
    --------
    skmeta.CCAMapper.score : The sum of the held-out correlations.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.plotting import ScreeDisplay
    >>> views = make_paired_views(500, random_state=0).views
    >>> mapper = CCAMapper(10, shrinkage=0).fit(views[:300])
    >>> display = ScreeDisplay.from_estimator(mapper, views[300:])
    >>> display.held_out.shape
    (10,)
    """

    def __init__(self, correlations, null=None, pvalues=None, held_out=None):
        self.correlations = correlations
        self.null = null
        self.pvalues = pvalues
        self.held_out = held_out

    @classmethod
    def from_estimator(cls, mapper, X=None, y=None, *, test=None, alpha=0.05, ax=None):
        """Draw the correlations of a fitted mapper.

        Parameters
        ----------
        mapper : mapper
            Fitted.
        X, y : default=None
            Rows that it has not seen, as its ``transform_views`` takes them.
        test : object, default=None
            Of a permutation test of its components, as
            `skmeta.inspection.permutation_test_components` gives it: ``correlations``
            and ``pvalues`` by component, and, if it has them, ``null_correlations`` of
            shape (n_permutations, n_components). With ``statistic="roy"`` its ``null``
            is that. Its correlations, which are those of the views themselves whatever
            the mapper's shrinkage, are then drawn in place of the mapper's, as far as
            these go.
        alpha : float, default=0.05
            Level at which a component counts as more than chance.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        ScreeDisplay

        Raises
        ------
        ValueError
            If no two rows of X have the same two views.
        TypeError
            If ``test`` is not the result of a test.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        check_mapper(mapper, cls.__name__, "correlations_")
        correlations = to_host(mapper.correlations_)
        held_out = None
        if X is not None:
            held_out = _held_out(mapper, X, y)
        null = pvalues = None
        if test is not None:
            correlations, null, pvalues = _from_test(test, len(correlations))
            if held_out is not None:
                held_out = held_out[: len(correlations)]
        display = cls(correlations, null=null, pvalues=pvalues, held_out=held_out)
        return display.plot(ax=ax, alpha=alpha)

    def plot(self, ax=None, *, alpha=0.05):
        """Draw the correlations.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.
        alpha : float, default=0.05
            The null is drawn up to its quantile 1 - alpha, and components whose
            p-value is at most alpha are filled.

        Returns
        -------
        ScreeDisplay
            The display itself.
        """
        import_matplotlib(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        correlations = check_numbers(self.correlations, "correlations", ndim=1)
        k = len(correlations)
        others = {}
        for name in ("null", "pvalues", "held_out"):
            if (given := getattr(self, name)) is None:
                continue
            ndim = 2 if name == "null" else 1
            others[name] = check_numbers(given, name, ndim=ndim)
            if others[name].shape[-1] != k:
                raise ValueError(
                    f"{name} is of {others[name].shape[-1]} components, but there are "
                    f"{k} correlations; it must have one entry per component."
                )
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1; got {alpha!r}.")
        ax = open_axes(self, ax, (5.2, 3.6))
        place = np.arange(k)
        if "null" in others:
            self._draw_null(ax, place, others["null"], alpha)
        size = 6 if k <= 20 else 4
        style = dict(color=COLOURS[0], markersize=size)
        marker = "" if "pvalues" in others else "o"
        label = None if "pvalues" in others else "training rows"
        (self.line_,) = ax.plot(
            place, correlations, marker=marker, label=label, **style
        )
        if "pvalues" in others:
            found = others["pvalues"] <= alpha
            (self.significant_,) = ax.plot(
                place[found],
                correlations[found],
                "o",
                label=f"training rows, p ≤ {alpha:g}",
                **style,
            )
            (self.insignificant_,) = ax.plot(
                place[~found],
                correlations[~found],
                "o",
                markerfacecolor="white",
                label=f"training rows, p > {alpha:g}",
                **style,
            )
        if "held_out" in others:
            (self.held_out_line_,) = ax.plot(
                place,
                others["held_out"],
                "s--",
                color=COLOURS[1],
                markersize=size,
                markerfacecolor="none",
                label="held-out rows",
            )
        lowest = min([0.0, *others.get("held_out", [])])
        ax.set(
            xlabel="component",
            ylabel="correlation across views",
            ylim=(lowest - 0.03 * (lowest < 0), 1.03),
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        clear_spines(ax)
        legend_inside(ax)
        return self

    def _draw_null(self, ax, place, null, alpha):
        top = np.quantile(null, 1 - alpha, axis=0)
        # Half a component to either side, so that a single one has a band as well.
        x = np.r_[place[0] - 0.4, place, place[-1] + 0.4]
        y = np.r_[top[0], top, top[-1]]
        self.null_band_ = ax.fill_between(
            x,
            y,
            color="0.88",
            linewidth=0,
            label=f"paired at random, {100 * (1 - alpha):g} %",
            zorder=0,
        )
        ax.plot(x, y, color="0.5", linewidth=0.8, zorder=0)


def _held_out(mapper, X, y):
    """Correlation of each component, averaged over pairs of views."""
    Z = {name: to_host(rows) for name, rows in mapper.transform_views(X, y).items()}
    found = []
    for first, second in combinations(Z.values(), 2):
        both = ~(np.isnan(first).any(axis=1) | np.isnan(second).any(axis=1))
        if both.sum() > 1:  # of a single row nothing correlates
            found.append(_correlations(first[both], second[both]))
    if not found:
        raise ValueError(
            f"X has no two rows with the same two views, of {list(Z)}, so that nothing "
            "correlates; after fit(X, Y) of two arrays pass both, X and y."
        )
    return np.mean(found, axis=0)


def _from_test(test, k):
    """Correlations, null and p-values of at most k components of a test."""
    for name in ("correlations", "pvalues"):
        if not hasattr(test, name):
            raise TypeError(
                f"test needs {name!r}, as what permutation_test_components gives has "
                f"it; got a {type(test).__name__}."
            )
    correlations = np.asarray(test.correlations, dtype=float)
    null = getattr(test, "null_correlations", None)
    # Where correlations are what is tested, as by Roy, its null is of correlations.
    statistics = getattr(test, "statistics", None)
    if null is None and statistics is not None and hasattr(test, "null"):
        if np.allclose(statistics, correlations):
            null = test.null
    return (
        correlations[:k],
        None if null is None else np.asarray(null, dtype=float)[:, :k],
        np.asarray(test.pvalues, dtype=float)[:k],
    )
