"""`CrossViewHeatmapDisplay`: rows, columns or whole views against those of another."""

from textwrap import wrap

import numpy as np

from skmeta._compat import to_host
from skmeta.core.distances import unit_rows
from skmeta.core.gaussian import regression
from skmeta.exceptions import check_count
from skmeta.plotting._checks import (
    check_labels,
    check_mapper,
    check_numbers,
    check_views,
    named_loadings,
)
from skmeta.plotting._style import (
    COLOUR_MAP,
    import_matplotlib,
    is_dark,
    open_axes,
    plain,
    write_number,
)

MAX_NAMED = 40  # more names than these could not be read
MAX_WRITTEN = 15  # more cells to a side could not hold their numbers
MAX_CLASSES = 200


class CrossViewHeatmapDisplay:
    """What goes with what across two views, as a table of colours.

    Three questions have a constructor each: how near rows of one view come to rows, or
    classes, of the other (`from_estimator`); which columns correlate with which, as far
    as the shared space says (`from_columns`); and how much of its variance each view
    shares with each other one (`from_relations`).

    Parameters
    ----------
    values : array-like of shape (n_rows, n_columns)
        What is drawn.
    row_names, column_names : list of str, default=None
        Names beside and below; left out where they are more than 40.
    quantity : str, default=""
        What the values are.
    row_title, column_title : str, default=""
        What the rows and the columns are.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    image_ : AxesImage
    colorbar_ : Colorbar
    texts_ : list of Text
        Values in the cells, where they are at most 15 to a side.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import load_mfeat
    >>> from skmeta.plotting import CrossViewHeatmapDisplay
    >>> digits = load_mfeat()
    >>> views = digits.views[["fou", "kar"]]
    >>> mapper = CCAMapper(16).fit(views)
    >>> CrossViewHeatmapDisplay.from_estimator(
    ...     mapper, views, labels=digits.target
    ... ).values.shape
    (10, 10)
    """

    def __init__(
        self,
        values,
        *,
        row_names=None,
        column_names=None,
        quantity="",
        row_title="",
        column_title="",
    ):
        self.values = values
        self.row_names = row_names
        self.column_names = column_names
        self.quantity = quantity
        self.row_title = row_title
        self.column_title = column_title

    @classmethod
    def from_estimator(
        cls, mapper, X, y=None, *, views=None, labels=None, max_rows=200, ax=None
    ):
        """How near rows of one view come to rows of another in the shared space.

        Parameters
        ----------
        mapper : mapper
            Fitted.
        X, y
            As its ``transform_views`` takes them.
        views : tuple of two str, default=None
            The view of the rows and that of the columns of the picture; None for the
            first two.
        labels : array-like of shape (n_rows,), default=None
            A class for each row: cells are then means over all pairs of rows of two
            classes. None for single rows.
        max_rows : int, default=200
            Of more rows so many are drawn, at equal distances in their order. With
            labels all rows count.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        CrossViewHeatmapDisplay
            Of cosine similarities of coordinates.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        check_mapper(mapper, cls.__name__, "transform_views")
        max_rows = check_count("max_rows", max_rows)
        mapped = {n: to_host(Z) for n, Z in mapper.transform_views(X, y).items()}
        first, second = check_views(views, mapped, n=2)
        Z = [mapped[first], mapped[second]]
        there = [~np.isnan(rows).any(axis=1) for rows in Z]
        n = len(Z[0])
        if labels is None:
            rows = np.flatnonzero(there[0] & there[1])
            if len(rows) == 0:
                raise ValueError(f"No row has both {first!r} and {second!r}.")
            if len(rows) > max_rows:
                rows = rows[np.linspace(0, len(rows) - 1, max_rows).round().astype(int)]
            sides, names = [unit_rows(z[rows]) for z in Z], rows
        else:
            labels, names = check_labels(labels, n, limit=MAX_CLASSES)
            # A mean over pairs of rows is the product of the classes' mean rows.
            sides = [
                np.array([_mean_unit(z, mask & (labels == c), c, view) for c in names])
                for z, mask, view in zip(Z, there, (first, second), strict=True)
            ]
        names = [str(name) for name in names]
        return cls(
            sides[0] @ sides[1].T,
            row_names=names,
            column_names=names,
            quantity="cosine similarity" + ("" if labels is None else ", mean"),
            row_title=first,
            column_title=second,
        ).plot(ax=ax)

    @classmethod
    def from_columns(
        cls, mapper, *, views=None, n_columns=15, feature_names=None, ax=None
    ):
        """Which columns of one view correlate with which of another.

        As far as the shared space says: what the components do not hold is left out.
        With all components and no shrinkage these are the sample's correlations.

        Parameters
        ----------
        mapper : CCAMapper
            Fitted.
        views : tuple of two str, default=None
            The view of the rows and that of the columns of the picture; None for the
            first two.
        n_columns : int, default=15
            Columns of each view: those that correlate most with one of the other.
        feature_names : dict of str to list of str, default=None
            By view: names of its columns. Without, those of the DataFrame, or of what
            the view's transformer gives out, or their places.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        CrossViewHeatmapDisplay
            Of correlations.
        """
        import_matplotlib(f"{cls.__name__}.from_columns")
        check_mapper(mapper, cls.__name__, "loadings_")
        n_columns = check_count("n_columns", n_columns)
        loadings, names = named_loadings(mapper, views, feature_names, n=2)
        first, second = loadings
        values = _implied_correlations(mapper, loadings)
        size = np.abs(values)
        rows, columns = (
            np.sort(np.argsort(-size.max(axis=axis), kind="stable")[:n_columns])
            for axis in (1, 0)
        )
        return cls(
            values[np.ix_(rows, columns)],
            row_names=[names[first][j] for j in rows],
            column_names=[names[second][j] for j in columns],
            quantity="correlation through the shared space",
            row_title=first,
            column_title=second,
        ).plot(ax=ax)

    @classmethod
    def from_relations(cls, mapper, *, ax=None):
        """How much of its variance each view shares with each other one.

        Parameters
        ----------
        mapper : CCAMapper
            Fitted.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        CrossViewHeatmapDisplay
            Of ``view_relations_``: the share of a row's view that is common with the
            column's view, and on the diagonal what is common with no other.
        """
        import_matplotlib(f"{cls.__name__}.from_relations")
        check_mapper(mapper, cls.__name__, "view_relations_")
        relations = mapper.view_relations_
        names = list(relations)
        return cls(
            np.array([[relations[a][b] for b in names] for a in names]),
            row_names=names,
            column_names=names,
            quantity="share of variance",
            row_title="of the variance of",
            column_title="common with (diagonal: with no other)",
        ).plot(ax=ax)

    def plot(self, ax=None, *, cmap=COLOUR_MAP):
        """Draw the table of colours.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.
        cmap : str or Colormap, default="cividis"
            The default's lightness rises steadily, also without colour.

        Returns
        -------
        CrossViewHeatmapDisplay
            The display itself.
        """
        values = check_numbers(self.values, "values", ndim=2)
        n_rows, n_columns = values.shape
        written = max(values.shape) <= MAX_WRITTEN
        cell = 0.37 if written else 0.24
        size = [float(np.clip(cell * n, 2.2, 5.5)) for n in (n_columns, n_rows)]
        # Square cells leave room, which only the compressed layout takes away.
        ax = open_axes(self, ax, (size[0] + 2.0, size[1] + 1.1), "compressed")
        self.image_ = ax.imshow(values, cmap=cmap, aspect="equal")
        self.colorbar_ = ax.figure.colorbar(self.image_, ax=ax, shrink=0.8)
        quantity = "\n".join(wrap(self.quantity, 24))  # as long as few rows are high
        self.colorbar_.set_label(quantity)
        self.colorbar_.outline.set_visible(False)
        self._name(ax, "y", self.row_names, n_rows)
        self._name(ax, "x", self.column_names, n_columns)
        ax.set(xlabel=plain(self.column_title, 60), ylabel=plain(self.row_title, 60))
        ax.spines[:].set_visible(False)
        self.texts_ = []
        if written:
            for (i, j), value in np.ndenumerate(values):
                text = write_number(value)
                colour = "white" if is_dark(self.image_, value) else "black"
                placed = dict(ha="center", va="center", fontsize="x-small")
                self.texts_.append(ax.text(j, i, text, color=colour, **placed))
        return self

    def _name(self, ax, axis, names, n):
        set_ticks = ax.set_yticks if axis == "y" else ax.set_xticks
        if names is None or n > MAX_NAMED:
            set_ticks([])
            return
        names = [plain(name, 24) for name in names]
        set_ticks(range(n), names, fontsize="small")
        if axis == "x" and max(map(len, names)) > 3:
            ax.tick_params(axis="x", rotation=90)
        ax.tick_params(axis=axis, length=0)


def _mean_unit(Z, rows, label, view):
    if not rows.any():
        raise ValueError(
            f"No row of class {str(label)!r} has the view {view!r}; leave it out."
        )
    return unit_rows(Z[rows]).mean(axis=0)


def _implied_correlations(mapper, loadings):
    """``L_a C_aa^+ C_ab C_bb^+ L_b'``, L loadings and C covariances of scores.

    Each view's columns are regressed on its own scores, which have unit variance.
    """
    names, covariance = list(mapper.loadings_), to_host(mapper.score_covariance_)
    k = len(covariance) // len(names)
    own = [np.arange(k) + names.index(name) * k for name in loadings]
    left, right = (
        regression(covariance[np.ix_(s, s)], array.T)  # (k, p)
        for s, array in zip(own, loadings.values(), strict=True)
    )
    return left.T @ covariance[np.ix_(*own)] @ right
