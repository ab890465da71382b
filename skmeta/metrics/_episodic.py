"""How well a learner tells new classes apart after a few rows of each."""

import numpy as np
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.metadata_routing import MetadataRequest
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmeta._compat import safe_indexing
from skmeta.core.episodes import draw_episodes, eligible_tasks, pool_of, trials
from skmeta.exceptions import check_count
from skmeta.model_selection._splitters import checked_pool, read_split_labels
from skmeta.views._labels import read_labels

Z_95 = 1.959964  # of the normal distribution: 95 % are within


class EpisodicScorer:
    """A scorer for `GridSearchCV`: accuracy on episodes of classes never seen.

    Episodes are drawn from the rows that are scored. In each the estimator adapts to a
    support of a few rows of a few classes, and predicts others of the same classes. All
    candidates of a search are judged by the same episodes.

    Parameters
    ----------
    n_way : int, default=5
        Classes of an episode.
    k_shot : int, default=1
        Rows of each class in the support. For a regressor: rows in the support.
    n_query : int, default=15
        Rows of each class in the query.
    n_episodes : int, default=100
        Number of episodes.
    random_state : int, default=0
        The same int draws the same episodes.

    See Also
    --------
    skmeta.model_selection.ClassDisjointKFold : Folds without a class in common.
    skmeta.model_selection.EpisodeSplit : Episodes as folds, for any scorer.

    Notes
    -----
    ``scorer(estimator, X, y)`` takes a fitted few-shot learner, or a Pipeline that ends
    with one: its transformers stay as they are and its last step is adapted. Of any
    other classifier a clone is fitted to each support: what learning over tasks is
    to be compared with. A regressor's score is minus the mean squared error, and its
    episodes are random rows, or with ``task`` rows of one task.

    Classes with too few rows give what they have, as in
    `skmeta.model_selection.EpisodeSplit`.

    A search hands ``task`` on to ``fit`` of a learner, but not to a scorer: where a
    learner was fitted by task, the scorer asks for `set_score_request`.

    Examples
    --------
    >>> from skmeta import MetricFewShotClassifier
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> from skmeta.metrics import EpisodicScorer
    >>> made = make_few_shot_tasks(random_state=0)
    >>> seen = made.y < 40
    >>> learner = MetricFewShotClassifier(encoder="whitened", random_state=0)
    >>> learner.fit(made.X[seen], made.y[seen])
    MetricFewShotClassifier(...)
    >>> scorer = EpisodicScorer(n_way=5, k_shot=1)
    >>> found = scorer.evaluate(learner, made.X[~seen], made.y[~seen])
    >>> print(f"{found.mean:.2f} +- {found.half_width:.2f}")
    0.79 +- 0.03
    """

    def __init__(
        self, *, n_way=5, k_shot=1, n_query=15, n_episodes=100, random_state=0
    ):
        check_count("n_way", n_way, least=2)
        check_count("k_shot", k_shot)
        check_count("n_query", n_query)
        check_count("n_episodes", n_episodes, least=2)
        check_count("random_state", random_state, least=0)
        self.n_way = n_way
        self.k_shot = k_shot
        self.n_query = n_query
        self.n_episodes = n_episodes
        self.random_state = random_state
        self._wants_task = None

    def __repr__(self):
        given = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_"
        )
        return f"EpisodicScorer({given})"

    def __call__(self, estimator, X, y, *, task=None):
        """The mean score of the episodes: greater is better."""
        learner = last_step(estimator)
        by_task = self._wants_task or getattr(learner, "_learned_by_task", False)
        if by_task and task is None and self._wants_task is not False:
            raise ValueError(
                f"{type(learner).__name__} learned by task, and the scorer is given no "
                "tasks. For episodes of one task each turn on metadata routing, "
                "sklearn.set_config(enable_metadata_routing=True), and take "
                "EpisodicScorer(...).set_score_request(task=True); for episodes of all "
                "rows together set_score_request(task=False)."
            )
        return self.evaluate(estimator, X, y, task=task).mean

    def set_score_request(self, *, task):
        """Say whether a search is to hand on ``task`` to the scorer.

        Parameters
        ----------
        task : bool, str or None
            True: episodes are of one task each. False: of all rows together, also
            where the learner was fitted by task. A name is that under which ``fit`` of
            the search has the tasks. None: a search with metadata routing raises where
            it is given ``task``.

        Returns
        -------
        EpisodicScorer
            The scorer itself.
        """
        self._wants_task = task
        return self

    def get_metadata_routing(self):
        """What a search is to hand on.

        Returns
        -------
        MetadataRequest
            A request of ``task`` for ``score``.
        """
        request = MetadataRequest(owner=self)
        request.score.add_request(param="task", alias=self._wants_task)
        return request

    def evaluate(self, estimator, X, y, *, task=None, n_steps=None):
        """Scores of all episodes.

        Parameters
        ----------
        estimator : estimator
            Fitted, where it is a few-shot learner.
        X : array-like of shape (n_rows, ...)
        y : array-like of shape (n_rows,)
            Labels; numbers for a regressor.
        task : array-like of shape (n_rows,), default=None
            An episode is of one task, and has classes of that task alone.
        n_steps : int, default=None
            Steps of the learner's inner loop; None is as many as it takes by itself.

        Returns
        -------
        Bunch
            ``mean`` : float
                Mean accuracy, or minus the mean squared error of a regressor.
            ``half_width`` : float
                Half of the 95 % interval of the mean, over episodes.
            ``interval`` : tuple of float
                From ``mean - half_width`` to ``mean + half_width``.
            ``scores`` : ndarray of shape (n_episodes,)
                Of each episode.

        Raises
        ------
        ValueError
            If no episode can be made of the rows, or ``n_steps`` is given for a learner
            without an inner loop.
        NotFittedError
            If a few-shot learner is not fitted.

        Warns
        -----
        UserWarning
            If there are fewer than ``n_way`` classes; episodes have all of them then.
        """
        learner, X = _ready(estimator, X)
        tasks = None
        if task is not None:
            check_consistent_length(y, task)
            tasks = read_labels(task, "task")[1]
        regresses = is_regressor(learner)
        n_way = self.n_way
        if regresses:
            check_consistent_length(X, y)
            n_way, pool = 1, pool_of(np.zeros(len(y), np.intp), tasks)
            if len(eligible_tasks(pool, n_way)) == 0:
                raise ValueError(
                    "No task has two rows, one to learn from and one to be asked for; "
                    f"n_samples = {len(y)}."
                )
        else:
            names, codes = read_split_labels(X, y)
            pool = checked_pool(names, codes, tasks, n_way)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        drawn = draw_episodes(
            pool,
            self.n_episodes,
            n_way,
            self.k_shot,
            self.n_query,
            np.random.default_rng(seed),
        )
        y = np.asarray(y)
        y = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
        scores = np.empty(self.n_episodes)
        for i, trial in enumerate(trials(drawn)):
            support, asked = (
                safe_indexing(X, rows) for rows in (trial.support, trial.query)
            )
            own = y[trial.query]
            adapted = _learner_of(learner, support, y[trial.support], n_steps)
            found = np.reshape(adapted.predict(asked), own.shape)
            scores[i] = (
                -np.mean((found - own) ** 2) if regresses else np.mean(found == own)
            )
        mean = float(scores.mean())
        half = float(half_width(scores))
        return Bunch(
            mean=mean,
            half_width=half,
            interval=(mean - half, mean + half),
            scores=scores,
        )


def half_width(scores):
    """Half of the 95 % interval of means (...,) of scores (..., n_episodes)."""
    return Z_95 * scores.std(axis=-1, ddof=1) / np.sqrt(scores.shape[-1])


def last_step(estimator):
    """The last step of Pipelines, and of what searches have found."""
    if hasattr(estimator, "best_estimator_"):
        return last_step(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return last_step(estimator[-1])
    return estimator


def _ready(estimator, X):
    """What is adapted or fitted to a support, and the rows as it takes them."""
    if hasattr(last_step(estimator), "adapt"):
        estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return _ready(estimator[-1], X)
    if hasattr(estimator, "adapt"):
        check_is_fitted(estimator)
        if hasattr(estimator, "_on_embedded"):  # rows are embedded once, not each time
            return estimator._on_embedded(X)
    return estimator, X


def _learner_of(estimator, X_support, y_support, n_steps):
    """The estimator, adapted to a support; a clone fitted to it where none adapts."""
    if hasattr(estimator, "adapt"):
        return estimator.adapt(X_support, y_support, n_steps=n_steps)
    if n_steps is not None:
        raise ValueError(
            f"n_steps={n_steps!r}: {type(estimator).__name__} has no inner loop."
        )
    return clone(estimator).fit(X_support, y_support)
