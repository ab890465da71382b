"""`adapt`: a fitted learner, or a Pipeline that ends with one, to new classes."""

import copy

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def adapt(estimator, X_support, y_support, *, n_steps=None):
    """Adapt a few-shot learner, or the last step of a Pipeline, to a few rows.

    Parameters
    ----------
    estimator : estimator
        A fitted few-shot learner, a Pipeline that ends with one, or a search that has
        found one or the other (its ``best_estimator_``).
    X_support : array-like of shape (n_rows, ...)
        Rows as the Pipeline takes them. Its transformers stay as they are.
    y_support : array-like of shape (n_rows,)
        Targets.
    n_steps : int, default=None
        Steps of the inner loop, where there is one.

    Returns
    -------
    estimator
        A new one, fitted to the task; what was given stays as it is. Through `clone`
        its transformers stay fitted, and its `fit` adapts the last step anew.

    Raises
    ------
    TypeError
        If nothing there can be adapted.

    Examples
    --------
    >>> import skmeta
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmeta.datasets import make_few_shot_tasks
    >>> made = make_few_shot_tasks(random_state=0)
    >>> seen, X_new = made.y < 40, made.X[made.y >= 40]
    >>> pipeline = make_pipeline(StandardScaler(), skmeta.MetricFewShotClassifier())
    >>> pipeline.fit(made.X[seen], made.y[seen])
    Pipeline(...)
    >>> rows, labels = X_new[:40:5], ["new"] * 4 + ["newer"] * 4
    >>> skmeta.adapt(pipeline, rows, labels).predict(X_new[1:4])
    array(['new', 'new', 'new'], dtype='<U5')
    """
    if hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        name, learner = estimator.steps[-1]
        if len(estimator) > 1:
            X_support = estimator[:-1].transform(X_support)
        learner = adapt(learner, X_support, y_support, n_steps=n_steps)
        adapted = copy.copy(estimator)
        adapted.steps = [
            *(
                (step, _frozen(transformer))
                for step, transformer in estimator.steps[:-1]
            ),
            (name, learner),
        ]
        return adapted
    if not hasattr(estimator, "adapt"):
        raise TypeError(
            "adapt takes a few-shot learner such as MetricFewShotClassifier, or a "
            f"Pipeline that ends with one; got a {type(estimator).__name__}."
        )
    return estimator.adapt(X_support, y_support, n_steps=n_steps)


def _frozen(transformer):
    if transformer in (None, "passthrough") or isinstance(transformer, FrozenEstimator):
        return transformer
    return FrozenEstimator(transformer)
