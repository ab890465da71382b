"""`PairsCurveDisplay`: how good a mapping is by the number of pairs it has seen."""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import GroupKFold, KFold, check_cv, cross_val_score
from sklearn.utils import check_random_state

from skmeta._compat import num_rows
from skmeta.mapping._folds import read_splits
from skmeta.plotting._curve import draw_curve
from skmeta.plotting._style import import_matplotlib

MARK = "skmeta-pairs-curve"  # curves of other calls in the same axes


class PairsCurveDisplay:
    """Held-out score against the number of training pairs.

    Several estimators are drawn in one picture by passing ``ax=display.ax_``.

    Parameters
    ----------
    n_pairs : ndarray of shape (n_sizes,)
        Numbers of training pairs, ascending.
    scores : ndarray of shape (n_sizes, n_repetitions)
        Held-out scores.
    name : str, default=None
        What the legend calls them.
    quantity : str, default="held-out score"
        What the scores are.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    line_ : Line2D
        Means over repetitions.
    band_ : FillBetweenPolyCollection
        Means plus and minus the standard deviation over repetitions.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Of training scores too.

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.plotting import PairsCurveDisplay
    >>> views = make_paired_views(300, random_state=0).views
    >>> display = PairsCurveDisplay.from_estimator(
    ...     CCAMapper(2), views, n_pairs=(50, 100, 200), cv=3, random_state=0
    ... )
    >>> display.scores.shape
    (3, 3)
    """

    def __init__(self, n_pairs, scores, *, name=None, quantity="held-out score"):
        self.n_pairs = n_pairs
        self.scores = scores
        self.name = name
        self.quantity = quantity

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        n_pairs=None,
        cv=5,
        scoring=None,
        groups=None,
        random_state=None,
        n_jobs=None,
        name=None,
        quantity=None,
        ax=None,
    ):
        """Fit to more and more pairs of each training fold, and score the other rows.

        Parameters
        ----------
        estimator : mapper or CrossModalRetriever
            Clones are fitted.
        X, y
            As its ``fit`` and ``score`` take them.
        n_pairs : sequence of int, default=None
            Numbers of pairs; None for six from 5 % of the smallest training fold to all
            of it, each larger by the same factor.
        cv : int, splitter or iterable, default=5
            Each split is a repetition; an int for so many folds of shuffled rows, or,
            with groups, of shuffled groups.
        scoring : str or callable, default=None
            Such as `skmeta.metrics.RetrievalScorer`; None for the estimator's
            ``score``.
        groups : array-like of shape (n_rows,), default=None
            Labels of rows that stay together, for the splitter.
        random_state : int, RandomState instance or None, default=None
            Which pairs are taken first. The smaller sets are parts of the larger ones.
        n_jobs : int, default=None
            Fits at a time.
        name : str, default=None
            None for the name of the estimator's class.
        quantity : str, default=None
            What to call the score, on the axis.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        PairsCurveDisplay

        Raises
        ------
        ValueError
            If a number of pairs is beyond the smallest training fold.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        random = check_random_state(random_state)
        splits = read_splits(_splits(cv, X, y, groups, random), num_rows(X))
        splits = [(random.permutation(train), test) for train, test in splits]
        sizes = _check_sizes(n_pairs, min(len(train) for train, _ in splits))
        scores = cross_val_score(
            clone(estimator),
            X,
            y,
            scoring=check_scoring(estimator, scoring),
            cv=[(train[:n], test) for n in sizes for train, test in splits],
            n_jobs=n_jobs,
            error_score="raise",
        ).reshape(len(sizes), len(splits))
        display = cls(
            sizes,
            scores,
            name=type(estimator).__name__ if name is None else name,
            quantity="held-out score" if quantity is None else quantity,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw the curve.

        Parameters
        ----------
        ax : Axes, default=None
            None for a new figure. In axes that have curves of this kind, the next
            colour, marker and style of line are taken.

        Returns
        -------
        PairsCurveDisplay
            The display itself.
        """
        sizes, scores = np.asarray(self.n_pairs), np.asarray(self.scores, dtype=float)
        deviation = scores.std(axis=1, ddof=1 if scores.shape[1] > 1 else 0)
        return draw_curve(
            self,
            ax,
            sizes,
            scores.mean(axis=1),
            deviation,
            mark=MARK,
            xlabel="training pairs",
        )


def _splits(cv, X, y, groups, random):
    rows = np.zeros(num_rows(X))  # splitters look at how many rows there are
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        folds = KFold if groups is None else GroupKFold
        cv = folds(cv, shuffle=True, random_state=random)
    labels = None if y is None or np.ndim(y) > 1 else y
    return check_cv(cv).split(rows, labels, groups)


def _check_sizes(n_pairs, most):
    if n_pairs is None:
        smallest = min(most, max(10, most // 20))
        return np.unique(np.geomspace(smallest, most, 6).round().astype(int))
    sizes = np.sort(np.atleast_1d(np.asarray(n_pairs)))
    if sizes.dtype.kind not in "iu" or sizes.ndim != 1 or len(sizes) == 0:
        raise TypeError(f"n_pairs must be integers; got {n_pairs!r}.")
    if sizes[0] < 2 or sizes[-1] > most:
        raise ValueError(
            f"n_pairs must lie between 2 and {most}, the rows of the smallest training "
            f"fold; got {sizes.tolist()}."
        )
    return sizes
