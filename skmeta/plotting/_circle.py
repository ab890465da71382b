"""`CorrelationCircleDisplay`: columns of all views in the plane of two components."""

import numpy as np

from skmeta.exceptions import check_count
from skmeta.plotting._checks import (
    check_components,
    check_mapper,
    named_loadings,
)
from skmeta.plotting._place import place_labels
from skmeta.plotting._style import (
    COLOURS,
    FAINT,
    MARKERS,
    clear_spines,
    import_matplotlib,
    legend_above,
    legend_name,
    open_axes,
    plain,
)


class CorrelationCircleDisplay:
    """Columns of all views by their correlations with two components.

    Columns near each other, of whichever view, go together; opposite ones go against
    each other; what lies near the centre has little to do with these components. The
    inner circle is where the two explain half of a column's variance.

    Parameters
    ----------
    loadings : dict of str to ndarray of shape (n_features, 2)
        By view.
    names : dict of str to list of str
        By view: the columns' names.
    components : tuple of two int, default=(0, 1)
        Which components these are.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    points_ : dict of str to PathCollection
        By view.
    texts_ : list of Annotation
        Names of the strongest columns, the strongest first.

    See Also
    --------
    LoadingsDisplay : The columns of one component in order.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.plotting import CorrelationCircleDisplay
    >>> views = make_paired_views(500, random_state=0).views
    >>> mapper = CCAMapper(2).fit(views)
    >>> display = CorrelationCircleDisplay.from_estimator(mapper, n_labels=6)
    >>> len(display.texts_)
    6
    """

    def __init__(self, loadings, names, *, components=(0, 1)):
        self.loadings = loadings
        self.names = names
        self.components = components

    @classmethod
    def from_estimator(
        cls,
        mapper,
        *,
        components=(0, 1),
        n_labels=12,
        views=None,
        feature_names=None,
        ax=None,
    ):
        """Draw the loadings of a fitted mapper.

        Parameters
        ----------
        mapper : CCAMapper
            Fitted.
        components : tuple of two int, default=(0, 1)
            Those on the two axes.
        n_labels : int, default=12
            How many columns, of all views the farthest from the centre, have their
            name and a line.
        views : list of str, default=None
            The views to draw; None for all.
        feature_names : dict of str to list of str, default=None
            By view: names of its columns. Without, those of the DataFrame, or of what
            the view's transformer gives out, or their places.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        CorrelationCircleDisplay

        Raises
        ------
        ValueError
            If a component or a view does not exist, or names are not one per column.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        check_mapper(mapper, cls.__name__, "loadings_")
        components = check_components(components, len(mapper.correlations_), n=2)
        loadings, names = named_loadings(mapper, views, feature_names)
        display = cls(
            {view: array[:, components] for view, array in loadings.items()},
            names,
            components=components,
        )
        return display.plot(ax=ax, n_labels=n_labels)

    def plot(self, ax=None, *, n_labels=12):
        """Draw the circle.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.
        n_labels : int, default=12
            How many columns have their name.

        Returns
        -------
        CorrelationCircleDisplay
            The display itself.
        """
        n_labels = check_count("n_labels", n_labels, least=0)
        ax = open_axes(self, ax, (5.4, 5.2))
        angle = np.linspace(0, 2 * np.pi, 361)
        for radius, style in ((1.0, "-"), (np.sqrt(0.5), "--")):
            x, y = radius * np.cos(angle), radius * np.sin(angle)
            ax.plot(x, y, style, color=FAINT, linewidth=0.9, zorder=0)
        ax.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
        ax.axvline(0, color=FAINT, linewidth=0.6, zorder=0)

        points = np.concatenate(list(self.loadings.values()))
        owner = np.repeat(
            np.arange(len(self.loadings)), [len(a) for a in self.loadings.values()]
        )
        texts = [plain(n, 24) for names in self.names.values() for n in names]
        strong = np.argsort(-np.hypot(*points.T), kind="stable")[:n_labels]
        self.points_ = {}
        for i, view in enumerate(self.loadings):
            colour = COLOURS[i % len(COLOURS)]
            named = np.isin(np.flatnonzero(owner == i), strong)
            self.points_[view] = ax.scatter(
                *self.loadings[view].T,
                s=np.where(named, 24, 9),
                marker=MARKERS[i % len(MARKERS)],
                facecolors=colour if i == 0 else "white",
                edgecolors=colour,
                linewidths=0.9,
                alpha=np.where(named, 1.0, 0.55),
                label=legend_name(view),
                zorder=3,
            )
            for point in self.loadings[view][named]:
                ax.plot(*np.c_[[0, 0], point], color=colour, lw=0.5, alpha=0.5)
        first, second = self.components
        ax.set(
            xlabel=f"correlation with component {first}",
            ylabel=f"correlation with component {second}",
            xlim=(-1.12, 1.12),
            ylim=(-1.12, 1.12),
            aspect="equal",
        )
        ax.set_xticks([-1, -0.5, 0, 0.5, 1])
        ax.set_yticks([-1, -0.5, 0, 0.5, 1])
        clear_spines(ax)
        legend_above(ax, len(self.loadings))
        self.texts_ = place_labels(
            ax,
            points[strong],
            [texts[j] for j in strong],
            [COLOURS[owner[j] % len(COLOURS)] for j in strong],
            away=np.zeros(2),
            others=points,
        )
        return self
