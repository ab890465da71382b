"""`AdaptationCurveDisplay`: how good a learner is by what it is adapted to."""

from collections.abc import Iterable

import numpy as np
from sklearn.base import is_regressor

from skmeta.exceptions import check_count
from skmeta.metrics import EpisodicScorer
from skmeta.metrics._episodic import half_width, last_step
from skmeta.plotting._curve import draw_curve
from skmeta.plotting._style import import_matplotlib

MARK = "skmeta-adaptation-curve"  # curves of other calls in the same axes


class AdaptationCurveDisplay:
    """Score on new classes or tasks against the rows, or steps, of adapting to them.

    Several learners are drawn in one picture by passing ``ax=display.ax_``.

    Parameters
    ----------
    sizes : ndarray of shape (n_sizes,)
        Rows of each new class (of a new task, for a regressor), or steps; ascending.
    scores : ndarray of shape (n_sizes, n_episodes)
        Of each episode.
    against : {"rows", "steps"}, default="rows"
        What ``sizes`` are.
    name : str, default=None
        What the legend calls them.
    quantity : str, default="accuracy on new classes"
        What the scores are.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    line_ : Line2D
        Means over episodes.
    band_ : FillBetweenPolyCollection
        Their 95 % intervals.

    See Also
    --------
    skmeta.metrics.EpisodicScorer : What scores the episodes.

    Examples
    --------
    >>> from skmeta import MetricFewShotClassifier
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> from skmeta.plotting import AdaptationCurveDisplay
    >>> made = make_few_shot_tasks(random_state=0)
    >>> seen = made.y < 40
    >>> learner = MetricFewShotClassifier(encoder="whitened", random_state=0)
    >>> learner.fit(made.X[seen], made.y[seen])
    MetricFewShotClassifier(...)
    >>> display = AdaptationCurveDisplay.from_estimator(
    ...     learner, made.X[~seen], made.y[~seen], k_shot=(1, 5, 10), n_query=5
    ... )
    >>> display.scores.shape
    (3, 100)
    """

    def __init__(
        self,
        sizes,
        scores,
        *,
        against="rows",
        name=None,
        quantity="accuracy on new classes",
    ):
        self.sizes = sizes
        self.scores = scores
        self.against = against
        self.name = name
        self.quantity = quantity

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        task=None,
        k_shot=(1, 2, 5, 10),
        n_steps=None,
        n_way=5,
        n_query=15,
        n_episodes=100,
        random_state=0,
        name=None,
        quantity=None,
        ax=None,
    ):
        """Adapt in episodes of rows that the learner has not seen, and score.

        Parameters
        ----------
        estimator : estimator
            A fitted few-shot learner, or a Pipeline that ends with one. Of any other
            classifier or regressor a clone is fitted to each support.
        X : array-like of shape (n_rows, ...)
        y : array-like of shape (n_rows,)
            Labels of new classes; numbers for a regressor.
        task : array-like of shape (n_rows,), default=None
            An episode is then of one task.
        k_shot : int or sequence of int, default=(1, 2, 5, 10)
            Rows of each class to adapt to; of a task, for a regressor.
        n_steps : sequence of int, default=None
            Inner steps of a learner that has an inner loop: they are then what the
            curve is against, and ``k_shot`` is one number.
        n_way, n_query, n_episodes, random_state
            As `skmeta.metrics.EpisodicScorer` has them.
        name : str, default=None
            None for the name of the learner's class.
        quantity : str, default=None
            What to call the score, on the axis.
        ax : Axes, default=None
            None for a new figure.

        Returns
        -------
        AdaptationCurveDisplay

        Raises
        ------
        ValueError
            If no episode can be made of the rows, or ``n_steps`` is given for a learner
            without an inner loop.
        TypeError
            If not one of ``k_shot`` and ``n_steps`` is a sequence.
        """
        import_matplotlib(f"{cls.__name__}.from_estimator")
        by_steps = n_steps is not None
        name_of_sizes, sizes = ("n_steps", n_steps) if by_steps else ("k_shot", k_shot)
        sizes = _sizes(name_of_sizes, sizes)
        scores = []
        for size in sizes.tolist():
            scorer = EpisodicScorer(
                n_way=n_way,
                k_shot=k_shot if by_steps else size,
                n_query=n_query,
                n_episodes=n_episodes,
                random_state=random_state,
            )
            steps = size if by_steps else None
            found = scorer.evaluate(estimator, X, y, task=task, n_steps=steps)
            scores.append(found.scores)
        learner = last_step(estimator)
        if quantity is None:
            quantity = (
                "minus the squared error on new tasks"
                if is_regressor(learner)
                else "accuracy on new classes"
            )
        display = cls(
            sizes,
            np.array(scores),
            against="steps" if by_steps else "rows",
            name=type(learner).__name__ if name is None else name,
            quantity=quantity,
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
        AdaptationCurveDisplay
            The display itself.
        """
        scores = np.asarray(self.scores, dtype=float)
        by_steps = self.against == "steps"
        return draw_curve(
            self,
            ax,
            np.asarray(self.sizes),
            scores.mean(axis=1),
            half_width(scores),
            mark=MARK,
            xlabel="inner steps" if by_steps else "rows to adapt to, of each",
            log=not by_steps,
        )


def _sizes(name, sizes):
    """Numbers along the axis, ascending."""
    if not isinstance(sizes, Iterable) or isinstance(sizes, str):
        raise TypeError(f"{name} must be a sequence of integers; got {sizes!r}.")
    least = 0 if name == "n_steps" else 1
    return np.unique([check_count(name, size, least) for size in sizes])
