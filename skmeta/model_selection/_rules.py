"""Choosing among candidates that were cross-validated."""

from numbers import Real

import numpy as np


def fewest_components(cv_results):
    """The simplest candidate that the best one does not clearly beat.

    Of the candidates whose mean score is within one standard error of the best mean
    [1]_, the one with the fewest components, and of those the best. It is a callable
    for ``refit=`` of `GridSearchCV`, and the rule of `CCAMapperCV` where
    ``n_components`` is a grid: a score that sums correlations over components hardly
    falls when there are too many.

    Parameters
    ----------
    cv_results : dict
        As `GridSearchCV` has it, of a grid with the parameter ``n_components`` (also
        as ``mapper__n_components``, that of a step).

    Returns
    -------
    int
        The index of the candidate.

    Raises
    ------
    ValueError
        If the grid has no ``n_components`` or more than one, a candidate has none or
        one that is no number, or there is no mean of one score.

    Notes
    -----
    Folds share most of their training rows, and the spread of their scores understates
    how far the mean may be off. The standard error is the corrected one of [2]_,
    s sqrt(1 / K + 1 / (K - 1)) for K folds of equal size with sample deviation s.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen & Stone (1984), "Classification and regression
       trees", section 3.4.3.
    .. [2] Nadeau & Bengio (2003), "Inference for the generalization error", Machine
       Learning 52, section 3.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.model_selection import fewest_components
    >>> views = make_paired_views(300, random_state=1).views
    >>> search = GridSearchCV(
    ...     CCAMapper(), {"n_components": [1, 2, 3, 4]}, refit=fewest_components
    ... ).fit(views)
    >>> search.best_params_
    {'n_components': 2}
    """
    names = [
        name
        for name in cv_results
        if name == "param_n_components" or name.endswith("__n_components")
    ]
    if len(names) != 1:
        raise ValueError(
            "fewest_components needs a grid with one parameter n_components; this one "
            f"has {[n.removeprefix('param_') for n in names]} among "
            f"{[n.removeprefix('param_') for n in cv_results if n[:6] == 'param_']}."
        )
    if "mean_test_score" not in cv_results:
        raise ValueError(
            "fewest_components needs a single score, mean_test_score; this search has "
            f"{[n for n in cv_results if n.startswith('mean_test_')]}."
        )
    mean = np.asarray(cv_results["mean_test_score"], dtype=float)
    if np.isnan(mean).all():
        raise ValueError("No candidate has a score: each of them is NaN in some fold.")
    counts = np.array([_count(k) for k in cv_results[names[0]]])
    best = int(np.nanargmax(mean))
    error = standard_errors(cv_results)[best]
    within = mean >= mean[best] - error
    within[best] = True  # also where it is infinite
    fewest = within & (counts == counts[within].min())
    return int(np.argmax(np.where(fewest, mean, -np.inf)))


def _count(n_components):
    """A number that can be compared; None stands for as many as there can be."""
    if n_components is None:
        return np.inf
    if not isinstance(n_components, Real):  # masked where a grid does not have it
        raise ValueError(
            "fewest_components compares numbers of components, and n_components is "
            f"{n_components!r} in one candidate; give each a number or None."
        )
    return float(n_components)


def standard_errors(cv_results, scoring="score"):
    """Of each candidate's mean score (n_candidates,), as `fewest_components` has them.

    Infinite for one fold, of which nothing is known.
    """
    n = sum(
        name.startswith("split") and name.endswith(f"_test_{scoring}")
        for name in cv_results
    )
    deviations = np.asarray(cv_results[f"std_test_{scoring}"], dtype=float)
    if n < 2:
        return np.full_like(deviations, np.inf)
    # The deviation in cv_results_ has the number of folds in its denominator.
    of_sample = deviations * np.sqrt(n / (n - 1))
    return of_sample * np.sqrt(1 / n + 1 / (n - 1))
