"""`SearchSurfaceDisplay`: scores of a search against one or two of its parameters."""

from numbers import Integral, Real

import numpy as np

from skmeta.model_selection._rules import standard_errors
from skmeta.plotting._style import (
    COLOUR_MAP,
    COLOURS,
    clear_spines,
    import_matplotlib,
    is_dark,
    legend_above,
    legend_inside,
    open_axes,
    plain,
    write_number,
)

MAX_WRITTEN = 60  # cells of a table of colours that still hold their number


class SearchSurfaceDisplay:
    """Mean test scores of a search against one or two parameters, the best marked.

    Parameters
    ----------
    x : list
        Values of the first parameter.
    means : ndarray of shape (n_x,) or (n_y, n_x)
        Mean test scores; NaN where nothing was tried.
    errors : ndarray of the same shape, default=None
        Their standard errors, as `fewest_components` has them.
    x_name : str, default="x"
    y : list, default=None
        Values of the second parameter.
    y_name : str, default=None
    best : tuple of int, default=None
        Place of the best, or of what the search has chosen in its stead: (i_x,) or
        (i_y, i_x).
    quantity : str, default="mean test score"

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    line_, band_ : Line2D, FillBetweenPolyCollection
        With one parameter.
    image_ : AxesImage or PathCollection
        With two parameters: a table of colours, or points where less than half of the
        pairs of values was tried, as in a random search.
    best_ : Line2D
        The star.
    texts_ : list of Text
        Scores in the cells.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.plotting import SearchSurfaceDisplay
    >>> views = make_paired_views(200, random_state=0).views
    >>> search = GridSearchCV(CCAMapper(2), {"shrinkage": [0.01, 0.1, 1]}).fit(views)
    >>> SearchSurfaceDisplay.from_search(search).means.shape
    (3,)
    """

    def __init__(
        self,
        x,
        means,
        errors=None,
        *,
        x_name="x",
        y=None,
        y_name=None,
        best=None,
        quantity="mean test score",
    ):
        self.x = x
        self.means = means
        self.errors = errors
        self.x_name = x_name
        self.y = y
        self.y_name = y_name
        self.best = best
        self.quantity = quantity

    @classmethod
    def from_search(cls, search, x=None, y=None, *, scoring=None, ax=None):
        """Draw what a fitted search has found.

        Parameters
        ----------
        search : GridSearchCV or the like
            Whatever has ``cv_results_``, and ``best_index_`` or ``best_params_``.
        x, y : str, default=None
            Names of one or two parameters. None for those of which several values were
            tried, at most two. Where there are others, the best over them is drawn.
        scoring : str, default=None
            Which score, of a search by several.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        SearchSurfaceDisplay

        Raises
        ------
        ValueError
            If there is no such parameter or score, or no candidate has a score.
        """
        import_matplotlib(f"{cls.__name__}.from_search")
        results = _results(search, cls.__name__)
        means, errors, quantity = _scores(results, scoring)
        x, y = _parameters(results, x, y)
        n = len(means)
        axes = [_values(results, name, n) for name in (y, x) if name is not None]
        shape = tuple(len(values) for values, _ in axes)
        place = tuple(index for _, index in axes)
        top, error = np.full(shape, np.nan), np.full(shape, np.nan)
        for i in np.argsort(-means, kind="stable"):  # the best first, NaN last
            at = tuple(index[i] for index in place)
            if min(at) >= 0 and np.isnan(top[at]):
                top[at], error[at] = means[i], errors[i]
        best = _best(search, results, means)
        best = tuple(int(index[best]) for index in place)
        return cls(
            axes[-1][0],
            top,
            error,
            x_name=x,
            y=None if y is None else axes[0][0],
            y_name=y,
            best=best if min(best) >= 0 else None,
            quantity=quantity,
        ).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the scores.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        SearchSurfaceDisplay
            The display itself.
        """
        means = np.asarray(self.means, dtype=float)
        if not np.isfinite(means).any():
            raise ValueError("No candidate has a score: every mean is NaN.")
        if self.y is None:
            self._draw_curve(open_axes(self, ax, (5.0, 3.6)), means)
        elif np.isfinite(means).mean() >= 0.5:
            size = np.clip([0.62 * len(self.x), 0.42 * len(self.y)], 2.4, 6.0)
            ax = open_axes(self, ax, (size[0] + 2.0, size[1] + 1.2))
            self._draw_table(ax, means)
        else:
            self._draw_points(open_axes(self, ax, (5.4, 4.2)), means)
        return self

    def _draw_curve(self, ax, means):
        place = _axis(ax, "x", self.x)
        tried = np.isfinite(means)
        (self.line_,) = ax.plot(
            place[tried], means[tried], "o-", color=COLOURS[0], ms=5
        )
        if self.errors is not None:
            errors = np.nan_to_num(np.asarray(self.errors, dtype=float)[tried])
            self.band_ = ax.fill_between(
                place[tried],
                means[tried] - errors,
                means[tried] + errors,
                color=COLOURS[0],
                alpha=0.18,
                linewidth=0,
                label="± standard error",
            )
        if self.best is not None:
            self._star(ax, place[self.best[0]], means[self.best], means)
        ax.set(xlabel=self.x_name, ylabel=self.quantity)
        clear_spines(ax)
        legend_inside(ax)

    def _draw_table(self, ax, means):
        self.image_ = ax.imshow(means, cmap=COLOUR_MAP, aspect="auto", origin="lower")
        self._colorbar(ax)
        ax.set_xticks(range(len(self.x)), [_write(v) for v in self.x])
        ax.set_yticks(range(len(self.y)), [_write(v) for v in self.y])
        if max(len(_write(v)) for v in self.x) > 7:
            ax.tick_params(axis="x", rotation=30)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(xlabel=self.x_name, ylabel=self.y_name)
        self.texts_ = []
        if means.size <= MAX_WRITTEN:
            decimals = _decimals(np.nanmax(means) - np.nanmin(means))
            for (i, j), value in np.ndenumerate(means):
                if np.isnan(value):
                    continue
                colour = "white" if is_dark(self.image_, value) else "black"
                style = dict(ha="center", va="center", fontsize="x-small")
                self.texts_.append(
                    ax.text(j, i, write_number(value, decimals), color=colour, **style)
                )
        if self.best is not None:
            i, j = self.best
            # Above the number, not on it.
            self._star(ax, j, i + (0.28 if self.texts_ else 0.0), means, size=12)
            legend_above(ax, 1)

    def _draw_points(self, ax, means):
        x, y = _axis(ax, "x", self.x), _axis(ax, "y", self.y)
        rows, columns = np.nonzero(np.isfinite(means))
        self.image_ = ax.scatter(
            x[columns], y[rows], c=means[rows, columns], cmap=COLOUR_MAP, s=42
        )
        self._colorbar(ax)
        clear_spines(ax)
        ax.set(xlabel=self.x_name, ylabel=self.y_name)
        self.texts_ = []
        if self.best is not None:
            self._star(ax, x[self.best[1]], y[self.best[0]], means)
            legend_above(ax, 1)

    def _star(self, ax, x, y, means, size=15):
        # A search by several scores, or with a rule of its own, may choose another.
        highest = means[tuple(self.best)] >= np.nanmax(means)
        (self.best_,) = ax.plot(
            x,
            y,
            "*",
            color=COLOURS[1],
            markersize=size,
            markeredgecolor="white",
            linestyle="none",
            label="best" if highest else "chosen",
            zorder=4,
        )

    def _colorbar(self, ax):
        bar = ax.figure.colorbar(self.image_, ax=ax)
        bar.set_label(self.quantity)
        bar.outline.set_visible(False)


def _results(search, display):
    if not hasattr(search, "cv_results_"):
        if hasattr(search, "fit"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(
                f"This {type(search).__name__} has no cv_results_; {display} draws a "
                "search after its fit."
            )
        raise TypeError(
            f"{display} draws a fitted search such as GridSearchCV; got a "
            f"{type(search).__name__}."
        )
    return search.cv_results_


def _scores(results, scoring):
    """Means, standard errors over folds, and what to call them."""
    stem = "mean_test_"
    known = [name[len(stem) :] for name in results if name.startswith(stem)]
    name = scoring or ("score" if "score" in known else None)
    if name not in known:
        asked = "several scores, so name one" if scoring is None else f"no {scoring!r}"
        raise ValueError(f"The search has {asked}: scoring= takes one of {known}.")
    means = np.asarray(results[f"mean_test_{name}"], dtype=float)
    errors = np.zeros_like(means)
    if f"std_test_{name}" in results:
        errors = standard_errors(results, name)
        errors[np.isinf(errors)] = 0.0  # of one fold nothing is known
    return means, errors, _title(name)


def _title(name):
    return "mean test score" if name == "score" else f"mean test {name}"


def _parameters(results, x, y):
    known = [name[6:] for name in results if name.startswith("param_")]
    for name in (x, y):
        if name is not None and name not in known:
            raise ValueError(f"Unknown parameter {name!r}; the search has {known}.")
    if x is None:
        n = len(results["params"])
        varied = [k for k in known if k != y and len(_values(results, k, n)[0]) > 1]
        if not varied:
            varied = [k for k in known if k != y]
        if not varied or len(varied) > (2 if y is None else 1):
            raise ValueError(
                f"The search has {len(varied)} parameters of several values, {varied}; "
                "name one as x=, or two as x= and y=."
            )
        x, *rest = varied
        y = rest[0] if rest else y
    if x == y:
        raise ValueError(f"x and y are both {x!r}; they must differ.")
    return x, y


def _values(results, name, n):
    """Values of a parameter in order, and the place of each candidate's, or -1."""
    given = [results["params"][i].get(name, _Absent) for i in range(n)]
    values = {repr(v): v for v in given if v is not _Absent}
    keys = list(values)
    if all(_is_number(v) for v in values.values()):
        keys.sort(key=lambda key: values[key])
    place = {key: i for i, key in enumerate(keys)}
    index = [-1 if v is _Absent else place[repr(v)] for v in given]
    return [values[key] for key in keys], np.array(index)


class _Absent:
    """Stands for a parameter that a candidate of a list of grids does not have."""


def _best(search, results, means):
    if hasattr(search, "best_index_"):
        return int(search.best_index_)
    wanted = getattr(search, "best_params_", None)
    for i, parameters in enumerate(results["params"]):
        if wanted is not None and repr(parameters) == repr(wanted):
            return i
    return int(np.nanargmax(means))


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _axis(ax, which, values):
    """Places of values on an axis: a logarithmic one where they grow by a factor."""
    set_ticks = ax.set_xticks if which == "x" else ax.set_yticks
    if not all(_is_number(v) for v in values):
        set_ticks(range(len(values)), [_write(v) for v in values], fontsize="small")
        return np.arange(len(values), dtype=float)
    place = np.asarray(values, dtype=float)
    if is_geometric(place):
        (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    return place


def is_geometric(values):
    """Whether steps between positive values are more even in factors than in sums."""
    if len(values) < 3 or values.min() <= 0:
        return False
    sums, factors = np.diff(values), np.diff(np.log(values))
    return np.std(factors) / np.mean(factors) < np.std(sums) / np.mean(sums)


def _decimals(spread):
    """Digits after the point that tell a hundredth of the spread."""
    return int(np.clip(2 - np.floor(np.log10(spread)), 0, 6)) if spread > 0 else 3


def _write(value):
    if isinstance(value, np.generic):
        value = value.item()
    if _is_number(value):
        whole = isinstance(value, Integral) and abs(value) < 10**6
        return str(value) if whole else f"{value:.3g}"
    return plain(value if isinstance(value, str) else repr(value), 24)
