"""`SharedSpaceDisplay`: rows of all views in two components."""

from itertools import compress

import numpy as np

from skmeta._compat import to_host
from skmeta.exceptions import check_count
from skmeta.plotting._checks import (
    check_components,
    check_labels,
    check_mapper,
    check_views,
)
from skmeta.plotting._place import place_labels
from skmeta.plotting._style import (
    COLOURS,
    FAINT,
    MARKERS,
    QUIET,
    clear_spines,
    import_matplotlib,
    legend_above,
    legend_name,
    open_axes,
    plain,
)


class SharedSpaceDisplay:
    """Rows of every view in two components of the shared space, partners joined.

    The shorter the lines, the nearer a row's views have come to each other.

    Parameters
    ----------
    coordinates : dict of str to ndarray of shape (n_rows, 2)
        By view; NaN in rows that lack it.
    components : tuple of two int, default=(0, 1)
        Which components these are.
    labels : array-like of shape (n_rows,), default=None
        A class for each row, of at most 7.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    points_ : dict of str to PathCollection, or list of PathCollection
        By view, or with labels by view and class, in order.
    lines_ : LineCollection or None
        One line from each row's view to the middle of its views.
    texts_ : list of Annotation
        Names of the classes.

    See Also
    --------
    skmeta.CCAMapper.transform_views : The coordinates.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.plotting import SharedSpaceDisplay
    >>> views = make_paired_views(60, random_state=0).views
    >>> mapper = CCAMapper(2).fit(views)
    >>> display = SharedSpaceDisplay.from_estimator(mapper, views)
    >>> display.coordinates["view0"].shape
    (60, 2)
    """

    def __init__(self, coordinates, *, components=(0, 1), labels=None):
        self.coordinates = coordinates
        self.components = components
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        mapper,
        X,
        y=None,
        *,
        components=(0, 1),
        labels=None,
        views=None,
        lines=True,
        max_rows=500,
        ax=None,
    ):
        """Map rows and draw them.

        Parameters
        ----------
        mapper : mapper
            Fitted.
        X, y
            As its ``transform_views`` takes them.
        components : tuple of two int, default=(0, 1)
            Those on the two axes.
        labels : array-like of shape (n_rows,), default=None
            A class for each row, of at most 7, which chooses the colour. None for one
            colour a view.
        views : list of str, default=None
            The views to draw; None for all.
        lines : bool, default=True
            Whether partners are joined.
        max_rows : int, default=500
            Of more rows so many are drawn, at equal distances in their order.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        SharedSpaceDisplay

        Raises
        ------
        ValueError
            If a component or a view does not exist, labels are not one per row or of
            too many classes, or no row can be drawn.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        check_mapper(mapper, cls.__name__, "transform_views")
        components = check_components(components, len(mapper.correlations_), n=2)
        max_rows = check_count("max_rows", max_rows)
        mapped = {n: to_host(Z) for n, Z in mapper.transform_views(X, y).items()}
        n_rows = len(next(iter(mapped.values())))
        if labels is not None:
            labels, _ = check_labels(labels, n_rows)
        rows = np.arange(n_rows)
        if n_rows > max_rows:
            rows = np.linspace(0, n_rows - 1, max_rows).round().astype(int)
        coordinates = {
            name: mapped[name][np.ix_(rows, components)]
            for name in check_views(views, mapped)
        }
        display = cls(
            coordinates,
            components=components,
            labels=None if labels is None else labels[rows],
        )
        return display.plot(ax=ax, lines=lines)

    def plot(self, ax=None, *, lines=True):
        """Draw the rows.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.
        lines : bool, default=True
            Whether partners are joined.

        Returns
        -------
        SharedSpaceDisplay
            The display itself.
        """
        ax = open_axes(self, ax, (5.2, 4.4))
        stacked = np.stack(list(self.coordinates.values()), axis=1)  # (n, m, 2)
        self.lines_ = self._draw_lines(ax, stacked) if lines else None
        size = float(np.clip(4000 / len(stacked), 9, 36))
        self.texts_ = []
        if self.labels is None:
            self.points_ = {
                name: self._scatter(ax, i, Z, COLOURS[i % len(COLOURS)], size, name)
                for i, (name, Z) in enumerate(self.coordinates.items())
            }
        else:
            self._draw_classes(ax, stacked, size)
        first, second = self.components
        ax.set(xlabel=f"component {first}", ylabel=f"component {second}")
        clear_spines(ax)
        legend_above(ax, len(self.coordinates))
        if self.labels is not None:
            self.texts_ = self._name_classes(ax, stacked)
        return self

    def _draw_lines(self, ax, stacked):
        from matplotlib.collections import LineCollection

        there = ~np.isnan(stacked).any(axis=2)  # (n, m)
        joined = there.sum(axis=1) > 1
        middle = np.where(there[..., None], stacked, 0)[joined].sum(axis=1)
        middle /= there[joined].sum(axis=1, keepdims=True)
        row, view = np.nonzero(there[joined])
        segments = np.stack([stacked[joined][row, view], middle[row]], axis=1)
        artist = LineCollection(segments, colors=FAINT, linewidths=0.6, zorder=1)
        return ax.add_collection(artist)

    def _scatter(self, ax, i, Z, colour, size, name=None):
        """Points of one view: filled for the first, hollow for the others."""
        return ax.scatter(
            *Z.T,
            s=size,
            marker=MARKERS[i % len(MARKERS)],
            facecolors=colour if i == 0 else "white",
            edgecolors=colour,
            linewidths=0.0 if i == 0 else 0.9,
            label=None if name is None else legend_name(name),
            zorder=3 if i == 0 else 2,
        )

    def _draw_classes(self, ax, stacked, size):
        labels, classes = check_labels(self.labels, len(stacked))
        self.points_ = []
        for i, (name, Z) in enumerate(self.coordinates.items()):
            for label, colour in zip(classes, COLOURS, strict=False):
                points = self._scatter(ax, i, Z[labels == label], colour, size)
                self.points_.append(points)
            # The legend tells the shapes apart; colours have names in the picture.
            self._scatter(ax, i, np.full((1, 2), np.nan), QUIET, size, name)

    def _name_classes(self, ax, stacked):
        labels, classes = check_labels(self.labels, len(stacked))
        # A class may lack the views that are drawn, and has no place then.
        seen = [not np.isnan(stacked[labels == c]).all() for c in classes]
        classes = classes[seen]
        middles = [np.nanmedian(stacked[labels == c], axis=(0, 1)) for c in classes]
        everything = stacked.reshape(-1, 2)
        return place_labels(
            ax,
            np.array(middles),
            [plain(label) for label in classes],
            list(compress(COLOURS, seen)),
            centred=True,
            others=everything[~np.isnan(everything).any(axis=1)],
            weight="bold",
            fontsize="medium",
        )
