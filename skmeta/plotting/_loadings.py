"""`LoadingsDisplay`: the columns that make a component."""

import numpy as np

from skmeta.exceptions import check_count
from skmeta.plotting._checks import (
    check_components,
    check_mapper,
    named_loadings,
)
from skmeta.plotting._style import (
    COLOURS,
    HATCHES,
    QUIET,
    clear_spines,
    import_matplotlib,
    legend_above,
    open_axes,
    plain,
)


class LoadingsDisplay:
    """The columns of each view that correlate most with a component, as bars.

    Parameters
    ----------
    loadings : dict of str to ndarray of shape (n_columns, n_components)
        By view: correlations of the columns to draw, the strongest first, with the
        components to draw.
    names : dict of str to list of str
        By view: the columns' names.
    components : tuple of int, default=(0,)
        Which components these are.
    n_features : dict of str to int, default=None
        By view: of how many columns these are the strongest.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    bars_ : dict of str to list of BarContainer
        By view, one for each component.

    See Also
    --------
    CorrelationCircleDisplay : Two components at once.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.plotting import LoadingsDisplay
    >>> views = make_paired_views(500, random_state=0).views
    >>> mapper = CCAMapper(2).fit(views)
    >>> display = LoadingsDisplay.from_estimator(mapper, n_columns=5)
    >>> display.loadings["view1"].shape
    (5, 1)
    """

    def __init__(self, loadings, names, *, components=(0,), n_features=None):
        self.loadings = loadings
        self.names = names
        self.components = components
        self.n_features = n_features

    @classmethod
    def from_estimator(
        cls,
        mapper,
        *,
        component=0,
        n_columns=15,
        views=None,
        feature_names=None,
        ax=None,
    ):
        """Draw the strongest columns of a fitted mapper.

        Parameters
        ----------
        mapper : CCAMapper
            Fitted.
        component : int or sequence of at most 4 int, default=0
            Of several, a column is as strong as its largest loading.
        n_columns : int, default=15
            Columns of each view.
        views : list of str, default=None
            The views to draw; None for all.
        feature_names : dict of str to list of str, default=None
            By view: names of its columns. Without, those of the DataFrame, or of what
            the view's transformer gives out, or their places.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        LoadingsDisplay

        Raises
        ------
        ValueError
            If a component or a view does not exist, or names are not one per column.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        check_mapper(mapper, cls.__name__, "loadings_")
        components = check_components(component, len(mapper.correlations_))
        if len(components) > len(HATCHES):
            raise ValueError(
                f"{len(components)} components are too many to be told apart; at most "
                f"{len(HATCHES)} are drawn beside each other."
            )
        n_columns = check_count("n_columns", n_columns)
        every, names = named_loadings(mapper, views, feature_names)
        loadings, shown = {}, {}
        for view, array in every.items():
            some = array[:, components]
            order = np.argsort(-np.abs(some).max(axis=1), kind="stable")[:n_columns]
            loadings[view] = some[order]
            shown[view] = [names[view][j] for j in order]
        counts = {view: len(array) for view, array in every.items()}
        display = cls(loadings, shown, components=components, n_features=counts)
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw the bars.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        LoadingsDisplay
            The display itself.
        """
        n_bars = sum(map(len, self.loadings.values()))
        m, c = len(self.loadings), len(self.components)
        line = 0.17 + 0.08 * (c - 1)
        written = {view: list(map(plain, names)) for view, names in self.names.items()}
        longest = max(len(name) for names in written.values() for name in names)
        width = max(5.2, 3.6 + 0.08 * longest)  # inches, of which names take a part
        ax = open_axes(self, ax, (width, 0.9 + line * (n_bars + 1.6 * m)))
        self.bars_, ticks, labels, top = {}, [], [], 0.0
        for i, (view, loadings) in enumerate(self.loadings.items()):
            self._head(ax, view, top + 0.15)
            place = top + 1.2 + np.arange(len(loadings))
            height = 0.78 / c
            self.bars_[view] = [
                ax.barh(
                    place + (j - (c - 1) / 2) * height,
                    loadings[:, j],
                    height,
                    color=COLOURS[i % len(COLOURS)] if c == 1 else COLOURS[j],
                    hatch=None if c == 1 else HATCHES[j],
                    edgecolor="white",
                    linewidth=0.0,
                    label=f"component {component}" if c > 1 and i == 0 else None,
                )
                for j, component in enumerate(self.components)
            ]
            ticks += place.tolist()
            labels += written[view]
            top = place[-1] + 1.0
        ax.axvline(0, color=QUIET, linewidth=0.8)
        ax.set_yticks(ticks, labels, fontsize="small")
        ax.tick_params(axis="y", length=0)
        ax.set(ylim=(top - 0.3, -0.4), xlim=self._limits())
        ax.set_xlabel(
            f"correlation with component {self.components[0]}"
            if c == 1
            else "correlation with the component"
        )
        clear_spines(ax)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", alpha=0.3)
        ax.set_axisbelow(True)
        if c > 1:
            legend_above(ax, c)
        return self

    def _head(self, ax, view, place):
        count = len(self.loadings[view])
        of = (self.n_features or {}).get(view, count)
        rest = f", {count} of {of} columns" if of > count else ""
        ax.text(
            0.0,
            place,
            f"{plain(view)}{rest}",
            transform=ax.get_yaxis_transform(),
            weight="bold",
            fontsize="small",
            va="center",
        )

    def _limits(self):
        """Round zero to the outer ends, and not beyond -1 and 1."""
        values = np.concatenate([array.ravel() for array in self.loadings.values()])
        return (
            max(-1.0, 1.08 * min(0.0, values.min()) - 0.02),
            min(1.0, 1.08 * max(0.0, values.max()) + 0.02),
        )
