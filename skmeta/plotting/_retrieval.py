"""`RetrievalDisplay`: what a retriever finds, query by query."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import num_rows
from skmeta.exceptions import check_count
from skmeta.plotting._items import check_item, check_items, draw_item
from skmeta.plotting._style import COLOURS, QUIET, import_matplotlib, open_axes

MAX_QUERIES = 30
MAX_RANK = 10_000  # beyond it the place of the right answer is not sought

# Sizes in cells: a cell holds one hit, its margin, and its number below.
MARGIN, FOOT, HEAD = 0.06, 0.2, 0.25
CELL_INCHES = 0.95
TEXT_CELL_INCHES = 1.35


class RetrievalDisplay:
    """A sheet of queries and what is found for each, the nearest first.

    Right hits have a thick frame and a tick. Items are images, texts, or curves.

    Parameters
    ----------
    queries : list of str or ndarray
        An item for each query: a text, an image (height, width[, channels]), or a curve
        of numbers.
    hits : list of list of str or ndarray
        Items found for each query.
    distances : ndarray of shape (n_queries, n_hits), default=None
        Written below the hits.
    correct : ndarray of bool of shape (n_queries, n_hits), default=None
        Which hits are right.
    ranks : ndarray of int of shape (n_queries,), default=None
        Place of the first right answer in the whole gallery, 0 where it is not known;
        written below a query of which no hit is right.
    n_gallery : int, default=None
        Rows of the gallery.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    query_artists_ : list of artists
    hit_artists_ : list of list of artists
        AxesImage, Text, or FillBetweenPolyCollection.
    frames_ : list of list of Rectangle
    ticks_ : list of Line2D
        One for each right hit.
    texts_ : list of Text
        Distances, row by row.

    See Also
    --------
    skmeta.CrossModalRetriever : Finds the hits.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta import CCAMapper, CrossModalRetriever
    >>> from skmeta.datasets import load_mfeat
    >>> from skmeta.plotting import RetrievalDisplay
    >>> digits = load_mfeat().views[["fou", "pix"]][::20]
    >>> retriever = CrossModalRetriever(CCAMapper(16)).fit(digits)
    >>> images = digits["pix"].reshape(-1, 16, 15)
    >>> display = RetrievalDisplay.from_estimator(
    ...     retriever, digits["fou"][:4], gallery_items=images, correct=np.arange(4)
    ... )
    """

    def __init__(
        self,
        queries,
        hits,
        *,
        distances=None,
        correct=None,
        ranks=None,
        n_gallery=None,
    ):
        self.queries = queries
        self.hits = hits
        self.distances = distances
        self.correct = correct
        self.ranks = ranks
        self.n_gallery = n_gallery

    @classmethod
    def from_estimator(
        cls,
        retriever,
        queries,
        *,
        gallery_items,
        query_items=None,
        n_hits=5,
        correct=None,
        scores=True,
        cmap="gray",
        ax=None,
    ):
        """Ask a fitted retriever and draw what it finds.

        Parameters
        ----------
        retriever : CrossModalRetriever
            Fitted, with its gallery.
        queries : array-like, DataFrame or list of str
            At most 30 rows of the query view, as ``kneighbors`` takes them.
        gallery_items : sequence, or dict of id to item
            What to draw of each gallery row, in the order of ``gallery_ids_``: texts,
            images of shape (height, width[, channels]), or curves of numbers.
        query_items : sequence, default=None
            The same of each query. None for the queries themselves where they are
            texts or images, else their numbers.
        n_hits : int, default=5
            Hits of each query.
        correct : sequence, default=None
            The id of the right gallery row of each query, or a set of ids where several
            are right. Hits are then marked.
        scores : bool, default=True
            Whether distances are written below the hits.
        cmap : str or Colormap, default="gray"
            For images without colours.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        RetrievalDisplay

        Raises
        ------
        ValueError
            If items or right ids are not one for each row, or an image cannot be drawn.
        TypeError
            If an item is neither text, image nor curve.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        if not hasattr(retriever, "kneighbors"):
            raise TypeError(
                f"{cls.__name__} draws what a fitted CrossModalRetriever finds; got a "
                f"{type(retriever).__name__}. CrossModalRetriever(FrozenEstimator("
                "mapper)) takes a fitted mapper as it is."
            )
        check_is_fitted(retriever)
        n, n_hits = num_rows(queries), check_count("n_hits", n_hits)
        if n > MAX_QUERIES:
            raise ValueError(
                f"{n} queries are too many for one sheet, which holds {MAX_QUERIES}; "
                "choose some of them."
            )
        gallery_ids = retriever.gallery_ids_
        items = _by_id(gallery_items, gallery_ids)
        right = None if correct is None else _sets(correct, n, gallery_ids)
        deep = n_hits
        if right is not None:
            deep = max(n_hits, min(len(gallery_ids), MAX_RANK))
        distances, ids = retriever.kneighbors(queries, n_neighbors=deep)
        found = ranks = None
        if right is not None:
            pairs = zip(ids.tolist(), right, strict=True)
            found = np.array([[i in wanted for i in row] for row, wanted in pairs])
            ranks = np.where(found.any(axis=1), 1 + found.argmax(axis=1), 0)
            found = found[:, :n_hits]
        if query_items is None:
            query_items = _own_items(queries)
        display = cls(
            check_items(query_items, "query_items", n),
            [[_item(items, i) for i in row] for row in ids[:, :n_hits].tolist()],
            distances=distances[:, :n_hits],
            correct=found,
            ranks=ranks,
            n_gallery=len(gallery_ids),
        )
        return display.plot(ax=ax, scores=scores, cmap=cmap)

    def plot(self, ax=None, *, scores=True, cmap="gray"):
        """Draw the sheet.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure.
        scores : bool, default=True
            Whether distances are written below the hits.
        cmap : str or Colormap, default="gray"
            For images without colours.

        Returns
        -------
        RetrievalDisplay
            The display itself.
        """
        n, k = len(self.hits), len(self.hits[0])
        texts = any(isinstance(hit, str) for row in self.hits for hit in row)
        wide = 2.2 if all(isinstance(q, str) for q in self.queries) else 1.6
        foot = FOOT if scores and self.distances is not None else 0.04
        height, width = n * (1 + foot) + HEAD, wide + k
        inches = TEXT_CELL_INCHES if texts else CELL_INCHES
        ax = open_axes(self, ax, (width * inches + 0.2, height * inches + 0.2))
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        ax.axis("off")
        # Settles the layout: cells have a size in points from here on.
        ax.figure.figure.draw_without_rendering()
        extent = ax.get_window_extent()
        cell = extent.width / width * 72 / ax.figure.dpi
        self._sheet = dict(cell=cell, cmap=cmap, foot=foot, wide=wide)
        limits = _limits(self.queries), _limits(hit for row in self.hits for hit in row)
        self.query_artists_, self.hit_artists_ = [], []
        self.frames_, self.ticks_, self.texts_ = [], [], []
        for j in range(k):
            ax.text(wide + j + 0.5, HEAD / 2, str(j + 1), **_small(cell))
        if foot == FOOT:
            note = _small(cell) | dict(ha="left")
            ax.text(MARGIN, HEAD / 2, "below a hit: distance", **note)
        for i in range(n):
            self._draw_row(ax, i, HEAD + i * (1 + foot), *limits)
        ax.set(xlim=(0, width), ylim=(height, 0))  # images have set their own
        return self

    def _draw_row(self, ax, i, top, query_limits, hit_limits):
        cell, cmap, foot, wide = (
            self._sheet[n] for n in ("cell", "cmap", "foot", "wide")
        )
        note = self._note(i)
        bottom = top + (0.78 if note else 1.0) - MARGIN
        query = self.queries[i]
        space = 0.08 if isinstance(query, str) else 0.2
        box = (MARGIN, wide - space, bottom, top + MARGIN)
        if not isinstance(query, str):
            box = (MARGIN, MARGIN + bottom - top - MARGIN, bottom, top + MARGIN)
        style = dict(cmap=cmap, limits=query_limits, align="left")
        self.query_artists_.append(draw_item(ax, query, box, cell, **style))
        if note:
            ax.text(MARGIN, top + 0.86, note, **_small(cell) | dict(ha="left"))
        artists, frames = [], []
        for j, hit in enumerate(self.hits[i]):
            right = self.correct is not None and bool(self.correct[i][j])
            left = wide + j
            frames.append(self._frame(ax, left, top, right))
            inner = 1.7 * MARGIN
            box = (left + inner, left + 1 - inner, top + 1 - inner, top + inner)
            style = dict(cmap=cmap, limits=hit_limits)
            artists.append(draw_item(ax, hit, box, cell, **style))
            if foot == FOOT:
                text = _write(self.distances[i][j])
                self.texts_.append(
                    ax.text(left + 0.5, top + 1 + foot / 2 - 0.03, text, **_small(cell))
                )
        self.hit_artists_.append(artists)
        self.frames_.append(frames)

    def _note(self, i):
        """Where the right answer is, if no hit is it."""
        if self.ranks is None or self.correct[i].any():
            return ""
        of = "" if self.n_gallery is None else f" of {self.n_gallery:,}"
        if self.ranks[i] == 0:
            return f"right: not in the first {MAX_RANK:,}"
        return f"right: place {self.ranks[i]:,}{of}"

    def _frame(self, ax, left, top, right):
        from matplotlib.patches import Rectangle

        corner, side = (left + MARGIN, top + MARGIN), 1 - 2 * MARGIN
        style = dict(ec=COLOURS[0], lw=3) if right else dict(ec="0.85", lw=0.8)
        frame = ax.add_patch(Rectangle(corner, side, side, fc="none", **style))
        if right:  # a tick on a disc in the upper right corner, a mark without colour
            x, y = left + 1 - 1.6 * MARGIN, top + 1.6 * MARGIN
            ax.plot(x, y, "o", color=COLOURS[0], ms=11, zorder=4)
            self.ticks_ += ax.plot(
                [x - 0.05, x - 0.015, x + 0.05],
                [y + 0.005, y + 0.04, y - 0.04],
                color="white",
                lw=1.6,
                zorder=5,
            )
        return frame


def _small(cell):
    size = float(np.clip(cell * 0.12, 6, 8.5))
    return dict(ha="center", va="center", fontsize=size, color=QUIET)


def _write(distance):
    """Two decimals, or of what these would not tell from 0 two digits."""
    return f"{distance:.2f}" if not 0 < abs(distance) < 0.1 else f"{distance:.2g}"


def _limits(items):
    """Smallest and largest value of the images without colours."""
    grey = [item for item in items if not isinstance(item, str) and item.ndim == 2]
    if not grey:
        return 0.0, 1.0
    return min(float(g.min()) for g in grey), max(float(g.max()) for g in grey)


def _by_id(items, ids):
    if isinstance(items, Mapping):
        return items
    items = list(items) if not hasattr(items, "__len__") else items
    if isinstance(items, str) or len(items) != len(ids):
        raise ValueError(
            f"gallery_items has {len(items)} entries, but the gallery has {len(ids)} "
            "rows; items are one per gallery row, in the order of gallery_ids_, or a "
            "dict of id to item."
        )
    return _Aligned(items, {i: row for row, i in enumerate(np.asarray(ids).tolist())})


class _Aligned:
    """Items of a sequence, by the id of their gallery row."""

    def __init__(self, items, rows):
        self.items = getattr(items, "to_numpy", lambda: items)()
        self.rows = rows

    def __getitem__(self, key):
        return self.items[self.rows[key]]


def _item(items, key):
    try:
        item = items[key]
    except KeyError:
        raise ValueError(
            f"gallery_items has nothing for id {key!r}, which was found."
        ) from None
    return check_item(item, f"gallery_items[{key!r}]")


def _listed(rows):
    """What an array or Series has, as a list; anything else as it is."""
    return getattr(rows, "to_list", getattr(rows, "tolist", lambda: rows))()


def _sets(correct, n, ids):
    """The right ids of each query, as sets."""
    if isinstance(correct, str) or not hasattr(correct, "__len__"):
        raise TypeError(
            "correct holds an id, or a set of ids, for each query; got a "
            f"{type(correct).__name__}."
        )
    right = [
        set(entry) if isinstance(entry, set | frozenset | list | tuple) else {entry}
        for entry in map(_listed, _listed(correct))
    ]
    if len(right) != n:
        raise ValueError(
            f"correct has {len(right)} entries, but there are {n} queries; it names "
            "the right gallery row, or a set of them, for each query."
        )
    known = set(np.asarray(ids).tolist())
    for i, wanted in enumerate(right):
        if not wanted & known:
            raise ValueError(
                f"correct[{i}] is {sorted(wanted, key=repr)}, of which the gallery has "
                "none; it holds ids as kneighbors returns them."
            )
    return right


def _own_items(queries):
    """The queries themselves where they can be looked at, else their numbers."""
    listed = _listed(queries)
    if isinstance(listed, list) and all(isinstance(q, str) for q in listed):
        return listed
    if getattr(queries, "ndim", 0) > 2:
        return queries
    return [f"query {i}" for i in range(num_rows(queries))]
